// SPDX-License-Identifier: GPL-2.0
//! The routes to addresses of peers.

use std::collections::HashMap;

use ihmp_core::addr::Addr;

use crate::io::{Key, Routes, Via};

/// What is known of routes, and who asked for them.
#[derive(Debug, Default)]
pub(crate) struct KnownRoutes {
    /// Own addresses from which a peer address can be reached.
    via: HashMap<Addr, Vec<Via>>,
    /// Addresses of NATs whose routes were asked for, and by which hosts.
    waiting: Vec<(Addr, Key)>,
    /// How many hosts keep the routes of an address of a NAT.
    nats: HashMap<Addr, usize>,
}

impl KnownRoutes {
    /// Whether those to this address are known.
    pub(crate) fn has(&self, peer: Addr) -> bool {
        self.via.contains_key(&peer)
    }

    /// Own addresses from which this one can be reached; `None` when that is not known.
    pub(crate) fn of(&self, peer: Addr) -> Option<&[Via]> {
        self.via.get(&peer).map(Vec::as_slice)
    }

    /// Whether it is known that there is no route from an own address to one of a peer.
    pub(crate) fn misses(&self, local: Addr, peer: Addr) -> bool {
        let there = |via: &[Via]| via.iter().any(|via| via.local == local && !via.diverted);
        let routes = self.of(peer);
        local.family() == peer.family() && routes.is_some_and(|via| !there(via))
    }

    /// These are all.
    pub(crate) fn replace(&mut self, routes: Vec<Routes>) {
        let routes = routes.into_iter();
        self.via = routes.map(|routes| (routes.peer, routes.via)).collect();
    }

    /// Those to one address are known; which hosts have asked for them.
    pub(crate) fn set(&mut self, routes: Routes) -> Vec<Key> {
        let peer = routes.peer;
        self.via.insert(peer, routes.via);
        let waiting = std::mem::take(&mut self.waiting);
        let (due, later): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|(addr, _)| *addr == peer);
        self.waiting = later;
        due.into_iter().map(|(_, key)| key).collect()
    }

    /// A host asks for those to an address of a NAT.
    pub(crate) fn wait(&mut self, nat: Addr, key: Key) {
        self.waiting.push((nat, key));
    }

    /// No host has this address any more.
    pub(crate) fn forget(&mut self, addr: Addr) {
        if !self.nats.contains_key(&addr) {
            self.via.remove(&addr);
        }
    }

    /// One more host is behind the NAT with this address.
    pub(crate) fn keep(&mut self, nat: Addr) {
        *self.nats.entry(nat).or_insert(0) += 1;
    }

    /// One host less is; `named` if one has it for its own.
    pub(crate) fn release(&mut self, nat: Addr, named: bool) {
        let Some(count) = self.nats.get_mut(&nat) else {
            return;
        };
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.nats.remove(&nat);
            if !named {
                self.via.remove(&nat);
            }
        }
    }
}
