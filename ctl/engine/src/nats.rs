// SPDX-License-Identifier: GPL-2.0
//! Which keys speak for which NATs.

use std::collections::HashMap;

use ihmp_core::addr::Addr;

use crate::keys::PublicKey;
use crate::limits::MAX_NATS;

/// Keys that have shown that they hear what is sent to the address of a NAT.
#[derive(Debug, Default)]
pub(crate) struct Nats {
    used: HashMap<(PublicKey, Addr), u64>,
    order: u64,
}

impl Nats {
    /// Whether the key has shown that it hears us at this address.
    pub(crate) fn is_heard(&self, key: PublicKey, nat: Addr) -> bool {
        self.used.contains_key(&(key, nat))
    }

    /// One of them was heard; the one that was not for longest is given up when there are too many.
    pub(crate) fn heard(&mut self, key: PublicKey, nat: Addr) {
        self.order += 1;
        if self.used.len() >= MAX_NATS && !self.is_heard(key, nat) {
            let oldest = self.used.iter().min_by_key(|(_, order)| **order);
            if let Some(oldest) = oldest.map(|(who, _)| *who) {
                self.used.remove(&oldest);
            }
        }
        self.used.insert((key, nat), self.order);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_nats_are_bounded() {
        let mut nats = Nats::default();
        let at = Addr::v4([203, 0, 113, 2]);
        let key = |number: usize| {
            let mut octets = [0; 32];
            octets[..8].copy_from_slice(&number.to_be_bytes());
            PublicKey(octets)
        };
        for number in 0..MAX_NATS {
            nats.heard(key(number), at);
        }
        nats.heard(key(0), at);
        nats.heard(key(MAX_NATS), at);
        assert!(nats.is_heard(key(0), at) && !nats.is_heard(key(1), at));
        assert_eq!(nats.used.len(), MAX_NATS);
    }
}
