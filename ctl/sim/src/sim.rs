// SPDX-License-Identifier: GPL-2.0
//! The machines and the network between them, and how time passes there.

mod findings;
mod machines;
mod transmission;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ihmp_core::addr::Addr;
use ihmp_core::message::{Control, Options};
use ihmp_core::time::{Duration, Instant};
use ihmp_engine::{Age, Change, Engine, Input, Moment, Output, Routes};

use crate::nat::Nat;
use crate::network::{Flights, Gateway, Weather, FAIR};
use crate::node::Node;
use crate::random::Random;
use crate::{ms, secs};

/// The machines, and the network between them.
pub struct Sim {
    /// The virtual time.
    pub now: Instant,
    /// The machines.
    pub nodes: Vec<Node>,
    /// Delay and loss.
    pub weather: Weather,
    /// Up to so much more than the latency of the weather, always the same between two machines.
    pub farthest: Duration,
    /// Random numbers.
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
    flights: Flights,
    /// What was sent since the last [`Sim::sent`].
    log: Vec<(usize, Control, Options, Addr, Addr)>,
    /// All datagrams that were sent: source, destination, octets.
    pub wire: Vec<(Addr, Addr, Vec<u8>)>,
    /// Whether to print what happens: if the variable `TRACE` is set.
    pub trace: bool,
    /// Whether notes and messages are not kept, to save memory.
    pub quiet: bool,
    /// A clock that measures how long engines compute; it stands still by default.
    pub clock: fn() -> u64,
    /// Messages of all machines that the network did not deliver.
    pub lost: u64,
    /// The machines in which something happened in the last step.
    pub touched: BTreeSet<usize>,
    /// The receiver and the sender of each datagram that arrived in the last step.
    pub arrived: Vec<(usize, usize)>,
    /// The machines that have each address, or have had it.
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
            flights: Flights::default(),
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

    /// Two machines, the first of which has just opened a flow to the second. They know each other; [`Sim::sent`] does not count the
    /// messages for that.
    pub fn pair(a: &[&str], b: &[&str]) -> Sim {
        let mut sim = Sim::new(1, FAIR);
        sim.add(a);
        sim.add(b);
        sim.flow(0, a[0], b[0]);
        sim.run(ms(500));
        // The server greets the client as well, to see that the client receives its messages.
        let greeting = [Control::Hello, Control::Ack, Control::Hello, Control::Ack];
        assert_eq!(sim.sent(), greeting);
        sim.agree(0, 1);
        sim
    }

    /// Gives an input to the engine of a node, and carries out its outputs.
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

    /// Notes when the next timer or expiry of a node is due.
    fn arm(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let timer = node.engine.as_ref().and_then(Engine::next_timeout);
        let expiry = node.kernel.next_expiry().map(|(end, _)| end);
        let wake = timer.into_iter().chain(expiry).min();
        if wake != node.wake {
            if let Some(old) = std::mem::replace(&mut node.wake, wake) {
                self.wakes.remove(&(old, at));
            }
            self.wakes.extend(wake.map(|wake| (wake, at)));
        }
    }

    /// When something happens next.
    pub fn next_event(&self) -> Option<Instant> {
        let flight = self.flights.next();
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
        while let Some(flight) = self.flights.arrived(self.now) {
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
            while let Some((end, id)) = self.nodes[at].kernel.next_expiry() {
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

    /// The kinds of the messages that were sent since the last call.
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
}
