// SPDX-License-Identifier: GPL-2.0
//! Small versions of what `make sim` does.

use ihmp_sim::crowd::{self, Plan};

#[test]
fn all_pairs_agree_after_random_moves() {
    for (hosts, moves, seeds) in [(2, 20, 20), (10, 5, 20), (100, 3, 1)] {
        for seed in 0..seeds {
            let plan = Plan {
                hosts,
                moves,
                seed,
                ..Plan::default()
            };
            let outcome = crowd::run(plan);
            assert!(
                outcome.apart.is_empty(),
                "{hosts} hosts, seed {seed}: {:?}",
                outcome.apart
            );
            println!(
                "{hosts} {seed} {} {} {:?} {:?}",
                outcome.sent,
                outcome.lost,
                outcome.within(None, 500),
                outcome.within(None, 990)
            );
        }
    }
}

#[test]
fn t2() {
    use ihmp_sim::formula::*;
    use ihmp_sim::handoff::*;
    for local in 1..=4 {
        for foreign in 1..=4 {
            for peers in [1, 5] {
                let s = Setting {
                    local,
                    foreign,
                    peers,
                    connections: 3,
                };
                println!(
                    "{s:?} {:?} {:?} formula {}",
                    count(s, Extent::All),
                    count(s, Extent::One),
                    Protocol::Ihmp.messages(s)
                );
            }
        }
    }
}
#[test]
fn t3() {
    let o = ihmp_sim::hub::run(ihmp_sim::hub::Plan {
        peers: 300,
        weather: ihmp_sim::FAIR,
        farthest: ihmp_sim::ms(100),
        seed: 1,
        clock: || 0,
    });
    println!("{o:?}");
}
