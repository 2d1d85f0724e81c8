// SPDX-License-Identifier: GPL-2.0

//! Room for a new row, perhaps in the place of another one.

use super::share_of;
use crate::{
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
    atomic::Relaxed,
    rcu::Guard, //
};

/// Rows that are looked at for one that goes, at most.
const LOOKS: u32 = 64;
/// Rows of one host that are examined while other hosts remain to be examined.
const LOOKS_AT_ONE: u32 = 32;
/// Hosts that are looked at for one with more than a fair part.
const HOSTS: u32 = 8;

impl Netns {
    /// Counts a row of a host that is about to be made, if there is room for it. If it is not made, the caller uncounts it.
    pub(crate) fn take_room(&self, host: Found<'_, Host>, guard: &Guard) -> Result<(), Reason> {
        let most = self.params.max_flows.load(Relaxed);
        // Counted first: the row may be removed as soon as it is there.
        let (all, own) = self.table.enter(&host.rows);
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
        self.table.leave(&host.rows);
        self.limit_reached(why);
        Err(why)
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
        // Keep a row if we sent on it and it is needed; a row that only received proves nothing.
        let goes =
            |row: &Row| row.may_be_pushed_out() && !(row.seen.was_sent() && row.is_needed(view));
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
