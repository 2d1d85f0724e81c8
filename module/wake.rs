// SPDX-License-Identifier: GPL-2.0

//! A path came back, or the old one is gone: TCP sockets of the host go on now instead of at the
//! end of a back-off that grew while there was none (RFC 6298 section 5 applies as at any time-out).

use crate::{
    ffi::{
        clock,
        object::Shared, //
    },
    flow::Row,
    host::Host,
    netns::Netns,
    stats::Counter,
    view::Vacated, //
};
use ihmp_core::packet::TCP;

/// Which flows go on.
#[derive(Clone, Copy)]
pub(crate) enum Whom<'a> {
    /// All of the host.
    All {
        /// Those that have been idle as well.
        idle: bool,
    },
    /// Those that were at addresses that are gone, and perhaps all that are away from home.
    Moved {
        /// All that are away from home.
        away: bool,
        /// What is gone.
        vacated: &'a Vacated,
    },
}

impl Whom<'_> {
    fn has(&self, row: &Row) -> bool {
        match *self {
            Whom::All { .. } => true,
            Whom::Moved { away, vacated } => {
                vacated.interrupts(&row.key(), row.seen.age(), row.seen.since(), away)
            }
        }
    }

    fn idle(&self) -> bool {
        matches!(*self, Whom::All { idle: true })
    }
}

/// Wakes sockets of a host.
///
/// When it was us who moved, what was in flight to the host has mostly arrived, and something new is
/// of more use to it.
pub(crate) fn host(netns: &Netns, host: &Shared<Host>, whom: Whom<'_>, we_moved: bool) {
    let now = clock::jiffies();
    // What still waits for a neighbour is not sent again. With thousands of hosts that move together, once is enough.
    if we_moved && netns.once.drops(now) {
        netns.net.drop_unresolved();
    }
    netns.each_row(host, |row, _| {
        if row.key().proto != TCP || row.plain || row.stance.stays() || !whom.has(&row) {
            return;
        }
        let sock = row.full_sock(&netns.net);
        if sock.is_some_and(|sock| sock.wake(we_moved, whom.idle())) {
            netns.count(Counter::TcpWoken);
        }
    });
}
