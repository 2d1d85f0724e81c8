// SPDX-License-Identifier: GPL-2.0
//! Places at the NAT, each of which can be one mapping's only.

use std::collections::HashMap;

use ihmp_core::addr::Addr;
use ihmp_core::entry::Lease;

use crate::io::Pair;

/// NAT, peer, protocol, port of the NAT and of the peer.
type Place = (Addr, Addr, u8, u16, u16);

fn place(pair: Pair, nat: Addr, name: Lease) -> Place {
    (nat, pair.peer, name.proto, name.nat_port, name.peer_port)
}

/// Whose mapping is at a place: the newest one's.
#[derive(Debug)]
pub(super) struct Places {
    owners: HashMap<Place, (Pair, Lease)>,
    most: usize,
}

impl Places {
    /// At most so many are kept.
    pub(super) fn new(most: usize) -> Places {
        Places {
            owners: HashMap::new(),
            most,
        }
    }

    /// Whether there is room for the place of a mapping.
    pub(super) fn has_room(&self, pair: Pair, nat: Addr, name: Lease) -> bool {
        self.owners.len() < self.most || self.owners.contains_key(&place(pair, nat, name))
    }

    /// A mapping takes its place; true when it was another's.
    pub(super) fn take(&mut self, pair: Pair, nat: Addr, name: Lease) -> bool {
        let owner = (pair, name);
        let before = self.owners.insert(place(pair, nat, name), owner);
        before.is_some_and(|before| before != owner)
    }

    /// A mapping leaves its place, if it is its own.
    pub(super) fn vacate(&mut self, pair: Pair, nat: Addr, name: Lease) {
        let place = place(pair, nat, name);
        if self.owners.get(&place) == Some(&(pair, name)) {
            self.owners.remove(&place);
        }
    }

    /// Whether the place of a mapping is another's.
    pub(super) fn is_anothers(&self, pair: Pair, nat: Addr, name: Lease) -> bool {
        let owner = self.owners.get(&place(pair, nat, name));
        owner.is_some_and(|owner| *owner != (pair, name))
    }
}
