// SPDX-License-Identifier: GPL-2.0
//! More addresses than a message can name, or than the kernel takes: those in use stay, and what does not fit is left alone.

use std::collections::BTreeSet;

use ihmp_sim as sim;

use ihmp_core::addr::Addr;
use ihmp_core::message::Control::*;
use ihmp_core::message::{Addresses, Message, Options};
use ihmp_engine::{Note, State};
use sim::{addr, ms, own_key, secs, Sim, FAIR};

const A1: &str = "192.0.2.1";
const A2: &str = "198.51.100.2";
/// Addresses in a message besides source, new and old one.
const TOLD: usize = 13;

/// The addresses of a host with many, in one of its networks.
fn many(network: u8, count: usize) -> Vec<String> {
    (1..=count)
        .map(|last| format!("203.0.{network}.{last}"))
        .collect()
}

fn texts(addresses: &[String]) -> Vec<&str> {
    addresses.iter().map(String::as_str).collect()
}

fn set(addresses: &[String]) -> BTreeSet<Addr> {
    addresses.iter().map(|text| addr(text)).collect()
}

/// What node `at` has of hosts in this state: the active addresses of each.
fn active(sim: &Sim, at: usize, state: State) -> Vec<BTreeSet<Addr>> {
    let rows = sim.nodes[at].kernel.rows.values();
    rows.filter(|row| row.record.state == state)
        .map(|row| row.record.active.iter().copied().collect())
        .collect()
}

/// The active addresses of the only host that takes part.
fn known(sim: &Sim, at: usize) -> BTreeSet<Addr> {
    let mut hosts = active(sim, at, State::Up);
    assert_eq!(hosts.len(), 1);
    hosts.remove(0)
}

/// Node 0 with one address, node 1 with so many.
fn stage(count: usize) -> Sim {
    let mut sim = Sim::new(1, FAIR);
    sim.add(&[A1]);
    sim.add(&texts(&many(1, count)));
    sim
}

#[test]
fn connections_to_all_of_forty_addresses() {
    // At once, and one after the other.
    for pause in [0, 300, 2_000] {
        for count in [10, 13, 14, 40] {
            let mut sim = stage(count);
            let all = many(1, count);
            let mut before = BTreeSet::new();
            for there in &all {
                sim.flow(0, A1, there);
                sim.run(ms(pause));
                let now = active(&sim, 0, State::Up).concat();
                assert!(before.is_subset(&now), "{before:?} {now:?}");
                before = now;
            }
            sim.run(secs(60));
            let first = known(&sim, 0);
            assert_eq!(first.len(), count.min(TOLD), "{count}");
            assert!(before.is_subset(&first));
            sim.agree(0, 1);
            // The others are left alone.
            let others = active(&sim, 0, State::Classic).concat();
            assert_eq!(others.len(), count - first.len());
            assert!(first.is_disjoint(&others));
            assert_eq!(count > TOLD, sim.refused(1, "address-limit") > 0);
            // It stays so: there are more flows, and the others are asked again after ten minutes.
            for _ in 0..4 {
                for there in &all {
                    sim.flow(0, A1, there);
                }
                sim.run(secs(400));
                assert_eq!(known(&sim, 0), first);
                sim.agree(0, 1);
            }
        }
    }
}

trait Concat {
    fn concat(self) -> BTreeSet<Addr>;
}

impl Concat for Vec<BTreeSet<Addr>> {
    fn concat(self) -> BTreeSet<Addr> {
        self.into_iter().flatten().collect()
    }
}

#[test]
fn host_with_forty_addresses_is_known_by_the_same_ones() {
    let mut sim = stage(40);
    let all = many(1, 40);
    // It begins itself, from an address that is not the first.
    sim.flow(1, &all[29], A1);
    sim.run(secs(2));
    assert_eq!(known(&sim, 0), BTreeSet::from([addr(&all[29])]));
    let claimed = sim.row(0, 1).record.unreachable.clone();
    assert_eq!(claimed.len(), TOLD - 1);
    sim.agree(0, 1);
    // Flows to others: none of those that are known goes for it.
    for (step, there) in [all[35].as_str(), &all[38], &all[39]]
        .into_iter()
        .enumerate()
    {
        sim.flow(0, A1, there);
        sim.run(secs(2));
        assert!(known(&sim, 0).contains(&addr(there)));
        assert_eq!(known(&sim, 0).len(), step + 2);
        sim.agree(0, 1);
    }
    let before = known(&sim, 0);
    // A message with a list changes nothing of it, whatever the order in which the agent names them.
    sim.sent();
    sim.nodes[1].local.reverse();
    sim.network(1);
    sim.run(secs(60));
    assert_eq!(known(&sim, 0), before);
    sim.hand_off(0, &[A1], &[A2]);
    sim.change(1, &[&all[0]], &[]);
    sim.run(secs(2));
    assert_eq!(known(&sim, 0), before);
    // Who goes is told of, and goes alone.
    sim.change(1, &[&all[38]], &[]);
    sim.run(secs(2));
    let mut after = before.clone();
    assert!(after.remove(&addr(&all[38])));
    assert_eq!(known(&sim, 0), after);
    sim.agree(0, 1);
}

#[test]
fn forty_addresses_that_come_later() {
    for one_by_one in [false, true] {
        let mut sim = stage(1);
        let all = many(1, 40);
        sim.flow(0, A1, &all[0]);
        sim.run(secs(1));
        sim.sent();
        let chunk = if one_by_one { 1 } else { 39 };
        let mut before = known(&sim, 0);
        for more in texts(&all)[1..].chunks(chunk) {
            sim.change(1, &[], more);
            sim.run(secs(2));
            let now = known(&sim, 0);
            assert!(before.is_subset(&now));
            before = now;
            sim.agree(0, 1);
        }
        assert_eq!(before.len(), TOLD);
        // Each of them is announced, and the others are not.
        let announced = sim.sent().into_iter().filter(|sent| *sent == AddrUp);
        assert_eq!(announced.count(), TOLD - 1);
        let left = sim.noted(1, |note| matches!(note, Note::LeftOut { .. }));
        assert_eq!(left, 40 - TOLD);
        // Flows to those that the peer was not told of are left alone, and take no other's place.
        for there in &all {
            sim.flow(0, A1, there);
        }
        sim.run(secs(60));
        assert_eq!(known(&sim, 0), before);
        assert_eq!(active(&sim, 0, State::Classic).len(), 40 - TOLD);
        sim.agree(0, 1);
    }
}

#[test]
fn host_with_forty_addresses_moves() {
    for soft in [false, true] {
        let mut sim = stage(40);
        let (old, new) = (many(1, 40), many(2, 40));
        for there in &old {
            sim.flow(0, A1, there);
        }
        sim.run(secs(30));
        assert_eq!(known(&sim, 0).len(), TOLD);
        if soft {
            // There is no room for the new ones before the old ones go.
            sim.change(1, &[], &texts(&new));
            sim.run(secs(2));
            assert!(known(&sim, 0).is_subset(&set(&old)));
            sim.change(1, &texts(&old), &[]);
        } else {
            sim.change(1, &texts(&old), &texts(&new));
        }
        sim.run(secs(5));
        let after = known(&sim, 0);
        assert!(
            !after.is_empty() && after.is_subset(&set(&new)),
            "{after:?}"
        );
        sim.agree(0, 1);
        sim.run(secs(60));
        assert_eq!(known(&sim, 0), after);
    }
}

#[test]
fn seventeenth_address_of_a_host_takes_no_other_place() {
    let mut sim = Sim::pair(&[A1], &["203.0.1.200"]);
    let all = many(1, 17);
    let key = own_key(1);
    let wall = sim.nodes[1].wall;
    let mut seqno = u16::from_be_bytes([sim.wire[0].2[2], sim.wire[0].2[3]]);
    let mut say = |sim: &mut Sim, control, from: &str, list: &[String]| {
        sim.run(ms(1));
        let mut addresses = Addresses::of(&[addr(from)]).unwrap();
        for there in list {
            assert!(addresses.push(addr(there)));
        }
        seqno = seqno.wrapping_add(1);
        let message = Message {
            control,
            options: Options::NONE,
            seqno,
            signature: None,
            host: addr("203.0.1.200"),
            addresses,
        };
        let bytes = key.seal(&message, addr(A1), wall + sim.now.as_nanos(), 0);
        sim.inject(0, addr(from), addr(A1), &bytes);
    };
    // It names fifteen of them in each message, and is seen at all of them.
    for from in &all[..15] {
        let others: Vec<String> = all[..15]
            .iter()
            .filter(|there| *there != from)
            .cloned()
            .collect();
        say(
            &mut sim,
            AddrUp,
            from,
            &[vec![from.clone()], others].concat(),
        );
    }
    say(&mut sim, PathProbe, &all[15], &[]);
    assert_eq!(known(&sim, 0), set(&all[..16]));
    say(&mut sim, PathProbe, &all[16], &[]);
    assert_eq!(known(&sim, 0), set(&all[..16]));
    assert_eq!(sim.refused(0, "address-limit"), 1);
}
