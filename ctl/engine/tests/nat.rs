// SPDX-License-Identifier: GPL-2.0
//! NATs that know nothing of IHMP, and those that do: a host moves in and out, begins behind one, shares one with others.

use ihmp_sim as sim;

use ihmp_core::message::Control::{self, *};
use ihmp_core::message::{Message, Options};
use ihmp_engine::{Note, State};
use sim::nat::Nat;
use sim::{addr, ms, secs, Sim, FAIR};

const A1: &str = "192.0.2.1";
const A2: &str = "198.51.100.2";
const B1: &str = "203.0.113.9";
const B2: &str = "203.0.113.10";
const P1: &str = "192.168.1.7";
const P2: &str = "192.168.1.8";
const N: &str = "198.51.100.77";

/// A machine outside and one that knows it; the first one will be behind a NAT at its address `P1`.
fn pair(aware: bool) -> Sim {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.nats.push(Nat::new(addr(N), addr(P1), 0, aware));
    sim
}

/// Flags of the last ACK that a machine got from there.
fn flags(sim: &Sim, from: &str) -> Options {
    let ack = |wire: &&(_, _, Vec<u8>)| wire.0 == addr(from) && wire.2[0] == Ack.number();
    let (.., bytes) = sim.wire.iter().rfind(ack).unwrap();
    Message::parse(bytes).unwrap().options
}

fn local(sim: &Sim, at: usize, id: u32) -> Vec<(String, bool, bool)> {
    let row = &sim.nodes[at].kernel.rows[&id];
    let of = |local: &ihmp_engine::Local| (local.addr.to_string(), local.unvalidated, local.nat);
    row.record.local.iter().map(of).collect()
}

/// Active and unreachable addresses, and those of NATs, of the first host at a machine.
fn sets(sim: &Sim, at: usize) -> [Vec<String>; 3] {
    let row = sim.nodes[at].kernel.rows.values().next().unwrap();
    let text = |list: &[ihmp_core::addr::Addr]| list.iter().map(ToString::to_string).collect();
    [
        text(&row.record.active),
        text(&row.record.nats),
        text(&row.record.unreachable),
    ]
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

fn assert_sets(sim: &Sim, at: usize, active: &[&str], nats: &[&str], unreachable: &[&str]) {
    let expected = [strings(active), strings(nats), strings(unreachable)];
    assert_eq!(sets(sim, at), expected);
}

#[test]
fn softly_behind_a_legacy_nat_and_back() {
    let mut sim = pair(false);
    sim.change(0, &[], &[P1]);
    sim.run(secs(1));
    assert_eq!(sim.sent(), [AddrUp, Ack, Hello, Ack]);
    assert!(flags(&sim, B1).has(Options::NAT_DETECTED));
    assert_sets(&sim, 1, &[A1], &[], &[P1]);
    let both = [(P1.to_owned(), false, true), (A1.to_owned(), false, false)];
    assert_eq!(local(&sim, 0, 1), both);
    sim.agree(0, 1);
    // Nothing more is said, and the other end may still move.
    sim.run(secs(60));
    assert_eq!(sim.sent(), []);
    sim.change(1, &[B1], &[B2]);
    sim.run(secs(1));
    assert_eq!(sim.sent(), [Handoff, Ack]);
    sim.agree(0, 1);
    sim.change(0, &[P1], &[]);
    sim.run(secs(1));
    assert_eq!(sim.sent(), [AddrDownUnreachable, Ack]);
    assert_sets(&sim, 1, &[A1], &[], &[]);
    sim.agree(0, 1);
    sim.hand_off(0, &[A1], &[A2]);
}

#[test]
fn hard_behind_a_legacy_nat_and_out_again() {
    for gap in [false, true] {
        let mut sim = pair(false);
        if gap {
            sim.change(0, &[A1], &[]);
            sim.run(secs(7));
            sim.change(0, &[], &[P1]);
        } else {
            sim.change(0, &[A1], &[P1]);
        }
        sim.run(secs(1));
        assert_eq!(sim.sent(), [Handoff, Ack, Hello, Ack]);
        assert_sets(&sim, 1, &[], &[], &[P1]);
        assert_eq!(local(&sim, 0, 1), [(P1.to_owned(), false, true)]);
        sim.run(secs(120));
        assert_eq!(sim.sent(), []);
        // Out at once, or with a gap.
        if gap {
            sim.change(0, &[P1], &[]);
            sim.run(secs(7));
            assert_eq!(sim.sent(), []);
            sim.change(0, &[], &[A2]);
        } else {
            sim.change(0, &[P1], &[A2]);
        }
        sim.run(secs(1));
        assert_eq!(sim.sent(), [Handoff, Ack]);
        sim.agree(0, 1);
        assert_sets(&sim, 1, &[A2], &[], &[]);
        sim.hand_off(0, &[A2], &[A1]);
    }
}

#[test]
fn the_last_other_address_goes_and_a_legacy_nat_is_left() {
    for forgets in [false, true] {
        let mut sim = pair(false);
        sim.change(0, &[], &[P1]);
        sim.run(secs(1));
        sim.sent();
        if forgets {
            sim.nats[0].forget();
        }
        sim.change(0, &[A1], &[]);
        sim.run(secs(2));
        let said = match forgets {
            false => vec![AddrDown, Ack],
            // From another port it is another endpoint, which has to be proven first.
            true => vec![AddrDown, Ack, Hello, Ack],
        };
        assert_eq!(sim.sent(), said);
        assert_sets(&sim, 1, &[], &[], &[P1]);
        sim.change(0, &[], &[A2]);
        sim.run(secs(1));
        sim.agree(0, 1);
        assert_sets(&sim, 1, &[A2], &[], &[P1]);
    }
}

#[test]
fn what_begins_behind_a_legacy_nat_is_left_alone() {
    for discovered in [false, true] {
        let mut sim = Sim::new(1, FAIR);
        sim.add(&[P1]);
        sim.add(&[B1]);
        sim.nats.push(Nat::new(addr(N), addr(P1), 0, false));
        sim.flow(0, P1, B1);
        if discovered {
            sim.run(ms(45));
            sim.flow(1, B1, N);
        }
        sim.run(secs(1));
        let said = sim.sent();
        let ours: Vec<Control> = said.into_iter().take(4 + usize::from(discovered)).collect();
        let count = |kind| ours.iter().filter(|sent| **sent == kind).count();
        assert_eq!((count(Hello), count(Ack)), (2 + usize::from(discovered), 2));
        let hello = |wire: &&(_, _, Vec<u8>)| wire.0 == addr(P1) && wire.2[0] == 0;
        let last = sim.wire.iter().rfind(hello).unwrap();
        let forced = Options::NAT_FORCED.with(Options::INCORRECT_SEQNO);
        assert!(Message::parse(&last.2).unwrap().options.has(forced));
        let row = &sim.nodes[0].kernel.rows[&1].record;
        assert_eq!(row.state, State::Classic);
        let because = |wanted: &'static str| move |note: &Note| matches!(note, Note::Classic { reason, .. } if *reason == wanted);
        assert_eq!(sim.noted(0, because("nat")), 1);
        let rows: Vec<State> = sim.nodes[1]
            .kernel
            .rows
            .values()
            .map(|row| row.record.state)
            .collect();
        if discovered {
            assert_eq!(rows, [State::Classic]);
            assert_eq!(sim.noted(1, because("nat-forced")), 1);
        } else {
            assert!(rows.is_empty());
        }
        sim.run(secs(30));
        // Elsewhere it is asked again, and can move.
        sim.sent();
        sim.change(0, &[P1], &[A1]);
        assert!(sim.nodes[0].kernel.rows.is_empty());
        sim.flow(0, A1, B1);
        sim.run(secs(1));
        sim.agree(0, 1);
        sim.hand_off(0, &[A1], &[A2]);
    }
}

#[test]
fn into_an_aware_nat_and_out_again() {
    for soft in [false, true] {
        let mut sim = pair(true);
        let (lose, kept): (&[&str], &[&str]) = if soft { (&[], &[A1]) } else { (&[A1], &[]) };
        sim.change(0, lose, &[P1]);
        sim.run(secs(1));
        let first = if soft { AddrUp } else { Handoff };
        assert_eq!(sim.sent(), [first, Ack, Hello, Ack]);
        assert_sets(&sim, 1, kept, &[N], &[P1]);
        assert!(local(&sim, 0, 1).contains(&(P1.to_owned(), false, false)));
        // What else there is to say passes the NAT at once.
        sim.change(1, &[], &[B2]);
        sim.run(secs(1));
        let said = sim.sent();
        if soft {
            assert_eq!(said, [AddrUp, Ack]);
        }
        sim.change(1, &[B2], &[]);
        sim.run(secs(30));
        sim.sent();
        sim.change(0, &[P1], if soft { &[] } else { &[A2] });
        sim.run(secs(1));
        let out = if soft { AddrDown } else { Handoff };
        assert_eq!(sim.sent(), [out, Ack]);
        sim.agree(0, 1);
        let now = if soft { A1 } else { A2 };
        assert_sets(&sim, 1, &[now], &[], &[]);
    }
}

#[test]
fn an_aware_nat_is_kept_awake_while_there_are_flows() {
    let mut sim = pair(true);
    sim.change(0, &[A1], &[P1]);
    sim.run(secs(1));
    sim.sent();
    sim.run(secs(100));
    let said = sim.sent();
    let probes = said.iter().filter(|sent| **sent == PathProbe).count();
    assert!((4..=5).contains(&probes), "{said:?}");
    assert_eq!(said.len(), 2 * probes);
    // The other end can speak through it.
    sim.change(1, &[], &[B2]);
    sim.run(secs(30));
    sim.sent();
    sim.change(1, &[B2], &[]);
    sim.run(secs(2));
    assert!(sim.sent().contains(&Ack));
    // No longer than somebody needs it.
    let now = sim.now;
    sim.nodes[0].kernel.idle_since.insert(1, now);
    sim.run(secs(100));
    assert!(!sim.sent().contains(&PathProbe));
}

#[test]
fn a_nat_that_forgot_is_found_out_by_the_next_message() {
    let mut sim = pair(true);
    sim.change(0, &[A1], &[P1]);
    sim.run(secs(1));
    sim.sent();
    sim.nats[0].forget();
    sim.run(secs(27));
    assert_eq!(sim.sent(), [PathProbe, Ack, Hello, Ack]);
    assert_sets(&sim, 1, &[], &[N], &[P1]);
    sim.change(0, &[P1], &[A2]);
    sim.run(secs(1));
    sim.agree(0, 1);
}

#[test]
fn what_begins_behind_an_aware_nat_can_leave_it() {
    for discovered in [false, true] {
        let mut sim = Sim::new(1, FAIR);
        sim.add(&[P1]);
        sim.add(&[B1]);
        sim.nats.push(Nat::new(addr(N), addr(P1), 0, true));
        sim.flow(0, P1, B1);
        if discovered {
            sim.run(ms(45));
            sim.flow(1, B1, N);
        }
        sim.run(secs(1));
        let up = |row: &&sim::Row| row.record.state == State::Up;
        let rows = &sim.nodes[1].kernel.rows;
        let row = rows.values().find(up).unwrap();
        assert_eq!(row.record.nats, [addr(N)]);
        assert!(row.record.active.is_empty());
        assert_eq!(rows.len(), 1 + usize::from(discovered));
        if discovered {
            let classic = |row: &&sim::Row| row.record.state == State::Classic;
            assert_eq!(rows.values().filter(classic).count(), 1);
        }
        assert_eq!(local(&sim, 0, 1), [(P1.to_owned(), false, false)]);
        sim.change(0, &[P1], &[A1]);
        sim.run(secs(1));
        sim.agree(0, 1);
    }
}

#[test]
fn two_hosts_share_a_nat() {
    for aware in [false, true] {
        let mut sim = Sim::new(1, FAIR);
        sim.add(&[A1]);
        sim.add(&[B1]);
        sim.add(&[A2]);
        sim.flow(0, A1, B1);
        sim.flow(2, A2, B1);
        sim.run(secs(1));
        let mut nat = Nat::new(addr(N), addr(P1), 0, aware);
        nat.inside.insert(addr(P2), 2);
        sim.nats.push(nat);
        sim.change(0, &[A1], &[P1]);
        sim.change(2, &[A2], &[P2]);
        sim.run(secs(2));
        let rows: Vec<_> = sim.nodes[1].kernel.rows.values().collect();
        assert_eq!(rows.len(), 2);
        for row in rows {
            let nats: &[_] = if aware { &[addr(N)] } else { &[] };
            assert_eq!(row.record.nats, nats);
            assert!(row.record.active.is_empty());
        }
        // They know each other inside.
        sim.flow(0, P1, P2);
        sim.run(secs(1));
        sim.agree(0, 2);
        sim.change(0, &[P1], &[A1]);
        sim.change(2, &[P2], &[A2]);
        sim.run(secs(2));
        sim.agree(0, 1);
        sim.agree(2, 1);
    }
}

#[test]
fn agents_restart() {
    for aware in [false, true] {
        for hard in [false, true] {
            for at in [0, 1] {
                let mut sim = pair(aware);
                sim.change(0, if hard { &[A1] } else { &[] }, &[P1]);
                sim.run(secs(1));
                let before = sets(&sim, 1);
                sim.restart(at);
                sim.run(ms(10));
                assert_eq!(sets(&sim, 1), before, "aware {aware}, hard {hard}, at {at}");
                // A keep-alive makes up for what was not written down.
                sim.run(secs(60));
                assert_eq!(sim.nodes[1].kernel.rows.len(), 1);
                if aware || !hard || at == 0 {
                    assert_eq!(sets(&sim, 1), before, "aware {aware}, hard {hard}, at {at}");
                }
                sim.sent();
                sim.change(0, &[P1], if hard { &[A1] } else { &[] });
                sim.run(secs(10));
                sim.agree(0, 1);
                assert_eq!(sim.nodes[1].kernel.rows.len(), 1);
                sim.hand_off(0, &[A1], &[A2]);
            }
        }
    }
}
