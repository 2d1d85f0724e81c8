// SPDX-License-Identifier: GPL-2.0

//! Something may happen so often in a second.

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
        if self.second.xchg(second, Relaxed) != second {
            self.count.store(0, Relaxed);
        }
        self.count.load(Relaxed) < most && self.count.fetch_add(1, Relaxed) < most
    }
}
