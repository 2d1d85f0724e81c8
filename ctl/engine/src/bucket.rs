// SPDX-License-Identifier: GPL-2.0
//! Token buckets.

use std::collections::HashMap;

use ihmp_core::addr::Addr;
use ihmp_core::time::{Duration, Instant};

use crate::limits::Rate;

/// Most prefixes that are counted apart; a new one then takes the place of one whose bucket is full again.
const MAX_PREFIXES: usize = 4_096;
/// Least time between two searches for such buckets.
const SWEEP: Duration = Duration::from_millis(100);

/// A token bucket, kept as the moment at which it is full.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    rate: Rate,
    full_at: Instant,
    /// How often there was no token.
    empty: u64,
}

impl Bucket {
    /// A full bucket.
    pub fn new(rate: Rate) -> Bucket {
        Bucket {
            rate,
            full_at: Instant::ZERO,
            empty: 0,
        }
    }

    fn token(&self) -> Duration {
        Duration::from_nanos(1_000_000_000 / u64::from(self.rate.per_second.max(1)))
    }

    fn size(&self) -> Duration {
        self.token()
            .saturating_mul(u64::from(self.rate.burst.max(1)))
    }

    /// When a token can be had: now, or later.
    pub fn ready_at(&self, now: Instant) -> Instant {
        let full_at = self.full_at.max(now).after(self.token());
        let missing = full_at.since(now).saturating_sub(self.size());
        now.after(missing)
    }

    /// How fast it fills, and how many tokens it holds.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// How often a token was asked for and there was none.
    pub fn empty(&self) -> u64 {
        self.empty
    }

    /// How many tokens there are.
    pub fn left(&self, now: Instant) -> u32 {
        let used = self.full_at.max(now).since(now).as_nanos();
        let used = used.div_ceil(self.token().as_nanos().max(1));
        self.rate
            .burst
            .saturating_sub(u32::try_from(used).unwrap_or(u32::MAX))
    }

    /// Takes a token; false when there is none.
    #[must_use]
    pub fn take(&mut self, now: Instant) -> bool {
        if self.ready_at(now) > now {
            self.empty = self.empty.saturating_add(1);
            return false;
        }
        self.full_at = self.full_at.max(now).after(self.token());
        true
    }
}

/// One bucket for each /24 and /64.
#[derive(Debug)]
pub(crate) struct Prefixes {
    rate: Rate,
    buckets: HashMap<[u8; 16], Bucket>,
    sweep_after: Instant,
}

impl Prefixes {
    pub(crate) fn new(rate: Rate) -> Prefixes {
        Prefixes {
            rate,
            buckets: HashMap::new(),
            sweep_after: Instant::ZERO,
        }
    }

    /// Takes a token of the prefix of `addr`; false when there is none, or no room for another prefix.
    #[must_use]
    pub(crate) fn take(&mut self, addr: Addr, now: Instant) -> bool {
        let mut prefix = addr.octets();
        let kept = if addr.is_v4() { 15 } else { 8 };
        prefix[kept..].fill(0);
        if !self.buckets.contains_key(&prefix) && self.buckets.len() >= MAX_PREFIXES {
            if now < self.sweep_after {
                return false;
            }
            self.sweep_after = now.after(SWEEP);
            self.buckets.retain(|_, bucket| bucket.full_at > now);
            if self.buckets.len() >= MAX_PREFIXES {
                return false;
            }
        }
        let rate = self.rate;
        self.buckets
            .entry(prefix)
            .or_insert_with(|| Bucket::new(rate))
            .take(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_then_rate() {
        let mut bucket = Bucket::new(Rate {
            per_second: 10,
            burst: 3,
        });
        let start = Instant::from_nanos(5_000_000_000);
        assert_eq!((0..5).filter(|_| bucket.take(start)).count(), 3);
        let next = bucket.ready_at(start);
        assert_eq!(next.since(start), Duration::from_millis(100));
        assert_eq!((bucket.left(start), bucket.left(next)), (0, 1));
        assert_eq!(bucket.empty(), 2);
        assert!(bucket.take(next));
        assert!(!bucket.take(next));
        let later = start.after(Duration::from_secs(60));
        assert_eq!((0..5).filter(|_| bucket.take(later)).count(), 3);
    }

    #[test]
    fn prefixes_are_counted_apart_and_bounded() {
        let mut prefixes = Prefixes::new(Rate {
            per_second: 1,
            burst: 1,
        });
        let now = Instant::from_nanos(1);
        assert!(prefixes.take(Addr::v4([192, 0, 2, 1]), now));
        assert!(!prefixes.take(Addr::v4([192, 0, 2, 200]), now));
        assert!(prefixes.take(Addr::v4([192, 0, 3, 1]), now));
        assert!(prefixes.take("2001:db8::1".parse().unwrap(), now));
        assert!(!prefixes.take("2001:db8::2:0:0:1".parse().unwrap(), now));
        assert!(prefixes.take("2001:db8:0:1::1".parse().unwrap(), now));
        for number in 0..=u16::MAX {
            let [high, low] = number.to_be_bytes();
            let _ = prefixes.take(Addr::v4([10, high, low, 1]), now);
        }
        assert_eq!(prefixes.buckets.len(), MAX_PREFIXES);
        let later = now.after(Duration::from_secs(2));
        assert!(prefixes.take(Addr::v4([203, 0, 113, 1]), later));
        assert_eq!(prefixes.buckets.len(), 1);
    }
}
