// SPDX-License-Identifier: GPL-2.0

//! A path came back, or the old one is gone: TCP sockets of the host go on now instead of at the
//! end of a back-off that grew while there was none (DESIGN.md section 4.9).

use crate::{
    ffi::object::Shared,
    host::Host,
    netns::Netns,
    stats::Counter, //
};
use ihmp_core::packet::TCP;

/// Wakes the sockets of a host.
pub(crate) fn host(netns: &Netns, host: &Shared<Host>) {
    netns.each_row(host, |row, _| {
        if row.key().proto != TCP || row.plain {
            return;
        }
        if row.sock(netns).is_some_and(|sock| sock.wake()) {
            netns.count(Counter::TcpWoken);
        }
    });
}
