// SPDX-License-Identifier: GPL-2.0

//! The table of the addresses by which hosts are found.

use super::Host;
use crate::ffi::{
    object::{
        Found,
        Owned,
        Shared, //
    },
    table::AddrKey, //
};
use ihmp_core::{
    addr::Addr,
    sets::Role, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        rcu::Guard, //
    },
};

/// The role of an address whose host has no view with it yet.
const UNPUBLISHED: u32 = u32::MAX;

/// The table of foreign addresses and their hosts.
pub(crate) struct Addrs;

/// A foreign address in the table of addresses. The C side reads the key at its head.
#[repr(C)]
pub(crate) struct AddrNode {
    /// The address.
    pub(crate) key: AddrKey,
    role: Atomic<u32>,
    host: Shared<Host>,
}

impl AddrNode {
    /// A node for an address of a host.
    pub(crate) fn new(
        addr: Addr,
        role: Role,
        host: Shared<Host>,
        atomic: bool,
    ) -> Result<Owned<Self>> {
        Owned::new(
            Self {
                key: addr.octets(),
                role: Atomic::new(role as u32),
                host,
            },
            atomic,
        )
    }

    /// A node for an address that a host is about to have. [`Netns::named`] does not find it before [`Self::set_role`].
    ///
    /// [`Netns::named`]: crate::netns::Netns::named
    pub(super) fn unpublished(addr: Addr, host: Shared<Host>) -> Result<Owned<Self>> {
        Owned::new(
            Self {
                key: addr.octets(),
                role: Atomic::new(UNPUBLISHED),
                host,
            },
            false,
        )
    }

    /// Whether the host has a view with the address.
    #[inline]
    pub(super) fn is_published(&self) -> bool {
        self.role.load(Relaxed) != UNPUBLISHED
    }

    /// The host that has the address.
    pub(crate) fn host<'a>(&self, guard: &'a Guard) -> Found<'a, Host> {
        self.host.under(guard)
    }

    /// What the address is to the host.
    pub(crate) fn role(&self) -> Role {
        Role::from_number(self.role.load(Relaxed)).unwrap_or(Role::Alias)
    }

    /// The address is something else from now on.
    pub(crate) fn set_role(&self, role: Role) {
        self.role.store(role as u32, Relaxed);
    }
}
