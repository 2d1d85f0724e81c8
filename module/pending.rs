// SPDX-License-Identifier: GPL-2.0

//! Moves that were announced a moment ago: the message is on its way through the agent, the first packets from the new address are
//! already here and wait for it.
//!
//! The message is not verified at this point. So each host has announcements of its own, and one in its name delays packets once; the
//! same one is ignored for `QUIET_MS` after that, unless the move was applied.

mod announce;

use crate::ffi::clock;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// Whether there are announcements in a namespace.
pub(crate) struct Pending {
    /// When the time of the last one is over, in jiffies; 0 before the first.
    latest: Atomic<u64>,
}

impl Pending {
    /// No announcements.
    pub(crate) fn new() -> Self {
        Self {
            latest: Atomic::new(0),
        }
    }

    /// Whether packets from some address may have to wait.
    #[inline]
    pub(crate) fn is_any(&self) -> bool {
        let latest = self.latest.load(Relaxed);
        latest != 0 && latest > clock::jiffies()
    }
}
