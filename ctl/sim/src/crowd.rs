// SPDX-License-Identifier: GPL-2.0
//! Many hosts with a few peers each that move at random in bad weather: do all ends agree afterwards, and how soon?
//!
//! Two hosts that leave their networks at the same moment lose each other: nothing that either knows leads to the other
//! ([DIME-IFIP] section V-A). So no host gives up an address while a peer of it looks for it. Everything else happens
//! together: a peer may gain addresses meanwhile, and who moves may move again before anybody has heard of it.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use ihmp_core::addr::Addr;
use ihmp_core::time::{Duration, Instant};
use ihmp_engine::{Limits, Policy};

use crate::{ms, secs, Random, Sim, Weather};

/// How long everything may take to come to rest: more than some pauses of the engine, which end at a minute.
const PATIENCE: Duration = Duration::from_secs(900);
/// How often a greeting is tried. After ten minutes, a flow of a host that did not answer has it asked again.
const GREETINGS: u32 = 5;

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Hosts.
    pub hosts: usize,
    /// Peers to which each host opens a flow; others open some to it.
    pub peers: usize,
    /// Moves of each host.
    pub moves: usize,
    /// Restarts of each host's agent meanwhile; the kernel keeps its table.
    pub restarts: usize,
    /// In this time a host moves once, on average.
    pub pace: Duration,
    /// What the network does: here, `latency` is the least.
    pub weather: Weather,
    /// The network takes up to so much more, always the same between two hosts.
    pub farthest: Duration,
    /// What chance comes from.
    pub seed: u64,
    /// Whether messages are signed, as they are by default.
    pub signed: bool,
    /// What measures the cost of computing.
    pub clock: fn() -> u64,
}

impl Default for Plan {
    /// Delays between 1 and 200 ms, losses, copies, packets that overtake each other.
    fn default() -> Plan {
        Plan {
            hosts: 2,
            peers: 3,
            moves: 3,
            restarts: 0,
            pace: secs(20),
            weather: Weather {
                latency: ms(1),
                spread: ms(20),
                loss: 5,
                duplication: 2,
            },
            farthest: ms(179),
            seed: 1,
            signed: true,
            clock: || 0,
        }
    }
}

/// A change of a host's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// Another network comes.
    Gain,
    /// The old one goes.
    Lose,
    /// A network comes after a time without any.
    Return,
}

impl Event {
    /// All of them.
    pub const ALL: [Event; 3] = [Event::Gain, Event::Lose, Event::Return];

    /// Its name in results.
    pub fn name(self) -> &'static str {
        match self {
            Event::Gain => "soft-gain",
            Event::Lose => "soft-lose",
            Event::Return => "hard",
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Pairs of hosts that know each other.
    pub relations: usize,
    /// Those of which an end took the other for one without IHMP at first: three messages in a row were lost.
    pub greeted_again: usize,
    /// Moves with both networks up for a while.
    pub soft: usize,
    /// Moves with no network for a while.
    pub hard: usize,
    /// Messages for greetings.
    pub greetings: u64,
    /// Messages since.
    pub sent: u64,
    /// Those that the network lost.
    pub lost: u64,
    /// Round trips between the last change of either host of a pair and its agreement.
    pub round_trips: Vec<(Event, f64)>,
    /// Pairs that do not agree in the end, and why.
    pub apart: Vec<(usize, usize, String)>,
    /// Time in the simulation.
    pub lasted: Duration,
    /// Time that all engines computed, in nanoseconds.
    pub spent: u64,
}

impl Outcome {
    /// The round trips within which so many of a thousand pairs agreed after an event of this kind.
    pub fn within(&self, event: Option<Event>, thousandth: usize) -> Option<f64> {
        let chosen = |sample: &&(Event, f64)| event.is_none_or(|event| sample.0 == event);
        let mut times: Vec<f64> = self
            .round_trips
            .iter()
            .filter(chosen)
            .map(|sample| sample.1)
            .collect();
        times.sort_by(f64::total_cmp);
        let last = times.len().checked_sub(1)?;
        Some(times[(times.len() * thousandth / 1000).min(last)])
    }
}

/// The address of a host in its n-th network; each is in a prefix of its own.
fn home(host: usize, network: usize) -> Addr {
    let number = (network << 14) + host;
    let [.., first, second, third] = number.to_be_bytes();
    assert!(host >> 14 == 0 && first < 110, "too many hosts or moves");
    Addr::v4([first + 16, second, third, 1])
}

/// What a host is to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Task {
    Open(usize, usize),
    Move(usize),
    Gain(usize, Event),
    Lose(usize, Vec<Addr>),
    Leave(usize),
    Restart(usize),
}

/// Two hosts that know each other.
struct Relation {
    hosts: [usize; 2],
    /// When an end changed last, and how; `None` when they agree.
    since: Option<(Instant, Event)>,
}

struct Crowd {
    plan: Plan,
    sim: Sim,
    /// What chance the hosts' movements come from.
    random: Random,
    relations: Vec<Relation>,
    /// The relations of each host.
    of: Vec<Vec<usize>>,
    /// How many networks each host has been in.
    networks: Vec<usize>,
    /// Hosts that gave up an address that some peers know them by.
    sought: BTreeSet<usize>,
    agenda: BinaryHeap<Reverse<(Instant, u64, Task)>>,
    order: u64,
    outcome: Outcome,
}

/// Runs it.
pub fn run(plan: Plan) -> Outcome {
    let mut crowd = Crowd::new(plan);
    crowd.greet();
    (crowd.outcome.greetings, crowd.outcome.lost) = (crowd.total(), crowd.sim.lost);
    crowd.travel();
    crowd.end()
}

impl Crowd {
    fn new(plan: Plan) -> Crowd {
        let mut sim = Sim::new(plan.seed, plan.weather);
        (sim.farthest, sim.quiet, sim.clock) = (plan.farthest, true, plan.clock);
        let mut random = Random(plan.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let policy = if plan.signed {
            Policy::FirstUse
        } else {
            Policy::Unsigned
        };
        for host in 0..plan.hosts {
            let at = sim.place(vec![home(host, 0)], Limits::default(), policy);
            if !plan.signed {
                sim.nodes[at].store.own.clear();
                sim.rekey(at);
            }
        }
        let mut pairs = BTreeSet::new();
        for host in 0..plan.hosts {
            for _ in 0..plan.peers.min(plan.hosts - 1) {
                let step = 1 + random.below(plan.hosts as u64 - 1) as usize;
                let peer = (host + step) % plan.hosts;
                pairs.insert((host.min(peer), host.max(peer)));
            }
        }
        let mut of = vec![vec![]; plan.hosts];
        let mut relations = vec![];
        for (one, other) in pairs {
            of[one].push(relations.len());
            of[other].push(relations.len());
            let hosts = if random.percent(50) {
                [one, other]
            } else {
                [other, one]
            };
            relations.push(Relation { hosts, since: None });
        }
        let outcome = Outcome {
            relations: relations.len(),
            ..Outcome::default()
        };
        Crowd {
            plan,
            sim,
            random,
            relations,
            of,
            networks: vec![0; plan.hosts],
            sought: BTreeSet::new(),
            agenda: BinaryHeap::new(),
            order: 0,
            outcome,
        }
    }

    /// Messages of all hosts.
    fn total(&self) -> u64 {
        self.sim.nodes.iter().map(|node| node.sent).sum()
    }

    fn agreement(&self, relation: &Relation) -> Result<(), String> {
        let [one, other] = relation.hosts;
        self.sim.agreement(one, other)
    }

    fn plan_in(&mut self, span: Duration, task: Task) {
        self.order += 1;
        let entry = (self.sim.now.after(span), self.order, task);
        self.agenda.push(Reverse(entry));
    }

    /// A span between these.
    fn span(&mut self, least: u64, most: u64) -> Duration {
        ms(least + self.random.below(most - least + 1))
    }

    /// All pairs get to know each other.
    fn greet(&mut self) {
        for round in 0..GREETINGS {
            let mut some = false;
            for at in 0..self.relations.len() {
                if self.agreement(&self.relations[at]).is_ok() {
                    continue;
                }
                some = true;
                let [one, other] = self.relations[at].hosts;
                let span = self.span(0, 20_000);
                self.plan_in(span, Task::Open(one, other));
                // Now and then both begin. Later the flow goes on, and any of its packets has the other end ask.
                if round > 0 || self.random.percent(10) {
                    let more = self.span(0, 300);
                    self.plan_in(span.saturating_add(more), Task::Open(other, one));
                }
                self.outcome.greeted_again += usize::from(round > 0);
            }
            if !some {
                break;
            }
            self.work(secs(700));
        }
    }

    /// All hosts move about.
    fn travel(&mut self) {
        for host in 0..self.plan.hosts {
            let most = self.plan.pace.as_millis() * self.plan.moves as u64;
            for _ in 0..self.plan.moves {
                let span = self.span(0, most);
                self.plan_in(span, Task::Move(host));
            }
            for _ in 0..self.plan.restarts {
                let span = self.span(0, most);
                self.plan_in(span, Task::Restart(host));
            }
        }
        let all = self.plan.pace.saturating_mul(self.plan.moves as u64);
        let end = self.sim.now.after(all).after(PATIENCE);
        let open = |crowd: &Crowd| {
            let mut relations = crowd.relations.iter();
            !crowd.agenda.is_empty() || relations.any(|relation| relation.since.is_some())
        };
        while open(self) && self.sim.now < end {
            self.work(secs(5));
        }
        // What is still on the way when all agree must not change that.
        self.work(secs(120));
    }

    /// Lets time pass, and does what is on the agenda.
    fn work(&mut self, span: Duration) {
        let end = self.sim.now.after(span);
        loop {
            let next = self.agenda.peek().map(|Reverse((at, ..))| *at);
            let until = next.map_or(end, |next| next.min(end));
            while self.sim.step(until) {
                self.look();
            }
            if next.is_none_or(|next| next > end) {
                return;
            }
            if let Some(Reverse((.., task))) = self.agenda.pop() {
                self.perform(task);
            }
        }
    }

    /// Which pairs have come to agree?
    fn look(&mut self) {
        let touched = std::mem::take(&mut self.sim.touched);
        for host in touched {
            let mut all = true;
            for at in &self.of[host] {
                let Some((since, event)) = self.relations[*at].since else {
                    continue;
                };
                let relation = &self.relations[*at];
                let [one, other] = relation.hosts;
                if self.agreement(relation).is_err() {
                    all = false;
                    continue;
                }
                let took = self.sim.now.since(since).as_nanos() as f64;
                let there = self.sim.distance(one, other).as_nanos() * 2;
                let round_trip = (there + self.plan.weather.spread.as_nanos()) as f64;
                self.outcome.round_trips.push((event, took / round_trip));
                self.relations[*at].since = None;
            }
            if all {
                self.sought.remove(&host);
            }
            // Its agreement may have been the last that a peer waited for.
            let settled: Vec<usize> = self
                .peers(host)
                .filter(|peer| self.sought.contains(peer))
                .collect();
            for peer in settled {
                let open = |at: &usize| self.relations[*at].since.is_some();
                if !self.of[peer].iter().any(open) {
                    self.sought.remove(&peer);
                }
            }
        }
    }

    fn peers(&self, host: usize) -> impl Iterator<Item = usize> + '_ {
        let hosts = self.of[host].iter().map(|at| self.relations[*at].hosts);
        hosts.map(move |[one, other]| if one == host { other } else { one })
    }

    /// Changes a host's addresses.
    fn change(&mut self, host: usize, lose: &[Addr], gain: &[Addr], event: Event) {
        self.sim.relocate(host, lose, gain);
        for at in &self.of[host] {
            self.relations[*at].since = Some((self.sim.now, event));
        }
        self.sim.touched.insert(host);
        self.look();
    }

    /// Whether a host may give up an address: no peer of it is being looked for.
    fn may_leave(&self, host: usize) -> bool {
        !self.peers(host).any(|peer| self.sought.contains(&peer))
    }

    fn perform(&mut self, task: Task) {
        match task {
            Task::Open(one, other) => {
                let (local, remote) =
                    (self.sim.nodes[one].local[0], self.sim.nodes[other].local[0]);
                self.sim.open(one, local, remote);
            }
            Task::Move(host) => {
                if self.random.percent(50) {
                    self.outcome.soft += 1;
                    let old = self.sim.nodes[host].local.clone();
                    self.perform(Task::Gain(host, Event::Gain));
                    let overlap = self.span(100, 10_000);
                    self.plan_in(overlap, Task::Lose(host, old));
                } else {
                    self.outcome.hard += 1;
                    self.perform(Task::Leave(host));
                }
            }
            Task::Gain(host, event) => {
                let new = self.next_network(host);
                self.change(host, &[], &[new], event);
            }
            Task::Lose(host, _) | Task::Leave(host) if !self.may_leave(host) => {
                let pause = self.span(100, 1_000);
                self.plan_in(pause, task);
            }
            Task::Lose(host, mut old) => {
                let have = &self.sim.nodes[host].local;
                old.retain(|old| have.contains(old));
                // Its other network may have gone in the meantime, and this one come back.
                if !old.is_empty() && old.len() < have.len() {
                    self.sought.insert(host);
                    self.change(host, &old, &[], Event::Lose);
                }
            }
            Task::Restart(host) => {
                self.sim.restart(host);
                self.look();
            }
            Task::Leave(host) => {
                let old = self.sim.nodes[host].local.clone();
                self.sought.insert(host);
                self.change(host, &old, &[], Event::Lose);
                let hole = self.span(0, 5_000);
                self.plan_in(hole, Task::Gain(host, Event::Return));
            }
        }
    }

    /// An address for a host that it does not have: a new one, or, one time in four, a former one.
    fn next_network(&mut self, host: usize) -> Addr {
        let count = self.networks[host] as u64 + 1;
        let former = home(host, self.random.below(count) as usize);
        if self.random.percent(25) && !self.sim.nodes[host].local.contains(&former) {
            return former;
        }
        self.networks[host] += 1;
        home(host, self.networks[host])
    }

    fn end(mut self) -> Outcome {
        self.outcome.sent = self.total() - self.outcome.greetings;
        self.outcome.lost = self.sim.lost - self.outcome.lost;
        self.outcome.lasted = self.sim.now.since(Instant::ZERO);
        self.outcome.spent = self.sim.nodes.iter().map(|node| node.spent).sum();
        for relation in &self.relations {
            if let Err(why) = self.agreement(relation) {
                let [one, other] = relation.hosts;
                self.outcome.apart.push((one, other, why));
            }
        }
        self.outcome
    }
}
