// SPDX-License-Identifier: GPL-2.0

//! The addresses that go when one view follows another.

use super::View;
use ihmp_core::{
    addr::Addr,
    flow::FlowKey,
    sets::{
        Entry,
        Role,
        MAX_ADDRS, //
    },
};

/// The addresses of a host and ours before a change, with the numbers by which flows had left them, and which of them go
/// by it.
#[derive(Clone, Copy)]
pub(crate) struct Vacated {
    local: Before,
    active: Before,
    /// We gain an address.
    gains: bool,
    /// The path has followed the host to another address just before this change.
    overtaken: bool,
}

/// The addresses of a role before a change.
#[derive(Clone, Copy)]
struct Before {
    entries: [Entry; MAX_ADDRS],
    gone: [bool; MAX_ADDRS],
    len: usize,
}

impl Before {
    const NONE: Self = Self {
        entries: [Entry::new(Addr::UNSPECIFIED); MAX_ADDRS],
        gone: [false; MAX_ADDRS],
        len: 0,
    };

    fn note(
        &mut self,
        before: &View,
        after: &View,
        role: Role,
        mark: impl Fn(usize, &Entry) -> u64,
    ) {
        self.len = 0;
        for (at, entry) in before.list(role).iter().enumerate().take(MAX_ADDRS) {
            let mark = mark(at, entry);
            self.entries[at] = Entry { mark, ..*entry };
            self.gone[at] = after.lists().lookup(role, entry.addr).is_none();
            self.len = at + 1;
        }
    }

    /// Whether any goes.
    fn any(&self) -> bool {
        self.gone[..self.len].iter().any(|gone| *gone)
    }

    /// Whether any of IPv4 goes.
    fn any_v4(&self) -> bool {
        let mut entries = Iterator::zip(self.entries[..self.len].iter(), &self.gone);
        entries.any(|(entry, gone)| *gone && entry.addr.is_v4())
    }

    /// Whether a flow was at its address of this role, by `age`, and whether that goes; `None` when it was away. With
    /// `just`, a flow that had left an address which goes counts as one that was still there.
    fn had(&self, addr: Addr, age: u64, just: bool) -> Option<bool> {
        let mut entries = self.entries[..self.len].iter();
        let at = entries.position(|entry| entry.addr == addr)?;
        let there = age >= self.entries[at].mark || (just && self.gone[at]);
        there.then_some(self.gone[at])
    }
}

impl Vacated {
    /// No addresses.
    pub(crate) const NONE: Self = Self {
        local: Before::NONE,
        active: Before::NONE,
        gains: false,
        overtaken: false,
    };

    /// Notes what `before` has, and what `after` has not, and whether the path had just followed the host.
    pub(crate) fn note(&mut self, before: &View, after: &View, overtaken: bool) {
        self.overtaken = overtaken;
        let new = |entry: &Entry| before.lists().lookup(Role::Local, entry.addr).is_none();
        self.gains = after.list(Role::Local).iter().any(new);
        self.local
            .note(before, after, Role::Local, |_, entry| entry.mark);
        self.active
            .note(before, after, Role::Active, |at, _| before.mark_at(at));
    }

    /// Whether anything goes.
    pub(crate) fn any(&self) -> bool {
        self.ours() || self.theirs()
    }

    /// Whether we lose or gain an address.
    pub(crate) fn relocates(&self) -> bool {
        self.gains || self.ours()
    }

    /// Whether we lose an address.
    pub(crate) fn ours(&self) -> bool {
        self.local.any()
    }

    /// Whether we lose an IPv4 address.
    pub(crate) fn ours_v4(&self) -> bool {
        self.local.any_v4()
    }

    /// Whether the host loses an address that its path has just left: data from the next address has overtaken the
    /// message. What was on the way to the former one is lost.
    pub(crate) fn overtaken(&self) -> bool {
        self.overtaken && self.theirs()
    }

    /// Whether the host loses an address.
    pub(crate) fn theirs(&self) -> bool {
        self.active.any()
    }

    /// Whether a flow with this key, `age` and `since` as [`ihmp_core::ends`] has them, was at an address that goes, or was away from
    /// home and `away` says that so does its path.
    pub(crate) fn interrupts(&self, key: &FlowKey, age: u64, since: u64, away: bool) -> bool {
        let local = self.local.had(key.laddr, age, false);
        let foreign = self.active.had(key.faddr, since, self.overtaken);
        match (local, foreign) {
            (Some(ours), Some(theirs)) => ours || theirs,
            (Some(true), None) | (None, Some(true)) => true,
            _ => away,
        }
    }
}
