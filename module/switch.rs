// SPDX-License-Identifier: GPL-2.0

//! The switch of a namespace. While it is off no new flow has a row, flows that are at home stay there whatever happens,
//! as without this module, and flows that have moved go on.

mod flows;

use kernel::sync::atomic::{
    Atomic,
    Full,
    Relaxed, //
};

/// The flow goes where its ends are.
const MOVES: u32 = 0;
/// It stays between its identifiers, and is counted at its host.
const STAYS: u32 = 1;
/// The row is gone, and is not counted.
const CLOSED: u32 = 2;

/// Whether a flow may move.
pub(crate) struct Stance(Atomic<u32>);

impl Stance {
    /// It may.
    pub(crate) fn new() -> Self {
        Self(Atomic::new(MOVES))
    }

    /// It stays between its identifiers.
    #[inline]
    pub(crate) fn stays(&self) -> bool {
        self.0.load(Relaxed) == STAYS
    }

    fn change(&self, from: u32, to: u32) -> bool {
        self.0.cmpxchg(from, to, Full).is_ok()
    }

    /// It stays from now on, if it may move.
    fn hold(&self, staying: &Staying) {
        if self.change(MOVES, STAYS) {
            staying.0.fetch_add(1, Relaxed);
        }
    }

    /// It may move from now on, if it stays.
    fn release(&self, staying: &Staying) {
        if self.change(STAYS, MOVES) {
            staying.0.fetch_sub(1, Relaxed);
        }
    }

    /// Its row was removed from the host that counts it.
    pub(crate) fn close(&self, staying: &Staying) {
        if self.0.xchg(CLOSED, Full) == STAYS {
            staying.0.fetch_sub(1, Relaxed);
        }
    }
}

/// How many flows of a host stay between their identifiers.
pub(crate) struct Staying(Atomic<u32>);

impl Staying {
    /// None.
    pub(crate) fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// How many.
    pub(crate) fn count(&self) -> u32 {
        self.0.load(Relaxed)
    }
}
