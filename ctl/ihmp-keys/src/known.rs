// SPDX-License-Identifier: GPL-2.0
//! What is known after all records of the journal: keys of peers, at which addresses they are remembered, and where they have changed.

use std::collections::{
    BTreeMap,
    HashMap, //
};

use ihmp_core::addr::Addr;
use ihmp_engine::{
    Changed,
    Fact,
    KnownKey,
    PublicKey, //
};

use crate::Record;

/// What is known of a peer's key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// What the engine has to know.
    pub known: KnownKey,
    /// What the administrator calls it.
    pub name: Option<String>,
}

/// All that is known of peers' keys.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The keys.
    pub peers: BTreeMap<PublicKey, Peer>,
    /// Addresses at which another key was used than the one that was remembered, with the last such key, until the administrator accepts
    /// it.
    pub changes: BTreeMap<Addr, Changed>,
    /// How many lines of the journal are not understood.
    pub bad: usize,
    /// The key that is remembered at an address, if any is.
    owners: HashMap<Addr, PublicKey>,
}

impl Known {
    /// Applies the next record.
    pub(crate) fn replay(&mut self, record: Record) {
        match record {
            Record::Pin {
                key,
                router,
                scope,
                name,
            } => {
                let peer = self.peers.entry(key).or_default();
                (peer.known.pinned, peer.known.router) = (true, router);
                (peer.known.scope, peer.name) = (scope, name);
            }
            Record::Accept { key, at } => {
                self.own(key, at);
                self.changes.remove(&at);
                let known = &mut self.peers.entry(key).or_default().known;
                if !known.accepted.contains(&at) {
                    known.accepted.push(at);
                }
            }
            Record::Fact(Fact::At { key, own, at }) => {
                at.iter().for_each(|addr| self.own(key, *addr));
                let known = &mut self.peers.entry(key).or_default().known;
                known.accepted.clear();
                (known.own, known.at) = (Some(own), at);
            }
            Record::Fact(Fact::Heard { key, floor }) => {
                let known = &mut self.peers.entry(key).or_default().known;
                known.floor = known.floor.max(floor);
            }
            Record::Fact(Fact::Succeeded { former, key }) => {
                let mut peer = self.peers.remove(&former).unwrap_or_default();
                peer.known.floor = 0;
                let places = peer.known.at.iter().chain(&peer.known.accepted);
                self.owners.extend(places.map(|addr| (*addr, key)));
                self.peers.insert(key, peer);
            }
            Record::Fact(Fact::Changed(changed)) => drop(self.changes.insert(changed.at, changed)),
            Record::Fact(Fact::Forgotten(key)) => {
                self.peers.remove(&key);
                self.changes
                    .retain(|_, changed| changed.key != key && changed.former != key);
            }
            Record::Fact(Fact::Sent(_)) => (),
        }
    }

    /// From now on this key is remembered at the address, and no other.
    fn own(&mut self, key: PublicKey, addr: Addr) {
        let former = self
            .owners
            .insert(addr, key)
            .filter(|former| *former != key);
        if let Some(peer) = former.and_then(|former| self.peers.get_mut(&former)) {
            peer.known.at.retain(|at| *at != addr);
            peer.known.accepted.retain(|at| *at != addr);
        }
    }

    /// The fewest records from which the same is known.
    pub(crate) fn records(&self) -> Vec<Record> {
        let peers = self
            .peers
            .iter()
            .flat_map(|(key, peer)| records(*key, peer));
        let changes = self.changes.values().copied();
        let changes = changes.map(|changed| Record::Fact(Fact::Changed(changed)));
        peers.chain(changes).collect()
    }
}

/// The records that say what is known of a peer.
fn records(key: PublicKey, peer: &Peer) -> impl Iterator<Item = Record> {
    let known = peer.known.clone();
    let pin = known.pinned.then_some(Record::Pin {
        key,
        router: known.router,
        scope: known.scope,
        name: peer.name.clone(),
    });
    let at = known.at;
    let located = known.own.map(|own| Record::Fact(Fact::At { key, own, at }));
    let accepted = known.accepted.into_iter();
    let accepted = accepted.map(move |at| Record::Accept { key, at });
    let floor = known.floor;
    let heard = (floor > 0).then_some(Record::Fact(Fact::Heard { key, floor }));
    pin.into_iter().chain(located).chain(accepted).chain(heard)
}
