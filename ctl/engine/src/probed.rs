// SPDX-License-Identifier: GPL-2.0
//! A PATH_PROBE that came, the answer to one, and what the kernel says of a host that is probed.

use ihmp_core::message::Options;

use crate::engine::Engine;
use crate::host::{Host, Standing};
use crate::io::{Change, Key, Output, Refusal, State, Traffic};
use crate::received::Received;

impl Engine {
    /// A probe came: whether we hear it there.
    pub(crate) fn probed(&mut self, received: &Received<'_>) -> Result<(), Refusal> {
        let Received {
            from, to, message, ..
        } = *received;
        let by_address = || self.named(message.host).or_else(|| self.active(from));
        let found = self.sender(received, by_address)?;
        let up = |key: &Key| {
            self.hosts
                .get(key)
                .is_some_and(|host| host.state == State::Up)
        };
        let Some(key) = found.filter(up) else {
            self.incorrect_seqno(received, None);
            return Err(Refusal::UnknownHost);
        };
        let behind = received.endpoint.is_behind();
        if !behind && self.active(from).is_some_and(|other| other != key) {
            self.incorrect_seqno(received, Some(key));
            return Err(Refusal::OtherHost);
        }
        let now = self.world.now;
        let Some(host) = self.hosts.get_mut(&key) else {
            return Err(Refusal::UnknownHost);
        };
        if host.managed {
            return Err(Refusal::Managed);
        }
        // Probes have no order among the other messages: this one may be of before it left.
        if host.peer.has_left(from) && !behind {
            return Err(Refusal::Stale);
        }
        let must = match behind {
            true => !host.peer.is_there(received.endpoint, to),
            false => host.must_prove(received, now),
        };
        if must {
            host.peer.nat_mut().hear_of(received);
            self.incorrect_seqno(received, Some(key));
            return Err(Refusal::Unproven);
        }
        if !behind && !host.peer.has_room(from) {
            return Err(Refusal::AddressLimit);
        }
        self.received(received);
        let Some(host) = self.hosts.get_mut(&key) else {
            return Err(Refusal::UnknownHost);
        };
        let world = &mut self.world;
        let before = host.peer.active().to_vec();
        if behind {
            host.peer.nat_mut().heard(received);
        } else {
            host.peer.activate(from);
            host.try_out(from, to, world);
        }
        // It looks for us where it does not know us yet: our announcement from there settles it for both, and its
        // answer to that proves where it is.
        let unknown = host.standing(to) != Some(Standing::Active) && !host.is_hidden(to);
        if unknown && !host.prove.contains(&to) {
            host.prove.push(to);
        }
        self.granted(key, received, &before);
        Ok(())
    }

    /// The host with a probe that this ACK answers.
    pub(crate) fn probing(&self, received: &Received<'_>) -> Option<Key> {
        let Received {
            from,
            endpoint,
            to,
            message,
            ..
        } = *received;
        if endpoint.is_behind() {
            return None;
        }
        let answered = |host: &&Host| {
            let probes = host.validation.probes();
            probes.is_answered(message.seqno, from, to)
        };
        self.known(from).find(answered).map(|host| host.key)
    }

    /// A probe was answered.
    pub(crate) fn probe_answered(
        &mut self,
        key: Key,
        received: &Received<'_>,
    ) -> Result<(), Refusal> {
        let Received {
            from,
            to,
            message,
            signer,
            ..
        } = *received;
        let Some(host) = self.hosts.get_mut(&key) else {
            return Err(Refusal::UnknownHost);
        };
        if host.managed {
            return Err(Refusal::Managed);
        }
        match (host.peer_key, &signer) {
            (Some(_), None) => return Err(Refusal::Unsigned),
            (Some(peer), Some(signer)) if peer != signer.key => {
                // Somebody else is there, and it said that it was.
                host.validation.distrust(&self.world);
                self.mistaken(key, from, true);
                return Err(Refusal::WrongKey);
            }
            _ => (),
        }
        if self.active(from).is_some_and(|other| other != key) {
            return Err(Refusal::OtherHost);
        }
        self.received(received);
        let Some(host) = self.hosts.get_mut(&key) else {
            return Err(Refusal::UnknownHost);
        };
        let world = &mut self.world;
        let probes = host.validation.probes_mut();
        let Some(probe) = probes.take_answered(message.seqno, from, to) else {
            return Err(Refusal::UnexpectedAck);
        };
        if let Some(round_trip) = probe.answered(world) {
            host.measured(round_trip);
        }
        let before = host.peer.active().to_vec();
        host.validation.validate(from);
        host.note_nat(received);
        host.keep(received, world);
        if message.options.has(Options::INCORRECT_SEQNO) {
            // It is there, and knows nothing of us.
            if let Some(signer) = signer {
                host.challenge(to, received.endpoint, signer.stamp);
                host.owe_answer(received);
                host.resync(world);
            }
        } else {
            // It may have moved on since it sent this.
            if !host.peer.has_left(from) {
                host.peer.activate(from);
            }
            if host.standing(to) != Some(Standing::Active) && !host.is_hidden(to) {
                host.confirm(to);
            }
        }
        host.ask(world);
        host.follow(&before, world);
        self.settle(key);
        Ok(())
    }

    /// What the kernel says about a host.
    pub(crate) fn looked(&mut self, id: u32, traffic: Traffic) {
        let Some(key) = self.ids.get(&id).copied() else {
            return;
        };
        if self.make_room(key, traffic) {
            return;
        }
        let mut over = false;
        self.with(key, |host, world| {
            over = host.is_over(traffic, world);
            host.judge(traffic, world);
            host.validation.look(traffic, world);
            host.probe_due(world);
            host.relay_looked(traffic, world);
            host.keep_looked(traffic, world);
            host.probe_due(world);
        });
        if over {
            let change = Change::Del { id };
            self.world.outputs.push_back(Output::Table(change));
            self.remove(key, "unused");
        }
    }
}
