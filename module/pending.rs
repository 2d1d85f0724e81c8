// SPDX-License-Identifier: GPL-2.0

//! Locators whose move was announced a moment ago: the message is on its way through the agent, the
//! first packets from the locator are already here and wait for it.

use crate::ffi::clock;
use ihmp_core::addr::Addr;
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        SpinLock, //
    },
};

/// Announcements that are remembered; a newer one takes the place of the oldest.
const SLOTS: usize = 16;

#[derive(Clone, Copy)]
struct Announced {
    addr: Addr,
    until: u64,
}

/// The announcements of a namespace.
#[pin_data]
pub(crate) struct Pending {
    /// When the last of them ends, in jiffies: no lock is taken after that.
    latest: Atomic<u64>,
    #[pin]
    slots: SpinLock<[Announced; SLOTS]>,
}

impl Pending {
    /// No announcements.
    pub(crate) fn new() -> impl PinInit<Self> {
        let none = Announced {
            addr: Addr::UNSPECIFIED,
            until: 0,
        };
        pin_init!(Self {
            latest: Atomic::new(0),
            slots <- kernel::new_spinlock!([none; SLOTS]),
        })
    }

    /// A message announced a move to `addr`. Bottom halves are off.
    pub(crate) fn announce(&self, addr: Addr, hold_ms: u32) {
        let now = clock::jiffies();
        let until = now.saturating_add(clock::from_ms(hold_ms.into()));
        let mut slots = self.slots.lock();
        let at = slots
            .iter()
            .position(|slot| slot.addr == addr)
            .or_else(|| (0..SLOTS).min_by_key(|at| slots[*at].until))
            .unwrap_or(0);
        slots[at] = Announced { addr, until };
        self.latest.store(until, Relaxed);
    }

    /// Whether packets from `addr` should wait. Bottom halves are off.
    #[inline]
    pub(crate) fn waits(&self, addr: Addr) -> bool {
        let latest = self.latest.load(Relaxed);
        latest != 0 && self.waits_slow(addr, latest)
    }

    #[cold]
    fn waits_slow(&self, addr: Addr, latest: u64) -> bool {
        let now = clock::jiffies();
        if latest <= now {
            return false;
        }
        self.slots
            .lock()
            .iter()
            .any(|slot| slot.addr == addr && slot.until > now)
    }
}
