// SPDX-License-Identifier: GPL-2.0

//! What went to a host and came from it.

use crate::ffi::clock;
use crate::view::View;
use ihmp_core::addr::Addr;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// Counters of a host.
pub(crate) struct Traffic {
    tx: Atomic<u64>,
    rx: Atomic<u64>,
    /// Octets that were sent to validated addresses.
    taken: Atomic<u64>,
    /// Those of them that the accounts know of; changed under the configuration lock.
    noted: Atomic<u64>,
    /// Packets to an address that is not validated were dropped.
    short: Atomic<bool>,
    /// When the last packet passed, in jiffies.
    last: Atomic<u64>,
}

impl Traffic {
    /// None yet.
    pub(super) fn new() -> Self {
        Self {
            tx: Atomic::new(0),
            rx: Atomic::new(0),
            taken: Atomic::new(0),
            noted: Atomic::new(0),
            short: Atomic::new(false),
            last: Atomic::new(clock::jiffies()),
        }
    }

    /// Packets to the host.
    pub(crate) fn tx(&self) -> u64 {
        self.tx.load(Relaxed)
    }

    /// Packets from the host.
    pub(crate) fn rx(&self) -> u64 {
        self.rx.load(Relaxed)
    }

    /// Counts a packet to the host.
    #[inline]
    pub(crate) fn sent(&self, now: u64) {
        self.tx.add(1, Relaxed);
        self.touch(now);
    }

    /// Counts a packet from the host.
    #[inline]
    pub(crate) fn received(&self, now: u64) {
        self.rx.add(1, Relaxed);
        self.touch(now);
    }

    /// Counts octets that were sent to an address of the host, if that is validated.
    #[inline]
    pub(crate) fn takes(&self, view: &View, addr: Addr, octets: u64) {
        if view.is_validated(addr) {
            self.taken.add(octets, Relaxed);
        }
    }

    /// Octets that the host took at validated addresses since this was last asked; by the holder of the configuration lock.
    pub(crate) fn newly_taken(&self) -> u64 {
        let taken = self.taken.load(Relaxed);
        let noted = self.noted.xchg(taken, Relaxed);
        taken.wrapping_sub(noted)
    }

    /// A packet to an address that is not validated was dropped.
    pub(crate) fn note_short(&self) {
        self.short.store(true, Relaxed);
    }

    /// Whether there was one since this was last asked.
    pub(crate) fn was_short(&self) -> bool {
        self.short.xchg(false, Relaxed)
    }

    #[inline]
    fn touch(&self, now: u64) {
        if self.last.load(Relaxed) != now {
            self.last.store(now, Relaxed);
        }
    }

    /// Jiffies since the last packet to or from the host.
    pub(crate) fn idle(&self, now: u64) -> u64 {
        now.saturating_sub(self.last.load(Relaxed))
    }
}
