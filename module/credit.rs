// SPDX-License-Identifier: GPL-2.0

//! The credit of hosts, and of the networks that they are in: what may be sent to addresses at which a host has not shown that it
//! is there ([`ihmp_core::credit`]).
//!
//! A host earns by what is sent to its validated addresses. That is one counter of the host; once a second, and when its
//! addresses change, what is new in it is added to the account of the host and to that of its network (/24, /48). What goes
//! to an address that is not validated is paid from both: a network has no more than 30 seconds' worth of what its hosts
//! took together, whatever keys they make. Accounts have no debts, so an account that goes takes nothing with it but credit.

use crate::{
    ffi::{
        clock,
        object::Owned,
        table::AddrKey, //
    },
    host::Host,
    netns::{
        Config,
        Netns, //
    },
    notify,
    view::View, //
};
use ihmp_core::{
    credit::{
        self,
        Earnings,
        LOW,
        PER_OCTET,
        SLOTS, //
    },
    time::Duration,
    verdict::Reason, //
};
use kernel::sync::{
    atomic::{
        Atomic,
        Relaxed, //
    },
    rcu::{
        self,
        Guard, //
    }, //
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

impl Netns {
    /// The account of the network in which a host is.
    fn account<'a>(&self, view: &View, guard: &'a Guard) -> Option<&'a Account> {
        let network = self.net.find::<Networks>(&view.network()?, guard)?;
        Some(&network.get().account)
    }

    /// Octets that a host may have sent to addresses that are not validated.
    pub(crate) fn credit(&self, host: &Host, view: &View, guard: &Guard) -> u64 {
        let network = self.account(view, guard).map_or(0, Account::left);
        host.account.left().min(network)
    }

    /// Pays for a packet to an address of a host that is not validated; false when there is no credit for it.
    #[cold]
    pub(crate) fn pay(&self, host: &Host, view: &View, octets: u64, guard: &Guard) -> bool {
        let network = self.account(view, guard);
        let paid = network.is_some_and(|network| {
            let paid = host.account.pay(octets);
            let both = paid && network.pay(octets);
            if paid && !both {
                host.account.left.add(octets, Relaxed);
            }
            both
        });
        if !paid {
            host.traffic.note_short();
        }
        let left = self.credit(host, view, guard);
        if (!paid || left < LOW) && view.tells_credit() {
            notify::credit(self, host.id(), left);
        }
        paid
    }

    /// Octets came from an address of a host that is not validated.
    #[cold]
    pub(crate) fn hear_unvalidated(&self, host: &Host, view: &View, octets: u64, guard: &Guard) {
        host.account.hear(octets);
        if let Some(network) = self.account(view, guard) {
            network.hear(octets);
        }
    }

    /// Adds what a host has taken since the last time to its account and to that of its network, and lets both grow old.
    pub(crate) fn note_taken(&self, host: &Host, _: &Config) {
        let (octets, slot) = (host.traffic.newly_taken(), now());
        if octets == 0 && host.account.is_at(slot) {
            return;
        }
        host.account.earn(octets, slot);
        let guard = rcu::read_lock();
        if let Some(network) = self.account(host.view.read(&guard), &guard) {
            network.earn(octets, slot);
        }
    }

    /// A host comes to a network, or leaves one; what it may have sent goes with it. By the holder of the configuration lock, like
    /// what follows.
    pub(crate) fn network_change(&self, host: &Host, old: Option<AddrKey>, new: Option<AddrKey>) {
        if old == new {
            return;
        }
        let guard = rcu::read_lock();
        let left = old.and_then(|old| self.net.find::<Networks>(&old, &guard));
        let credit = left.map_or(0, |left| left.account.take(host.account.left()));
        drop(guard);
        self.network_leave(old);
        if let Some(new) = new {
            self.network_enter(new, credit);
        }
    }

    /// One more host is in a network. Without memory for it, there is no credit.
    fn network_enter(&self, key: AddrKey, credit: u64) {
        let guard = rcu::read_lock();
        if let Some(network) = self.net.find::<Networks>(&key, &guard) {
            network.hosts.fetch_add(1, Relaxed);
            network.account.earn(credit, now());
            return;
        }
        drop(guard);
        let network = Network {
            key,
            hosts: Atomic::new(1),
            account: Account::new(),
        };
        network.account.earn(credit, now());
        let added =
            Owned::new(network, false).and_then(|network| self.net.insert::<Networks>(network));
        if added.is_err() {
            self.refuse(Reason::NoMemory);
        }
    }

    /// One host less is in a network. One for which there was no memory may take the place of another: credit is lost then.
    pub(crate) fn network_leave(&self, key: Option<AddrKey>) {
        let guard = rcu::read_lock();
        let network = key.and_then(|key| self.net.find::<Networks>(&key, &guard));
        if let Some(network) = network {
            if network.hosts.fetch_sub(1, Relaxed) == 1 {
                self.net.remove::<Networks>(network);
            }
        }
    }
}
