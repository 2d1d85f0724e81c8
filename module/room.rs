// SPDX-License-Identifier: GPL-2.0

//! Room in the table of flows: what part of it a host may have, and who goes for what is new.
//!
//! Anybody who can spoof a host can create rows by sending datagrams to an open port. So a host has at most a share of the
//! table, and datagrams that nobody answers are the first to go, as in conntrack (nf_conntrack_core.c, early_drop()): a new flow takes
//! the place of such a one, which is looked for in a few steps from where the last look ended. The numbers of rows are given again
//! from below, so that is mostly the oldest one.

mod take;

use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// A host may have one in so many of the flows that fit, so that the table is not full before as many hosts are hostile.
const SHARE: u32 = 8;
/// Every host may have as many. In a table that has no more, hosts have no shares.
const LEAST_SHARE: u32 = 256;
/// So many rows of datagrams may be forced beyond the limit of the memory cgroup that they are charged to. The kernel charges a page for each,
/// in which 15 more find room.
const BEYOND: u32 = 64;

/// The table of flows of a namespace.
pub(crate) struct Table {
    count: Atomic<u32>,
    /// Number of a host that had more than a fair part when it last got a flow; 0 before that.
    crowded: Atomic<u32>,
    /// Number of the host at which the look for such hosts goes on.
    next: Atomic<u32>,
    /// Rows that have gone beyond the limit of their memory cgroup.
    beyond: Atomic<u32>,
}

impl Table {
    /// A table without flows.
    pub(crate) fn new() -> Self {
        Self {
            count: Atomic::new(0),
            crowded: Atomic::new(0),
            next: Atomic::new(0),
            beyond: Atomic::new(0),
        }
    }

    /// How many flows there are.
    #[inline]
    pub(crate) fn count(&self) -> u32 {
        self.count.load(Relaxed)
    }

    /// Counts a row that is about to go beyond the limit of its memory cgroup, if another one may.
    pub(crate) fn go_beyond(&self) -> bool {
        let may = self.beyond.fetch_add(1, Relaxed) < BEYOND;
        if !may {
            self.come_back();
        }
        may
    }

    /// Such a row is gone.
    pub(crate) fn come_back(&self) {
        self.beyond.fetch_sub(1, Relaxed);
    }

    /// Counts a row of a host that is about to be made: how many others there are, and how many of this host.
    fn enter(&self, rows: &Rows) -> (u32, u32) {
        let all = self.count.fetch_add(1, Relaxed);
        (all, rows.count.fetch_add(1, Relaxed))
    }

    /// Uncounts a row of a host.
    pub(crate) fn leave(&self, rows: &Rows) {
        self.count.fetch_sub(1, Relaxed);
        rows.count.fetch_sub(1, Relaxed);
    }
}

/// The rows of one host in that table.
pub(crate) struct Rows {
    count: Atomic<u32>,
    /// Number of the row at which the look for one that may be pushed out goes on.
    next: Atomic<u32>,
}

impl Rows {
    /// A host without rows.
    pub(crate) fn new() -> Self {
        Self {
            count: Atomic::new(0),
            next: Atomic::new(0),
        }
    }

    /// How many flows there are.
    #[inline]
    pub(crate) fn count(&self) -> u32 {
        self.count.load(Relaxed)
    }
}

/// How many flows a host may have where `most` fit.
pub(crate) fn share_of(most: u32) -> u32 {
    (most / SHARE).max(LEAST_SHARE)
}
