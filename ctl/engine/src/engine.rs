// SPDX-License-Identifier: GPL-2.0
//! The machine: hosts, the names by which they are found, and the timers.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use ihmp_core::addr::Addr;
use ihmp_core::message::Control;
use ihmp_core::time::Instant;

use crate::host::{include, Entry, Host, Standing};
use crate::io::{Change, Input, KernelHost, Key, Note, Output, Refusal, State, Via};
use crate::limits::Limits;
use crate::world::World;

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
    ids: HashMap<u32, Key>,
    timers: BTreeSet<(Instant, Key)>,
    /// Hosts that wait for their turn to be greeted.
    queue: VecDeque<Key>,
    /// Hosts that are being asked.
    pending: BTreeSet<Key>,
    next_key: u64,
    pub(crate) world: World,
}

impl Engine {
    /// An engine without hosts.
    pub fn new(limits: Limits) -> Engine {
        Engine {
            hosts: BTreeMap::new(),
            index: HashMap::new(),
            ids: HashMap::new(),
            timers: BTreeSet::new(),
            queue: VecDeque::new(),
            pending: BTreeSet::new(),
            next_key: 0,
            world: World::new(limits),
        }
    }

    /// Takes an input. `now` never goes back; `random` is a fresh number that no peer can guess.
    pub fn handle(&mut self, now: Instant, random: u64, input: Input<'_>) {
        self.world.begin(now, random);
        match input {
            Input::Message { from, to, bytes } => self.receive(from, to, bytes),
            Input::Network { local, routes } => {
                self.world.local = local;
                self.world.routes = routes
                    .into_iter()
                    .map(|routes| (routes.peer, routes.via))
                    .collect();
                for key in self.keys() {
                    self.with(key, |host, world| host.network_changed(world));
                }
            }
            Input::Routes(routes) => {
                let key = self.active(routes.peer);
                self.world.set_routes(routes);
                if let Some(key) = key {
                    self.routes_known(key);
                }
            }
            Input::Discovered { id, local, remote } => self.discovered(id, local, remote),
            Input::Kernel { hosts } => self.kernel(hosts),
            Input::Made { key, id } => self.made(key, id),
            Input::Refused { key } => self.remove(key, "refused"),
            Input::Removed { id } => {
                if let Some(key) = self.ids.get(&id).copied() {
                    self.remove(key, "removed");
                }
            }
            Input::Timer => self.timer(),
        }
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
        let timer = self.timers.first().map(|(at, _)| *at);
        queue.into_iter().chain(timer).min()
    }

    /// The peer addresses whose routes matter: the driver looks each of them up for [`Input::Network`].
    pub fn peers(&self) -> Vec<Addr> {
        let served = self
            .hosts
            .values()
            .filter(|host| !host.managed && host.state != State::Classic);
        served
            .flat_map(|host| host.active.iter().copied())
            .collect()
    }

    /// How many messages were not used, by the name of the reason.
    pub fn refusals(&self) -> BTreeMap<&'static str, u64> {
        let mut refusals = BTreeMap::new();
        for (reason, count) in &self.world.refusals {
            *refusals.entry(reason.name()).or_insert(0) += count;
        }
        refusals
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

    fn keys(&self) -> Vec<Key> {
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
            .find(|host| host.active.contains(&addr))
            .map(|host| host.key)
    }

    /// The host that this Host ID names: it has the address, else it had it, else it claims it.
    pub(crate) fn named(&self, addr: Addr) -> Option<Key> {
        let had = |host: &&Host| host.alias.contains(&addr);
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
    fn with(&mut self, key: Key, act: impl FnOnce(&mut Host, &mut World)) {
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
        host.publish(&mut self.world);
        let names: Vec<Addr> = [&host.active, &host.unreachable, &host.alias]
            .into_iter()
            .flatten()
            .copied()
            .collect();
        if names != host.indexed {
            for addr in std::mem::replace(&mut host.indexed, names.clone()) {
                if !names.contains(&addr) && unindex(&mut self.index, addr, key) {
                    self.world.routes.remove(&addr);
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
        if host.state == State::New && !host.legs.is_empty() {
            self.pending.insert(key);
        } else {
            self.pending.remove(&key);
        }
        if host.wants_greeting() && !std::mem::replace(&mut host.queued, true) {
            self.queue.push_back(key);
        }
    }

    /// Forgets a host; the kernel has none or is told elsewhere.
    fn forget(&mut self, key: Key) -> Option<Host> {
        let host = self.hosts.remove(&key)?;
        for addr in &host.indexed {
            if unindex(&mut self.index, *addr, key) {
                self.world.routes.remove(addr);
            }
        }
        if let Some(wake) = host.wake {
            self.timers.remove(&(wake, key));
        }
        if let Entry::Id(id) = host.entry {
            self.ids.remove(&id);
        }
        self.pending.remove(&key);
        Some(host)
    }

    fn remove(&mut self, key: Key, reason: &'static str) {
        if let Some(host) = self.forget(key) {
            self.world.note(Note::Gone {
                peer: host.name(),
                reason,
            });
        }
    }

    /// The module made a host for a flow.
    fn discovered(&mut self, id: u32, local: Addr, remote: Addr) {
        if self.ids.contains_key(&id) {
            return;
        }
        if self.active(remote).is_some() {
            // It became known in another way in the meantime.
            self.world
                .outputs
                .push_back(Output::Table(Change::Del { id }));
            return;
        }
        if self.hosts.len() >= self.world.limits.max_hosts {
            self.world.refuse(Refusal::HostLimit, remote, local);
            return;
        }
        let key = self.insert(Entry::Id(id), State::New);
        let ours = self.world.local.contains(&local);
        self.with(key, |host, world| {
            host.active.push(remote);
            host.tell(local, Standing::Maybe);
            host.anchor = Some(local);
            if ours {
                host.ask(world);
            } else {
                host.state = State::Classic;
                world.note(Note::Classic {
                    peer: remote,
                    reason: "local-address-ignored",
                });
            }
        });
    }

    /// The answer to a question about routes came.
    fn routes_known(&mut self, key: Key) {
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
                host.reconcile(world);
            });
            if greet {
                self.queue.push_back(key);
            }
        }
    }

    /// The kernel made a host.
    fn made(&mut self, key: Key, id: u32) {
        if !self.hosts.contains_key(&key) || self.ids.contains_key(&id) {
            self.world
                .outputs
                .push_back(Output::Table(Change::Del { id }));
            self.remove(key, "taken");
            return;
        }
        self.ids.insert(id, key);
        self.with(key, |host, world| {
            host.entry = Entry::Id(id);
            host.publish(world);
            host.reply(world);
            host.reconcile(world);
        });
        self.merge_claimed(key);
    }

    /// Brings the hosts into line with all that the kernel has.
    fn kernel(&mut self, hosts: Vec<KernelHost>) {
        let ids: BTreeSet<u32> = hosts.iter().map(|host| host.id).collect();
        for key in self.keys() {
            let entry = self.hosts.get(&key).map(|host| host.entry);
            if matches!(entry, Some(Entry::Id(id)) if !ids.contains(&id)) {
                self.remove(key, "removed");
            }
        }
        for known in hosts {
            match self.ids.get(&known.id).copied() {
                Some(key) => self.with(key, |host, _| {
                    host.managed = known.managed;
                    host.published = None;
                }),
                None => self.adopt(known),
            }
        }
    }

    /// Takes over a host that the kernel has and the engine does not know.
    fn adopt(&mut self, known: KernelHost) {
        if known.state == State::New && !known.managed {
            if let (Some(local), Some(remote)) = (known.local.first(), known.active.first()) {
                self.discovered(known.id, local.addr, *remote);
            }
            return;
        }
        if self.hosts.len() >= self.world.limits.max_hosts {
            return;
        }
        let taken: Vec<Addr> = known
            .active
            .iter()
            .copied()
            .filter(|addr| self.active(*addr).is_some())
            .collect();
        let key = self.insert(Entry::Id(known.id), known.state);
        self.with(key, |host, world| {
            host.managed = known.managed;
            host.active = known.active;
            host.active.retain(|addr| !taken.contains(addr));
            host.unreachable = known.unreachable;
            host.alias = known.alias;
            for local in &known.local {
                let standing = if local.unproven {
                    Standing::Maybe
                } else {
                    Standing::Active
                };
                host.tell(local.addr, standing);
                host.usable.push(Via {
                    local: local.addr,
                    preference: local.preference,
                });
            }
            let confirmed = known
                .local
                .iter()
                .find(|local| !local.unproven)
                .map(|local| local.addr);
            let first = known.local.first().map(|local| local.addr);
            host.anchor = confirmed.or(known.identifiers.first().copied()).or(first);
            if let Some(anchor) = host
                .anchor
                .filter(|anchor| host.standing(*anchor).is_none())
            {
                host.tell(anchor, Standing::Maybe);
            }
            if host.managed || host.state != State::Up {
                return;
            }
            host.needs_hello = true;
            host.greet_at = Some(world.now.after(world.jitter(world.limits.adopt)));
            host.published = Some(host.record());
            world.note(Note::Adopted {
                id: known.id,
                peer: host.name(),
            });
            host.ask(world);
        });
    }

    /// Whether `other` claims an address of `key`.
    pub(crate) fn is_claimed_back(&self, key: Key, other: Key) -> bool {
        let (Some(host), Some(other)) = (self.hosts.get(&key), self.hosts.get(&other)) else {
            return false;
        };
        host.active.iter().any(|addr| other.claims(*addr))
    }

    /// Merges a host with those that it claims an active address of, and that claim one of its own.
    pub(crate) fn merge_claimed(&mut self, key: Key) {
        let Some(host) = self.hosts.get(&key) else {
            return;
        };
        let claims = host.unreachable.iter().chain(&host.contested);
        let claimed: BTreeSet<Key> = claims.filter_map(|addr| self.active(*addr)).collect();
        for other in claimed {
            if other != key && self.is_claimed_back(key, other) {
                self.merge(key.min(other), key.max(other));
            }
        }
    }

    /// Makes one host of two entries.
    pub(crate) fn merge(&mut self, kept: Key, gone: Key) {
        let busy = |key: &Key| {
            self.hosts
                .get(key)
                .is_none_or(|host| host.managed || host.entry == Entry::Asked)
        };
        if busy(&kept) || busy(&gone) {
            return;
        }
        let Some(other) = self.forget(gone) else {
            return;
        };
        if let Entry::Id(id) = other.entry {
            self.world
                .outputs
                .push_back(Output::Table(Change::Del { id }));
        }
        self.with(kept, |host, world| {
            world.note(Note::Merged {
                kept: host.name(),
                gone: other.name(),
            });
            for addr in &other.active {
                host.activate(*addr);
            }
            for addr in &other.unreachable {
                host.claim(*addr);
            }
            host.contested.retain(|addr| !other.active.contains(addr));
            for addr in &other.alias {
                if !host.knows(*addr) {
                    include(&mut host.alias, *addr);
                }
            }
            for told in &other.told {
                if host.standing(told.addr) != Some(Standing::Active) {
                    host.tell(told.addr, told.standing);
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
                .legs
                .into_iter()
                .filter(|leg| leg.control == Control::Hello);
            host.legs.extend(greetings);
            host.ask(world);
            host.reconcile(world);
        });
    }
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
