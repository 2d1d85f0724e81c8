// SPDX-License-Identifier: GPL-2.0

//! Port mappings are found.

use super::{
    MeantNats,
    Nat,
    SeenNats, //
};
use crate::{
    ffi::object::Found,
    flow::Row,
    netns::Netns, //
};
use ihmp_core::{
    addr::Addr,
    flow::FlowKey,
    nat::{
        Meant,
        Seen, //
    },
};
use kernel::sync::rcu::Guard;

impl Netns {
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
}
