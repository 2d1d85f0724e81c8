// SPDX-License-Identifier: GPL-2.0

//! How often something may happen.

use crate::ffi::clock;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// How often something happened in the second in which it last did. Counts are not exact where a second begins.
pub(crate) struct Rate {
    second: Atomic<u64>,
    count: Atomic<u32>,
}

impl Rate {
    /// It never happened.
    pub(crate) fn new() -> Self {
        Self {
            second: Atomic::new(0),
            count: Atomic::new(0),
        }
    }

    /// It is to happen; false when it has happened `most` times in this second.
    pub(crate) fn take(&self, most: u32) -> bool {
        let second = clock::to_ms(clock::jiffies()) / 1000;
        if self.second.load(Relaxed) != second && self.second.xchg(second, Relaxed) != second {
            self.count.store(0, Relaxed);
        }
        self.count.load(Relaxed) < most && self.count.fetch_add(1, Relaxed) < most
    }
}

/// When something last happened that may happen again after a pause only.
pub(crate) struct Pause {
    /// In jiffies; 0 for never.
    last: Atomic<u64>,
}

impl Pause {
    /// It never happened.
    pub(crate) fn new() -> Self {
        Self {
            last: Atomic::new(0),
        }
    }

    /// It is to happen now, after a pause of so many milliseconds; true for one caller, false for the others and during the pause.
    pub(crate) fn take(&self, now: u64, ms: u64) -> bool {
        let last = self.last.load(Relaxed);
        let over = last == 0 || clock::to_ms(now.saturating_sub(last)) >= ms;
        over && self.last.cmpxchg(last, now.max(1), Relaxed).is_ok()
    }
}
