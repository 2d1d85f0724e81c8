// SPDX-License-Identifier: GPL-2.0
//! What a message changes.

use ihmp_core::addr::Addr;
use ihmp_core::message::{Control, Options};

use crate::engine::Engine;
use crate::host::{Advertised, Entry, Host, Standing};
use crate::io::{Change, Key, Output, Record, Refusal, State};
use crate::note::Note;
use crate::peer::{include, Claims};
use crate::received::Received;
use crate::request::Request;
use crate::seqno::AHEAD;
use crate::world::World;

impl Engine {
    /// A datagram came.
    pub(crate) fn receive(&mut self, from: Addr, port: Option<u16>, to: Addr, bytes: &[u8]) {
        let checked = Received::new(&self.world.local, from, port, to, bytes);
        let outcome = checked.and_then(|mut received| {
            if !self.may_speak(&received) {
                return Err(Refusal::Off);
            }
            let control = received.message.control;
            match control {
                Control::RouterAck => return self.router_ack(&received, bytes),
                Control::NatEntry => return self.nat_entry(&received, bytes),
                _ => (),
            }
            if Engine::is_cookie(&received) {
                return self.take_cookie(&received);
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
                // Above.
                Control::RouterAck | Control::NatEntry => return Err(Refusal::Payload),
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
            endpoint,
            to,
            message,
            signer,
            ..
        } = *received;
        if let Some(key) = self.probing(received) {
            return self.probe_answered(key, received);
        }
        let answered = |request: &Request| {
            request.seqno == message.seqno
                && request.from == to
                && request.tried.contains(&endpoint)
        };
        let refused = message.options.has(Options::INCORRECT_SEQNO);
        let recent =
            |host: &&Host| (1..=AHEAD).contains(&host.next_seqno.wrapping_sub(message.seqno));
        let unsigned = signer.is_none();
        let holds =
            |host: &&Host| host.requests().any(answered) || (unsigned && refused && recent(host));
        let name = signer.as_ref().map(|signer| &signer.key);
        let mut there = self.hosts_at(endpoint, name).into_iter();
        let Some(key) = there.find(holds).map(|host| host.key) else {
            let mut there = self.hosts_at(endpoint, name).into_iter();
            let late = there.any(|host| recent(&host));
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
        let detected = message.options.has(Options::NAT_DETECTED);
        if detected && !refused && host.state == State::New {
            return self.unwanted(key, received);
        }
        let mut same = None;
        match (host.peer_key, &signer) {
            (Some(_), None) => return Err(Refusal::Unsigned),
            (Some(peer), Some(signer)) if peer != signer.key => {
                // What went there did not reach the host: another one is there.
                self.mistaken(key, from, true);
                return Err(Refusal::WrongKey);
            }
            (None, Some(signer)) if !refused => {
                same = self.bound(&signer.key);
                if same.is_some_and(|same| !self.fit(same, key)) {
                    return self.leave_alone(key, received);
                }
                if same.is_none() {
                    self.bind(key, signer, from, to);
                }
            }
            _ => (),
        }
        let taken = self
            .active(from)
            .filter(|other| *other != key && !endpoint.is_behind());
        if let Some(other) = taken {
            match signer {
                Some(_) if !refused && same.is_none() => self.hand_over(from, other, key, false),
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
                host.challenge(to, endpoint, signer.stamp);
            }
            host.note_nat(received);
            let greeting =
                |request: &&Request| answered(request) && request.control == Control::Hello;
            if signer.is_some() && host.outstanding.iter().any(|request| greeting(&request)) {
                host.strange_at = Some(world.now);
                host.greet_again(message.seqno, endpoint, world);
            } else {
                host.owe_answer(received);
                host.resync(world);
            }
            self.settle(key);
            return Ok(());
        }
        let Some(request) = host.take_acknowledged(message.seqno, endpoint, to) else {
            return Err(Refusal::UnexpectedAck);
        };
        host.time(&request, from, world);
        if endpoint.is_behind() {
            host.peer.nat_mut().heard(received);
        } else {
            // It may have moved on since it sent this.
            if !host.peer.has_left(from) {
                host.peer.hear(from);
                host.peer.activate(from);
            }
            host.validation.validate(from);
        }
        host.note_nat(received);
        host.keep(received, world);
        host.retry_at = None;
        host.retry_after = world.limits.retry_first;
        host.acknowledged(request.from, detected);
        host.prove.retain(|addr| *addr != request.from);
        for addr in &request.list {
            if host.standing(*addr).is_none() {
                host.tell(*addr, Standing::Unreachable);
            }
        }
        if request.control == Control::Hello {
            // What it has said of its addresses since it was greeted counts more than an answer that may be older.
            let overtaken = match &signer {
                Some(signer) => signer.stamp < host.newest_stamp,
                None => host.window.is_followed(request.seqno),
            };
            host.window.learn_again(request.seqno);
            host.met_at = Some(world.now);
            host.needs_hello = false;
            host.greet_at = None;
            if !overtaken {
                host.peer.take_claims(&claims);
            }
            // Who has another entry is told by the numbers of that.
            host.owes_list = same.is_none() && (host.owes_list || !request.complete);
            if host.state != State::Up {
                host.state = State::Up;
                world.note(Note::Up { peer: from });
            }
        } else {
            host.resyncs = 0;
        }
        let replaces = request.complete && (request.control != Control::Hello || signer.is_some());
        if replaces && host.newest_list == Some(request.seqno) {
            if request.control == Control::Hello && host.leaves_by(&request) {
                host.speak_up(world);
            }
            host.prove_unnamed(&request);
            host.advertised
                .retain(|advertised| request.list.contains(&advertised.addr));
            let requests = &host.outstanding;
            for advertised in &mut host.advertised {
                let open = requests
                    .iter()
                    .any(|request| request.from == advertised.addr);
                if advertised.standing == Standing::Maybe && !open {
                    advertised.standing = Standing::Unreachable;
                }
            }
        }
        if request.control != Control::Hello {
            if let Some(new) = request.new {
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

    /// A host is found under one more address than it can have: what goes there is left as it is.
    fn leave_alone(&mut self, key: Key, received: &Received<'_>) -> Result<(), Refusal> {
        self.received(received);
        let peer = received.from;
        self.with(key, |host, world| {
            host.drop_requests(world, |_, _| true);
            host.state = State::Classic;
            world.note(Note::Classic {
                peer,
                reason: "address-limit",
            });
        });
        Err(Refusal::AddressLimit)
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
            let pair = (signer.key, received.endpoint, received.to);
            let control = received.message.control;
            let moved = matches!(control, Control::Handoff | Control::AddrUp);
            world.keyring.challenge(pair, stamp, moved, world.now);
        }
    }
}

impl Host {
    /// The peer was heard: what it did not acknowledge where it was may go to where it is.
    pub(crate) fn follow(&mut self, before: &[Addr], world: &mut World) {
        if self.peer.active() != before {
            self.retry_at = None;
            self.retarget(world);
        }
        self.reconcile(world);
    }

    /// Whether the peer gives up an address of ours by the list of this request.
    fn leaves_by(&self, request: &Request) -> bool {
        let known = |advertised: &&Advertised| {
            matches!(advertised.standing, Standing::Active | Standing::Maybe)
        };
        let mut known = self
            .advertised
            .iter()
            .filter(known)
            .map(|advertised| advertised.addr);
        known.any(|addr| !request.list.contains(&addr) && !self.is_usable(addr))
    }

    /// The peer learned by a greeting that we have left an address, which does not say since when. So it believes only of the flows
    /// that it hears from elsewhere that they are ours: each is heard now.
    fn speak_up(&self, world: &mut World) {
        // One that the kernel does not have as up yet knows none of our flows.
        let up = |record: &&Record| record.state == State::Up;
        if let (Entry::Id(id), Some(_)) = (self.entry, self.published.as_ref().filter(up)) {
            let change = Change::Wake { id, idle: true };
            world.outputs.push_back(Output::Table(change));
        }
    }

    /// The peer replaced what it knew of our addresses by the list of this request. What it confirmed while that was on the way
    /// is told again.
    fn prove_unnamed(&mut self, request: &Request) {
        let unnamed = |advertised: &&Advertised| {
            advertised.standing == Standing::Active && !request.list.contains(&advertised.addr)
        };
        for advertised in self.advertised.iter().filter(unnamed) {
            if self.is_usable(advertised.addr) {
                include(&mut self.prove, advertised.addr);
            }
        }
    }

    /// The peer said that our number is wrong: greet it, then repeat what it did not take.
    pub(crate) fn resync(&mut self, world: &mut World) {
        // What came of the first refusal is on its way.
        if self.needs_hello
            && self
                .outstanding
                .iter()
                .any(|request| request.control == Control::Hello)
        {
            return;
        }
        world.note(Note::Resync { peer: self.name() });
        self.resyncs += 1;
        self.needs_hello = true;
        for request in std::mem::take(&mut self.outstanding) {
            self.tell(request.from, Standing::Maybe);
            if !self.prove.contains(&request.from) {
                self.prove.push(request.from);
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
