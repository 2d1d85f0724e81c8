// SPDX-License-Identifier: GPL-2.0

//! Since when nothing comes back on a flow.

use ihmp_core::addr::Addr;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// What was sent on a flow since something last came back to the address from which it was sent.
pub(crate) struct Silence {
    /// When the first such packet was sent, in jiffies; 0 when there was none.
    since: Atomic<u64>,
    /// [`tag`] of the own address from which it was sent.
    from: Atomic<u32>,
}

/// A number for an address, since an address does not fit into an atomic. It is enough that two addresses of this machine rarely have the
/// same: then a packet that comes to one counts for the other, too.
#[inline]
fn tag(addr: Addr) -> u32 {
    let octets = addr.octets();
    let words = octets.chunks_exact(4);
    words.fold(0, |sum: u32, word| {
        sum.rotate_left(9) ^ word.try_into().map_or(0, u32::from_ne_bytes)
    })
}

impl Silence {
    /// Nothing was sent.
    pub(super) fn new() -> Self {
        Self {
            since: Atomic::new(0),
            from: Atomic::new(0),
        }
    }

    /// A packet is sent from this address: since when nothing came back there, in jiffies. Two processors that send at the same time may
    /// both begin anew.
    #[inline]
    pub(crate) fn send(&self, from: Addr, now: u64) -> u64 {
        let since = self.since.load(Relaxed);
        let from = tag(from);
        if since != 0 && self.from.load(Relaxed) == from {
            return since;
        }
        self.from.store(from, Relaxed);
        self.since.store(now.max(1), Relaxed);
        now
    }

    /// A packet came to this address.
    #[inline]
    pub(crate) fn hear(&self, at: Addr) {
        if self.since.load(Relaxed) != 0 && self.from.load(Relaxed) == tag(at) {
            self.since.store(0, Relaxed);
        }
    }
}
