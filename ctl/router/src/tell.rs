// SPDX-License-Identifier: GPL-2.0
//! What the NAT did, and how the peers of the hosts behind it are told: NAT_ENTRYs and their answers.

use std::collections::{BTreeMap, BTreeSet};

use ihmp_core::addr::Addr;
use ihmp_core::entry::{Entry, Lease};
use ihmp_core::message::{Control, Message, Options};
use ihmp_core::time::{Duration, Instant};
use ihmp_engine::verify;

use crate::io::{Event, Note, Output, Pair, Reason, Translation};
use crate::nat::place;
use crate::pair::{name_of, Cause, Exchange, Request};
use crate::router::Router;

/// Least time between two looks at the NAT, and how many times as long as one takes it rests.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
const LOOK_REST: u64 = 9;

impl Router {
    /// What the NAT did: all of it first, then it is told, so that what came together is told together.
    pub(crate) fn events(&mut self, events: &[Event]) {
        let mut touched = BTreeSet::new();
        for event in events {
            let (Event::New(translation) | Event::Gone(translation)) = event;
            touched.insert(translation.pair);
            let reason = self.nat.as_mut().and_then(|nat| nat.apply(*event, false));
            self.not_kept(translation, reason);
        }
        for pair in touched {
            self.advance(pair);
        }
    }

    fn not_kept(&mut self, translation: &Translation, reason: Option<Reason>) {
        if let Some(reason) = reason {
            let Pair { host, peer } = translation.pair;
            self.refused(reason, host, peer);
        }
    }

    /// Some of it was lost.
    pub(crate) fn overrun(&mut self) {
        let Some(nat) = &mut self.nat else { return };
        let live = nat.pairs.iter().filter(|(_, exchange)| exchange.live);
        for pair in live.map(|(pair, _)| *pair).collect::<Vec<_>>() {
            nat.look.entry(pair).or_insert(false);
        }
    }

    /// Asks the NAT, when it is time.
    pub(crate) fn look(&mut self) {
        let now = self.now;
        let Some(nat) = &mut self.nat else { return };
        if nat.look.is_empty() || nat.looking.is_some() || nat.look_at > now {
            return;
        }
        let pairs = std::mem::take(&mut nat.look);
        self.outputs
            .push_back(Output::Look(pairs.keys().copied().collect()));
        nat.looking = Some((now, pairs));
    }

    /// What the NAT has.
    pub(crate) fn seen(&mut self, all: Option<&[Translation]>) {
        let now = self.now;
        let Some(nat) = &mut self.nat else { return };
        let Some((since, pairs)) = nat.looking.take() else {
            return;
        };
        let took = now.since(since).saturating_mul(LOOK_REST);
        nat.look_at = now.after(took.max(LOOK_PAUSE));
        let Some(all) = all else {
            // It is asked again.
            for (pair, again) in pairs {
                *nat.look.entry(pair).or_default() |= again;
            }
            return;
        };
        let half = Duration::from_secs(u64::from(nat.config.lifetime.max(2)) / 2);
        let mut there: BTreeMap<Pair, BTreeSet<Lease>> = BTreeMap::new();
        let mut refused = Vec::new();
        for translation in all {
            let Some(again) = pairs.get(&translation.pair) else {
                continue;
            };
            let name = name_of(translation.lease);
            there.entry(translation.pair).or_default().insert(name);
            if let Some(reason) = nat.apply(Event::New(*translation), *again) {
                refused.push((*translation, reason));
            }
        }
        for (pair, again) in &pairs {
            let Some(exchange) = nat.pairs.get_mut(pair) else {
                continue;
            };
            if *again {
                exchange.look_at = now.after(half);
            }
            let outside = exchange.nat;
            let none = BTreeSet::new();
            for lease in exchange.missing(there.get(pair).unwrap_or(&none)) {
                let (pair, nat_addr) = (*pair, outside);
                let gone = Translation {
                    pair,
                    nat: nat_addr,
                    lease,
                };
                nat.apply(Event::Gone(gone), false);
            }
        }
        for (translation, reason) in refused {
            self.not_kept(&translation, Some(reason));
        }
        for pair in pairs.into_keys() {
            self.advance(pair);
        }
    }

    /// All pairs whose time has come.
    pub(crate) fn wake(&mut self) {
        loop {
            let first = self.nat.as_ref().and_then(|nat| nat.wakes.first().copied());
            match first {
                Some((at, pair)) if at <= self.now => self.advance(pair),
                _ => return,
            }
        }
    }

    /// Does for a pair what is due, and finds out when it is to be looked at again.
    pub(crate) fn advance(&mut self, pair: Pair) {
        let now = self.now;
        let bound = self.table.get(pair.host).is_some();
        let Some(nat) = &mut self.nat else { return };
        let Some(exchange) = nat.pairs.get_mut(&pair) else {
            return;
        };
        if exchange.until <= now {
            return self.end(pair, "expired");
        }
        if !bound {
            return self.end(pair, "unbound");
        }
        if exchange.live && exchange.look_at <= now {
            exchange.look_at = Instant::MAX;
            nat.look.insert(pair, true);
        }
        let ready_at = nat.ready_at(pair.peer, now);
        let Some(exchange) = nat.pairs.get_mut(&pair) else {
            return;
        };
        let mut waits = None;
        match &exchange.request {
            Some(request) if request.next_at > now => (),
            Some(_) if ready_at > now => waits = Some(ready_at),
            Some(request) => {
                let note = Note::Unanswered {
                    seqno: request.seqno,
                    from: exchange.nat,
                    to: pair.peer,
                };
                if exchange.again(Cause::Timer) {
                    self.send_entry(pair, Cause::Timer);
                } else {
                    self.finished(pair, false);
                    self.note(note);
                }
            }
            None => (),
        }
        let Some(nat) = &mut self.nat else { return };
        let Some(exchange) = nat.pairs.get_mut(&pair) else {
            return;
        };
        if exchange.request.is_none() && exchange.live && exchange.has_due() {
            let at = ready_at.max(exchange.paused);
            if at > now {
                waits = Some(at);
            } else {
                self.ask(pair);
            }
        }
        let Some(nat) = &mut self.nat else { return };
        let Some(exchange) = nat.pairs.get(&pair) else {
            return;
        };
        let request = exchange.request.as_ref().map(|request| request.next_at);
        let times = [waits.or(request), Some(exchange.look_at)];
        let at = times.into_iter().flatten().min();
        let at = at.map_or(exchange.until, |at| at.min(exchange.until));
        nat.wakes_at(pair, at);
    }

    /// Tells the peer of a pair what is due.
    fn ask(&mut self, pair: Pair) {
        loop {
            let Some(nat) = &mut self.nat else { return };
            let Some(outside) = nat.pairs.get(&pair).map(|exchange| exchange.nat) else {
                return;
            };
            let seqno = nat.number(outside, pair.peer, self.random);
            let srtt = nat.peers.get(&pair.peer).and_then(|peer| peer.srtt);
            let lifetime = nat.config.lifetime.max(2);
            let Some(exchange) = nat.pairs.get_mut(&pair) else {
                return;
            };
            exchange.ask(seqno, lifetime, srtt);
            if !exchange.again(Cause::Timer) {
                return;
            }
            nat.asked.insert((outside, pair.peer, seqno), pair);
            self.send_entry(pair, Cause::Timer);
            // All that it was to say may have been another pair's.
            let Some(nat) = &self.nat else { return };
            let done = |exchange: &Exchange| exchange.request.is_some() || !exchange.has_due();
            if nat.pairs.get(&pair).is_none_or(done) {
                return;
            }
        }
    }

    /// The request of a pair is over.
    fn finished(&mut self, pair: Pair, acknowledged: bool) {
        let now = self.now;
        let Some(nat) = &mut self.nat else { return };
        let Some(exchange) = nat.pairs.get_mut(&pair) else {
            return;
        };
        let outside = exchange.nat;
        let Some(seqno) = exchange.request.as_ref().map(|request| request.seqno) else {
            return;
        };
        if !acknowledged {
            exchange.gave_up(now);
            nat.asked.remove(&(outside, pair.peer, seqno));
            return;
        }
        let over = exchange.acknowledged();
        nat.asked.remove(&(outside, pair.peer, seqno));
        nat.is_done((outside, pair.peer, seqno));
        for name in over {
            nat.vacate(pair, outside, name);
        }
    }

    /// Sends the request of a pair.
    pub(crate) fn send_entry(&mut self, pair: Pair, cause: Cause) {
        let (now, random) = (self.now, self.random);
        let Some(nat) = &mut self.nat else { return };
        let Some(exchange) = nat.pairs.get_mut(&pair) else {
            return;
        };
        let outside = exchange.nat;
        // Of a place that is another's by now nothing is said: that would be the other's end.
        let other = |lease: &Lease| {
            let name = name_of(*lease);
            let owner = nat.places.get(&place(pair, outside, name));
            !exchange.has(name) || owner.is_some_and(|owner| *owner != (pair, name))
        };
        let leases = exchange
            .request
            .as_ref()
            .map(|request| request.leases.clone());
        let (over, leases): (Vec<Lease>, Vec<Lease>) =
            leases.unwrap_or_default().into_iter().partition(other);
        let Some(request) = &mut exchange.request else {
            return;
        };
        request.leases = leases;
        for lease in over {
            let name = name_of(lease);
            if exchange.is_gone(name) {
                exchange.forget(name);
            }
        }
        let empty = |request: &Request| request.leases.is_empty();
        if exchange.request.as_ref().is_some_and(empty) {
            self.finished(pair, true);
            return;
        }
        let Some(bound) = self.table.get(pair.host).map(|bound| bound.key) else {
            return;
        };
        let stamp = self.stamp();
        let Some(nat) = &mut self.nat else { return };
        let request = nat.pairs.get_mut(&pair).and_then(|e| e.request.as_mut());
        let (Some(request), Some(key)) = (request, &self.key) else {
            return;
        };
        let entry = Entry::new(outside, pair.host, bound.0, &request.leases);
        let Some(entry) = entry else {
            // INVARIANT: mappings were checked, and they are few enough.
            return;
        };
        request.leaves(now, stamp, cause, random >> 8);
        let (options, echo) = match cause {
            Cause::Proof(echo) => (Options::INCORRECT_SEQNO, echo),
            Cause::Timer | Cause::Word => (Options::NONE, 0),
        };
        let message = Message {
            control: Control::NatEntry,
            options,
            seqno: request.seqno,
            signature: None,
            host: outside,
            addresses: entry.addresses(),
        };
        let bytes = key.seal(&message, pair.peer, stamp, echo);
        let note = Note::Sent {
            seqno: request.seqno,
            from: outside,
            to: pair.peer,
            attempt: request.attempt,
            count: request.leases.len(),
        };
        // When there is none, it is the peer's own word that asks for it.
        let _ = nat.sent.take(now);
        if let Some(peer) = nat.peers.get_mut(&pair.peer) {
            let _ = peer.sent.take(now);
        }
        let (from, to) = (outside, pair.peer);
        self.outputs.push_back(Output::Send { from, to, bytes });
        self.note(note);
    }

    /// A datagram to the router itself.
    pub(crate) fn heard(&mut self, from: Addr, to: Addr, bytes: &[u8]) {
        if let Err(reason) = self.answer_heard(from, to, bytes) {
            self.refused(reason, from, to);
        }
    }

    /// It is of use if it acknowledges a NAT_ENTRY. Whose key it is does not matter: it is signed over the timestamp of what
    /// it answers, so who sent it has heard that.
    fn answer_heard(&mut self, from: Addr, to: Addr, bytes: &[u8]) -> Result<(), Reason> {
        let now = self.now;
        let message = Message::parse(bytes).map_err(Reason::Malformed)?;
        if message.control != Control::Ack {
            return Err(Reason::Unsupported);
        }
        if message.addresses.as_slice().first() != Some(&from) {
            return Err(Reason::Payload);
        }
        let signature = message.signature.as_ref();
        let block = signature.and_then(|signature| signature.ed25519());
        let block = block.ok_or(Reason::Unsigned)?;
        let seqno = message.seqno;
        let Some(nat) = &mut self.nat else {
            return Err(Reason::UnexpectedAck);
        };
        let pair = nat.asked((to, from, seqno))?;
        let request = nat.pairs.get(&pair).and_then(|e| e.request.as_ref());
        let request = request.ok_or(Reason::UnexpectedAck)?;
        let (first_at, attempt) = (request.first_at, request.attempt);
        let stamps: Vec<u64> = request.stamps.iter().copied().collect();
        if !self.verified.take(now) {
            return Err(Reason::Rate);
        }
        if !stamps.iter().any(|echo| verify(bytes, to, *echo, &block)) {
            return Err(Reason::BadSignature);
        }
        let took = now.since(first_at);
        let Some(nat) = &mut self.nat else {
            return Ok(());
        };
        // Karn's rule: what was sent once tells the time.
        if let Some(peer) = nat.peers.get_mut(&pair.peer).filter(|_| attempt == 1) {
            let old = peer.srtt.unwrap_or(took).as_nanos();
            let new = old - old / 8 + took.as_nanos() / 8;
            peer.srtt = Some(Duration::from_nanos(new));
        }
        if message.options.has(Options::INCORRECT_SEQNO) {
            let cause = Cause::Proof(block.timestamp);
            let exchange = nat.pairs.get_mut(&pair);
            if exchange.is_some_and(|exchange| exchange.again(cause)) {
                self.send_entry(pair, cause);
            }
        } else {
            self.finished(pair, true);
            self.note(Note::Acked {
                seqno,
                from: to,
                by: from,
                after_us: took.as_micros(),
            });
        }
        self.advance(pair);
        Ok(())
    }
}
