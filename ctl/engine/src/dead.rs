// SPDX-License-Identifier: GPL-2.0
//! Own addresses that are there, and from which the peer cannot be reached: nothing came back, and from another one it did.

use ihmp_core::addr::Addr;
use ihmp_core::time::{Duration, Instant};

use crate::world::World;

/// Least pause before such an address is announced again.
const PAUSE: Duration = Duration::from_secs(1);
/// The pause is this part of the time for which it has been dead, so that it is used again soon.
const PART: u64 = 4;

/// An own address from which the peer cannot be reached.
#[derive(Clone, Copy, Debug)]
struct Dead {
    addr: Addr,
    since: Instant,
    /// When it is announced again; `None` while it is.
    again: Option<Instant>,
}

/// Own addresses from which a peer cannot be reached.
#[derive(Debug, Default)]
pub(crate) struct DeadSources(Vec<Dead>);

impl DeadSources {
    /// Whether this is one that is not being announced again.
    pub(crate) fn has(&self, addr: Addr) -> bool {
        let mut all = self.0.iter();
        all.any(|dead| dead.addr == addr && dead.again.is_some())
    }

    /// This is one from now on.
    pub(crate) fn add(&mut self, addr: Addr, world: &mut World) {
        let again = world.now.after(world.jitter(PAUSE));
        self.0.retain(|dead| dead.addr != addr);
        self.0.push(Dead {
            addr,
            since: world.now,
            again: Some(again),
        });
    }

    /// Nothing came back when it was announced again. True when it was one.
    pub(crate) fn fail(&mut self, addr: Addr, world: &mut World) -> bool {
        let Some(dead) = self.0.iter_mut().find(|dead| dead.addr == addr) else {
            return false;
        };
        let most = world.limits.requests.retry_last;
        let part = world.now.since(dead.since).as_nanos() / PART;
        let pause = Duration::from_nanos(part).max(PAUSE).min(most);
        dead.again = Some(world.now.after(world.jitter(pause)));
        true
    }

    /// Those that are to be announced again now.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<Addr> {
        let mut due = Vec::new();
        for dead in &mut self.0 {
            if dead.again.take_if(|at| *at <= now).is_some() {
                due.push(dead.addr);
            }
        }
        due
    }

    /// Forgets those that are no addresses of this machine any more, and those that the peer has confirmed: these are given back, with
    /// the time for which they were dead.
    pub(crate) fn review(
        &mut self,
        is_ours: impl Fn(Addr) -> bool,
        is_confirmed: impl Fn(Addr) -> bool,
        now: Instant,
    ) -> Vec<(Addr, Duration)> {
        self.0.retain(|dead| is_ours(dead.addr));
        let back = |dead: &Dead| dead.again.is_none() && is_confirmed(dead.addr);
        let (back, rest): (Vec<Dead>, Vec<Dead>) = self.0.iter().partition(|dead| back(dead));
        self.0 = rest;
        let back = back.iter();
        back.map(|dead| (dead.addr, now.since(dead.since)))
            .collect()
    }

    /// When something is to be done.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.iter().filter_map(|dead| dead.again).min()
    }
}
