// SPDX-License-Identifier: GPL-2.0

//! Nothing comes back on a path of a host that has others: listeners are told, and check the paths.

use crate::{
    flow::Row,
    host::Host,
    netns::Netns,
    notify, //
};
use ihmp_core::addr::Addr;

impl Netns {
    /// A packet of a flow is sent between these addresses, and the host has other paths of the family. A flow on which the host was never
    /// heard says nothing: a program may be looking whether just this network works.
    #[inline]
    pub(crate) fn watch_path(&self, host: &Host, row: &Row, (from, to): (Addr, Addr), now: u64) {
        if !row.seen.was_heard() {
            return;
        }
        let since = row.seen.silence.send(from, now);
        if since != now && host.loss.is_silent(since, now) && self.once.tells_silence() {
            notify::silent(self, host.id(), from, to);
        }
    }
}
