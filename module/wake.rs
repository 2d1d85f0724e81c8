// SPDX-License-Identifier: GPL-2.0

//! A path came back: TCP sockets of the host retransmit now instead of at the end of a back-off
//! that grew while there was none (DESIGN.md section 4.9).

use crate::{
    ffi::{
        sock::Sock,
        table::row_after, //
    },
    netns::Netns,
    stats::Counter, //
};
use ihmp_core::packet::TCP;
use kernel::sync::{
    atomic::Relaxed,
    rcu, //
};

/// Wakes the sockets of every host that asks for it.
pub(crate) fn run(netns: &Netns) {
    let mut id = 0;
    loop {
        let guard = rcu::read_lock();
        let Some(host) = netns.net.host_after(&mut id, &guard) else {
            break;
        };
        if !host.wake.xchg(false, Relaxed) {
            continue;
        }
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
}
