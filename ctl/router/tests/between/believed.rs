// SPDX-License-Identifier: GPL-2.0
//! Of whom a host believes a grant.

use ihmp_core::addr::Addr;
use ihmp_core::grant::{Grant, Terms};
use ihmp_core::message::{Control, Message, Options};
use ihmp_engine::{Note, OwnKey, Refusal};
use ihmp_sim::{addr, ms, own_key, secs, Sim};

use crate::bench::*;

/// What somebody changes of an answer: what it says, its number, and what it echoes.
type Change = fn(&mut Grant, &mut u16, &mut u64);

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
    is_at(&sim, AWAY);
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
    is_at(&sim, AWAY);
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
        terms: Terms::Granted(300),
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

/// A forged answer: who signs it, how it differs from the right one, and why it is refused.
type Forgery<'a> = (Option<&'a OwnKey>, Change, Refusal);

/// Node 0 refuses all of these, and nothing changes by them. `make` makes the octets of one, with its number.
fn refuses(
    sim: &mut Sim,
    forgeries: &[Forgery<'_>],
    make: impl Fn(&Sim, &Forgery<'_>, u64) -> Vec<u8>,
) {
    let row = format!("{:?}", record(sim, 0));
    for (number, forgery) in (1..).zip(forgeries) {
        let reason = forgery.2;
        let before = refused(sim, reason);
        let bytes = make(sim, forgery, number);
        sim.inject(0, addr("198.51.100.1"), addr(AWAY), &bytes);
        assert_eq!(refused(sim, reason), before + 1, "{number}: {reason:?}");
        assert_eq!(format!("{:?}", record(sim, 0)), row, "{number}");
        assert!(sim.nodes[0].held.is_empty(), "{number}");
        let engine = sim.nodes[0].engine.as_ref().unwrap();
        assert!(engine.rejected().is_empty(), "{number}");
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
    let same: Change = |_, _, _| ();
    let cases: [Forgery<'_>; 9] = [
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
    refuses(&mut sim, &cases, |sim, (key, change, _), number| {
        forged(sim, *key, at + number, change)
    });
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
    is_at(&sim, AWAY);
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
    is_at(&sim, AWAY);
    sim.agree(0, 1);
}

/// An answer that says that the move is rejected, for so long.
fn rejecting(sim: &Sim, key: Option<&OwnKey>, stamp: u64, change: Change) -> Vec<u8> {
    forged(sim, key, stamp, |grant, seqno, echo| {
        grant.terms = Terms::Rejected(300);
        change(grant, seqno, echo);
    })
}

#[test]
fn forged_rejections_change_nothing() {
    let (mut sim, gate) = acquainted(config());
    gate.borrow_mut().dead = true;
    sim.change(0, &[], &[AWAY]);
    sim.run(ms(1));
    let (key, other) = (router_key(), own_key(1));
    let at = 1_900_000_000_000_000_000;
    let same: Change = |_, _, _| ();
    let cases: [Forgery<'_>; 8] = [
        (None, same, Refusal::Unsigned),
        (Some(&other), same, Refusal::UnknownKey),
        (
            Some(&key),
            |_, seqno, _| *seqno = seqno.wrapping_add(1),
            Refusal::UnexpectedAck,
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
            |grant, _, _| grant.new = addr(THIRD),
            Refusal::Payload,
        ),
        (
            Some(&key),
            |grant, _, _| grant.terms = Terms::Rejected(0),
            Refusal::Payload,
        ),
    ];
    refuses(&mut sim, &cases, |sim, (key, change, _), number| {
        rejecting(sim, *key, at + number, *change)
    });
    // The move goes through.
    sim.run(secs(1));
    assert!(active(&sim).contains(&addr(AWAY)) && used(&sim).contains(&addr(AWAY)));
    sim.agree(0, 1);
}

/// Whoever has the key of a router, and sees the message but does not keep it, is proven wrong by the peer.
#[test]
fn a_rejection_of_what_the_peer_answers_is_worth_nothing() {
    for seed in 0..40 {
        let (mut sim, gate) = acquainted(config());
        gate.borrow_mut().dead = true;
        sim.weather.spread = ms(seed);
        let mut stamp = 1_900_000_000_000_000_000;
        sim.change(0, &[], &[AWAY]);
        let rejected = |note: &Note| matches!(note, Note::RouterRejected { .. });
        let mut said = 0;
        // It does so each time that something is announced from there.
        for _ in 0..1_000 {
            let from = |(from, ..): &&(Addr, Addr, Vec<u8>)| *from == addr(AWAY);
            let count = sim.wire.iter().filter(from).count();
            if count > said {
                (said, stamp) = (count, stamp + 1);
                let bytes = rejecting(&sim, Some(&router_key()), stamp, |_, _, _| ());
                sim.inject(0, addr("198.51.100.1"), addr(AWAY), &bytes);
            }
            sim.run(ms(1));
        }
        assert_eq!(sim.noted(0, rejected), 1, "seed {seed}");
        sim.run(secs(5));
        assert!(active(&sim).contains(&addr(AWAY)), "seed {seed}");
        assert!(used(&sim).contains(&addr(AWAY)), "seed {seed}");
        sim.agree(0, 1);
    }
}
