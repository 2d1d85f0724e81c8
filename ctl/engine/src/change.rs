// SPDX-License-Identifier: GPL-2.0
//! A change of a peer's addresses, as it says.

use ihmp_core::addr::Addr;
use ihmp_core::message::Control;

use crate::engine::Engine;
use crate::host::{Entry, Host, Standing};
use crate::io::{Change, Key, Output, Refusal, State};
use crate::received::Received;
use crate::seqno::Class;
use crate::world::World;

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
        let source = received.endpoint.own;
        let own = |addr: Addr| {
            if addr == source {
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
            _ => return Err(Refusal::Payload),
        };
        if announced.unreachable == Some(source) || announced.old == Some(source) {
            return Err(Refusal::Payload);
        }
        Ok(announced)
    }
}

impl Engine {
    /// A host tells of a change.
    pub(crate) fn change(&mut self, received: &Received<'_>) -> Result<(), Refusal> {
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
        let behind = received.endpoint.is_behind();
        let taken = self.active(from).filter(|other| *other != key && !behind);
        if let Some(other) = taken {
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
        let known = match behind {
            true => host.peer.is_there(received.endpoint, to),
            false => host.peer.is_at(from),
        };
        if behind && !known {
            // Anybody could have sent it on: it has to show that it is there.
            host.peer.nat_mut().hear_of(received);
            self.incorrect_seqno(received, Some(key));
            return Err(Refusal::Unproven);
        }
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
        // What the newest message named has a place.
        if class == Class::Old && !behind && !host.peer.has_room(from) {
            return Err(Refusal::AddressLimit);
        }
        let now = self.world.now;
        let must = |host: &Host| !behind && host.must_prove(received, now);
        if self.hosts.get(&key).is_some_and(must) {
            if signer.is_some() {
                self.incorrect_seqno(received, Some(key));
            }
            return Err(Refusal::Unproven);
        }
        self.received(received);
        let listed = received.listed(announced.fixed);
        let claims = self.claims(key, &listed);
        let unreachable = self.claims(key, announced.unreachable.as_slice());
        let Some(host) = self.hosts.get_mut(&key) else {
            return Err(Refusal::UnknownHost);
        };
        let world = &mut self.world;
        let before = host.peer.active().to_vec();
        if class == Class::New {
            host.window.accept(message.seqno);
            host.newest_stamp = signer.map_or(0, |signer| signer.stamp);
            if message.control == Control::AddrUp {
                host.tell_forgetful(message.seqno, to);
                host.came_back(from, world);
            }
            host.replace(received.endpoint, &listed, &unreachable.free);
            host.peer.take_claims(&claims);
            host.peer.take_claims(&unreachable);
        }
        host.heard_at(received, world);
        // It reaches us where we thought, or are just saying, that it could not: worth an announcement. What else is on
        // the way settles itself.
        let advertised = host.standing(to) == Some(Standing::Unreachable) || host.reports(to);
        if advertised && !host.is_hidden(to) && !host.prove.contains(&to) {
            host.prove.push(to);
            host.report.retain(|report| report.addr != to);
        }
        self.granted(key, received, &before);
        Ok(())
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
        let nothing_else = stray.peer.active() == [from]
            && stray.peer.alias().is_empty()
            && stray.window.is_fresh();
        if known && (host.peer.claims(from) || nothing_else) {
            self.merge(key, other);
        }
        match self.active(from) {
            Some(owner) if owner != key => Err(Refusal::OtherHost),
            _ => Ok(()),
        }
    }
}

impl Host {
    /// The peer says that an address came of which we thought that it was there. It was not, and what we sent is lost: our
    /// sockets go on now, as after any gap.
    pub(crate) fn came_back(&self, addr: Addr, world: &mut World) {
        let mut there = self
            .peer
            .active()
            .iter()
            .filter(|other| other.family() == addr.family());
        let Entry::Id(id) = self.entry else {
            return;
        };
        if there.all(|other| *other == addr) && self.peer.is_active(addr) {
            let change = Change::Wake { id, idle: false };
            world.outputs.push_back(Output::Table(change));
        }
    }
}
