// SPDX-License-Identifier: GPL-2.0
//! What is known of the hosts behind the machine's NAT, of the peers with which they signal, and of their mappings.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use ihmp_core::addr::Addr;
use ihmp_core::entry::Lease;
use ihmp_core::packet::UDP;
use ihmp_core::time::{Duration, Instant};
use ihmp_engine::Bucket;

use crate::io::{Event, NatConfig, Pair, Reason, Translation};
use crate::pair::{name_of, Exchange};

/// Messages that were forwarded and may not have left yet: as many as the queue holds.
const CROSSING: usize = 1_024;
/// Requests whose late answers are told from unexpected ones.
const DONE: usize = 256;

/// What is known of a peer.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Pairs that are told of.
    pub(crate) pairs: usize,
    pub(crate) srtt: Option<Duration>,
    pub(crate) sent: Bucket,
}

/// A place at the NAT that can be one mapping's only: NAT, peer, protocol, port of the NAT and of the peer.
pub(crate) type Place = (Addr, Addr, u8, u16, u16);

pub(crate) fn place(pair: Pair, nat: Addr, name: Lease) -> Place {
    (nat, pair.peer, name.proto, name.nat_port, name.peer_port)
}

/// The NAT's side of all pairs.
///
/// # Invariants
///
/// `wakes` has each pair, at its `wake`. `peers` has the peers of live pairs. `asked` has the requests that are out.
#[derive(Debug)]
pub(crate) struct Nat {
    pub(crate) config: NatConfig,
    pub(crate) pairs: HashMap<Pair, Exchange>,
    pub(crate) wakes: BTreeSet<(Instant, Pair)>,
    pub(crate) peers: BTreeMap<Addr, Peer>,
    /// Whose mapping is at a place: the newest one's.
    pub(crate) places: HashMap<Place, (Pair, Lease)>,
    /// Requests that are out: NAT, peer, number.
    pub(crate) asked: HashMap<(Addr, Addr, u16), Pair>,
    /// Requests that were acknowledged of late.
    done: VecDeque<(Addr, Addr, u16)>,
    /// Pairs of which the NAT is to be asked, and whether all of it is told again.
    pub(crate) look: BTreeMap<Pair, bool>,
    pub(crate) look_at: Instant,
    pub(crate) looking: Option<(Instant, BTreeMap<Pair, bool>)>,
    /// Messages that were forwarded and have not left: host, peer, timestamp.
    crossing: VecDeque<(Addr, Addr, u64)>,
    pub(crate) listening: bool,
    pub(crate) sent: Bucket,
    seqno: Option<u16>,
    pub(crate) entries: u64,
}

impl Nat {
    pub(crate) fn new(config: NatConfig) -> Nat {
        Nat {
            sent: Bucket::new(config.sent[0]),
            config,
            pairs: HashMap::new(),
            wakes: BTreeSet::new(),
            peers: BTreeMap::new(),
            places: HashMap::new(),
            asked: HashMap::new(),
            done: VecDeque::new(),
            look: BTreeMap::new(),
            look_at: Instant::ZERO,
            looking: None,
            crossing: VecDeque::new(),
            listening: false,
            seqno: None,
            entries: 0,
        }
    }

    /// When something is due.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let wake = self.wakes.first().map(|(at, _)| *at);
        let look = (!self.look.is_empty()).then_some(self.look_at);
        wake.into_iter().chain(look).min()
    }

    /// How many pairs and mappings there are, and how many NAT_ENTRYs were acknowledged.
    pub(crate) fn sizes(&self) -> [u64; 3] {
        let leases: usize = self.pairs.values().map(Exchange::len).sum();
        [self.pairs.len() as u64, leases as u64, self.entries]
    }

    /// Notes a message that was forwarded.
    pub(crate) fn crosses(&mut self, host: Addr, peer: Addr, stamp: u64) {
        if self.crossing.len() >= CROSSING {
            self.crossing.pop_front();
        }
        self.crossing.push_back((host, peer, stamp));
    }

    /// Whether this message was noted; it is no longer.
    pub(crate) fn crossed(&mut self, host: Addr, peer: Addr, stamp: u64) -> bool {
        let mut crossing = self.crossing.iter();
        let at = crossing.position(|one| *one == (host, peer, stamp));
        at.and_then(|at| self.crossing.remove(at)).is_some()
    }

    /// A request was acknowledged.
    pub(crate) fn is_done(&mut self, request: (Addr, Addr, u16)) {
        if self.done.len() >= DONE {
            self.done.pop_front();
        }
        self.done.push_back(request);
        self.entries += 1;
    }

    /// The pair whose request this is, or why there is none.
    pub(crate) fn asked(&self, request: (Addr, Addr, u16)) -> Result<Pair, Reason> {
        let late = self.done.contains(&request);
        let none = if late {
            Reason::LateAck
        } else {
            Reason::UnexpectedAck
        };
        self.asked.get(&request).copied().ok_or(none)
    }

    /// Takes a mapping of a pair away from its place.
    pub(crate) fn vacate(&mut self, pair: Pair, nat: Addr, name: Lease) {
        let place = place(pair, nat, name);
        if self.places.get(&place) == Some(&(pair, name)) {
            self.places.remove(&place);
        }
    }

    /// Everything of a pair that depends on the address of the NAT is forgotten.
    pub(crate) fn clear(&mut self, pair: Pair, nat: Addr) {
        let Some(exchange) = self.pairs.get_mut(&pair) else {
            return;
        };
        let old = std::mem::replace(exchange, Exchange::new(nat));
        (exchange.until, exchange.live, exchange.wake) = (old.until, old.live, old.wake);
        for name in old.names() {
            self.vacate(pair, old.nat, name);
        }
        if let Some(request) = &old.request {
            self.asked.remove(&(old.nat, pair.peer, request.seqno));
        }
    }

    /// Forgets a pair; true when nobody else has this peer.
    pub(crate) fn remove(&mut self, pair: Pair) -> bool {
        let Some(nat) = self.pairs.get(&pair).map(|exchange| exchange.nat) else {
            return false;
        };
        self.clear(pair, nat);
        let Some(exchange) = self.pairs.remove(&pair) else {
            return false;
        };
        self.wakes.remove(&(exchange.wake, pair));
        self.look.remove(&pair);
        let Some(peer) = self.peers.get_mut(&pair.peer).filter(|_| exchange.live) else {
            return false;
        };
        peer.pairs -= 1;
        let last = peer.pairs == 0;
        if last {
            self.peers.remove(&pair.peer);
        }
        last
    }

    /// A pair wakes up at another time.
    pub(crate) fn wakes_at(&mut self, pair: Pair, at: Instant) {
        if let Some(exchange) = self.pairs.get_mut(&pair) {
            self.wakes.remove(&(exchange.wake, pair));
            exchange.wake = at;
            self.wakes.insert((at, pair));
        }
    }

    /// The NAT has this mapping, or has not; the reason when it cannot be kept.
    pub(crate) fn apply(&mut self, event: Event, again: bool) -> Option<Reason> {
        let (Event::New(translation) | Event::Gone(translation)) = event;
        let Translation { pair, nat, lease } = translation;
        let name = name_of(lease);
        let own = name.proto == UDP && name.peer_port == self.config.port;
        let most = self.config.max_leases;
        let exchange = self.pairs.get_mut(&pair)?;
        if own || !exchange.live || nat != exchange.nat || name.mapping(nat).check().is_err() {
            return None;
        }
        if matches!(event, Event::Gone(_)) {
            if exchange.ended(name) {
                self.vacate(pair, nat, name);
            }
            return None;
        }
        let place = place(pair, nat, name);
        let full = self.places.len() >= self.config.max_all && !self.places.contains_key(&place);
        let mut rivals = exchange.rivals(name);
        rivals.retain(|rival| exchange.ended(*rival));
        if full || !exchange.made(name, most, again) {
            return Some(Reason::LeaseLimit);
        }
        // What a peer knows of the place is the former one's: it has to hear of the end in any case.
        let owner = (pair, name);
        if self
            .places
            .insert(place, owner)
            .is_some_and(|of| of != owner)
        {
            exchange.inherits(name);
        }
        for rival in rivals {
            self.vacate(pair, nat, rival);
        }
        None
    }

    /// When the tokens are there to send one more to a peer.
    pub(crate) fn ready_at(&self, peer: Addr, now: Instant) -> Instant {
        let one = self
            .peers
            .get(&peer)
            .map_or(now, |peer| peer.sent.ready_at(now));
        one.max(self.sent.ready_at(now))
    }

    /// A number that no request has that is out.
    pub(crate) fn number(&mut self, nat: Addr, peer: Addr, random: u64) -> u16 {
        let mut next = self
            .seqno
            .map_or(random as u16, |last| last.wrapping_add(1));
        while self.asked.contains_key(&(nat, peer, next)) {
            next = next.wrapping_add(1);
        }
        self.seqno = Some(next);
        next
    }
}
