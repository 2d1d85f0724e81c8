// SPDX-License-Identifier: GPL-2.0

//! A host has had no path for longer than anybody waits: its sockets are told (papers/001 section
//! III; PROTOCOL.md B.4.29).

use crate::{
    ffi::{
        object::Shared,
        table::row_after, //
    },
    host::Host,
    netns::Netns,
    stats::Counter, //
};
use kernel::sync::rcu;

/// Tells the sockets of a host's flows that it cannot be reached: TCP connections end, connected
/// sockets of UDP have an error pending. Sleeps.
pub(crate) fn tell(netns: &Netns, host: &Shared<Host>) {
    let mut index = 0;
    loop {
        let guard = rcu::read_lock();
        let Some(row) = row_after(host, &mut index, &guard) else {
            return;
        };
        let apart = row.plain || row.stance.stays();
        let sock = if apart { None } else { row.sock(netns) };
        drop(guard);
        if sock.is_some_and(|sock| sock.lose()) {
            netns.count(Counter::Unreachable);
        }
    }
}
