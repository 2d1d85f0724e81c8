// SPDX-License-Identifier: GPL-2.0
//! The attacker: he sees all datagrams, can send any, and has a key of his own.

use ihmp_core::addr::Addr;
use ihmp_core::message::{Addresses, Control, Ed25519, Message, Options, SUCCESSION_LEN};

use super::network::datagram;
use super::{Chaos, NODES};
use crate::node::Datagram;

/// The first address in a message: the source that its sender believes in.
fn believed(bytes: &[u8]) -> Option<Addr> {
    let message = Message::parse(bytes).ok()?;
    message.addresses.as_slice().first().copied()
}

impl Chaos<'_> {
    /// Gives a machine a datagram that nobody sent like this: nothing may change.
    pub(super) fn forge(&mut self, datagram: &Datagram) {
        let Some(at) = self.owner(datagram.to) else {
            return;
        };
        let signed = datagram
            .bytes
            .get(1)
            .is_some_and(|bits| bits & Options::SIGNED.bits() != 0);
        let sent = if self.nodes[at].believes_unsigned() && !signed {
            self.nodes[at].receive(datagram, true, self.now)
        } else {
            self.nodes[at].receive_forged(datagram, self.now)
        };
        self.fly(sent);
    }

    /// A message is changed on the way.
    pub(super) fn changed(&mut self) {
        let Some(mut datagram) = self.take() else {
            return;
        };
        let length = datagram.bytes.len();
        if self.octets.octet() % 8 == 0 {
            datagram
                .bytes
                .truncate(usize::from(self.octets.word()) % length.max(1));
        } else {
            let place = usize::from(self.octets.word()) % length.max(1);
            let bit = 1 << self.octets.below(8);
            // The option NS is not signed: a NAT may set it.
            if (place, bit) == (1, 0x80) {
                return;
            }
            datagram.bytes[place] ^= bit;
        }
        self.forge(&datagram);
    }

    /// A message comes once more.
    pub(super) fn again(&mut self) {
        let which = self.octets.below(self.arrived.len());
        if let Some((at, datagram)) = self.arrived.get(which).cloned() {
            let signed = datagram.bytes[1] & Options::SIGNED.bits() != 0;
            if signed && self.owner(datagram.to) == Some(at) {
                self.forge(&datagram);
            }
        }
    }

    /// A message is sent on to somebody else, or from another source.
    pub(super) fn elsewhere(&mut self) {
        let Some(mut datagram) = self.take() else {
            return;
        };
        let addr = self.anywhere();
        let end = if self.octets.octet() % 2 == 0 {
            &mut datagram.from
        } else {
            &mut datagram.to
        };
        if *end != addr && end.family() == addr.family() {
            let before = std::mem::replace(end, addr);
            if self.is_relayed(&datagram, before) {
                self.arrive(datagram);
            } else {
                // Two addresses of one machine are two receivers, too.
                self.forge(&datagram);
            }
        }
    }

    /// Whether the stranger does what a NAT does: he sends what a machine says from his own address, and brings it the
    /// answers. Then what he sends on is what somebody said. `before` is the source or destination that it had.
    pub(super) fn is_relayed(&mut self, datagram: &Datagram, before: Addr) -> bool {
        let Some(own) = believed(&datagram.bytes) else {
            return false;
        };
        let answered = (before, datagram.from, datagram.to);
        if self.copies.contains(&answered) {
            self.relays.insert(answered);
            return true;
        }
        let copy = (datagram.from, datagram.to, own);
        if datagram.from != own {
            self.copies.insert(copy);
        }
        self.relays.contains(&copy)
    }

    /// A message without a signature, or one that is signed by the stranger or in the name of somebody.
    pub(super) fn made_up(&mut self) {
        let (from, to, host) = (self.anywhere(), self.anywhere(), self.anywhere());
        let mut addresses = Addresses::EMPTY;
        let first = if self.octets.octet() % 4 == 0 {
            self.anywhere()
        } else {
            from
        };
        let _ = addresses.push(first);
        for _ in 0..self.octets.below(18) {
            let _ = addresses.push(self.anywhere());
        }
        let control = Control::ALL[self.octets.below(Control::ALL.len())];
        let options = Options::from_bits(self.octets.octet() & 0xfc).unwrap_or(Options::NONE);
        // A number that was seen, or near it.
        let seen = self.arrived.last().map_or(0, |(_, datagram)| {
            u16::from_be_bytes([datagram.bytes[2], datagram.bytes[3]])
        });
        let seqno = seen.wrapping_add(u16::from(self.octets.octet() % 4));
        let mut message = Message {
            control,
            options: options.without(Options::SIGNED),
            seqno,
            signature: None,
            host,
            addresses,
        };
        let stamp = 1_700_000_000_000_000_000 + (u64::from(self.octets.word()) << 36);
        let mut body = [0; SUCCESSION_LEN];
        let named = self.nodes[usize::from(seqno) % NODES].public();
        let bytes = match self.octets.octet() % 3 {
            0 => {
                let mut buffer = [0; 1024];
                message.emit(&mut buffer).unwrap_or_default().to_vec()
            }
            1 => self.stranger.seal(&message, to, stamp, 0),
            _ => {
                message.signature = Ed25519::unsigned(stamp, &named.0, None, &mut body).ok();
                let mut buffer = [0; 1024];
                message.emit(&mut buffer).unwrap_or_default().to_vec()
            }
        };
        if from.family() == to.family() && self.owner(from).is_none() {
            self.forge(&datagram(from, to, bytes));
        }
    }

    /// Octets that mean nothing.
    pub(super) fn noise(&mut self, at: usize) {
        let from = self.anywhere();
        let length = self.octets.below(64);
        let bytes = self.octets.slice(length).to_vec();
        let family = |own: &&Addr| own.family() == from.family();
        if let Some(to) = self.nodes[at].local.iter().find(family).copied() {
            self.forge(&datagram(from, to, bytes));
        }
    }
}
