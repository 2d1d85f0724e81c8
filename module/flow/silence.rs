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

/// A number for an address. Two addresses of one host that have the same are as likely as one in four thousand million.
#[inline]
fn tag(addr: Addr) -> u32 {
    let octets = addr.octets();
    let mut words = octets.chunks_exact(4);
    let word = |word: &[u8]| {
        let mut octets = [0; 4];
        octets.copy_from_slice(word);
        u32::from_ne_bytes(octets)
    };
    let mut sum = 0_u32;
    for part in &mut words {
        sum = sum.rotate_left(9) ^ word(part);
    }
    sum
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
