// SPDX-License-Identifier: GPL-2.0
//! Networks that fail without an event.

use ihmp_sim as sim;

use ihmp_core::addr::Addr;
use ihmp_core::message::Control::{self, *};
use ihmp_engine::{Input, Local, Note};
use sim::{addr, ms, secs, Sim};

const WIFI: &str = "192.0.2.1";
const LTE: &str = "198.51.100.2";
const C: &str = "10.9.0.1";
const C2: &str = "10.8.0.1";

/// Node 0 has two networks, the second of which is the reserve; node 1 knows both.
fn two_networks(server: &[&str]) -> Sim {
    let mut sim = Sim::pair(&[WIFI], &[server[0]]);
    for (at, other) in server.iter().skip(1).map(|other| (1, *other)) {
        sim.change(at, &[], &[other]);
    }
    sim.run(secs(1));
    sim.change(0, &[WIFI], &[]);
    sim.change(0, &[], &[LTE, WIFI]);
    sim.run(secs(60));
    sim.sent();
    sim.agree(0, 1);
    assert_eq!(locals(&sim), [(addr(WIFI), false), (addr(LTE), false)]);
    sim
}

/// Own addresses for the kernel of node 0, best first, and whether they are unvalidated.
fn locals(sim: &Sim) -> Vec<(Addr, bool)> {
    let local = &sim.row(0, 1).record.local;
    let mut local: Vec<&Local> = local.iter().collect();
    local.sort_by_key(|local| (local.unvalidated, local.preference));
    local
        .iter()
        .map(|local| (local.addr, local.unvalidated))
        .collect()
}

fn active(sim: &Sim, at: usize, of: usize) -> Vec<Addr> {
    sim.row(at, of).record.active.clone()
}

/// Nothing passes between two addresses, in either direction; or again.
fn cut(sim: &mut Sim, one: &str, other: &str, cut: bool) {
    for pair in [(addr(one), addr(other)), (addr(other), addr(one))] {
        match cut {
            true => sim.blocked.insert(pair),
            false => sim.blocked.remove(&pair),
        };
    }
}

/// The module of a node says that nothing comes back.
fn silent(sim: &mut Sim, at: usize, local: &str, remote: &str) {
    let id = *sim.nodes[at].kernel.rows.keys().next().unwrap();
    let (local, remote) = (addr(local), addr(remote));
    sim.give(at, Input::Silent { id, local, remote });
}

fn noted(sim: &Sim, at: usize, name: &str) -> usize {
    sim.noted(at, |note| {
        note.to_string().starts_with(&format!("event={name} "))
    })
}

#[test]
fn dead_network_is_left_for_one_that_works() {
    let mut sim = two_networks(&[C]);
    cut(&mut sim, WIFI, C, true);
    silent(&mut sim, 0, WIFI, C);
    // Four sends, one and a half round trips apart or 100 ms at least.
    sim.run(ms(450));
    assert_eq!(locals(&sim), [(addr(LTE), false)]);
    assert_eq!(noted(&sim, 0, "path-dead"), 1);
    sim.run(ms(100));
    assert_eq!(active(&sim, 1, 0), [addr(LTE)]);
    let sent = sim.sent();
    assert_eq!(sent.iter().filter(|kind| **kind == PathProbe).count(), 5);
    assert!(sent.contains(&AddrDown), "{sent:?}");
}

#[test]
fn network_that_works_is_not_left() {
    let mut sim = two_networks(&[C]);
    silent(&mut sim, 0, WIFI, C);
    sim.run(secs(3));
    assert_eq!(sim.sent(), [PathProbe, Ack]);
    assert_eq!(locals(&sim), [(addr(WIFI), false), (addr(LTE), false)]);
    // Once a second, however often the module says so.
    for _ in 0..100 {
        silent(&mut sim, 0, WIFI, C);
        sim.run(ms(20));
    }
    assert_eq!(sim.sent(), [PathProbe, Ack, PathProbe, Ack]);
}

#[test]
fn nothing_is_asked_where_there_is_no_other_path() {
    let mut sim = Sim::pair(&[WIFI], &[C]);
    silent(&mut sim, 0, WIFI, C);
    sim.run(secs(1));
    assert_eq!(sim.sent(), [] as [Control; 0]);
}

#[test]
fn peer_that_is_gone_is_gone_on_every_path() {
    let mut sim = two_networks(&[C]);
    cut(&mut sim, WIFI, C, true);
    cut(&mut sim, LTE, C, true);
    let before = locals(&sim);
    for _ in 0..60 {
        silent(&mut sim, 0, WIFI, C);
        sim.run(secs(1));
    }
    assert_eq!(locals(&sim), before);
    assert_eq!(noted(&sim, 0, "path-dead"), 0);
    // The pauses double: six checks of eight probes at most in a minute.
    let sent = sim.sent();
    assert!(sent.len() <= 56, "{}", sent.len());
}

#[test]
fn network_that_works_again_is_used_again() {
    for seconds in [1, 3, 10, 60] {
        let mut sim = two_networks(&[C]);
        cut(&mut sim, WIFI, C, true);
        silent(&mut sim, 0, WIFI, C);
        sim.run(secs(seconds));
        assert_eq!(locals(&sim).first(), Some(&(addr(LTE), false)), "{seconds}");
        cut(&mut sim, WIFI, C, false);
        let restored = sim.now;
        sim.run_until_noted(0, |note| matches!(note, Note::PathBack { .. }));
        let late = sim.now.since(restored).as_millis();
        assert!(late < 5_000.max(seconds * 400), "{seconds}: {late}");
        sim.run(secs(1));
        assert_eq!(locals(&sim), [(addr(WIFI), false), (addr(LTE), false)]);
        assert!(active(&sim, 1, 0).contains(&addr(WIFI)));
        sim.agree(0, 1);
    }
}

#[test]
fn dead_network_is_used_when_the_other_one_goes() {
    let mut sim = two_networks(&[C]);
    cut(&mut sim, WIFI, C, true);
    silent(&mut sim, 0, WIFI, C);
    sim.run(secs(2));
    assert_eq!(noted(&sim, 0, "path-dead"), 1);
    cut(&mut sim, WIFI, C, false);
    sim.change(0, &[LTE], &[]);
    sim.run(secs(1));
    assert_eq!(locals(&sim), [(addr(WIFI), false)]);
    assert_eq!(active(&sim, 1, 0), [addr(WIFI)]);
}

#[test]
fn who_only_sends_leaves_a_dead_network_of_the_peer() {
    let mut sim = two_networks(&[C]);
    cut(&mut sim, WIFI, C, true);
    silent(&mut sim, 1, C, WIFI);
    sim.run(ms(450));
    assert_eq!(active(&sim, 1, 0), [addr(LTE)]);
    // The peer finds that its acknowledgements do not arrive.
    silent(&mut sim, 0, WIFI, C);
    sim.run(secs(1));
    assert_eq!(noted(&sim, 0, "path-dead"), 1);
    assert_eq!(locals(&sim).first(), Some(&(addr(LTE), false)));
    cut(&mut sim, WIFI, C, false);
    sim.run(secs(20));
    assert!(active(&sim, 1, 0).contains(&addr(WIFI)));
    // It has not lied: its next hand-off is believed at once.
    sim.sent();
    sim.change(0, &[WIFI, LTE], &["203.0.113.7"]);
    sim.run(ms(200));
    assert_eq!(active(&sim, 1, 0), [addr("203.0.113.7")]);
    assert_eq!(sim.sent(), [Handoff, Ack]);
}

#[test]
fn dead_network_of_the_server_is_left_by_both() {
    let mut sim = two_networks(&[C, C2]);
    for here in [WIFI, LTE] {
        cut(&mut sim, here, C, true);
    }
    silent(&mut sim, 0, WIFI, C);
    sim.run(secs(2));
    assert!(
        !active(&sim, 0, 1).contains(&addr(C)),
        "{:?}",
        active(&sim, 0, 1)
    );
    assert_eq!(locals(&sim), [(addr(WIFI), false), (addr(LTE), false)]);
}
