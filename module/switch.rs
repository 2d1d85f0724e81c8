// SPDX-License-Identifier: GPL-2.0

//! The switch of a namespace. While it is off no new flow has a row, flows that are at home stay there whatever happens,
//! as without this module, and flows that have moved go on.

use crate::{
    flow::Row,
    host::Host,
    netns::{
        Config,
        Netns, //
    },
    uapi::HostState,
    view::View, //
};
use ihmp_core::ends::{
    self,
    Foreign,
    Local, //
};
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

    /// Its row was removed from this host.
    pub(crate) fn close(&self, host: &Host) {
        if self.0.xchg(CLOSED, Full) == STAYS {
            host.staying.0.fetch_sub(1, Relaxed);
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

impl Netns {
    /// Brings all flows into line with the switch, which has been set; who sets it holds the configuration lock.
    pub(crate) fn switched(&self, _: &Config) {
        let on = self.params.is_on();
        self.each_host(|host| {
            self.each_row(host, |row, guard| {
                let view = host.view.read(guard);
                if on {
                    self.release(&row, host);
                    if view.state() == HostState::Up {
                        row.keep_source(self);
                    }
                } else if !self.has_moved(&row, view) {
                    hold(&row, host);
                }
            });
        });
        if on {
            self.net.schedule_stranded();
        }
    }

    /// Has a row that was just made stay if the switch is off. What ran before this is ordered before the look at the switch.
    pub(crate) fn hold_if_off(&self, row: &Row, host: &Host) {
        if self.params.is_on() {
            return;
        }
        hold(row, host);
        // Whoever switches on walks over the rows after that: where the walk did not see the row held, this sees the switch.
        if self.params.is_on() {
            self.release(row, host);
        }
    }

    fn release(&self, row: &Row, host: &Host) {
        if row.stance.change(STAYS, MOVES) {
            host.staying.0.fetch_sub(1, Relaxed);
        }
    }

    /// Whether an end of the flow is away, or was.
    fn has_moved(&self, row: &Row, view: &View) -> bool {
        if row.plain || view.state() != HostState::Up {
            return false;
        }
        let key = row.key();
        let known = row.is_known(view, key.laddr);
        let local = ends::local(&view.lists(), key.laddr, row.seen.age(), known);
        row.seen.roams_here()
            || row.seen.roams_there()
            || local.is_away()
            || (local != Local::Untold && self.foreign_end(row, view, key.faddr) == Foreign::Away)
    }
}

fn hold(row: &Row, host: &Host) {
    if row.stance.change(MOVES, STAYS) {
        host.staying.0.fetch_add(1, Relaxed);
    }
}
