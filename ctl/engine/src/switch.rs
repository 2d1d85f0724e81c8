// SPDX-License-Identifier: GPL-2.0
//! What is said while the administrator has switched this machine off.
//!
//! Flows that have moved go on, so their hosts are spoken with as ever, until the machine is on again: what they were told of
//! our addresses has to stay true. All others are left alone, as the administrator's own are: nothing is sent to them, and
//! nothing of them is used or answered. When the machine is switched on again, they are taken over as after a restart.

use ihmp_core::message::Control;

use crate::engine::Engine;
use crate::host::Entry;
use crate::io::{Change, KernelHost, Key, Output, State};
use crate::received::Received;

impl Engine {
    /// The administrator switched the machine on, or off. Who is being asked whether it takes part is not asked any more: its
    /// next packet makes it anew.
    pub(crate) fn switch(&mut self, on: bool, hosts: Vec<KernelHost>) {
        self.world.off = !on;
        let keys = if on { Vec::new() } else { self.keys() };
        for key in keys {
            let host = self.hosts.get(&key);
            let asked = host.filter(|host| host.state == State::New && !host.managed);
            if let Some(Entry::Id(id)) = asked.map(|host| host.entry) {
                let change = Change::Del { id };
                self.world.outputs.push_back(Output::Table(change));
                self.remove(key, "off");
            }
        }
        self.take(hosts, true);
    }

    /// Whether the kernel's host is left alone: it is the administrator's, or the machine is off and nothing of it has moved.
    /// Who is spoken with stays so, unless the machine is switched off `now`.
    pub(crate) fn leaves_alone(&self, known: &KernelHost, now: bool) -> bool {
        let host = self.ids.get(&known.id).and_then(|key| self.hosts.get(key));
        // A router keeps an address for our flows: they are at home by its help.
        let served = host.is_some_and(|host| match now {
            true => !host.relays.is_empty(),
            false => !host.managed,
        });
        known.managed || (self.world.off && !known.moved && !served)
    }

    /// Whether a message may be looked at: always, or, while the machine is off, when it is of a host with which it
    /// speaks. Routers and NATs are looked at elsewhere: they are heard only about such a host.
    pub(crate) fn may_speak(&self, received: &Received<'_>) -> bool {
        let Received { from, message, .. } = received;
        if !self.world.off || is_by_others(message.control) {
            return true;
        }
        let serves = |key: Key| self.hosts.get(&key).is_some_and(|host| !host.managed);
        let there = self.active(*from).filter(|key| serves(*key));
        match self.claim(message) {
            Ok(claim) => match self.bound(&claim.name()) {
                Some(key) => serves(key),
                None => there.is_some_and(|key| self.is_unbound(key)),
            },
            Err(_) => there.or(self.named(message.host)).is_some_and(serves),
        }
    }
}

/// Whether it is said by a router, or a NAT.
fn is_by_others(control: Control) -> bool {
    matches!(control, Control::RouterAck | Control::NatEntry)
}
