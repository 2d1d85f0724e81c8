// SPDX-License-Identifier: GPL-2.0
//! Proof that a peer is where it says it is, and paths that only the two of us can have: PATH_PROBE.
//!
//! A signed message says that its sender has an address, not that somebody hears us there: who has a key can forge a
//! source. The addresses of a peer are used as soon as they are announced, so that a move takes two messages and no
//! longer than half a round trip; but one at which the peer has not yet shown that it hears us is on trial. It is asked
//! there after a while, or sooner when much is sent to it and nothing comes back (RFC 9000 sections 8.2 and 9.3 ask at
//! once, in packets that are sent anyway). Who does not answer loses the address, and has to prove the next ones
//! first.

use ihmp_core::addr::{Addr, Scope};
use ihmp_core::credit::LOW;
use ihmp_core::message::{Addresses, Control, Message, Options, MAX_ADDRESSES};
use ihmp_core::time::{Duration, Instant};

use crate::endpoint::Endpoint;
use crate::engine::Engine;
use crate::host::{include, Entry, Host, Standing};
use crate::io::{Change, Key, Output, Refusal, State, Traffic};
use crate::limits::{AMPLIFICATION, FLOOD, MAX_PROBES, PROBE_SENDS};
use crate::note::Note;
use crate::receive::Received;
use crate::world::World;

/// A probe on its way.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    from: Addr,
    to: Addr,
    /// Fresh for each probe: who answers without having heard it has to guess it.
    seqno: u16,
    stamps: Vec<u64>,
    sends: u32,
    first_sent: Instant,
    due: Instant,
    time_out: Duration,
    /// It only keeps the memory of a NAT in front of us alive.
    keeps: bool,
}

impl Probe {
    /// Whether an ACK with this number, from there to here, answers it.
    pub(crate) fn is_answered(&self, seqno: u16, from: Addr, to: Addr) -> bool {
        (self.seqno, self.from, self.to) == (seqno, to, from)
    }

    /// The timestamps with which it was sent, the last one first.
    pub(crate) fn stamps(&self) -> impl Iterator<Item = u64> + '_ {
        self.stamps.iter().rev().copied()
    }
}

/// An address of the peer at which it has not shown yet that it hears us.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    addr: Addr,
    /// Our address that it announced it to.
    local: Addr,
    /// Packets to and from the host when the trial began.
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
    /// It did not answer, and the kernel is asked whether it is there all the same.
    doubted: bool,
    /// As long as its agent may be gone.
    until: Instant,
}

/// Whether another address is that of a host in the prefix of this length around one of ours.
pub(crate) fn is_connected(ours: Addr, other: Addr, len: u8) -> bool {
    if ours.family() != other.family() {
        return false;
    }
    // The length counts from the start of the family's own form.
    let skipped = if ours.is_v4() { 96 } else { 0 };
    let len = u32::from(len).saturating_add(skipped).min(128);
    let hosts = u128::MAX.checked_shr(len).unwrap_or(0);
    let (ours, other) = (
        u128::from_be_bytes(ours.octets()),
        u128::from_be_bytes(other.octets()),
    );
    // The first address of a prefix is nobody's, the last one of IPv4 everybody's; where there are two, both are hosts.
    let odd = [0, hosts].contains(&(other & hosts)) && hosts > 1;
    (ours ^ other) & !hosts == 0 && !odd
}

impl Trial {
    /// One that begins now.
    fn new(addr: Addr, local: Addr, world: &mut World) -> Trial {
        Trial {
            addr,
            local,
            base: None,
            look_at: Some(world.now),
            probe_at: Some(world.now.after(world.jitter(world.limits.prove_after))),
            probed: false,
            renewed: false,
            pause: world.limits.retry_first,
            failed: false,
            doubted: false,
            until: world.now.after(world.limits.distrust),
        }
    }

    /// One of an address at which the peer did not answer, and where it is asked again.
    fn again(addr: Addr, local: Addr, world: &mut World) -> Trial {
        Trial {
            look_at: None,
            probe_at: Some(world.now.after(world.jitter(world.limits.retry_first))),
            failed: true,
            until: world.now,
            ..Trial::new(addr, local, world)
        }
    }

    /// Whether it is that of this address.
    pub(crate) fn is_of(&self, addr: Addr) -> bool {
        self.addr == addr
    }
}

impl Host {
    /// The peer has shown that it hears what is sent there.
    pub(crate) fn proves(&mut self, addr: Addr) {
        let failed = |trial: &Trial| trial.addr == addr && trial.failed;
        if self.trials.iter().any(failed) {
            // It was there, and its answers were lost.
            self.distrusted_until = None;
        }
        self.trials.retain(|trial| trial.addr != addr);
        if !self.hears.contains(&addr) {
            self.hears.push(addr);
        }
    }

    /// Addresses that the peer has, and at which it has shown that it hears us; behind no NAT.
    pub(crate) fn shown(&self) -> Vec<Addr> {
        let has = self.has().into_iter();
        has.filter(|addr| self.hears.contains(addr)).collect()
    }

    /// Addresses at which the peer has not shown that it hears us: active ones, and those where it was asked and did not answer.
    pub(crate) fn unvalidated(&self) -> Vec<Addr> {
        let tried = |addr: &Addr| self.trials.iter().any(|trial| trial.addr == *addr);
        let known = self.active.iter().chain(&self.unreachable);
        known.copied().filter(tried).collect()
    }

    /// Addresses that the peer has or says it has.
    pub(crate) fn has(&self) -> Vec<Addr> {
        let known = self.active.iter().chain(&self.unreachable);
        known.chain(&self.contested).copied().collect()
    }

    /// The peer was seen to send from there, to `local`, which proves nothing. Saying so again puts no question off. But a
    /// question that it may not have heard, since it was elsewhere, is asked anew.
    pub(crate) fn try_out(&mut self, addr: Addr, local: Addr, world: &mut World) {
        if self.hears.contains(&addr) || self.managed {
            return;
        }
        let Some(trial) = self.trials.iter_mut().find(|trial| trial.addr == addr) else {
            self.trials.push(Trial::new(addr, local, world));
            return;
        };
        let asked = |probe: &Probe| probe.to == addr && !probe.keeps;
        if !trial.failed && !trial.renewed && self.probes.iter().any(asked) {
            (trial.renewed, trial.probe_at) = (true, Some(world.now));
            self.probes.retain(|probe| !asked(probe));
        }
    }

    /// The host did not answer at this address of it, and is asked there again.
    pub(crate) fn ask_again(&mut self, addr: Addr, world: &mut World) {
        let local = self.anchor.unwrap_or(Addr::UNSPECIFIED);
        self.trials.push(Trial::again(addr, local, world));
    }

    /// The host is at no address that we know of: it is asked at each that it said it has, and that is not a private one.
    pub(crate) fn ask_everywhere(&mut self, world: &mut World) {
        // Among them are those where it did not answer before.
        self.trials.clear();
        let public = |addr: &Addr| addr.scope() != Scope::Private;
        let asked: Vec<Addr> = self.unreachable.iter().copied().filter(public).collect();
        for addr in asked {
            self.apart = true;
            self.ask_again(addr, world);
        }
    }

    /// Whether a message from there, where it has not been proven, has to wait for the proof.
    pub(crate) fn must_prove(&self, received: &Received<'_>, now: Instant) -> bool {
        let addr = received.from;
        let failed = |trial: &Trial| trial.addr == addr && trial.failed;
        // Without a key it may not have been the host that said so.
        let distrusted = self.distrusted_until.is_some_and(|until| until > now);
        let distrusted = distrusted && self.peer_key.is_some();
        let copied = self.was_copied(received);
        !self.hears.contains(&addr) && (distrusted || copied || self.trials.iter().any(failed))
    }

    /// The addresses of the peer changed, or ours: what is asked about them.
    pub(crate) fn review_probes(&mut self, world: &World) {
        let has = |host: &Host, addr: Addr| {
            host.active.contains(&addr) || host.unreachable.contains(&addr)
        };
        let trials = std::mem::take(&mut self.trials);
        self.trials = trials
            .into_iter()
            .filter(|trial| has(self, trial.addr))
            .collect();
        let (here, gone): (Vec<Probe>, Vec<Probe>) = std::mem::take(&mut self.probes)
            .into_iter()
            .filter(|probe| has(self, probe.to))
            .partition(|probe| world.local.contains(&probe.from));
        self.probes = here;
        // The answers go where we are no more; that says nothing about the peer. It is asked again from where we are.
        for trial in &mut self.trials {
            if gone
                .iter()
                .any(|probe| !probe.keeps && probe.to == trial.addr)
            {
                trial.probe_at = trial.probe_at.or(Some(world.now));
            }
        }
        let sought = std::mem::take(&mut self.sought);
        self.sought = sought
            .into_iter()
            .filter(|(_, there)| self.unreachable.contains(there))
            .collect();
        let hears = std::mem::take(&mut self.hears);
        self.hears = hears.into_iter().filter(|addr| self.knows(*addr)).collect();
        let may = self.state == State::Up && !self.managed && self.probes.len() < MAX_PROBES;
        let seeks = may && self.next_sought(world).is_some();
        self.seek_at = seeks.then(|| self.probing_rate.ready_at(world.now));
    }

    /// A private address that the peer says it has, in a network that we are connected to as well: the two may reach
    /// each other there and nobody else ([DIME-IFIP] section IV-C).
    fn next_sought(&self, world: &World) -> Option<(Addr, Addr)> {
        let open = |there: &&Addr| {
            there.scope() == Scope::Private
                && !self.trials.iter().any(|trial| trial.addr == **there)
                && !self.probes.iter().any(|probe| probe.to == **there)
        };
        for there in self.unreachable.iter().filter(open) {
            for (here, len) in &world.connected {
                let pair = (*here, *there);
                let ours = world.local.contains(here) && !world.local.contains(there);
                if ours && is_connected(*here, *there, *len) && !self.sought.contains(&pair) {
                    return Some(pair);
                }
            }
        }
        None
    }

    /// When something about probes is to be done.
    pub(crate) fn next_probing(&self) -> Option<Instant> {
        let trials = self.trials.iter();
        let trials = trials
            .flat_map(|trial| [trial.look_at, trial.probe_at])
            .flatten();
        let probes = self.probes.iter().map(|probe| probe.due);
        trials.chain(probes).chain(self.seek_at).min()
    }

    /// Looks, asks, asks again, and gives up.
    pub(crate) fn probe_due(&mut self, world: &mut World) {
        self.review_probes(world);
        if self.managed || self.state != State::Up {
            self.trials.clear();
            self.probes.clear();
            return;
        }
        let now = world.now;
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if self.trials.iter().any(|trial| due(trial.look_at)) {
            for trial in &mut self.trials {
                if due(trial.look_at) {
                    trial.look_at = None;
                }
            }
            if let Entry::Id(id) = self.entry {
                world.outputs.push_back(Output::Look(id));
            }
        }
        let asked: Vec<Addr> = self
            .trials
            .iter()
            .filter(|trial| due(trial.probe_at))
            .map(|trial| trial.addr)
            .collect();
        for addr in asked {
            self.ask_there(addr, world);
        }
        if due(self.seek_at) && self.may_probe(world) {
            if let Some((here, there)) = self.next_sought(world) {
                if self.sought.len() >= MAX_ADDRESSES {
                    self.sought.remove(0);
                }
                self.sought.push((here, there));
                self.probe(here, there, false, world);
            }
        }
        for mut probe in std::mem::take(&mut self.probes) {
            if probe.due <= now && probe.sends >= PROBE_SENDS {
                self.unanswered_probe(&probe, world);
                continue;
            }
            if probe.due <= now {
                self.send_probe(&mut probe, world);
            }
            self.probes.push(probe);
        }
        self.review_probes(world);
    }

    pub(crate) fn may_probe(&self, world: &World) -> bool {
        self.probes.len() < MAX_PROBES && self.probing_rate.ready_at(world.now) <= world.now
    }

    /// Probes an address on trial, from where it was announced to, or from another address that reaches it.
    fn ask_there(&mut self, addr: Addr, world: &mut World) {
        let reaches = |local: &Addr| local.family() == addr.family() && !world.misses(*local, addr);
        // From where it knows us, if that can be: what it did not know becomes one more of our addresses to it.
        let others = || world.local.iter().copied().filter(reaches);
        let known = |local: &Addr| self.standing(*local) == Some(Standing::Active);
        let other = others().find(known).or(others().next());
        let may = self.may_probe(world);
        let next = self
            .probing_rate
            .ready_at(world.now)
            .max(world.now.after(Duration::from_millis(100)));
        let Some(trial) = self.trials.iter_mut().find(|trial| trial.addr == addr) else {
            return;
        };
        let ours = |local: &Addr| world.local.contains(local) && reaches(local);
        let preferred = Some(trial.local).filter(ours);
        let Some(from) = preferred.or(other) else {
            // Nobody could hear us now; that says nothing about the peer.
            trial.probe_at = Some(world.now.after(trial.pause));
            return;
        };
        trial.probe_at = (!may).then_some(next);
        if may {
            (trial.look_at, trial.probed) = (None, true);
            self.probe(from, addr, false, world);
        }
    }

    /// Probes an address; `keeps` when nothing depends on the answer.
    pub(crate) fn probe(&mut self, from: Addr, to: Addr, keeps: bool, world: &mut World) {
        // Who calls has asked whether it may.
        let _ = self.probing_rate.take(world.now);
        let time_out = self.time_out(world);
        self.probes.push(Probe {
            from,
            to,
            seqno: world.seqno(),
            stamps: Vec::new(),
            sends: 0,
            first_sent: world.now,
            due: world.now,
            time_out,
            keeps,
        });
    }

    fn send_probe(&mut self, probe: &mut Probe, world: &mut World) {
        let time_out = probe.time_out.saturating_mul(1 << probe.sends.min(16));
        probe.sends += 1;
        probe.due = world.now.after(world.jitter(time_out));
        let Some(addresses) = Addresses::of(&[probe.from]) else {
            return;
        };
        let message = Message {
            control: Control::PathProbe,
            options: Options::NONE,
            seqno: probe.seqno,
            signature: None,
            host: self.anchor.unwrap_or(probe.from),
            addresses,
        };
        let to = Endpoint::direct(probe.to);
        let stamp = world.send(probe.from, to, &message, self.own, Some(0));
        probe.stamps.push(stamp);
        world.note(Note::Sent {
            control: Control::PathProbe,
            seqno: probe.seqno,
            from: probe.from,
            to: probe.to,
            attempt: probe.sends,
        });
    }

    /// Nobody answered there: the agent of the peer may be gone while its connections go on, and that the kernel sees.
    fn unanswered_probe(&mut self, probe: &Probe, world: &mut World) {
        let alone = self.reach().eq([probe.to]);
        let Entry::Id(id) = self.entry else {
            return self.unproven(probe, world);
        };
        let again = world.now.after(world.jitter(world.limits.retry_first));
        let ours = |trial: &&mut Trial| trial.addr == probe.to && !trial.failed && !probe.keeps;
        match self.trials.iter_mut().find(ours) {
            Some(trial) if alone && !trial.doubted && world.now < trial.until => {
                (trial.doubted, trial.probe_at) = (true, Some(again));
                world.outputs.push_back(Output::Look(id));
            }
            _ => self.unproven(probe, world),
        }
    }

    /// What the kernel says of an address that did not answer. At least a third as much has to come from there as goes
    /// there, since it was last asked about: whoever forges that could send it to his victim himself.
    fn judge(&mut self, traffic: Traffic, world: &mut World) {
        let most = world.limits.retry_last;
        let now = world.now;
        let Some(trial) = self.trials.iter_mut().find(|trial| trial.doubted) else {
            return;
        };
        trial.doubted = false;
        let now_at = (traffic.sent, traffic.received);
        let (sent, received) = trial.base.replace(now_at).unwrap_or(now_at);
        let sent = traffic.sent.saturating_sub(sent);
        let received = traffic.received.saturating_sub(received);
        let addr = trial.addr;
        if received > 0 && sent <= received.saturating_mul(AMPLIFICATION as u64) {
            trial.probe_at = Some(now.after(world.jitter(trial.pause)));
            trial.pause = trial.pause.saturating_mul(2).min(most);
        } else {
            self.give_up(addr, world);
        }
    }

    /// Nobody answered there.
    fn unproven(&mut self, probe: &Probe, world: &mut World) {
        world.note(Note::Unanswered {
            control: Control::PathProbe,
            seqno: probe.seqno,
            from: probe.from,
            to: probe.to,
        });
        if !probe.keeps {
            self.give_up(probe.to, world);
        }
    }

    /// An address of the peer is not used until it has shown that it hears us there.
    fn give_up(&mut self, addr: Addr, world: &mut World) {
        let now = world.now;
        let again = world.limits.retry_last;
        let Some(trial) = self.trials.iter_mut().find(|trial| trial.addr == addr) else {
            return;
        };
        (trial.failed, trial.doubted) = (true, false);
        trial.probe_at = Some(now.after(world.jitter(trial.pause)));
        trial.pause = trial.pause.saturating_mul(2).min(again);
        self.distrust(world);
        if self.active.contains(&addr) {
            world.note(Note::Unproven { peer: addr });
            let before = self.active.clone();
            self.active.retain(|other| *other != addr);
            include(&mut self.unreachable, addr);
            self.publish(world);
            self.follow(&before, world);
        }
    }

    /// From now on it has to prove its addresses before they are used.
    fn distrust(&mut self, world: &World) {
        self.distrusted_until = Some(world.now.after(world.limits.distrust));
    }

    /// What passed between the host and us, says the kernel. When we send much and nothing comes back, somebody may
    /// get what he did not ask for. Where the credit would not last, the peer is asked at once.
    pub(crate) fn look(&mut self, traffic: Traffic, world: &World) {
        let poor = traffic.flows > 0 && traffic.credit.is_none_or(|credit| credit < LOW);
        let (sent, received) = (traffic.sent, traffic.received);
        let next = world.now.after(world.limits.look_after);
        for trial in &mut self.trials {
            if trial.failed || trial.probe_at.is_none() {
                continue;
            }
            if poor && !trial.probed {
                trial.probe_at = Some(world.now);
                continue;
            }
            if trial.look_at.is_some() {
                continue;
            }
            match trial.base {
                None => (trial.base, trial.look_at) = (Some((sent, received)), Some(next)),
                Some((_, before)) if received != before => (),
                Some((before, _)) if sent.saturating_sub(before) >= FLOOD => {
                    trial.probe_at = Some(world.now);
                }
                Some(_) => trial.look_at = Some(next),
            }
        }
    }
}

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
        if host.alias.contains(&from) && !behind {
            return Err(Refusal::Stale);
        }
        let must = match behind {
            true => !host.is_there(received.endpoint, to),
            false => host.must_prove(received, now),
        };
        if must {
            host.hear_of(received);
            self.incorrect_seqno(received, Some(key));
            return Err(Refusal::Unproven);
        }
        if !behind && !host.has_room(from) {
            return Err(Refusal::AddressLimit);
        }
        self.received(received);
        let Some(host) = self.hosts.get_mut(&key) else {
            return Err(Refusal::UnknownHost);
        };
        let world = &mut self.world;
        let before = host.active.clone();
        if behind {
            host.heard_behind(received);
        } else {
            host.activate(from);
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
        let answered = |probe: &Probe| probe.is_answered(message.seqno, from, to);
        let host = self
            .known(from)
            .find(|host| host.probes.iter().any(answered));
        host.map(|host| host.key)
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
                host.distrust(&self.world);
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
        let answered = |probe: &Probe| probe.is_answered(message.seqno, from, to);
        let Some(at) = host.probes.iter().position(answered) else {
            return Err(Refusal::UnexpectedAck);
        };
        let probe = host.probes.remove(at);
        let after = world.now.since(probe.first_sent);
        if probe.sends == 1 {
            host.measured(after);
        }
        world.note(Note::Acked {
            control: Control::PathProbe,
            seqno: probe.seqno,
            from: probe.from,
            by: from,
            after,
        });
        let before = host.active.clone();
        host.proves(from);
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
            if !host.alias.contains(&from) {
                host.activate(from);
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
            host.look(traffic, world);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_prefixes() {
        let addr = |text: &str| text.parse::<Addr>().unwrap();
        let connected = |one, other, len| is_connected(addr(one), addr(other), len);
        assert!(connected("10.1.2.3", "10.1.2.200", 24));
        assert!(!connected("10.1.2.3", "10.1.3.3", 24));
        assert!(!connected("10.1.2.3", "10.1.2.4", 32));
        assert!(connected("10.1.2.3", "11.1.2.4", 0));
        assert!(connected("fd00::1", "fd00::2", 64));
        assert!(!connected("fd00::1", "fd00:0:0:1::2", 64));
        assert!(!connected("fd00::1", "10.0.0.1", 0));
        assert!(!connected("10.1.2.3", "10.1.2.255", 24) && !connected("10.1.2.3", "10.1.2.0", 24));
        assert!(connected("10.1.2.3", "10.1.2.2", 31));
    }
}
