// SPDX-License-Identifier: GPL-2.0
//! What all hosts share: the own addresses, the routes, the outputs, the limits.

use std::collections::{BTreeMap, HashMap, VecDeque};

use ihmp_core::addr::Addr;
use ihmp_core::message::{
    Addresses, Control, Message, Options, ADDRESS_LEN, ED25519_LEN, HEADER_LEN, MAX_LEN,
    SIGNATURE_HEAD, SUCCESSION_LEN,
};
use ihmp_core::time::{Duration, Instant};

use crate::bucket::{Bucket, Prefixes};
use crate::cookie::Baker;
use crate::discretion::Discretion;
use crate::endpoint::Endpoint;
use crate::io::{Age, Key, Moment, Output, Own, Refusal, Routes, Via};
use crate::keyring::Keyring;
use crate::keys::{Changed, Fact, Policy, PublicKey};
use crate::limits::Limits;
use crate::nats::Nats;
use crate::note::Note;
use crate::prefix::is_same_network;
use crate::received::Received;

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

/// The surroundings of the hosts while an input is handled.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: Instant,
    wall: u64,
    pub(crate) limits: Limits,
    /// Own addresses: the usable ones of devices, then those that come by a router.
    pub(crate) local: Vec<Addr>,
    /// How many of them are usable ones of devices.
    devices: usize,
    /// Those that are deprecated.
    aged: Vec<Own>,
    /// Old and new addresses of which hosts say that a router brings the one to the other, and how many do.
    held: BTreeMap<(Addr, Addr), usize>,
    /// Own addresses with the lengths of the prefixes to which they connect us.
    pub(crate) connected: Vec<(Addr, u8)>,
    pub(crate) discretion: Discretion,
    /// Own addresses from which a peer address can be reached.
    pub(crate) routes: HashMap<Addr, Vec<Via>>,
    /// Addresses of NATs whose routes were asked for, and by which hosts.
    pub(crate) waiting: Vec<(Addr, Key)>,
    /// How many hosts keep the routes of an address of a NAT.
    pub(crate) routed: HashMap<Addr, usize>,
    pub(crate) outputs: VecDeque<Output>,
    /// Messages not used, by reason.
    pub(crate) refusals: HashMap<Refusal, u64>,
    /// All of them.
    pub(crate) refused: u64,
    /// HELLOs sent to hosts that may not take part.
    pub(crate) hello_out: Bucket,
    /// Hosts that are told of a change of our addresses.
    pub(crate) moves: Bucket,
    /// Messages sent so far.
    pub(crate) sent: u64,
    /// The administrator switched the machine off.
    pub(crate) off: bool,
    /// Those of them that are probes, or answer one.
    probes: u64,
    pub(crate) hello_in: Bucket,
    pub(crate) hello_prefix: Prefixes,
    /// The same of those that have shown that they are from there.
    pub(crate) proven_prefix: Prefixes,
    /// Hosts that came, by network.
    pub(crate) arrivals: Prefixes,
    pub(crate) baker: Baker,
    pub(crate) wrong: Bucket,
    pub(crate) entries: Bucket,
    pub(crate) entry_prefix: Prefixes,
    pub(crate) nats: Nats,
    pub(crate) keyring: Keyring,
    random: Random,
}

impl World {
    pub(crate) fn new(limits: Limits, policy: Policy) -> World {
        World {
            now: Instant::ZERO,
            wall: 0,
            local: Vec::new(),
            devices: 0,
            aged: Vec::new(),
            held: BTreeMap::new(),
            connected: Vec::new(),
            discretion: Discretion::default(),
            routes: HashMap::new(),
            waiting: Vec::new(),
            routed: HashMap::new(),
            outputs: VecDeque::new(),
            refusals: HashMap::new(),
            refused: 0,
            hello_out: Bucket::new(limits.hello_out),
            moves: Bucket::new(limits.moves),
            sent: 0,
            off: false,
            probes: 0,
            hello_in: Bucket::new(limits.hello_in),
            hello_prefix: Prefixes::new(limits.hello_prefix),
            proven_prefix: Prefixes::new(limits.hello_prefix),
            arrivals: Prefixes::new(limits.hello_prefix),
            baker: Baker::default(),
            wrong: Bucket::new(limits.wrong),
            entries: Bucket::new(limits.entries),
            entry_prefix: Prefixes::new(limits.entry_prefix),
            nats: Nats::default(),
            keyring: Keyring::new(policy, limits),
            random: Random(0),
            limits,
        }
    }

    /// Begins an input.
    pub(crate) fn begin(&mut self, moment: Moment) {
        self.now = self.now.max(moment.now);
        self.wall = moment.wall;
        self.random.0 ^= moment.random;
        let fact = self.keyring.reserve(self.now, self.wall);
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

    /// The usable addresses of devices.
    pub(crate) fn real(&self) -> &[Addr] {
        self.local.get(..self.devices).unwrap_or_default()
    }

    /// Whether this is one of them.
    pub(crate) fn is_real(&self, addr: Addr) -> bool {
        self.real().contains(&addr)
    }

    /// What an own address is good for.
    pub(crate) fn age(&self, addr: Addr) -> Age {
        let aged = self.aged.iter().find(|own| own.addr == addr);
        aged.map_or(Age::Preferred, |own| own.age)
    }

    /// These are the usable addresses of devices now.
    pub(crate) fn set_own(&mut self, own: Vec<Own>) {
        self.set_local(own.iter().map(|own| own.addr).collect());
        self.aged = own;
        self.aged.retain(|own| own.age != Age::Preferred);
    }

    fn set_local(&mut self, local: Vec<Addr>) {
        (self.devices, self.local) = (local.len(), local);
        for (old, new) in self.held.keys() {
            if !self.local.contains(old)
                && self.local.iter().take(self.devices).any(|addr| addr == new)
            {
                self.local.push(*old);
            }
        }
    }

    /// A router brings what is sent to `old` to `new`, a host says.
    pub(crate) fn hold(&mut self, old: Addr, new: Addr) {
        let held = self.is_held(old);
        *self.held.entry((old, new)).or_insert(0) += 1;
        if !held {
            self.outputs.push_back(Output::Hold(old));
        }
        let local = self.real().to_vec();
        self.set_local(local);
    }

    /// It does not say so any more.
    pub(crate) fn unhold(&mut self, old: Addr, new: Addr) {
        let Some(count) = self.held.get_mut(&(old, new)) else {
            return;
        };
        *count -= 1;
        if *count > 0 {
            return;
        }
        self.held.remove(&(old, new));
        if !self.is_held(old) {
            self.outputs.push_back(Output::Release(old));
        }
        let local = self.real().to_vec();
        self.set_local(local);
    }

    fn is_held(&self, old: Addr) -> bool {
        self.held.keys().any(|(held, _)| *held == old)
    }

    /// These are the usable addresses of devices now, and the routes to all peers.
    pub(crate) fn set_network(&mut self, own: Vec<Own>, routes: Vec<Routes>) {
        self.set_own(own);
        let routes = routes.into_iter();
        self.routes = routes.map(|routes| (routes.peer, routes.via)).collect();
    }

    /// These are the prefixes to which own addresses connect us; whether that is new.
    pub(crate) fn set_connected(&mut self, connected: Vec<(Addr, u8)>) -> bool {
        std::mem::replace(&mut self.connected, connected.clone()) != connected
    }

    /// Hosts that asked for the routes to this address, which are known now.
    pub(crate) fn take_waiting(&mut self, peer: Addr) -> Vec<Key> {
        let waiting = std::mem::take(&mut self.waiting);
        let (due, later): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|(addr, _)| *addr == peer);
        self.waiting = later;
        due.into_iter().map(|(_, key)| key).collect()
    }

    /// One more host is behind the NAT with this address.
    pub(crate) fn route(&mut self, nat: Addr) {
        *self.routed.entry(nat).or_insert(0) += 1;
    }

    /// Whether there is an address of the other kind in the network of this one: a temporary one, or a stable one.
    pub(crate) fn has_twin(&self, addr: Addr) -> bool {
        let near = |other: &Addr| is_same_network(*other, addr);
        let temporary = |addr: &Addr| self.discretion.is_temporary(*addr);
        match temporary(&addr) {
            true => self
                .real()
                .iter()
                .any(|other| !temporary(other) && near(other)),
            false => self.discretion.temporary.iter().any(near),
        }
    }

    pub(crate) fn set_routes(&mut self, routes: Routes) {
        self.routes.insert(routes.peer, routes.via);
    }

    /// No host has this address any more.
    pub(crate) fn forget_routes(&mut self, addr: Addr) {
        if !self.routed.contains_key(&addr) {
            self.routes.remove(&addr);
        }
    }

    /// One host less is behind the NAT with this address; `named` if one has it for its own.
    pub(crate) fn unroute(&mut self, nat: Addr, named: bool) {
        let Some(count) = self.routed.get_mut(&nat) else {
            return;
        };
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.routed.remove(&nat);
            if !named {
                self.routes.remove(&nat);
            }
        }
    }

    /// Whether it is known that there is no route from an own address to one of a peer.
    pub(crate) fn misses(&self, local: Addr, peer: Addr) -> bool {
        let routes = self.routes.get(&peer);
        let there = |via: &[Via]| via.iter().any(|via| via.local == local && !via.diverted);
        local.family() == peer.family() && routes.is_some_and(|via| !there(via))
    }

    /// How many messages were sent: probes and their answers apart from all others.
    pub(crate) fn sent_apart(&self) -> [u64; 2] {
        [self.sent - self.probes, self.probes]
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
        *self.refusals.entry(reason).or_insert(0) += 1;
        self.refused += 1;
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
        let fact = self.keyring.reserve(self.now, wall);
        self.keep(fact);
        let stamp = self.keyring.stamp(self.now, wall, random);
        let own = own.and_then(|own| self.keyring.own(&own));
        let own = own.or_else(|| self.keyring.own_for(from));
        let bytes = match (own, echo) {
            (Some(own), Some(echo)) => own.seal(message, to.own, stamp, echo),
            _ => {
                let mut buffer = [0; MAX_LEN];
                message.emit(&mut buffer).unwrap_or_default().to_vec()
            }
        };
        self.sent += 1;
        self.probes += u64::from(message.control == Control::PathProbe);
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
        let own = answer.own.and_then(|own| self.keyring.own(&own));
        let own = own.or_else(|| self.keyring.own_for(from));
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
        self.probes += u64::from(message.control == Control::PathProbe);
        self.acknowledge(to, endpoint, message.seqno, options, addresses, answer)
    }
}
