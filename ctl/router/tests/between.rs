// SPDX-License-Identifier: GPL-2.0
//! Two hosts and a router between them: moves within its network that the peer does not hear of, and what happens when the
//! router does not do, or never did, what it said.

use std::cell::RefCell;
use std::rc::Rc;

use ihmp_core::addr::Addr;
use ihmp_core::grant::Grant;
use ihmp_core::message::{Control, Message, Options};
use ihmp_core::policy::Prefix;
use ihmp_core::time::Instant;
use ihmp_engine::{KnownKey, Moment, Note, OwnKey, PublicKey, Record, Refusal, Traffic};
use ihmp_router::{Config, Input, Link, Output, Passing, Router, Verdict};
use ihmp_sim::{addr, ms, own_key, secs, Crossing, Sim, BUSY, FAIR};

const HOME: &str = "192.0.2.10";
const AWAY: &str = "198.51.100.10";
const THIRD: &str = "198.51.101.10";
const OUT: &str = "203.0.113.77";
const PEER: &str = "203.0.113.10";

/// Devices by prefix, as the router is connected.
const LINKS: [(&str, &str, u32); 4] = [
    ("192.0.2.1", "192.0.2.0/24", 1),
    ("198.51.100.1", "198.51.100.0/24", 2),
    ("198.51.101.1", "198.51.101.0/24", 3),
    ("203.0.113.1", "203.0.113.0/24", 9),
];

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn router_key() -> OwnKey {
    own_key(99)
}

/// A router and what it did.
struct Gate {
    router: Router,
    routes: std::collections::BTreeMap<Addr, Addr>,
    /// No route can be made.
    broken: bool,
    /// It is dead: everything passes.
    dead: bool,
    /// The host is at home, whatever the routes say.
    back: bool,
    next: u32,
    taken: usize,
    passed: Vec<Control>,
}

impl Gate {
    fn new(config: Config) -> Gate {
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
    fn cross(&mut self, now: Instant, device: u32, from: Addr, to: Addr, bytes: &[u8]) -> Crossing {
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

    fn tell(
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

fn moment(now: Instant) -> Moment {
    Moment {
        now,
        wall: 1_900_000_000_000_000_000 + now.as_nanos(),
        random: now.as_nanos().wrapping_mul(0x9e37_79b9_7f4a_7c15),
    }
}

fn config() -> Config {
    Config {
        inside: vec![prefix("192.0.2.0/24"), prefix("198.51.0.0/16")],
        ..Config::default()
    }
}

fn device_of(of: Addr) -> u32 {
    let link = LINKS.iter().find(|(_, net, _)| prefix(net).contains(of));
    link.map_or(9, |(_, _, device)| *device)
}

/// Node 0 moves, node 1 is its peer; the gate is between them. Node 0 believes the router if `trusted`.
fn world(config: Config, trusted: bool) -> (Sim, Rc<RefCell<Gate>>) {
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

fn trust(sim: &mut Sim, key: PublicKey) {
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
fn acquainted(config: Config) -> (Sim, Rc<RefCell<Gate>>) {
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
fn heard_by_peer(gate: &Rc<RefCell<Gate>>) -> Vec<Control> {
    std::mem::take(&mut gate.borrow_mut().passed)
}

/// The only entry of a node.
fn record(sim: &Sim, at: usize) -> &Record {
    let rows = &sim.nodes[at].kernel.rows;
    assert_eq!(rows.len(), 1);
    &rows.values().next().unwrap().record
}

/// The addresses that the peer has of node 0.
fn active(sim: &Sim) -> Vec<Addr> {
    record(sim, 1).active.clone()
}

/// The own addresses that node 0 uses towards the peer.
fn used(sim: &Sim) -> Vec<Addr> {
    let local = &record(sim, 0).local;
    local.iter().map(|local| local.addr).collect()
}

fn refused(sim: &Sim, reason: Refusal) -> u64 {
    let engine = sim.nodes[0].engine.as_ref().unwrap();
    engine.refusals().get(reason.name()).copied().unwrap_or(0)
}

/// Node 0 is away, and the peer has not heard of it.
fn is_covered(sim: &Sim, gate: &Rc<RefCell<Gate>>, at: &str) {
    assert_eq!(active(sim), [addr(HOME)]);
    assert_eq!(used(sim), [addr(HOME)]);
    assert!(sim.nodes[0].held.contains(&addr(HOME)));
    let routes = &gate.borrow().routes;
    assert_eq!(routes.get(&addr(HOME)), Some(&addr(at)));
}

#[test]
fn hard_move_is_answered_by_the_router() {
    let (mut sim, gate) = acquainted(config());
    sim.change(0, &[HOME], &[AWAY]);
    sim.run(ms(1));
    is_covered(&sim, &gate, AWAY);
    assert_eq!(sim.sent(), [Control::Handoff]);
    sim.run(secs(60));
    assert_eq!(heard_by_peer(&gate), []);
    // From there to a third network: the message names what the peer knows.
    sim.change(0, &[AWAY], &[THIRD]);
    sim.run(secs(60));
    is_covered(&sim, &gate, THIRD);
    assert_eq!(sim.sent(), [Control::Handoff]);
    assert_eq!(heard_by_peer(&gate), []);
    // And home: all is as it was.
    gate.borrow_mut().back = true;
    sim.change(0, &[THIRD], &[HOME]);
    sim.run(secs(60));
    assert!(gate.borrow().routes.is_empty());
    assert!(sim.nodes[0].held.is_empty());
    assert_eq!(
        (active(&sim), used(&sim)),
        (vec![addr(HOME)], vec![addr(HOME)])
    );
    sim.agree(0, 1);
}

#[test]
fn soft_move_is_answered_by_the_router() {
    let (mut sim, gate) = acquainted(config());
    sim.change(0, &[], &[AWAY]);
    sim.run(secs(5));
    is_covered(&sim, &gate, AWAY);
    sim.change(0, &[HOME], &[]);
    sim.run(secs(60));
    is_covered(&sim, &gate, AWAY);
    assert_eq!(sim.sent(), [Control::AddrUp]);
    assert_eq!(heard_by_peer(&gate), []);
}

#[test]
fn who_leaves_the_network_names_the_old_address() {
    let (mut sim, gate) = acquainted(config());
    sim.change(0, &[HOME], &[AWAY]);
    sim.run(secs(5));
    sim.wire.clear();
    sim.change(0, &[AWAY], &[OUT]);
    sim.run(secs(5));
    let handoff = sim
        .wire
        .iter()
        .find(|(from, ..)| *from == addr(OUT))
        .unwrap();
    let message = Message::parse(&handoff.2).unwrap();
    assert_eq!(message.control, Control::Handoff);
    assert_eq!(
        message.addresses.as_slice()[..3],
        [addr(OUT), addr(OUT), addr(HOME)]
    );
    assert_eq!(message.host, addr(HOME));
    assert_eq!(active(&sim), [addr(OUT)]);
    assert!(sim.nodes[0].held.is_empty());
    sim.agree(0, 1);
    let _ = heard_by_peer(&gate);
}

#[test]
fn who_keeps_an_outside_address_says_address_down_of_the_old_one() {
    let (mut sim, gate) = acquainted(config());
    sim.change(0, &[], &[OUT]);
    sim.run(secs(5));
    sim.change(0, &[HOME], &[AWAY]);
    sim.run(secs(5));
    is_held(&sim, &gate);
    sim.wire.clear();
    sim.change(0, &[AWAY], &[]);
    sim.run(secs(5));
    let down = sim
        .wire
        .iter()
        .find(|(from, ..)| *from == addr(OUT))
        .unwrap();
    let message = Message::parse(&down.2).unwrap();
    assert_eq!(message.control, Control::AddrDown);
    assert_eq!(message.addresses.as_slice()[..2], [addr(OUT), addr(HOME)]);
    assert_eq!(active(&sim), [addr(OUT)]);
    sim.agree(0, 1);
}

fn is_held(sim: &Sim, gate: &Rc<RefCell<Gate>>) {
    assert!(active(sim).contains(&addr(HOME)) && used(sim).contains(&addr(HOME)));
    assert_eq!(gate.borrow().routes.get(&addr(HOME)), Some(&addr(AWAY)));
}

#[test]
fn grants_are_renewed() {
    let (mut sim, gate) = acquainted(Config {
        lifetime: 20,
        ..config()
    });
    sim.change(0, &[HOME], &[AWAY]);
    sim.run(secs(300));
    is_covered(&sim, &gate, AWAY);
    assert_eq!(heard_by_peer(&gate), []);
    let renewed = gate.borrow().taken;
    assert!((20..=31).contains(&renewed), "{renewed}");
}

#[test]
fn rejected_moves_go_to_the_peer() {
    let (mut sim, gate) = acquainted(Config {
        reject: vec![prefix("198.51.100.0/24")],
        ..config()
    });
    sim.change(0, &[HOME], &[AWAY]);
    sim.run(ms(1));
    let declined = |note: &Note| matches!(note, Note::RouterDeclined { .. });
    assert!(sim.nodes[0].notes.iter().any(declined));
    // What is sent now follows the message.
    assert_eq!(used(&sim), [addr(AWAY)]);
    sim.run(secs(5));
    assert_eq!(heard_by_peer(&gate), [Control::Handoff, Control::Ack]);
    assert_eq!(active(&sim), [addr(AWAY)]);
    assert!(gate.borrow().routes.is_empty() && sim.nodes[0].held.is_empty());
    sim.agree(0, 1);
}

#[test]
fn without_a_route_the_peer_is_told() {
    for limit in [false, true] {
        let (mut sim, gate) = acquainted(Config {
            max_routes: if limit { 0 } else { 10 },
            ..config()
        });
        gate.borrow_mut().broken = true;
        sim.change(0, &[HOME], &[AWAY]);
        sim.run(secs(5));
        assert_eq!(active(&sim), [addr(AWAY)]);
        assert!(gate.borrow().routes.is_empty() && sim.nodes[0].held.is_empty());
        let passed = gate.borrow().router.passed().clone();
        let reason = if limit { "route-limit" } else { "route-failed" };
        assert_eq!(passed.get(reason), Some(&1), "{passed:?}");
        sim.agree(0, 1);
    }
}

#[test]
fn without_a_router_nothing_is_different() {
    let (mut sim, gate) = acquainted(config());
    gate.borrow_mut().dead = true;
    sim.change(0, &[HOME], &[AWAY]);
    // Nothing leaves from the new address before the peer has answered: a router might have.
    sim.run(ms(20));
    assert_eq!(used(&sim), []);
    sim.run(secs(5));
    assert_eq!(
        (active(&sim), used(&sim)),
        (vec![addr(AWAY)], vec![addr(AWAY)])
    );
    assert_eq!(sim.sent(), [Control::Handoff, Control::Ack]);
    sim.agree(0, 1);
}

#[test]
fn a_router_that_dies_is_not_renewed() {
    let (mut sim, gate) = acquainted(Config {
        lifetime: 20,
        ..config()
    });
    sim.change(0, &[HOME], &[AWAY]);
    sim.run(secs(5));
    is_covered(&sim, &gate, AWAY);
    gate.borrow_mut().dead = true;
    sim.run(secs(30));
    assert_eq!(
        (active(&sim), used(&sim)),
        (vec![addr(AWAY)], vec![addr(AWAY)])
    );
    assert!(sim.nodes[0].held.is_empty());
    sim.agree(0, 1);
}

#[test]
fn a_router_that_does_not_deliver_is_found_out() {
    let (mut sim, gate) = acquainted(config());
    sim.change(0, &[HOME], &[AWAY]);
    sim.run(secs(100));
    is_covered(&sim, &gate, AWAY);
    // Somebody takes its routes away; the host sends, and nothing comes.
    gate.borrow_mut().dead = true;
    gate.borrow_mut().routes.clear();
    for count in 1..400 {
        let traffic = Traffic {
            flows: 1,
            sent: count,
            received: 5,
            ..BUSY
        };
        let id = *sim.nodes[0].kernel.rows.keys().next().unwrap();
        sim.nodes[0].kernel.traffic.insert(id, traffic);
        sim.run(ms(50));
    }
    let told = |note: &Note| {
        matches!(
            note,
            Note::EndToEnd {
                reason: "silent",
                ..
            }
        )
    };
    assert!(sim.nodes[0].notes.iter().any(told));
    assert_eq!(
        (active(&sim), used(&sim)),
        (vec![addr(AWAY)], vec![addr(AWAY)])
    );
    sim.agree(0, 1);
}

#[test]
fn a_grant_is_believed_of_a_listed_key_only() {
    // The host lists another one: what this one says is nothing, and what is sent again it lets pass.
    let (mut sim, gate) = world(config(), false);
    sim.flow(0, HOME, PEER);
    sim.run(ms(500));
    trust(&mut sim, own_key(55).public());
    sim.change(0, &[HOME], &[AWAY]);
    sim.run(ms(1));
    assert_eq!(refused(&sim, Refusal::UnknownKey), 1);
    assert!(sim.nodes[0].held.is_empty());
    sim.run(secs(1));
    assert_eq!(
        sim.sent()
            .iter()
            .filter(|control| **control == Control::Handoff)
            .count(),
        2
    );
    assert_eq!(
        (active(&sim), used(&sim)),
        (vec![addr(AWAY)], vec![addr(AWAY)])
    );
    sim.agree(0, 1);
    assert!(gate.borrow().routes.is_empty());
    // The next time it is not kept waiting.
    sim.change(0, &[AWAY], &[THIRD]);
    sim.run(secs(5));
    assert_eq!(sim.sent(), [Control::Handoff, Control::Ack]);
    assert_eq!(passed(&gate.borrow(), "not-heard"), 2);
    sim.agree(0, 1);
}

#[test]
fn both_may_answer() {
    let (mut sim, gate) = acquainted(config());
    gate.borrow_mut().dead = true;
    sim.change(0, &[HOME], &[AWAY]);
    // The request is on its way to the peer; the router's answer is early.
    sim.run(ms(1));
    let bytes = forged(
        &sim,
        Some(&router_key()),
        1_900_000_000_000_000_000,
        |_, _, _| (),
    );
    sim.inject(0, addr("198.51.100.1"), addr(AWAY), &bytes);
    assert_eq!(used(&sim), [addr(HOME)]);
    sim.run(secs(5));
    assert_eq!(
        (active(&sim), used(&sim)),
        (vec![addr(AWAY)], vec![addr(AWAY)])
    );
    assert!(sim.nodes[0].held.is_empty());
    sim.agree(0, 1);
}

/// A ROUTER_ACK for the last request of node 0, changed by `change`, signed by `key` for an echo.
fn forged(
    sim: &Sim,
    key: Option<&OwnKey>,
    stamp: u64,
    change: impl Fn(&mut Grant, &mut u16, &mut u64),
) -> Vec<u8> {
    let (from, to, bytes) = sim
        .wire
        .iter()
        .rfind(|(from, ..)| *from == addr(AWAY))
        .unwrap();
    let request = Message::parse(bytes).unwrap();
    let mut echo = request.signature.unwrap().ed25519().unwrap().timestamp;
    let mut seqno = request.seqno;
    let mut grant = Grant {
        router: addr("198.51.100.1"),
        new: *from,
        old: addr(HOME),
        peer: *to,
        lifetime: 300,
    };
    change(&mut grant, &mut seqno, &mut echo);
    let message = Message {
        control: Control::RouterAck,
        options: Options::NONE,
        seqno,
        signature: None,
        host: grant.router,
        addresses: grant.addresses(),
    };
    match key {
        Some(key) => key.seal(&message, addr(AWAY), stamp, echo),
        None => message.emit(&mut [0; 512]).unwrap().to_vec(),
    }
}

#[test]
fn forged_grants_change_nothing() {
    let (mut sim, gate) = acquainted(config());
    gate.borrow_mut().dead = true;
    sim.change(0, &[HOME], &[AWAY]);
    sim.run(ms(1));
    let (key, other) = (router_key(), own_key(1));
    let at = 1_900_000_000_000_000_000;
    type Change = fn(&mut Grant, &mut u16, &mut u64);
    let same: Change = |_, _, _| ();
    let cases: [(Option<&OwnKey>, Change, Refusal); 9] = [
        (None, same, Refusal::Unsigned),
        (Some(&other), same, Refusal::UnknownKey),
        (
            Some(&key),
            |_, seqno, _| *seqno = seqno.wrapping_add(1),
            Refusal::UnexpectedAck,
        ),
        (
            Some(&key),
            |_, seqno, _| *seqno = seqno.wrapping_sub(1),
            Refusal::LateAck,
        ),
        (Some(&key), |_, _, echo| *echo += 1, Refusal::BadSignature),
        (
            Some(&key),
            |grant, _, _| grant.peer = addr("203.0.113.11"),
            Refusal::UnexpectedAck,
        ),
        (
            Some(&key),
            |grant, _, _| grant.old = addr("203.0.113.12"),
            Refusal::ReservedAddress,
        ),
        (
            Some(&key),
            |grant, _, _| grant.old = addr("192.0.2.11"),
            Refusal::Payload,
        ),
        (
            Some(&key),
            |grant, _, _| grant.new = addr(THIRD),
            Refusal::Payload,
        ),
    ];
    let row = format!("{:?}", record(&sim, 0));
    for (number, (key, change, reason)) in (1..).zip(cases) {
        let before = refused(&sim, reason);
        let bytes = forged(&sim, key, at + number, change);
        sim.inject(0, addr("198.51.100.1"), addr(AWAY), &bytes);
        assert_eq!(refused(&sim, reason), before + 1, "{number}: {reason:?}");
        assert_eq!(format!("{:?}", record(&sim, 0)), row, "{number}");
        assert!(sim.nodes[0].held.is_empty());
    }
    // From elsewhere than it says.
    let bytes = forged(&sim, Some(&key), at + 20, same);
    sim.inject(0, addr("198.51.100.2"), addr(AWAY), &bytes);
    assert_eq!(refused(&sim, Refusal::NatDetected), 1);
    // The right one counts, and once.
    let bytes = forged(&sim, Some(&key), at + 21, same);
    sim.inject(0, addr("198.51.100.1"), addr(AWAY), &bytes);
    assert!(sim.nodes[0].held.contains(&addr(HOME)));
    sim.inject(0, addr("198.51.100.1"), addr(AWAY), &bytes);
    assert_eq!(refused(&sim, Refusal::Replayed), 1);
}

#[test]
fn a_router_speaks_for_no_host() {
    let (mut sim, _) = acquainted(config());
    let hello = Message {
        control: Control::Hello,
        options: Options::NONE,
        seqno: 1,
        signature: None,
        host: addr("198.51.100.1"),
        addresses: ihmp_core::message::Addresses::of(&[addr("198.51.100.1")]).unwrap(),
    };
    let bytes = router_key().seal(&hello, addr(HOME), u64::MAX / 2, 0);
    sim.inject(0, addr("198.51.100.1"), addr(HOME), &bytes);
    assert_eq!(refused(&sim, Refusal::WrongKey), 1);
}

#[test]
fn an_agent_that_restarts_tells_the_peer() {
    let (mut sim, gate) = acquainted(config());
    sim.change(0, &[HOME], &[AWAY]);
    sim.run(secs(5));
    is_covered(&sim, &gate, AWAY);
    sim.restart(0);
    sim.run(secs(10));
    assert_eq!(
        (active(&sim), used(&sim)),
        (vec![addr(AWAY)], vec![addr(AWAY)])
    );
    sim.agree(0, 1);
}

#[test]
fn a_key_that_is_removed_ends_it() {
    let (mut sim, gate) = acquainted(config());
    sim.change(0, &[HOME], &[AWAY]);
    sim.run(secs(5));
    is_covered(&sim, &gate, AWAY);
    sim.nodes[0].store.known.remove(&router_key().public());
    sim.rekey(0);
    sim.network(0);
    sim.run(secs(10));
    assert_eq!(
        (active(&sim), used(&sim)),
        (vec![addr(AWAY)], vec![addr(AWAY)])
    );
    sim.agree(0, 1);
}

// --- what the router believes

/// A message of the host with this key.
fn says(key: &OwnKey, control: Control, list: &[&str], stamp: u64) -> Vec<u8> {
    let list: Vec<Addr> = list.iter().map(|text| addr(text)).collect();
    let message = Message {
        control,
        options: Options::NONE,
        seqno: 5,
        signature: None,
        host: addr(HOME),
        addresses: ihmp_core::message::Addresses::of(&list).unwrap(),
    };
    key.seal(&message, addr(PEER), stamp, 0)
}

/// Whether it is taken.
fn crosses(gate: &mut Gate, device: u32, from: &str, bytes: &[u8]) -> bool {
    let (from, to) = (addr(from), addr(PEER));
    gate.cross(Instant::from_nanos(1), device, from, to, bytes)
        .taken
}

fn passed(gate: &Gate, reason: &str) -> u64 {
    gate.router.passed().get(reason).copied().unwrap_or(0)
}

#[test]
fn a_move_is_believed_of_who_was_heard_at_home() {
    let (key, thief) = (own_key(1), own_key(2));
    let mut gate = Gate::new(config());
    let handoff = [AWAY, AWAY, HOME];
    // Nobody was heard there.
    assert!(!crosses(
        &mut gate,
        2,
        AWAY,
        &says(&key, Control::Handoff, &handoff, 10)
    ));
    assert_eq!(passed(&gate, "unbound"), 1);
    // Who is elsewhere cannot say that it is there.
    assert!(!crosses(
        &mut gate,
        2,
        HOME,
        &says(&thief, Control::Hello, &[HOME], 20)
    ));
    assert!(!crosses(
        &mut gate,
        9,
        HOME,
        &says(&thief, Control::Hello, &[HOME], 21)
    ));
    assert_eq!(passed(&gate, "wrong-device"), 2);
    assert!(!crosses(
        &mut gate,
        1,
        HOME,
        &says(&key, Control::Hello, &[HOME], 30)
    ));
    // Nobody else moves it.
    assert!(!crosses(
        &mut gate,
        2,
        AWAY,
        &says(&thief, Control::Handoff, &handoff, 40)
    ));
    assert_eq!(passed(&gate, "other-key"), 1);
    // Nor its own message of before, nor one that was changed.
    assert!(!crosses(
        &mut gate,
        2,
        AWAY,
        &says(&key, Control::Handoff, &handoff, 30)
    ));
    assert_eq!(passed(&gate, "replayed"), 1);
    let mut changed = says(&key, Control::Handoff, &handoff, 50);
    changed[3] ^= 1;
    assert!(!crosses(&mut gate, 2, AWAY, &changed));
    assert_eq!(passed(&gate, "bad-signature"), 1);
    assert!(gate.routes.is_empty());
    let good = says(&key, Control::Handoff, &handoff, 60);
    assert!(crosses(&mut gate, 2, AWAY, &good));
    assert_eq!(gate.routes.get(&addr(HOME)), Some(&addr(AWAY)));
    assert!(!crosses(&mut gate, 2, AWAY, &good));
    assert_eq!(passed(&gate, "replayed"), 2);
    // Whoever gets the address at home meanwhile is not heard; the host itself is, and has its route back.
    assert!(!crosses(
        &mut gate,
        1,
        HOME,
        &says(&thief, Control::Hello, &[HOME], 70)
    ));
    assert_eq!(passed(&gate, "other-key"), 2);
    assert!(!crosses(
        &mut gate,
        1,
        HOME,
        &says(&key, Control::Hello, &[HOME], 80)
    ));
    assert!(gate.routes.is_empty());
    // Then it may be another's.
    assert!(!crosses(
        &mut gate,
        1,
        HOME,
        &says(&thief, Control::Hello, &[HOME], 90)
    ));
    assert!(!crosses(
        &mut gate,
        2,
        AWAY,
        &says(&key, Control::Handoff, &handoff, 100)
    ));
    assert_eq!(passed(&gate, "other-key"), 3);
}

#[test]
fn routes_end_with_address_down_lifetime_and_link() {
    let key = own_key(1);
    for end in 0..4 {
        let mut gate = Gate::new(config());
        assert!(!crosses(
            &mut gate,
            1,
            HOME,
            &says(&key, Control::Hello, &[HOME], 1)
        ));
        let up = says(&key, Control::AddrUp, &[AWAY, AWAY, HOME], 2);
        assert!(crosses(&mut gate, 2, AWAY, &up));
        assert_eq!(gate.routes.len(), 1);
        let mut crossing = Crossing {
            routes: gate.routes.clone(),
            ..Crossing::default()
        };
        match end {
            // The peer has been told, or the next hop is gone.
            0 => drop(crosses(
                &mut gate,
                2,
                AWAY,
                &says(&key, Control::AddrDown, &[AWAY, HOME], 3),
            )),
            1 => drop(crosses(
                &mut gate,
                1,
                HOME,
                &says(&key, Control::AddrDown, &[HOME, AWAY], 3),
            )),
            2 => {
                let at = gate.router.next_timeout().unwrap();
                assert_eq!(at.since(Instant::from_nanos(1)).as_secs(), 305);
                gate.tell(at, Input::Timer, &mut crossing);
                gate.routes = crossing.routes;
            }
            _ => {
                gate.tell(Instant::from_nanos(2), Input::Links(vec![]), &mut crossing);
                gate.routes = crossing.routes;
            }
        }
        assert!(gate.routes.is_empty(), "{end}");
        assert_eq!(gate.router.next_timeout(), None);
    }
}

#[test]
fn what_is_not_the_routers_business() {
    let key = own_key(1);
    let mut gate = Gate::new(config());
    assert!(!crosses(
        &mut gate,
        1,
        HOME,
        &says(&key, Control::Hello, &[HOME], 1)
    ));
    // A peer on the link of the old address does not ask the router for it.
    let message = Message {
        control: Control::Handoff,
        options: Options::NONE,
        seqno: 5,
        signature: None,
        host: addr(HOME),
        addresses: ihmp_core::message::Addresses::of(&[addr(AWAY), addr(AWAY), addr(HOME)])
            .unwrap(),
    };
    let neighbour = addr("192.0.2.99");
    let bytes = key.seal(&message, neighbour, 2, 0);
    let now = Instant::from_nanos(1);
    assert!(!gate.cross(now, 2, addr(AWAY), neighbour, &bytes).taken);
    assert_eq!(passed(&gate, "on-link"), 1);
    // Moves out of the network, and into it.
    assert!(!crosses(
        &mut gate,
        9,
        OUT,
        &says(&key, Control::Handoff, &[OUT, OUT, HOME], 3)
    ));
    assert!(!crosses(
        &mut gate,
        2,
        AWAY,
        &says(&key, Control::Handoff, &[AWAY, AWAY, OUT], 4)
    ));
    // No message, and none that is signed.
    assert!(!crosses(&mut gate, 2, AWAY, b"no message"));
    assert!(!crosses(&mut gate, 2, AWAY, &[0; 36]));
    assert_eq!(
        (passed(&gate, "unknown-control"), passed(&gate, "unsigned")),
        (1, 1)
    );
    assert!(gate.routes.is_empty());
    assert_eq!(gate.router.sizes(), [2, 0]);
}

#[test]
fn a_host_that_only_answers_is_known_by_its_answers() {
    let (mut sim, gate) = world(config(), true);
    // The peer greets, the host answers.
    sim.flow(1, PEER, HOME);
    sim.run(ms(500));
    sim.agree(0, 1);
    gate.borrow_mut().passed.clear();
    sim.change(0, &[HOME], &[AWAY]);
    sim.run(secs(5));
    is_covered(&sim, &gate, AWAY);
    assert_eq!(heard_by_peer(&gate), []);
}

#[test]
fn tables_are_bounded() {
    let mut gate = Gate::new(Config {
        max_bound: 10,
        max_routes: 3,
        ..config()
    });
    for number in 1..=40 {
        let home = format!("192.0.2.{number}");
        let key = own_key(number);
        assert!(!crosses(
            &mut gate,
            1,
            &home,
            &says(&key, Control::Hello, &[&home], 1)
        ));
        let away = format!("198.51.100.{number}");
        let handoff = says(&key, Control::Handoff, &[&away, &away, &home], 2);
        assert_eq!(
            crosses(&mut gate, 2, &away, &handoff),
            number <= 3,
            "{number}"
        );
    }
    assert_eq!(gate.router.sizes(), [10, 3]);
    assert_eq!(passed(&gate, "route-limit"), 37);
}
