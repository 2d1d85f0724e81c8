// SPDX-License-Identifier: GPL-2.0

//! Port mappings are added and removed.

use super::{
    MeantNats,
    Nat,
    Refusal,
    SeenNats, //
};
use crate::{
    ffi::{
        clock,
        object::{
            Found,
            Owned,
            Shared, //
        },
        table::linked_after, //
    },
    flow::Wires,
    host::Host,
    netns::{
        Config,
        Netns,
        ROWS_AT_ONCE, //
    },
    notify,
    stats::Counter, //
};
use ihmp_core::{
    flow::WireKey,
    nat::{
        Mapping,
        Seen, //
    },
    packet::TCP,
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
    },
};

impl Netns {
    /// Adds a mapping, or changes the host, port and expiry of the one that has its name. The newest is
    /// believed: a NAT gives a port to another flow when the first one is over.
    pub(crate) fn nat_set(
        &self,
        host: &Shared<Host>,
        mapping: Mapping,
        expires_in: Option<u64>,
        _: &Config,
    ) -> Result<(), Refusal> {
        let seen = mapping.seen().bytes();
        let meant = mapping.meant(host.id()).bytes();
        let guard = rcu::read_lock();
        let named = self.net.find::<SeenNats>(&seen, &guard);
        if let Some(nat) = named.filter(|nat| nat.meant == meant) {
            nat.set_expiry(expires_in);
            notify::nat(self, &nat);
            return Ok(());
        }
        let takes = named.is_some() || self.net.find::<MeantNats>(&meant, &guard).is_some();
        drop(guard);
        let most = self.params.max_nats.load(Relaxed);
        if !takes && self.nats.mappings() >= most {
            self.limit_reached(Reason::NatLimit);
            return Err(Refusal::Full(most));
        }
        let nat = Nat {
            seen,
            meant,
            mapping,
            host: host.clone(),
            expires: Atomic::new(clock::deadline(expires_in)),
        };
        let nat = Owned::new(nat, false).map_err(|_| Refusal::Memory)?;
        let guard = rcu::read_lock();
        let exchanged = self.net.exchange_pair(nat, &guard);
        let (nat, replaced) = exchanged.map_err(|_| Refusal::Memory)?;
        self.nats.mappings.fetch_add(1, Relaxed);
        host.nats.fetch_add(1, Relaxed);
        for old in replaced.into_iter().flatten() {
            self.nat_uncount(&old);
            notify::nat_deleted(self, &old);
        }
        notify::nat(self, &nat);
        self.nat_wake(host, &mapping, &guard);
        drop(guard);
        self.net.release_held(host.id(), &mapping.addr.octets());
        Ok(())
    }

    /// TCP goes on now, and not at the end of a back-off that grew while there was no way.
    fn nat_wake(&self, host: &Host, mapping: &Mapping, guard: &Guard) {
        let wire = WireKey {
            host: host.id(),
            proto: mapping.proto,
            lport: mapping.local_port,
            fport: mapping.port,
        };
        let row = self.net.find::<Wires>(&wire.bytes(), guard);
        if let Some(row) = row.filter(|row| mapping.proto == TCP && !row.plain) {
            if row
                .full_sock(&self.net)
                .is_some_and(|sock| sock.wake(false, false))
            {
                self.count(Counter::TcpWoken);
            }
        }
    }

    /// True for the caller that did it.
    fn nat_forget(&self, nat: Found<'_, Nat>) -> bool {
        if !self.net.remove_pair(nat) {
            return false;
        }
        self.nat_uncount(&nat);
        true
    }

    /// One mapping less.
    fn nat_uncount(&self, nat: &Nat) {
        self.nats.mappings.fetch_sub(1, Relaxed);
        nat.host.nats.fetch_sub(1, Relaxed);
    }

    fn nat_close(&self, nat: Found<'_, Nat>) {
        if self.nat_forget(nat) {
            notify::nat_deleted(self, &nat);
        }
    }

    /// Removes the mapping with this name; with `host`, only if it is that one's. False when there is
    /// none.
    pub(crate) fn nat_remove(&self, seen: Seen, host: Option<u32>, _: &Config) -> bool {
        let guard = rcu::read_lock();
        let nat = self.net.find::<SeenNats>(&seen.bytes(), &guard);
        let Some(nat) = nat.filter(|nat| host.is_none_or(|id| id == nat.host.id())) else {
            return false;
        };
        self.nat_close(nat);
        true
    }

    /// Removes the mappings of a host.
    pub(crate) fn nats_flush(&self, host: &Shared<Host>, _: &Config) {
        self.each_nat(host, |nat| self.nat_close(nat));
    }

    /// Removes the mappings of a host that is going, of which nothing more is said.
    pub(crate) fn nats_forget(&self, host: &Shared<Host>, _: &Config) {
        self.each_nat(host, |nat| {
            self.nat_forget(nat);
        });
    }

    /// Removes the mappings of a host whose time is over.
    pub(crate) fn nats_expire(&self, host: &Shared<Host>, now: u64, _: &Config) {
        self.each_nat(host, |nat| {
            if nat.expired(now) {
                self.nat_close(nat);
            }
        });
    }

    /// Does something with every mapping of a host; the grace period is not held up by many.
    fn each_nat(&self, host: &Shared<Host>, mut act: impl FnMut(Found<'_, Nat>)) {
        let mut index = 0;
        while host.nats.load(Relaxed) != 0 {
            let guard = rcu::read_lock();
            for _ in 0..ROWS_AT_ONCE {
                match linked_after::<Nat>(host.found(), &mut index, &guard) {
                    Some(nat) => act(nat),
                    None => return,
                }
            }
        }
    }
}
