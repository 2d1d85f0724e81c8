// SPDX-License-Identifier: GPL-2.0
//! Which key an inside address is bound to, and where its host is.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ihmp_core::addr::Addr;
use ihmp_core::time::Instant;
use ihmp_engine::PublicKey;

use crate::io::{HostRoute, Note, Reason};
use crate::outbox::Outbox;

/// An address whose host is somewhere else, and the peers for which it is kept.
#[derive(Clone, Debug)]
struct Away {
    route: HostRoute,
    /// Until when, and the number of the last request.
    peers: BTreeMap<Addr, (Instant, u16)>,
}

/// What is known of an address.
#[derive(Clone, Debug)]
struct Bound {
    key: PublicKey,
    away: Option<Away>,
    /// When it was last of use: an order, not a time.
    used: u64,
}

/// What is known of a key.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// No message with a timestamp up to this one is believed.
    floor: u64,
    addrs: usize,
    /// It has asked again for what it was granted: it hears us.
    hears: bool,
    /// It does not, as it seems, and is left alone.
    deaf_until: Instant,
}

/// All addresses that are bound.
///
/// # Invariants
///
/// `order` has each address that is not away, `ends` each peer of those that are. `keys` has those keys that an address is
/// bound to.
#[derive(Debug, Default)]
pub(crate) struct Table {
    bound: HashMap<Addr, Bound>,
    keys: HashMap<PublicKey, Known>,
    order: BTreeSet<(u64, Addr)>,
    next: u64,
    /// When a peer need not be served any more: time, address, peer.
    ends: BTreeSet<(Instant, Addr, Addr)>,
    away: usize,
    /// Most addresses.
    most: usize,
}

impl Table {
    /// No address is bound; at most so many will be.
    pub(crate) fn new(most: usize) -> Table {
        Table {
            most,
            ..Table::default()
        }
    }

    /// Binds at most so many addresses from now on.
    pub(crate) fn set_most(&mut self, most: usize) {
        self.most = most;
    }

    /// The key that an address is bound to.
    pub(crate) fn key(&self, addr: Addr) -> Option<PublicKey> {
        self.bound.get(&addr).map(|bound| bound.key)
    }

    /// The route to an address whose host is somewhere else.
    pub(crate) fn route(&self, addr: Addr) -> Option<HostRoute> {
        let away = self.bound.get(&addr)?.away.as_ref();
        away.map(|away| away.route)
    }

    /// The host with this key is at an address, by the device to which that belongs.
    pub(crate) fn at_home(
        &mut self,
        outbox: &mut Outbox,
        addr: Addr,
        key: PublicKey,
        stamp: u64,
    ) -> Result<(), Reason> {
        match self.bound.get(&addr) {
            Some(bound) if bound.key == key => {
                if self.home(addr) {
                    outbox.remove(addr, "home");
                }
                self.touch(addr);
            }
            // As long as it is kept for its host, nobody else has it.
            Some(bound) if bound.away.is_some() => return Err(Reason::OtherKey),
            _ => {
                if self.bind(addr, key, stamp) {
                    outbox.note(Note::Bound { addr, key });
                }
            }
        }
        Ok(())
    }

    /// The last timestamp of a key that was believed.
    pub(crate) fn floor(&self, key: &PublicKey) -> u64 {
        self.keys.get(key).map_or(0, |known| known.floor)
    }

    /// A message with this key was believed.
    pub(crate) fn accept(&mut self, key: &PublicKey, stamp: u64) {
        if let Some(known) = self.keys.get_mut(key) {
            known.floor = known.floor.max(stamp);
        }
    }

    /// A host asked once more in the same words after it was answered: it does not hear us, or does not believe us.
    pub(crate) fn is_deaf(&mut self, key: &PublicKey, until: Instant) {
        if let Some(known) = self.keys.get_mut(key).filter(|known| !known.hears) {
            known.deaf_until = until;
        }
    }

    /// A host asked for more of what it was granted.
    pub(crate) fn hears(&mut self, key: &PublicKey) {
        if let Some(known) = self.keys.get_mut(key) {
            known.hears = true;
        }
    }

    /// Whether a host is left alone.
    pub(crate) fn left_alone(&self, key: &PublicKey, now: Instant) -> bool {
        self.keys
            .get(key)
            .is_some_and(|known| known.deaf_until > now)
    }

    /// The number of the request for which an address is kept for a peer.
    pub(crate) fn granted(&self, addr: Addr, peer: Addr) -> Option<u16> {
        let away = self.bound.get(&addr)?.away.as_ref()?;
        away.peers.get(&peer).map(|(_, seqno)| *seqno)
    }

    /// How many addresses are bound, and how many of them are away.
    pub(crate) fn sizes(&self) -> [usize; 2] {
        [self.bound.len(), self.away]
    }

    /// Binds an address that is not away; the one that was of no use for longest gives way when there are too many.
    /// False when all of them are away.
    fn bind(&mut self, addr: Addr, key: PublicKey, stamp: u64) -> bool {
        self.unbind(addr);
        while self.bound.len() >= self.most.max(1) {
            let Some((_, oldest)) = self.order.first().copied() else {
                return false;
            };
            self.unbind(oldest);
        }
        let used = self.next;
        self.next += 1;
        self.order.insert((used, addr));
        let away = None;
        self.bound.insert(addr, Bound { key, away, used });
        let known = self.keys.entry(key).or_default();
        known.addrs += 1;
        known.floor = known.floor.max(stamp);
        true
    }

    fn unbind(&mut self, addr: Addr) {
        self.home(addr);
        let Some(gone) = self.bound.remove(&addr) else {
            return;
        };
        self.order.remove(&(gone.used, addr));
        if let Some(known) = self.keys.get_mut(&gone.key) {
            known.addrs -= 1;
            if known.addrs == 0 {
                self.keys.remove(&gone.key);
            }
        }
    }

    /// An address was of use.
    pub(crate) fn touch(&mut self, addr: Addr) {
        let next = self.next;
        let Some(bound) = self.bound.get_mut(&addr) else {
            return;
        };
        if self.order.remove(&(bound.used, addr)) {
            bound.used = next;
            self.next += 1;
            self.order.insert((next, addr));
        }
    }

    /// A new key takes the place of a former one.
    pub(crate) fn succeed(&mut self, former: &PublicKey, key: PublicKey) {
        let Some(known) = self.keys.remove(former) else {
            return;
        };
        for bound in self.bound.values_mut().filter(|bound| bound.key == *former) {
            bound.key = key;
        }
        let new = self.keys.entry(key).or_default();
        let (addrs, floor) = (new.addrs + known.addrs, new.floor.max(known.floor));
        *new = Known {
            addrs,
            floor,
            ..known
        };
    }

    /// The host of an address is somewhere else, as far as a peer is concerned.
    pub(crate) fn leave(&mut self, route: HostRoute, peer: Addr, until: Instant, seqno: u16) {
        let addr = route.to;
        let Some(bound) = self.bound.get_mut(&addr) else {
            return;
        };
        self.order.remove(&(bound.used, addr));
        let away = bound.away.get_or_insert_with(|| {
            self.away += 1;
            Away {
                route,
                peers: BTreeMap::new(),
            }
        });
        away.route = route;
        if let Some((old, _)) = away.peers.insert(peer, (until, seqno)) {
            self.ends.remove(&(old, addr, peer));
        }
        self.ends.insert((until, addr, peer));
    }

    /// The host of an address is there again, or nowhere; false when it was not away.
    pub(crate) fn home(&mut self, addr: Addr) -> bool {
        let next = self.next;
        let Some(bound) = self.bound.get_mut(&addr) else {
            return false;
        };
        let Some(away) = bound.away.take() else {
            return false;
        };
        for (peer, (until, _)) in away.peers {
            self.ends.remove(&(until, addr, peer));
        }
        self.away -= 1;
        bound.used = next;
        self.next += 1;
        self.order.insert((next, addr));
        true
    }

    /// A peer needs an address no longer; true when it was the last one, and the address is as if it were home.
    pub(crate) fn release(&mut self, addr: Addr, peer: Addr) -> bool {
        let bound = self.bound.get_mut(&addr);
        let Some(away) = bound.and_then(|bound| bound.away.as_mut()) else {
            return false;
        };
        if let Some((until, _)) = away.peers.remove(&peer) {
            self.ends.remove(&(until, addr, peer));
        }
        away.peers.is_empty() && self.home(addr)
    }

    /// The routes that there are.
    pub(crate) fn routes(&self) -> impl Iterator<Item = (HostRoute, PublicKey)> + '_ {
        let away = |bound: &Bound| Some((bound.away.as_ref()?.route, bound.key));
        self.bound.values().filter_map(away)
    }

    /// When the next peer is served no longer.
    pub(crate) fn next_end(&self) -> Option<Instant> {
        self.ends.first().map(|(at, ..)| *at)
    }

    /// Takes a peer that is served no longer: the address, and the peer.
    pub(crate) fn ended(&self, now: Instant) -> Option<(Addr, Addr)> {
        let (at, addr, peer) = self.ends.first().copied()?;
        (at <= now).then_some((addr, peer))
    }
}
