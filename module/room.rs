// SPDX-License-Identifier: GPL-2.0

//! Room in the table of flows: what part of it a host may have, and who goes for what is new.
//!
//! Who can send in the name of a host makes rows with nothing but datagrams to an open port. So a host has at most a share of the
//! table, and datagrams that nobody answers are the first to go, as in conntrack (nf_conntrack_core.c, early_drop()): a new flow takes
//! the place of such a one, which is looked for in a few steps from where the last look ended. The numbers of rows are given again
//! from below, so that is mostly the oldest one.

use crate::{
    expiry::is_needed,
    ffi::{
        object::Found,
        table::linked_after, //
    },
    flow::Row,
    host::Host,
    netns::Netns, //
};
use ihmp_core::verdict::Reason;
use kernel::sync::{
    atomic::{
        Atomic,
        Relaxed, //
    },
    rcu::Guard, //
};

/// A host may have one in so many of the flows that fit, so that the table is not full before as many hosts are hostile.
const SHARE: u32 = 8;
/// Every host may have as many. In a table that has no more, hosts have no shares.
const LEAST_SHARE: u32 = 256;
/// Rows that are looked at for one that goes, at most.
const LOOKS: u32 = 64;
/// Those of one host while there are others to be looked at.
const LOOKS_AT_ONE: u32 = 32;
/// Hosts that are looked at for one with more than a fair part.
const HOSTS: u32 = 8;

/// The table of flows of a namespace.
pub(crate) struct Table {
    count: Atomic<u32>,
    /// Number of a host that had more than a fair part when it last got a flow; 0 before that.
    crowded: Atomic<u32>,
    /// Number of the host at which the look for such hosts goes on.
    next: Atomic<u32>,
}

impl Table {
    /// A table without flows.
    pub(crate) fn new() -> Self {
        Self {
            count: Atomic::new(0),
            crowded: Atomic::new(0),
            next: Atomic::new(0),
        }
    }

    /// How many flows there are.
    #[inline]
    pub(crate) fn count(&self) -> u32 {
        self.count.load(Relaxed)
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

impl Netns {
    /// Counts a row of a host that is about to be made, if there is room for it. If it is not made, the caller uncounts it.
    pub(crate) fn take_room(&self, host: Found<'_, Host>, guard: &Guard) -> Result<(), Reason> {
        let most = self.params.max_flows.load(Relaxed);
        // Counted first: the row may be removed as soon as it is there.
        let all = self.table.count.fetch_add(1, Relaxed);
        let own = host.rows.count.fetch_add(1, Relaxed);
        if own >= self.fair_part(most) {
            self.note_crowded(&host);
        }
        let (pushed_out, why) = if own >= share_of(most) {
            let mut looks = LOOKS;
            let pushed_out = self.push_out(host, LOOKS, &mut looks, guard);
            (pushed_out, Reason::HostFlowLimit)
        } else if all >= most {
            (self.push_out_anywhere(host, most, guard), Reason::FlowLimit)
        } else {
            return Ok(());
        };
        if pushed_out {
            self.limit_reached(Reason::FlowEvicted);
            return Ok(());
        }
        self.give_room(&host);
        self.limit_reached(why);
        Err(why)
    }

    /// Uncounts a row of a host.
    pub(crate) fn give_room(&self, host: &Host) {
        self.table.count.fetch_sub(1, Relaxed);
        host.rows.count.fetch_sub(1, Relaxed);
    }

    /// The flows of each host, if all had as many.
    fn fair_part(&self, most: u32) -> u32 {
        most / self.hosts.load(Relaxed).max(1)
    }

    /// The host has more than a fair part.
    fn note_crowded(&self, host: &Host) {
        if self.table.crowded.load(Relaxed) != host.id() {
            self.table.crowded.store(host.id(), Relaxed);
        }
    }

    /// Removes an unanswered row of a host with more than a fair part, or else of this one. Where the table is full, some host has
    /// a fair part at least; mostly it is the one that was noted last.
    fn push_out_anywhere(&self, host: Found<'_, Host>, most: u32, guard: &Guard) -> bool {
        let fair = self.fair_part(most);
        let mut looks = LOOKS;
        let mut from = |other: Found<'_, Host>| {
            other.rows.count() > fair && self.push_out(other, LOOKS_AT_ONE, &mut looks, guard)
        };
        let noted = self
            .net
            .numbered::<Host>(self.table.crowded.load(Relaxed), guard);
        if noted.is_some_and(&mut from) {
            return true;
        }
        let mut id = self.table.next.load(Relaxed);
        for _ in 0..HOSTS {
            match self.net.numbered_after::<Host>(&mut id, guard) {
                Some(other) if from(other) => {
                    self.note_crowded(&other);
                    return true;
                }
                Some(_) => (),
                None => id = 0,
            }
        }
        self.table.next.store(id, Relaxed);
        self.push_out(host, LOOKS_AT_ONE, &mut looks, guard)
    }

    /// Removes an unanswered row of a host, if there is one among the next `most`, or as many as `looks` are left.
    fn push_out(&self, host: Found<'_, Host>, most: u32, looks: &mut u32, guard: &Guard) -> bool {
        let view = host.view.read(guard);
        // By what we sent a program means the host wherever it is; by what came alone, anybody may have meant anything.
        let goes =
            |row: &Row| row.may_be_pushed_out() && !(row.seen.was_sent() && is_needed(row, view));
        let mut at = host.rows.next.load(Relaxed);
        let mut found = false;
        for _ in 0..most.min(*looks) {
            *looks -= 1;
            match linked_after::<Row>(host, &mut at, guard) {
                Some(row) if goes(&row) && self.flow_close(row) => {
                    found = true;
                    break;
                }
                Some(_) => (),
                None => at = 0,
            }
        }
        host.rows.next.store(at, Relaxed);
        found
    }
}
