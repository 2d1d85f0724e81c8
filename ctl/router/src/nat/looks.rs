// SPDX-License-Identifier: GPL-2.0
//! Of which pairs the NAT is to be asked what it has, and when.

use std::collections::BTreeMap;

use ihmp_core::time::{Duration, Instant};

use crate::io::Pair;

/// Least time between two looks at the NAT, and how many times as long as one takes it rests.
const PAUSE: Duration = Duration::from_millis(100);
const REST: u64 = 9;

/// Pairs, and whether all that the NAT has of them is told again.
pub(super) type Wanted = BTreeMap<Pair, bool>;

/// The look that is wanted, and the one that is out.
#[derive(Debug, Default)]
pub(super) struct Looks {
    wanted: Wanted,
    /// Not before this.
    ready_at: Instant,
    /// Since when, and of which pairs.
    out: Option<(Instant, Wanted)>,
}

impl Looks {
    /// All mappings of a pair are to be told again.
    pub(super) fn want(&mut self, pair: Pair) {
        self.wanted.insert(pair, true);
    }

    /// What has changed of a pair is to be told.
    pub(super) fn want_changes(&mut self, pair: Pair) {
        self.wanted.entry(pair).or_insert(false);
    }

    /// Nothing of a pair is wanted any more.
    pub(super) fn forget(&mut self, pair: Pair) {
        self.wanted.remove(&pair);
    }

    /// When the NAT is to be asked.
    pub(super) fn next(&self) -> Option<Instant> {
        (!self.wanted.is_empty()).then_some(self.ready_at)
    }

    /// The pairs of which the NAT is asked now; `None` when it is not.
    pub(super) fn ask(&mut self, now: Instant) -> Option<Vec<Pair>> {
        if self.wanted.is_empty() || self.out.is_some() || self.ready_at > now {
            return None;
        }
        let wanted = std::mem::take(&mut self.wanted);
        let pairs = wanted.keys().copied().collect();
        self.out = Some((now, wanted));
        Some(pairs)
    }

    /// The NAT has answered; of which pairs.
    pub(super) fn answered(&mut self, now: Instant) -> Option<Wanted> {
        let (since, pairs) = self.out.take()?;
        let took = now.since(since).saturating_mul(REST);
        self.ready_at = now.after(took.max(PAUSE));
        Some(pairs)
    }

    /// It is to be asked again.
    pub(super) fn again(&mut self, pairs: Wanted) {
        for (pair, again) in pairs {
            *self.wanted.entry(pair).or_default() |= again;
        }
    }
}
