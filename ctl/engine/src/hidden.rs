// SPDX-License-Identifier: GPL-2.0
//! Own addresses in front of which a peer sees a NAT.
//!
//! Where the NAT knows nothing of IHMP, such an address is of no use to the peer: what is said from there is heard, but
//! nothing can be moved there. Where it does, its memory of our port has to be kept alive.

use ihmp_core::addr::{Addr, Scope};
use ihmp_core::message::{Control, Options};
use ihmp_core::time::Instant;

use crate::endpoint::Endpoint;
use crate::engine::Engine;
use crate::host::{Entry, Host, Standing};
use crate::io::{Change, Key, Output, Refusal, State, Traffic};
use crate::note::Note;
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

impl Host {
    /// Whether the peer sees a NAT in front of this address of ours that makes it useless.
    pub(crate) fn is_hidden(&self, addr: Addr) -> bool {
        self.hidden.addrs.contains(&addr)
    }

    /// Whether there will be a NAT in front of this address: a private one, and neither the peer's are nor the one by which
    /// it knows us. Until the peer has said what it sees, nothing else leaves from there: what has no port mapping yet, or
    /// never gets one, would be answered by a reset.
    pub(crate) fn awaits_nat(&self, addr: Addr) -> bool {
        let theirs = self
            .peer
            .reach()
            .filter(|peer| peer.family() == addr.family());
        let mut theirs = theirs.peekable();
        let private = |addr: Addr| addr.scope() == Scope::Private;
        self.state == State::Up
            && private(addr)
            && self.anchor.is_some_and(|anchor| !private(anchor))
            && theirs.peek().is_some()
            && !theirs.any(private)
    }

    /// The peer saw one in front of it.
    pub(crate) fn hide(&mut self, addr: Addr) {
        if !self.is_hidden(addr) {
            self.hidden.addrs.push(addr);
        }
    }

    /// Takes what an ACK says of a NAT between the two.
    pub(crate) fn note_nat(&mut self, received: &Received<'_>) {
        let Received { to, message, .. } = *received;
        if message.options.has(Options::NAT_DETECTED) {
            self.hide(to);
            self.hidden.forces |= self.state == State::New;
        }
    }

    /// The peer wants to see that we hear it; where there is a NAT, at this very address.
    pub(crate) fn owe_answer(&mut self, received: &Received<'_>) {
        let detected = received.message.options.has(Options::NAT_DETECTED);
        if detected || received.is_supported() {
            self.hidden.answer = Some((received.to, received.endpoint));
        }
    }

    /// The peer acknowledged what was sent from here.
    pub(crate) fn acknowledged(&mut self, addr: Addr, detected: bool) {
        if detected {
            self.tell(addr, Standing::Unreachable);
            return;
        }
        self.hidden.addrs.retain(|hidden| *hidden != addr);
        self.confirm(addr);
    }

    /// Whether somebody waits for a greeting that shows that we hear him.
    pub(crate) fn owes_answer(&self) -> bool {
        self.hidden.answer.is_some()
    }

    /// The address from which it is due, if that can be used.
    pub(crate) fn answers_from(&self) -> Option<Addr> {
        let (from, _) = self.hidden.answer?;
        Some(from).filter(|from| self.is_usable(*from))
    }

    /// Where a new request from there goes, if it is that greeting.
    pub(crate) fn answers_to(&mut self, control: Control, from: Addr) -> Option<Endpoint> {
        let answer = &mut self.hidden.answer;
        let due = answer.take_if(|(due, _)| control == Control::Hello && *due == from);
        due.map(|(_, to)| to)
    }

    /// What a request says of NATs in front of us.
    pub(crate) fn greeting_options(&self, control: Control) -> Options {
        let forces = self.hidden.forces && self.state == State::New;
        match control == Control::Hello && forces {
            true => Options::NAT_FORCED,
            false => Options::NONE,
        }
    }

    /// Our addresses or routes changed: what was seen in front of those that are gone counts no more.
    pub(crate) fn review_hidden(&mut self) {
        let usable: Vec<Addr> = self.usable.iter().map(|via| via.local).collect();
        let hidden = &mut self.hidden;
        hidden.addrs.retain(|addr| usable.contains(addr));
        hidden.kept.retain(|kept| usable.contains(&kept.addr));
        hidden.answer.take_if(|(from, _)| !usable.contains(from));
    }

    /// Usable addresses from which the peer hears us, though nothing else is of use there.
    pub(crate) fn heard_from(&self) -> Option<Addr> {
        let mut usable = self.usable.iter().map(|via| via.local);
        usable.find(|addr| self.is_hidden(*addr) && self.peer.speaks(addr.family()))
    }

    /// A NAT that knows IHMP let an ACK through, or none did: its memory of our port is kept alive, or need not be.
    pub(crate) fn keep(&mut self, received: &Received<'_>, world: &mut World) {
        let addr = received.to;
        let kept = &mut self.hidden.kept;
        kept.retain(|kept| kept.addr != addr);
        if received.is_supported() && !received.message.options.has(Options::NAT_DETECTED) {
            let due = world.now.after(world.jitter(world.limits.keep));
            kept.push(Kept {
                addr,
                due,
                asked: false,
            });
        }
    }

    /// When the next one is due.
    pub(crate) fn next_kept(&self) -> Option<Instant> {
        self.hidden.kept.iter().map(|kept| kept.due).min()
    }

    /// Asks the kernel whether there is still anything to keep a port for.
    pub(crate) fn keep_due(&mut self, world: &mut World) {
        let now = world.now;
        let mut look = false;
        for kept in &mut self.hidden.kept {
            if kept.due <= now {
                kept.due = now.after(world.jitter(world.limits.keep));
                (kept.asked, look) = (true, true);
            }
        }
        if let (true, Entry::Id(id)) = (look, self.entry) {
            world.outputs.push_back(Output::Look(id));
        }
    }

    /// The result of the traffic query that `keep_due` started.
    pub(crate) fn keep_looked(&mut self, traffic: Traffic, world: &mut World) {
        let mut asked = Vec::new();
        for kept in &mut self.hidden.kept {
            if std::mem::take(&mut kept.asked) {
                asked.push(kept.addr);
            }
        }
        if traffic.flows == 0 || self.managed || self.state != State::Up {
            return;
        }
        for from in asked {
            let to = self.targets(from, Control::PathProbe, world);
            let to = to.iter().find(|to| self.peer.is_active(to.own));
            if let Some(to) = to.filter(|_| self.validation.probes().may_begin(world)) {
                self.probe(from, to.own, true, world);
            }
        }
    }

    /// Whether it was left classic because of an address of ours that is gone.
    pub(crate) fn is_released(&self, world: &World) -> bool {
        let at = self.hidden.classic;
        self.state == State::Classic && at.is_some_and(|at| !world.is_real(at))
    }
}

impl Engine {
    /// A new host says that it hears us from behind a NAT. What began there cannot be moved: when it has heard as much,
    /// it is left alone.
    pub(crate) fn unwanted(&mut self, key: Key, received: &Received<'_>) -> Result<(), Refusal> {
        let Received {
            from,
            endpoint,
            to,
            message,
            ..
        } = *received;
        self.received(received);
        let Some(host) = self.hosts.get_mut(&key) else {
            return Err(Refusal::UnknownHost);
        };
        let world = &mut self.world;
        let knows = host.hidden.forces;
        let Some(request) = host.take_acknowledged(message.seqno, endpoint, to) else {
            return Err(Refusal::UnexpectedAck);
        };
        host.time(&request, from, world);
        host.note_nat(received);
        if knows {
            host.drop_requests(world, |_, _| true);
            host.state = State::Classic;
            host.hidden.classic = Some(to);
            world.note(Note::Classic {
                peer: from,
                reason: "nat",
            });
        } else {
            host.request(world, Control::Hello, to, None, None);
        }
        self.settle(key);
        Ok(())
    }

    /// Forgets a host that was left classic because of where we were.
    pub(crate) fn release(&mut self, key: Key) {
        let Some(host) = self.hosts.get(&key) else {
            return;
        };
        if !host.is_released(&self.world) {
            return;
        }
        if let Entry::Id(id) = host.entry {
            let change = Change::Del { id };
            self.world.outputs.push_back(Output::Table(change));
        }
        self.remove(key, "network-changed");
    }
}
