// SPDX-License-Identifier: GPL-2.0
//! Two hosts and a router between them.

use std::cell::RefCell;
use std::rc::Rc;

use ihmp_core::addr::Addr;
use ihmp_core::message::{Control, Message};
use ihmp_core::policy::Prefix;
use ihmp_core::time::Instant;
use ihmp_engine::{KnownKey, Moment, OwnKey, PublicKey, Record, Refusal};
use ihmp_router::{Config, Input, Link, Output, Passing, Router, Verdict};
use ihmp_sim::{addr, ms, own_key, Crossing, Sim, FAIR};

pub(crate) const HOME: &str = "192.0.2.10";
pub(crate) const AWAY: &str = "198.51.100.10";
pub(crate) const THIRD: &str = "198.51.101.10";
pub(crate) const OUT: &str = "203.0.113.77";
pub(crate) const PEER: &str = "203.0.113.10";

/// Devices by prefix, as the router is connected.
pub(crate) const LINKS: [(&str, &str, u32); 4] = [
    ("192.0.2.1", "192.0.2.0/24", 1),
    ("198.51.100.1", "198.51.100.0/24", 2),
    ("198.51.101.1", "198.51.101.0/24", 3),
    ("203.0.113.1", "203.0.113.0/24", 9),
];

pub(crate) fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

pub(crate) fn router_key() -> OwnKey {
    own_key(99)
}

/// A router and what it did.
pub(crate) struct Gate {
    pub(crate) router: Router,
    pub(crate) routes: std::collections::BTreeMap<Addr, Addr>,
    /// No route can be made.
    pub(crate) broken: bool,
    /// It is dead: everything passes.
    pub(crate) dead: bool,
    /// The host is at home, whatever the routes say.
    pub(crate) back: bool,
    pub(crate) next: u32,
    pub(crate) taken: usize,
    pub(crate) passed: Vec<Control>,
}

impl Gate {
    pub(crate) fn new(config: Config) -> Gate {
        let mut gate = Gate {
            router: Router::new(config),
            routes: Default::default(),
            broken: false,
            dead: false,
            back: false,
            next: 0,
            taken: 0,
            passed: vec![],
        };
        let links = LINKS.map(|(own, net, device)| Link {
            own: addr(own),
            prefix: prefix(net),
            device,
        });
        let at = moment(Instant::ZERO);
        gate.router
            .handle(at, Input::Key(Box::new(router_key()), 0));
        gate.router.handle(at, Input::Links(links.to_vec()));
        assert_eq!(gate.router.poll(), None);
        gate
    }

    /// What it does with a datagram that comes by a device.
    pub(crate) fn cross(
        &mut self,
        now: Instant,
        device: u32,
        from: Addr,
        to: Addr,
        bytes: &[u8],
    ) -> Crossing {
        let mut crossing = Crossing {
            routes: self.routes.clone(),
            ..Crossing::default()
        };
        if self.dead {
            return crossing;
        }
        if self.router.next_timeout().is_some_and(|at| at <= now) {
            self.tell(now, Input::Timer, &mut crossing);
        }
        self.next += 1;
        let id = self.next;
        let passing = Passing {
            id,
            device,
            translated: false,
            from,
            to,
            bytes,
        };
        let verdicts = self.tell(now, Input::Passing(passing), &mut crossing);
        // Each datagram gets one verdict.
        assert_eq!(verdicts.len(), 1);
        assert_eq!(verdicts[0].0, id);
        crossing.taken = verdicts[0].1 == Verdict::Take;
        if crossing.taken {
            self.taken += 1;
        } else if let Ok(message) = Message::parse(bytes) {
            self.passed.push(message.control);
        }
        self.routes = crossing.routes.clone();
        crossing
    }

    pub(crate) fn tell(
        &mut self,
        now: Instant,
        input: Input<'_>,
        crossing: &mut Crossing,
    ) -> Vec<(u32, Verdict)> {
        let mut verdicts = vec![];
        self.router.handle(moment(now), input);
        while let Some(output) = self.router.poll() {
            match output {
                Output::Verdict { id, verdict } => verdicts.push((id, verdict)),
                Output::Send { from, to, bytes } => crossing.sent.push((from, to, bytes)),
                Output::Install(route) => {
                    if !self.broken {
                        crossing.routes.insert(route.to, route.via);
                    }
                    let done = Input::Installed(!self.broken);
                    self.router.handle(moment(now), done);
                }
                Output::Remove(old) => {
                    crossing.routes.remove(&old).unwrap();
                }
                Output::Keep(_) => (),
                Output::Listen(_) | Output::Look(_) => panic!("it is no NAT"),
                Output::Note(note) => {
                    if std::env::var_os("TRACE").is_some() {
                        println!("{:>12} us router: {note}", now.as_nanos() / 1000);
                    }
                }
            }
        }
        verdicts
    }
}

pub(crate) fn moment(now: Instant) -> Moment {
    Moment {
        now,
        wall: 1_900_000_000_000_000_000 + now.as_nanos(),
        random: now.as_nanos().wrapping_mul(0x9e37_79b9_7f4a_7c15),
    }
}

pub(crate) fn config() -> Config {
    Config {
        inside: vec![prefix("192.0.2.0/24"), prefix("198.51.0.0/16")],
        ..Config::default()
    }
}

pub(crate) fn device_of(of: Addr) -> u32 {
    let link = LINKS.iter().find(|(_, net, _)| prefix(net).contains(of));
    link.map_or(9, |(_, _, device)| *device)
}

/// Node 0 moves, node 1 is its peer; the gate is between them. Node 0 believes the router if `trusted`.
pub(crate) fn world(config: Config, trusted: bool) -> (Sim, Rc<RefCell<Gate>>) {
    let mut sim = Sim::new(7, FAIR);
    sim.add(&[HOME]);
    sim.add(&[PEER]);
    let gate = Rc::new(RefCell::new(Gate::new(config)));
    let crossed = gate.clone();
    sim.gateway = Some(Box::new(move |now, from, to, bytes| {
        let mut gate = crossed.borrow_mut();
        // Who is away speaks from where it is.
        let away = gate.routes.get(&from).filter(|_| !gate.back);
        let at = away.copied().unwrap_or(from);
        gate.cross(now, device_of(at), from, to, bytes)
    }));
    if trusted {
        trust(&mut sim, router_key().public());
    }
    (sim, gate)
}

pub(crate) fn trust(sim: &mut Sim, key: PublicKey) {
    let known = KnownKey {
        pinned: true,
        router: true,
        scope: vec![prefix("192.0.2.0/24"), prefix("198.51.0.0/16")],
        ..KnownKey::default()
    };
    sim.nodes[0].store.known.insert(key, known);
    sim.rekey(0);
}

/// They know each other.
pub(crate) fn acquainted(config: Config) -> (Sim, Rc<RefCell<Gate>>) {
    let (mut sim, gate) = world(config, true);
    sim.flow(0, HOME, PEER);
    sim.run(ms(500));
    sim.agree(0, 1);
    sim.sent();
    sim.wire.clear();
    gate.borrow_mut().passed.clear();
    (sim, gate)
}

/// What reached the peer.
pub(crate) fn heard_by_peer(gate: &Rc<RefCell<Gate>>) -> Vec<Control> {
    std::mem::take(&mut gate.borrow_mut().passed)
}

/// The only entry of a node.
pub(crate) fn record(sim: &Sim, at: usize) -> &Record {
    let rows = &sim.nodes[at].kernel.rows;
    assert_eq!(rows.len(), 1);
    &rows.values().next().unwrap().record
}

/// The addresses that the peer has of node 0.
pub(crate) fn active(sim: &Sim) -> Vec<Addr> {
    record(sim, 1).active.clone()
}

/// The own addresses that node 0 uses towards the peer.
pub(crate) fn used(sim: &Sim) -> Vec<Addr> {
    let local = &record(sim, 0).local;
    local.iter().map(|local| local.addr).collect()
}

pub(crate) fn refused(sim: &Sim, reason: Refusal) -> u64 {
    let engine = sim.nodes[0].engine.as_ref().unwrap();
    engine.refusals().get(reason.name()).copied().unwrap_or(0)
}

/// The peer knows the host at this address only, and the host uses no other.
#[track_caller]
pub(crate) fn is_at(sim: &Sim, at: &str) {
    assert_eq!((active(sim), used(sim)), (vec![addr(at)], vec![addr(at)]));
}

/// Node 0 is away, and the peer has not heard of it.
pub(crate) fn is_covered(sim: &Sim, gate: &Rc<RefCell<Gate>>, at: &str) {
    assert_eq!(active(sim), [addr(HOME)]);
    assert_eq!(used(sim), [addr(HOME)]);
    assert!(sim.nodes[0].held.contains(&addr(HOME)));
    let routes = &gate.borrow().routes;
    assert_eq!(routes.get(&addr(HOME)), Some(&addr(at)));
}

pub(crate) fn is_held(sim: &Sim, gate: &Rc<RefCell<Gate>>) {
    assert!(active(sim).contains(&addr(HOME)) && used(sim).contains(&addr(HOME)));
    assert_eq!(gate.borrow().routes.get(&addr(HOME)), Some(&addr(AWAY)));
}

/// How often the router let something pass for this reason.
pub(crate) fn passed(gate: &Gate, reason: &str) -> u64 {
    gate.router.passed().get(reason).copied().unwrap_or(0)
}
