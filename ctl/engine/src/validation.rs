// SPDX-License-Identifier: GPL-2.0
//! At which of its addresses a peer has shown that it hears us (RFC 9000 section 8.2: path validation).
//!
//! A signed message says that its sender has an address, not that somebody hears us there: who has a key can forge a
//! source. The addresses of a peer are used as soon as they are announced, so that a move takes two messages and no
//! longer than half a round trip; but one at which the peer has not yet shown that it hears us is unvalidated. It is asked
//! there after a while, or sooner when much is sent to it and nothing comes back (RFC 9000 sections 8.2 and 9.3 ask at
//! once, in packets that are sent anyway). Who does not answer loses the address, and has to prove the next ones
//! first.

use ihmp_core::addr::{Addr, Scope};
use ihmp_core::credit::LOW;
use ihmp_core::time::{Duration, Instant};

use crate::endpoint::Endpoint;
use crate::io::Traffic;
use crate::limits::{Limits, AMPLIFICATION, FLOOD};
use crate::peer::Peer;
use crate::prefix::is_connected;
use crate::probe::Probes;
use crate::suspicion::Suspicions;
use crate::world::World;

/// An address of the peer at which it has not shown yet that it hears us.
#[derive(Clone, Debug)]
struct Unvalidated {
    addr: Addr,
    /// Our address that it announced it to.
    local: Addr,
    /// Packets to and from the host when it was announced.
    base: Option<(u64, u64)>,
    /// When the kernel is asked what passed since.
    look_at: Option<Instant>,
    /// When it is probed; `None` while it is.
    probe_at: Option<Instant>,
    /// It was probed already.
    probed: bool,
    /// The peer came back there while it was probed, and the probe began again; once.
    renewed: bool,
    /// Until the next try, when it did not answer.
    pause: Duration,
    failed: bool,
    /// It was used, and the path to it failed: that it does not answer says nothing of its honesty.
    lost: bool,
    /// It did not answer, and the kernel is asked whether it is there all the same.
    doubted: bool,
    /// As long as its agent may be gone.
    until: Instant,
}

impl Unvalidated {
    /// One that was announced now.
    fn new(addr: Addr, local: Addr, world: &mut World) -> Unvalidated {
        Unvalidated {
            addr,
            local,
            base: None,
            look_at: Some(world.now),
            probe_at: Some(
                world
                    .now
                    .after(world.jitter(world.limits.validation.probe_after)),
            ),
            probed: false,
            renewed: false,
            pause: world.limits.requests.retry_first,
            failed: false,
            lost: false,
            doubted: false,
            until: world.now.after(world.limits.validation.distrust),
        }
    }

    /// One at which the peer did not answer, and where it is asked again.
    fn again(addr: Addr, local: Addr, world: &mut World) -> Unvalidated {
        Unvalidated {
            look_at: None,
            probe_at: Some(
                world
                    .now
                    .after(world.jitter(world.limits.requests.retry_first)),
            ),
            failed: true,
            until: world.now,
            ..Unvalidated::new(addr, local, world)
        }
    }
}

/// Whether a time has come.
fn is_due(at: Option<Instant>, now: Instant) -> bool {
    at.is_some_and(|at| at <= now)
}

/// The addresses of a peer at which it has shown that it hears us, and those at which it has yet to.
#[derive(Debug)]
pub(crate) struct Validation {
    validated: Vec<Addr>,
    unvalidated: Vec<Unvalidated>,
    /// It was not where it said it was: until then it has to prove its addresses first.
    distrusted_until: Option<Instant>,
    probes: Probes,
    /// Paths that are being checked.
    suspicions: Suspicions,
}

impl Validation {
    pub(crate) fn new(limits: &Limits) -> Validation {
        Validation {
            validated: Vec::new(),
            unvalidated: Vec::new(),
            distrusted_until: None,
            probes: Probes::new(limits.validation.probes),
            suspicions: Suspicions::default(),
        }
    }

    /// Probes on their way.
    pub(crate) fn probes(&self) -> &Probes {
        &self.probes
    }

    /// The same, to send some.
    pub(crate) fn probes_mut(&mut self) -> &mut Probes {
        &mut self.probes
    }

    /// Paths that are being checked.
    pub(crate) fn suspicions(&self) -> &Suspicions {
        &self.suspicions
    }

    /// The same, to check more.
    pub(crate) fn suspicions_mut(&mut self) -> &mut Suspicions {
        &mut self.suspicions
    }

    /// What is known of an address that is not validated.
    fn of(&mut self, addr: Addr) -> Option<&mut Unvalidated> {
        self.unvalidated.iter_mut().find(|other| other.addr == addr)
    }

    fn has_failed(&self, addr: Addr) -> bool {
        let failed = |other: &Unvalidated| other.addr == addr && other.failed;
        self.unvalidated.iter().any(failed)
    }

    fn is_tried(&self, addr: Addr) -> bool {
        self.unvalidated.iter().any(|other| other.addr == addr)
    }

    /// The peer has shown that it hears what is sent there.
    pub(crate) fn validate(&mut self, addr: Addr) {
        if self.has_failed(addr) {
            // It was there, and its answers were lost.
            self.distrusted_until = None;
        }
        self.forget(addr);
        if !self.validated.contains(&addr) {
            self.validated.push(addr);
        }
    }

    /// It need not be asked there any more.
    pub(crate) fn forget(&mut self, addr: Addr) {
        self.unvalidated.retain(|other| other.addr != addr);
    }

    /// Whether the peer has shown that it hears us there.
    pub(crate) fn is_validated(&self, addr: Addr) -> bool {
        self.validated.contains(&addr)
    }

    /// Whether it has shown so anywhere.
    pub(crate) fn has_any(&self) -> bool {
        !self.validated.is_empty()
    }

    /// Addresses that the peer has, and at which it has shown that it hears us; behind no NAT.
    pub(crate) fn validated(&self, peer: &Peer) -> Vec<Addr> {
        let has = peer.has();
        has.filter(|addr| self.is_validated(*addr)).collect()
    }

    /// Addresses at which the peer has not shown that it hears us: active ones, and those where it was asked and did not answer.
    pub(crate) fn unvalidated(&self, peer: &Peer) -> Vec<Addr> {
        let mut known = [peer.active(), peer.unreachable()].concat();
        known.retain(|addr| self.is_tried(*addr));
        known
    }

    /// The peer was seen to send from there, to `local`, which proves nothing. Saying so again puts no question off. But a
    /// question that it may not have heard, since it was elsewhere, is asked anew.
    pub(crate) fn try_out(&mut self, addr: Addr, local: Addr, world: &mut World) {
        if self.is_validated(addr) {
            return;
        }
        let asked = self.probes.asks(addr);
        let Some(tried) = self.of(addr) else {
            self.unvalidated.push(Unvalidated::new(addr, local, world));
            return;
        };
        if !tried.failed && !tried.renewed && asked {
            (tried.renewed, tried.probe_at) = (true, Some(world.now));
            self.probes.end_asking(addr);
        }
    }

    /// The host did not answer at this address of it, which it announced to `local`, and is asked there again.
    pub(crate) fn ask_again(&mut self, addr: Addr, local: Addr, world: &mut World) {
        self.unvalidated
            .push(Unvalidated::again(addr, local, world));
    }

    /// The path to this address of the host failed, which is asked there again.
    pub(crate) fn lose(&mut self, addr: Addr, local: Addr, world: &mut World) {
        self.forget(addr);
        self.unvalidated.push(Unvalidated {
            lost: true,
            ..Unvalidated::again(addr, local, world)
        });
    }

    /// The host is at no address that we know of: it is asked at each that it said it has, and that is not a private one. False
    /// when there is none.
    pub(crate) fn ask_everywhere(&mut self, peer: &Peer, local: Addr, world: &mut World) -> bool {
        // Among them are those where it did not answer before.
        self.unvalidated.clear();
        let public = |addr: &&Addr| addr.scope() != Scope::Private;
        for addr in peer.unreachable().iter().filter(public) {
            self.ask_again(*addr, local, world);
        }
        !self.unvalidated.is_empty()
    }

    /// Whether a message from there, where it has not been proven, has to wait for the proof. `keyed` says that the peer has a
    /// key: without one it may not have been the peer that was not where it said. `copied` says that one of two is a copy.
    pub(crate) fn must_prove(&self, addr: Addr, keyed: bool, copied: bool, now: Instant) -> bool {
        let distrusted = self.distrusted_until.is_some_and(|until| until > now) && keyed;
        !self.is_validated(addr) && (distrusted || copied || self.has_failed(addr))
    }

    /// From now on it has to prove its addresses before they are used.
    pub(crate) fn distrust(&mut self, world: &World) {
        self.distrusted_until = Some(world.now.after(world.limits.validation.distrust));
    }

    /// The addresses of the peer changed, or ours: what is asked about them. It may be looked for in networks that we share if
    /// it takes part.
    pub(crate) fn review(&mut self, peer: &Peer, takes_part: bool, world: &World) {
        self.unvalidated.retain(|other| peer.is_at(other.addr));
        // The answers go where we are no more; that says nothing about the peer. It is asked again from where we are.
        let gone = self.probes.review(peer, world);
        for other in &mut self.unvalidated {
            if gone.contains(&other.addr) {
                other.probe_at = other.probe_at.or(Some(world.now));
            }
        }
        self.validated.retain(|addr| peer.knows(*addr));
        let is_path = |(here, there)| world.own.has(here) && peer.is_active(there);
        for family in self.suspicions.review(is_path) {
            self.probes.end_paths(family);
        }
        let may = takes_part && self.probes.has_room();
        let seeks = may && self.next_sought(peer, world).is_some();
        self.probes.seek(seeks, world);
    }

    /// A private address that the peer says it has, in a network that we are connected to as well: the two may reach
    /// each other there and nobody else ([DIME-IFIP] section IV-C).
    pub(crate) fn next_sought(&self, peer: &Peer, world: &World) -> Option<(Addr, Addr)> {
        let open = |there: &&Addr| {
            there.scope() == Scope::Private
                && !self.is_tried(**there)
                && !self.probes.is_out_to(**there)
        };
        for there in peer.unreachable().iter().filter(open) {
            for (here, len) in world.own.connected() {
                let pair = (*here, *there);
                let ours = world.own.has(*here) && !world.own.has(*there);
                if ours && is_connected(*here, *there, *len) && !self.probes.has_sought(pair) {
                    return Some(pair);
                }
            }
        }
        None
    }

    /// When something is to be done.
    pub(crate) fn next(&self) -> Option<Instant> {
        let others = self.unvalidated.iter();
        let others = others.flat_map(|other| [other.look_at, other.probe_at]);
        let others = others.flatten().chain(self.probes.next());
        others.chain(self.suspicions.next()).min()
    }

    /// Nothing is asked any more.
    pub(crate) fn clear(&mut self) {
        self.unvalidated.clear();
        self.probes.clear();
        self.suspicions.clear();
    }

    /// Whether it is time to ask the kernel what passed.
    pub(crate) fn take_looks(&mut self, now: Instant) -> bool {
        let mut due = false;
        for other in &mut self.unvalidated {
            if is_due(other.look_at, now) {
                (other.look_at, due) = (None, true);
            }
        }
        due
    }

    /// Addresses that are to be probed now.
    pub(crate) fn due(&self, now: Instant) -> Vec<Addr> {
        let due = self.unvalidated.iter();
        let due = due.filter(|other| is_due(other.probe_at, now));
        due.map(|other| other.addr).collect()
    }

    /// From where an address is to be probed now: from where it was announced to, if that `reaches` it, or from another one.
    /// `None` when it cannot be now.
    pub(crate) fn begin(
        &mut self,
        addr: Addr,
        reaches: impl Fn(Addr) -> bool,
        other: Option<Addr>,
        world: &World,
    ) -> Option<Addr> {
        let may = self.probes.may_begin(world);
        let next = self.probes.ready_at(world);
        let tried = self.of(addr)?;
        let Some(from) = Some(tried.local).filter(|local| reaches(*local)).or(other) else {
            // Nobody could hear us now; that says nothing about the peer.
            tried.probe_at = Some(world.now.after(tried.pause));
            return None;
        };
        tried.probe_at = (!may).then_some(next);
        if !may {
            return None;
        }
        (tried.look_at, tried.probed) = (None, true);
        Some(from)
    }

    /// Nobody answered at this address, the only one. True when the kernel is to be asked whether the connections of the peer
    /// go on, since only its agent may be gone.
    pub(crate) fn doubt(&mut self, addr: Addr, again: Instant, now: Instant) -> bool {
        let tried = self.of(addr);
        let tried = tried.filter(|tried| !tried.failed && !tried.doubted && now < tried.until);
        let doubts = tried.is_some();
        if let Some(tried) = tried {
            (tried.doubted, tried.probe_at) = (true, Some(again));
        }
        doubts
    }

    /// What the kernel says of an address that did not answer; the address, if it is to be given up. At least a third as much
    /// has to come from there as goes there, since it was last asked about: whoever forges that could send it to his victim
    /// himself.
    pub(crate) fn judge(&mut self, traffic: Traffic, world: &mut World) -> Option<Addr> {
        let most = world.limits.requests.retry_last;
        let now = world.now;
        let mut doubted = self.unvalidated.iter_mut();
        let tried = doubted.find(|other| other.doubted)?;
        tried.doubted = false;
        let now_at = (traffic.sent, traffic.received);
        let (sent, received) = tried.base.replace(now_at).unwrap_or(now_at);
        let sent = traffic.sent.saturating_sub(sent);
        let received = traffic.received.saturating_sub(received);
        if received > 0 && sent <= received.saturating_mul(AMPLIFICATION as u64) {
            tried.probe_at = Some(now.after(world.jitter(tried.pause)));
            tried.pause = tried.pause.saturating_mul(2).min(most);
            return None;
        }
        Some(tried.addr)
    }

    /// The peer has to show that it hears us there before the address is used. False when it has done so.
    pub(crate) fn fail(&mut self, addr: Addr, world: &mut World) -> bool {
        let now = world.now;
        let again = world.limits.requests.retry_last;
        let Some(tried) = self.of(addr) else {
            return false;
        };
        let lost = tried.lost;
        (tried.failed, tried.doubted) = (true, false);
        tried.probe_at = Some(now.after(world.jitter(tried.pause)));
        tried.pause = tried.pause.saturating_mul(2).min(again);
        if !lost {
            self.distrust(world);
        }
        true
    }

    /// What passed between the host and us, says the kernel. When we send much and nothing comes back, somebody may
    /// get what he did not ask for. Where the credit would not last, the peer is asked at once.
    pub(crate) fn look(&mut self, traffic: Traffic, world: &World) {
        let poor = traffic.flows > 0 && traffic.credit.is_none_or(|credit| credit < LOW);
        let (sent, received) = (traffic.sent, traffic.received);
        let next = world.now.after(world.limits.validation.look_after);
        for other in &mut self.unvalidated {
            if other.failed || other.probe_at.is_none() {
                continue;
            }
            if poor && !other.probed {
                other.probe_at = Some(world.now);
                continue;
            }
            if other.look_at.is_some() {
                continue;
            }
            match other.base {
                None => (other.base, other.look_at) = (Some((sent, received)), Some(next)),
                Some((_, before)) if received != before => (),
                Some((before, _)) if sent.saturating_sub(before) >= FLOOD => {
                    other.probe_at = Some(world.now);
                }
                Some(_) => other.look_at = Some(next),
            }
        }
    }

    /// Takes over what is known of the same peer under another entry.
    pub(crate) fn merge(&mut self, other: &Validation) {
        for addr in &other.validated {
            if !self.validated.contains(addr) {
                self.validated.push(*addr);
            }
        }
    }

    /// Somebody may have copied a message before a NAT changed it: its source is not one at which the peer is asked.
    pub(crate) fn restated(&mut self, source: Endpoint) {
        if source.is_behind() {
            self.forget(source.own);
        }
    }
}
