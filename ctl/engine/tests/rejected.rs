// SPDX-License-Identifier: GPL-2.0
//! A router says that a move is not wanted: what the host does then towards the peer, and towards others.

use ihmp_core::addr::Addr;
use ihmp_core::grant::{Grant, Terms};
use ihmp_core::message::Control::{self, *};
use ihmp_core::message::{Message, Options};
use ihmp_engine::{KnownKey, Note, OwnKey};
use ihmp_sim as sim;
use sim::{addr, ms, own_key, secs, Crossing, Sim};

/// Addresses of one family: the host's old one, the new one and another one, two peers, and the router.
struct Plan {
    old: &'static str,
    new: &'static str,
    other: &'static str,
    peers: [&'static str; 2],
    router: &'static str,
}

const V4: Plan = Plan {
    old: "192.0.2.1",
    new: "198.51.100.2",
    other: "203.0.113.3",
    peers: ["203.0.113.9", "203.0.113.10"],
    router: "198.51.100.1",
};
const V6: Plan = Plan {
    old: "2001:db8:a1::1",
    new: "2001:db8:a2::1",
    other: "2001:db8:a3::1",
    peers: ["2001:db8:b1::1", "2001:db8:b2::1"],
    router: "2001:db8:a2::ffff",
};

const PRIVATE: Plan = Plan {
    new: "10.1.2.3",
    router: "10.1.2.1",
    ..V4
};

/// What the router answers to a move to an address of its network.
fn answer(
    plan: &Plan,
    key: &OwnKey,
    terms: Terms,
    request: &[u8],
    to: Addr,
    stamp: u64,
) -> Vec<u8> {
    let message = Message::parse(request).unwrap();
    let echo = message.signature.unwrap().ed25519().unwrap().timestamp;
    let grant = Grant {
        router: addr(plan.router),
        new: addr(plan.new),
        old: addr(plan.old),
        peer: to,
        terms,
    };
    let answer = Message {
        control: RouterAck,
        options: Options::NONE,
        seqno: message.seqno,
        signature: None,
        host: grant.router,
        addresses: grant.addresses(),
    };
    key.seal(&answer, grant.new, stamp, echo)
}

/// A host that knows two peers, and whose router takes what it says to the first one from its new address, and answers so.
fn world(plan: &'static Plan, terms: Terms) -> Sim {
    let mut sim = Sim::pair(&[plan.old], &[plan.peers[0]]);
    sim.add(&[plan.peers[1]]);
    sim.flow(0, plan.old, plan.peers[1]);
    sim.run(secs(1));
    sim.sent();
    let key = own_key(99);
    let known = KnownKey {
        pinned: true,
        router: true,
        ..KnownKey::default()
    };
    sim.nodes[0].store.known.insert(key.public(), known);
    sim.rekey(0);
    let mut stamp = 1_900_000_000_000_000_000;
    sim.gateway = Some(Box::new(move |_, from, to, bytes| {
        let mut crossing = Crossing::default();
        let moves = matches!(Message::parse(bytes).unwrap().control, AddrUp | Handoff);
        if moves && (from, to) == (addr(plan.new), addr(plan.peers[0])) {
            stamp += 1;
            let bytes = answer(plan, &key, terms, bytes, to, stamp);
            crossing.sent.push((addr(plan.router), from, bytes));
            crossing.taken = terms != Terms::Declined;
        }
        crossing
    }));
    sim
}

/// The addresses of the host that a peer has.
fn active(sim: &Sim, at: usize) -> Vec<Addr> {
    let rows = &sim.nodes[at].kernel.rows;
    assert_eq!(rows.len(), 1);
    let mut active = rows.values().next().unwrap().record.active.clone();
    active.sort();
    active
}

/// The own addresses that the host uses towards a peer.
fn used(sim: &Sim, towards: usize) -> Vec<Addr> {
    let local = &sim.row(0, towards).record.local;
    let mut used: Vec<Addr> = local.iter().map(|local| local.addr).collect();
    used.sort();
    used
}

fn rejections(sim: &Sim) -> usize {
    sim.noted(0, |note| matches!(note, Note::RouterRejected { .. }))
}

/// What was said to the first peer: from where, and what.
fn to_first(sim: &Sim, plan: &Plan) -> Vec<(Addr, Control)> {
    let to = addr(plan.peers[0]);
    let said = sim.wire.iter().filter(|(_, dest, _)| *dest == to);
    said.map(|(from, _, bytes)| (*from, Message::parse(bytes).unwrap().control))
        .collect()
}

#[test]
fn what_is_declined_goes_on() {
    for plan in [&V4, &V6] {
        let mut sim = world(plan, Terms::Declined);
        sim.change(0, &[], &[plan.new]);
        sim.run(secs(5));
        assert_eq!(rejections(&sim), 0);
        for at in [1, 2] {
            assert_eq!(active(&sim, at), [addr(plan.old), addr(plan.new)]);
            sim.agree(0, at);
        }
    }
}

#[test]
fn one_peer_is_told_that_it_is_of_no_use_and_the_other_moves() {
    for plan in [&V4, &V6] {
        let mut sim = world(plan, Terms::Rejected(300));
        sim.wire.clear();
        sim.change(0, &[], &[plan.new]);
        // At once: nothing has come from the peer yet.
        sim.run(ms(1));
        let expected = [
            (addr(plan.new), AddrUp),
            (addr(plan.old), AddrUpUnreachable),
        ];
        assert_eq!(to_first(&sim, plan), expected);
        sim.run(secs(5));
        assert_eq!(to_first(&sim, plan), expected);
        assert_eq!(rejections(&sim), 1);
        assert_eq!(
            (active(&sim, 1), used(&sim, 1)),
            (vec![addr(plan.old)], vec![addr(plan.old)])
        );
        assert_eq!(sim.row(1, 0).record.unreachable, [addr(plan.new)]);
        let both = [addr(plan.old), addr(plan.new)];
        assert_eq!(
            (active(&sim, 2), used(&sim, 2)),
            (both.to_vec(), both.to_vec())
        );
        // The old one goes: one peer hears of it from the new one, the other goes on as if it were there.
        sim.wire.clear();
        sim.change(0, &[plan.old], &[]);
        sim.run(secs(60));
        assert_eq!(to_first(&sim, plan), []);
        assert_eq!(
            (active(&sim, 1), used(&sim, 1)),
            (vec![addr(plan.old)], vec![])
        );
        assert_eq!(active(&sim, 2), [addr(plan.new)]);
        // With a third one both go on.
        sim.change(0, &[], &[plan.other]);
        sim.run(secs(5));
        assert_eq!(active(&sim, 1), [addr(plan.other)]);
        assert_eq!(sim.row(1, 0).record.unreachable, [addr(plan.new)]);
        assert_eq!(rejections(&sim), 1);
        for at in [1, 2] {
            sim.agree(0, at);
        }
    }
}

#[test]
fn what_is_known_to_be_rejected_is_never_announced() {
    for plan in [&V4, &V6] {
        let mut sim = world(plan, Terms::Rejected(300));
        sim.change(0, &[], &[plan.new]);
        sim.run(secs(5));
        // It comes alone, and together with the loss of another one.
        let losses: [(&[&str], &[&str], _); 2] = [
            (&[], &[], (addr(plan.old), AddrUpUnreachable)),
            (
                &[plan.old],
                &[plan.other],
                (addr(plan.other), HandoffUnreachable),
            ),
        ];
        for (lost, before, told) in losses {
            sim.change(0, &[plan.new], before);
            sim.run(secs(5));
            sim.wire.clear();
            sim.change(0, lost, &[plan.new]);
            sim.run(secs(5));
            assert_eq!(to_first(&sim, plan), [told]);
            assert_eq!(sim.row(1, 0).record.unreachable, [addr(plan.new)]);
            sim.agree(0, 1);
        }
        assert_eq!(rejections(&sim), 1);
    }
}

#[test]
fn it_is_tried_again_when_the_time_is_over() {
    let plan = &V4;
    let mut sim = world(plan, Terms::Rejected(10));
    sim.change(0, &[], &[plan.new]);
    sim.run(secs(9));
    assert_eq!(rejections(&sim), 1);
    sim.run(secs(4));
    assert_eq!(rejections(&sim), 2);
    // The router is gone.
    sim.gateway = None;
    sim.run(secs(15));
    assert_eq!(rejections(&sim), 2);
    assert_eq!(active(&sim, 1), [addr(plan.old), addr(plan.new)]);
    sim.agree(0, 1);
}

/// It greets from there, which is no move to the router, and is answered.
#[test]
fn an_agent_that_restarts_knows_nothing_of_it() {
    let plan = &V4;
    let mut sim = world(plan, Terms::Rejected(300));
    sim.change(0, &[], &[plan.new]);
    sim.run(secs(5));
    assert_eq!(active(&sim, 1), [addr(plan.old)]);
    sim.restart(0);
    sim.run(secs(10));
    assert_eq!(active(&sim, 1), [addr(plan.old), addr(plan.new)]);
    sim.agree(0, 1);
}

#[test]
fn a_private_address_is_not_told_where_it_is_nobodys_business() {
    let plan = &PRIVATE;
    let mut sim = world(plan, Terms::Rejected(300));
    sim.wire.clear();
    sim.change(0, &[], &[plan.new]);
    sim.run(secs(5));
    assert_eq!(rejections(&sim), 1);
    assert_eq!(to_first(&sim, plan), [(addr(plan.new), AddrUp)]);
    assert!(sim.row(1, 0).record.unreachable.is_empty());
    assert_eq!(
        (active(&sim, 1), used(&sim, 1)),
        (vec![addr(plan.old)], vec![addr(plan.old)])
    );
}
