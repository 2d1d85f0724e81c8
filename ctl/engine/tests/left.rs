// SPDX-License-Identifier: GPL-2.0
//! Which of our addresses the older flows of a host have left, and when.

use ihmp_core::addr::Addr;
use ihmp_core::message::Control::{Ack, AddrDown, AddrUp};
use ihmp_engine::{Age, Local};
use ihmp_sim::{addr, secs, Sim};

const A1: &str = "192.0.2.1";
const A2: &str = "198.51.100.2";
const A3: &str = "203.0.113.3";
const B1: &str = "10.9.0.1";
const A61: &str = "2001:db8:a1::1";
const A62: &str = "2001:db8:a2::1";
const B61: &str = "2001:db8:b1::1";

/// What the kernel of the first node has of its own addresses, towards the second.
fn local(sim: &Sim) -> Vec<Local> {
    let mut local = sim.row(0, 1).record.local.clone();
    local.sort_by_key(|local| local.addr);
    local
}

/// Those that were left.
fn left(sim: &Sim) -> Vec<Addr> {
    let left = local(sim).into_iter().filter(|local| local.left);
    left.map(|local| local.addr).collect()
}

fn addrs(texts: &[&str]) -> Vec<Addr> {
    let mut addrs: Vec<Addr> = texts.iter().map(|text| addr(text)).collect();
    addrs.sort();
    addrs
}

/// The preference of an own address.
fn preference(sim: &Sim, of: &str) -> u16 {
    let of = addr(of);
    let local = local(sim).into_iter().find(|local| local.addr == of);
    local.map(|local| local.preference).unwrap()
}

/// The own address that packets leave from which do not stay at home, as the module chooses.
fn best(sim: &Sim) -> Option<Addr> {
    let rank = |local: &Local| (local.unvalidated, local.left, local.preference);
    let best = local(sim).into_iter().min_by_key(rank);
    best.map(|local| local.addr)
}

/// Another device becomes the preferred one: that of the address that is named last.
fn prefer(sim: &mut Sim, address: &str) {
    sim.change(0, &[address], &[address]);
    sim.run(secs(2));
}

#[test]
fn who_has_several_networks_from_the_start_has_left_none() {
    // The peer greets the address that the routes do not prefer, and the other one becomes known later.
    for first in [A1, A2] {
        let mut sim = Sim::new(1, ihmp_sim::FAIR);
        sim.add(&[A1, A2]);
        sim.add(&[B1]);
        sim.flow(1, B1, first);
        sim.run(secs(2));
        let second = if first == A1 { A2 } else { A1 };
        sim.flow(1, B1, second);
        sim.run(secs(60));
        assert_eq!(left(&sim), []);
    }
}

#[test]
fn what_is_left_is_home_again_when_its_device_is_preferred_again() {
    for (first, second, peer) in [(A1, A2, B1), (A61, A62, B61)] {
        let mut sim = Sim::pair(&[first], &[peer]);
        sim.change(0, &[], &[second]);
        sim.run(secs(2));
        assert_eq!(sim.sent(), [AddrUp, Ack]);
        assert_eq!(left(&sim), addrs(&[first]));
        prefer(&mut sim, first);
        assert_eq!(left(&sim), addrs(&[second]));
        prefer(&mut sim, second);
        assert_eq!(left(&sim), addrs(&[first]));
        // It says nothing to the peer but what it has to know.
        assert_eq!(sim.sent(), []);
        sim.agree(0, 1);
    }
}

#[test]
fn another_address_of_the_same_device_is_no_move() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.devices = addrs(&[A1, A2, A3])
        .into_iter()
        .map(|addr| (addr, 7))
        .collect();
    sim.network(0);
    sim.run(secs(1));
    sim.change(0, &[], &[A2]);
    sim.run(secs(2));
    assert_eq!((left(&sim), preference(&sim, A2)), (vec![], 0));
    // Nor is it one when the former one goes, or when it moves to another device and back.
    sim.change(0, &[A1], &[A3]);
    sim.run(secs(2));
    assert_eq!(left(&sim), []);
}

#[test]
fn a_network_that_does_not_work_is_not_moved_to() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.blocked.insert((addr(A2), addr(B1)));
    sim.change(0, &[], &[A2]);
    for _ in 0..60 {
        sim.run(secs(1));
        // The routing tables lead there, so packets are kept where they were.
        assert_eq!(left(&sim), addrs(&[A1]));
        assert_eq!(best(&sim), Some(addr(A1)));
    }
    // It goes and comes back, and is tried as if it were new.
    sim.change(0, &[A2], &[]);
    sim.run(secs(2));
    assert_eq!(left(&sim), []);
    sim.change(0, &[], &[A2]);
    sim.run(secs(60));
    assert_eq!(left(&sim), addrs(&[A1]));
    // It begins to work, and is tried again within a minute.
    sim.blocked.clear();
    sim.run(secs(90));
    assert_eq!((left(&sim), best(&sim)), (addrs(&[A1]), Some(addr(A2))));
    sim.agree(0, 1);
}

#[test]
fn a_network_that_does_not_work_costs_few_messages() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.blocked.insert((addr(A2), addr(B1)));
    sim.change(0, &[], &[A2]);
    sim.run(secs(300));
    sim.sent();
    sim.run(secs(600));
    let sent = sim.sent().len();
    assert!((1..=90).contains(&sent), "{sent}");
    // Nothing is tried when nobody waits for it any more.
    prefer(&mut sim, A1);
    sim.run(secs(60));
    sim.sent();
    sim.run(secs(600));
    assert_eq!(sim.sent(), []);
}

#[test]
fn a_hard_move_is_made_at_once() {
    let mut sim = Sim::pair(&[A1, A2], &[B1]);
    sim.blocked.insert((addr(A2), addr(B1)));
    sim.change(0, &[A1], &[]);
    // Nobody has heard yet.
    let now = local(&sim);
    assert_eq!(
        (now.len(), now[0].addr, now[0].preference),
        (1, addr(A2), 0)
    );
    assert!(now[0].unvalidated && !now[0].left);
}

#[test]
fn what_comes_back_is_used_when_the_peer_has_heard_of_it() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.change(0, &[A1], &[A2]);
    sim.run(secs(2));
    sim.blocked.insert((addr(A1), addr(B1)));
    sim.change(0, &[], &[A1]);
    sim.run(secs(1));
    // Flows that began there stay where they went, and leave by the device that they went to.
    assert_eq!(left(&sim), addrs(&[A1, A2]));
    assert_eq!(best(&sim), Some(addr(A2)));
    sim.blocked.clear();
    sim.run(secs(5));
    assert_eq!(left(&sim), addrs(&[A2]));
    assert!(preference(&sim, A1) < preference(&sim, A2));
}

#[test]
fn what_comes_back_and_is_not_preferred_serves_what_began_there() {
    let mut sim = Sim::pair(&[A1, A2], &[B1]);
    prefer(&mut sim, A2);
    sim.change(0, &[A1], &[]);
    sim.run(secs(2));
    // A1 is there again, and A2 the newest.
    sim.change(0, &[A2], &[A1, A2]);
    sim.run(secs(5));
    assert_eq!(left(&sim), []);
    sim.agree(0, 1);
}

#[test]
fn what_was_left_and_went_is_home_again_when_it_comes_back() {
    // A1 and A3 have one device, A2 another.
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.devices = [(addr(A1), 7), (addr(A3), 7), (addr(A2), 8)].into();
    sim.network(0);
    sim.run(secs(1));
    sim.change(0, &[], &[A2]);
    sim.run(secs(2));
    assert_eq!(left(&sim), addrs(&[A1]));
    for (lost, gained) in [(A1, None), (A2, Some(A3)), (A3, Some(A1))] {
        let gained: Vec<&str> = gained.into_iter().collect();
        sim.change(0, &[lost], &gained);
        sim.run(secs(2));
    }
    assert_eq!((left(&sim), best(&sim)), (vec![], Some(addr(A1))));
    sim.agree(0, 1);
}

#[test]
fn what_was_left_is_better_than_what_nobody_has_heard_of() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.change(0, &[], &[A2]);
    sim.run(secs(2));
    assert_eq!(left(&sim), addrs(&[A1]));
    sim.blocked.insert((addr(A3), addr(B1)));
    sim.change(0, &[A2], &[A3]);
    sim.run(secs(1));
    assert_eq!(left(&sim), addrs(&[A1]));
    assert_eq!(best(&sim), Some(addr(A1)));
}

#[test]
fn marks_outlive_the_agent() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.change(0, &[], &[A2]);
    sim.run(secs(2));
    assert_eq!(left(&sim), addrs(&[A1]));
    sim.restart(0);
    sim.run(secs(10));
    assert_eq!(left(&sim), addrs(&[A1]));
    prefer(&mut sim, A1);
    assert_eq!(left(&sim), addrs(&[A2]));
    // A move that nobody saw is one all the same.
    sim.nodes[0].engine = None;
    sim.change(0, &[A2], &[A2]);
    sim.restart(0);
    sim.run(secs(10));
    assert_eq!(left(&sim), addrs(&[A1]));
}

#[test]
fn what_leaves_by_another_device_is_proven_again() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.change(0, &[], &[A2]);
    sim.run(secs(2));
    sim.sent();
    sim.devices.insert(addr(A1), 9);
    sim.network(0);
    sim.run(secs(1));
    assert_eq!(sim.sent(), [AddrUp, Ack]);
    sim.agree(0, 1);
}

#[test]
fn who_loses_a_device_does_not_wait_for_an_address_of_none() {
    // A1 is an address of no network, which left by the device of A2 and is not reached by another one.
    let mut sim = Sim::pair(&[A1, A2], &[B1]);
    sim.devices = [(addr(A1), 7), (addr(A2), 7), (addr(A3), 8)].into();
    sim.network(0);
    prefer(&mut sim, A2);
    sim.blocked.insert((addr(B1), addr(A1)));
    sim.devices.insert(addr(A1), 8);
    sim.change(0, &[A2], &[A3]);
    sim.run(secs(1));
    let active = sim.row(1, 0).record.active.clone();
    assert!(active.contains(&addr(A3)), "{active:?}");
    let best = local(&sim).into_iter().min_by_key(|local| local.preference);
    assert_eq!(
        best.map(|best| (best.addr, best.unvalidated)),
        Some((addr(A3), false))
    );
}

#[test]
fn a_deprecated_address_is_left_for_another_one() {
    for age in [Age::Deprecated, Age::Rotated] {
        let mut sim = Sim::pair(&[A1], &[B1]);
        sim.devices = addrs(&[A1, A2]).into_iter().map(|addr| (addr, 7)).collect();
        sim.network(0);
        sim.run(secs(1));
        sim.sent();
        // There is no other.
        sim.aged.insert(addr(A1), age);
        sim.network(0);
        sim.run(secs(1));
        assert_eq!((left(&sim), sim.sent()), (vec![], vec![]));
        sim.change(0, &[], &[A2]);
        assert_eq!(left(&sim), []);
        sim.run(secs(1));
        assert_eq!(sim.sent(), [AddrUp, Ack]);
        // A temporary address that another one replaces keeps what began there.
        let worn = if age == Age::Deprecated {
            addrs(&[A1])
        } else {
            vec![]
        };
        assert_eq!(left(&sim), worn, "{age:?}");
        assert!(preference(&sim, A2) < preference(&sim, A1));
        sim.change(0, &[A1], &[]);
        sim.run(secs(1));
        assert_eq!(sim.sent(), [AddrDown, Ack]);
        sim.agree(0, 1);
    }
}

#[test]
fn an_address_that_was_never_preferred_is_not_told_and_keeps_its_flows() {
    let mut sim = Sim::new(1, ihmp_sim::FAIR);
    sim.aged.insert(addr(A2), Age::Deprecated);
    sim.add(&[A1, A2]);
    sim.add(&[B1]);
    sim.flow(0, A1, B1);
    sim.run(secs(2));
    assert_eq!(sim.row(1, 0).record.unreachable, []);
    assert_eq!(sim.row(1, 0).record.active, addrs(&[A1]));
    // Who asks for it is answered.
    sim.flow(1, B1, A2);
    sim.run(secs(2));
    assert_eq!(local(&sim).len(), 2);
    assert_eq!(left(&sim), []);
    sim.agree(0, 1);
}
