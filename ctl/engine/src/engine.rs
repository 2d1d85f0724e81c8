// SPDX-License-Identifier: GPL-2.0
//! The machine: hosts, the names by which they are found, and the timers.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use ihmp_core::addr::Addr;
use ihmp_core::time::Instant;

use crate::host::{Entry, Host};
use crate::io::{Input, Key, Moment, Output, State};
use crate::keys::{Fact, Policy, PublicKey};
use crate::limits::{Limits, Rate};
use crate::note::Note;
use crate::share::Shares;
use crate::world::World;

/// Names of the figures of a budget: what is left now, what it holds, what comes back in a second.
type Names = [&'static str; 3];

const NEWCOMERS: Names = ["left-newcomers", "most-newcomers", "second-newcomers"];
const STRANGERS: Names = ["left-strangers", "most-strangers", "second-strangers"];
const ANSWERS: Names = ["left-answers", "most-answers", "second-answers"];
const CHALLENGES: Names = ["left-challenges", "most-challenges", "second-challenges"];
const GREETINGS: Names = ["left-greetings", "most-greetings", "second-greetings"];

/// The signalling of one machine with all its hosts.
///
/// # Invariants
///
/// An address is in the active set of one host at most.
#[derive(Debug)]
pub struct Engine {
    pub(crate) hosts: BTreeMap<Key, Host>,
    /// Hosts by every foreign address they have or had.
    index: HashMap<Addr, Vec<Key>>,
    /// Hosts by the kernel's number.
    pub(crate) ids: HashMap<u32, Key>,
    /// Hosts by their key.
    pub(crate) bound: HashMap<PublicKey, Key>,
    timers: BTreeSet<(Instant, Key)>,
    /// Hosts that wait for their turn to be greeted.
    queue: VecDeque<Key>,
    /// Hosts that have not heard of the last change of our addresses.
    untold: VecDeque<Key>,
    /// Hosts that came, by network.
    pub(crate) shares: Shares,
    /// Hosts that are being asked.
    pending: BTreeSet<Key>,
    next_key: u64,
    pub(crate) world: World,
}

impl Engine {
    /// An engine without hosts and keys. Without an own key it signs nothing.
    pub fn new(limits: Limits, policy: Policy) -> Engine {
        Engine {
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

    /// Goes on with other bounds and another policy; [`Input::Keys`] follows. What hosts were granted before stays theirs.
    pub fn configure(&mut self, limits: Limits, policy: Policy) {
        self.world.limits = limits;
        self.world.keyring.configure(limits, policy);
    }

    /// Takes an input.
    pub fn handle(&mut self, moment: Moment, input: Input<'_>) {
        self.world.begin(moment);
        match input {
            Input::Message {
                from,
                port,
                to,
                bytes,
            } => self.receive(from, port, to, bytes),
            Input::Network { local, routes } => {
                self.world.set_own(local);
                self.world.routes = routes
                    .into_iter()
                    .map(|routes| (routes.peer, routes.via))
                    .collect();
                // Who was met last is most likely to be in use.
                self.untold = self.hosts.keys().rev().copied().collect();
            }
            Input::Routes(routes) => {
                let (peer, key) = (routes.peer, self.active(routes.peer));
                self.world.set_routes(routes);
                let waiting = std::mem::take(&mut self.world.waiting);
                let (due, later) = waiting.into_iter().partition(|(addr, _)| *addr == peer);
                self.world.waiting = later;
                for key in key.into_iter().chain(keys_of(due)) {
                    self.routes_known(key);
                }
            }
            Input::Discovered { id, local, remote } => self.discovered(id, local, remote),
            Input::Keys(keys) => self.keys_changed(keys),
            Input::Kernel { hosts } => self.take(hosts, false),
            Input::Made { key, id } => self.made(key, id),
            Input::Changed(host) => self.changed(host),
            Input::Refused { key } => self.remove(key, "refused"),
            Input::Removed { id } => {
                if let Some(key) = self.ids.get(&id).copied() {
                    self.remove(key, "removed");
                }
            }
            Input::Connected(connected) => {
                if self.world.connected != connected {
                    self.world.connected = connected;
                    for key in self.keys() {
                        self.with(key, |host, _| host.validation.probes_mut().forget_sought());
                    }
                }
            }
            Input::Switch { on, hosts } => self.switch(on, hosts),
            Input::Discretion(discretion) => self.world.discretion = discretion,
            Input::Traffic { id, traffic } => self.looked(id, traffic),
            Input::Timer => self.timer(),
        }
        self.serve_untold();
        self.serve_queue();
    }

    /// The next thing to do, in the order in which it was decided.
    pub fn poll(&mut self) -> Option<Output> {
        self.world.outputs.pop_front()
    }

    /// When [`Input::Timer`] is due; `None` for never.
    pub fn next_timeout(&self) -> Option<Instant> {
        let queued = !self.queue.is_empty() && self.pending.len() < self.world.limits.max_pending;
        let queue = queued.then(|| self.world.hello_out.ready_at(self.world.now));
        let untold = !self.untold.is_empty();
        let untold = untold.then(|| self.world.moves.ready_at(self.world.now));
        let timer = self.timers.first().map(|(at, _)| *at);
        queue
            .into_iter()
            .chain(untold)
            .chain(timer)
            .chain(self.world.keyring.stamps.check_at())
            .min()
    }

    /// The peer addresses whose routes matter: the driver looks each of them up for [`Input::Network`].
    pub fn peers(&self) -> Vec<Addr> {
        let served = self
            .hosts
            .values()
            .filter(|host| !host.managed && host.state != State::Classic);
        let mut peers: Vec<Addr> = Vec::new();
        let mut nats = BTreeSet::new();
        for host in served {
            peers.extend(host.peer.active());
            nats.extend(host.peer.nat().routes());
        }
        nats.retain(|addr| self.active(*addr).is_none());
        peers.extend(nats);
        peers
    }

    /// Whether the engine leaves the kernel's host with this number alone; `None` when it does not know it.
    pub fn is_managed(&self, id: u32) -> Option<bool> {
        let key = self.ids.get(&id)?;
        self.hosts.get(key).map(|host| host.managed)
    }

    /// How many messages were not used, by the name of the reason.
    pub fn refusals(&self) -> BTreeMap<&'static str, u64> {
        let mut refusals = BTreeMap::new();
        for (reason, count) in &self.world.refusals {
            *refusals.entry(reason.name()).or_insert(0) += count;
        }
        refusals
    }

    /// How many messages were not used.
    pub fn refused(&self) -> u64 {
        self.world.refused
    }

    /// How many messages were sent: those that say something, and probes with their answers.
    pub fn sent(&self) -> [u64; 2] {
        self.world.sent_apart()
    }

    /// How many answers to challenges are awaited, and how many keys of peers are known.
    pub fn key_counts(&self) -> [usize; 2] {
        self.world.keyring.sizes()
    }

    /// Limits, how far they are used, and what is left of budgets now, by name.
    pub fn limits(&self) -> Vec<(&'static str, u64)> {
        let world = &self.world;
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let [networks, largest] = self.shares.sizes();
        let [sent, good] = world.baker.counts;
        let mut figures = vec![
            ("hosts-most", count(world.limits.max_hosts)),
            ("networks", count(networks)),
            ("network-largest", count(largest)),
            ("evicted", self.shares.evicted),
            ("cookies-sent", sent),
            ("cookies-good", good),
            ("greetings-waiting", count(self.queue.len())),
        ];
        let ring = &world.keyring;
        let [changed, refused] = ring.change_counts();
        figures.extend([("keys-changed", changed), ("keys-refused", refused)]);
        for (names, bucket) in [
            (NEWCOMERS, &world.hello_in),
            (STRANGERS, &ring.strangers),
            (ANSWERS, &ring.answers),
            (CHALLENGES, &world.wrong),
            (GREETINGS, &world.hello_out),
        ] {
            let Rate { per_second, burst } = bucket.rate();
            let numbers = [bucket.left(world.now), burst, per_second].map(u64::from);
            figures.extend(names.into_iter().zip(numbers));
        }
        // Hosts that wait for their greeting ask for a token again and again.
        figures.extend([
            ("empty-newcomers", world.hello_in.empty()),
            ("empty-strangers", ring.strangers.empty()),
            ("empty-answers", ring.answers.empty()),
            ("empty-challenges", world.wrong.empty()),
        ]);
        figures
    }

    /// What to write down at a clean end.
    pub fn last_words(&self) -> Fact {
        self.world.keyring.sent()
    }

    /// How many hosts there are, by state: new, up, classic.
    pub fn counts(&self) -> [usize; 3] {
        let of = |state| {
            self.hosts
                .values()
                .filter(|host| host.state == state)
                .count()
        };
        [of(State::New), of(State::Up), of(State::Classic)]
    }

    pub(crate) fn keys(&self) -> Vec<Key> {
        self.hosts.keys().copied().collect()
    }

    /// Hosts that have or had this address.
    pub(crate) fn known(&self, addr: Addr) -> impl Iterator<Item = &Host> + '_ {
        let keys = self.index.get(&addr).into_iter().flatten();
        keys.filter_map(|key| self.hosts.get(key))
    }

    /// The host of which this is an active address.
    pub(crate) fn active(&self, addr: Addr) -> Option<Key> {
        self.known(addr)
            .find(|host| host.peer.is_active(addr))
            .map(|host| host.key)
    }

    /// The host that this Host ID names: it has the address, else it had it, else it claims it.
    pub(crate) fn named(&self, addr: Addr) -> Option<Key> {
        let had = |host: &&Host| host.peer.has_left(addr);
        let former = || self.known(addr).find(had).map(|host| host.key);
        let claiming = || self.known(addr).next().map(|host| host.key);
        self.active(addr).or_else(former).or_else(claiming)
    }

    /// A new, empty host.
    pub(crate) fn insert(&mut self, entry: Entry, state: State) -> Key {
        let key = Key(self.next_key);
        self.next_key += 1;
        let host = Host::new(key, entry, state, &mut self.world);
        self.hosts.insert(key, host);
        if let Entry::Id(id) = entry {
            self.ids.insert(id, key);
        }
        key
    }

    /// Does something to a host and brings the tables into line.
    pub(crate) fn with(&mut self, key: Key, act: impl FnOnce(&mut Host, &mut World)) {
        if let Some(host) = self.hosts.get_mut(&key) {
            act(host, &mut self.world);
            self.settle(key);
        }
    }

    /// Publishes a host and brings the index and the timers into line with it.
    pub(crate) fn settle(&mut self, key: Key) {
        let Some(host) = self.hosts.get_mut(&key) else {
            return;
        };
        host.review_kind(&self.world);
        host.review_lifetime(&mut self.world);
        host.publish(&mut self.world);
        host.review_probes(&self.world);
        if let (Some(key), Some(own)) = (host.peer_key, host.own) {
            // Behind a NAT, the last address that was its own still names it.
            if !host.peer.active().is_empty() {
                let shown = host.validation.validated(&host.peer);
                for addr in &shown {
                    let (_, said) = self.world.keyring.changed(*addr, key, self.world.now);
                    self.world.key_changed(said);
                }
                let has = host.peer.take_said_all();
                let ring = &mut self.world.keyring;
                let mut at = host.peer.active().to_vec();
                at.extend(ring.remember(key, &shown, has.as_deref()));
                at.sort_unstable();
                at.dedup();
                let fact = ring.locate(key, own, &at);
                self.world.keep(fact);
            }
        }
        let names = host.peer.names();
        let routed = host.peer.nat().routes();
        if routed != host.routed {
            for addr in &routed {
                *self.world.routed.entry(*addr).or_insert(0) += 1;
            }
            for addr in std::mem::replace(&mut host.routed, routed) {
                self.world.unroute(addr, self.index.contains_key(&addr));
            }
        }
        if names != host.indexed {
            for addr in std::mem::replace(&mut host.indexed, names.clone()) {
                if !names.contains(&addr) && unindex(&mut self.index, addr, key) {
                    self.world.forget_routes(addr);
                }
            }
            for addr in names {
                let keys = self.index.entry(addr).or_default();
                if !keys.contains(&key) {
                    keys.push(key);
                }
            }
        }
        let wake = host.next_wake();
        if wake != host.wake {
            if let Some(old) = std::mem::replace(&mut host.wake, wake) {
                self.timers.remove(&(old, key));
            }
            self.timers.extend(wake.map(|wake| (wake, key)));
        }
        if host.state == State::New && !host.outstanding.is_empty() {
            self.pending.insert(key);
        } else {
            self.pending.remove(&key);
        }
        if host.wants_greeting() && !std::mem::replace(&mut host.queued, true) {
            self.queue.push_back(key);
        }
    }

    /// Forgets a host; the kernel has none or is told elsewhere.
    pub(crate) fn forget(&mut self, key: Key) -> Option<Host> {
        let host = self.hosts.remove(&key)?;
        for addr in &host.indexed {
            if unindex(&mut self.index, *addr, key) {
                self.world.forget_routes(*addr);
            }
        }
        for addr in &host.routed {
            self.world.unroute(*addr, self.index.contains_key(addr));
        }
        if let Some(wake) = host.wake {
            self.timers.remove(&(wake, key));
        }
        if let Entry::Id(id) = host.entry {
            self.ids.remove(&id);
        }
        if let Some(peer) = host.peer_key {
            self.bound.remove(&peer);
        }
        for relay in &host.relays {
            self.world.unhold(relay.old, relay.new);
        }
        if let Some(of) = host.share {
            self.shares.remove(of, key);
        }
        self.pending.remove(&key);
        Some(host)
    }

    pub(crate) fn remove(&mut self, key: Key, reason: &'static str) {
        if let Some(host) = self.forget(key) {
            self.world.note(Note::Gone {
                peer: host.name(),
                reason,
            });
        }
    }

    /// The answer to a question about routes came.
    pub(crate) fn routes_known(&mut self, key: Key) {
        self.with(key, |host, world| {
            if host.needs_hello {
                host.network_changed(world);
            } else {
                host.reconcile(world);
            }
        });
        self.with(key, |host, world| {
            if host.state == State::New && host.usable.is_empty() {
                host.state = State::Classic;
                host.classic_for = world.limits.retry_first;
                world.note(Note::Classic {
                    peer: host.name(),
                    reason: "no-route",
                });
            }
        });
    }

    /// Lets hosts know of a change of our addresses, as fast as the network can be expected to carry the messages.
    fn serve_untold(&mut self) {
        let now = self.world.now;
        while self.world.moves.ready_at(now) <= now {
            let Some(key) = self.untold.pop_front() else {
                return;
            };
            let sent = self.world.sent;
            self.with(key, |host, world| host.network_changed(world));
            self.release(key);
            // Who needs not be told costs nothing.
            if self.world.sent != sent {
                let _ = self.world.moves.take(now);
            }
        }
    }

    /// Greets the hosts whose turn it is.
    fn serve_queue(&mut self) {
        while let Some(key) = self.queue.front().copied() {
            let Some(host) = self.hosts.get_mut(&key) else {
                self.queue.pop_front();
                continue;
            };
            if !host.wants_greeting() && !host.needs_hello {
                host.queued = false;
                self.queue.pop_front();
                continue;
            }
            let full = self.pending.len() >= self.world.limits.max_pending;
            if full || !self.world.hello_out.take(self.world.now) {
                return;
            }
            self.queue.pop_front();
            self.with(key, |host, world| {
                host.queued = false;
                host.greet(world);
            });
        }
    }

    fn timer(&mut self) {
        let now = self.world.now;
        let mut due = Vec::new();
        while let Some((at, key)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, key));
            due.push(key);
        }
        for key in due {
            let mut greet = false;
            self.with(key, |host, world| {
                host.wake = None;
                if host.greet_at.is_some_and(|at| at <= now) {
                    host.greet_at = None;
                    greet = host.needs_hello && !std::mem::replace(&mut host.queued, true);
                }
                if host.retry_at.is_some_and(|at| at <= now) {
                    host.retry_at = None;
                }
                host.send_due(world);
                host.probe_due(world);
                host.look_due(world);
                host.relay_due(world);
                host.keep_due(world);
                host.awaited_due(world);
                host.reconcile(world);
            });
            if greet {
                self.queue.push_back(key);
            }
        }
    }
}

fn keys_of(waiting: Vec<(Addr, Key)>) -> impl Iterator<Item = Key> {
    waiting.into_iter().map(|(_, key)| key)
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
