// SPDX-License-Identifier: GPL-2.0

//! Flows of one host that have the same ports on the wire.

use super::{
    Flows,
    Row,
    Wires, //
};
use crate::{
    ffi::{
        object::Found,
        skb::Skb, //
    },
    netns::Netns, //
};
use ihmp_core::{
    addr::Addr,
    flow::FlowKey, //
};
use kernel::sync::rcu::Guard;

impl Netns {
    /// The row of a packet that comes in, where `row` has its ports and others of the host have them, too: that between
    /// the packet's own addresses, unless the older one is on the wire between them. `None` when there is none between them.
    #[cold]
    pub(crate) fn among_twins<'a>(
        &self,
        skb: &Skb<'_>,
        wire: &FlowKey,
        row: Found<'a, Row>,
        guard: &'a Guard,
    ) -> Option<Found<'a, Row>> {
        let exact = self.row_between(wire, row.host().id(), guard)?;
        match self.wire_ends(skb, &row, guard) {
            Some(ends) if ends == (wire.laddr, wire.faddr) => Some(row),
            _ => Some(exact),
        }
    }

    /// The row of a host whose identifiers and ports are those of a packet on the wire.
    pub(crate) fn row_between<'a>(
        &self,
        wire: &FlowKey,
        host: u32,
        guard: &'a Guard,
    ) -> Option<Found<'a, Row>> {
        let row = self.net.find::<Flows>(&wire.bytes(), guard)?;
        (row.host().id() == host && row.wire_port == wire.lport).then_some(row)
    }

    /// Whether a flow that has twins must wait, since an older flow of the host is on the wire between the same addresses,
    /// or would get what comes in for it.
    #[cold]
    pub(crate) fn waits_for_twin(
        &self,
        skb: &Skb<'_>,
        row: Found<'_, Row>,
        ends: (Addr, Addr),
        home: bool,
        guard: &Guard,
    ) -> bool {
        if !row.apart {
            return false;
        }
        match self.net.find::<Wires>(&row.wire, guard) {
            Some(other) if other.is(row) => false,
            Some(other) if other.sock(&self.net).is_none() => {
                self.flow_close(other);
                !home && self.net.join_second(row).is_err()
            }
            Some(other) if home => self.wire_ends(skb, &other, guard) == Some(ends),
            Some(_) => true,
            None => !home && self.net.join_second(row).is_err(),
        }
    }
}
