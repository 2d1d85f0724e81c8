// SPDX-License-Identifier: GPL-2.0
//! Machines with engines, model kernels and a network between them, under a virtual clock.
//!
//! The tests of the engine use it for two machines or a thousand, `ihmp-sim` for ten thousand. Nothing in it reads a clock or draws a random number: a
//! seed says all. What is wrong stops it with a panic, as a failed assertion of a test.
#![forbid(unsafe_code)]

pub mod crowd;
pub mod formula;
pub mod handoff;
pub mod hub;
pub mod nat;
pub mod store;
pub mod table;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

use ihmp_core::addr::Addr;
use ihmp_core::message::{Control, Message, Options};
use ihmp_core::nat::Mapping;
use ihmp_core::time::{Duration, Instant};
use ihmp_engine::{
    Age, Change, Engine, Input, KernelHost, Limits, Moment, Note, Output, Own, OwnKey, Policy,
    Record, Routes, State, Traffic, Via,
};

use crate::nat::Nat;
use crate::store::Store;

/// A host with a flow, on which nothing passes, and with more credit than it will need.
pub const BUSY: Traffic = Traffic {
    flows: 1,
    sent: 0,
    received: 0,
    idle: Duration::ZERO,
    credit: Some(1 << 30),
};

/// An address in text form.
pub fn addr(text: &str) -> Addr {
    text.parse().unwrap()
}

/// The device of an own address: a network for each.
fn device(addr: Addr) -> u32 {
    let words = addr.octets();
    let words = words.chunks(4).map(|word| {
        word.iter()
            .fold(0, |all, octet| (all << 8) | u32::from(*octet))
    });
    words.fold(1, |all: u32, word| all.rotate_left(7) ^ word)
}

/// Milliseconds.
pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Seconds.
pub fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// xorshift64*, seeded by the test.
pub struct Random(pub u64);

impl Random {
    /// The next number.
    #[expect(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

/// A host entry of the model kernel.
#[derive(Clone, Debug)]
pub struct Row {
    /// What the engine last said of it.
    pub record: Record,
    /// Its former addresses.
    pub alias: Vec<Addr>,
    /// Given by the administrator.
    pub name: Option<String>,
    /// How often its sockets were woken though no path changed.
    pub woken: u32,
    /// How often those that were idle were heard as well.
    pub spoken_up: u32,
    /// How often it was in doubt since when an address is the host's no more.
    pub doubts: u32,
    /// When it is removed.
    pub expires: Option<Instant>,
}

/// The host table of one machine, with the rules of the module.
#[derive(Default)]
pub struct Kernel {
    /// By number.
    pub rows: BTreeMap<u32, Row>,
    next: u32,
    owners: BTreeMap<Addr, u32>,
    expiries: BTreeSet<(Instant, u32)>,
    /// Hosts without flows, and when the last packet passed.
    pub idle_since: BTreeMap<u32, Instant>,
    /// What passed, where a test says so.
    pub traffic: BTreeMap<u32, Traffic>,
    /// Identifiers of its flows, for adoption.
    pub identifiers: BTreeMap<u32, Vec<Addr>>,
    /// Port mappings of NATs, with their host and when they end.
    pub mappings: BTreeMap<Mapping, (u32, Instant)>,
}

impl Kernel {
    fn owner(&self, of: Addr) -> Option<u32> {
        self.owners.get(&of).copied()
    }

    fn put(&mut self, id: u32, record: Record, alias: Vec<Addr>, now: Instant) {
        let before = self.rows.get(&id);
        let name = before.and_then(|row| row.name.clone());
        let counts = before.map(|row| (row.woken, row.spoken_up, row.doubts));
        let (woken, spoken_up, doubts) = counts.unwrap_or_default();
        let mappings = std::mem::take(&mut self.mappings);
        self.take(id);
        self.mappings = mappings;
        let expires = record.expires.map(|span| now.after(span));
        for active in &record.active {
            self.owners.insert(*active, id);
        }
        self.expiries.extend(expires.map(|expires| (expires, id)));
        let row = Row {
            record,
            alias,
            name,
            woken,
            spoken_up,
            doubts,
            expires,
        };
        self.rows.insert(id, row);
    }

    /// Removes an entry.
    pub fn take(&mut self, id: u32) -> Option<Row> {
        let row = self.rows.remove(&id)?;
        for active in &row.record.active {
            self.owners.remove(active);
        }
        if let Some(expires) = row.expires {
            self.expiries.remove(&(expires, id));
        }
        self.mappings.retain(|_, (host, _)| *host != id);
        Some(row)
    }

    /// Makes an entry; its number.
    pub fn make(&mut self, record: Record, former: Vec<Addr>, now: Instant) -> u32 {
        table::check(None, &record, |addr| self.owner(addr));
        self.next += 1;
        self.put(self.next, record, former, now);
        self.next
    }

    fn set(&mut self, id: u32, record: Record, doubt: bool, now: Instant) {
        table::check(Some(id), &record, |addr| self.owner(addr));
        let row = &self.rows[&id];
        let mut alias = row.alias.clone();
        for gone in row.record.active.iter().chain(&row.record.unreachable) {
            if !alias.contains(gone) {
                alias.push(*gone);
            }
        }
        alias.retain(|alias| !record.active.contains(alias) && !record.unreachable.contains(alias));
        self.put(id, record, alias, now);
        if let Some(row) = self.rows.get_mut(&id).filter(|_| doubt) {
            row.doubts += 1;
        }
    }

    fn wake(&mut self, id: u32, idle: bool) {
        let row = self.rows.get_mut(&id).expect("an entry that is there");
        assert_eq!(row.record.state, State::Up, "only who is up is woken");
        match idle {
            true => row.spoken_up += 1,
            false => row.woken += 1,
        }
    }

    /// What passed between a host and this machine.
    fn look(&self, id: u32, now: Instant) -> Traffic {
        let known = self.traffic.get(&id).copied().unwrap_or(BUSY);
        match self.idle_since.get(&id) {
            Some(since) => Traffic {
                flows: 0,
                idle: now.since(*since),
                ..known
            },
            None => known,
        }
    }

    /// What an agent reads when it starts.
    pub fn dump(&self) -> Vec<KernelHost> {
        let host = |(id, row): (&u32, &Row)| KernelHost {
            id: *id,
            state: row.record.state,
            managed: row.name.is_some(),
            moved: true,
            active: row.record.active.clone(),
            unvalidated: row.record.unvalidated.clone(),
            nats: row.record.nats.clone(),
            unreachable: row.record.unreachable.clone(),
            alias: row.alias.clone(),
            local: row.record.local.clone(),
            identifiers: self.identifiers.get(id).cloned().unwrap_or_default(),
        };
        self.rows.iter().map(host).collect()
    }
}

/// The key of a node.
pub fn own_key(number: u64) -> OwnKey {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&(number + 1).to_be_bytes());
    OwnKey::new(&seed, vec![])
}

/// A machine.
pub struct Node {
    /// `None` when the agent does not run.
    pub engine: Option<Engine>,
    /// Its module.
    pub kernel: Kernel,
    /// Oldest first; the newest of a family is the preferred one.
    pub local: Vec<Addr>,
    /// Those of before that come by a router.
    pub held: BTreeSet<Addr>,
    /// What its engine said so far.
    pub notes: Vec<Note>,
    /// Of its engine.
    pub limits: Limits,
    /// Whom its engine believes.
    pub policy: Policy,
    /// Its keys.
    pub store: Store,
    /// What its clock on the wall shows at the beginning.
    pub wall: u64,
    /// How many messages it sent.
    pub sent: u64,
    /// What its engine took of [`Sim::clock`].
    pub spent: u64,
    /// The addresses under which the network finds it.
    placed: Vec<Addr>,
    /// When something happens in it by itself.
    wake: Option<Instant>,
}

impl Node {
    /// Whether it takes what is sent to this address.
    fn has(&self, addr: Addr) -> bool {
        self.local.contains(&addr) || self.held.contains(&addr)
    }
}

/// What a router does with a datagram that passes it.
#[derive(Clone, Debug, Default)]
pub struct Crossing {
    /// It goes no further.
    pub taken: bool,
    /// What the router sends: source, destination, octets. It arrives at once.
    pub sent: Vec<(Addr, Addr, Vec<u8>)>,
    /// Its host routes from now on: what is sent to the first address is brought to the second one.
    pub routes: BTreeMap<Addr, Addr>,
}

/// A router that all datagrams pass.
pub type Gateway = Box<dyn FnMut(Instant, Addr, Addr, &[u8]) -> Crossing>;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Flight {
    at: Instant,
    order: u64,
    from: Addr,
    port: Option<u16>,
    to: Addr,
    bytes: Vec<u8>,
    sender: usize,
    /// The machine behind a NAT that gets it.
    inside: Option<usize>,
}

/// How the network treats packets.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// One way.
    pub latency: Duration,
    /// Up to so much more, so that packets overtake each other.
    pub spread: Duration,
    /// Per cent that are lost.
    pub loss: u64,
    /// Per cent that come twice.
    pub duplication: u64,
}

/// 30 ms, and everything arrives.
pub const FAIR: Weather = Weather {
    latency: Duration::from_millis(30),
    spread: Duration::ZERO,
    loss: 0,
    duplication: 0,
};

/// The machines and what flies between them.
pub struct Sim {
    /// The virtual time.
    pub now: Instant,
    /// The machines.
    pub nodes: Vec<Node>,
    /// The network.
    pub weather: Weather,
    /// Up to so much more than the latency of the weather, always the same between two machines.
    pub farthest: Duration,
    /// What all chance comes from.
    pub random: Random,
    /// Pairs between which nothing passes.
    pub blocked: BTreeSet<(Addr, Addr)>,
    /// Own addresses and those of others to which there is no route from there.
    pub unrouted: BTreeSet<(Addr, Addr)>,
    /// Devices of own addresses, where they have no device for themselves.
    pub devices: BTreeMap<Addr, u32>,
    /// Own addresses that are deprecated.
    pub aged: BTreeMap<Addr, Age>,
    /// A router between all machines.
    pub gateway: Option<Gateway>,
    /// Its host routes.
    pub host_routes: BTreeMap<Addr, Addr>,
    /// NATs in front of some addresses.
    pub nats: Vec<Nat>,
    flights: BinaryHeap<Reverse<Flight>>,
    order: u64,
    /// What was sent since the last [`Sim::sent`].
    log: Vec<(usize, Control, Options, Addr, Addr)>,
    /// All datagrams that were sent: source, destination, octets.
    pub wire: Vec<(Addr, Addr, Vec<u8>)>,
    /// Whether to print what happens; by the variable `TRACE` of the environment.
    pub trace: bool,
    /// Whether notes, kinds and octets of messages are forgotten, for want of memory.
    pub quiet: bool,
    /// What measures the cost of computing; by default, nothing.
    pub clock: fn() -> u64,
    /// Messages of all machines that the network did not deliver.
    pub lost: u64,
    /// The machines in which something happened at the last moment.
    pub touched: BTreeSet<usize>,
    /// Who heard whom at the last moment.
    pub arrived: Vec<(usize, usize)>,
    /// Who can be found where; the addresses may be gone already.
    places: HashMap<Addr, Vec<usize>>,
    wakes: BTreeSet<(Instant, usize)>,
    seed: u64,
}

impl Sim {
    /// An empty world.
    pub fn new(seed: u64, weather: Weather) -> Sim {
        Sim {
            now: Instant::ZERO,
            nodes: vec![],
            weather,
            random: Random(seed.wrapping_mul(2).wrapping_add(1)),
            blocked: BTreeSet::new(),
            unrouted: BTreeSet::new(),
            devices: BTreeMap::new(),
            aged: BTreeMap::new(),
            gateway: None,
            host_routes: BTreeMap::new(),
            nats: vec![],
            flights: BinaryHeap::new(),
            order: 0,
            log: vec![],
            wire: vec![],
            trace: std::env::var_os("TRACE").is_some(),
            farthest: Duration::ZERO,
            quiet: false,
            clock: || 0,
            lost: 0,
            touched: BTreeSet::new(),
            arrived: vec![],
            places: HashMap::new(),
            wakes: BTreeSet::new(),
            seed,
        }
    }

    /// Two machines, the first of which has just opened a flow to the second: they know each other, and what they said
    /// is taken off the record.
    pub fn pair(a: &[&str], b: &[&str]) -> Sim {
        let mut sim = Sim::new(1, FAIR);
        sim.add(a);
        sim.add(b);
        sim.flow(0, a[0], b[0]);
        sim.run(ms(500));
        // The server wants to see first that the client hears it.
        let greeting = [Control::Hello, Control::Ack, Control::Hello, Control::Ack];
        assert_eq!(sim.sent(), greeting);
        sim.agree(0, 1);
        sim
    }

    /// A new machine; its number.
    pub fn add(&mut self, local: &[&str]) -> usize {
        self.add_with(local, Limits::default())
    }

    /// The same, with other limits.
    pub fn add_with(&mut self, local: &[&str], limits: Limits) -> usize {
        self.add_believing(local, limits, Policy::FirstUse)
    }

    /// The same, with another policy.
    pub fn add_believing(&mut self, local: &[&str], limits: Limits, policy: Policy) -> usize {
        let local = local.iter().map(|text| addr(text)).collect();
        self.place(local, limits, policy)
    }

    /// The same, with addresses that need not be read.
    pub fn place(&mut self, local: Vec<Addr>, limits: Limits, policy: Policy) -> usize {
        let number = self.nodes.len() as u64;
        let engine = Some(Engine::new(limits, policy));
        let store = Store {
            own: vec![own_key(number)],
            ..Store::default()
        };
        self.nodes.push(Node {
            engine,
            kernel: Kernel::default(),
            local,
            held: BTreeSet::new(),
            notes: vec![],
            limits,
            policy,
            store,
            wall: 1_700_000_000_000_000_000 + number * 1_000_000_000_000,
            sent: 0,
            spent: 0,
            placed: vec![],
            wake: None,
        });
        let at = self.nodes.len() - 1;
        self.rekey(at);
        self.network(at);
        at
    }

    fn via(
        node: &Node,
        peer: Addr,
        unrouted: &BTreeSet<(Addr, Addr)>,
        devices: &BTreeMap<Addr, u32>,
    ) -> Vec<Via> {
        let family = |of: &&Addr| of.family() == peer.family() && !unrouted.contains(&(**of, peer));
        let newest = node.local.iter().rfind(family).copied();
        let via = |local: &Addr| Via {
            local: *local,
            preference: if Some(*local) == newest { 0 } else { 10 },
            device: devices.get(local).copied().or(Some(device(*local))),
            diverted: false,
        };
        node.local.iter().filter(family).map(via).collect()
    }

    /// Gives an input to the engine of a node, and does what it says.
    pub fn give(&mut self, at: usize, input: Input<'_>) {
        self.handle(at, input);
        self.drain(at);
        self.arm(at);
        self.touched.insert(at);
    }

    fn handle(&mut self, at: usize, input: Input<'_>) {
        let random = self.random.next();
        let now = self.now;
        let node = &mut self.nodes[at];
        let Some(engine) = node.engine.as_mut() else {
            return;
        };
        let wall = node.wall + now.as_nanos();
        let before = (self.clock)();
        engine.handle(Moment { now, wall, random }, input);
        node.spent += (self.clock)() - before;
    }

    /// Notes when something will happen in a node by itself.
    fn arm(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let timer = node.engine.as_ref().and_then(Engine::next_timeout);
        let expiry = node.kernel.expiries.first().map(|(end, _)| *end);
        let wake = timer.into_iter().chain(expiry).min();
        if wake != node.wake {
            if let Some(old) = std::mem::replace(&mut node.wake, wake) {
                self.wakes.remove(&(old, at));
            }
            self.wakes.extend(wake.map(|wake| (wake, at)));
        }
    }

    /// The machine that has this address.
    pub fn owner(&self, of: Addr) -> Option<usize> {
        let to = self.host_routes.get(&of).unwrap_or(&of);
        let places = self.places.get(to)?.iter().copied();
        places
            .filter(|at| self.nodes[*at].local.contains(to) && self.nodes[*at].has(of))
            .min()
    }

    /// The time that a packet takes between two machines at least.
    pub fn distance(&self, one: usize, other: usize) -> Duration {
        let latency = self.weather.latency;
        if self.farthest == Duration::ZERO {
            return latency;
        }
        let pair = ((one.min(other) as u64) << 32) | one.max(other) as u64;
        let mut random = Random(pair.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ self.seed | 1);
        for _ in 0..4 {
            random.next();
        }
        let more = random.below(self.farthest.as_nanos() + 1);
        latency.saturating_add(Duration::from_nanos(more))
    }

    /// Tells the engine of a node what its store has.
    pub fn rekey(&mut self, at: usize) {
        let keys = self.nodes[at].store.keys();
        self.give(at, Input::Keys(keys));
    }

    fn drain(&mut self, at: usize) {
        loop {
            let node = &mut self.nodes[at];
            let Some(output) = node.engine.as_mut().and_then(Engine::poll) else {
                return;
            };
            match output {
                Output::Send {
                    from,
                    to,
                    port,
                    bytes,
                } => self.transmit(at, from, to, port, bytes),
                Output::Table(Change::New {
                    key,
                    record,
                    former,
                }) => {
                    let id = node.kernel.make(record, former, self.now);
                    self.give(at, Input::Made { key, id });
                }
                Output::Table(Change::Set { id, record, doubt }) => {
                    node.kernel.set(id, record, doubt, self.now)
                }
                Output::Table(Change::Wake { id, idle }) => node.kernel.wake(id, idle),
                Output::Table(Change::Del { id }) => {
                    node.kernel.take(id).unwrap();
                }
                Output::Table(Change::Map {
                    id,
                    mapping,
                    lifetime,
                }) => {
                    assert!(node.kernel.rows.contains_key(&id), "{mapping:?}");
                    let until = self.now.after(lifetime);
                    node.kernel.mappings.insert(mapping, (id, until));
                }
                Output::Table(Change::Unmap { mapping, .. }) => {
                    node.kernel.mappings.remove(&mapping);
                }
                Output::Ask(peer) => {
                    let via = Sim::via(node, peer, &self.unrouted, &self.devices);
                    self.give(at, Input::Routes(Routes { peer, via }));
                }
                Output::Look(id) => {
                    let traffic = node.kernel.look(id, self.now);
                    self.handle(at, Input::Traffic { id, traffic });
                }
                Output::Hold(addr) => assert!(node.held.insert(addr), "{addr} is held twice"),
                Output::Release(addr) => assert!(node.held.remove(&addr), "{addr} is not held"),
                Output::Keep(fact) => node.store.keep(fact),
                Output::Note(note) => {
                    if self.trace {
                        println!("{:>12} us node {at}: {note}", self.now.as_nanos() / 1000);
                    }
                    if !self.quiet {
                        node.notes.push(note);
                    }
                }
            }
        }
    }

    fn transmit(&mut self, at: usize, from: Addr, to: Addr, port: Option<u16>, bytes: Vec<u8>) {
        assert!(
            self.nodes[at].has(from),
            "sent from {from}, which node {at} does not have"
        );
        assert_eq!(from.family(), to.family());
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.addresses.as_slice().first(), Some(&from));
        self.nodes[at].sent += 1;
        if !self.quiet {
            self.log
                .push((at, message.control, message.options, from, to));
            self.wire.push((from, to, bytes.clone()));
        }
        if self.blocked.contains(&(from, to)) || self.random.percent(self.weather.loss) {
            self.lost += 1;
            return;
        }
        if let Some(mut gateway) = self.gateway.take() {
            let crossing = gateway(self.now, from, to, &bytes);
            self.gateway = Some(gateway);
            self.host_routes = crossing.routes;
            for (from, to, bytes) in crossing.sent {
                if !self.quiet {
                    self.wire.push((from, to, bytes.clone()));
                }
                let (at, sender) = (self.now, at);
                self.order += 1;
                let order = self.order;
                self.flights.push(Reverse(Flight {
                    at,
                    order,
                    from,
                    port: None,
                    to,
                    bytes,
                    sender,
                    inside: None,
                }));
            }
            if crossing.taken {
                return;
            }
        }
        let Some(passed) = nat::pass(&mut self.nats, (at, from), (to, port), bytes) else {
            self.lost += 1;
            return;
        };
        let nat::Passed {
            from,
            port,
            to,
            inside,
            bytes,
        } = passed;
        let latency = match inside.or_else(|| self.owner(to)) {
            Some(there) => self.distance(at, there),
            None => self.weather.latency,
        };
        let copies = if self.random.percent(self.weather.duplication) {
            2
        } else {
            1
        };
        let sender = at;
        for _ in 0..copies {
            let spread = self.random.below(self.weather.spread.as_nanos() + 1);
            let at = self.now.after(latency).after(Duration::from_nanos(spread));
            self.order += 1;
            let flight = Flight {
                at,
                order: self.order,
                from,
                port,
                to,
                bytes: bytes.clone(),
                sender,
                inside,
            };
            self.flights.push(Reverse(flight));
        }
    }

    /// When something happens next.
    pub fn next_event(&self) -> Option<Instant> {
        let flight = self.flights.peek().map(|Reverse(flight)| flight.at);
        let wake = self.wakes.first().map(|(at, _)| *at);
        flight.into_iter().chain(wake).min()
    }

    /// Lets time pass.
    pub fn run(&mut self, span: Duration) {
        let end = self.now.after(span);
        let mut steps = 0;
        while self.step(end) {
            steps += 1;
            assert!(steps < 5_000_000, "it goes round in circles");
        }
    }

    /// Lets time pass until something happened, or else until `end`; whether there was anything.
    pub fn step(&mut self, end: Instant) -> bool {
        self.touched.clear();
        self.arrived.clear();
        let Some(next) = self.next_event().filter(|next| *next <= end) else {
            self.now = self.now.max(end);
            return false;
        };
        self.now = self.now.max(next);
        while self
            .flights
            .peek()
            .is_some_and(|Reverse(flight)| flight.at <= self.now)
        {
            let Reverse(flight) = self.flights.pop().unwrap();
            let has = |at: &usize| self.nodes[*at].has(flight.to);
            let there = match flight.inside {
                Some(at) => Some(at).filter(has),
                None => self.owner(flight.to),
            };
            if let Some(at) = there {
                self.arrived.push((at, flight.sender));
                self.give(
                    at,
                    Input::Message {
                        from: flight.from,
                        port: flight.port,
                        to: flight.to,
                        bytes: &flight.bytes,
                    },
                );
            } else {
                self.lost += 1;
            }
        }
        let due = |wake: &&(Instant, usize)| wake.0 <= self.now;
        let mut due: Vec<usize> = self
            .wakes
            .iter()
            .take_while(due)
            .map(|wake| wake.1)
            .collect();
        due.sort_unstable();
        for at in due {
            let timer = self.nodes[at]
                .engine
                .as_ref()
                .and_then(Engine::next_timeout);
            if timer.is_some_and(|timer| timer <= self.now) {
                self.give(at, Input::Timer);
            }
            while let Some((end, id)) = self.nodes[at].kernel.expiries.first().copied() {
                if end > self.now {
                    break;
                }
                self.nodes[at].kernel.take(id);
                self.give(at, Input::Removed { id });
            }
            self.arm(at);
        }
        true
    }

    /// A datagram from outside.
    pub fn inject(&mut self, at: usize, from: Addr, to: Addr, bytes: &[u8]) {
        self.inject_by(at, from, None, to, bytes);
    }

    /// The same, from another port than that of IHMP.
    pub fn inject_by(&mut self, at: usize, from: Addr, port: Option<u16>, to: Addr, bytes: &[u8]) {
        let input = Input::Message {
            from,
            port,
            to,
            bytes,
        };
        self.give(at, input);
    }

    /// Tells the engine of a node what its addresses are.
    pub fn network(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        for gone in std::mem::replace(&mut node.placed, node.local.clone()) {
            if let Some(places) = self.places.get_mut(&gone) {
                places.retain(|other| *other != at);
            }
        }
        for local in &node.local {
            self.places.entry(*local).or_default().push(at);
        }
        let node = &self.nodes[at];
        let Some(engine) = node.engine.as_ref() else {
            return;
        };
        let peers = engine.peers();
        let routes = peers.into_iter().map(|peer| Routes {
            peer,
            via: Sim::via(node, peer, &self.unrouted, &self.devices),
        });
        let own = node.local.iter().map(|addr| Own {
            addr: *addr,
            age: self.aged.get(addr).copied().unwrap_or_default(),
        });
        let input = Input::Network {
            local: own.collect(),
            routes: routes.collect(),
        };
        self.give(at, input);
    }

    /// One batch of address events.
    pub fn change(&mut self, at: usize, lose: &[&str], gain: &[&str]) {
        let read = |texts: &[&str]| texts.iter().map(|text| addr(text)).collect::<Vec<_>>();
        self.relocate(at, &read(lose), &read(gain));
    }

    /// The same, with addresses that need not be read.
    pub fn relocate(&mut self, at: usize, lose: &[Addr], gain: &[Addr]) {
        if self.trace {
            println!(
                "{:>12} us node {at}: -{lose:?} +{gain:?}",
                self.now.as_nanos() / 1000
            );
        }
        let node = &mut self.nodes[at];
        node.local.retain(|local| !lose.contains(local));
        node.local.extend(gain);
        self.network(at);
    }

    /// The module sees a flow.
    pub fn flow(&mut self, at: usize, local: &str, remote: &str) {
        self.open(at, addr(local), addr(remote));
    }

    /// The same, with addresses that need not be read.
    pub fn open(&mut self, at: usize, local: Addr, remote: Addr) {
        let node = &mut self.nodes[at];
        if node.kernel.owner(remote).is_some() {
            return;
        }
        let record = Record {
            state: State::New,
            active: vec![remote],
            unvalidated: vec![],
            nats: vec![],
            unreachable: vec![],
            local: vec![ihmp_engine::Local::new(local)],
            expires: None,
        };
        let id = node.kernel.make(record, vec![], self.now);
        node.kernel.identifiers.insert(id, vec![local]);
        self.give(at, Input::Discovered { id, local, remote });
    }

    /// Kills the agent of a node and starts another one.
    pub fn restart(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        node.engine = Some(Engine::new(node.limits, node.policy));
        node.held.clear();
        let hosts = node.kernel.dump();
        self.rekey(at);
        self.network(at);
        self.give(at, Input::Kernel { hosts });
    }

    /// The kinds of what was sent since the last call.
    pub fn sent(&mut self) -> Vec<Control> {
        std::mem::take(&mut self.log)
            .into_iter()
            .map(|(_, control, ..)| control)
            .collect()
    }

    /// Node `at` of two changes networks: a message and its answer, and both agree.
    pub fn hand_off(&mut self, at: usize, lose: &[&str], gain: &[&str]) {
        self.sent();
        self.change(at, lose, gain);
        self.run(secs(1));
        assert_eq!(self.sent(), [Control::Handoff, Control::Ack]);
        self.agree(0, 1);
    }

    /// The only entry of a node that takes part and has one of these addresses.
    pub fn row(&self, at: usize, of: usize) -> &Row {
        self.find(at, of).unwrap_or_else(|why| panic!("{why}"))
    }

    /// The same; or why there is none.
    pub fn find(&self, at: usize, of: usize) -> Result<&Row, String> {
        let theirs = &self.nodes[of].local;
        let kernel = &self.nodes[at].kernel;
        let rows = |id| Some((id, kernel.rows.get(&id)?));
        let known = theirs.iter().filter_map(|addr| kernel.owner(*addr));
        let mut rows = known
            .filter_map(rows)
            .filter(|(_, row)| row.record.state == State::Up);
        let (id, row) = rows
            .next()
            .ok_or_else(|| format!("node {at} has no entry of node {of} {theirs:?}"))?;
        if rows.any(|(other, _)| other != id) {
            return Err(format!("node {at} has two entries of node {of}"));
        }
        Ok(row)
    }

    /// Asserts that both ends hold the same of each other, and that data can pass.
    pub fn agree(&self, one: usize, other: usize) {
        self.agreement(one, other)
            .unwrap_or_else(|why| panic!("{why}"));
    }

    /// Whether both ends hold the same of each other, and data can pass; or why not.
    pub fn agreement(&self, one: usize, other: usize) -> Result<(), String> {
        for (near, far) in [(one, other), (other, one)] {
            let ours = &self.find(near, far)?.record;
            let theirs = &self.find(far, near)?.record;
            let has = |addr: &Addr| self.nodes[far].local.contains(addr);
            let active: BTreeSet<Addr> = ours.active.iter().copied().collect();
            let local: BTreeSet<Addr> = theirs
                .local
                .iter()
                .filter(|local| !local.nat)
                .map(|local| local.addr)
                .collect();
            if active != local {
                return Err(format!(
                    "node {near} has {active:?} of node {far}, which holds {local:?} for known"
                ));
            }
            if let Some(local) = theirs.local.iter().find(|local| local.unvalidated) {
                return Err(format!(
                    "node {far} has not proven {} to node {near}",
                    local.addr
                ));
            }
            if let Some(gone) = ours
                .active
                .iter()
                .chain(&ours.unreachable)
                .find(|addr| !has(addr))
            {
                return Err(format!("node {near} still has {gone} of node {far}"));
            }
            let pairs = ours.local.iter().any(|local| {
                ours.active.iter().any(|active| {
                    active.family() == local.addr.family()
                        && !self.blocked.contains(&(local.addr, *active))
                })
            });
            if !pairs {
                return Err(format!("no path from node {near} to node {far}: {ours:?}"));
            }
        }
        Ok(())
    }

    /// Whether every host that a kernel has takes part.
    pub fn all_up(&self) -> bool {
        let mut rows = self.nodes.iter().flat_map(|node| node.kernel.rows.values());
        rows.all(|row| row.record.state == State::Up)
    }

    /// How many messages a node refused for this reason.
    pub fn refused(&self, at: usize, reason: &str) -> u64 {
        let engine = self.nodes[at].engine.as_ref();
        let refusals = engine.map(Engine::refusals).unwrap_or_default();
        refusals.get(reason).copied().unwrap_or(0)
    }

    /// A figure that a node's agent shows of its limits; it must be one of [`Engine::limits`].
    pub fn limit(&self, at: usize, name: &str) -> u64 {
        let limits = self.nodes[at].engine.as_ref().unwrap().limits();
        limits.iter().find(|(known, _)| *known == name).unwrap().1
    }

    /// The administrator of a node removes all hosts.
    pub fn remove_hosts(&mut self, at: usize) {
        let ids: Vec<u32> = self.nodes[at].kernel.rows.keys().copied().collect();
        for id in ids {
            self.nodes[at].kernel.take(id);
            self.give(at, Input::Removed { id });
        }
    }

    /// Lets time pass until `pred` holds for a note of a node.
    pub fn run_until_noted(&mut self, at: usize, pred: impl Fn(&Note) -> bool) {
        while self.noted(at, &pred) == 0 {
            self.run(ms(1));
        }
    }

    /// How many notes of a node `pred` holds for.
    pub fn noted(&self, at: usize, pred: impl Fn(&Note) -> bool) -> usize {
        self.nodes[at]
            .notes
            .iter()
            .filter(|note| pred(note))
            .count()
    }
}
