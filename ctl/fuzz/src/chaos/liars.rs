// SPDX-License-Identifier: GPL-2.0
//! Machines whose messages are signed well and say what no agent would.

use ihmp_core::addr::Addr;
use ihmp_core::entry::{Entry, Lease};
use ihmp_core::message::{Addresses, Control, Message, Options};

use super::network::datagram;
use super::Chaos;

impl Chaos<'_> {
    /// A machine tells of port mappings as if it were a NAT; perhaps it is one.
    pub(super) fn entry(&mut self, at: usize) {
        let which = self.octets.below(self.nats.len());
        let Some(nat) = self.nats.get(which) else {
            return;
        };
        let Some((inside, machine)) = nat.inside.first_key_value() else {
            return;
        };
        let (nat, inside, machine) = (nat.outside, *inside, *machine);
        let lease = Lease {
            proto: 17,
            nat_port: self.octets.word().max(1),
            port: self.octets.word().max(1),
            peer_port: self.octets.word().max(1),
            lifetime: self.octets.word() % 3,
        };
        let key = self.nodes[machine].public();
        let to = self.anywhere();
        let Some(entry) = Entry::new(nat, inside, key.0, &[lease]) else {
            return;
        };
        let message = Message {
            control: Control::NatEntry,
            options: Options::NONE,
            seqno: 1,
            signature: None,
            host: nat,
            addresses: entry.addresses(),
        };
        let bytes = self.nodes[at].seal(&message, to, self.now);
        if self.owner(to) != Some(at) && nat.family() == to.family() {
            self.arrive(datagram(nat, to, bytes));
        }
    }

    /// A host with a key says what no agent would: it may spoil its own entry, and no other.
    pub(super) fn nonsense(&mut self, at: usize) {
        let to = self.anywhere();
        let family = |own: &&Addr| own.family() == to.family();
        let Some(from) = self.nodes[at].local.iter().find(family).copied() else {
            return;
        };
        let mut addresses = Addresses::EMPTY;
        let _ = addresses.push(from);
        for _ in 0..self.octets.below(16) {
            let _ = addresses.push(self.anywhere());
        }
        let message = Message {
            control: Control::ALL[self.octets.below(Control::ALL.len())],
            options: Options::from_bits(self.octets.octet() & 0xf8).unwrap_or(Options::NONE),
            seqno: self.octets.word(),
            signature: None,
            host: from,
            addresses,
        };
        let bytes = self.nodes[at].seal(&message, to, self.now);
        if self.owner(to) != Some(at) {
            if let Some(passed) = self.pass(datagram(from, to, bytes)) {
                self.arrive(passed);
            }
        }
    }
}
