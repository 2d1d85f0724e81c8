// SPDX-License-Identifier: GPL-2.0
//! How the peers of the hosts behind the NAT are told: NAT_ENTRYs and their answers.

use ihmp_core::addr::Addr;
use ihmp_core::entry::Entry;
use ihmp_core::message::{Control, Message, Options};

use super::exchange::Exchange;
use super::handling::Handling;
use super::mappings::Mappings;
use super::peers::Peers;
use super::pending::Pending;
use super::request::{Cause, Request};
use super::timers::Timers;
use crate::io::{Note, Output, Pair, Reason};
use crate::verifier::Verifier;

/// Tells peers, while an input is handled.
pub(super) struct Teller<'a, 'b> {
    pub(super) lifetime: u16,
    pub(super) mappings: &'a mut Mappings,
    pub(super) timers: &'a mut Timers,
    pub(super) peers: &'a mut Peers,
    pub(super) pending: &'a mut Pending,
    pub(super) handling: &'a mut Handling<'b>,
}

impl Teller<'_, '_> {
    /// Sends for a pair what is due, and finds out when it is to be looked at again.
    pub(super) fn advance(&mut self, pair: Pair) {
        let now = self.handling.now();
        let ready_at = self.peers.ready_at(pair.peer, now);
        let Some(exchange) = self.mappings.get_mut(pair) else {
            return;
        };
        let mut waits = None;
        match exchange.request() {
            Some(request) if request.next_at() > now => (),
            Some(_) if ready_at > now => waits = Some(ready_at),
            Some(request) => {
                let note = Note::Unanswered {
                    seqno: request.seqno(),
                    from: exchange.nat(),
                    to: pair.peer,
                };
                if exchange.again(Cause::Timer) {
                    self.send(pair, Cause::Timer);
                } else {
                    self.gave_up(pair);
                    self.handling.outbox().note(note);
                }
            }
            None => (),
        }
        let Some(exchange) = self.mappings.get(pair) else {
            return;
        };
        if exchange.is_idle() && exchange.is_live() && exchange.has_due() {
            let at = ready_at.max(exchange.paused_until());
            if at > now {
                waits = Some(at);
            } else {
                self.ask(pair);
            }
        }
        let Some(exchange) = self.mappings.get(pair) else {
            return;
        };
        let request = exchange.request().map(Request::next_at);
        let times = [waits.or(request), Some(exchange.looks_at())];
        let at = times.into_iter().flatten().min();
        let at = at.map_or(exchange.until(), |at| at.min(exchange.until()));
        self.timers.set(pair, at);
    }

    /// Tells the peer of a pair what is due.
    fn ask(&mut self, pair: Pair) {
        loop {
            let Some(exchange) = self.mappings.get_mut(pair) else {
                return;
            };
            let nat = exchange.nat();
            let random = self.handling.random();
            let seqno = self.pending.next(nat, pair.peer, random);
            exchange.ask(seqno, self.lifetime, self.peers.srtt(pair.peer));
            if !exchange.again(Cause::Timer) {
                return;
            }
            self.pending.sent((nat, pair.peer, seqno), pair);
            self.send(pair, Cause::Timer);
            // All that it was to say may have been another pair's.
            let done = |exchange: &Exchange| !exchange.is_idle() || !exchange.has_due();
            if self.mappings.get(pair).is_none_or(done) {
                return;
            }
        }
    }

    /// Sends the request of a pair.
    pub(super) fn send(&mut self, pair: Pair, cause: Cause) {
        self.mappings.narrow(pair);
        let Some(exchange) = self.mappings.get_mut(pair) else {
            return;
        };
        let nat = exchange.nat();
        let Some(request) = exchange.request_mut() else {
            return;
        };
        if request.leases().is_empty() {
            return self.acknowledged(pair);
        }
        let Some(bound) = self.handling.key(pair.host) else {
            return;
        };
        let (now, random) = (self.handling.now(), self.handling.random());
        let stamp = self.handling.stamp();
        if !self.handling.outbox().has_key() {
            return;
        }
        let Some(entry) = Entry::new(nat, pair.host, bound.0, request.leases()) else {
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
            seqno: request.seqno(),
            signature: None,
            host: nat,
            addresses: entry.addresses(),
        };
        let (from, to) = (nat, pair.peer);
        let note = Note::Sent {
            seqno: request.seqno(),
            from,
            to,
            attempt: request.attempt(),
            count: request.leases().len(),
        };
        self.peers.charge(to, now);
        let outbox = self.handling.outbox();
        if let Some(bytes) = outbox.seal(&message, to, stamp, echo) {
            outbox.push(Output::Send { from, to, bytes });
        }
        outbox.note(note);
    }

    /// A datagram to the router itself is of use if it acknowledges a NAT_ENTRY; the pair whose it is. Whose key it has does not matter:
    /// it is signed over the timestamp of what it answers, so who sent it has heard that.
    pub(super) fn heard(
        &mut self,
        verifier: &mut Verifier,
        from: Addr,
        to: Addr,
        bytes: &[u8],
    ) -> Result<Pair, Reason> {
        let now = self.handling.now();
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
        let pair = self.pending.pair((to, from, seqno))?;
        let request = self.mappings.get(pair).and_then(Exchange::request);
        let request = request.ok_or(Reason::UnexpectedAck)?;
        verifier.verify(now, bytes, to, &request.stamps(), &block)?;
        let took = now.since(request.first_at());
        // Karn's rule: what was sent once tells the time.
        if request.attempt() == 1 {
            self.peers.measured(pair.peer, took);
        }
        if message.options.has(Options::INCORRECT_SEQNO) {
            let cause = Cause::Proof(block.timestamp);
            let exchange = self.mappings.get_mut(pair);
            if exchange.is_some_and(|exchange| exchange.again(cause)) {
                self.send(pair, cause);
            }
        } else {
            self.acknowledged(pair);
            self.handling.outbox().note(Note::Acked {
                seqno,
                from: to,
                by: from,
                after_us: took.as_micros(),
            });
        }
        Ok(pair)
    }

    /// The request of a pair was acknowledged.
    fn acknowledged(&mut self, pair: Pair) {
        let exchange = self.mappings.get(pair);
        let number = exchange.and_then(|exchange| exchange.number(pair.peer));
        if let Some(number) = number {
            self.mappings.acknowledged(pair);
            self.pending.is_done(number);
        }
    }

    /// Nobody acknowledged the request of a pair.
    fn gave_up(&mut self, pair: Pair) {
        let now = self.handling.now();
        let Some(exchange) = self.mappings.get_mut(pair) else {
            return;
        };
        if let Some(number) = exchange.number(pair.peer) {
            exchange.gave_up(now);
            self.pending.forget(number);
        }
    }
}
