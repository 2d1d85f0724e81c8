// SPDX-License-Identifier: GPL-2.0
//! Two machines: greeting, moves, restarts, and what does not get through.

use ihmp_sim as sim;

use ihmp_core::addr::Addr;
use ihmp_core::message::Control::{self, *};
use ihmp_core::message::{Message, Options};
use ihmp_engine::{Limits, Note, Policy, Refusal, State};
use sim::{addr, ms, secs, Sim, Weather, FAIR};

const A1: &str = "192.0.2.1";
const A2: &str = "198.51.100.2";
const A3: &str = "203.0.113.3";
const B1: &str = "10.9.0.1";
const B2: &str = "10.8.0.2";
const A61: &str = "2001:db8:a1::1";
const A62: &str = "2001:db8:a2::1";
const B61: &str = "2001:db8:b1::1";

/// The addresses that a node holds for active at the other, sorted.
fn active(sim: &Sim, at: usize, of: usize) -> Vec<Addr> {
    let mut active = sim.row(at, of).record.active.clone();
    active.sort();
    active
}

/// Whether all entries take part: in bad weather, three HELLOs in a row may be lost.
fn all_up(sim: &Sim) -> bool {
    let mut rows = sim.nodes.iter().flat_map(|node| node.kernel.rows.values());
    rows.all(|row| row.record.state == State::Up)
}

/// A client and a server that know each other; only the client's module saw the flow.
/// The same without signatures, as the administrator may want it.
fn acquainted_unsigned(a: &[&str], b: &[&str]) -> Sim {
    let mut sim = Sim::new(1, FAIR);
    for local in [a, b] {
        let at = sim.add_believing(local, Limits::default(), Policy::Unsigned);
        sim.nodes[at].store.own.clear();
        sim.rekey(at);
    }
    sim.flow(0, a[0], b[0]);
    sim.run(ms(500));
    let told = [AddrUp, Ack];
    let more = |local: &[&str]| if local.len() > 1 { &told[..] } else { &[] };
    assert_eq!(sim.sent(), [&[Hello, Ack], more(a)].concat());
    // Who is greeted tells no more before the other has shown that it hears it.
    sim.run(secs(30));
    assert_eq!(sim.sent(), [&[PathProbe, Ack], more(b)].concat());
    sim.agree(0, 1);
    sim
}

#[test]
fn greeting_takes_an_exchange_and_two_with_signatures() {
    greeted(Sim::pair(&[A1, A2, A61], &[B1, B2]));
    greeted(acquainted_unsigned(&[A1, A2, A61], &[B1, B2]));
}

fn greeted(sim: Sim) {
    assert_eq!(active(&sim, 0, 1), [addr(B1)]);
    assert_eq!(active(&sim, 1, 0), [addr(A1)]);
    assert_eq!(sim.row(0, 1).record.unreachable, [addr(B2)]);
    let mut others = sim.row(1, 0).record.unreachable.clone();
    others.sort();
    let mut expected = vec![addr(A2), addr(A61)];
    expected.sort();
    assert_eq!(others, expected);
}

#[test]
fn glare_ends_in_one_entry_at_each_end() {
    for seed in 0..50 {
        glare(seed);
    }
}

fn glare(seed: u64) {
    let mut sim = Sim::new(
        seed,
        Weather {
            spread: ms(20),
            loss: seed % 30,
            ..FAIR
        },
    );
    sim.add(&[A1]);
    sim.add(&[B1]);
    sim.flow(0, A1, B1);
    sim.run(ms(seed % 40));
    sim.flow(1, B1, A1);
    sim.run(secs(10));
    if !all_up(&sim) {
        return;
    }
    sim.agree(0, 1);
    sim.weather = FAIR;
    sim.sent();
    sim.change(0, &[A1], &[A2]);
    sim.run(secs(1));
    assert_eq!(sim.sent(), [Handoff, Ack], "seed {seed}");
    sim.change(1, &[B1], &[B2]);
    sim.run(secs(1));
    assert_eq!(sim.sent(), [Handoff, Ack], "seed {seed}");
    sim.agree(0, 1);
}

#[test]
fn announcement_that_a_restart_interrupts_is_made_again() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.change(0, &[], &[A2]);
    // The peer has heard of it; its answer is on the way.
    sim.run(ms(40));
    sim.restart(0);
    sim.run(secs(10));
    sim.agree(0, 1);
}

#[test]
fn silent_peer_is_asked_three_times() {
    let mut sim = Sim::new(1, FAIR);
    sim.add(&[A1]);
    sim.flow(0, A1, B1);
    sim.run(secs(60));
    assert_eq!(sim.sent(), [Hello; 3]);
    let row = sim.nodes[0].kernel.rows.values().next().unwrap();
    assert_eq!(row.record.state, State::Classic);
    let left = row.expires.unwrap().since(sim.now).as_secs();
    assert!((540..=600).contains(&left), "{left}");
    // A move tells it nothing; after ten minutes it may be asked again.
    sim.change(0, &[A1], &[A2]);
    sim.run(secs(600));
    assert_eq!(sim.sent().len(), 0);
    assert!(sim.nodes[0].kernel.rows.is_empty());
    sim.flow(0, A2, B1);
    sim.run(secs(60));
    assert_eq!(sim.sent(), [Hello; 3]);
}

#[test]
fn classic_peer_that_greets_takes_part() {
    let mut sim = Sim::new(1, FAIR);
    sim.add(&[A1]);
    sim.flow(0, A1, B1);
    sim.run(secs(60));
    sim.add(&[B1]);
    sim.flow(1, B1, A1);
    sim.run(secs(1));
    sim.agree(0, 1);
    assert_eq!(sim.row(0, 1).expires, None);
}

#[test]
fn hard_move_takes_two_messages() {
    for mover in [0, 1] {
        let mut sim = Sim::pair(&[A1], &[B1]);
        let (old, new) = if mover == 0 { (A1, A2) } else { (B1, B2) };
        sim.change(mover, &[old], &[]);
        assert!(sim.row(mover, 1 - mover).record.local.is_empty());
        sim.run(secs(5));
        assert_eq!(sim.sent().len(), 0);
        sim.change(mover, &[], &[new]);
        // Data may follow the announcement at once.
        let local = &sim.row(mover, 1 - mover).record.local;
        assert_eq!((local[0].addr, local[0].unvalidated), (addr(new), true));
        sim.run(secs(5));
        assert_eq!(sim.sent(), [Handoff, Ack]);
        sim.agree(0, 1);
        assert_eq!(sim.row(1 - mover, mover).alias, [addr(old)]);
    }
}

#[test]
fn soft_move_takes_four_messages() {
    for mover in [0, 1] {
        let mut sim = Sim::pair(&[A1], &[B1]);
        let (old, new) = if mover == 0 { (A1, A2) } else { (B1, B2) };
        sim.change(mover, &[], &[new]);
        // Data stays where it is until the peer has heard of it.
        let local = sim.row(mover, 1 - mover).record.local.clone();
        let of = |text| local.iter().find(|local| local.addr == addr(text)).unwrap();
        assert!(of(new).unvalidated && !of(old).unvalidated);
        assert!(!of(new).left && of(old).left);
        sim.run(secs(5));
        assert_eq!(sim.sent(), [AddrUp, Ack]);
        sim.agree(0, 1);
        let local = sim.row(mover, 1 - mover).record.local.clone();
        let of = |text| local.iter().find(|local| local.addr == addr(text)).unwrap();
        assert!(of(new).preference < of(old).preference && !of(new).unvalidated);
        assert!(!of(new).left && of(old).left);
        sim.change(mover, &[old], &[]);
        sim.run(secs(5));
        assert_eq!(sim.sent(), [AddrDown, Ack]);
        sim.agree(0, 1);
    }
}

#[test]
fn address_replaced_in_one_batch_is_one_handoff() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.change(0, &[A1], &[A2]);
    sim.run(secs(5));
    assert_eq!(sim.sent(), [Handoff, Ack]);
    // Also with a third address that stays.
    sim.change(0, &[], &[A3]);
    sim.run(secs(5));
    sim.sent();
    sim.change(0, &[A2], &[A1]);
    sim.run(secs(5));
    assert_eq!(sim.sent(), [Handoff, Ack]);
    sim.agree(0, 1);
}

#[test]
fn added_then_removed_at_once_is_still_agreed_on() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.change(0, &[], &[A2]);
    sim.run(ms(1));
    sim.change(0, &[A1], &[]);
    sim.run(secs(5));
    assert_eq!(sim.sent(), [AddrUp, Handoff, Ack, Ack]);
    sim.agree(0, 1);
}

#[test]
fn address_that_comes_back_is_told() {
    for seconds in [1, 100] {
        let mut sim = Sim::pair(&[A1, A61], &[B1, B61]);
        sim.change(0, &[A1, A61], &[]);
        sim.run(secs(seconds));
        assert_eq!(sim.sent(), []);
        sim.change(0, &[], &[A1, A61]);
        sim.run(secs(1));
        assert_eq!(sim.sent(), [AddrUp, Ack]);
        assert_eq!(sim.row(1, 0).woken, 1);
        sim.agree(0, 1);
    }
}

#[test]
fn address_that_comes_back_with_another_agent_is_told() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    assert_eq!(sim.row(1, 0).woken, 0);
    sim.change(0, &[A1], &[]);
    sim.run(secs(10));
    sim.restart(0);
    sim.run(secs(10));
    sim.change(0, &[], &[A1]);
    sim.run(secs(1));
    assert_eq!(sim.row(1, 0).woken, 1);
    sim.agree(0, 1);
}

#[test]
fn agent_that_starts_anew_under_a_greeting_says_so() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    // The first one greets again, and hears no answer, but what the second one has to say after it.
    sim.restart(0);
    sim.blocked.insert((addr(B1), addr(A1)));
    sim.run(secs(1));
    sim.change(1, &[], &[B2]);
    let third = |note: &Note| {
        matches!(
            note,
            Note::Sent {
                control: Hello,
                attempt: 3,
                ..
            }
        )
    };
    sim.run_until_noted(0, third);
    assert_eq!(active(&sim, 0, 1), [addr(B2), addr(B1)]);
    // The second one hears that greeting before it can greet.
    sim.run(ms(20));
    sim.restart(1);
    sim.blocked.clear();
    sim.run(secs(5));
    sim.change(1, &[B1], &[]);
    sim.run(secs(5));
    assert_eq!(active(&sim, 0, 1), [addr(B2)]);
    sim.agree(0, 1);
}

#[test]
fn address_that_a_late_greeting_does_not_name_is_told_again() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.change(0, &[A1], &[]);
    sim.restart(1);
    sim.run(ms(900));
    // The second one does not know the number of this, and wants to be greeted: that is lost for a while.
    sim.change(0, &[], &[A2]);
    sim.run(ms(40));
    sim.blocked.insert((addr(A2), addr(B1)));
    sim.run(ms(100));
    sim.change(0, &[], &[A1]);
    let known = |note: &Note| matches!(note, Note::Acked { control: Hello, .. });
    sim.run_until_noted(1, known);
    // The greeting that comes now was made before the first address was there again.
    sim.blocked.clear();
    sim.run(secs(10));
    assert_eq!(active(&sim, 1, 0), [addr(A1), addr(A2)]);
    sim.agree(0, 1);
}

/// The first of two hosts with two addresses each has lost sight of the second one: what it announced was never proven, and
/// it has gone.
fn out_of_sight() -> Sim {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.change(0, &[], &[A2]);
    sim.run(secs(1));
    sim.hand_off(1, &[B1], &[B2]);
    sim.change(1, &[B2], &[]);
    sim.run(secs(60));
    sim.sent();
    assert_eq!(sim.nodes[0].kernel.rows[&1].record.active, []);
    assert_eq!(
        sim.noted(0, |note| matches!(note, Note::Unvalidated { .. })),
        1
    );
    sim
}

#[test]
fn peer_that_was_out_of_sight_knows_all_that_it_was_told() {
    let mut sim = out_of_sight();
    sim.change(1, &[], &["203.0.113.3"]);
    sim.run(secs(5));
    // None of our addresses went: there is nothing to say of them.
    assert_eq!(sim.sent(), [Handoff, Ack, Hello, Ack]);
    assert_eq!(active(&sim, 1, 0), [addr(A1), addr(A2)]);
    sim.agree(0, 1);
}

#[test]
fn what_changed_while_the_peer_was_out_of_sight_is_told() {
    for (lose, gain) in [
        (vec![], vec!["203.0.113.9"]),
        (vec![A2], vec![]),
        (vec![A2], vec!["203.0.113.9"]),
    ] {
        let mut sim = out_of_sight();
        sim.change(0, &lose, &gain);
        sim.run(secs(5));
        assert_eq!(sim.sent(), []);
        sim.change(1, &[], &["203.0.113.3"]);
        sim.run(secs(5));
        let mut told = active(&sim, 1, 0);
        let mut have = sim.nodes[0].local.clone();
        told.sort_unstable();
        have.sort_unstable();
        assert_eq!(told, have, "-{lose:?} +{gain:?}");
        sim.agree(0, 1);
    }
}

#[test]
fn address_that_comes_beside_another_wakes_nobody() {
    let mut sim = Sim::pair(&[A1, A2], &[B1]);
    sim.change(0, &[A2], &[]);
    sim.run(secs(1));
    sim.change(0, &[], &[A2]);
    sim.run(secs(1));
    sim.agree(0, 1);
    assert_eq!(sim.row(1, 0).woken, 0);
}

#[test]
fn ten_moves_and_back() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    let mut old = A1.to_string();
    for number in 0..10 {
        let new = format!("203.0.113.{}", 10 + number);
        sim.change(0, &[&old], &[]);
        sim.run(secs(1));
        sim.change(0, &[], &[&new]);
        sim.run(secs(1));
        assert_eq!(sim.sent(), [Handoff, Ack]);
        sim.agree(0, 1);
        old = new;
    }
    sim.hand_off(0, &[&old], &[A1]);
    assert_eq!(active(&sim, 1, 0), [addr(A1)]);
}

#[test]
fn newest_of_many_moves_wins() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    let mut old = A1.to_string();
    for number in 0..10 {
        let new = format!("203.0.113.{}", 10 + number);
        sim.change(0, &[&old], &[&new]);
        sim.run(ms(5));
        old = new;
    }
    sim.run(secs(5));
    sim.agree(0, 1);
    assert_eq!(active(&sim, 1, 0), [addr(&old)]);
    assert!(sim.sent().len() <= 24);
}

#[test]
fn lost_messages_are_sent_again() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.weather.loss = 100;
    sim.change(0, &[A1], &[A2]);
    let start = sim.now;
    sim.run(ms(1_500));
    sim.weather.loss = 0;
    // Smoothed round trip 60 ms: 200 ms, doubled, with up to a quarter of jitter.
    let sends = sim.sent().len();
    assert!((3..=4).contains(&sends), "{sends}");
    sim.run(secs(5));
    sim.agree(0, 1);
    let acked = |note: &Note| {
        matches!(
            note,
            Note::Acked {
                control: Handoff,
                ..
            }
        )
    };
    assert_eq!(sim.noted(0, acked), 1);
    assert!(sim.now.since(start) < secs(7));
}

#[test]
fn lost_ack_is_given_again() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.blocked.insert((addr(B1), addr(A2)));
    sim.change(0, &[A1], &[A2]);
    sim.run(ms(100));
    sim.blocked.clear();
    sim.run(secs(2));
    assert_eq!(sim.sent(), [Handoff, Ack, Handoff, Ack]);
    sim.agree(0, 1);
}

#[test]
fn new_address_that_cannot_reach_the_peer_is_reported_unreachable() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.blocked.insert((addr(A2), addr(B1)));
    sim.change(0, &[], &[A2]);
    sim.run(secs(5));
    assert_eq!(
        sim.sent(),
        [AddrUp, AddrUp, AddrUp, AddrUp, AddrUpUnreachable, Ack]
    );
    sim.agree(0, 1);
    assert_eq!(sim.row(1, 0).record.unreachable, [addr(A2)]);
    sim.change(0, &[A2], &[]);
    sim.run(secs(20));
    assert_eq!(sim.sent(), [AddrDownUnreachable, Ack]);
    sim.agree(0, 1);
    assert!(sim.row(1, 0).record.unreachable.is_empty());
}

/// Control and options of the messages on the wire from an address.
fn options_from(sim: &Sim, from: &str) -> Vec<(Control, Options)> {
    let from_there = sim.wire.iter().filter(|(source, ..)| *source == addr(from));
    from_there
        .map(|(_, _, bytes)| {
            let message = Message::parse(bytes).unwrap();
            (message.control, message.options.without(Options::SIGNED))
        })
        .collect()
}

#[test]
fn a_handoff_says_whether_the_old_address_was_reachable() {
    // The one that goes is that which the peer could reach.
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.wire.clear();
    sim.change(0, &[A1], &[A3]);
    sim.run(secs(1));
    assert_eq!(options_from(&sim, A3), [(Handoff, Options::NONE)]);
    // It is that which it could not.
    sim.blocked.insert((addr(A2), addr(B1)));
    sim.change(0, &[], &[A2]);
    sim.run(secs(5));
    assert_eq!(sim.row(1, 0).record.unreachable, [addr(A2)]);
    sim.wire.clear();
    sim.change(0, &[A2], &[A1]);
    sim.run(secs(5));
    assert_eq!(
        options_from(&sim, A1),
        [(Handoff, Options::OLDADDR_UNREACHABLE)]
    );
    sim.agree(0, 1);
    assert!(sim.row(1, 0).record.unreachable.is_empty());
}

#[test]
fn handoff_to_an_address_that_cannot_reach_the_peer() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.change(0, &[], &[A3]);
    sim.run(secs(1));
    sim.sent();
    sim.blocked.insert((addr(A2), addr(B1)));
    sim.change(0, &[A1], &[A2]);
    sim.run(secs(5));
    assert_eq!(
        sim.sent(),
        [Handoff, Handoff, Handoff, Handoff, HandoffUnreachable, Ack]
    );
    sim.agree(0, 1);
    assert_eq!(active(&sim, 1, 0), [addr(A3)]);
    assert_eq!(sim.row(1, 0).record.unreachable, [addr(A2)]);
    assert_eq!(sim.row(1, 0).alias, [addr(A1)]);
}

#[test]
fn unanswered_move_is_tried_again_later() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.weather.loss = 100;
    sim.change(0, &[A1], &[A2]);
    sim.run(secs(100));
    let sends = sim.sent().len();
    assert!((8..=30).contains(&sends), "{sends}");
    sim.weather.loss = 0;
    sim.run(secs(80));
    sim.agree(0, 1);
}

#[test]
fn partial_simultaneous_moves_converge() {
    // The server keeps one of two addresses, the client none.
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.change(1, &[], &[B2]);
    sim.run(secs(1));
    sim.sent();
    let start = sim.now;
    sim.change(0, &[A1], &[A2]);
    sim.change(1, &[B1], &[]);
    while sim.now.since(start) < secs(3) {
        sim.run(ms(10));
        let row = sim.nodes[1].kernel.rows.values().next().unwrap();
        if row.record.active == [addr(A2)] {
            break;
        }
    }
    // Half a round trip after the first time-out, which has up to a quarter of jitter.
    assert!(
        sim.now.since(start) <= ms(290),
        "{:?}",
        sim.now.since(start)
    );
    sim.run(secs(5));
    sim.agree(0, 1);
    assert_eq!(active(&sim, 0, 1), [addr(B2)]);
}

#[test]
fn both_gain_and_lose_at_the_same_time() {
    for seed in 0..60 {
        let mut sim = Sim::new(
            seed,
            Weather {
                spread: ms(30),
                loss: seed % 20,
                duplication: 10,
                ..FAIR
            },
        );
        sim.add(&[A1]);
        sim.add(&[B1]);
        sim.flow(0, A1, B1);
        sim.run(secs(10));
        if !all_up(&sim) {
            continue;
        }
        sim.change(0, &[], &[A2]);
        sim.change(1, &[], &[B2]);
        sim.run(secs(5));
        sim.change(0, &[A1], &[]);
        sim.change(1, &[B1], &[]);
        sim.run(secs(90));
        sim.agree(0, 1);
    }
}

#[test]
fn full_double_move_recovers_when_one_returns() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.change(0, &[A1], &[A2]);
    sim.change(1, &[B1], &[B2]);
    sim.run(secs(30));
    sim.change(0, &[A2], &[A1]);
    sim.run(secs(90));
    sim.agree(0, 1);
}

#[test]
fn storm_of_moves_in_bad_weather_converges() {
    for seed in 0..60 {
        storm(seed);
    }
}

fn storm(seed: u64) {
    let weather = Weather {
        latency: ms(40),
        spread: ms(80),
        loss: 20,
        duplication: 20,
    };
    let mut sim = Sim::new(seed, weather);
    sim.add(&[A1]);
    sim.add(&[B1]);
    sim.flow(0, A1, B1);
    sim.flow(1, B1, A1);
    sim.run(secs(10));
    if !all_up(&sim) {
        return;
    }
    // The client moves as it likes; the server never loses its last address.
    let pool = [A1, A2, A3, "203.0.113.4", "203.0.113.5"];
    for _ in 0..30 {
        let have = sim.nodes[0].local.clone();
        let pick = pool[sim.random.below(pool.len() as u64) as usize];
        if have.contains(&addr(pick)) {
            sim.change(0, &[pick], &[]);
        } else if sim.random.percent(50) {
            sim.change(0, &[], &[pick]);
        } else {
            let old: Vec<String> = have.iter().map(|addr| addr.to_string()).collect();
            let old: Vec<&str> = old.iter().map(String::as_str).collect();
            sim.change(0, &old, &[pick]);
        }
        if sim.random.percent(20) {
            let (lose, gain) = if sim.nodes[1].local.contains(&addr(B2)) {
                (B2, None)
            } else {
                ("", Some(B2))
            };
            let lose: &[&str] = if gain.is_some() { &[] } else { &[lose] };
            sim.change(1, lose, gain.as_slice());
        }
        let pause = ms(sim.random.below(400));
        sim.run(pause);
    }
    if sim.nodes[0].local.is_empty() {
        sim.change(0, &[], &[A1]);
    }
    sim.weather = FAIR;
    sim.run(secs(200));
    sim.agree(0, 1);
    sim.sent();
    sim.run(secs(200));
    assert_eq!(
        sim.sent().len(),
        0,
        "seed {seed}: it has something to say although all is said"
    );
}

#[test]
fn four_and_six_are_one_host() {
    let mut sim = Sim::pair(&[A1, A61], &[B1, B61]);
    sim.flow(0, A61, B61);
    sim.run(secs(1));
    assert_eq!(sim.sent(), [Hello, Ack]);
    sim.agree(0, 1);
    assert_eq!(sim.nodes[0].kernel.rows.len(), 1);
    assert_eq!(sim.nodes[1].kernel.rows.len(), 1);
    assert_eq!(active(&sim, 0, 1).len(), 2);
    // Both families move in one batch: one exchange for each.
    sim.change(0, &[A1, A61], &[A2, A62]);
    sim.run(ms(61));
    assert_eq!(sim.sent(), [Handoff, Handoff, Ack, Ack]);
    sim.agree(0, 1);
    assert_eq!(active(&sim, 1, 0).len(), 2);
    // They come one after the other: the second does not wait for the first.
    sim.change(0, &[A2, A62], &[]);
    sim.run(secs(1));
    sim.change(0, &[], &[A1]);
    sim.run(ms(5));
    sim.change(0, &[], &[A61]);
    sim.run(ms(61));
    assert_eq!(sim.sent().len(), 4);
    sim.agree(0, 1);
}

#[test]
fn four_and_six_found_at_the_same_time_are_one_host() {
    for seed in 0..60 {
        let mut sim = Sim::new(
            seed,
            Weather {
                spread: ms(20),
                loss: seed % 15,
                ..FAIR
            },
        );
        sim.add(&[A1, A61]);
        sim.add(&[B1, B61]);
        sim.flow(0, A1, B1);
        sim.flow(0, A61, B61);
        sim.flow(1, B1, A1);
        sim.flow(1, B61, A61);
        sim.run(secs(30));
        if !all_up(&sim) {
            continue;
        }
        sim.agree(0, 1);
        assert_eq!(sim.nodes[0].kernel.rows.len(), 1, "seed {seed}");
        sim.weather = FAIR;
        sim.sent();
        sim.change(0, &[A1, A61], &[A2, A62]);
        sim.run(secs(2));
        assert_eq!(sim.sent().len(), 4, "seed {seed}");
        sim.agree(0, 1);
    }
}

#[test]
fn peer_that_forgot_before_it_was_found_by_another_address_is_told_all() {
    for opener in [0, 1] {
        let mut sim = Sim::new(1, FAIR);
        sim.add(&[A1, A61]);
        sim.add(&[B1, B61]);
        sim.flow(0, A61, B61);
        sim.run(secs(1));
        sim.agree(0, 1);
        sim.remove_hosts(1);
        let (from, to) = if opener == 0 { (A1, B1) } else { (B1, A1) };
        sim.flow(opener, from, to);
        sim.run(secs(5));
        assert_eq!(sim.nodes[0].kernel.rows.len(), 1, "{opener}");
        for (at, of) in [(0, 1), (1, 0)] {
            assert_eq!(active(&sim, at, of).len(), 2, "{opener}: {at}");
        }
    }
}

#[test]
fn address_of_the_unused_family_rides_along() {
    let mut sim = Sim::pair(&[A1, A61], &[B1, B61]);
    sim.change(0, &[A61], &[]);
    sim.change(0, &[], &[A62]);
    sim.run(secs(5));
    assert_eq!(sim.sent().len(), 0);
    sim.change(0, &[A1], &[A2]);
    sim.run(secs(5));
    assert_eq!(sim.sent(), [Handoff, Ack]);
    assert_eq!(sim.row(1, 0).record.unreachable, [addr(A62)]);
    assert!(sim
        .row(0, 1)
        .record
        .local
        .iter()
        .all(|local| local.addr.is_v4()));
}

#[test]
fn restarted_agent_goes_on() {
    for who in [0, 1] {
        for mover in [0, 1] {
            let mut sim = Sim::pair(&[A1], &[B1]);
            sim.restart(who);
            // Before the peers are greeted.
            let (old, new) = if mover == 0 { (A1, A2) } else { (B1, B2) };
            sim.run(ms(100));
            sim.change(mover, &[old], &[new]);
            sim.run(secs(10));
            sim.agree(0, 1);
            let sent = sim.sent().len();
            assert!(sent <= 8, "{sent}");
            // And after it.
            let (old, new) = if mover == 0 {
                (A2, A3)
            } else {
                (B2, "10.7.0.3")
            };
            sim.change(mover, &[old], &[new]);
            sim.run(secs(10));
            assert_eq!(sim.sent(), [Handoff, Ack]);
            sim.agree(0, 1);
        }
    }
}

#[test]
fn restarted_agent_greets_without_being_asked() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.restart(1);
    sim.run(secs(5));
    assert_eq!(sim.sent(), [Hello, Ack]);
    for (mover, old, new) in [(0, A1, A2), (1, B1, B2)] {
        sim.change(mover, &[old], &[new]);
        sim.run(secs(1));
        assert_eq!(sim.sent(), [Handoff, Ack]);
        sim.agree(0, 1);
    }
}

#[test]
fn answer_that_a_later_word_overtook_names_nothing() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    for more in [B2, "203.0.113.3"] {
        sim.change(1, &[], &[more]);
        sim.run(secs(1));
    }
    sim.sent();
    sim.restart(0);
    while sim.sent().is_empty() {
        sim.run(ms(1));
    }
    // The answer to the greeting takes its time, and names what goes meanwhile.
    sim.weather.latency = ms(300);
    while sim.sent().is_empty() {
        sim.run(ms(1));
    }
    sim.weather.latency = ms(5);
    sim.change(1, &[B1, B2], &[]);
    sim.run(secs(10));
    assert_eq!(active(&sim, 0, 1), [addr("203.0.113.3")]);
    sim.agree(0, 1);
}

#[test]
fn answer_to_a_greeting_brings_no_old_request_back() {
    let acked = |sim: &Sim| {
        let hello = |note: &Note| matches!(note, Note::Acked { control, .. } if *control == Hello);
        sim.noted(0, hello)
    };
    let mut sim = Sim::pair(&[A1], &[B1]);
    let b3 = "203.0.113.3";
    // The new agent greets, and hears nothing yet.
    sim.blocked.insert((addr(B1), addr(A1)));
    sim.restart(0);
    sim.run(ms(100));
    let before = acked(&sim);
    // A request that is heard, but its answer is not; and the next one, which names more.
    sim.blocked.insert((addr(A1), addr(B2)));
    sim.change(1, &[B1], &[B2]);
    sim.run(ms(40));
    sim.blocked.insert((addr(B2), addr(A1)));
    sim.change(1, &[], &[b3]);
    while acked(&sim) == before {
        sim.run(ms(1));
    }
    // The first one again.
    sim.blocked.clear();
    sim.run(secs(10));
    let mut known = active(&sim, 0, 1);
    known.sort_unstable();
    assert_eq!(known, [addr(B2), addr(b3)]);
    sim.agree(0, 1);
}

#[test]
fn move_while_the_agent_is_dead_is_made_up_for() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.nodes[0].engine = None;
    sim.nodes[0].local = vec![addr(A2)];
    sim.run(secs(3));
    sim.restart(0);
    sim.run(secs(3));
    sim.agree(0, 1);
    assert_eq!(active(&sim, 1, 0), [addr(A2)]);
    assert_eq!(sim.row(1, 0).alias, [addr(A1)]);
}

#[test]
fn killed_between_announcement_and_acknowledgement() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.weather.loss = 100;
    sim.change(0, &[A1], &[A2]);
    sim.weather.loss = 0;
    sim.restart(0);
    sim.run(secs(10));
    sim.agree(0, 1);
    assert_eq!(sim.row(1, 0).alias, [addr(A1)]);
}

#[test]
fn silent_peer_of_an_adopted_host_stays_up() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.nodes[1].engine = None;
    sim.restart(0);
    sim.run(secs(300));
    assert_eq!(sim.sent(), [Hello; 3]);
    assert_eq!(sim.row(0, 1).record.state, State::Up);
    assert!(sim
        .row(0, 1)
        .record
        .local
        .iter()
        .all(|local| !local.unvalidated));
}

#[test]
fn named_host_is_the_administrators() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.nodes[0]
        .kernel
        .rows
        .values_mut()
        .for_each(|row| row.name = Some("by-hand".into()));
    sim.restart(0);
    let before = format!("{:?}", sim.nodes[0].kernel.rows);
    sim.change(0, &[A1], &[A2]);
    sim.run(secs(10));
    assert_eq!(sim.sent().len(), 0);
    assert_eq!(format!("{:?}", sim.nodes[0].kernel.rows), before);
}

#[test]
fn forged_and_odd_messages_change_nothing() {
    use ihmp_core::grant::{Grant, Terms};
    use ihmp_core::message::{Addresses, Message, Options, MAX_LEN};
    let mut sim = acquainted_unsigned(&[A1], &[B1]);
    let stranger = addr("203.0.113.66");
    let mut buffer = [0; MAX_LEN];
    let before = format!("{:?}", sim.nodes[1].kernel.rows);
    let mut send = |sim: &mut Sim, control: Control, seqno, from, host, addresses: &[Addr]| {
        let addresses = Addresses::of(addresses).unwrap();
        let message = Message {
            control,
            options: Options::NONE,
            seqno,
            signature: None,
            host,
            addresses,
        };
        let octets = message.emit(&mut buffer).unwrap().to_vec();
        sim.inject(1, from, addr(B1), &octets);
    };
    let mut expected = vec![];
    // The right Host ID, but the number has to be guessed.
    let mut wrong = 0;
    for seqno in (0..u16::MAX).step_by(16).take(200) {
        send(
            &mut sim,
            Handoff,
            seqno,
            stranger,
            addr(A1),
            &[stranger, stranger, addr(A1)],
        );
        wrong += 1;
    }
    expected.push((Refusal::Seqno, wrong));
    // Nobody goes by this address.
    send(
        &mut sim,
        AddrUp,
        1,
        stranger,
        stranger,
        &[stranger, stranger],
    );
    expected.push((Refusal::UnknownHost, 1));
    // Behind a NAT.
    send(
        &mut sim,
        Hello,
        1,
        stranger,
        addr("10.1.1.1"),
        &[addr("10.1.1.1")],
    );
    expected.push((Refusal::NatDetected, 1));
    send(
        &mut sim,
        Hello,
        1,
        addr("127.0.0.1"),
        stranger,
        &[addr("127.0.0.1")],
    );
    expected.push((Refusal::NotUnicast, 1));
    send(&mut sim, Hello, 1, addr(B1), addr(B1), &[addr(B1)]);
    expected.push((Refusal::OwnAddress, 1));
    send(&mut sim, Hello, 1, stranger, stranger, &[]);
    send(&mut sim, AddrDown, 1, stranger, addr(A1), &[stranger]);
    send(&mut sim, Ack, 1, addr(A1), addr(A1), &[addr(A1)]);
    expected.push((Refusal::UnexpectedAck, 1));
    send(&mut sim, NatEntry, 1, addr(A1), addr(A1), &[addr(A1)]);
    expected.push((Refusal::Payload, 3));
    // Whatever else is believed without a signature, a router is not.
    let grant = Grant {
        router: addr(A1),
        new: addr(B1),
        old: stranger,
        peer: addr(A1),
        terms: Terms::Rejected(9),
    };
    let list = grant.addresses();
    send(&mut sim, RouterAck, 1, addr(A1), addr(A1), list.as_slice());
    expected.push((Refusal::Unsigned, 1));
    for (reason, count) in expected {
        let refused =
            |note: &Note| matches!(note, Note::Refused { reason: seen, .. } if *seen == reason);
        assert_eq!(sim.noted(1, refused), count, "{reason:?}");
    }
    let after = format!("{:?}", sim.nodes[1].kernel.rows);
    assert_eq!(before, after);
    // A few answers about the wrong number, then one a second; and one to the stranger.
    assert_eq!(sim.sent(), [Ack; 5]);
    sim.change(0, &[A1], &[A2]);
    sim.run(secs(1));
    assert_eq!(sim.sent(), [Handoff, Ack]);
}

#[test]
fn data_that_overtakes_the_announcement_is_no_other_host() {
    for claimed in [false, true] {
        let own: &[&str] = if claimed { &[A1, A2] } else { &[A1] };
        let mut sim = Sim::pair(own, &[B1]);
        sim.blocked.insert((addr(A2), addr(B1)));
        let gain: &[&str] = if claimed { &[] } else { &[A2] };
        sim.change(0, &[A1], gain);
        sim.run(ms(10));
        sim.blocked.clear();
        // The server's module sees its own answers to the new address.
        sim.flow(1, B1, A2);
        sim.run(secs(5));
        sim.agree(0, 1);
        assert_eq!(sim.nodes[1].kernel.rows.len(), 1);
        assert_eq!(sim.row(1, 0).alias, [addr(A1)]);
    }
}

#[test]
fn address_of_another_host_is_not_taken() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    let other = sim.add(&[A2]);
    sim.flow(other, A2, B1);
    sim.run(secs(1));
    sim.sent();
    // Node 0 announces the address that node 2 is seen at.
    sim.nodes[other].local.clear();
    sim.change(0, &[A1], &[A2]);
    sim.run(secs(5));
    assert!(
        sim.noted(1, |note| matches!(
            note,
            Note::Refused {
                reason: Refusal::OtherHost,
                ..
            }
        )) >= 1
    );
    let owners = sim.nodes[1]
        .kernel
        .rows
        .values()
        .filter(|row| row.record.active.contains(&addr(A2)));
    assert_eq!(owners.count(), 1);
}

#[test]
fn reply_is_at_most_three_times_the_greeting() {
    let many: Vec<String> = (1..=12).map(|number| format!("10.9.0.{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let sim = acquainted_unsigned(&[A1], &many);
    assert_eq!(1 + sim.row(0, 1).record.unreachable.len(), 12);
    assert!(sim.wire[1].2.len() <= 3 * sim.wire[0].2.len());
    let sim = Sim::pair(&[A1], &many);
    assert_eq!(1 + sim.row(0, 1).record.unreachable.len(), 12);
    for pair in sim.wire.chunks(2) {
        assert!(pair[1].2.len() <= 3 * pair[0].2.len());
    }
}

#[test]
fn removed_by_the_administrator_is_gone() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    let id = *sim.nodes[1].kernel.rows.keys().next().unwrap();
    sim.nodes[1].kernel.take(id);
    sim.give(1, ihmp_engine::Input::Removed { id });
    // The client's next move finds that out, and makes them known to each other again.
    sim.change(0, &[A1], &[A2]);
    sim.run(secs(5));
    sim.agree(0, 1);
}

#[test]
fn who_moved_without_an_agent_is_heard_on_each_flow() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.nodes[0].engine = None;
    sim.change(0, &[A1], &[A2]);
    sim.run(secs(10));
    assert_eq!(sim.row(0, 1).spoken_up, 0);
    sim.restart(0);
    sim.run(secs(10));
    sim.agree(0, 1);
    assert_eq!((sim.row(0, 1).spoken_up, sim.row(1, 0).spoken_up), (1, 0));
    // Where nobody moved meanwhile, nobody is.
    sim.restart(0);
    sim.run(secs(10));
    assert_eq!(sim.row(0, 1).spoken_up, 1);
}
