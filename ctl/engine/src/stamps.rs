// SPDX-License-Identifier: GPL-2.0
//! Timestamps of own messages: those of a clock that never goes back, not even over a restart.

use ihmp_core::time::{Duration, Instant};

/// How far ahead timestamps are reserved, in nanoseconds.
const RESERVE: u64 = 3_600_000_000_000;
/// How often is looked whether enough are left.
const RESERVE_CHECK: Duration = Duration::from_secs(1_800);

/// The last timestamp, and those that may follow.
#[derive(Clone, Debug, Default)]
pub struct Stamps {
    /// The last timestamp used.
    sent: u64,
    sent_at: Instant,
    /// Timestamps up to this one may be used.
    reserved: u64,
    check_at: Option<Instant>,
}

impl Stamps {
    /// Goes on after a timestamp that was written down.
    pub fn go_on(&mut self, sent: u64) {
        self.sent = self.sent.max(sent);
        self.reserved = self.reserved.max(sent);
    }

    /// The next timestamp: that of the clock, with some chance in it, but always later than the last one by the time
    /// that passed since. So it goes on as a clock does where the one on the wall was put back.
    pub fn next(&mut self, now: Instant, wall: u64, random: u64) -> u64 {
        let clock = wall.saturating_add(random & 0xf_ffff);
        let passed = now.since(self.sent_at).as_nanos();
        let next = self
            .sent
            .saturating_add(passed)
            .saturating_add(1 + ((random >> 32) & 0xffff));
        self.sent = clock.max(next);
        self.sent_at = now;
        self.sent
    }

    /// Reserves timestamps, when the rest is used up or less than half of it is left and it is time to look: the last
    /// one, to be written down first.
    pub fn reserve(&mut self, now: Instant, wall: u64) -> Option<u64> {
        let passed = now.since(self.sent_at).as_nanos();
        let used = self.sent.saturating_add(passed).max(wall);
        let due = self.check_at.is_none_or(|at| at <= now);
        let least = if due { RESERVE / 2 } else { 1_000_000_000 };
        if due {
            self.check_at = Some(now.after(RESERVE_CHECK));
        }
        if used.saturating_add(least) <= self.reserved {
            return None;
        }
        self.reserved = used.saturating_add(RESERVE);
        Some(self.reserved)
    }

    /// When [`Stamps::reserve`] is to be asked again.
    pub fn check_at(&self) -> Option<Instant> {
        self.check_at
    }

    /// The last one that was used.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// The last one that may be.
    #[cfg(test)]
    pub(crate) fn reserved(&self) -> u64 {
        self.reserved
    }
}
