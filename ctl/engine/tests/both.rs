// SPDX-License-Identifier: GPL-2.0
//! Both at once: moves, greetings, restarts; numbers that wrap, clocks that jump.

use ihmp_sim as sim;

use std::collections::BTreeSet;

use ihmp_core::addr::Addr;
use ihmp_core::message::Control::*;
use ihmp_core::time::Duration;
use ihmp_engine::{Limits, Policy, State};
use sim::{addr, ms, secs, Sim, Weather, FAIR};

const A1: &str = "192.0.2.1";
const A2: &str = "198.51.100.2";
const A3: &str = "203.0.113.3";
const B1: &str = "10.9.0.1";
const B2: &str = "10.8.0.2";
const B3: &str = "10.7.0.3";

/// Two hosts that have measured the round trip, with these addresses.
fn pair(seed: u64, weather: Weather, a: &[&str], b: &[&str]) -> Sim {
    let mut sim = Sim::new(seed, weather);
    sim.add(&[A1]);
    sim.add(&[B1]);
    sim.flow(0, A1, B1);
    sim.run(secs(10));
    for (at, addrs) in [(1, b), (0, a), (1, b)] {
        let have = sim.nodes[at].local.clone();
        let missing = |text: &&&str| !have.contains(&addr(text));
        let gain: Vec<&str> = addrs.iter().filter(missing).copied().collect();
        let lose: Vec<String> = have.iter().map(ToString::to_string).collect();
        let lose = lose.iter().map(String::as_str);
        let lose: Vec<&str> = lose.filter(|text| !addrs.contains(text)).collect();
        sim.change(at, &lose, &gain);
        sim.run(secs(10));
    }
    sim
}

/// Whether each holds exactly the addresses of the other for active.
fn is_settled(sim: &Sim) -> bool {
    [(0, 1), (1, 0)].iter().all(|(near, far)| {
        let theirs: BTreeSet<Addr> = sim.nodes[*far].local.iter().copied().collect();
        let mut rows = sim.nodes[*near].kernel.rows.values();
        rows.any(|row| {
            let active: BTreeSet<Addr> = row.record.active.iter().copied().collect();
            row.record.state == State::Up && active == theirs
        })
    })
}

/// How long it takes until they are settled, ten seconds at most.
fn settle(sim: &mut Sim) -> Duration {
    let start = sim.now;
    while !is_settled(sim) && sim.now.since(start) < secs(10) {
        sim.run(ms(5));
    }
    sim.now.since(start)
}

#[test]
fn partial_moves_of_both_converge_in_two_round_trips_and_a_time_out() {
    // What each has, loses and gains.
    type Side<'a> = (&'a [&'a str], &'a [&'a str], &'a [&'a str]);
    let cases: [(Side<'_>, Side<'_>); 5] = [
        ((&[A1, A2], &[A1], &[]), (&[B1, B2], &[B1], &[])),
        ((&[A1, A2], &[A1], &[A3]), (&[B1, B2], &[B1], &[B3])),
        ((&[A1], &[A1], &[A2]), (&[B1, B2], &[B1], &[])),
        ((&[A1, A2], &[A1], &[]), (&[B1], &[B1], &[B2])),
        ((&[A1], &[], &[A2]), (&[B1], &[], &[B2])),
    ];
    for (number, (a, b)) in cases.iter().enumerate() {
        for later in [0, 10, 29, 31, 59, 61, 90] {
            for first in [0, 1] {
                let mut sim = pair(1, FAIR, a.0, b.0);
                assert!(is_settled(&sim));
                let sides = [a, b];
                sim.change(first, sides[first].1, sides[first].2);
                sim.run(ms(later));
                sim.change(1 - first, sides[1 - first].1, sides[1 - first].2);
                let took = settle(&mut sim);
                // A round trip is 60 ms, a time-out up to 250.
                let least = ms(2 * 60 + 250);
                assert!(took <= least, "{number} {later} {first}: {took:?}");
                sim.run(secs(5));
                sim.agree(0, 1);
            }
        }
    }
}

#[test]
fn partial_moves_of_both_in_bad_weather_converge() {
    for seed in 0..40 {
        let weather = Weather {
            spread: ms(60),
            loss: seed % 25,
            duplication: 20,
            ..FAIR
        };
        let mut sim = pair(seed, FAIR, &[A1, A2], &[B1, B2]);
        sim.weather = weather;
        sim.change(0, &[A1], &[A3]);
        let later = sim.random.below(100);
        sim.run(ms(later));
        sim.change(1, &[B1], &[B3]);
        sim.run(secs(120));
        sim.weather = FAIR;
        sim.run(secs(120));
        sim.agree(0, 1);
    }
}

#[test]
fn full_moves_of_both_wait_for_an_address_that_one_knows() {
    // Nobody can tell the other, until somebody comes back.
    let mut sim = pair(1, FAIR, &[A1], &[B1]);
    sim.change(0, &[A1], &[A2]);
    sim.change(1, &[B1], &[B2]);
    sim.run(secs(60));
    assert!(!is_settled(&sim));
    sim.change(1, &[], &[B1]);
    sim.run(secs(90));
    sim.agree(0, 1);
}

#[test]
fn both_restart_at_once_and_move() {
    for seed in 0..40 {
        let weather = Weather {
            spread: ms(40),
            ..FAIR
        };
        let mut sim = pair(seed, weather, &[A1, A2], &[B1, B2]);
        sim.restart(0);
        let later = sim.random.below(100);
        sim.run(ms(later));
        sim.restart(1);
        let later = sim.random.below(100);
        sim.run(ms(later));
        sim.change(0, &[A1], &[]);
        sim.change(1, &[B1], &[]);
        sim.run(secs(20));
        sim.agree(0, 1);
        sim.weather = FAIR;
        sim.sent();
        sim.change(0, &[A2], &[A3]);
        sim.run(secs(1));
        assert_eq!(sim.sent(), [Handoff, Ack], "seed {seed}");
        sim.agree(0, 1);
    }
}

#[test]
fn numbers_wrap() {
    // Without signatures it is quicker to find hosts that begin near the end.
    let number = |sim: &Sim| {
        let bytes = &sim.wire.first().unwrap().2;
        u16::from_be_bytes([bytes[2], bytes[3]])
    };
    let start = |seed| {
        let mut sim = Sim::new(seed, FAIR);
        for local in [A1, B1] {
            let at = sim.add_believing(&[local], Limits::default(), Policy::Unsigned);
            sim.nodes[at].store.own.clear();
            sim.rekey(at);
        }
        sim.flow(0, A1, B1);
        sim
    };
    let mut sims = (0..100_000).map(start).filter(|sim| number(sim) > 65_500);
    for weather in [
        FAIR,
        Weather {
            spread: ms(50),
            loss: 15,
            duplication: 15,
            ..FAIR
        },
    ] {
        let mut sim = sims.next().unwrap();
        sim.run(secs(1));
        sim.weather = weather;
        let (mut a, mut b) = (A1.to_string(), B1.to_string());
        for step in 0..60 {
            let (next_a, next_b) = (format!("203.0.113.{step}"), format!("10.1.0.{}", step + 1));
            sim.change(0, &[&a], &[&next_a]);
            sim.run(secs(8));
            sim.change(1, &[&b], &[&next_b]);
            sim.run(secs(8));
            (a, b) = (next_a, next_b);
        }
        sim.weather = FAIR;
        sim.run(secs(200));
        sim.agree(0, 1);
        let numbers = sim
            .wire
            .iter()
            .map(|sent| u16::from_be_bytes([sent.2[2], sent.2[3]]));
        assert!(numbers.clone().any(|number| number > 65_500));
        assert!(numbers.clone().any(|number| number < 36));
    }
}

#[test]
fn clock_on_the_wall_may_jump() {
    let year = 31_536_000_000_000_000_i64;
    for restarted in [false, true] {
        let mut sim = pair(1, FAIR, &[A1], &[B1]);
        let mut have = A1;
        for jump in [
            10 * year,
            -10 * year,
            5_000_000_000,
            -3_600_000_000_000,
            400_000_000,
            -1,
        ] {
            sim.nodes[0].wall = sim.nodes[0].wall.saturating_add_signed(jump);
            if restarted {
                sim.restart(0);
                sim.run(secs(5));
            }
            sim.sent();
            let next = if have == A1 { A2 } else { A1 };
            let from = sim.wire.len();
            sim.change(0, &[have], &[next]);
            // The timers are those of another clock.
            sim.run(secs(1));
            assert_eq!(sim.sent(), [Handoff, Ack], "{restarted} {jump}");
            sim.agree(0, 1);
            have = next;
            sim.run(secs(30));
            // Nothing of what was said is believed again.
            let before = format!("{:?}", sim.nodes[1].kernel.rows);
            let said = sim.wire[from..].to_vec();
            let of = |sim: &Sim| {
                let engine = sim.nodes[1].engine.as_ref().unwrap();
                engine.refusals().get("replayed").copied().unwrap_or(0)
            };
            let (mut count, old) = (0, of(&sim));
            for (from, to, bytes) in said {
                if to == addr(B1) {
                    sim.inject(1, from, to, &bytes);
                    count += 1;
                }
            }
            assert_eq!(of(&sim) - old, count, "{restarted} {jump}");
            assert_eq!(format!("{:?}", sim.nodes[1].kernel.rows), before);
        }
    }
}

#[test]
fn clock_of_the_machine_that_goes_back_stops_nothing() {
    let mut sim = pair(1, FAIR, &[A1], &[B1]);
    sim.weather.loss = 100;
    sim.change(0, &[A1], &[A2]);
    sim.run(ms(100));
    // An input comes with a time from before.
    let now = sim.now;
    sim.now = ihmp_core::time::Instant::ZERO;
    sim.network(0);
    sim.now = now;
    sim.weather.loss = 0;
    sim.run(secs(1));
    sim.agree(0, 1);
}

#[test]
fn address_that_is_heard_at_is_not_given_up() {
    // What the peer answers to the new address is lost; it moves as well, and finds us there while we tell it from the
    // old address that the new one does not work.
    // The two messages may overtake each other.
    let weather = Weather {
        spread: ms(30),
        ..FAIR
    };
    for seed in 0..40 {
        let mut sim = pair(seed, weather, &[A1], &[B1]);
        sim.blocked.insert((addr(B1), addr(A2)));
        sim.change(0, &[], &[A2]);
        sim.run(ms(70));
        sim.change(1, &[B1], &[]);
        sim.sent();
        while !sim.sent().contains(&AddrUpUnreachable) {
            sim.run(ms(5));
        }
        sim.run(ms(seed * 5));
        sim.change(1, &[], &[B2]);
        sim.run(secs(100));
        sim.agree(0, 1);
    }
}
