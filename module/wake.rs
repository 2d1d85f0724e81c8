// SPDX-License-Identifier: GPL-2.0

//! A path came back, or the old one is gone: TCP sockets of the host go on now instead of at the
//! end of a back-off that grew while there was none (DESIGN.md section 4.9).

use crate::{
    ffi::{
        sock::Sock,
        table::row_after, //
    },
    host::Host,
    netns::Netns,
    stats::Counter, //
};
use ihmp_core::packet::TCP;
use kernel::sync::rcu;

/// Wakes the sockets of a host.
pub(crate) fn host(netns: &Netns, host: &Host) {
    let guard = rcu::read_lock();
    let mut index = 0;
    while let Some(row) = row_after(host, &mut index, &guard) {
        let key = row.key();
        if key.proto != TCP || row.plain {
            continue;
        }
        if Sock::tcp(&netns.net, &key, 0).is_some_and(|sock| sock.wake()) {
            netns.count(Counter::TcpWoken);
        }
    }
}
