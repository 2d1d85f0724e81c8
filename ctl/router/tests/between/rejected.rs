// SPDX-License-Identifier: GPL-2.0
//! Moves that the router rejects: the peer does not hear of them, and the host does not use the new address.

use std::cell::RefCell;
use std::rc::Rc;

use ihmp_core::addr::Addr;
use ihmp_core::message::Control::{self, *};
use ihmp_core::message::{Addresses, Message, Options};
use ihmp_engine::{Note, OwnKey};
use ihmp_router::Config;
use ihmp_sim::{addr, ms, own_key, secs, Sim};

use crate::bench::*;

/// Nobody is to move from or to the network that `AWAY` is in.
fn closed() -> Config {
    Config {
        reject: vec![prefix("198.51.100.0/24")],
        ..config()
    }
}

/// How often node 0 heard that a move is rejected.
fn rejections(sim: &Sim) -> usize {
    sim.noted(0, |note| matches!(note, Note::RouterRejected { .. }))
}

/// The kinds of messages from an own address of node 0 since `sim.wire` was cleared.
fn said_from(sim: &Sim, from: &str) -> Vec<Control> {
    let there = sim.wire.iter().filter(|(source, ..)| *source == addr(from));
    let kinds = there.map(|(.., bytes)| Message::parse(bytes).unwrap().control);
    kinds.collect()
}

/// The peer knows the host at its old address only, and the host uses it only if it `has` it.
fn stays(sim: &Sim, gate: &Rc<RefCell<Gate>>, has: bool) {
    assert_eq!(active(sim), [addr(HOME)]);
    let expected = if has { vec![addr(HOME)] } else { vec![] };
    assert_eq!(used(sim), expected);
    assert!(gate.borrow().routes.is_empty() && sim.nodes[0].held.is_empty());
}

#[test]
fn a_soft_move_is_rejected_and_the_peer_is_told_from_the_old_address() {
    // The same without the wish goes through: the router answers it, or the peer does.
    let (mut sim, gate) = acquainted(config());
    sim.change(0, &[], &[AWAY]);
    sim.run(secs(5));
    is_covered(&sim, &gate, AWAY);
    let (mut sim, gate) = acquainted(Config {
        decline: vec![prefix("198.51.100.0/24")],
        ..config()
    });
    sim.change(0, &[], &[AWAY]);
    sim.run(secs(5));
    assert_eq!(heard_by_peer(&gate), [AddrUp, Ack]);
    assert!(active(&sim).contains(&addr(AWAY)));

    let (mut sim, gate) = acquainted(closed());
    sim.change(0, &[], &[AWAY]);
    // The router answers at once, and the report does not wait for a time-out.
    sim.run(ms(1));
    assert_eq!(rejections(&sim), 1);
    assert_eq!(sim.sent(), [AddrUp, AddrUpUnreachable]);
    sim.run(secs(5));
    assert_eq!(sim.sent(), [Ack]);
    assert_eq!(heard_by_peer(&gate), [AddrUpUnreachable, Ack]);
    stays(&sim, &gate, true);
    assert_eq!(record(&sim, 1).unreachable, [addr(AWAY)]);
    sim.agree(0, 1);
    let engine = sim.nodes[0].engine.as_ref().unwrap();
    assert_eq!(
        engine.rejected().into_iter().collect::<Vec<_>>(),
        [(addr(AWAY), 1)]
    );
    // The old one goes: nothing is said, and nothing leaves from the new one.
    sim.change(0, &[HOME], &[]);
    sim.run(secs(60));
    assert_eq!(sim.sent(), []);
    stays(&sim, &gate, false);
    assert!(sim.noted(0, |note| matches!(note, Note::Lost { .. })) == 1);
    // It comes back, and goes on.
    sim.change(0, &[], &[HOME]);
    sim.run(secs(5));
    assert_eq!(sim.sent(), [AddrUp, Ack]);
    stays(&sim, &gate, true);
    sim.agree(0, 1);
}

#[test]
fn a_hard_move_is_rejected_and_asked_again_when_that_ends() {
    let lifetime = 20;
    let (mut sim, gate) = acquainted(Config {
        lifetime,
        ..closed()
    });
    sim.change(0, &[HOME], &[AWAY]);
    sim.run(secs(15));
    assert_eq!(sim.sent(), [Handoff]);
    assert_eq!(heard_by_peer(&gate), []);
    stays(&sim, &gate, false);
    // Up to a quarter of jitter.
    sim.run(secs(10));
    assert_eq!(rejections(&sim), 2);
    sim.sent();
    // The administrator has changed his mind.
    gate.borrow_mut().router.configure(config());
    sim.run(secs(26));
    is_covered(&sim, &gate, AWAY);
    assert_eq!(heard_by_peer(&gate), []);
    assert_eq!(sim.sent().len(), 1);
}

#[test]
fn a_hard_move_goes_on_at_another_address() {
    let (mut sim, gate) = acquainted(closed());
    sim.change(0, &[], &[OUT]);
    sim.run(secs(5));
    assert!(active(&sim).contains(&addr(OUT)));
    sim.sent();
    heard_by_peer(&gate);
    sim.change(0, &[HOME], &[AWAY]);
    sim.run(secs(5));
    assert_eq!(sim.sent(), [Handoff, HandoffUnreachable, Ack]);
    is_at(&sim, OUT);
    assert_eq!(record(&sim, 1).unreachable, [addr(AWAY)]);
    sim.agree(0, 1);
    // One that comes later is as good.
    let (mut sim, gate) = acquainted(closed());
    sim.change(0, &[HOME], &[AWAY]);
    sim.run(secs(5));
    stays(&sim, &gate, false);
    sim.change(0, &[], &[OUT]);
    sim.run(secs(5));
    is_at(&sim, OUT);
    assert_eq!(record(&sim, 1).unreachable, [addr(AWAY)]);
    sim.agree(0, 1);
}

#[test]
fn an_address_that_is_known_to_be_rejected_is_reported_at_once() {
    let (mut sim, gate) = acquainted(closed());
    sim.change(0, &[], &[AWAY]);
    sim.run(secs(5));
    sim.sent();
    sim.change(0, &[AWAY], &[]);
    sim.run(secs(5));
    assert_eq!(sim.sent(), [AddrDownUnreachable, Ack]);
    assert!(record(&sim, 1).unreachable.is_empty());
    heard_by_peer(&gate);
    sim.wire.clear();
    sim.change(0, &[], &[AWAY]);
    sim.run(secs(5));
    assert_eq!(sim.sent(), [AddrUpUnreachable, Ack]);
    assert_eq!(said_from(&sim, AWAY), []);
    assert_eq!(heard_by_peer(&gate), [AddrUpUnreachable, Ack]);
    assert_eq!(record(&sim, 1).unreachable, [addr(AWAY)]);
    sim.agree(0, 1);
    // Together with the loss of another one.
    sim.change(0, &[AWAY], &[OUT]);
    sim.run(secs(5));
    sim.sent();
    sim.wire.clear();
    sim.change(0, &[HOME], &[AWAY]);
    sim.run(secs(5));
    assert_eq!(sim.sent(), [HandoffUnreachable, Ack]);
    assert_eq!(said_from(&sim, AWAY), []);
    is_at(&sim, OUT);
    assert_eq!(record(&sim, 1).unreachable, [addr(AWAY)]);
    sim.agree(0, 1);
    assert_eq!(rejections(&sim), 1);
}

#[test]
fn an_address_that_may_work_is_announced_first() {
    // What did not answer once may answer the next time.
    let (mut sim, _gate) = acquainted(config());
    sim.blocked.insert((addr(OUT), addr(PEER)));
    for _ in 0..2 {
        sim.change(0, &[], &[OUT]);
        sim.run(secs(5));
        let expected = [AddrUp, AddrUp, AddrUp, AddrUp, AddrUpUnreachable, Ack];
        assert_eq!(sim.sent(), expected);
        sim.change(0, &[OUT], &[]);
        sim.run(secs(5));
        assert_eq!(sim.sent(), [AddrDownUnreachable, Ack]);
    }
}

#[test]
fn who_does_not_know_the_router_is_not_heard_either() {
    let (mut sim, gate) = world(closed(), false);
    sim.flow(0, HOME, PEER);
    sim.run(ms(500));
    sim.sent();
    heard_by_peer(&gate);
    sim.change(0, &[], &[AWAY]);
    sim.run(secs(5));
    let expected = [AddrUp, AddrUp, AddrUp, AddrUp, AddrUpUnreachable, Ack];
    assert_eq!(sim.sent(), expected);
    assert_eq!(heard_by_peer(&gate), [AddrUpUnreachable, Ack]);
    stays(&sim, &gate, true);
    assert_eq!(gate.borrow().router.moves(), [0, 0, 4]);
}

#[test]
fn a_router_that_changes_its_mind_rejects_what_it_granted() {
    let (mut sim, gate) = acquainted(Config {
        lifetime: 20,
        ..config()
    });
    sim.change(0, &[HOME], &[AWAY]);
    sim.run(secs(5));
    is_covered(&sim, &gate, AWAY);
    gate.borrow_mut().router.configure(Config {
        lifetime: 20,
        ..closed()
    });
    sim.run(secs(10));
    assert_eq!(rejections(&sim), 1);
    assert_eq!(heard_by_peer(&gate), []);
    stays(&sim, &gate, false);
    // Where another one works, the peer hears that the old one is gone.
    sim.change(0, &[], &[OUT]);
    sim.run(secs(5));
    is_at(&sim, OUT);
    sim.agree(0, 1);
}

#[test]
fn who_comes_home_is_not_taken_for_somebody_who_moves() {
    let (mut sim, gate) = acquainted(closed());
    sim.change(0, &[HOME], &[AWAY]);
    sim.run(secs(5));
    stays(&sim, &gate, false);
    // The other address is still there, and named.
    sim.change(0, &[], &[HOME]);
    sim.run(secs(5));
    stays(&sim, &gate, true);
    assert_eq!(rejections(&sim), 1);
    sim.agree(0, 1);
}

#[test]
fn who_began_in_a_closed_network_stays_there() {
    let (mut sim, gate) = world(closed(), true);
    sim.relocate(0, &[addr(HOME)], &[addr(AWAY)]);
    sim.flow(0, AWAY, PEER);
    sim.run(ms(500));
    sim.agree(0, 1);
    sim.sent();
    heard_by_peer(&gate);
    sim.change(0, &[], &[HOME]);
    sim.run(secs(5));
    assert_eq!(sim.sent(), [AddrUp, AddrUpUnreachable, Ack]);
    is_at(&sim, AWAY);
    sim.agree(0, 1);
}

#[test]
fn a_key_that_is_removed_ends_a_rejection() {
    let (mut sim, gate) = acquainted(closed());
    sim.change(0, &[], &[AWAY]);
    sim.run(secs(5));
    stays(&sim, &gate, true);
    gate.borrow_mut().dead = true;
    sim.nodes[0].store.known.remove(&router_key().public());
    sim.rekey(0);
    sim.network(0);
    sim.run(secs(5));
    assert!(active(&sim).contains(&addr(AWAY)) && used(&sim).contains(&addr(AWAY)));
    sim.agree(0, 1);
}

/// A HANDOFF of the host with this key to the peer.
fn handoff(key: &OwnKey, list: &[&str], stamp: u64) -> Vec<u8> {
    let list: Vec<Addr> = list.iter().map(|text| addr(text)).collect();
    let message = Message {
        control: Handoff,
        options: Options::NONE,
        seqno: 5,
        signature: None,
        host: addr(HOME),
        addresses: Addresses::of(&list).unwrap(),
    };
    key.seal(&message, addr(PEER), stamp, 0)
}

#[test]
fn another_key_takes_nothing_from_who_is_away() {
    // It names an address of somebody else, whose route stays.
    let (mut sim, gate) = acquainted(Config {
        reject: vec![prefix("198.51.101.0/24")],
        ..config()
    });
    sim.change(0, &[HOME], &[AWAY]);
    sim.run(secs(5));
    is_covered(&sim, &gate, AWAY);
    let thief = own_key(5);
    let bytes = handoff(&thief, &[THIRD, THIRD, HOME], 10);
    let now = sim.now;
    let crossing = gate
        .borrow_mut()
        .cross(now, 3, addr(THIRD), addr(PEER), &bytes);
    assert!(crossing.taken);
    assert_eq!(crossing.sent.len(), 1);
    assert_eq!(crossing.sent[0].1, addr(THIRD));
    is_covered(&sim, &gate, AWAY);
}
