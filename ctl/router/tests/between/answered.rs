// SPDX-License-Identifier: GPL-2.0
//! Moves that the router answers, and what happens when it does not do what it said.

use ihmp_core::message::{Control, Message};
use ihmp_engine::{Note, Traffic};
use ihmp_router::Config;
use ihmp_sim::{addr, ms, secs, BUSY};

use crate::bench::*;

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
    is_at(&sim, HOME);
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
fn declined_moves_go_to_the_peer() {
    let (mut sim, gate) = acquainted(Config {
        decline: vec![prefix("198.51.100.0/24")],
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
    is_at(&sim, AWAY);
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
    is_at(&sim, AWAY);
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
    is_at(&sim, AWAY);
    sim.agree(0, 1);
}
