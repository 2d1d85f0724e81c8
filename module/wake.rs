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
///
/// When it was us who moved, what was in flight to the host has mostly arrived, and something new is
/// of more use to it.
pub(crate) fn host(netns: &Netns, host: &Shared<Host>, we_moved: bool) {
    netns.each_row(host, |row, _| {
        if row.key().proto != TCP || row.plain {
            return;
        }
        if row.sock(netns).is_some_and(|sock| sock.wake(we_moved)) {
            netns.count(Counter::TcpWoken);
        }
    });
}
