// SPDX-License-Identifier: GPL-2.0
//! ihmp-sim: the engine of IHMP for two to ten thousand hosts under a virtual clock.
//!
//! Exit status: 0 when all hosts agree with their peers in the end and no message was sent in vain, 1 when not, 2 for a
//! wrong command line or results that could not be written.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use clap::{Arg, ArgAction, ArgMatches, Command};
use ihmp_sim::crowd::{self, Plan};
use ihmp_sim::{ms, secs, Weather};

mod clock;
mod finding;
mod picture;
mod suite;

use suite::Suite;

/// Most peers of the host with very many.
const HUB: usize = 10_000;

/// An option with a number.
fn number(name: &'static str, default: &'static str, help: &'static str) -> Arg {
    let parser = clap::value_parser!(u64);
    Arg::new(name)
        .long(name)
        .value_name("N")
        .value_parser(parser)
        .default_value(default)
        .help(help)
}

/// The options of every crowd.
fn weather(command: Command) -> Command {
    command
        .arg(number(
            "peers",
            "3",
            "peers to which each host opens a flow",
        ))
        .arg(number("pace", "20", "seconds between its moves"))
        .arg(number("loss", "5", "messages lost, per cent"))
        .arg(number(
            "duplication",
            "2",
            "messages that come twice, per cent",
        ))
        .arg(number("delay", "1", "least delay in one direction, ms"))
        .arg(number(
            "farthest",
            "179",
            "up to so much more, always the same between two hosts, ms",
        ))
        .arg(number(
            "spread",
            "20",
            "up to so much more, other for each message, ms",
        ))
        .arg(number("seed", "1", "what chance comes from"))
        .arg(
            Arg::new("unsigned")
                .long("unsigned")
                .action(ArgAction::SetTrue)
                .help("no signatures"),
        )
}

fn arguments() -> Command {
    let all = Command::new("all")
        .about("crowds of 2 to 10,000 hosts, hand-offs, a host with 10,000 peers; a table, results and a picture")
        .arg(number("most", "10000", "hosts of the largest crowd, and most peers of a host"))
        .arg(
            Arg::new("results")
                .long("results")
                .value_name("DIR")
                .value_parser(clap::value_parser!(PathBuf))
                .help("where sim.json, sim.svg and sim.txt go"),
        );
    let crowd = Command::new("crowd")
        .about("one crowd of hosts that move at random")
        .arg(number("hosts", "100", "hosts"))
        .arg(number("moves", "3", "moves of each"))
        .arg(number("restarts", "0", "restarts of each agent"))
        .arg(number("runs", "1", "so many seeds, one after the other"));
    Command::new("ihmp-sim")
        .about("The signalling of IHMP under a virtual clock")
        .subcommand_required(true)
        .subcommand(weather(all))
        .subcommand(weather(crowd))
}

fn get(matches: &ArgMatches, name: &str) -> u64 {
    matches.get_one::<u64>(name).copied().unwrap_or_default()
}

fn size(matches: &ArgMatches, name: &str) -> usize {
    usize::try_from(get(matches, name)).unwrap_or(usize::MAX)
}

fn plan(matches: &ArgMatches) -> Plan {
    Plan {
        peers: size(matches, "peers"),
        pace: secs(get(matches, "pace")),
        weather: Weather {
            latency: ms(get(matches, "delay")),
            spread: ms(get(matches, "spread")),
            loss: get(matches, "loss"),
            duplication: get(matches, "duplication"),
        },
        farthest: ms(get(matches, "farthest")),
        seed: get(matches, "seed"),
        signed: !matches.get_flag("unsigned"),
        clock: clock::spent,
        ..Plan::default()
    }
}

fn write(suite: &Suite, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("sim.json"), finding::array(&suite.findings))?;
    fs::write(folder.join("sim.svg"), picture::draw(suite))?;
    fs::write(folder.join("sim.txt"), suite.lines.join("\n") + "\n")
}

fn main() -> ExitCode {
    let matches = arguments().get_matches();
    let mut suite = Suite::default();
    match matches.subcommand() {
        Some(("all", matches)) => {
            let most = size(matches, "most");
            suite.crowds(plan(matches), most);
            suite.hand_offs();
            for loss in [0, get(matches, "loss")] {
                suite.hub(HUB.min(most), loss);
            }
            suite.close();
            if let Some(folder) = matches.get_one::<PathBuf>("results") {
                if let Err(error) = write(&suite, folder) {
                    eprintln!("ihmp-sim: {}: {error}", folder.display());
                    return ExitCode::from(2);
                }
            }
        }
        Some(("crowd", matches)) => {
            let plan = Plan {
                hosts: size(matches, "hosts").max(2),
                moves: size(matches, "moves"),
                restarts: size(matches, "restarts"),
                ..plan(matches)
            };
            suite.heads(&plan);
            for run in 0..get(matches, "runs") {
                let seed = plan.seed + run;
                suite.crowd(crowd::Plan { seed, ..plan });
            }
            suite.close();
        }
        _ => {}
    }
    ExitCode::from(u8::from(!suite.wrong.is_empty()))
}
