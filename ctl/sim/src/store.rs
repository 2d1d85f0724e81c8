// SPDX-License-Identifier: GPL-2.0
//! The state folder of an agent.

use std::collections::BTreeMap;

use ihmp_core::addr::Addr;
use ihmp_engine::{Changed, Fact, Keys, KnownKey, OwnKey, PublicKey};

/// What a machine writes down of keys.
#[derive(Clone, Debug, Default)]
pub struct Store {
    /// Own keys, with their private halves.
    pub own: Vec<OwnKey>,
    /// No timestamp up to this one may be used again.
    pub sent: u64,
    /// Keys of peers.
    pub known: BTreeMap<PublicKey, KnownKey>,
    /// Other keys where one was remembered.
    pub changes: Vec<Changed>,
}

impl Store {
    /// Stores a fact.
    pub fn keep(&mut self, fact: Fact) {
        match fact {
            Fact::Sent(sent) => self.sent = sent,
            Fact::Heard { key, floor } => self.known.entry(key).or_default().floor = floor,
            Fact::At { key, own, at } => {
                at.iter().for_each(|addr| self.leave(*addr));
                let known = self.known.entry(key).or_default();
                (known.own, known.at) = (Some(own), at);
            }
            Fact::Succeeded { former, key } => {
                let known = self.known.remove(&former).unwrap_or_default();
                self.known.insert(key, KnownKey { floor: 0, ..known });
            }
            Fact::Changed(changed) => self.changes.push(changed),
            Fact::Forgotten(key) => drop(self.known.remove(&key)),
        }
    }

    /// Forgets the key that is remembered at an address.
    fn leave(&mut self, addr: Addr) {
        for known in self.known.values_mut() {
            known.at.retain(|at| *at != addr);
            known.accepted.retain(|at| *at != addr);
        }
    }

    /// The administrator accepts a key in the place of another one.
    pub fn accept(&mut self, at: Addr, key: PublicKey) {
        self.leave(at);
        let known = self.known.entry(key).or_default();
        known.accepted.push(at);
    }

    /// The input for the engine.
    pub fn keys(&self) -> Keys {
        Keys {
            own: self.own.clone(),
            sent: self.sent,
            known: self.known.clone().into_iter().collect(),
        }
    }
}
