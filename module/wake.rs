// SPDX-License-Identifier: GPL-2.0

//! A path came back, or the old one is gone: TCP sockets of the host go on now instead of at the
//! end of a back-off that grew while there was none (RFC 6298 section 5 applies as at any time-out).

use crate::{
    ffi::object::Shared,
    flow::Row,
    host::Host,
    netns::Netns,
    stats::Counter,
    view::View, //
};
use ihmp_core::{
    ends::{
        self,
        Foreign,
        Local, //
    },
    flow::FlowKey,
    packet::TCP,
    sets::{
        Entry,
        Role,
        MAX_ADDRS, //
    }, //
};
use kernel::sync::rcu::Guard;

/// Addresses that a change takes from a host and from us, with the numbers by which flows had left them before.
#[derive(Clone, Copy)]
pub(crate) struct Vacated {
    local: [Entry; MAX_ADDRS],
    locals: usize,
    active: [Entry; MAX_ADDRS],
    actives: usize,
}

impl Vacated {
    /// No addresses.
    pub(crate) const NONE: Self = Self {
        local: [Entry::new(ihmp_core::addr::Addr::UNSPECIFIED); MAX_ADDRS],
        locals: 0,
        active: [Entry::new(ihmp_core::addr::Addr::UNSPECIFIED); MAX_ADDRS],
        actives: 0,
    };

    /// Notes what `before` has and `after` has not.
    pub(crate) fn note(&mut self, before: &View, after: &View) {
        (self.locals, self.actives) = (0, 0);
        for entry in before.list(Role::Local) {
            if after.lists().lookup(Role::Local, entry.addr).is_none() {
                self.local[self.locals] = *entry;
                self.locals += 1;
            }
        }
        for (at, entry) in before.list(Role::Active).iter().enumerate() {
            if after.lists().lookup(Role::Active, entry.addr).is_none() {
                let mark = before.mark_at(at);
                self.active[self.actives] = Entry { mark, ..*entry };
                self.actives += 1;
            }
        }
    }

    /// Whether there is any.
    pub(crate) fn any(&self) -> bool {
        self.ours() || self.theirs()
    }

    /// Whether we have lost one.
    pub(crate) fn ours(&self) -> bool {
        self.locals != 0
    }

    /// Whether the host has lost one.
    pub(crate) fn theirs(&self) -> bool {
        self.actives != 0
    }

    /// Whether a flow was at one of them.
    fn had(&self, row: &Row, key: &FlowKey) -> bool {
        let local = self.local[..self.locals].iter();
        let active = self.active[..self.actives].iter();
        let left = |entry: &Entry| entry.mark != 0 && row.age() < entry.mark;
        local
            .filter(|entry| !left(entry))
            .any(|entry| entry.addr == key.laddr)
            || active
                .filter(|entry| row.since() >= entry.mark)
                .any(|entry| entry.addr == key.faddr)
    }
}

/// Which flows go on.
#[derive(Clone, Copy)]
pub(crate) enum Whom<'a> {
    /// All of the host.
    All,
    /// Those that were at addresses that are gone, and perhaps all that are away from home.
    Moved {
        /// All that are away from home.
        away: bool,
        /// What is gone.
        vacated: &'a Vacated,
    },
}

impl Whom<'_> {
    fn has(&self, netns: &Netns, row: &Row, guard: &Guard) -> bool {
        let Whom::Moved { away, vacated } = *self else {
            return true;
        };
        let key = row.key();
        vacated.had(row, &key) || (away && is_away(netns, row, &key, guard))
    }
}

/// Whether an end of a flow is away from home.
fn is_away(netns: &Netns, row: &Row, key: &FlowKey, guard: &Guard) -> bool {
    let view = row.host().under(guard).view.read(guard);
    let known = row.is_known(view, key.laddr);
    let local = ends::local(&view.lists(), key.laddr, row.age(), known);
    local == Local::Away || netns.foreign_end(row, view, key.faddr) == Foreign::Away
}

/// Wakes sockets of a host.
///
/// When it was us who moved, what was in flight to the host has mostly arrived, and something new is
/// of more use to it.
pub(crate) fn host(netns: &Netns, host: &Shared<Host>, whom: Whom<'_>, we_moved: bool) {
    netns.each_row(host, |row, guard| {
        if row.key().proto != TCP || row.plain || !whom.has(netns, row, guard) {
            return;
        }
        if row.sock(netns).is_some_and(|sock| sock.wake(we_moved)) {
            netns.count(Counter::TcpWoken);
        }
    });
}
