// SPDX-License-Identifier: GPL-2.0

//! The addresses that hosts have as those of NATs.

use super::{
    NatAddrs,
    Natted, //
};
use crate::{
    ffi::object::Owned,
    netns::Netns, //
};
use ihmp_core::{
    addr::Addr,
    sets::{
        Lists,
        Role, //
    },
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        rcu::{
            self,
            Guard, //
        },
    },
};

/// The addresses of NATs among a host's.
fn nat_addrs(lists: Lists<'_>) -> impl Iterator<Item = Addr> + '_ {
    let active = lists.list(Role::Active).iter();
    active.filter(|entry| entry.nat).map(|entry| entry.addr)
}

fn has_nat(lists: Lists<'_>, addr: Addr) -> bool {
    nat_addrs(lists).any(|nat| nat == addr)
}

impl Netns {
    /// Whether any host has the address of a NAT; nothing here costs anything before.
    #[inline]
    pub(crate) fn has_nats(&self) -> bool {
        self.nats.addrs.load(Relaxed) != 0
    }

    /// Whether a host has the address as that of a NAT.
    pub(crate) fn is_natted(&self, addr: Addr, guard: &Guard) -> bool {
        self.net.find::<NatAddrs>(&addr.octets(), guard).is_some()
    }

    /// Notes the addresses of NATs that `new` has and `old` has not: all of them, or none.
    pub(crate) fn natted_add(&self, old: Lists<'_>, new: Lists<'_>) -> Result {
        for (done, addr) in nat_addrs(new).enumerate() {
            if has_nat(old, addr) {
                continue;
            }
            if let Err(error) = self.natted_count(addr) {
                for addr in nat_addrs(new).take(done) {
                    if !has_nat(old, addr) {
                        self.natted_uncount(addr);
                    }
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Forgets the addresses of NATs that `old` has and `new` has not.
    pub(crate) fn natted_remove(&self, old: Lists<'_>, new: Lists<'_>) {
        for addr in nat_addrs(old) {
            if !has_nat(new, addr) {
                self.natted_uncount(addr);
            }
        }
    }

    /// One more host has the address.
    fn natted_count(&self, addr: Addr) -> Result {
        let guard = rcu::read_lock();
        if let Some(natted) = self.net.find::<NatAddrs>(&addr.octets(), &guard) {
            natted.hosts.fetch_add(1, Relaxed);
            return Ok(());
        }
        drop(guard);
        let natted = Natted {
            key: addr.octets(),
            hosts: Atomic::new(1),
        };
        self.net.insert::<NatAddrs>(Owned::new(natted, true)?)?;
        self.nats.addrs.fetch_add(1, Relaxed);
        Ok(())
    }

    /// One host less has it.
    fn natted_uncount(&self, addr: Addr) {
        let guard = rcu::read_lock();
        if let Some(natted) = self.net.find::<NatAddrs>(&addr.octets(), &guard) {
            if natted.hosts.fetch_sub(1, Relaxed) == 1 && self.net.remove::<NatAddrs>(natted) {
                self.nats.addrs.fetch_sub(1, Relaxed);
            }
        }
    }
}
