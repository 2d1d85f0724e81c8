// SPDX-License-Identifier: GPL-2.0

//! Rows go.

use super::{
    Flows,
    Row, //
};
use crate::{
    ffi::object::{
        Found,
        Shared, //
    },
    host::Host,
    netns::Netns, //
};
use ihmp_core::{
    flow::FlowKey,
    verdict::Reason, //
};
use kernel::{
    prelude::*,
    sync::rcu::Guard, //
};

impl Netns {
    /// Closes the row that another host has for this key: the flow belongs to this host now.
    pub(crate) fn flow_take_over(&self, key: &FlowKey, host: &Host, guard: &Guard) {
        let row = self.net.find::<Flows>(&key.bytes(), guard);
        if let Some(row) = row.filter(|row| row.host().id() != host.id()) {
            self.flow_close(row);
        }
    }

    /// Removes the row of a connection that has moved, when another machine opens one with the same addresses and ports. Fails while its
    /// socket is alive: the stack cannot have both.
    #[cold]
    pub(crate) fn flow_give_way(&self, row: Found<'_, Row>) -> Result<(), Reason> {
        if row.full_sock(&self.net).is_some() {
            return Err(Reason::SameWire);
        }
        self.flow_close(row);
        Ok(())
    }

    /// Removes a row; true for the caller that did it.
    pub(crate) fn flow_close(&self, row: Found<'_, Row>) -> bool {
        if !self.net.remove_pair(row) {
            return false;
        }
        self.table.leave(&row.host.rows);
        if row.beyond {
            self.table.come_back();
        }
        row.stance.close(&row.host.staying);
        true
    }

    /// Removes the rows of a host.
    pub(crate) fn flows_remove(&self, host: &Shared<Host>) {
        self.each_row(host, |row, _| {
            self.flow_close(row);
        });
    }
}
