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
