// SPDX-License-Identifier: GPL-2.0

//! Flows are brought into line with the switch.

use crate::{
    flow::Row,
    host::Host,
    netns::{
        Config,
        Netns, //
    },
    uapi::HostState,
    view::View, //
};
use ihmp_core::ends::{
    self,
    Foreign,
    Local, //
};

impl Netns {
    /// Brings all flows into line with the switch, which has been set; who sets it holds the configuration lock.
    pub(crate) fn switched(&self, _: &Config) {
        let on = self.params.is_on();
        self.each_host(|host| {
            self.each_row(host, |row, guard| {
                let view = host.view.read(guard);
                if on {
                    row.stance.release(&host.staying);
                    if view.state() == HostState::Up {
                        self.keep_source_of(&row);
                    }
                } else if !self.has_moved(&row, view) {
                    row.stance.hold(&host.staying);
                }
            });
        });
        if on {
            self.net.schedule_stranded();
        }
    }

    /// Makes a new row stay if the switch is off; the row was inserted with full ordering before.
    pub(crate) fn hold_if_off(&self, row: &Row, host: &Host) {
        if self.params.is_on() {
            return;
        }
        row.stance.hold(&host.staying);
        // Either the walk that follows switching on finds the row held, or this finds the switch on.
        if self.params.is_on() {
            row.stance.release(&host.staying);
        }
    }

    /// Whether an end of the flow is away, or was.
    fn has_moved(&self, row: &Row, view: &View) -> bool {
        if row.plain || view.state() != HostState::Up {
            return false;
        }
        let key = row.key();
        let known = row.is_known(view, key.laddr);
        let local = ends::local(&view.lists(), key.laddr, row.seen.age(), known);
        row.seen.roams_here()
            || row.seen.roams_there()
            || local.is_away()
            || (local != Local::Untold && row.foreign_end(view, key.faddr) == Foreign::Away)
    }
}
