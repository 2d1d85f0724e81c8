// SPDX-License-Identifier: GPL-2.0
//! Own addresses in front of which a peer sees a NAT.
//!
//! Where the NAT knows nothing of IHMP, such an address is of no use to the peer: what is said from there is heard, but
//! nothing can be moved there. Where it does, its memory of our port has to be kept alive.

use ihmp_core::addr::Addr;
use ihmp_core::message::Options;
use ihmp_core::time::Instant;

use crate::endpoint::Endpoint;
use crate::received::Received;
use crate::world::World;

/// An own address whose port a NAT remembers as long as something is sent from it.
#[derive(Clone, Copy, Debug)]
struct Kept {
    addr: Addr,
    due: Instant,
    /// The kernel was asked whether there is anything to keep it for.
    asked: bool,
}

/// What a peer says of NATs in front of us.
#[derive(Debug, Default)]
pub(crate) struct Hidden {
    /// Own addresses behind one that knows nothing of IHMP.
    addrs: Vec<Addr>,
    /// Own addresses behind one that does.
    kept: Vec<Kept>,
    /// Who wants to see that we hear it there, and from where we answer.
    answer: Option<(Addr, Endpoint)>,
    /// The host is greeted with NF.
    forces: bool,
    /// Where we were when it was left classic.
    classic: Option<Addr>,
}

impl Hidden {
    /// Whether the peer sees a NAT in front of this address of ours that makes it useless.
    pub(crate) fn has(&self, addr: Addr) -> bool {
        self.addrs.contains(&addr)
    }

    /// The peer saw one in front of it.
    pub(crate) fn hide(&mut self, addr: Addr) {
        if !self.has(addr) {
            self.addrs.push(addr);
        }
    }

    /// It sees none in front of it.
    pub(crate) fn show(&mut self, addr: Addr) {
        self.addrs.retain(|hidden| *hidden != addr);
    }

    /// Takes what an ACK says of a NAT between the two; from a `new` host, it is greeted accordingly.
    pub(crate) fn note(&mut self, received: &Received<'_>, new: bool) {
        if received.message.options.has(Options::NAT_DETECTED) {
            self.hide(received.to);
            self.forces |= new;
        }
    }

    /// Whether a new host is greeted with NF.
    pub(crate) fn forces(&self) -> bool {
        self.forces
    }

    /// The peer wants to see that we hear it; where there is a NAT, at this very address.
    pub(crate) fn owe_answer(&mut self, received: &Received<'_>) {
        let detected = received.message.options.has(Options::NAT_DETECTED);
        if detected || received.is_supported() {
            self.answer = Some((received.to, received.endpoint));
        }
    }

    /// The address from which a greeting is due that shows that we hear the peer.
    pub(crate) fn answers_from(&self) -> Option<Addr> {
        self.answer.map(|(from, _)| from)
    }

    /// Where a new greeting from there goes, if it is that one.
    pub(crate) fn take_answer(&mut self, from: Addr) -> Option<Endpoint> {
        let due = self.answer.take_if(|(due, _)| *due == from);
        due.map(|(_, to)| to)
    }

    /// What was seen in front of addresses that cannot be used any more does not count.
    pub(crate) fn review(&mut self, is_usable: impl Fn(Addr) -> bool) {
        self.addrs.retain(|addr| is_usable(*addr));
        self.kept.retain(|kept| is_usable(kept.addr));
        self.answer.take_if(|(from, _)| !is_usable(*from));
    }

    /// A NAT that knows IHMP let an ACK through, or none did: its memory of our port is kept alive, or need not be.
    pub(crate) fn keep(&mut self, received: &Received<'_>, world: &mut World) {
        let addr = received.to;
        self.kept.retain(|kept| kept.addr != addr);
        if received.is_supported() && !received.message.options.has(Options::NAT_DETECTED) {
            let due = world.now.after(world.jitter(world.limits.nats.keep));
            self.kept.push(Kept {
                addr,
                due,
                asked: false,
            });
        }
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.kept.iter().map(|kept| kept.due).min()
    }

    /// Whether the kernel is to be asked whether there is still anything to keep a port for.
    pub(crate) fn take_due(&mut self, world: &mut World) -> bool {
        let now = world.now;
        let mut look = false;
        for kept in &mut self.kept {
            if kept.due <= now {
                kept.due = now.after(world.jitter(world.limits.nats.keep));
                (kept.asked, look) = (true, true);
            }
        }
        look
    }

    /// Own addresses for which it was asked that.
    pub(crate) fn take_asked(&mut self) -> Vec<Addr> {
        let mut asked = Vec::new();
        for kept in &mut self.kept {
            if std::mem::take(&mut kept.asked) {
                asked.push(kept.addr);
            }
        }
        asked
    }

    /// The host was left classic because of what is in front of this address.
    pub(crate) fn leave_classic(&mut self, at: Addr) {
        self.classic = Some(at);
    }

    /// Whether that address is gone.
    pub(crate) fn is_released(&self, world: &World) -> bool {
        self.classic.is_some_and(|at| !world.own.is_real(at))
    }
}
