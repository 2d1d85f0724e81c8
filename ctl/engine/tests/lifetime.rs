// SPDX-License-Identifier: GPL-2.0
//! What is forgotten, and when: hosts that nobody needs, former addresses, hosts to which nothing leads.

use ihmp_sim as sim;

use ihmp_core::message::Control::*;
use ihmp_engine::{Input, Limits, Note, Traffic};
use sim::{addr, secs, Sim, BUSY, FAIR};

const A1: &str = "192.0.2.1";
const A2: &str = "198.51.100.2";
const B1: &str = "10.9.0.1";
const B2: &str = "10.8.0.2";

fn id(sim: &Sim, at: usize) -> u32 {
    *sim.nodes[at].kernel.rows.keys().next().unwrap()
}

/// The last flow of a node's host ends now.
fn close(sim: &mut Sim, at: usize) {
    let id = id(sim, at);
    let last = sim.now;
    sim.nodes[at].kernel.idle_since.insert(id, last);
}

fn rows(sim: &Sim, at: usize) -> usize {
    sim.nodes[at].kernel.rows.len()
}

#[test]
fn host_without_flows_is_forgotten_after_five_minutes() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.run(secs(1_000));
    let gone = |note: &Note| matches!(note, Note::Gone { .. });
    assert_eq!(rows(&sim, 0), 1);
    close(&mut sim, 0);
    sim.run(secs(299));
    assert_eq!((rows(&sim, 0), rows(&sim, 1)), (1, 1));
    // It is looked for every five minutes, and a quarter more.
    sim.run(secs(80));
    assert_eq!((rows(&sim, 0), rows(&sim, 1)), (0, 1));
    assert_eq!((sim.noted(0, gone), sim.noted(1, gone)), (1, 0));
    assert_eq!(sim.sent(), []);
    // The other end still has it. When it moves they get to know each other again, with the same keys.
    sim.change(1, &[B1], &[B2]);
    sim.run(secs(5));
    sim.agree(0, 1);
    sim.hand_off(0, &[A1], &[A2]);
}

#[test]
fn host_with_an_idle_flow_stays() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    let id = id(&sim, 0);
    let idle = Traffic {
        idle: secs(100_000),
        ..BUSY
    };
    sim.nodes[0].kernel.traffic.insert(id, idle);
    sim.run(secs(10_000));
    assert_eq!(rows(&sim, 0), 1);
    sim.hand_off(0, &[A1], &[A2]);
}

#[test]
fn host_that_gets_a_flow_again_stays() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    for _ in 0..5 {
        close(&mut sim, 0);
        sim.run(secs(290));
        sim.nodes[0].kernel.idle_since.clear();
        sim.run(secs(290));
        assert_eq!(rows(&sim, 0), 1);
    }
}

#[test]
fn administrators_and_adopted_hosts() {
    for named in [false, true] {
        let mut sim = Sim::pair(&[A1], &[B1]);
        if named {
            let mut rows = sim.nodes[0].kernel.rows.values_mut();
            rows.next().unwrap().name = Some("by-hand".into());
        }
        sim.restart(0);
        close(&mut sim, 0);
        sim.run(secs(1_000));
        assert_eq!(rows(&sim, 0), usize::from(named));
    }
}

#[test]
fn both_forget_and_meet_again() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    for at in [0, 1] {
        close(&mut sim, at);
    }
    sim.run(secs(1_000));
    assert_eq!((rows(&sim, 0), rows(&sim, 1)), (0, 0));
    for at in [0, 1] {
        sim.nodes[at].kernel.idle_since.clear();
    }
    sim.flow(1, B1, A1);
    sim.run(secs(2));
    sim.agree(0, 1);
    sim.hand_off(0, &[A1], &[A2]);
}

#[test]
fn former_address_names_a_host_for_ten_minutes() {
    // A copy of what the client said at its first address tells: there the host is known, or not.
    for (after, named) in [(590, true), (610, false)] {
        let mut sim = Sim::new(1, FAIR);
        for local in [A1, B1] {
            let policy = ihmp_engine::Policy::Unsigned;
            let at = sim.add_believing(&[local], Limits::default(), policy);
            sim.nodes[at].store.own.clear();
            sim.rekey(at);
        }
        sim.flow(0, A1, B1);
        sim.run(secs(1));
        sim.change(0, &[A1], &[A2]);
        sim.run(secs(after));
        let old = sim.wire.iter().find(|sent| sent.2[0] == Handoff.number());
        let mut bytes = old.unwrap().2.clone();
        bytes[0] = AddrDown.number();
        // Host ID: the former address. From where nobody is.
        let from = addr("203.0.113.66");
        for (at, of) in [(20, from), (36, addr(A1))] {
            bytes[at..at + 16].copy_from_slice(&of.octets());
        }
        sim.inject(1, from, addr(B1), &bytes[..52]);
        let refusals = sim.nodes[1].engine.as_ref().unwrap().refusals();
        let unknown = refusals.contains_key("unknown-host");
        assert_eq!(unknown, !named, "{refusals:?}");
    }
}

#[test]
fn late_answer_of_the_kernel_harms_nobody() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    let id = id(&sim, 0);
    sim.nodes[0].kernel.take(id);
    sim.give(0, Input::Removed { id });
    let traffic = Traffic::default();
    sim.give(0, Input::Traffic { id, traffic });
    assert_eq!(rows(&sim, 0), 0);
}
