// SPDX-License-Identifier: GPL-2.0

//! What is done once for a namespace, however many cause it at the same time.

use crate::rate::Rate;
use ihmp_core::verdict::Reason;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// Paths in a second of which listeners are told that nothing comes back.
const SILENCES: u32 = 1_000;

/// When work was last done that is done once for all hosts, however many cause it.
pub(crate) struct Once {
    /// What waited for neighbours was dropped, in jiffies.
    dropped: Atomic<u64>,
    /// Sockets were looked for that cannot send any more: the change of this machine's IPv4 addresses before that.
    searched: Atomic<u32>,
    /// Looks at what has expired, so far.
    looks: Atomic<u32>,
    /// By reason: the second in which listeners were last told of a limit.
    told: [Atomic<u64>; Reason::COUNT],
    /// Listeners are told that nothing comes back on a path.
    silences: Rate,
}

impl Once {
    /// Nothing was done.
    pub(crate) fn new() -> Self {
        Self {
            dropped: Atomic::new(0),
            searched: Atomic::new(0),
            looks: Atomic::new(0),
            told: [const { Atomic::new(0) }; Reason::COUNT],
            silences: Rate::new(),
        }
    }

    /// Whether what waits for neighbours is to be dropped now; true for one caller.
    pub(crate) fn drops(&self, now: u64) -> bool {
        self.dropped.xchg(now, Relaxed) != now
    }

    /// Whether sockets are to be looked for after this change; true for one caller.
    pub(crate) fn searches(&self, change: u32) -> bool {
        self.searched.xchg(change, Relaxed) != change
    }

    /// One more look at what has expired: how many there were before.
    pub(crate) fn look(&self) -> u32 {
        self.looks.fetch_add(1, Relaxed)
    }

    /// Whether listeners may be told of one more path on which nothing comes back.
    pub(crate) fn tells_silence(&self) -> bool {
        self.silences.take(SILENCES)
    }

    /// Whether listeners are to be told of a limit in this second; true for one caller.
    pub(crate) fn tells(&self, reason: Reason, second: u64) -> bool {
        let told = &self.told[reason.index()];
        told.load(Relaxed) != second && told.xchg(second, Relaxed) != second
    }
}
