// SPDX-License-Identifier: GPL-2.0
//! Shares of the table by source network, so that nobody fills it.
//!
//! Hosts that greeted us are counted by their networks (/24, /48). When the table is nearly full, those of the largest network
//! are looked at, and who has no connection goes: it greets again when it opens one. When it is full, a newcomer from a
//! smaller network takes the place of the oldest of the largest one. Hosts that we have greeted are not touched.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;

use crate::io::Key;

/// Hosts that are looked at for each newcomer then.
const LOOKS: usize = 4;

/// A network: [`Addr::network`].
pub(crate) type Network = [u8; 16];

/// Hosts that came, by network; the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    hosts: HashMap<Network, BTreeSet<Key>>,
    /// Networks by how many they have.
    sizes: BTreeSet<(usize, Network)>,
    /// Who is asked for its connections, because room is needed.
    asked: BTreeSet<Key>,
    /// The last one that was asked.
    last: Key,
    /// How many had to go.
    evicted: u64,
}

impl Shares {
    fn change(&mut self, of: Network, act: impl FnOnce(&mut BTreeSet<Key>)) {
        let hosts = self.hosts.entry(of).or_default();
        self.sizes.remove(&(hosts.len(), of));
        act(hosts);
        let count = hosts.len();
        if count == 0 {
            self.hosts.remove(&of);
        } else {
            self.sizes.insert((count, of));
        }
    }

    /// A host came.
    pub(crate) fn add(&mut self, of: Network, key: Key) {
        self.change(of, |hosts| {
            hosts.insert(key);
        });
    }

    /// It is gone.
    pub(crate) fn remove(&mut self, of: Network, key: Key) {
        self.asked.remove(&key);
        self.change(of, |hosts| {
            hosts.remove(&key);
        });
    }

    fn count(&self, of: Network) -> usize {
        self.hosts.get(&of).map_or(0, BTreeSet::len)
    }

    /// How many networks there are, and how many hosts the largest has.
    pub(crate) fn sizes(&self) -> [usize; 2] {
        let largest = self.sizes.last().map_or(0, |(count, _)| *count);
        [self.hosts.len(), largest]
    }

    /// The oldest host of the largest network, if a newcomer from `of`, or one of ours, may take its place.
    pub(crate) fn oldest(&self, of: Option<Network>) -> Option<Key> {
        let (count, largest) = self.sizes.last()?;
        let own = of.map_or(0, |of| self.count(of));
        let hosts = self.hosts.get(largest).filter(|_| *count > own);
        hosts?.first().copied()
    }

    /// Some of the largest network that are to be asked, in turn.
    pub(crate) fn ask(&mut self) -> Vec<Key> {
        let Some(hosts) = self.sizes.last().and_then(|(_, of)| self.hosts.get(of)) else {
            return Vec::new();
        };
        let later = hosts.range((Bound::Excluded(self.last), Bound::Unbounded));
        let next: Vec<Key> = later.chain(hosts).take(LOOKS).copied().collect();
        self.last = next.last().copied().unwrap_or(self.last);
        self.asked.extend(&next);
        next
    }

    /// How many hosts had to go so that others have room.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// One has to go.
    pub(crate) fn evict(&mut self) {
        self.evicted += 1;
    }

    /// Whether a host was asked; it is not, after that.
    pub(crate) fn answered(&mut self, key: Key) -> bool {
        self.asked.remove(&key)
    }
}
