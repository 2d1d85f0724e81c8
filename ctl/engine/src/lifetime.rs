// SPDX-License-Identifier: GPL-2.0
//! How long a host without flows lasts.

use ihmp_core::time::Instant;

use crate::host::{Entry, Host};
use crate::io::{Output, State, Traffic};
use crate::world::World;

/// The times at which something of a host ends.
#[derive(Debug, Default)]
pub(crate) struct Lifetime {
    /// When the kernel is asked for its flows.
    look_at: Option<Instant>,
}

impl Lifetime {
    /// When something is to be done.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.look_at
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
        self.peer.expire(now, now.after(world.limits.alias));
        if !self.is_served() {
            self.lifetime.look_at = None;
            return;
        }
        let look_at = self.lifetime.look_at;
        let first = || now.after(world.limits.forget);
        self.lifetime.look_at = Some(look_at.unwrap_or_else(first));
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
        if !self.is_served() || traffic.flows > 0 || world.off {
            return false;
        }
        let left = world.limits.forget.saturating_sub(traffic.idle);
        let next = world.now.after(left);
        let planned = self.lifetime.look_at.unwrap_or(next);
        self.lifetime.look_at = Some(planned.min(next));
        traffic.idle >= world.limits.forget
    }
}
