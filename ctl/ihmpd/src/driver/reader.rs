// SPDX-License-Identifier: GPL-2.0
//! When datagrams are read: those that are refused cost a small part of the processor at most.

use ihmp_core::time::{
    Duration,
    Instant, //
};

/// What is refused costs one part in so many of a processor; the rest of the time the others have it, and what the sockets
/// have no room for is dropped by the kernel.
const SHARE: u64 = 20;
/// What one message can cost: the processor's clock also counts when the processor was taken away from this machine.
const DEAREST: Duration = Duration::from_micros(250);
/// Datagrams are read until what was refused is paid for only that much later.
const CREDIT: Duration = Duration::from_millis(100);

/// When datagrams are to be read.
pub(super) struct Reader {
    /// If there may be some.
    read_at: Option<Instant>,
    /// When the processor's time for what was refused is paid for.
    paid_at: Instant,
}

impl Reader {
    /// There may be some now.
    pub(super) fn new() -> Self {
        Self {
            read_at: Some(Instant::ZERO),
            paid_at: Instant::ZERO,
        }
    }

    /// When they are to be read, if there may be some.
    pub(super) fn next(&self) -> Option<Instant> {
        self.read_at
    }

    /// Some have come.
    pub(super) fn came(&mut self, now: Instant) {
        if self.read_at.is_none() {
            self.read_at = Some(self.rested(now));
        }
    }

    /// There are none any more.
    pub(super) fn emptied(&mut self) {
        self.read_at = None;
    }

    /// So many were read, and so many of them refused, in this time of the processor's; there may be more.
    pub(super) fn took(&mut self, now: Instant, count: u64, refused: u64, used: Duration) {
        let each = Duration::from_nanos(used.as_nanos() / count.max(1)).min(DEAREST);
        let price = each.saturating_mul(refused).saturating_mul(SHARE);
        self.paid_at = self.paid_at.max(now).after(price);
        self.read_at = Some(self.rested(now));
    }

    /// When datagrams may be read again.
    fn rested(&self, now: Instant) -> Instant {
        now.after(self.paid_at.since(now).saturating_sub(CREDIT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_paid_for() {
        let mut reader = Reader::new();
        let now = Instant::ZERO.after(Duration::from_secs(7));
        reader.emptied();
        reader.came(now);
        assert_eq!(reader.next(), Some(now));
        // What is used costs nothing.
        reader.took(now, 10, 0, Duration::from_micros(1_000));
        assert_eq!(reader.next(), Some(now));
        // 100 us each: 2 ms for one, and credit is there for 50 of them.
        for _ in 0..5 {
            reader.took(now, 10, 10, Duration::from_micros(1_000));
            assert_eq!(reader.next(), Some(now));
        }
        reader.took(now, 10, 10, Duration::from_micros(1_000));
        let later = now.after(Duration::from_millis(20));
        assert_eq!(reader.next(), Some(later));
        // It has said when; more that comes does not hurry it.
        reader.came(now);
        assert_eq!(reader.next(), Some(later));
    }
}
