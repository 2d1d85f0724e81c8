// SPDX-License-Identifier: GPL-2.0
//! A peer for which the kernel has little credit is asked at once whether it is where it says.

use ihmp_core::addr::Addr;
use ihmp_core::message::Control::{self, Ack, Handoff, PathProbe};
use ihmp_engine::{Input, Traffic};
use ihmp_sim as sim;

use sim::{addr, ms, secs, Sim, BUSY};

const A1: &str = "192.0.2.1";
const A2: &str = "198.51.100.2";
const A6: [&str; 2] = ["2001:db8:1::1", "2001:db8:2::2"];
const B1: &str = "10.9.0.1";
const B6: &str = "2001:db8:9::1";

/// The kernel's number of the only host of node 1, and the addresses of it that are not validated.
fn tried(sim: &Sim) -> (u32, Vec<Addr>) {
    let (id, row) = sim.nodes[1].kernel.rows.iter().next().unwrap();
    (*id, row.record.unvalidated.clone())
}

/// What the kernel of node 1 says from now on.
fn credit(sim: &mut Sim, flows: u32, credit: Option<u64>) -> Traffic {
    let (id, _) = tried(sim);
    let traffic = Traffic {
        flows,
        credit,
        ..BUSY
    };
    sim.nodes[1].kernel.traffic.insert(id, traffic);
    traffic
}

#[test]
fn little_credit_takes_one_round_trip_more() {
    let asked = vec![Handoff, Ack, PathProbe, Ack];
    let cases: [(u32, Option<u64>, Vec<Control>); 4] = [
        (1, Some((64 << 10) - 1), asked.clone()),
        (1, None, asked),
        (1, Some(64 << 10), vec![Handoff, Ack]),
        (0, Some(0), vec![Handoff, Ack]),
    ];
    for (flows, left, expected) in cases {
        let mut sim = Sim::pair(&[A1], &[B1]);
        credit(&mut sim, flows, left);
        sim.change(0, &[A1], &[A2]);
        // Half a round trip: it is announced, and answered.
        sim.run(ms(40));
        assert_eq!(tried(&sim).1, [addr(A2)]);
        sim.run(ms(500));
        assert_eq!(sim.sent(), expected, "{flows} flows, {left:?}");
        let proven = expected.contains(&PathProbe);
        assert_eq!(tried(&sim).1.is_empty(), proven);
        sim.agree(0, 1);
        // Else it is asked later.
        sim.run(secs(30));
        assert!(tried(&sim).1.is_empty());
    }
}

#[test]
fn credit_that_runs_out_asks_then() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.change(0, &[A1], &[A2]);
    sim.run(secs(1));
    assert_eq!(sim.sent(), [Handoff, Ack]);
    let (id, unvalidated) = tried(&sim);
    assert_eq!(unvalidated, [addr(A2)]);
    let traffic = credit(&mut sim, 1, Some(1000));
    for _ in 0..3 {
        sim.give(1, Input::Traffic { id, traffic });
    }
    sim.run(ms(500));
    assert_eq!(sim.sent(), [PathProbe, Ack]);
    assert!(tried(&sim).1.is_empty());
    assert_eq!(sim.nodes[1].engine.as_ref().unwrap().sent()[1], 1);
}

#[test]
fn both_families_are_asked_at_once() {
    let mut sim = Sim::pair(&[A1, A6[0]], &[B1, B6]);
    sim.flow(0, A6[0], B6);
    sim.run(secs(5));
    sim.sent();
    credit(&mut sim, 2, Some(0));
    sim.change(0, &[A1, A6[0]], &[A2, A6[1]]);
    sim.run(ms(500));
    let sent = sim.sent();
    let probes = sent.iter().filter(|control| **control == PathProbe);
    assert_eq!(probes.count(), 2, "{sent:?}");
    assert!(tried(&sim).1.is_empty());
    sim.agree(0, 1);
}

#[test]
fn what_is_on_trial_still_is_after_a_restart() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.change(0, &[A1], &[A2]);
    sim.run(secs(1));
    assert_eq!(tried(&sim).1, [addr(A2)]);
    // Nobody answers the new agent's greeting.
    sim.nodes[0].engine = None;
    sim.restart(1);
    sim.run(secs(1));
    assert_eq!(tried(&sim).1, [addr(A2)]);
    sim.restart(0);
    sim.run(secs(30));
    assert!(tried(&sim).1.is_empty());
    sim.agree(0, 1);
}
