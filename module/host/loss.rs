// SPDX-License-Identifier: GPL-2.0

//! There is no path to a host, or perhaps none that works: since when, and who was told.

use super::silent::Silent;
use crate::ffi::clock;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// In `since`: the sockets were told.
const TOLD: u64 = u64::MAX;
/// In `since`: the sockets are being told that were in use the first time.
const TELLING_REST: u64 = TOLD - 1;
/// In `since`: the sockets are being told.
const TELLING: u64 = TOLD - 2;

/// Whether there is no path to a host.
pub(crate) struct Loss {
    /// Jiffies when the last path went; 0 while there is one, [`TELLING`], [`TELLING_REST`] and [`TOLD`] when that was long ago.
    since: Atomic<u64>,
    /// Nothing comes back on a path.
    silent: Silent,
}

impl Loss {
    /// Starts as reachable.
    pub(super) fn new() -> Self {
        Self {
            since: Atomic::new(0),
            silent: Silent::new(),
        }
    }

    /// The paths of the host change: what was sent before says nothing of them.
    pub(crate) fn note_change(&self) {
        self.silent.note_change();
    }

    /// Whether listeners are to be told now that nothing came back on a flow since then; true for one caller.
    pub(crate) fn is_silent(&self, since: u64, now: u64) -> bool {
        self.silent.may_tell(since, now)
    }

    /// Notes whether there is a path.
    pub(super) fn set_reachable(&self, reachable: bool) {
        if reachable {
            self.since.store(0, Relaxed);
        } else if self.since.load(Relaxed) == 0 {
            self.since.store(clock::jiffies().max(1), Relaxed);
        }
    }

    /// Whether the sockets are to be told that there is no path, because there has been none for `ms` milliseconds; with 0 they never
    /// are. The caller holds the configuration lock.
    pub(crate) fn gives_up(&self, now: u64, ms: u64) -> bool {
        let since = self.since.load(Relaxed);
        let waits = since != 0 && !self.given_up();
        if waits && ms != 0 && clock::to_ms(now.saturating_sub(since)) >= ms {
            self.since.store(TELLING, Relaxed);
        }
        self.is_telling()
    }

    /// The sockets are to be told, or what is left of them.
    pub(crate) fn is_telling(&self) -> bool {
        matches!(self.since.load(Relaxed), TELLING | TELLING_REST)
    }

    /// The sockets are told for the first time.
    pub(crate) fn is_telling_first(&self) -> bool {
        self.since.load(Relaxed) == TELLING
    }

    /// The sockets were told: `all` of them, or all but those that are in use. It may have a path again by now.
    pub(crate) fn note_told(&self, all: bool) {
        let next = if all { TOLD } else { TELLING_REST };
        let before = self.since.load(Relaxed);
        if matches!(before, TELLING | TELLING_REST) {
            let _ = self.since.cmpxchg(before, next, Relaxed);
        }
    }

    /// The sockets are told, or were, and there is no path yet.
    pub(crate) fn given_up(&self) -> bool {
        self.since.load(Relaxed) >= TELLING
    }
}
