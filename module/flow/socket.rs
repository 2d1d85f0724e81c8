// SPDX-License-Identifier: GPL-2.0

//! Who has a flow at this end.

use crate::ffi::{
    clock,
    sock::Sock, //
};
use ihmp_core::flow::FlowKey;
use ihmp_core::packet::{
    TCP,
    UDP, //
};
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// Milliseconds between two looks for the socket of a flow that packets come in for.
const CHECK_MS: u64 = 250;

/// Who has a flow at this end.
#[derive(Clone, Copy)]
pub(crate) struct Owner<'a> {
    /// The socket; none for a request in the queue of a listener.
    pub(super) sock: Option<&'a Sock<'a>>,
    /// Device that it is bound to, or 0.
    device: u32,
}

impl<'a> Owner<'a> {
    /// A socket.
    pub(crate) fn sock(sock: &'a Sock<'a>) -> Self {
        Self {
            sock: Some(sock),
            device: sock.device(),
        }
    }

    /// A request for a connection, that is bound to this device, or to none if it is 0.
    pub(crate) fn request(device: u32) -> Self {
        Self { sock: None, device }
    }

    /// As [`Sock::cookie`].
    pub(super) fn cookie(&self) -> u64 {
        self.sock.map_or(0, Sock::cookie)
    }

    /// Whether we lend the flag: not to a socket whose program set it.
    fn borrows(&self) -> bool {
        self.sock.is_none_or(|sock| !sock.own_transparent())
    }
}

/// The socket's cookie, device and needs at the flow's first packet.
pub(crate) struct Socket {
    cookie: u64,
    device: u32,
    lends: bool,
    answers: bool,
    /// When the socket was last looked for on the way in, in jiffies.
    looked: Atomic<u64>,
}

impl Socket {
    /// Who begins a flow with this key.
    pub(super) fn new(owner: &Owner<'_>, key: &FlowKey) -> Self {
        Self {
            cookie: owner.cookie(),
            device: owner.device,
            // TCP needs it for IPv4 only; others name their source by IPV6_PKTINFO, too.
            lends: (key.laddr.is_v4() || key.proto != TCP) && owner.borrows(),
            answers: key.proto == UDP && owner.sock.is_some_and(|sock| !sock.established()),
            looked: Atomic::new(clock::jiffies()),
        }
    }

    /// Whether it is the socket with this cookie; 0 is a request in the queue of a listener.
    pub(super) fn is(&self, cookie: u64) -> bool {
        self.cookie == cookie
    }

    /// Device that it is bound to, or 0.
    #[inline]
    pub(crate) fn device(&self) -> u32 {
        self.device
    }

    /// Whether the socket is to be lent IP_TRANSPARENT.
    #[inline]
    pub(crate) fn lends(&self) -> bool {
        self.lends
    }

    /// An unconnected UDP socket; another one may be bound to its port later.
    #[inline]
    pub(super) fn answers(&self) -> bool {
        self.answers
    }

    /// Whether it is time to look whether it is still there.
    #[inline]
    pub(super) fn is_due(&self, now: u64) -> bool {
        now.saturating_sub(self.looked.load(Relaxed)) > clock::from_ms(CHECK_MS)
    }

    /// It is being looked for.
    pub(super) fn note_looked(&self, now: u64) {
        self.looked.store(now, Relaxed);
    }
}
