// SPDX-License-Identifier: GPL-2.0

//! Rows go.

use super::Row;
use crate::{
    ffi::object::{
        Found,
        Shared, //
    },
    host::Host,
    netns::Netns, //
};
use ihmp_core::verdict::Reason;
use kernel::prelude::*;

impl Netns {
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
