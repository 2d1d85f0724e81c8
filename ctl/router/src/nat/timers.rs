// SPDX-License-Identifier: GPL-2.0
//! When pairs are to be looked at again.

use std::collections::{BTreeSet, HashMap};

use ihmp_core::time::Instant;

use crate::io::Pair;

/// A time for each pair.
///
/// # Invariants
///
/// Both fields say the same.
#[derive(Debug, Default)]
pub(super) struct Timers {
    order: BTreeSet<(Instant, Pair)>,
    times: HashMap<Pair, Instant>,
}

impl Timers {
    /// A pair is to be looked at then, and not at the time before.
    pub(super) fn set(&mut self, pair: Pair, at: Instant) {
        self.remove(pair);
        self.times.insert(pair, at);
        self.order.insert((at, pair));
    }

    /// A pair is gone.
    pub(super) fn remove(&mut self, pair: Pair) {
        if let Some(at) = self.times.remove(&pair) {
            self.order.remove(&(at, pair));
        }
    }

    /// The first time.
    pub(super) fn next(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    /// A pair whose time has come. It stays until it has another one.
    pub(super) fn due(&self, now: Instant) -> Option<Pair> {
        let (at, pair) = self.order.first()?;
        (*at <= now).then_some(*pair)
    }
}
