// SPDX-License-Identifier: GPL-2.0
//! Our own keys, and the timestamps of what they sign.

use ihmp_core::addr::Addr;
use ihmp_core::time::Instant;

use crate::keys::{Fact, OwnKey, PublicKey};
use crate::stamps::Stamps;

/// Our own keys.
#[derive(Debug, Default)]
pub(crate) struct OwnKeys {
    keys: Vec<OwnKey>,
    stamps: Stamps,
}

impl OwnKeys {
    /// These are all. Timestamps up to `sent` were used before.
    pub(crate) fn load(&mut self, keys: Vec<OwnKey>, sent: u64) {
        // What was reserved by this engine has not been used.
        if self.keys.is_empty() {
            self.stamps.go_on(sent);
        }
        self.keys = keys;
    }

    /// Whether a key is one of ours.
    pub(crate) fn has(&self, key: &PublicKey) -> bool {
        self.keys.iter().any(|own| own.public() == *key)
    }

    /// The own key for a host that is met at this own address: that with the longest prefix.
    pub(crate) fn for_address(&self, local: Addr) -> Option<&OwnKey> {
        let length = |own: &&OwnKey| {
            let fits = own.scope.iter().filter(|prefix| prefix.contains(local));
            match fits.map(|prefix| prefix.len).max() {
                Some(len) => Some(u16::from(len) + 1),
                None => own.scope.is_empty().then_some(0),
            }
        };
        let fits = self.keys.iter().filter(|own| length(own).is_some());
        fits.max_by_key(length)
    }

    /// The own key with this public half, or the one that took its place.
    pub(crate) fn get(&self, public: &PublicKey) -> Option<&OwnKey> {
        let same = self.keys.iter().find(|own| own.public() == *public);
        let after = |own: &&OwnKey| own.former.is_some_and(|former| former.key == *public);
        same.or_else(|| self.keys.iter().find(after))
    }

    /// The next timestamp.
    pub(crate) fn stamp(&mut self, now: Instant, wall: u64, random: u64) -> u64 {
        self.stamps.next(now, wall, random)
    }

    /// Reserves timestamps.
    pub(crate) fn reserve(&mut self, now: Instant, wall: u64) -> Option<Fact> {
        if self.keys.is_empty() {
            return None;
        }
        self.stamps.reserve(now, wall).map(Fact::Sent)
    }

    /// What was really used, for a clean end.
    pub(crate) fn sent(&self) -> Fact {
        Fact::Sent(self.stamps.sent())
    }

    /// When timestamps are to be reserved again.
    pub(crate) fn check_at(&self) -> Option<Instant> {
        self.stamps.check_at()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ihmp_core::policy::Prefix;

    #[test]
    fn timestamps_only_grow_whatever_the_clock_does() {
        let mut ring = OwnKeys::default();
        ring.load(vec![OwnKey::new(&[1; 32], vec![])], 500);
        let mut last = 500;
        for (number, wall) in [1_000_000_000, 2_000_000_000, 5, 0, 7_000_000_000]
            .into_iter()
            .enumerate()
        {
            let now = Instant::from_nanos(number as u64);
            let fact = ring.reserve(now, wall);
            let stamp = ring.stamp(now, wall, 0x1234_5678_9abc_def0);
            assert!(stamp > last && stamp <= ring.stamps.reserved());
            assert_eq!(fact.is_some(), number == 0, "{number}");
            last = stamp;
        }
        // An engine that was killed goes on above all that it may have sent.
        let mut next = OwnKeys::default();
        next.load(vec![OwnKey::new(&[1; 32], vec![])], ring.stamps.reserved());
        let first = next.stamp(Instant::ZERO, 0, 0);
        assert!(first > last);
        // And goes on at the speed of a clock.
        let second = next.stamp(Instant::from_nanos(1_000_000_000), 0, 0);
        assert!(second - first > 1_000_000_000);
    }

    #[test]
    fn own_key_of_the_longest_prefix_signs() {
        let addr = |text: &str| text.parse::<Addr>().unwrap();
        let prefix = |text, len| Prefix::new(addr(text), len).unwrap();
        let mut ring = OwnKeys::default();
        let keys = vec![
            OwnKey::new(&[1; 32], vec![prefix("10.0.0.0", 8)]),
            OwnKey::new(&[2; 32], vec![]),
            OwnKey::new(
                &[3; 32],
                vec![prefix("10.1.0.0", 16), prefix("2001:db8::", 32)],
            ),
        ];
        ring.load(keys, 0);
        let of = |text| ring.for_address(addr(text)).unwrap().public();
        let public = |at: usize| ring.keys[at].public();
        assert_eq!(of("10.2.0.1"), public(0));
        assert_eq!(of("10.1.0.1"), public(2));
        assert_eq!(of("2001:db8::1"), public(2));
        assert_eq!(of("192.0.2.1"), public(1));
    }
}
