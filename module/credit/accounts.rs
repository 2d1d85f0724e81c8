// SPDX-License-Identifier: GPL-2.0

//! What hosts and networks earn, and where they have it.

use super::{
    now,
    Account,
    Network,
    Networks, //
};
use crate::{
    ffi::{
        object::Owned,
        table::AddrKey, //
    },
    host::Host,
    netns::{
        Config,
        Netns, //
    },
    view::View, //
};
use ihmp_core::verdict::Reason;
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

impl Netns {
    /// The account of the network in which a host is.
    pub(super) fn account<'a>(&self, view: &View, guard: &'a Guard) -> Option<&'a Account> {
        let network = self.net.find::<Networks>(&view.network()?, guard)?;
        Some(&network.get().account)
    }

    /// Octets that a host may have sent to addresses that are not validated.
    pub(crate) fn credit(&self, host: &Host, view: &View, guard: &Guard) -> u64 {
        let network = self.account(view, guard).map_or(0, Account::left);
        host.account.left().min(network)
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
