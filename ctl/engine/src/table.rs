// SPDX-License-Identifier: GPL-2.0
//! The hosts, the names by which they are found, and what is to be done for which of them when.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use ihmp_core::addr::Addr;
use ihmp_core::time::Instant;

use crate::endpoint::Endpoint;
use crate::host::Host;
use crate::io::{Key, State};
use crate::keys::{Policy, PublicKey};
use crate::limits::Limits;
use crate::listing::Entry;
use crate::note::Note;
use crate::peer::Claims;
use crate::publish::publish;
use crate::share::{Network, Shares};
use crate::world::World;

/// A host, and what the table has of it.
#[derive(Debug)]
struct Slot {
    host: Host,
    /// Names under which the index knows it.
    indexed: Vec<Addr>,
    /// Addresses of NATs whose routes are kept for it.
    routed: Vec<Addr>,
    /// When the timers will wake it.
    wake: Option<Instant>,
    /// It waits for its turn to be greeted.
    queued: bool,
    /// The network of which it is counted, when it came by itself.
    share: Option<Network>,
}

/// All hosts, with what they share.
///
/// # Invariants
///
/// An address is in the active set of one host at most.
#[derive(Debug)]
pub(crate) struct Table {
    hosts: BTreeMap<Key, Slot>,
    /// Hosts by every foreign address they have or had.
    index: HashMap<Addr, Vec<Key>>,
    /// Hosts by the kernel's number.
    ids: HashMap<u32, Key>,
    /// Hosts by their key.
    bound: HashMap<PublicKey, Key>,
    timers: BTreeSet<(Instant, Key)>,
    /// Hosts that wait for their turn to be greeted.
    queue: VecDeque<Key>,
    /// Hosts that have not heard of the last change of our addresses.
    untold: VecDeque<Key>,
    /// Hosts that came, by network.
    shares: Shares,
    /// Hosts that are being asked.
    pending: BTreeSet<Key>,
    next_key: u64,
    pub(crate) world: World,
}

impl Table {
    pub(crate) fn new(limits: Limits, policy: Policy) -> Table {
        Table {
            hosts: BTreeMap::new(),
            index: HashMap::new(),
            ids: HashMap::new(),
            bound: HashMap::new(),
            timers: BTreeSet::new(),
            queue: VecDeque::new(),
            untold: VecDeque::new(),
            shares: Shares::default(),
            pending: BTreeSet::new(),
            next_key: 0,
            world: World::new(limits, policy),
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.hosts.len()
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Host> + '_ {
        self.hosts.values().map(|slot| &slot.host)
    }

    pub(crate) fn keys(&self) -> Vec<Key> {
        self.hosts.keys().copied().collect()
    }

    pub(crate) fn get(&self, key: Key) -> Option<&Host> {
        self.hosts.get(&key).map(|slot| &slot.host)
    }

    /// A host that is to be changed, with what all of them share; [`Table::settle`] follows.
    pub(crate) fn pair(&mut self, key: Key) -> Option<(&mut Host, &mut World)> {
        let slot = self.hosts.get_mut(&key)?;
        Some((&mut slot.host, &mut self.world))
    }

    /// Hosts that have or had this address.
    pub(crate) fn known(&self, addr: Addr) -> impl Iterator<Item = &Host> + '_ {
        let keys = self.index.get(&addr).into_iter().flatten();
        keys.filter_map(|key| self.get(*key))
    }

    /// The host of which this is an active address.
    pub(crate) fn active(&self, addr: Addr) -> Option<Key> {
        let mut known = self.known(addr);
        known
            .find(|host| host.peer().is_active(addr))
            .map(Host::key)
    }

    /// Another host than this one, of which this is an active address.
    pub(crate) fn other_at(&self, addr: Addr, key: Key) -> Option<Key> {
        self.active(addr).filter(|other| *other != key)
    }

    /// The host that this Host ID names: it has the address, else it had it, else it claims it.
    pub(crate) fn named(&self, addr: Addr) -> Option<Key> {
        let had = |host: &&Host| host.peer().has_left(addr);
        let former = || self.known(addr).find(had).map(Host::key);
        let claiming = || self.known(addr).next().map(Host::key);
        self.active(addr).or_else(former).or_else(claiming)
    }

    /// Hosts that somebody may speak for who is there: those that have or had the address, or behind a NAT the one with
    /// the key.
    pub(crate) fn hosts_at(&self, endpoint: Endpoint, key: Option<&PublicKey>) -> Vec<&Host> {
        if !endpoint.is_behind() {
            return self.known(endpoint.addr).collect();
        }
        let host = key.and_then(|key| self.bound(key));
        host.and_then(|host| self.get(host)).into_iter().collect()
    }

    /// Which of these addresses a host can be said to have: own ones never, and others only if they can be used.
    pub(crate) fn claims(&self, key: Key, addresses: &[Addr]) -> Claims {
        let usable = |addr: &&Addr| addr.translatable() && !self.world.own.has(**addr);
        let taken = |addr: &Addr| self.other_at(*addr, key).is_some();
        let (contested, free) = addresses
            .iter()
            .filter(usable)
            .partition(|addr| taken(addr));
        Claims { free, contested }
    }

    /// The host with the kernel's number.
    pub(crate) fn of_id(&self, id: u32) -> Option<Key> {
        self.ids.get(&id).copied()
    }

    /// The kernel has made a host, with this number.
    pub(crate) fn made(&mut self, key: Key, id: u32) {
        self.ids.insert(id, key);
    }

    /// The host with this key.
    pub(crate) fn bound(&self, key: &PublicKey) -> Option<Key> {
        self.bound.get(key).copied()
    }

    /// Whether a host has no key yet.
    pub(crate) fn is_unbound(&self, key: Key) -> bool {
        let host = self.get(key);
        host.is_some_and(|host| host.trust().is_unbound())
    }

    /// From now on this key speaks for this host.
    pub(crate) fn bind(&mut self, peer: PublicKey, key: Key) {
        self.bound.insert(peer, key);
    }

    /// This key speaks for no host any more; for which it did.
    pub(crate) fn unbind(&mut self, peer: &PublicKey) -> Option<Key> {
        self.bound.remove(peer)
    }

    /// Makes a key known, of which nothing up to `floor` is believed but what has this stamp; those of hosts are kept.
    pub(crate) fn learn(&mut self, peer: PublicKey, floor: u64, stamp: u64) {
        let world = &mut self.world;
        let bound = &self.bound;
        let keep = |key: &PublicKey| bound.contains_key(key);
        let mut facts = Vec::new();
        world.keyring.learn(peer, floor, keep, &mut facts);
        facts.extend(world.keyring.accept(&peer, stamp));
        facts.into_iter().for_each(|fact| world.keep(Some(fact)));
    }

    /// A new, empty host.
    pub(crate) fn insert(&mut self, entry: Entry, state: State) -> Key {
        let key = Key(self.next_key);
        self.next_key += 1;
        let slot = Slot {
            host: Host::new(key, entry, state, &mut self.world),
            indexed: Vec::new(),
            routed: Vec::new(),
            wake: None,
            queued: false,
            share: None,
        };
        self.hosts.insert(key, slot);
        if let Entry::Id(id) = entry {
            self.ids.insert(id, key);
        }
        key
    }

    /// Hosts that came, by network.
    pub(crate) fn shares(&self) -> &Shares {
        &self.shares
    }

    /// The same, to look for room.
    pub(crate) fn shares_mut(&mut self) -> &mut Shares {
        &mut self.shares
    }

    /// Counts a host that came among those of its network.
    pub(crate) fn count_share(&mut self, key: Key, of: Addr) {
        if let Some(slot) = self.hosts.get_mut(&key) {
            let of = of.network();
            slot.share = Some(of);
            self.shares.add(of, key);
        }
    }

    /// Does something to a host and brings the tables into line.
    pub(crate) fn with(&mut self, key: Key, act: impl FnOnce(&mut Host, &mut World)) {
        if let Some((host, world)) = self.pair(key) {
            act(host, world);
            self.settle(key);
        }
    }

    /// Publishes a host and brings the index and the timers into line with it.
    pub(crate) fn settle(&mut self, key: Key) {
        let Some((host, world)) = self.pair(key) else {
            return;
        };
        host.advertised_mut().review_kind(world);
        host.review_lifetime(world);
        publish(host, world);
        host.review_validation(world);
        remember(host, world);
        self.settle_names(key);
        self.settle_times(key);
    }

    fn settle_names(&mut self, key: Key) {
        let Some(slot) = self.hosts.get_mut(&key) else {
            return;
        };
        let names = slot.host.peer().names();
        let routed = slot.host.peer().nat().routes();
        if routed != slot.routed {
            for addr in &routed {
                self.world.routes.keep(*addr);
            }
            for addr in std::mem::replace(&mut slot.routed, routed) {
                self.world
                    .routes
                    .release(addr, self.index.contains_key(&addr));
            }
        }
        if names == slot.indexed {
            return;
        }
        for addr in std::mem::replace(&mut slot.indexed, names.clone()) {
            if !names.contains(&addr) && unindex(&mut self.index, addr, key) {
                self.world.routes.forget(addr);
            }
        }
        for addr in names {
            let keys = self.index.entry(addr).or_default();
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
    }

    fn settle_times(&mut self, key: Key) {
        let Some(slot) = self.hosts.get_mut(&key) else {
            return;
        };
        let wake = slot.host.next_wake();
        if wake != slot.wake {
            if let Some(old) = std::mem::replace(&mut slot.wake, wake) {
                self.timers.remove(&(old, key));
            }
            self.timers.extend(wake.map(|wake| (wake, key)));
        }
        if slot.host.state() == State::New && !slot.host.requests().is_empty() {
            self.pending.insert(key);
        } else {
            self.pending.remove(&key);
        }
        if slot.host.wants_greeting() {
            self.enqueue(key);
        }
    }

    /// Forgets a host; the kernel has none or is told elsewhere.
    pub(crate) fn forget(&mut self, key: Key) -> Option<Host> {
        let mut slot = self.hosts.remove(&key)?;
        for addr in &slot.indexed {
            if unindex(&mut self.index, *addr, key) {
                self.world.routes.forget(*addr);
            }
        }
        for addr in &slot.routed {
            self.world
                .routes
                .release(*addr, self.index.contains_key(addr));
        }
        if let Some(wake) = slot.wake {
            self.timers.remove(&(wake, key));
        }
        if let Some(id) = slot.host.listing().id() {
            self.ids.remove(&id);
        }
        if let Some(peer) = slot.host.trust().key() {
            self.bound.remove(&peer);
        }
        slot.host.relays_mut().clear(&mut self.world);
        if let Some(of) = slot.share {
            self.shares.remove(of, key);
        }
        self.pending.remove(&key);
        Some(slot.host)
    }

    /// Forgets a host and says so.
    pub(crate) fn remove(&mut self, key: Key, reason: &'static str) {
        if let Some(host) = self.forget(key) {
            self.world.note(Note::Gone {
                peer: host.name(),
                reason,
            });
        }
    }

    /// The same, and has the kernel remove it.
    pub(crate) fn delete(&mut self, key: Key, reason: &'static str) {
        if let Some((host, world)) = self.pair(key) {
            host.listing().delete(world);
            self.remove(key, reason);
        }
    }

    /// A host waits for its turn to be greeted, unless it does.
    pub(crate) fn enqueue(&mut self, key: Key) {
        if let Some(slot) = self.hosts.get_mut(&key) {
            if !std::mem::replace(&mut slot.queued, true) {
                self.queue.push_back(key);
            }
        }
    }

    /// The first one that waits for that.
    pub(crate) fn first_queued(&self) -> Option<Key> {
        self.queue.front().copied()
    }

    /// It waits no longer.
    pub(crate) fn dequeue(&mut self) {
        if let Some(key) = self.queue.pop_front() {
            if let Some(slot) = self.hosts.get_mut(&key) {
                slot.queued = false;
            }
        }
    }

    /// How many wait for that.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Whether as many are being asked as may be.
    pub(crate) fn is_busy(&self) -> bool {
        self.pending.len() >= self.world.limits.hosts.pending
    }

    /// No host has heard of a change of our addresses. Who was met last is most likely to be in use.
    pub(crate) fn tell_all(&mut self) {
        self.untold = self.hosts.keys().rev().copied().collect();
    }

    /// Whether one has not heard of it.
    pub(crate) fn has_untold(&self) -> bool {
        !self.untold.is_empty()
    }

    /// The next one that has not; it has now.
    pub(crate) fn next_untold(&mut self) -> Option<Key> {
        self.untold.pop_front()
    }

    /// When a host is to be woken.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Those that are to be woken now.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<Key> {
        let mut due = Vec::new();
        while let Some((at, key)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, key));
            if let Some(slot) = self.hosts.get_mut(&key) {
                slot.wake = None;
            }
            due.push(key);
        }
        due
    }
}

/// Remembers at which addresses a host has shown with its key that it hears us.
fn remember(host: &mut Host, world: &mut World) {
    let (Some(key), Some(own)) = (host.trust().key(), host.trust().own()) else {
        return;
    };
    // Behind a NAT, the last address that was its own still names it.
    if host.peer().active().is_empty() {
        return;
    }
    let shown = host.validation().validated(host.peer());
    for addr in &shown {
        let (_, said) = world.keyring.changed(*addr, key, world.now);
        world.key_changed(said);
    }
    let has = host.peer_mut().take_said_all();
    let ring = &mut world.keyring;
    let mut at = host.peer().active().to_vec();
    at.extend(ring.remember(key, &shown, has.as_deref()));
    at.sort_unstable();
    at.dedup();
    let fact = ring.locate(key, own, &at);
    world.keep(fact);
}

/// Takes a name off a host; true when no host goes by it any more.
fn unindex(index: &mut HashMap<Addr, Vec<Key>>, addr: Addr, key: Key) -> bool {
    let Some(keys) = index.get_mut(&addr) else {
        return true;
    };
    keys.retain(|other| *other != key);
    let unused = keys.is_empty();
    if unused {
        index.remove(&addr);
    }
    unused
}
