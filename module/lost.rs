// SPDX-License-Identifier: GPL-2.0

//! A host has had no path for longer than anybody waits: its sockets are told ([DIME-ICCCN] section III).
//!
//! A program may sleep in a system call with its socket locked for as long as it likes. So the configuration lock is not held here, and a
//! socket that is locked is left out; it is told a second later.

use crate::{
    ffi::{
        object::Shared,
        sock::Lost,
        table::linked_after, //
    },
    flow::Row,
    host::Host,
    netns::Netns,
    stats::Counter, //
};
use ihmp_core::packet::TCP;
use kernel::sync::rcu;

/// Tells the sockets of all hosts that have given up: TCP connections end, connected sockets of UDP have an error pending.
/// Sleeps. A socket that is in use is told by the next call.
pub(crate) fn tell(netns: &Netns) {
    netns.each_host(|host| {
        if host.loss.is_telling() {
            host.loss.note_told(tell_all(netns, host));
        }
    });
}

/// Whether all sockets of a host know.
fn tell_all(netns: &Netns, host: &Shared<Host>) -> bool {
    let (mut index, mut all) = (0, true);
    let first = host.loss.is_telling_first();
    // Until it has a path again.
    while host.loss.is_telling() {
        let guard = rcu::read_lock();
        let Some(row) = linked_after::<Row>(host.found(), &mut index, &guard) else {
            return all;
        };
        // Sockets of datagrams have all been told the first time.
        let apart = row.plain || row.stance.stays() || !(first || row.key().proto == TCP);
        let sock = if apart {
            None
        } else {
            row.full_sock(&netns.net)
        };
        drop(guard);
        match sock.map(|sock| sock.lose()) {
            Some(Lost::Told) => netns.count(Counter::Unreachable),
            Some(Lost::InUse) => all = false,
            Some(Lost::Passed) | None => (),
        }
    }
    false
}
