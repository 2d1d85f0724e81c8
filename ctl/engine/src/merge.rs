// SPDX-License-Identifier: GPL-2.0
//! Two entries that prove to be one host, found under two of its addresses.

use std::collections::BTreeSet;

use ihmp_core::addr::Addr;
use ihmp_core::message::{Control, MAX_ADDRESSES};

use crate::engine::Engine;
use crate::host::{Entry, Standing};
use crate::io::{Change, Key, Output, State};
use crate::note::Note;
use crate::peer::include;

impl Engine {
    /// Whether `other` claims an address of `key`.
    pub(crate) fn is_claimed_back(&self, key: Key, other: Key) -> bool {
        let (Some(host), Some(other)) = (self.hosts.get(&key), self.hosts.get(&other)) else {
            return false;
        };
        host.peer
            .active()
            .iter()
            .any(|addr| other.peer.claims(*addr))
    }

    /// Merges a host with those that it claims an active address of, and that claim one of its own.
    pub(crate) fn merge_claimed(&mut self, key: Key) {
        let Some(host) = self.hosts.get(&key) else {
            return;
        };
        let claims = host.peer.unreachable().iter().chain(host.peer.contested());
        let claimed: BTreeSet<Key> = claims.filter_map(|addr| self.active(*addr)).collect();
        for other in claimed {
            // Where keys speak, claims say nothing.
            let unsigned = self.is_unbound(key) && self.is_unbound(other);
            if other != key && unsigned && self.is_claimed_back(key, other) {
                self.merge(key.min(other), key.max(other));
            }
        }
    }

    /// Whether the addresses of two entries have room in one.
    pub(crate) fn fit(&self, kept: Key, gone: Key) -> bool {
        let (Some(host), Some(other)) = (self.hosts.get(&kept), self.hosts.get(&gone)) else {
            return true;
        };
        let more = |addr: &&Addr| !host.peer.is_active(**addr);
        host.peer.active().len() + other.peer.active().iter().filter(more).count() <= MAX_ADDRESSES
    }

    /// Makes one host of two entries.
    pub(crate) fn merge(&mut self, kept: Key, gone: Key) {
        let busy = |key: &Key| {
            self.hosts
                .get(key)
                .is_none_or(|host| host.managed || host.entry == Entry::Asked)
        };
        let apart = !self.is_unbound(kept) && !self.is_unbound(gone);
        if busy(&kept) || busy(&gone) || apart || !self.fit(kept, gone) {
            return;
        }
        let Some(mut other) = self.forget(gone) else {
            return;
        };
        if let Entry::Id(id) = other.entry {
            self.world
                .outputs
                .push_back(Output::Table(Change::Del { id }));
        }
        if let Some(peer) = other.peer_key {
            self.bound.insert(peer, kept);
        }
        self.with(kept, |host, world| {
            host.peer_key = host.peer_key.or(other.peer_key);
            host.own = host.own.or(other.own);
            world.note(Note::Merged {
                kept: host.name(),
                gone: other.name(),
            });
            host.peer.merge(&other.peer);
            host.validation.merge(&other.validation);
            // What the peer was told before it forgot us is announced again.
            let mut forgotten = Vec::new();
            if other.was_forgotten(host) {
                forgotten = std::mem::take(&mut other.advertised);
            } else if host.was_forgotten(&other) {
                forgotten = std::mem::take(&mut host.advertised);
                host.anchor = other.anchor;
                host.former = other.former;
                host.next_seqno = other.next_seqno;
            }
            for advertised in &other.advertised {
                if host.standing(advertised.addr) != Some(Standing::Active) {
                    host.tell(advertised.addr, advertised.standing);
                }
            }
            for advertised in forgotten {
                if advertised.standing == Standing::Active {
                    include(&mut host.prove, advertised.addr);
                }
            }
            host.window.merge(&other.window);
            host.state = State::Up;
            for via in &other.usable {
                if !host.is_usable(via.local) {
                    host.usable.push(*via);
                }
            }
            // The peer may wait for the answer to a greeting that went out under the other name.
            let greetings = other
                .outstanding
                .into_iter()
                .filter(|request| request.control == Control::Hello);
            host.outstanding.extend(greetings);
            host.ask(world);
            host.reconcile(world);
        });
    }
}
