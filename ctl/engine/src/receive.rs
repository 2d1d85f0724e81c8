// SPDX-License-Identifier: GPL-2.0
//! What a message changes.

use ihmp_core::addr::Addr;
use ihmp_core::message::{Addresses, Control, Message, Options, ADDRESS_LEN, HEADER_LEN};

use crate::engine::Engine;
use crate::host::{Claims, Entry, Host, Reply, Standing};
use crate::io::{Key, Note, Refusal, State, Via};
use crate::leg::Leg;
use crate::limits::AMPLIFICATION;
use crate::seqno::{Class, AHEAD};
use crate::world::World;

/// How far a message is to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Nobody vouches for it: its addresses, its Host ID and its sequence number have to be right.
    Unsigned,
}

/// Decides whether a message may be used at all. This is the place where signatures are verified and the host's key is
/// looked up; as long as they are not, every message is taken for unsigned.
fn authenticate(_message: &Message<'_>) -> Result<Trust, Refusal> {
    Ok(Trust::Unsigned)
}

/// A received message with its addresses.
#[derive(Clone, Copy)]
struct Received<'a> {
    from: Addr,
    to: Addr,
    octets: usize,
    message: Message<'a>,
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
        let Trust::Unsigned = authenticate(&message)?;
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
        })
    }

    /// The addresses after the first `skip` ones.
    fn after(&self, skip: usize) -> &[Addr] {
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
        let outcome = Received::new(&self.world, from, to, bytes).and_then(|received| {
            let control = received.message.control;
            match control {
                Control::Hello => self.hello(&received)?,
                Control::Ack => self.ack(&received)?,
                Control::AddrUp
                | Control::AddrUpUnreachable
                | Control::AddrDown
                | Control::AddrDownUnreachable
                | Control::Handoff
                | Control::HandoffUnreachable => self.change(&received)?,
                Control::PathProbe | Control::RouterAck | Control::NatEntry => {
                    return Err(Refusal::Unsupported(control));
                }
            }
            Ok(())
        });
        if let Err(reason) = outcome {
            self.world.refuse(reason, from, to);
        }
    }

    fn received(&mut self, received: &Received<'_>) {
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

    /// Which host greets: the one that has the source, or that the Host ID names, or that claimed the source before
    /// and is claimed by it now.
    fn greeting_host(&self, received: &Received<'_>) -> Option<Key> {
        let Received { from, message, .. } = received;
        let by_source = self.active(*from);
        let by_id = if message.host == *from {
            None
        } else {
            self.named(message.host)
        };
        let named = |host: &&Host| {
            received
                .after(1)
                .iter()
                .any(|addr| host.active.contains(addr))
        };
        match (by_source, by_id) {
            (Some(source), Some(id)) if source != id => {
                // Two entries, and one host when each names the other; else the source counts.
                let other = self.hosts.get(&id);
                let same = other.filter(|host| host.claims(*from)).filter(named);
                Some(same.map_or(source, |_| id))
            }
            (Some(source), _) => Some(source),
            (None, Some(id)) => Some(id),
            (None, None) => {
                let claiming = self.known(*from).filter(|host| host.claims(*from));
                claiming.filter(named).map(|host| host.key).next()
            }
        }
    }

    fn hello(&mut self, received: &Received<'_>) -> Result<(), Refusal> {
        let Received {
            from,
            to,
            octets,
            message,
        } = *received;
        let now = self.world.now;
        if !self.world.hello_prefix.take(from, now) {
            return Err(Refusal::Rate);
        }
        let found = self.greeting_host(received);
        let key = match found {
            Some(key) => key,
            None => {
                if self.hosts.len() >= self.world.limits.max_hosts {
                    return Err(Refusal::HostLimit);
                }
                if !self.world.hello_in.take(now) {
                    return Err(Refusal::Rate);
                }
                self.insert(Entry::Asked, State::Up)
            }
        };
        if let Some(other) = self.active(from).filter(|other| *other != key) {
            self.merge(key, other);
            if self.active(from) != Some(key) {
                return Err(Refusal::OtherHost);
            }
        }
        let Some(host) = self.hosts.get_mut(&key) else {
            return Err(Refusal::UnknownHost);
        };
        if host.managed {
            return Err(Refusal::Managed);
        }
        if host.window.is_stale(message.seqno) {
            return Err(Refusal::Stale);
        }
        self.received(received);
        let claims = self.claims(key, received.after(1));
        let Some(host) = self.hosts.get_mut(&key) else {
            return Err(Refusal::UnknownHost);
        };
        let world = &mut self.world;
        let before = host.active.clone();
        host.activate(from);
        host.take_claims(&claims);
        host.heard = Some(from);
        if host.window.greet(message.seqno) {
            host.window.learn(message.seqno);
            // The sender may know nothing of our counter; it knows this number.
            if host.legs.is_empty() {
                host.next_seqno = message.seqno.wrapping_add(1);
                host.needs_hello = false;
                host.greet_at = None;
            }
        }
        if host.state != State::Up || found.is_none() {
            host.state = State::Up;
            world.note(Note::Up { peer: from });
        }
        host.confirm(to);
        if !host.is_usable(to) {
            host.usable.push(Via {
                local: to,
                preference: 0,
            });
        }
        host.ask(world);
        host.replies.push(Reply {
            from: to,
            to: from,
            seqno: message.seqno,
            asked: octets,
        });
        match found {
            None => host.make(world),
            Some(_) => {
                host.publish(world);
                host.reply(world);
                host.follow(&before, world);
            }
        }
        self.settle(key);
        self.merge_claimed(key);
        Ok(())
    }

    /// Which of these addresses a host can be said to have: own ones never, and others only if they can be used.
    fn claims(&self, key: Key, addresses: &[Addr]) -> Claims {
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
            from, to, message, ..
        } = *received;
        let answered =
            |leg: &Leg| leg.seqno == message.seqno && leg.from == to && leg.tried.contains(&from);
        let refused = message.options.has(Options::INCORRECT_SEQNO);
        let recent =
            |host: &&Host| (1..=AHEAD).contains(&host.next_seqno.wrapping_sub(message.seqno));
        let holds = |host: &&Host| host.legs.iter().any(answered) || (refused && recent(host));
        let Some(key) = self.known(from).find(holds).map(|host| host.key) else {
            let late = self.known(from).any(|host| recent(&host));
            return Err(if late {
                Refusal::LateAck
            } else {
                Refusal::UnexpectedAck
            });
        };
        if self.active(from).is_some_and(|other| other != key) {
            return Err(Refusal::OtherHost);
        }
        self.received(received);
        let claims = self.claims(key, received.after(1));
        let Some(host) = self.hosts.get_mut(&key) else {
            return Err(Refusal::UnknownHost);
        };
        let world = &mut self.world;
        if refused {
            host.resync(world);
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
            if host.newest_list == Some(leg.seqno) {
                host.told.retain(|told| leg.list.contains(&told.addr));
                let legs = &host.legs;
                for told in &mut host.told {
                    let open = legs.iter().any(|leg| leg.from == told.addr);
                    if told.standing == Standing::Maybe && !open {
                        told.standing = Standing::Unreachable;
                    }
                }
            }
            if let Some(new) = leg.new {
                host.tell(new, Standing::Unreachable);
                host.report.retain(|report| report.addr != new);
            }
        }
        host.ask(world);
        host.reconcile(world);
        self.settle(key);
        self.merge_claimed(key);
        Ok(())
    }

    fn change(&mut self, received: &Received<'_>) -> Result<(), Refusal> {
        let Received {
            from, to, message, ..
        } = *received;
        let announced = Announced::new(received)?;
        let by_source = || self.active(from).or_else(|| self.named(from));
        let by_old = || announced.old.and_then(|old| self.named(old));
        let found = self.named(message.host).or_else(by_source).or_else(by_old);
        let Some(key) = found else {
            self.incorrect_seqno(received, None);
            return Err(Refusal::UnknownHost);
        };
        if self.active(from).is_some_and(|other| other != key) {
            return Err(Refusal::OtherHost);
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
            Class::Old if !known => return Err(Refusal::Stale),
            Class::Old | Class::New => {}
        }
        // Who does not announce its source must have been seen there before.
        if !announced.proves && !known {
            return Err(Refusal::Payload);
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
            host.replace(from, received.after(announced.fixed), &unreachable.free);
            host.take_claims(&claims);
            host.take_claims(&unreachable);
        }
        host.activate(from);
        host.heard = Some(from);
        // It reaches us where we thought it could not: worth an announcement. What is on the way settles itself.
        if host.standing(to) == Some(Standing::Unreachable) && !host.prove.contains(&to) {
            host.prove.push(to);
        }
        host.ask(world);
        host.publish(world);
        let addresses = Addresses::of(&[to]).unwrap_or(Addresses::EMPTY);
        world.acknowledge(to, from, message.seqno, Options::NONE, addresses);
        host.follow(&before, world);
        self.settle(key);
        Ok(())
    }

    /// Tells a sender that its number is not the expected one, now and then.
    fn incorrect_seqno(&mut self, received: &Received<'_>, key: Option<Key>) {
        let Received {
            from, to, message, ..
        } = *received;
        let world = &mut self.world;
        if let Some(host) = key.and_then(|key| self.hosts.get_mut(&key)) {
            if !host.wrong.take(world.now) {
                return;
            }
        }
        if world.wrong.take(world.now) {
            let addresses = Addresses::of(&[to]).unwrap_or(Addresses::EMPTY);
            world.acknowledge(to, from, message.seqno, Options::INCORRECT_SEQNO, addresses);
        }
    }
}

impl Host {
    /// The peer's addresses are its source and the listed ones, no others.
    fn replace(&mut self, from: Addr, listed: &[Addr], unreachable: &[Addr]) {
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

    /// Sends the ACKs that the host waits for: with all our addresses, as far as the HELLO's length allows.
    pub(crate) fn reply(&mut self, world: &mut World) {
        for reply in std::mem::take(&mut self.replies) {
            let room = (reply.asked * AMPLIFICATION).saturating_sub(HEADER_LEN + ADDRESS_LEN)
                / ADDRESS_LEN;
            let mut addresses = Addresses::EMPTY;
            let mut left = addresses.push(reply.from);
            let list = self.list(world);
            for addr in list
                .iter()
                .filter(|addr| **addr != reply.from)
                .take(room.saturating_sub(1))
            {
                left = left && addresses.push(*addr);
                if self.standing(*addr).is_none() {
                    self.tell(*addr, Standing::Unreachable);
                }
            }
            world.acknowledge(reply.from, reply.to, reply.seqno, Options::NONE, addresses);
        }
    }

    /// The peer was heard: what it did not acknowledge where it was may go to where it is.
    fn follow(&mut self, before: &[Addr], world: &mut World) {
        if self.active != before {
            self.retry_at = None;
            self.retarget(world);
        }
        self.reconcile(world);
    }

    /// The peer said that our number is wrong: greet it, then repeat what it did not take.
    fn resync(&mut self, world: &mut World) {
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
