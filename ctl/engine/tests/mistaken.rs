// SPDX-License-Identifier: GPL-2.0
//! An address that another host has now: the newcomer has an entry of its own, and old connections do not go to it.

use ihmp_sim as sim;

use ihmp_core::message::Control::*;
use ihmp_engine::{Limits, Policy};
use sim::{addr, secs, Sim, FAIR};

const A1: &str = "192.0.2.1";
const A2: &str = "198.51.100.2";
const A3: &str = "203.0.113.3";
const B1: &str = "10.9.0.1";

/// A client that the server knows; it moved from A1 to A2, and somebody else has A1 now.
fn reused(policy: Policy) -> (Sim, usize) {
    let mut sim = Sim::new(1, FAIR);
    for local in [A1, B1] {
        let at = sim.add_believing(&[local], Limits::default(), policy);
        if policy == Policy::Unsigned {
            sim.nodes[at].store.own.clear();
            sim.rekey(at);
        }
    }
    sim.flow(0, A1, B1);
    sim.run(secs(1));
    sim.change(0, &[A1], &[A2]);
    sim.run(secs(1));
    sim.agree(0, 1);
    let newcomer = sim.add_believing(&[A1], Limits::default(), policy);
    if policy == Policy::Unsigned {
        sim.nodes[newcomer].store.own.clear();
        sim.rekey(newcomer);
    }
    (sim, newcomer)
}

/// The server has both apart, and the old connections are the old host's.
fn apart(sim: &Sim, newcomer: usize) {
    assert_eq!(sim.nodes[1].kernel.rows.len(), 2);
    sim.agree(0, 1);
    sim.agree(newcomer, 1);
    assert_eq!(sim.row(1, 0).alias, [addr(A1)]);
    assert_eq!(sim.row(1, newcomer).record.active, [addr(A1)]);
    assert!(sim.row(1, newcomer).alias.is_empty());
}

#[test]
fn newcomer_that_greets_has_its_own_entry() {
    for policy in [Policy::FirstUse, Policy::Unsigned] {
        let (mut sim, newcomer) = reused(policy);
        sim.flow(newcomer, A1, B1);
        sim.run(secs(5));
        apart(&sim, newcomer);
    }
}

#[test]
fn newcomer_that_is_greeted_has_its_own_entry() {
    for policy in [Policy::FirstUse, Policy::Unsigned] {
        let (mut sim, newcomer) = reused(policy);
        sim.flow(1, B1, A1);
        sim.run(secs(5));
        apart(&sim, newcomer);
    }
}

#[test]
fn both_go_their_own_ways() {
    let (mut sim, newcomer) = reused(Policy::FirstUse);
    sim.flow(newcomer, A1, B1);
    sim.run(secs(5));
    // The newcomer moves: its entry, not that of the host that was there before.
    sim.change(newcomer, &[A1], &[A3]);
    sim.run(secs(2));
    assert_eq!(sim.row(1, newcomer).record.active, [addr(A3)]);
    assert_eq!(sim.row(1, 0).record.active, [addr(A2)]);
    // The first one comes back: its connections know the server by its name there, the newcomer's do not.
    sim.change(0, &[A2], &[A1]);
    sim.run(secs(2));
    assert_eq!(sim.row(1, 0).record.active, [addr(A1)]);
    assert_eq!(sim.row(1, newcomer).record.active, [addr(A3)]);
    sim.agree(0, 1);
    sim.agree(newcomer, 1);
    assert_eq!(sim.nodes[1].kernel.rows.len(), 2);
}

#[test]
fn restarted_server_keeps_them_apart() {
    let (mut sim, newcomer) = reused(Policy::FirstUse);
    sim.restart(1);
    sim.flow(newcomer, A1, B1);
    sim.run(secs(5));
    apart(&sim, newcomer);
    sim.restart(1);
    sim.run(secs(5));
    apart(&sim, newcomer);
    sim.change(newcomer, &[A1], &[A3]);
    sim.run(secs(5));
    sim.agree(newcomer, 1);
    sim.agree(0, 1);
}

#[test]
fn newcomer_without_signalling_gets_nothing_of_the_old_host() {
    // Nobody answers at A1; the entry for it is its own, and goes as it came.
    let (mut sim, newcomer) = reused(Policy::FirstUse);
    sim.nodes[newcomer].engine = None;
    sim.sent();
    sim.flow(1, B1, A1);
    sim.run(secs(15));
    assert_eq!(sim.sent(), [Hello; 3]);
    let with = |active: &str| {
        let rows = sim.nodes[1].kernel.rows.values();
        rows.filter(|row| row.record.active == [addr(active)])
            .count()
    };
    assert_eq!((with(A1), with(A2)), (1, 1));
    sim.agree(0, 1);
    assert_eq!(sim.row(1, 0).alias, [addr(A1)]);
}

/// Two hosts that the server knows exchange their addresses.
fn exchange(sim: &mut Sim) {
    sim.change(0, &[A1], &[]);
    sim.change(2, &[A2], &[]);
    sim.run(secs(2));
    sim.change(0, &[], &[A2]);
    sim.change(2, &[], &[A1]);
}

#[test]
fn hosts_that_exchange_their_addresses_say_since_when() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    let other = sim.add(&[A2]);
    sim.flow(other, A2, B1);
    sim.run(secs(5));
    exchange(&mut sim);
    sim.run(secs(10));
    for mover in [0, other] {
        sim.agree(mover, 1);
        assert_eq!(sim.row(1, mover).doubts, 0, "{mover}");
    }
    // Agents that were dead meanwhile do not.
    let engines = [0, other].map(|mover| sim.nodes[mover].engine.take());
    assert!(engines.iter().all(Option::is_some));
    for (mover, lose, gain) in [(0, A2, A1), (other, A1, A2)] {
        sim.change(mover, &[lose], &[gain]);
    }
    for mover in [0, other] {
        sim.restart(mover);
    }
    sim.run(secs(60));
    assert!([0, other].iter().all(|mover| sim.row(1, *mover).doubts > 0));
}

#[test]
fn who_is_no_more_in_the_table_is_known_by_where_its_key_was() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.remove_hosts(1);
    sim.restart(1);
    sim.change(0, &[A1], &[A3]);
    sim.run(secs(10));
    sim.agree(0, 1);
    assert_eq!(sim.row(1, 0).alias, [addr(A1)]);
    // A key that was seen nowhere has no former address.
    let stranger = sim.add(&[A2]);
    sim.flow(stranger, A2, B1);
    sim.run(secs(5));
    assert!(sim.row(1, stranger).alias.is_empty());
    // Nor has one where somebody else is.
    sim.remove_hosts(1);
    sim.restart(1);
    sim.change(0, &[A3], &[]);
    let newcomer = sim.add(&[A3]);
    sim.flow(newcomer, A3, B1);
    sim.run(secs(5));
    sim.change(0, &[], &[A1]);
    sim.run(secs(60));
    sim.agree(0, 1);
    assert!(!sim.row(1, 0).alias.contains(&addr(A3)));
}
