// SPDX-License-Identifier: GPL-2.0
//! What `make sim` does: crowds, hand-offs, a hub.

use ihmp_sim::crowd::{self, Event};
use ihmp_sim::formula::{Protocol, Setting, FIGURE_13_CONNECTIONS};
use ihmp_sim::handoff::{self, Extent};
use ihmp_sim::{hub, ms, Weather};

use crate::clock;
use crate::finding::Finding;

/// Sizes of the crowds, and how often their hosts move: often enough for a thousand samples.
const CROWDS: [(usize, usize); 5] = [(2, 200), (10, 40), (100, 10), (1_000, 3), (10_000, 2)];
/// Numbers of peers in the picture after Figure 13 of [DIME-IFIP].
const PEERS: [u64; 7] = [1, 2, 5, 10, 20, 50, 100];
/// Numbers of connections with one peer.
const CONNECTIONS: [u64; 7] = [1, 2, 5, 10, 50, 200, 1_000];
/// Most addresses of an end.
const ADDRESSES: u64 = 4;

/// All that was found.
#[derive(Default)]
pub(crate) struct Suite {
    pub(crate) findings: Vec<Finding>,
    /// The findings as a table.
    pub(crate) lines: Vec<String>,
    /// What should not have happened.
    pub(crate) wrong: Vec<String>,
    /// Peers or connections and messages of a hand-off: ours, counted, then those of the formulas of all protocols.
    pub(crate) by_peers: Vec<(u64, u64, [u64; 4])>,
    pub(crate) by_connections: Vec<(u64, u64, [u64; 4])>,
    /// The largest crowd: its size, and what became of it.
    pub(crate) largest: Option<(usize, crowd::Outcome)>,
}

impl Suite {
    fn found(&mut self, case: &str, metric: &str, value: Option<f64>, unit: &'static str) {
        self.found_of(case, metric, value, unit, "");
    }

    fn found_of(
        &mut self,
        case: &str,
        metric: &str,
        value: Option<f64>,
        unit: &'static str,
        peer: &'static str,
    ) {
        self.findings.push(Finding {
            case: case.to_owned(),
            metric: metric.to_owned(),
            value,
            unit,
            peer,
        });
    }

    fn say(&mut self, line: String) {
        println!("{line}");
        self.lines.push(line);
    }

    /// Random moves in bad weather, of crowds of up to `most` hosts.
    pub(crate) fn crowds(&mut self, plan: crowd::Plan, most: usize) {
        self.heads(&plan);
        for (hosts, moves) in CROWDS.into_iter().filter(|(hosts, _)| *hosts <= most) {
            self.crowd(crowd::Plan {
                hosts,
                moves,
                ..plan
            });
        }
    }

    /// The head of the table of crowds.
    pub(crate) fn heads(&mut self, plan: &crowd::Plan) {
        let weather = plan.weather;
        self.say(format!(
            "Random moves, {} % lost, {} % twice, {} to {} ms in one direction of which {} vary{}",
            weather.loss,
            weather.duplication,
            weather.latency.as_millis(),
            (weather
                .latency
                .saturating_add(plan.farthest)
                .saturating_add(weather.spread))
            .as_millis(),
            weather.spread.as_millis(),
            if plan.signed { "" } else { ", unsigned" },
        ));
        self.say(format!(
            "round trips until a pair agrees again, p50 and p99: {:>16}{:>14}{:>14}",
            "soft gain", "soft lose", "hard"
        ));
        self.say(format!(
            "{:>7}{:>8}{:>8}{:>10}{:>8} |{:>7}{:>7}{:>7}{:>7}{:>7}{:>7} |{:>10}{:>7}",
            "hosts",
            "pairs",
            "moves",
            "messages",
            "lost",
            "p50",
            "p99",
            "p50",
            "p99",
            "p50",
            "p99",
            "us/host",
            "apart"
        ));
    }

    /// Random moves of one crowd.
    pub(crate) fn crowd(&mut self, plan: crowd::Plan) {
        let outcome = crowd::run(plan);
        let case = format!("crowd-{}", plan.hosts);
        let moves = outcome.soft + outcome.hard;
        let lost = outcome.lost as f64 / (outcome.sent as f64).max(1.0);
        let messages = (outcome.greetings + outcome.sent) as f64;
        let per_host = outcome.spent as f64 / plan.hosts as f64;
        for (metric, value, unit) in [
            ("pairs", outcome.relations as f64, "1"),
            ("pairs_greeted_again", outcome.greeted_again as f64, "1"),
            ("pairs_apart", outcome.apart.len() as f64, "1"),
            ("moves_soft", outcome.soft as f64, "1"),
            ("moves_hard", outcome.hard as f64, "1"),
            ("messages_greeting", outcome.greetings as f64, "1"),
            ("messages_moving", outcome.sent as f64, "1"),
            ("messages_lost", outcome.lost as f64, "1"),
            ("messages_lost_ratio", lost, "1"),
            ("simulated_time", outcome.lasted.as_secs() as f64, "s"),
            ("cost_per_host", per_host.round(), "ns"),
            (
                "cost_per_message",
                (outcome.spent as f64 / messages).round(),
                "ns",
            ),
        ] {
            self.found(&case, metric, Some(value), unit);
        }
        let mut columns = String::new();
        for event in Event::ALL {
            let within = |thousandth| outcome.within(Some(event), thousandth);
            for (name, thousandth) in [("p50", 500), ("p99", 990), ("max", 1_000)] {
                let metric = format!("agreed_{}_{name}", event.name());
                self.found(&case, &metric, within(thousandth), "RTT");
            }
            let text = |thousandth| {
                within(thousandth).map_or("-".to_owned(), |value| format!("{value:.2}"))
            };
            columns += &format!("{:>7}{:>7}", text(500), text(990));
        }
        self.say(format!(
            "{:>7}{:>8}{:>8}{:>10}{:>7.1}% |{columns} |{:>10.0}{:>7}",
            plan.hosts,
            outcome.relations,
            moves,
            outcome.sent,
            lost * 100.0,
            per_host / 1000.0,
            outcome.apart.len()
        ));
        for (one, other, why) in &outcome.apart {
            self.wrong.push(format!(
                "{case}, seed {}: hosts {one} and {other}: {why}",
                plan.seed
            ));
        }
        self.largest = Some((plan.hosts, outcome));
    }

    /// Says what was wrong.
    pub(crate) fn close(&mut self) {
        for line in std::mem::take(&mut self.wrong) {
            self.say(format!("WRONG: {line}"));
            self.wrong.push(line);
        }
        if self.wrong.is_empty() {
            self.say("All pairs agree.".to_owned());
        }
    }

    /// Messages of one hand-off, counted and by formula.
    pub(crate) fn hand_offs(&mut self) {
        self.say("Messages of one hand-off of all addresses, counted (formula)".to_owned());
        let foreigns: Vec<String> = (1..=ADDRESSES)
            .map(|foreign| format!("{foreign:>12} foreign"))
            .collect();
        let foreigns = foreigns.concat();
        self.say(format!("{:>18}{foreigns}", ""));
        for peers in [1, 10, 100] {
            for local in 1..=ADDRESSES {
                let mut line = format!("{peers:>5} peers,{local:>2} local");
                for foreign in 1..=ADDRESSES {
                    let setting = Setting {
                        local,
                        foreign,
                        peers,
                        connections: 1,
                    };
                    let formula = Protocol::Ihmp.messages(setting);
                    let counted = self.counted(setting, Extent::All);
                    line += &format!("{:>20}", format!("{counted} ({formula})"));
                }
                self.say(line);
            }
        }
        let ones: Vec<u64> = (1..=ADDRESSES)
            .map(|local| Setting {
                local,
                foreign: 1,
                peers: 10,
                connections: 1,
            })
            .map(|setting| self.counted(setting, Extent::One))
            .collect();
        self.say(format!(
            "Of one of 1 to {ADDRESSES} addresses, 10 peers: {ones:?}"
        ));
        self.say(format!(
            "With one address at each end and {FIGURE_13_CONNECTIONS} connections with each peer"
        ));
        self.by_peers = self.compared("peers", &PEERS, |peers| Setting {
            local: 1,
            foreign: 1,
            peers,
            connections: FIGURE_13_CONNECTIONS,
        });
        self.say("With one address at each end and one peer".to_owned());
        self.by_connections = self.compared("connections", &CONNECTIONS, |connections| Setting {
            local: 1,
            foreign: 1,
            peers: 1,
            connections,
        });
    }

    /// The messages of a hand-off for some numbers of something, beside those of other protocols.
    fn compared(
        &mut self,
        what: &str,
        numbers: &[u64],
        of: fn(u64) -> Setting,
    ) -> Vec<(u64, u64, [u64; 4])> {
        let names = Protocol::ALL
            .map(|protocol| format!("{:>10}", protocol.name()))
            .concat();
        self.say(format!("{what:>12} |{:>9} |{names}", "counted"));
        let mut rows = vec![];
        for number in numbers {
            let setting = of(*number);
            let counted = self.counted(setting, Extent::All);
            let formulas = Protocol::ALL.map(|protocol| protocol.messages(setting));
            let columns = formulas.map(|messages| format!("{messages:>10}")).concat();
            self.say(format!("{number:>12} |{counted:>9} |{columns}"));
            for (protocol, messages) in Protocol::ALL.into_iter().zip(formulas).skip(1) {
                let case = case(setting, Extent::All);
                self.found_of(
                    &case,
                    "messages",
                    Some(messages as f64),
                    "1",
                    protocol.name(),
                );
            }
            rows.push((*number, counted, formulas));
        }
        rows
    }

    /// Counts the messages of a hand-off, and checks them: two for each address that changed and each peer. That is the
    /// formula where all change and the peer has no more addresses than that, and less where it has.
    fn counted(&mut self, setting: Setting, extent: Extent) -> u64 {
        let case = case(setting, extent);
        let formula = Protocol::Ihmp.messages(setting);
        let counted = handoff::count(setting, extent).unwrap_or_else(|why| {
            self.wrong.push(format!("{case}: {why}"));
            0
        });
        if self.findings.iter().any(|finding| finding.case == case) {
            return counted;
        }
        let changed = if extent == Extent::All {
            setting.local
        } else {
            1
        };
        let expected = 2 * changed * setting.peers;
        if counted != expected || counted > formula {
            self.wrong.push(format!(
                "{case}: {counted} messages, not {expected}; formula: {formula}"
            ));
        }
        self.found(&case, "messages", Some(counted as f64), "1");
        self.found_of(&case, "messages", Some(formula as f64), "1", "formula");
        counted
    }

    /// A host with so many peers moves.
    pub(crate) fn hub(&mut self, peers: usize, loss: u64) {
        let outcome = hub::run(hub::Plan {
            peers,
            weather: Weather {
                latency: ms(1),
                spread: ms(20),
                loss,
                duplication: 0,
            },
            farthest: ms(179),
            seed: 1,
            clock: clock::spent,
        });
        let case = format!("hub-{peers}-loss-{loss}");
        let [at_once, all] = outcome.spent.map(|spent| spent as f64);
        for (metric, value, unit) in [
            ("messages_at_once", outcome.at_once as f64, "1"),
            ("messages_most_in_10ms", outcome.peaks[0] as f64, "1"),
            ("messages_most_in_1s", outcome.peaks[1] as f64, "1"),
            ("messages", outcome.sent as f64, "1"),
            ("messages_lost", outcome.lost as f64, "1"),
            ("peers_apart", outcome.apart.len() as f64, "1"),
            ("cost_of_first_messages", at_once, "ns"),
            ("cost_per_peer", (all / peers as f64).round(), "ns"),
        ] {
            self.found(&case, metric, Some(value), unit);
        }
        let names = ["agreed_p50", "agreed_p99", "agreed_all"];
        for (metric, took) in names.into_iter().zip(outcome.took) {
            let seconds = took.map(|took| took.as_millis() as f64 / 1000.0);
            self.found(&case, metric, seconds, "s");
        }
        let [half, most, every] = outcome
            .took
            .map(|took| took.map_or("-".to_owned(), |took| format!("{} ms", took.as_millis())));
        self.say(format!(
            "A host with {peers} peers moves, {loss} % lost: {} messages at once ({:.0} ms of computing), at most {} in a \
             second, {} in all by all hosts; half of the peers knew and had said so after {half}, 99 of 100 after {most}, all \
             after {every}; {} apart",
            outcome.at_once,
            at_once / 1e6,
            outcome.peaks[1],
            outcome.sent,
            outcome.apart.len()
        ));
        for (at, why) in outcome.apart {
            self.wrong.push(format!("{case}: peer {at}: {why}"));
        }
    }
}

/// The name of a hand-off in the results.
fn case(setting: Setting, extent: Extent) -> String {
    let Setting {
        local,
        foreign,
        peers,
        connections,
    } = setting;
    let extent = if extent == Extent::All { "" } else { "-one" };
    format!(
        "handoff-local-{local}-foreign-{foreign}-peers-{peers}-connections-{connections}{extent}"
    )
}
