// SPDX-License-Identifier: GPL-2.0

//! Port mappings of NATs in front of hosts ([DIME-IFIP] section IV-D, Fig. 9): the remote port on the
//! wire is the NAT's, sockets go on with that of the host.
//!
//! A mapping counts while its address is an active one of its host with the mark of a NAT. So it may
//! come before the address, and serves again when the host comes back behind the same NAT.

use crate::{
    ffi::{
        clock,
        object::{
            Found,
            Owned,
            Shared, //
        },
        table::{
            linked_after,
            AddrKey,
            MeantBytes,
            SeenBytes, //
        }, //
    },
    flow::{
        Row,
        Wires, //
    },
    host::Host,
    netns::{
        Config,
        Netns, //
    },
    notify, //
};
use ihmp_core::{
    addr::Addr,
    flow::{
        FlowKey,
        WireKey, //
    },
    nat::{
        Mapping,
        Meant,
        Seen, //
    },
    packet::TCP,
    sets::{
        Lists,
        Role, //
    },
    verdict::Reason, //
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

/// The table of port mappings by the packets that come from the NAT.
pub(crate) struct SeenNats;

/// The table of port mappings by the packets that go to the NAT.
pub(crate) struct MeantNats;

/// The table of the addresses that are those of NATs.
pub(crate) struct NatAddrs;

/// A port mapping. The C side reads the two keys at its head.
#[repr(C)]
pub(crate) struct Nat {
    /// [`Seen::bytes`]: what it is found by on the way in.
    pub(crate) seen: SeenBytes,
    /// [`Meant::bytes`]: what it is found by on the way out.
    pub(crate) meant: MeantBytes,
    pub(crate) mapping: Mapping,
    host: Shared<Host>,
    /// In jiffies; 0 for never.
    expires: Atomic<u64>,
}

impl Nat {
    /// The host behind the NAT.
    pub(crate) fn host(&self) -> &Shared<Host> {
        &self.host
    }

    fn set_expiry(&self, ms: Option<u64>) {
        self.expires.store(clock::deadline(ms), Relaxed);
    }

    /// Milliseconds until it is removed.
    pub(crate) fn expires_in(&self) -> Option<u64> {
        clock::left(self.expires.load(Relaxed))
    }

    fn expired(&self, now: u64) -> bool {
        let at = self.expires.load(Relaxed);
        at != 0 && at <= now
    }

    fn counts(&self, guard: &Guard) -> bool {
        let lists = self.host.under(guard).view.read(guard).lists();
        lists
            .lookup(Role::Active, self.mapping.addr)
            .is_some_and(|entry| entry.nat)
    }
}

/// An address that hosts have as that of a NAT. The C side reads the key at its head.
#[repr(C)]
pub(crate) struct Natted {
    /// The address.
    pub(crate) key: AddrKey,
    /// How many hosts have it.
    hosts: Atomic<u32>,
}

/// The addresses of NATs among a host's.
fn nat_addrs(lists: Lists<'_>) -> impl Iterator<Item = Addr> + '_ {
    let active = lists.list(Role::Active).iter();
    active.filter(|entry| entry.nat).map(|entry| entry.addr)
}

fn has_nat(lists: Lists<'_>, addr: Addr) -> bool {
    nat_addrs(lists).any(|nat| nat == addr)
}

/// What a namespace has of NATs in front of hosts: how many of each.
pub(crate) struct Nats {
    /// Port mappings.
    mappings: Atomic<u32>,
    /// Addresses that hosts have as those of NATs.
    addrs: Atomic<u32>,
}

impl Nats {
    /// None.
    pub(crate) fn new() -> Self {
        Self {
            mappings: Atomic::new(0),
            addrs: Atomic::new(0),
        }
    }

    /// How many port mappings there are.
    pub(crate) fn mappings(&self) -> u32 {
        self.mappings.load(Relaxed)
    }
}

/// Why there is no such mapping now.
pub(crate) enum Refusal {
    /// There are as many as allowed.
    Full(u32),
    /// There is no memory.
    Memory,
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

    fn nat_by_wire<'a>(&self, wire: &FlowKey, guard: &'a Guard) -> Option<Found<'a, Nat>> {
        self.net.find::<SeenNats>(&Seen::of(wire).bytes(), guard)
    }

    /// The mapping of a flow whose far end is, on the wire, behind a NAT.
    #[inline]
    pub(crate) fn nat_of<'a>(&self, wire: &FlowKey, guard: &'a Guard) -> Option<Found<'a, Nat>> {
        if !self.has_nats() {
            return None;
        }
        let nat = self.nat_by_wire(wire, guard);
        nat.filter(|nat| nat.counts(guard))
    }

    /// The mapping of a flow whose host has left the NAT; the NAT may still have it.
    pub(crate) fn nat_left<'a>(&self, wire: &FlowKey, guard: &'a Guard) -> Option<Found<'a, Nat>> {
        if self.nats.mappings() == 0 {
            return None;
        }
        let nat = self.nat_by_wire(wire, guard);
        nat.filter(|nat| !nat.counts(guard))
    }

    /// The NAT's port by which a flow reaches its host at `remote`.
    pub(crate) fn nat_port(&self, row: &Row, remote: Addr, guard: &Guard) -> Option<u16> {
        let meant = Meant {
            host: row.host().id(),
            proto: row.key().proto,
            addr: remote,
            port: row.host_port,
            local_port: row.wire_port,
        };
        let nat = self.net.find::<MeantNats>(&meant.bytes(), guard)?;
        Some(nat.mapping.nat_port)
    }

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
        if let Some(old) = self.net.find::<SeenNats>(&seen, &guard) {
            self.nat_close(old);
        }
        if let Some(old) = self.net.find::<MeantNats>(&meant, &guard) {
            self.nat_close(old);
        }
        let nat = self.net.insert_pair(nat, &guard);
        let nat = nat.map_err(|_| Refusal::Memory)?;
        self.nats.mappings.fetch_add(1, Relaxed);
        host.nats.fetch_add(1, Relaxed);
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
                self.count(crate::stats::Counter::TcpWoken);
            }
        }
    }

    /// True for the caller that did it.
    fn nat_forget(&self, nat: Found<'_, Nat>) -> bool {
        if !self.net.remove_pair(nat) {
            return false;
        }
        self.nats.mappings.fetch_sub(1, Relaxed);
        nat.host.nats.fetch_sub(1, Relaxed);
        true
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
            for _ in 0..crate::netns::ROWS_AT_ONCE {
                match linked_after(host.found(), &mut index, &guard) {
                    Some(nat) => act(nat),
                    None => return,
                }
            }
        }
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
