// SPDX-License-Identifier: GPL-2.0

//! When a host last moved, and we towards it, and what was told of that.

use crate::{
    ffi::clock,
    rate::Pause,
    view::Vacated, //
};
use ihmp_core::addr::Family;
use kernel::sync::atomic::{
    Atomic,
    Full,
    Relaxed, //
};

/// If a host says that an address is gone within so many milliseconds after the path has left it, what was sent there counts
/// as lost. That is a round trip, and the time that an agent takes on a busy machine.
const OVERTAKEN_MS: u64 = 500;

/// Milliseconds after a change of our addresses for which the host may not know yet who speaks from there, or may speak to who had the
/// address before: an agent that has forgotten us is told meanwhile.
const RELOCATED_MS: u64 = 3_000;

/// Milliseconds between two events that say that the path has followed the host.
const TELL_MS: u64 = 1_000;

/// The last moves of a host, in jiffies; 0 for never.
pub(crate) struct Moves {
    /// An address left the active ones.
    moved: Atomic<u64>,
    /// Our addresses towards the host changed.
    relocated: Atomic<u64>,
    /// The path followed the host.
    followed: Atomic<u64>,
    /// Listeners were told so.
    told: Pause,
    /// By family: the path has followed the host since then.
    untold: [Atomic<bool>; 2],
}

impl Moves {
    /// A host that has not moved.
    pub(super) fn new() -> Self {
        Self {
            moved: Atomic::new(0),
            relocated: Atomic::new(0),
            followed: Atomic::new(0),
            told: Pause::new(),
            untold: [const { Atomic::new(false) }; 2],
        }
    }

    /// By a change of what is known, the host has lost addresses, or ours towards it have changed, or neither.
    pub(super) fn note_vacated(&self, vacated: &Vacated) {
        let now = clock::jiffies();
        if vacated.theirs() {
            self.moved.store(now, Relaxed);
        }
        if vacated.relocates() {
            self.relocated.store(now, Relaxed);
        }
    }

    /// When our addresses towards the host last changed, in jiffies, if that was within [`RELOCATED_MS`].
    pub(crate) fn relocated(&self, now: u64) -> Option<u64> {
        let relocated = self.relocated.load(Relaxed);
        let recent = clock::to_ms(now.saturating_sub(relocated)) < RELOCATED_MS;
        (relocated != 0 && recent).then_some(relocated)
    }

    /// The path follows the host to where a packet of it came from.
    pub(crate) fn note_follow(&self) {
        self.followed.store(clock::jiffies(), Relaxed);
    }

    /// Whether listeners may be told now that the path has followed the host. If so, nobody else may tell them for [`TELL_MS`].
    pub(crate) fn may_tell_path(&self, now: u64) -> bool {
        self.told.take(now, TELL_MS)
    }

    /// Listeners were not told where the path of a family is now.
    pub(crate) fn note_untold(&self, family: Family) {
        self.untold[family.index()].store(true, Relaxed);
    }

    /// Whether there is such a family.
    pub(crate) fn has_untold(&self) -> bool {
        self.untold.iter().any(|untold| untold.load(Relaxed))
    }

    /// Takes the note of [`Self::note_untold`] back; false if there is none. The caller reads the path after that, and finds the one that
    /// was noted or a newer one: the path was changed by a fully ordered exchange before the note was made, and this is one, too.
    pub(crate) fn take_untold(&self, family: Family) -> bool {
        self.untold[family.index()].xchg(false, Full)
    }

    /// Whether the path has followed the host within the last [`OVERTAKEN_MS`].
    pub(crate) fn has_just_followed(&self) -> bool {
        let followed = self.followed.load(Relaxed);
        followed != 0 && clock::to_ms(clock::jiffies().saturating_sub(followed)) < OVERTAKEN_MS
    }

    /// When the host last lost an address, in jiffies; 0 for never.
    pub(crate) fn moved(&self) -> u64 {
        self.moved.load(Relaxed)
    }
}
