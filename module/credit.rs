// SPDX-License-Identifier: GPL-2.0

//! The credit of hosts, and of the networks that they are in: what may be sent to addresses at which a host has not shown that it
//! is there ([`ihmp_core::credit`]).
//!
//! A host earns by what is sent to its validated addresses. That is one counter of the host; once a second, and when its
//! addresses change, what is new in it is added to the account of the host and to that of its network (/24, /48). What goes
//! to an address that is not validated is paid from both: a network has no more than 30 seconds' worth of what its hosts
//! took together, whatever keys they make. Accounts have no debts, so an account that goes takes nothing with it but credit.

mod accounts;
mod pay;

use crate::ffi::{
    clock,
    table::AddrKey, //
};
use ihmp_core::{
    credit::{
        self,
        Earnings,
        PER_OCTET,
        SLOTS, //
    },
    time::Duration, //
};
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// What a host or a network may have sent.
pub(crate) struct Account {
    /// Octets that are left.
    left: Atomic<u64>,
    /// Octets that were added to `left` and not yet to a slot.
    came: Atomic<u64>,
    /// [`Earnings`]; only who holds the configuration lock changes them.
    slots: [Atomic<u64>; SLOTS],
    newest: Atomic<u64>,
}

/// The number of the slot of now.
fn now() -> u64 {
    credit::slot(Duration::from_millis(clock::to_ms(clock::jiffies())))
}

impl Account {
    /// An account without credit.
    pub(crate) const fn new() -> Self {
        Self {
            left: Atomic::new(0),
            came: Atomic::new(0),
            slots: [const { Atomic::new(0) }; SLOTS],
            newest: Atomic::new(0),
        }
    }

    /// Octets that are left.
    pub(crate) fn left(&self) -> u64 {
        self.left.load(Relaxed)
    }

    /// Changes what is left, if `how` says that it is to be changed: what it was then.
    fn update(&self, how: impl Fn(u64) -> Option<u64>) -> Option<u64> {
        let mut left = self.left();
        loop {
            match self.left.cmpxchg(left, how(left)?, Relaxed) {
                Ok(before) => return Some(before),
                Err(other) => left = other,
            }
        }
    }

    /// Octets came from an address that is not validated.
    fn hear(&self, octets: u64) {
        let octets = octets.saturating_mul(PER_OCTET);
        self.came.add(octets, Relaxed);
        self.left.add(octets, Relaxed);
    }

    /// Whether the account knows of this slot already.
    fn is_at(&self, slot: u64) -> bool {
        self.newest.load(Relaxed) == slot
    }

    /// Adds what was earned to a slot. By the holder of the configuration lock.
    fn earn(&self, octets: u64, slot: u64) {
        let mut earnings = Earnings {
            slots: core::array::from_fn(|at| self.slots[at].load(Relaxed)),
            newest: self.newest.load(Relaxed),
        };
        let came = self.came.xchg(0, Relaxed);
        earnings.add(slot, octets.saturating_add(came));
        for (to, from) in self.slots.iter().zip(earnings.slots) {
            to.store(from, Relaxed);
        }
        self.newest.store(earnings.newest, Relaxed);
        let most = earnings.most();
        self.update(|left| Some(credit::earn(left, octets, most)));
    }

    /// Pays; false when there is less.
    fn pay(&self, octets: u64) -> bool {
        self.update(|left| credit::spend(left, octets)).is_some()
    }

    /// Takes what is there, but no more than `most`.
    fn take(&self, most: u64) -> u64 {
        let before = self.update(|left| Some(left.saturating_sub(most)));
        before.map_or(0, |before| before.min(most))
    }
}

/// The table of the networks of hosts.
pub(crate) struct Networks;

/// A network that hosts are in. The C side reads the key at its head.
#[repr(C)]
pub(crate) struct Network {
    /// [`ihmp_core::addr::Addr::network`].
    pub(crate) key: AddrKey,
    /// How many hosts it has.
    hosts: Atomic<u32>,
    account: Account,
}
