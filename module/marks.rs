// SPDX-License-Identifier: GPL-2.0

//! Sockets that we let send from an address that is not local, counted by their flows.
//!
//! IPv4 refuses to route from an address that is gone unless the socket is transparent; the flag
//! allows any source, so as long as it is ours packets of the socket are watched. Different sockets
//! may share a count: then the flag stays a little longer.

use kernel::sync::atomic::{
    Atomic,
    Full,
    Relaxed, //
};

const SLOTS: usize = 1024;

/// The counts of a namespace.
pub(crate) struct Marks([Atomic<u32>; SLOTS]);

impl Marks {
    /// No marks.
    pub(crate) fn new() -> Self {
        Self([const { Atomic::new(0) }; SLOTS])
    }

    fn slot(&self, cookie: u64) -> &Atomic<u32> {
        // Sockets are many octets apart.
        let at = (cookie >> 6) ^ (cookie >> 16);
        &self.0[at as usize % SLOTS]
    }

    /// One more flow of a socket.
    pub(crate) fn add(&self, cookie: u64) {
        self.slot(cookie).fetch_add(1, Full);
    }

    /// One flow less; true when it was the last.
    pub(crate) fn remove(&self, cookie: u64) -> bool {
        self.slot(cookie).fetch_sub(1, Full) == 1
    }

    /// Whether the flag of a socket may be ours.
    #[inline]
    pub(crate) fn has(&self, cookie: u64) -> bool {
        self.slot(cookie).load(Relaxed) != 0
    }
}
