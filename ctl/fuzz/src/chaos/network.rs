// SPDX-License-Identifier: GPL-2.0
//! The network: datagrams on the way, and the NATs that they pass.

use ihmp_core::addr::Addr;
use ihmp_sim::nat::{self, Nat};

use super::{Chaos, NODES};
use crate::node::Datagram;

/// Most datagrams on the way, and most that are remembered.
const FLIGHTS: usize = 64;

/// A datagram that no NAT has seen.
pub(super) fn datagram(from: Addr, to: Addr, bytes: Vec<u8>) -> Datagram {
    Datagram {
        from,
        source: None,
        to,
        port: None,
        inside: None,
        bytes,
    }
}

impl Chaos<'_> {
    pub(super) fn fly(&mut self, sent: Vec<Datagram>) {
        for datagram in sent {
            let passed = self.pass(datagram);
            self.flights.extend(passed);
        }
        let extra = self.flights.len().saturating_sub(FLIGHTS);
        self.flights.drain(..extra);
    }

    /// A datagram leaves a machine: through the NATs between it and where it goes.
    pub(super) fn pass(&mut self, datagram: Datagram) -> Option<Datagram> {
        let Datagram {
            from,
            to,
            port,
            bytes,
            ..
        } = datagram;
        let at = self.owner(from).unwrap_or(NODES);
        let passed = nat::pass(&mut self.nats, (at, from), (to, port), bytes)?;
        Some(Datagram {
            from: passed.from,
            source: passed.port,
            to: passed.to,
            port: None,
            inside: passed.inside,
            bytes: passed.bytes,
        })
    }

    /// A datagram off the network, any of them.
    pub(super) fn take(&mut self) -> Option<Datagram> {
        if self.flights.is_empty() {
            return None;
        }
        // Mostly the oldest one.
        let which = match self.octets.octet() {
            all @ 0..=63 => usize::from(all) % self.flights.len(),
            _ => 0,
        };
        Some(self.flights.remove(which))
    }

    pub(super) fn owner(&self, of: Addr) -> Option<usize> {
        self.nodes.iter().position(|node| node.local.contains(&of))
    }

    pub(super) fn deliver(&mut self) {
        if let Some(datagram) = self.take() {
            self.arrive(datagram);
        }
    }

    pub(super) fn arrive(&mut self, datagram: Datagram) {
        if let Some(at) = datagram.inside.or_else(|| self.owner(datagram.to)) {
            let sent = self.nodes[at].receive(&datagram, true, self.now);
            self.fly(sent);
            self.arrived.push((at, datagram));
            let extra = self.arrived.len().saturating_sub(FLIGHTS);
            self.arrived.drain(..extra);
        }
    }

    pub(super) fn twice(&mut self) {
        if let Some(datagram) = self.take() {
            self.arrive(datagram.clone());
            self.arrive(datagram);
        }
    }

    /// A machine goes behind a NAT at one of its addresses, or comes out, or the NAT forgets its ports. Its address is that of
    /// another machine, or nobody's.
    pub(super) fn behind(&mut self, at: usize) {
        let which = self.octets.below(self.nodes[at].local.len());
        let Some(own) = self.nodes[at].local.get(which).copied() else {
            return;
        };
        let has = |nat: &Nat| nat.inside.contains_key(&own);
        let found = self.nats.iter().position(has);
        match (found, self.octets.octet() % 4) {
            (Some(found), 0) => self.nats[found].forget(),
            (Some(found), 1) => self.nats[found].aware = !self.nats[found].aware,
            (Some(found), _) => drop(self.nats.remove(found)),
            (None, kind) => {
                let outside = self.anywhere();
                let free = self.owner(outside) != Some(at);
                if free && outside.family() == own.family() {
                    self.nats.push(Nat::new(outside, own, at, kind % 2 == 0));
                }
            }
        }
    }
}
