// SPDX-License-Identifier: GPL-2.0
//! How long a host without flows lasts.

use ihmp_core::time::Instant;

use crate::io::Traffic;
use crate::world::World;

/// When it is looked whether a host is still needed.
#[derive(Debug, Default)]
pub(crate) struct Lifetime {
    look_at: Option<Instant>,
}

impl Lifetime {
    /// When something is to be done.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.look_at
    }

    /// Starts what begins now and ends what is over; it lasts for ever unless it is `served`.
    pub(crate) fn review(&mut self, served: bool, world: &World) {
        let first = || world.now.after(world.limits.hosts.forget);
        self.look_at = served.then(|| self.look_at.unwrap_or_else(first));
    }

    /// Whether the kernel is to be asked for its flows.
    pub(crate) fn take_due(&mut self, world: &mut World) -> bool {
        let due = self.look_at.is_some_and(|at| at <= world.now);
        if due {
            self.look_at = Some(world.now.after(world.jitter(world.limits.hosts.forget)));
        }
        due
    }

    /// Whether nobody needs it any more; else when to look again.
    pub(crate) fn is_over(&mut self, traffic: Traffic, world: &World) -> bool {
        if traffic.flows > 0 || world.off {
            return false;
        }
        let left = world.limits.hosts.forget.saturating_sub(traffic.idle);
        let next = world.now.after(left);
        let planned = self.look_at.unwrap_or(next);
        self.look_at = Some(planned.min(next));
        traffic.idle >= world.limits.hosts.forget
    }
}
