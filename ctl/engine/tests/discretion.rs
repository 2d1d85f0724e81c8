// SPDX-License-Identifier: GPL-2.0
//! Which own addresses are told to whom: a stranger none but the source, a peer what scope, kind and administrator allow.

use ihmp_sim as sim;

use ihmp_core::message::{Addresses, Control::*, Message, Options};
use ihmp_engine::{Discretion, Input, Limits, Policy};
use sim::{addr, ms, own_key, secs, Sim, FAIR};

const A1: &str = "192.0.2.1";
const A2: &str = "198.51.100.2";
const A3: &str = "203.0.113.3";
const A61: &str = "2001:db8:a1::1";
const PRIVATE: &str = "10.1.0.1";
const B1: &str = "203.0.113.200";
const B2: &str = "198.51.100.200";
const STABLE1: &str = "2001:db8:a1::10";
const TEMPORARY1: &str = "2001:db8:a1::cafe";
const STABLE2: &str = "2001:db8:a2::10";
const TEMPORARY2: &str = "2001:db8:a2::beef";
const B61: &str = "2001:db8:b1::1";

/// How many addresses the messages of this kind from there had, each.
fn named(sim: &Sim, from: &str, kind: u8) -> Vec<usize> {
    let from = addr(from);
    let sent = sim.wire.iter();
    let sent = sent.filter(|(source, _, bytes)| *source == from && bytes[0] == kind);
    let count = |bytes: &[u8]| Message::parse(bytes).unwrap().addresses.as_slice().len();
    sent.map(|(.., bytes)| count(bytes)).collect()
}

/// What node `at` believes of the other one, sorted.
fn others(sim: &Sim, at: usize) -> Vec<String> {
    let row = sim.nodes[at].kernel.rows.values().next().unwrap();
    let mut others: Vec<String> = row
        .record
        .unreachable
        .iter()
        .map(ToString::to_string)
        .collect();
    others.sort();
    others
}

fn discreet(sim: &mut Sim, at: usize, silent: &[&str], open: &[&str], temporary: &[&str]) {
    let list = |texts: &[&str]| texts.iter().map(|text| addr(text)).collect();
    let discretion = Discretion {
        silent: list(silent),
        open: list(open),
        temporary: list(temporary),
    };
    sim.give(at, Input::Discretion(discretion));
    sim.network(at);
}

/// A host with these addresses whose discretion is known, and a server.
fn begin(
    local: &[&str],
    silent: &[&str],
    open: &[&str],
    temporary: &[&str],
    server: &[&str],
) -> Sim {
    let mut sim = Sim::new(1, FAIR);
    sim.add(local);
    sim.add(server);
    discreet(&mut sim, 0, silent, open, temporary);
    sim
}

#[test]
fn stranger_learns_the_source() {
    let mut sim = begin(&[A1, A2, A61, PRIVATE], &[], &[], &[], &[]);
    sim.flow(0, A1, B1);
    sim.run(secs(10));
    assert_eq!(named(&sim, A1, 0), [1, 1, 1]);
}

#[test]
fn peer_is_told_in_the_messages_that_flow_anyway() {
    let mut sim = begin(&[A1, A2, A61], &[], &[], &[], &[B1, B2]);
    sim.flow(0, A1, B1);
    sim.run(secs(1));
    assert_eq!(sim.sent(), [Hello, Ack, Hello, Ack]);
    // Before either has shown that it hears the other, and after that.
    assert_eq!(named(&sim, A1, 0), [1, 3]);
    assert_eq!(named(&sim, B1, 8), [1, 2]);
    assert_eq!(others(&sim, 1), [A2, A61]);
    assert_eq!(others(&sim, 0), [B2]);
    sim.agree(0, 1);
}

#[test]
fn two_that_greet_at_once_tell_the_rest_afterwards() {
    for (local, more) in [(&[A1, A2][..], 2), (&[A1], 0)] {
        let mut sim = begin(local, &[], &[], &[], &[B1]);
        sim.flow(0, A1, B1);
        sim.flow(1, B1, A1);
        sim.run(secs(5));
        assert!(named(&sim, A1, 0).iter().all(|count| *count == 1));
        assert_eq!(sim.sent().len(), 4 + more);
        assert_eq!(others(&sim, 1), &[A2][..local.len() - 1]);
        sim.agree(0, 1);
    }
}

#[test]
fn greeting_that_names_its_source_removes_nothing() {
    for (twice, left) in [(false, 1), (true, 0)] {
        let mut sim = Sim::pair(&[A1, A2], &[B1]);
        let mut addresses = Addresses::of(&[addr(A1)]).unwrap();
        if twice {
            assert!(addresses.push(addr(A1)));
        }
        let hello = Message {
            control: Hello,
            options: Options::NONE,
            seqno: 7,
            signature: None,
            host: addr(A1),
            addresses,
        };
        // What the agent says that was started anew, and has lost its folder but for the key.
        let bytes = own_key(0).seal(&hello, addr(B1), 1_800_000_000_000_000_000, 0);
        sim.inject(1, addr(A1), addr(B1), &bytes);
        sim.run(ms(10));
        assert_eq!(others(&sim, 1).len(), left);
    }
}

#[test]
fn agent_that_begins_anew_says_all_that_holds() {
    let mut sim = Sim::pair(&[A1, A2], &[B1]);
    sim.nodes[0].engine = None;
    sim.change(0, &[A2], &[]);
    sim.restart(0);
    sim.run(secs(2));
    assert_eq!(others(&sim, 1), [""; 0]);
    sim.agree(0, 1);
}

#[test]
fn private_address_is_told_in_its_scope() {
    let told = |sim: &mut Sim, from: &str, to: &str| {
        sim.flow(0, from, to);
        sim.run(secs(1));
        others(sim, 1).contains(&PRIVATE.to_string())
    };
    let mut outside = begin(&[A1, PRIVATE], &[], &[], &[], &[B1]);
    assert!(!told(&mut outside, A1, B1));
    // Named by the administrator; known by a private address; a peer with one; a neighbour.
    let mut open = begin(&[A1, PRIVATE], &[], &[PRIVATE], &[], &[B1]);
    assert!(told(&mut open, A1, B1));
    let mut private = begin(&[A1, PRIVATE], &[], &[], &[], &["10.2.0.1"]);
    assert!(told(&mut private, A1, "10.2.0.1"));
    let mut near = begin(&[A1, PRIVATE], &[], &[], &[], &["192.0.2.99"]);
    near.give(0, Input::Connected(vec![(addr(A1), 24)]));
    assert!(told(&mut near, A1, "192.0.2.99"));
    // It is announced where it is all that is left.
    outside.change(0, &[A1], &[]);
    outside.run(secs(2));
    outside.agree(0, 1);
}

#[test]
fn silent_address_is_neither_told_nor_used() {
    let mut sim = begin(&[A1, A2], &[A2], &[], &[], &[B1]);
    sim.flow(0, A1, B1);
    sim.run(secs(1));
    sim.change(0, &[A1], &[A3]);
    sim.run(secs(1));
    assert!(sim.wire.iter().all(|(from, ..)| *from != addr(A2)));
    assert_eq!(others(&sim, 1), [""; 0]);
    let row = sim.nodes[0].kernel.rows.values().next().unwrap();
    assert!(row.record.local.iter().all(|local| local.addr != addr(A2)));
    sim.agree(0, 1);
    // A flow began there: who was greeted from it knows it.
    let mut sim = begin(&[A1, A2], &[A2], &[], &[], &[B1]);
    sim.flow(0, A2, B1);
    sim.run(secs(1));
    sim.agree(0, 1);
    assert_eq!(others(&sim, 1), [A1]);
}

#[test]
fn flow_on_a_temporary_address_moves_to_temporary_ones() {
    let temporary = [TEMPORARY1, TEMPORARY2];
    let first = [STABLE1, TEMPORARY1];
    for (from, to, wrong) in [
        (TEMPORARY1, TEMPORARY2, [STABLE1, STABLE2]),
        (STABLE1, STABLE2, [TEMPORARY1, TEMPORARY2]),
    ] {
        let mut sim = begin(&first, &[], &[], &temporary, &[B61]);
        sim.flow(0, from, B61);
        sim.run(secs(1));
        sim.sent();
        sim.change(0, &first, &[STABLE2, TEMPORARY2]);
        sim.run(secs(1));
        assert_eq!(sim.sent(), [Handoff, Ack]);
        let row = sim.nodes[1].kernel.rows.values().next().unwrap();
        assert_eq!(row.record.active, [addr(to)]);
        for (_, _, bytes) in &sim.wire {
            let message = Message::parse(bytes).unwrap();
            for addr in message.addresses.as_slice() {
                assert!(
                    !wrong.contains(&addr.to_string().as_str()),
                    "{addr} was told"
                );
            }
        }
    }
    // Where there is none, a stable one is better than no connection.
    let mut sim = begin(&first, &[], &[], &[TEMPORARY1], &[B61]);
    sim.flow(0, TEMPORARY1, B61);
    sim.run(secs(1));
    sim.change(0, &first, &[STABLE2]);
    sim.run(secs(1));
    sim.agree(0, 1);
    // One that will be ready soon is waited for.
    let mut sim = begin(&first, &[], &[], &temporary, &[B61]);
    sim.flow(0, TEMPORARY1, B61);
    sim.run(secs(1));
    sim.sent();
    sim.change(0, &first, &[STABLE2]);
    sim.run(secs(1));
    assert_eq!(sim.sent(), []);
    sim.change(0, &[], &[TEMPORARY2]);
    sim.run(secs(1));
    assert_eq!(sim.sent(), [Handoff, Ack]);
    sim.agree(0, 1);
}

#[test]
fn unsigned_peer_is_told_once_it_has_answered() {
    let mut sim = Sim::new(1, FAIR);
    for local in [&[A1][..], &[B1, B2]] {
        let at = sim.add_believing(local, Limits::default(), Policy::Unsigned);
        sim.nodes[at].store.own.clear();
        sim.rekey(at);
    }
    sim.flow(0, A1, B1);
    sim.run(secs(10));
    assert_eq!(others(&sim, 0), [""; 0]);
    sim.run(secs(30));
    assert_eq!(others(&sim, 0), [B2]);
    sim.agree(0, 1);
}
