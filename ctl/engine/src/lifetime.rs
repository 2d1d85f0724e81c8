// SPDX-License-Identifier: GPL-2.0
//! How long things last: a host without flows, a name that a host had, a host to which nothing leads.

use ihmp_core::addr::Addr;
use ihmp_core::time::Instant;

use crate::host::{Entry, Host};
use crate::io::{Change, Note, Output, State, Traffic};
use crate::world::World;

/// The times at which something of a host ends.
#[derive(Debug, Default)]
pub(crate) struct Lifetime {
    /// Former addresses of the peer, and until when they name it.
    alias: Vec<(Addr, Instant)>,
    /// When the kernel is asked for its flows.
    look_at: Option<Instant>,
    /// Until when its sockets wait for a path; `None` while there is one.
    lost_at: Option<Instant>,
    /// They do not wait any more.
    cut: bool,
}

impl Lifetime {
    /// When something is to be done.
    pub(crate) fn next(&self) -> Option<Instant> {
        let alias = self.alias.iter().map(|(_, until)| *until);
        let lost = self.lost_at.filter(|_| !self.cut);
        alias.chain(self.look_at).chain(lost).min()
    }
}

impl Host {
    /// Whether the kernel has it, it takes part and it is ours.
    fn is_served(&self) -> bool {
        let made = matches!(self.entry, Entry::Id(_));
        made && self.state == State::Up && !self.managed
    }

    /// Starts what begins now and ends what is over.
    pub(crate) fn review_lifetime(&mut self, world: &mut World) {
        let now = world.now;
        let until = now.after(world.limits.alias);
        let mut names = std::mem::take(&mut self.lifetime.alias);
        names.retain(|(addr, _)| self.alias.contains(addr));
        for addr in &self.alias {
            if !names.iter().any(|(known, _)| known == addr) {
                names.push((*addr, until));
            }
        }
        let over = |addr: &Addr| {
            names
                .iter()
                .any(|(known, until)| known == addr && *until <= now)
        };
        self.alias.retain(|addr| !over(addr));
        names.retain(|(_, until)| *until > now);
        self.lifetime.alias = names;

        if !self.is_served() {
            self.lifetime.look_at = None;
            self.lifetime.lost_at = None;
            return;
        }
        let look_at = self.lifetime.look_at;
        let first = || now.after(world.limits.forget);
        self.lifetime.look_at = Some(look_at.unwrap_or_else(first));
        if self.usable.is_empty() {
            let lost_at = now.after(world.limits.lost);
            let lost_at = *self.lifetime.lost_at.get_or_insert(lost_at);
            if lost_at <= now && !self.lifetime.cut {
                self.cut(true, world);
            }
        } else {
            self.lifetime.lost_at = None;
            if self.lifetime.cut {
                self.cut(false, world);
            }
        }
    }

    fn cut(&mut self, cut: bool, world: &mut World) {
        let Entry::Id(id) = self.entry else {
            return;
        };
        self.lifetime.cut = cut;
        if cut {
            world.note(Note::Disconnected { peer: self.name() });
        }
        let change = Change::Cut { id, cut };
        world.outputs.push_back(Output::Table(change));
    }

    /// Asks the kernel for the flows of the host when it is time.
    pub(crate) fn look_due(&mut self, world: &mut World) {
        let due = self.lifetime.look_at.is_some_and(|at| at <= world.now);
        let Entry::Id(id) = self.entry else {
            return;
        };
        if due {
            self.lifetime.look_at = Some(world.now.after(world.jitter(world.limits.forget)));
            world.outputs.push_back(Output::Look(id));
        }
    }

    /// Whether nobody needs the host any more; else when to look again.
    pub(crate) fn is_over(&mut self, traffic: Traffic, world: &World) -> bool {
        if !self.is_served() || traffic.flows > 0 {
            return false;
        }
        let left = world.limits.forget.saturating_sub(traffic.idle);
        let next = world.now.after(left);
        let planned = self.lifetime.look_at.unwrap_or(next);
        self.lifetime.look_at = Some(planned.min(next));
        traffic.idle >= world.limits.forget
    }
}
