// SPDX-License-Identifier: GPL-2.0
//! Small versions of what `make sim` does.

use ihmp_sim::crowd::{self, Plan};
use ihmp_sim::formula::{Protocol, Setting};
use ihmp_sim::handoff::{self, Extent};
use ihmp_sim::{hub, ms, secs, Weather};

/// Runs a crowd, all of which has to agree in the end.
fn agreed(plan: Plan) -> crowd::Outcome {
    let outcome = crowd::run(plan);
    let Plan { hosts, seed, .. } = plan;
    assert!(
        outcome.apart.is_empty(),
        "{hosts} hosts, seed {seed}: {:?}",
        outcome.apart
    );
    outcome
}

#[test]
fn all_pairs_agree_after_random_moves() {
    for (hosts, moves, seeds) in [(2, 20, 10), (10, 5, 5), (50, 2, 1)] {
        for seed in 1..=seeds {
            let outcome = agreed(Plan {
                hosts,
                moves,
                seed,
                ..Plan::default()
            });
            assert_eq!(outcome.soft + outcome.hard, hosts * moves);
            assert!(outcome.lost > 0);
        }
    }
}

#[test]
fn moves_follow_each_other_in_worse_weather() {
    for seed in 1..=6 {
        agreed(Plan {
            hosts: 3,
            moves: 15,
            pace: secs(4),
            weather: Weather {
                spread: ms(200),
                loss: 15,
                duplication: 10,
                ..Plan::default().weather
            },
            seed,
            signed: seed % 2 == 0,
            ..Plan::default()
        });
    }
}

#[test]
fn agents_restart_in_between() {
    for seed in 1..=8 {
        agreed(Plan {
            hosts: 12,
            restarts: 2,
            seed,
            ..Plan::default()
        });
    }
}

#[test]
fn same_seed_same_run() {
    let run = || {
        let plan = Plan {
            hosts: 5,
            ..Plan::default()
        };
        let outcome = agreed(plan);
        (outcome.sent, outcome.lost, outcome.round_trips)
    };
    assert_eq!(run(), run());
}

#[test]
fn two_messages_for_each_address_that_changed_and_each_peer() {
    for local in 1..=3 {
        for foreign in 1..=3 {
            for (peers, connections) in [(1, 1), (4, 100)] {
                let setting = Setting {
                    local,
                    foreign,
                    peers,
                    connections,
                };
                let all = handoff::count(setting, Extent::All).unwrap();
                assert_eq!(all, 2 * local * peers, "{setting:?}");
                let formula = Protocol::Ihmp.messages(setting);
                assert!(all == formula || (foreign > local && all < formula));
                let one = handoff::count(setting, Extent::One).unwrap();
                assert_eq!(one, 2 * peers, "{setting:?}");
            }
        }
    }
}

#[test]
fn host_with_many_peers_moves() {
    let weather = Weather {
        latency: ms(1),
        spread: ms(20),
        loss: 5,
        duplication: 0,
    };
    let outcome = hub::run(hub::Plan {
        peers: 500,
        weather,
        farthest: ms(100),
        seed: 1,
        clock: || 0,
    });
    assert!(outcome.apart.is_empty(), "{:?}", outcome.apart);
    assert!(outcome.took[2].is_some());
    // The messages of a move are spread over time.
    assert_eq!(outcome.at_once, 200);
    assert!(outcome.peaks[0] <= 240, "{:?}", outcome.peaks);
}
