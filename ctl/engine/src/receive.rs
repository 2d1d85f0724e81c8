// SPDX-License-Identifier: GPL-2.0
//! What a message changes.

use ihmp_core::addr::Addr;
use ihmp_core::message::{Control, Message, Options};

use crate::authenticate::Signer;
use crate::engine::Engine;
use crate::host::{Claims, Host, Standing};
use crate::io::{Key, Note, Refusal, State};
use crate::leg::Leg;
use crate::seqno::{Class, AHEAD};
use crate::world::World;

/// A received message with its addresses.
#[derive(Clone, Copy)]
pub(crate) struct Received<'a> {
    pub(crate) from: Addr,
    pub(crate) to: Addr,
    pub(crate) octets: usize,
    pub(crate) message: Message<'a>,
    /// Who vouches for it; nobody, when there is none.
    pub(crate) signer: Option<Signer>,
}

impl<'a> Received<'a> {
    /// Checks all that needs no host.
    fn new(world: &World, from: Addr, to: Addr, bytes: &'a [u8]) -> Result<Received<'a>, Refusal> {
        let message = Message::parse(bytes).map_err(Refusal::Malformed)?;
        if !from.translatable() || from.family() != to.family() {
            return Err(Refusal::NotUnicast);
        }
        if world.local.contains(&from) {
            return Err(Refusal::OwnAddress);
        }
        if !world.local.contains(&to) {
            return Err(Refusal::NotOurs);
        }
        let believed = message
            .addresses
            .as_slice()
            .first()
            .ok_or(Refusal::Payload)?;
        if *believed != from {
            return Err(Refusal::NatDetected);
        }
        if !message.host.translatable() {
            return Err(Refusal::Payload);
        }
        Ok(Received {
            from,
            to,
            octets: bytes.len(),
            message,
            signer: None,
        })
    }

    /// The addresses after the first `skip` ones.
    pub(crate) fn after(&self, skip: usize) -> &[Addr] {
        self.message.addresses.as_slice().get(skip..).unwrap_or(&[])
    }
}

/// What a change announces.
struct Announced {
    /// Its source becomes active.
    proves: bool,
    /// An address that becomes unreachable.
    unreachable: Option<Addr>,
    /// The address that is gone.
    old: Option<Addr>,
    /// Addresses before the list of the others.
    fixed: usize,
}

impl Announced {
    /// Reads the fixed part of the payload of a request.
    fn new(received: &Received<'_>) -> Result<Announced, Refusal> {
        let at = |index: usize| {
            received
                .after(index)
                .first()
                .copied()
                .ok_or(Refusal::Payload)
        };
        let own = |addr: Addr| {
            if addr == received.from {
                Ok(())
            } else {
                Err(Refusal::Payload)
            }
        };
        let announced = match received.message.control {
            Control::AddrUp => {
                own(at(1)?)?;
                Announced {
                    proves: true,
                    unreachable: None,
                    old: None,
                    fixed: 2,
                }
            }
            Control::AddrUpUnreachable => Announced {
                proves: false,
                unreachable: Some(at(1)?),
                old: None,
                fixed: 2,
            },
            Control::AddrDown | Control::AddrDownUnreachable => Announced {
                proves: false,
                unreachable: None,
                old: Some(at(1)?),
                fixed: 2,
            },
            Control::Handoff => {
                own(at(1)?)?;
                Announced {
                    proves: true,
                    unreachable: None,
                    old: Some(at(2)?),
                    fixed: 3,
                }
            }
            Control::HandoffUnreachable => Announced {
                proves: false,
                unreachable: Some(at(1)?),
                old: Some(at(2)?),
                fixed: 3,
            },
            other => return Err(Refusal::Unsupported(other)),
        };
        if announced.unreachable == Some(received.from) || announced.old == Some(received.from) {
            return Err(Refusal::Payload);
        }
        Ok(announced)
    }
}

impl Engine {
    /// A datagram came.
    pub(crate) fn receive(&mut self, from: Addr, to: Addr, bytes: &[u8]) {
        let outcome = Received::new(&self.world, from, to, bytes).and_then(|mut received| {
            let control = received.message.control;
            match control {
                Control::RouterAck => return self.router_ack(&received, bytes),
                Control::NatEntry => return Err(Refusal::Unsupported(control)),
                _ => (),
            }
            let now = self.world.now;
            if control == Control::Hello && !self.world.hello_prefix.take(from, now) {
                return Err(Refusal::Rate);
            }
            received.signer = self.authenticate(&received, bytes)?;
            match control {
                Control::Hello => self.hello(&received)?,
                Control::Ack => self.ack(&received)?,
                Control::AddrUp
                | Control::AddrUpUnreachable
                | Control::AddrDown
                | Control::AddrDownUnreachable
                | Control::Handoff
                | Control::HandoffUnreachable => self.change(&received)?,
                Control::PathProbe => self.probed(&received)?,
                Control::RouterAck | Control::NatEntry => {
                    return Err(Refusal::Unsupported(control));
                }
            }
            Ok(())
        });
        if let Err(reason) = outcome {
            self.world.refuse(reason, from, to);
        }
    }

    pub(crate) fn received(&mut self, received: &Received<'_>) {
        let Received {
            from, to, message, ..
        } = received;
        let (control, seqno) = (message.control, message.seqno);
        self.world.note(Note::Received {
            control,
            seqno,
            from: *from,
            to: *to,
        });
    }

    /// Which of these addresses a host can be said to have: own ones never, and others only if they can be used.
    pub(crate) fn claims(&self, key: Key, addresses: &[Addr]) -> Claims {
        let usable = |addr: &&Addr| addr.translatable() && !self.world.local.contains(addr);
        let taken = |addr: &Addr| self.active(*addr).is_some_and(|other| other != key);
        let (contested, free) = addresses
            .iter()
            .filter(usable)
            .partition(|addr| taken(addr));
        Claims { free, contested }
    }

    fn ack(&mut self, received: &Received<'_>) -> Result<(), Refusal> {
        let Received {
            from,
            to,
            message,
            signer,
            ..
        } = *received;
        if let Some(key) = self.probing(received) {
            return self.probe_answered(key, received);
        }
        let answered =
            |leg: &Leg| leg.seqno == message.seqno && leg.from == to && leg.tried.contains(&from);
        let refused = message.options.has(Options::INCORRECT_SEQNO);
        let recent =
            |host: &&Host| (1..=AHEAD).contains(&host.next_seqno.wrapping_sub(message.seqno));
        let unsigned = signer.is_none();
        let holds =
            |host: &&Host| host.requests().any(answered) || (unsigned && refused && recent(host));
        let Some(key) = self.known(from).find(holds).map(|host| host.key) else {
            let late = self.known(from).any(|host| recent(&host));
            return Err(if late {
                Refusal::LateAck
            } else {
                Refusal::UnexpectedAck
            });
        };
        let Some(host) = self.hosts.get(&key) else {
            return Err(Refusal::UnknownHost);
        };
        if host.managed {
            return Err(Refusal::Managed);
        }
        let mut same = None;
        match (host.peer_key, &signer) {
            (Some(_), None) => return Err(Refusal::Unsigned),
            (Some(peer), Some(signer)) if peer != signer.key => {
                // What went there did not reach the host: another one is there.
                self.mistaken(key, from);
                return Err(Refusal::WrongKey);
            }
            (None, Some(signer)) if !refused => {
                same = self.bound(&signer.key);
                if same.is_none() {
                    self.bind(key, signer, from, to);
                }
            }
            _ => (),
        }
        if let Some(other) = self.active(from).filter(|other| *other != key) {
            match signer {
                Some(_) if !refused && same.is_none() => self.hand_over(from, other, key),
                _ => return Err(Refusal::OtherHost),
            }
        }
        self.received(received);
        let claims = self.claims(key, received.after(1));
        let Some(host) = self.hosts.get_mut(&key) else {
            return Err(Refusal::UnknownHost);
        };
        let world = &mut self.world;
        if refused {
            if let Some(signer) = signer {
                host.challenge(to, from, signer.stamp);
            }
            let greeting = |leg: &&Leg| answered(leg) && leg.control == Control::Hello;
            if signer.is_some() && host.legs.iter().any(|leg| greeting(&leg)) {
                host.greet_again(message.seqno, from, world);
            } else {
                host.resync(world);
            }
            self.settle(key);
            return Ok(());
        }
        let Some(leg) = host.take_acknowledged(message.seqno, from, to) else {
            return Err(Refusal::UnexpectedAck);
        };
        host.time(&leg, from, world);
        // It may have moved on since it sent this.
        if !host.alias.contains(&from) {
            host.heard = Some(from);
            host.activate(from);
        }
        host.proves(from);
        host.retry_at = None;
        host.retry_after = world.limits.retry_first;
        host.confirm(leg.from);
        host.prove.retain(|addr| *addr != leg.from);
        for addr in &leg.list {
            if host.standing(*addr).is_none() {
                host.tell(*addr, Standing::Unreachable);
            }
        }
        if leg.control == Control::Hello {
            host.window.learn(leg.seqno);
            host.needs_hello = false;
            host.greet_at = None;
            host.take_claims(&claims);
            if host.state != State::Up {
                host.state = State::Up;
                world.note(Note::Up { peer: from });
            }
        } else {
            host.resyncs = 0;
        }
        let replaces = leg.control != Control::Hello || signer.is_some();
        if replaces && host.newest_list == Some(leg.seqno) {
            host.told.retain(|told| leg.list.contains(&told.addr));
            let legs = &host.legs;
            for told in &mut host.told {
                let open = legs.iter().any(|leg| leg.from == told.addr);
                if told.standing == Standing::Maybe && !open {
                    told.standing = Standing::Unreachable;
                }
            }
        }
        if leg.control != Control::Hello {
            if let Some(new) = leg.new {
                host.tell(new, Standing::Unreachable);
                host.report.retain(|report| report.addr != new);
            }
        }
        host.ask(world);
        host.reconcile(world);
        self.settle(key);
        match same {
            Some(same) => self.merge(same, key),
            None => self.merge_claimed(key),
        }
        Ok(())
    }

    fn change(&mut self, received: &Received<'_>) -> Result<(), Refusal> {
        let Received {
            from,
            to,
            message,
            signer,
            ..
        } = *received;
        let announced = Announced::new(received)?;
        let by_source = || self.active(from).or_else(|| self.named(from));
        let by_old = || announced.old.and_then(|old| self.named(old));
        let by_address = || self.named(message.host).or_else(by_source).or_else(by_old);
        let Some(key) = self.sender(received, by_address)? else {
            self.incorrect_seqno(received, None);
            return Err(Refusal::UnknownHost);
        };
        if let Some(other) = self.active(from).filter(|other| *other != key) {
            if signer.is_some() {
                // It has to show that it is there.
                self.incorrect_seqno(received, Some(key));
                return Err(Refusal::OtherHost);
            }
            self.take_stray(key, other, received)?;
        }
        let Some(host) = self.hosts.get_mut(&key) else {
            return Err(Refusal::UnknownHost);
        };
        if host.managed {
            return Err(Refusal::Managed);
        }
        let class = match host.state {
            State::Up => host.window.classify(message.seqno),
            State::New | State::Classic => Class::Wrong,
        };
        let known = host.active.contains(&from) || host.unreachable.contains(&from);
        match class {
            Class::Wrong => {
                self.incorrect_seqno(received, Some(key));
                return Err(Refusal::Seqno);
            }
            Class::Old if !known => {
                // What a later message overtook was signed before it. Else the sender is behind with its number.
                if signer.is_some_and(|signer| signer.stamp > host.newest_stamp) {
                    self.incorrect_seqno(received, Some(key));
                }
                return Err(Refusal::Stale);
            }
            Class::Old | Class::New => {}
        }
        // Who does not announce its source must have been seen there before; it may be wrong about that.
        if !announced.proves && !known {
            if signer.is_some() {
                self.incorrect_seqno(received, Some(key));
            }
            return Err(Refusal::Payload);
        }
        let now = self.world.now;
        if self
            .hosts
            .get(&key)
            .is_some_and(|host| host.must_prove(from, now))
        {
            if signer.is_some() {
                self.incorrect_seqno(received, Some(key));
            }
            return Err(Refusal::Unproven);
        }
        self.received(received);
        let claims = self.claims(key, received.after(announced.fixed));
        let unreachable = self.claims(key, announced.unreachable.as_slice());
        let Some(host) = self.hosts.get_mut(&key) else {
            return Err(Refusal::UnknownHost);
        };
        let world = &mut self.world;
        let before = host.active.clone();
        if class == Class::New {
            host.window.accept(message.seqno);
            host.newest_stamp = signer.map_or(0, |signer| signer.stamp);
            host.replace(from, received.after(announced.fixed), &unreachable.free);
            host.take_claims(&claims);
            host.take_claims(&unreachable);
        }
        host.activate(from);
        host.try_out(from, to, world);
        host.heard = Some(from);
        // It reaches us where we thought, or are just saying, that it could not: worth an announcement. What else is on
        // the way settles itself.
        let told = host.standing(to) == Some(Standing::Unreachable) || host.reports(to);
        if told && !host.prove.contains(&to) {
            host.prove.push(to);
            host.report.retain(|report| report.addr != to);
        }
        self.granted(key, received, &before);
        Ok(())
    }

    /// The host that sent this: by its key, else by its addresses, but not when that one has to sign.
    pub(crate) fn sender(
        &self,
        received: &Received<'_>,
        by_address: impl FnOnce() -> Option<Key>,
    ) -> Result<Option<Key>, Refusal> {
        if let Some(signer) = &received.signer {
            return Ok(self.bound(&signer.key));
        }
        let found = by_address();
        if found.is_some_and(|key| !self.is_unbound(key)) {
            return Err(Refusal::Unsigned);
        }
        Ok(found)
    }

    /// What a host said holds now: it is told so, and what follows from where it is gets done. `before` are the active
    /// addresses that it had.
    pub(crate) fn granted(&mut self, key: Key, received: &Received<'_>, before: &[Addr]) {
        if let Some(host) = self.hosts.get_mut(&key) {
            let world = &mut self.world;
            host.ask(world);
            host.publish(world);
            world.answer(received, Some(host), Options::NONE);
            host.follow(before, world);
            self.settle(key);
        }
    }

    /// Data can overtake a move's lost announcement. Then the module discovers the mover as another host at its new
    /// address. That entry becomes part of the host if the host said before that it has the address, or if it has
    /// said nothing but the answer to our greeting; and the number of the announcement has to be right in any case.
    fn take_stray(&mut self, key: Key, other: Key, received: &Received<'_>) -> Result<(), Refusal> {
        let Received { from, message, .. } = *received;
        let (Some(host), Some(stray)) = (self.hosts.get(&key), self.hosts.get(&other)) else {
            return Err(Refusal::UnknownHost);
        };
        if stray.peer_key.is_some() {
            return Err(Refusal::OtherHost);
        }
        let known = host.state == State::Up && host.window.classify(message.seqno) == Class::New;
        let nothing_else =
            stray.active == [from] && stray.alias.is_empty() && stray.window.is_fresh();
        if known && (host.claims(from) || nothing_else) {
            self.merge(key, other);
        }
        match self.active(from) {
            Some(owner) if owner != key => Err(Refusal::OtherHost),
            _ => Ok(()),
        }
    }

    /// Tells a sender that its number is not the expected one, now and then.
    pub(crate) fn incorrect_seqno(&mut self, received: &Received<'_>, key: Option<Key>) {
        let world = &mut self.world;
        if let Some(host) = key.and_then(|key| self.hosts.get_mut(&key)) {
            if !host.wrong.take(world.now) {
                return;
            }
        }
        if world.wrong.take(world.now) {
            self.demand(received, key);
        }
    }

    /// Sends an ACK with IS: what comes next has to show that its sender hears it.
    pub(crate) fn demand(&mut self, received: &Received<'_>, key: Option<Key>) {
        let host = key.and_then(|key| self.hosts.get(&key));
        let world = &mut self.world;
        let stamp = world.answer(received, host, Options::INCORRECT_SEQNO);
        if let Some(signer) = &received.signer {
            let pair = (signer.key, received.from, received.to);
            world.keyring.challenge(pair, stamp, world.now);
        }
    }
}

impl Host {
    /// The peer's addresses are its source and the listed ones, no others.
    pub(crate) fn replace(&mut self, from: Addr, listed: &[Addr], unreachable: &[Addr]) {
        for addr in self
            .active
            .clone()
            .into_iter()
            .chain(self.unreachable.clone())
        {
            if addr != from && !listed.contains(&addr) && !unreachable.contains(&addr) {
                self.retire(addr);
            }
        }
        self.contested.clear();
        for addr in unreachable {
            self.active.retain(|other| other != addr);
        }
    }

    /// The peer was heard: what it did not acknowledge where it was may go to where it is.
    pub(crate) fn follow(&mut self, before: &[Addr], world: &mut World) {
        if self.active != before {
            self.retry_at = None;
            self.retarget(world);
        }
        self.reconcile(world);
    }

    /// The peer said that our number is wrong: greet it, then repeat what it did not take.
    pub(crate) fn resync(&mut self, world: &mut World) {
        // What came of the first refusal is on its way.
        if self.needs_hello && self.legs.iter().any(|leg| leg.control == Control::Hello) {
            return;
        }
        world.note(Note::Resync { peer: self.name() });
        self.resyncs += 1;
        self.needs_hello = true;
        for leg in std::mem::take(&mut self.legs) {
            self.tell(leg.from, Standing::Maybe);
            if !self.prove.contains(&leg.from) {
                self.prove.push(leg.from);
            }
        }
        if self.resyncs > 3 {
            self.retry_at = Some(world.now.after(world.jitter(self.retry_after)));
            self.retry_after = self
                .retry_after
                .saturating_mul(2)
                .min(world.limits.retry_last);
        }
        self.reconcile(world);
    }
}
