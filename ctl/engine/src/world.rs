// SPDX-License-Identifier: GPL-2.0
//! What all hosts share: the time, own addresses, routes, budgets, the keyring, outputs.

use std::collections::VecDeque;

use ihmp_core::addr::Addr;
use ihmp_core::message::{
    Addresses, Control, Message, Options, ADDRESS_LEN, ED25519_LEN, HEADER_LEN, MAX_LEN,
    SIGNATURE_HEAD, SUCCESSION_LEN,
};
use ihmp_core::time::{Duration, Instant};

use crate::budgets::Budgets;
use crate::counters::Counters;
use crate::endpoint::Endpoint;
use crate::io::{Moment, Output, Refusal};
use crate::keyring::Keyring;
use crate::keys::{Changed, Fact, Policy, PublicKey};
use crate::limits::Limits;
use crate::nats::Nats;
use crate::note::Note;
use crate::own::OwnAddresses;
use crate::received::Received;
use crate::routes::KnownRoutes;

/// Numbers that follow from the one that came with the input (splitmix64).
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// How an ACK is signed: as what it answers is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The timestamp of what it answers; `None` when that is not signed.
    pub(crate) echo: Option<u64>,
    /// The own key that is used towards the host.
    pub(crate) own: Option<PublicKey>,
}

/// What all hosts share while an input is handled.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: Instant,
    wall: u64,
    random: Random,
    pub(crate) limits: Limits,
    pub(crate) own: OwnAddresses,
    pub(crate) routes: KnownRoutes,
    pub(crate) outputs: VecDeque<Output>,
    pub(crate) counters: Counters,
    pub(crate) budgets: Budgets,
    pub(crate) nats: Nats,
    pub(crate) keyring: Keyring,
    /// The administrator switched the machine off.
    pub(crate) off: bool,
}

impl World {
    pub(crate) fn new(limits: Limits, policy: Policy) -> World {
        World {
            now: Instant::ZERO,
            wall: 0,
            random: Random(0),
            limits,
            own: OwnAddresses::default(),
            routes: KnownRoutes::default(),
            outputs: VecDeque::new(),
            counters: Counters::default(),
            budgets: Budgets::new(&limits),
            nats: Nats::default(),
            keyring: Keyring::new(policy, limits),
            off: false,
        }
    }

    /// Begins an input.
    pub(crate) fn begin(&mut self, moment: Moment) {
        self.now = self.now.max(moment.now);
        self.wall = moment.wall;
        self.random.0 ^= moment.random;
        let fact = self.keyring.own_mut().reserve(self.now, self.wall);
        self.keep(fact);
    }

    /// Has something written down.
    pub(crate) fn keep(&mut self, fact: Option<Fact>) {
        self.outputs.extend(fact.map(Output::Keep));
    }

    /// Says that another key is where one was remembered.
    pub(crate) fn key_changed(&mut self, changed: Option<Changed>) {
        if let Some(changed) = changed {
            self.keep(Some(Fact::Changed(changed)));
            self.note(Note::KeyChanged(changed));
        }
    }

    /// A fresh sequence number.
    pub(crate) fn seqno(&mut self) -> u16 {
        let [low, high, ..] = self.random.next().to_le_bytes();
        u16::from_le_bytes([low, high])
    }

    /// A number that no peer can guess.
    pub(crate) fn chance(&mut self) -> u64 {
        self.random.next()
    }

    /// `span` and up to a quarter more.
    pub(crate) fn jitter(&mut self, span: Duration) -> Duration {
        let quarter = span.as_nanos() / 4;
        let more = self.random.next() % quarter.saturating_add(1);
        span.saturating_add(Duration::from_nanos(more))
    }

    /// A router brings what is sent to `old` to `new`, a host says.
    pub(crate) fn hold(&mut self, old: Addr, new: Addr) {
        if self.own.hold(old, new) {
            self.outputs.push_back(Output::Hold(old));
        }
    }

    /// It does not say so any more.
    pub(crate) fn unhold(&mut self, old: Addr, new: Addr) {
        if self.own.unhold(old, new) {
            self.outputs.push_back(Output::Release(old));
        }
    }

    pub(crate) fn note(&mut self, note: Note) {
        self.outputs.push_back(Output::Note(note));
    }

    /// A message is used.
    pub(crate) fn received(&mut self, received: &Received<'_>) {
        let Received {
            from, to, message, ..
        } = *received;
        self.note(Note::Received {
            control: message.control,
            seqno: message.seqno,
            from,
            to,
        });
    }

    pub(crate) fn refuse(&mut self, reason: Refusal, from: Addr, to: Addr) {
        self.counters.refuse(reason);
        self.note(Note::Refused { reason, from, to });
    }

    /// Signs a message and sends it; its timestamp. Without an own key, or an echo, it is sent as it is.
    pub(crate) fn send(
        &mut self,
        from: Addr,
        to: Endpoint,
        message: &Message<'_>,
        own: Option<PublicKey>,
        echo: Option<u64>,
    ) -> u64 {
        let (wall, random) = (self.wall, self.random.next());
        let fact = self.keyring.own_mut().reserve(self.now, wall);
        self.keep(fact);
        let stamp = self.keyring.own_mut().stamp(self.now, wall, random);
        let own = own.and_then(|own| self.keyring.own().get(&own));
        let own = own.or_else(|| self.keyring.own().for_address(from));
        let bytes = match (own, echo) {
            (Some(own), Some(echo)) => own.seal(message, to.own, stamp, echo),
            _ => {
                let mut buffer = [0; MAX_LEN];
                message.emit(&mut buffer).unwrap_or_default().to_vec()
            }
        };
        self.counters.send(message.control);
        let Endpoint { addr: to, port, .. } = to;
        self.outputs.push_back(Output::Send {
            from,
            to,
            port,
            bytes,
        });
        stamp
    }

    /// Octets of an ACK without addresses.
    pub(crate) fn ack_length(&self, from: Addr, answer: Answer) -> usize {
        let own = answer.own.and_then(|own| self.keyring.own().get(&own));
        let own = own.or_else(|| self.keyring.own().for_address(from));
        let block = match own.filter(|_| answer.echo.is_some()) {
            Some(key) if key.former.is_some() => SIGNATURE_HEAD + SUCCESSION_LEN,
            Some(_) => SIGNATURE_HEAD + ED25519_LEN,
            None => 0,
        };
        HEADER_LEN + block + ADDRESS_LEN
    }

    /// Sends an ACK: the first address is the source, others may follow.
    pub(crate) fn acknowledge(
        &mut self,
        from: Addr,
        to: Endpoint,
        seqno: u16,
        options: Options,
        addresses: Addresses,
        answer: Answer,
    ) -> u64 {
        let message = Message {
            control: Control::Ack,
            options,
            seqno,
            signature: None,
            host: from,
            addresses,
        };
        let stamp = self.send(from, to, &message, answer.own, answer.echo);
        self.note(Note::Sent {
            control: Control::Ack,
            seqno,
            from,
            to: to.addr,
            attempt: 1,
        });
        stamp
    }

    /// Acknowledges a message of a host from where it came to.
    pub(crate) fn answer(
        &mut self,
        received: &Received<'_>,
        own: Option<PublicKey>,
        options: Options,
    ) -> u64 {
        let Received {
            endpoint,
            to,
            message,
            ..
        } = *received;
        let options = options.with(received.detected());
        let answer = Answer {
            echo: received.signer.as_ref().map(|signer| signer.stamp),
            own,
        };
        let addresses = Addresses::of(&[to]).unwrap_or(Addresses::EMPTY);
        self.counters.note_probe(message.control);
        self.acknowledge(to, endpoint, message.seqno, options, addresses, answer)
    }
}
