// SPDX-License-Identifier: GPL-2.0

//! Sockets of flows are let send from addresses that are no longer local.

use super::Row;
use crate::{
    ffi::{
        charge::charged,
        sock::Sock, //
    },
    netns::Netns, //
};
use ihmp_core::verdict::Reason;
use kernel::sync::rcu::Guard;

impl Netns {
    /// Lets a socket send from an address that is no longer local, if that is not allowed already.
    #[inline]
    pub(crate) fn keep_source(&self, sock: &Sock<'_>) {
        if !sock.transparent() {
            self.lend_to(sock);
        }
    }

    /// Who has it on a list is charged for that, and not the command or the worker that may be running.
    fn lend_to(&self, sock: &Sock<'_>) {
        if charged(Some(sock), || sock.lend(&self.net)).is_err() {
            self.refuse(Reason::NoMemory);
        }
    }

    /// Lets the socket of a flow send when its address is no longer local.
    pub(crate) fn keep_source_of(&self, row: &Row) {
        if let Some(sock) = row.full_sock(&self.net).filter(|_| row.socket.lends()) {
            self.keep_source(&sock);
        }
    }

    /// A packet came for an identifier that may be no address of this machine any more: who is about to get it may be a
    /// socket that has no flow yet, such as that of a server that was started again, and is to answer from there.
    #[inline]
    pub(crate) fn keep_answers(&self, row: &Row, ifindex: u32, guard: &Guard) {
        if row.socket.answers() {
            self.keep_answers_of(row, ifindex, guard);
        }
    }

    #[inline(never)]
    fn keep_answers_of(&self, row: &Row, ifindex: u32, guard: &Guard) {
        let sock = Sock::udp(&self.net, &row.key(), ifindex).filter(|sock| !sock.transparent());
        let lent = sock.map(|sock| charged(Some(&sock), || sock.lend_group(&self.net, guard)));
        if lent.is_some_and(|lent| lent.is_err()) {
            self.refuse(Reason::NoMemory);
        }
    }
}
