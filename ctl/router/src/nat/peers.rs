// SPDX-License-Identifier: GPL-2.0
//! The peers that are told, and how much may be sent to them.

use std::collections::BTreeMap;

use ihmp_core::addr::Addr;
use ihmp_core::time::{Duration, Instant};
use ihmp_engine::{Bucket, Rate};

/// What is known of a peer.
#[derive(Debug)]
struct Peer {
    /// Pairs that are told of.
    pairs: usize,
    srtt: Option<Duration>,
    budget: Bucket,
}

/// The peers of live pairs.
#[derive(Debug)]
pub(super) struct Peers {
    peers: BTreeMap<Addr, Peer>,
    /// Of all peers.
    budget: Bucket,
    /// Of one.
    rate: Rate,
    /// Connections to somebody matter.
    listening: bool,
}

impl Peers {
    /// So much may be sent to all of them, and to one.
    pub(super) fn new([all, one]: [Rate; 2]) -> Peers {
        Peers {
            peers: BTreeMap::new(),
            budget: Bucket::new(all),
            rate: one,
            listening: false,
        }
    }

    /// A pair with this peer is told of; true when it is the first one.
    pub(super) fn join(&mut self, peer: Addr) -> bool {
        let rate = self.rate;
        let peer = self.peers.entry(peer).or_insert_with(|| Peer {
            pairs: 0,
            srtt: None,
            budget: Bucket::new(rate),
        });
        peer.pairs += 1;
        peer.pairs == 1
    }

    /// It is told of no longer; true when it was the last one.
    pub(super) fn leave(&mut self, addr: Addr) -> bool {
        let Some(peer) = self.peers.get_mut(&addr) else {
            return false;
        };
        peer.pairs -= 1;
        let last = peer.pairs == 0;
        if last {
            self.peers.remove(&addr);
        }
        last
    }

    /// To which addresses connections matter; `None` when they did to none before, and do not now.
    pub(super) fn listen(&mut self) -> Option<Vec<Addr>> {
        let peers: Vec<Addr> = self.peers.keys().copied().collect();
        let before = std::mem::replace(&mut self.listening, !peers.is_empty());
        (before || self.listening).then_some(peers)
    }

    /// When the tokens are there to send one more to a peer.
    pub(super) fn ready_at(&self, peer: Addr, now: Instant) -> Instant {
        let one = self.peers.get(&peer);
        let one = one.map_or(now, |peer| peer.budget.ready_at(now));
        one.max(self.budget.ready_at(now))
    }

    /// Something is sent to a peer. When there are no tokens, it is the peer's own word that asks for it.
    pub(super) fn charge(&mut self, peer: Addr, now: Instant) {
        let _ = self.budget.take(now);
        if let Some(peer) = self.peers.get_mut(&peer) {
            let _ = peer.budget.take(now);
        }
    }

    /// How long a peer takes to answer.
    pub(super) fn srtt(&self, peer: Addr) -> Option<Duration> {
        self.peers.get(&peer)?.srtt
    }

    /// A peer took so long to answer what was sent once.
    pub(super) fn measured(&mut self, peer: Addr, took: Duration) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            let old = peer.srtt.unwrap_or(took).as_nanos();
            let new = old - old / 8 + took.as_nanos() / 8;
            peer.srtt = Some(Duration::from_nanos(new));
        }
    }
}
