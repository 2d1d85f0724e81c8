// SPDX-License-Identifier: GPL-2.0
//! Machines come, and what happens to them: their addresses, routes, flows, keys and hosts change, their agents are restarted.

use std::collections::{BTreeMap, BTreeSet};

use ihmp_core::addr::Addr;
use ihmp_engine::{Engine, Input, Limits, Own, Policy, Record, Routes, State, Via};

use super::Sim;
use crate::addr;
use crate::kernel::Kernel;
use crate::node::{own_key, Node};
use crate::store::Store;

/// The device of an own address: a network for each.
fn device(addr: Addr) -> u32 {
    let words = addr.octets();
    let words = words.chunks(4).map(|word| {
        word.iter()
            .fold(0, |all, octet| (all << 8) | u32::from(*octet))
    });
    words.fold(1, |all: u32, word| all.rotate_left(7) ^ word)
}

impl Sim {
    /// A new machine; its number.
    pub fn add(&mut self, local: &[&str]) -> usize {
        self.add_with(local, Limits::default())
    }

    /// The same, with other limits.
    pub fn add_with(&mut self, local: &[&str], limits: Limits) -> usize {
        self.add_believing(local, limits, Policy::FirstUse)
    }

    /// The same, with another policy.
    pub fn add_believing(&mut self, local: &[&str], limits: Limits, policy: Policy) -> usize {
        let local = local.iter().map(|text| addr(text)).collect();
        self.place(local, limits, policy)
    }

    /// The same, with addresses that need not be read.
    pub fn place(&mut self, local: Vec<Addr>, limits: Limits, policy: Policy) -> usize {
        let number = self.nodes.len() as u64;
        let engine = Some(Engine::new(limits, policy));
        let store = Store {
            own: vec![own_key(number)],
            ..Store::default()
        };
        self.nodes.push(Node {
            engine,
            kernel: Kernel::default(),
            local,
            held: BTreeSet::new(),
            notes: vec![],
            limits,
            policy,
            store,
            wall: 1_700_000_000_000_000_000 + number * 1_000_000_000_000,
            sent: 0,
            spent: 0,
            placed: vec![],
            wake: None,
        });
        let at = self.nodes.len() - 1;
        self.rekey(at);
        self.network(at);
        at
    }

    /// The own addresses of a machine that reach a peer.
    pub(super) fn via(
        node: &Node,
        peer: Addr,
        unrouted: &BTreeSet<(Addr, Addr)>,
        devices: &BTreeMap<Addr, u32>,
    ) -> Vec<Via> {
        let family = |of: &&Addr| of.family() == peer.family() && !unrouted.contains(&(**of, peer));
        let newest = node.local.iter().rfind(family).copied();
        let via = |local: &Addr| Via {
            local: *local,
            preference: if Some(*local) == newest { 0 } else { 10 },
            device: devices.get(local).copied().or(Some(device(*local))),
            diverted: false,
        };
        node.local.iter().filter(family).map(via).collect()
    }

    /// Tells the engine of a node what its store has.
    pub fn rekey(&mut self, at: usize) {
        let keys = self.nodes[at].store.keys();
        self.give(at, Input::Keys(keys));
    }

    /// Tells the engine of a node what its addresses are.
    pub fn network(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        for gone in std::mem::replace(&mut node.placed, node.local.clone()) {
            if let Some(places) = self.places.get_mut(&gone) {
                places.retain(|other| *other != at);
            }
        }
        for local in &node.local {
            self.places.entry(*local).or_default().push(at);
        }
        let node = &self.nodes[at];
        let Some(engine) = node.engine.as_ref() else {
            return;
        };
        let peers = engine.peers();
        let routes = peers.into_iter().map(|peer| Routes {
            peer,
            via: Sim::via(node, peer, &self.unrouted, &self.devices),
        });
        let own = node.local.iter().map(|addr| Own {
            addr: *addr,
            age: self.aged.get(addr).copied().unwrap_or_default(),
        });
        let input = Input::Network {
            local: own.collect(),
            routes: routes.collect(),
        };
        self.give(at, input);
    }

    /// One batch of address events.
    pub fn change(&mut self, at: usize, lose: &[&str], gain: &[&str]) {
        let read = |texts: &[&str]| texts.iter().map(|text| addr(text)).collect::<Vec<_>>();
        self.relocate(at, &read(lose), &read(gain));
    }

    /// The same, with addresses that need not be read.
    pub fn relocate(&mut self, at: usize, lose: &[Addr], gain: &[Addr]) {
        if self.trace {
            println!(
                "{:>12} us node {at}: -{lose:?} +{gain:?}",
                self.now.as_nanos() / 1000
            );
        }
        let node = &mut self.nodes[at];
        node.local.retain(|local| !lose.contains(local));
        node.local.extend(gain);
        self.network(at);
    }

    /// The module sees a flow.
    pub fn flow(&mut self, at: usize, local: &str, remote: &str) {
        self.open(at, addr(local), addr(remote));
    }

    /// The same, with addresses that need not be read.
    pub fn open(&mut self, at: usize, local: Addr, remote: Addr) {
        let node = &mut self.nodes[at];
        if node.kernel.owner(remote).is_some() {
            return;
        }
        let record = Record {
            state: State::New,
            active: vec![remote],
            unvalidated: vec![],
            nats: vec![],
            unreachable: vec![],
            local: vec![ihmp_engine::Local::new(local)],
            expires: None,
        };
        let id = node.kernel.make(record, vec![], self.now);
        node.kernel.identifiers.insert(id, vec![local]);
        self.give(at, Input::Discovered { id, local, remote });
    }

    /// Kills the agent of a node and starts another one.
    pub fn restart(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        node.engine = Some(Engine::new(node.limits, node.policy));
        node.held.clear();
        let hosts = node.kernel.dump();
        self.rekey(at);
        self.network(at);
        self.give(at, Input::Kernel { hosts });
    }

    /// The administrator of a node removes all hosts.
    pub fn remove_hosts(&mut self, at: usize) {
        let ids: Vec<u32> = self.nodes[at].kernel.rows.keys().copied().collect();
        for id in ids {
            self.nodes[at].kernel.take(id);
            self.give(at, Input::Removed { id });
        }
    }
}
