// SPDX-License-Identifier: GPL-2.0

//! What is to be known of a host.

use super::{
    has,
    Said,
    View, //
};
use crate::{
    ffi::object::Owned,
    marks::Marks,
    uapi::HostState, //
};
use ihmp_core::{
    addr::Addr,
    sets::{
        Entry,
        Lists,
        Role,
        Sets, //
    },
};
use kernel::prelude::*;

/// Former local addresses that are remembered.
const FORMER: usize = 8;

/// What is to be known of a host, while it is being changed: with room for as many addresses as there may be.
#[derive(Clone, Copy)]
pub(crate) struct Draft {
    pub(crate) said: Said,
    /// The host was away: its sockets go on now.
    pub(crate) wake: bool,
    /// It may not know since when we are away: those that have been idle are heard as well.
    pub(crate) idle: bool,
    /// An address removed now may have been somebody else's already.
    pub(crate) doubt: bool,
    pub(crate) sets: Sets,
    former: [Entry; FORMER],
    formers: usize,
}

impl Draft {
    /// Nothing.
    pub(crate) const EMPTY: Self = Self {
        said: Said::new(HostState::Up),
        wake: false,
        idle: false,
        doubt: false,
        sets: Sets::new(),
        former: [Entry::new(Addr::UNSPECIFIED); FORMER],
        formers: 0,
    };

    /// Begins with a host without addresses.
    pub(crate) fn clear(&mut self, said: Said) {
        self.said = said;
        self.wake = false;
        self.idle = false;
        self.doubt = false;
        self.sets.copy_from(Lists::EMPTY);
        self.formers = 0;
    }

    /// Begins with what is known.
    pub(crate) fn load(&mut self, view: &View) {
        self.said = view.said;
        self.wake = false;
        self.idle = false;
        self.doubt = false;
        self.sets.copy_from(view.lists());
        let former = view.former();
        self.formers = former.len().min(FORMER);
        self.former[..self.formers].copy_from_slice(&former[..self.formers]);
    }

    /// Remembers the local addresses of `before` that are no longer there.
    pub(crate) fn remember_former(&mut self, before: &View) {
        for entry in before.list(Role::Local) {
            let ours = self.sets.list(Role::Local);
            if has(ours, entry.addr) || has(&self.former[..self.formers], entry.addr) {
                continue;
            }
            self.former.rotate_right(1);
            self.former[0] = Entry::new(entry.addr);
            self.formers = FORMER.min(self.formers + 1);
        }
    }

    /// Gives what happens to addresses now its number. An address that was left, or was an alias, keeps its own.
    pub(crate) fn number(&mut self, before: &View, marks: &Marks) {
        let mut number = None;
        let mut next = || *number.get_or_insert_with(|| marks.next());
        let kept = |role, addr| before.lists().lookup(role, addr).map(|old| old.mark);
        for entry in self.sets.list_mut(Role::Local) {
            if entry.mark == Entry::NOW {
                let old = kept(Role::Local, entry.addr).filter(|mark| *mark != 0);
                entry.mark = old.unwrap_or_else(&mut next);
            }
        }
        for entry in self.sets.list_mut(Role::Active) {
            if entry.mark == Entry::NOW {
                entry.mark = next();
            }
        }
        // An unreachable address keeps the mark that it had before, whatever its role was.
        for entry in self.sets.list_mut(Role::Unreachable) {
            let before = kept(Role::Unreachable, entry.addr)
                .or_else(|| kept(Role::Active, entry.addr))
                .or_else(|| kept(Role::Alias, entry.addr));
            entry.mark = before.unwrap_or_else(&mut next);
        }
        let doubt = self.doubt;
        for entry in self.sets.list_mut(Role::Alias) {
            let said = || kept(Role::Active, entry.addr).filter(|_| doubt);
            let before = kept(Role::Alias, entry.addr)
                .or_else(|| kept(Role::Unreachable, entry.addr))
                .or_else(said);
            entry.mark = before.unwrap_or_else(&mut next);
        }
    }

    /// The view that follows `before`; does not sleep.
    pub(crate) fn view(&self, before: &View) -> Result<Owned<View>> {
        let former = &self.former[..self.formers];
        View::new(self.said, self.sets.lists(), former, Some(before), true)
    }
}
