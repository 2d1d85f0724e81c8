// SPDX-License-Identifier: GPL-2.0

//! Port mappings of NATs in front of hosts ([DIME-IFIP] section V-D, Fig. 9): the remote port on the
//! wire is the NAT's, sockets go on with that of the host.
//!
//! A mapping is used only while its address is an active one of its host, flagged `nat`. So it may
//! come before the address, and serves again when the host comes back behind the same NAT.

mod change;
mod find;
mod natted;

use crate::{
    ffi::{
        clock,
        object::Shared,
        table::{
            AddrKey,
            MeantBytes,
            SeenBytes, //
        }, //
    },
    host::Host, //
};
use ihmp_core::{
    nat::Mapping,
    sets::Role, //
};
use kernel::sync::{
    atomic::{
        Atomic,
        Relaxed, //
    },
    rcu::Guard, //
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
    /// [`ihmp_core::nat::Seen::bytes`]: what it is found by on the way in.
    pub(crate) seen: SeenBytes,
    /// [`ihmp_core::nat::Meant::bytes`]: what it is found by on the way out.
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
