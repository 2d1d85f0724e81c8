// SPDX-License-Identifier: GPL-2.0

//! When listeners were last told that nothing comes back on a path of a host.

use crate::{
    ffi::clock,
    rate::Pause, //
};
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// Milliseconds for which something is sent on a flow and nothing comes back, until listeners are told.
const SILENT_MS: u64 = 300;
/// Milliseconds between two events of one host that say so.
const TELL_MS: u64 = 250;

/// When listeners were last told that nothing comes back, and since when that counts.
pub(crate) struct Silent {
    told: Pause,
    /// The paths of the host changed, in jiffies: what was sent before counts no more.
    changed: Atomic<u64>,
}

impl Silent {
    /// They were never told.
    pub(super) fn new() -> Self {
        Self {
            told: Pause::new(),
            changed: Atomic::new(clock::jiffies()),
        }
    }

    /// The paths of the host change.
    pub(super) fn note_change(&self) {
        self.changed.store(clock::jiffies(), Relaxed);
    }

    /// Whether listeners are to be told now that nothing came back since then; true for one caller.
    pub(crate) fn may_tell(&self, since: u64, now: u64) -> bool {
        let since = since.max(self.changed.load(Relaxed));
        clock::to_ms(now.saturating_sub(since)) >= SILENT_MS && self.told.take(now, TELL_MS)
    }
}
