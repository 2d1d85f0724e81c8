// SPDX-License-Identifier: GPL-2.0
//! One host with very many peers changes networks: in what time, and with what peaks?

use ihmp_core::addr::Addr;
use ihmp_core::time::{Duration, Instant};
use ihmp_engine::{Limits, Policy};

use crate::{ms, secs, Sim, Weather};

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Peers.
    pub peers: usize,
    /// What the network does.
    pub weather: Weather,
    /// The network takes up to so much more, always the same between two hosts.
    pub farthest: Duration,
    /// What chance comes from.
    pub seed: u64,
    /// What measures the cost of computing.
    pub clock: fn() -> u64,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Messages that the host sent in the moment of its move.
    pub at_once: u64,
    /// Most messages that it sent in 10 ms, and in a second.
    pub peaks: [u64; 2],
    /// Messages of all hosts.
    pub sent: u64,
    /// Those that the network lost.
    pub lost: u64,
    /// Time from the move until half of the peers, 99 of 100, and all of them knew of it and the host knew that.
    pub took: [Option<Duration>; 3],
    /// Time that the host's engine computed in the moment of the move, and in all, in nanoseconds.
    pub spent: [u64; 2],
    /// Peers that do not agree in the end, and why.
    pub apart: Vec<(usize, String)>,
}

fn peer(number: usize) -> Addr {
    let [.., high, low] = number.to_be_bytes();
    Addr::v4([20, high, low, 1])
}

/// Most of the counts in any window of this width.
fn peak(sends: &[(Instant, u64)], width: Duration) -> u64 {
    let mut first = 0;
    let (mut most, mut sum) = (0, 0);
    for (at, count) in sends {
        sum += count;
        while at.since(sends[first].0) >= width {
            sum -= sends[first].1;
            first += 1;
        }
        most = most.max(sum);
    }
    most
}

/// Runs it.
pub fn run(plan: Plan) -> Outcome {
    let hub = 0;
    let [here, there] = [[192, 0, 2, 1], [198, 51, 100, 1]].map(Addr::v4);
    let mut sim = Sim::new(plan.seed, plan.weather);
    (sim.farthest, sim.quiet, sim.clock) = (plan.farthest, true, plan.clock);
    sim.place(vec![here], Limits::default(), Policy::FirstUse);
    for number in 1..=plan.peers {
        sim.place(vec![peer(number)], Limits::default(), Policy::FirstUse);
    }
    // As fast as greetings are taken. Who is not heard three times asks again after ten minutes.
    for _ in 0..5 {
        let apart: Vec<usize> = (1..=plan.peers)
            .filter(|at| sim.agreement(hub, *at).is_err())
            .collect();
        if apart.is_empty() {
            break;
        }
        for at in apart {
            sim.open(at, peer(at), here);
            sim.run(ms(10));
        }
        sim.run(secs(700));
    }
    let mut outcome = Outcome::default();
    let total = |sim: &Sim| sim.nodes.iter().map(|node| node.sent).sum::<u64>();
    let (start, sent, lost) = (sim.now, total(&sim), sim.lost);
    let (mut before, spent) = (sim.nodes[hub].sent, sim.nodes[hub].spent);
    let mut sends: Vec<(Instant, u64)> = vec![];
    let mut open: Vec<bool> = vec![true; plan.peers + 1];
    let mut left = plan.peers;
    sim.relocate(hub, &[here], &[there]);
    outcome.at_once = sim.nodes[hub].sent - before;
    outcome.spent[0] = sim.nodes[hub].spent - spent;
    let end = start.after(secs(600));
    loop {
        let now = sim.nodes[hub].sent;
        if now > before {
            sends.push((sim.now, now - before));
            before = now;
        }
        for (to, at) in std::mem::take(&mut sim.arrived) {
            if to != hub || !open[at] || sim.agreement(hub, at).is_err() {
                continue;
            }
            open[at] = false;
            left -= 1;
            for (part, took) in [50, 99, 100].into_iter().zip(&mut outcome.took) {
                if (plan.peers - left) * 100 >= plan.peers * part && took.is_none() {
                    *took = Some(sim.now.since(start));
                }
            }
        }
        if left == 0 || !sim.step(end) {
            break;
        }
    }
    sim.run(secs(60));
    outcome.peaks = [ms(10), secs(1)].map(|width| peak(&sends, width));
    outcome.sent = total(&sim) - sent;
    outcome.lost = sim.lost - lost;
    outcome.spent[1] = sim.nodes[hub].spent - spent;
    for at in 1..=plan.peers {
        outcome
            .apart
            .extend(sim.agreement(hub, at).err().map(|why| (at, why)));
    }
    outcome
}
