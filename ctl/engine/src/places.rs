// SPDX-License-Identifier: GPL-2.0
//! Where keys were seen, and at which addresses each is remembered.

use std::collections::HashMap;

use ihmp_core::addr::Addr;
use ihmp_core::time::Instant;

use crate::bucket::Bucket;
use crate::keys::{Changed, PublicKey};
use crate::limits::Rate;

/// Most addresses of which it is remembered that another key was refused there.
const MAX_REFUSED: usize = 1_024;
/// How often it is said that keys changed.
const CHANGES: Rate = Rate {
    per_second: 1,
    burst: 100,
};

/// Keys by the addresses at which they were seen.
#[derive(Debug)]
pub(crate) struct Places {
    /// The key that was last seen at an address.
    located: HashMap<Addr, PublicKey>,
    /// The key that has shown that it hears us at an address, and has not said since that it left.
    remembered: HashMap<Addr, PublicKey>,
    /// Keys that were refused because another one is remembered there.
    refused: HashMap<Addr, PublicKey>,
    /// How often it is said that keys changed.
    changes: Bucket,
    /// Keys that were believed where another one was remembered.
    changed: u64,
}

impl Places {
    pub(crate) fn new() -> Places {
        Places {
            located: HashMap::new(),
            remembered: HashMap::new(),
            refused: HashMap::new(),
            changes: Bucket::new(CHANGES),
            changed: 0,
        }
    }

    /// All of it is to be said anew.
    pub(crate) fn clear(&mut self) {
        self.located.clear();
        self.remembered.clear();
        self.refused.clear();
    }

    /// The key that was last seen at an address.
    pub(crate) fn located(&self, addr: Addr) -> Option<PublicKey> {
        self.located.get(&addr).copied()
    }

    /// This key is at an address.
    pub(crate) fn locate(&mut self, addr: Addr, key: PublicKey) {
        self.located.insert(addr, key);
    }

    /// This key is not there any more.
    pub(crate) fn leave(&mut self, addr: Addr, key: &PublicKey) {
        if self.located.get(&addr) == Some(key) {
            self.located.remove(&addr);
        }
    }

    /// The key that is remembered at an address.
    pub(crate) fn remembered(&self, addr: Addr) -> Option<PublicKey> {
        self.remembered.get(&addr).copied()
    }

    /// This key is remembered at an address; the one that was before.
    pub(crate) fn remember(&mut self, addr: Addr, key: PublicKey) -> Option<PublicKey> {
        self.remembered.insert(addr, key)
    }

    /// No key is.
    pub(crate) fn forget(&mut self, addr: Addr) {
        self.remembered.remove(&addr);
    }

    /// This key is not.
    pub(crate) fn forget_key(&mut self, addr: Addr, key: &PublicKey) {
        if self.remembered.get(&addr) == Some(key) {
            self.remembered.remove(&addr);
        }
    }

    /// No key is refused at this address any more.
    pub(crate) fn accept(&mut self, addr: Addr) {
        self.refused.remove(&addr);
    }

    /// A key is where another one is remembered, and is believed or not. What is worth saying: nothing where it was said, or
    /// too often.
    pub(crate) fn change(&mut self, changed: Changed, now: Instant) -> Option<Changed> {
        let known = self.refused.get(&changed.at) == Some(&changed.key);
        if changed.believed {
            self.changed += 1;
        } else if self.refused.len() < MAX_REFUSED {
            self.refused.insert(changed.at, changed.key);
        }
        let said = !known && self.changes.take(now);
        said.then_some(changed)
    }

    /// How many keys were believed where another one was remembered, and at how many addresses one is refused for that.
    pub(crate) fn counts(&self) -> [u64; 2] {
        let refused = u64::try_from(self.refused.len());
        [self.changed, refused.unwrap_or(u64::MAX)]
    }
}
