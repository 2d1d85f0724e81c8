// SPDX-License-Identifier: GPL-2.0
//! What the NAT has for the pairs of hosts behind it and peers.

use std::collections::{BTreeSet, HashMap};

use ihmp_core::addr::Addr;
use ihmp_core::entry::Lease;
use ihmp_core::packet::UDP;

use super::exchange::Exchange;
use super::pending::Number;
use super::places::Places;
use super::request::name_of;
use crate::io::{Event, NatConfig, Pair, Reason, Translation};

/// All pairs, and whose the places at the NAT are.
#[derive(Debug)]
pub(super) struct Mappings {
    pairs: HashMap<Pair, Exchange>,
    places: Places,
    /// The port of IHMP, whose own mappings are of no use to anybody.
    port: u16,
    max_pairs: usize,
    /// Most mappings of one pair.
    max_leases: usize,
}

impl Mappings {
    /// There are none; at most so many will be.
    pub(super) fn new(config: NatConfig) -> Mappings {
        Mappings {
            pairs: HashMap::new(),
            places: Places::new(config.max_all),
            port: config.port,
            max_pairs: config.max_pairs,
            max_leases: config.max_leases,
        }
    }

    /// How many pairs and mappings there are.
    pub(super) fn sizes(&self) -> [u64; 2] {
        let leases: usize = self.pairs.values().map(Exchange::len).sum();
        [self.pairs.len() as u64, leases as u64]
    }

    pub(super) fn get(&self, pair: Pair) -> Option<&Exchange> {
        self.pairs.get(&pair)
    }

    pub(super) fn get_mut(&mut self, pair: Pair) -> Option<&mut Exchange> {
        self.pairs.get_mut(&pair)
    }

    /// The pairs whose peer is told.
    pub(super) fn live(&self) -> Vec<Pair> {
        let live = self.pairs.iter().filter(|(_, of)| of.is_live());
        live.map(|(pair, _)| *pair).collect()
    }

    /// A new pair, behind this address of the NAT; false when there are too many.
    pub(super) fn add(&mut self, pair: Pair, nat: Addr) -> bool {
        let room = self.pairs.len() < self.max_pairs;
        if room {
            self.pairs.insert(pair, Exchange::new(nat));
        }
        room
    }

    /// Forgets a pair that was cleared; whether its peer was told.
    pub(super) fn remove(&mut self, pair: Pair) -> bool {
        let gone = self.pairs.remove(&pair);
        gone.is_some_and(|exchange| exchange.is_live())
    }

    /// Everything of a pair that depends on the address of the NAT is forgotten: it is this one now. The request that was
    /// out.
    pub(super) fn clear(&mut self, pair: Pair, nat: Addr) -> Option<Number> {
        let exchange = self.pairs.get_mut(&pair)?;
        let old = exchange.restart(nat);
        for name in old.names() {
            self.places.vacate(pair, old.nat(), name);
        }
        let request = old.request()?;
        Some((old.nat(), pair.peer, request.seqno()))
    }

    /// The NAT has this mapping, or has not; the reason when it cannot be kept.
    pub(super) fn apply(&mut self, event: Event, again: bool) -> Option<Reason> {
        let (Event::New(translation) | Event::Gone(translation)) = event;
        let Translation { pair, nat, lease } = translation;
        let name = name_of(lease);
        let own = name.proto == UDP && name.peer_port == self.port;
        let exchange = self.pairs.get_mut(&pair)?;
        if own || !exchange.is_live() || nat != exchange.nat() || name.mapping(nat).check().is_err()
        {
            return None;
        }
        if matches!(event, Event::Gone(_)) {
            if exchange.ended(name) {
                self.places.vacate(pair, nat, name);
            }
            return None;
        }
        let room = self.places.has_room(pair, nat, name);
        let mut rivals = exchange.rivals(name);
        rivals.retain(|rival| exchange.ended(*rival));
        if !room || !exchange.made(name, self.max_leases, again) {
            return Some(Reason::LeaseLimit);
        }
        // What a peer knows of the place is the former one's: it has to hear of the end in any case.
        if self.places.take(pair, nat, name) {
            exchange.inherits(name);
        }
        for rival in rivals {
            self.places.vacate(pair, nat, rival);
        }
        None
    }

    /// These are all mappings that the NAT has for a pair: the others have ended.
    pub(super) fn keep_only(&mut self, pair: Pair, all: &BTreeSet<Lease>) {
        let Some(exchange) = self.pairs.get(&pair) else {
            return;
        };
        let nat = exchange.nat();
        for lease in exchange.missing(all) {
            self.apply(Event::Gone(Translation { pair, nat, lease }), false);
        }
    }

    /// Takes out of a pair's request what is said of places that are another's by now: that would be the other's end.
    pub(super) fn narrow(&mut self, pair: Pair) {
        if let Some(exchange) = self.pairs.get_mut(&pair) {
            let (places, nat) = (&self.places, exchange.nat());
            exchange.narrow(|name| places.is_anothers(pair, nat, name));
        }
    }

    /// The request of a pair was acknowledged.
    pub(super) fn acknowledged(&mut self, pair: Pair) {
        let Some(exchange) = self.pairs.get_mut(&pair) else {
            return;
        };
        let nat = exchange.nat();
        for name in exchange.acknowledged() {
            self.places.vacate(pair, nat, name);
        }
    }
}
