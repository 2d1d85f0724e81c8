// SPDX-License-Identifier: GPL-2.0
//! When datagrams are read: messages that the engine refuses may take only a small part of the processor's time.

use ihmp_core::time::{
    Duration,
    Instant, //
};

/// Refused messages may take one part in so many of a processor's time. While the agent does not read, the kernel drops datagrams
/// that the sockets have no room for.
const SHARE: u64 = 20;
/// The most that one message is charged: the time that is measured also contains the time for which a hypervisor ran somebody else.
const DEAREST: Duration = Duration::from_micros(250);
/// Datagrams are read without a pause until the time owed for refused messages is longer than this.
const CREDIT: Duration = Duration::from_millis(100);

/// When datagrams are to be read.
pub(super) struct Reader {
    /// `None` if there are none.
    read_at: Option<Instant>,
    /// Until when the time that refused messages took is paid for.
    paid_at: Instant,
}

impl Reader {
    /// There may be datagrams already.
    pub(super) fn new() -> Self {
        Self {
            read_at: Some(Instant::ZERO),
            paid_at: Instant::ZERO,
        }
    }

    /// When datagrams are to be read; `None` if there are none.
    pub(super) fn next(&self) -> Option<Instant> {
        self.read_at
    }

    /// Datagrams have come.
    pub(super) fn came(&mut self, now: Instant) {
        if self.read_at.is_none() {
            self.read_at = Some(self.rested(now));
        }
    }

    /// All datagrams were read.
    pub(super) fn emptied(&mut self) {
        self.read_at = None;
    }

    /// `count` datagrams were read, of which the engine refused `refused`; that took this time of the processor. There may be more.
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
