// SPDX-License-Identifier: GPL-2.0
//! Shows and changes the host mobility tables of the kernel, in the manner of ip(8).
#![forbid(unsafe_code)]

use std::{
    fs::File,
    io::{
        self,
        BufWriter,
        ErrorKind,
        Write, //
    },
    path::{
        Path,
        PathBuf, //
    },
    process::ExitCode,
    time::SystemTime,
};

use clap::{
    Arg,
    ArgAction,
    ArgMatches, //
};

mod cmd;
mod protocol;
mod render;
mod words;

use cmd::Failure;
use render::{
    Family,
    Output,
    Style, //
};

/// The command line was wrong.
const USAGE: u8 = 1;
/// The kernel refused, or the output could not be written.
const REFUSED: u8 = 2;

fn arguments() -> clap::Command {
    let flag = |name: &'static str, short| Arg::new(name).short(short).action(ArgAction::SetTrue);
    clap::Command::new("ihmpctl")
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(flag("json", 'j').long("json"))
        .arg(flag("pretty", 'p').long("pretty"))
        .arg(flag("4", '4'))
        .arg(flag("6", '6').conflicts_with("4"))
        .arg(
            Arg::new("netns")
                .short('n')
                .long("netns")
                .value_name("NETNS"),
        )
        .arg(
            Arg::new("state")
                .long("state")
                .value_name("DIR")
                .value_parser(clap::value_parser!(PathBuf))
                .default_value(ihmp_keys::DEFAULT_PATH),
        )
        .arg(flag("timestamp", 't').long("timestamp"))
        .arg(flag("help", 'h').long("help"))
        .arg(flag("version", 'V').long("version"))
        .arg(Arg::new("words").num_args(0..).trailing_var_arg(false))
}

fn style(matches: &ArgMatches) -> Style {
    let pretty = matches.get_flag("pretty");
    let family = [("4", Family::V4), ("6", Family::V6)];
    Style {
        json: matches.get_flag("json") || pretty,
        pretty,
        timestamp: matches.get_flag("timestamp"),
        family: family
            .into_iter()
            .find(|(name, _)| matches.get_flag(name))
            .map(|(_, family)| family),
    }
}

/// Moves this process to a network namespace; nix, because std has no setns().
fn enter(netns: &str) -> Result<(), String> {
    let path = if netns.contains('/') {
        PathBuf::from(netns)
    } else {
        PathBuf::from("/var/run/netns").join(netns)
    };
    let file = File::open(path)
        .map_err(|error| format!("cannot open network namespace \"{netns}\": {error}"))?;
    nix::sched::setns(file, nix::sched::CloneFlags::CLONE_NEWNET).map_err(|error| {
        format!(
            "cannot enter network namespace \"{netns}\": {}",
            error.desc()
        )
    })
}

fn fail(code: u8, text: &str) -> ExitCode {
    // There is nowhere else to report that this cannot be written.
    let _ = writeln!(io::stderr(), "Error: {}.", text.trim_end_matches('.'));
    ExitCode::from(code)
}

fn main() -> ExitCode {
    let matches = match arguments().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            let text = error.to_string();
            let text = text.lines().next().unwrap_or_default();
            return fail(USAGE, text.strip_prefix("error: ").unwrap_or(text));
        }
    };
    let words: Vec<String> = matches
        .get_many("words")
        .unwrap_or_default()
        .cloned()
        .collect();
    // The namespace is entered before the words are read, since they may name its devices. Errors in the words are reported first.
    let netns = matches.get_one::<String>("netns");
    let entered = netns.map_or(Ok(()), |netns| enter(netns));
    let action = if matches.get_flag("help") {
        cmd::parse(&["help".to_owned()])
    } else if matches.get_flag("version") {
        Ok(cmd::Action::Help(
            concat!("ihmpctl ", env!("CARGO_PKG_VERSION")).to_owned(),
        ))
    } else {
        cmd::parse(&words)
    };
    let action = match action {
        Ok(action) => action,
        Err(usage) => return fail(USAGE, &usage.to_string()),
    };
    if let Err(text) = entered {
        return fail(REFUSED, &text);
    }
    let mut stdout = BufWriter::new(io::stdout().lock());
    let mut out = Output {
        to: &mut stdout,
        style: style(&matches),
        clock: SystemTime::now,
    };
    let state = matches.get_one::<PathBuf>("state");
    let state = state.map_or(Path::new(ihmp_keys::DEFAULT_PATH), PathBuf::as_path);
    match action
        .run(state, &mut out)
        .and_then(|()| Ok(stdout.flush()?))
    {
        Ok(()) => ExitCode::SUCCESS,
        // The program that reads the output has closed it, as `head` does.
        Err(Failure::Output(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(Failure::Output(error)) => fail(REFUSED, &format!("cannot write: {error}")),
        Err(Failure::Kernel(error)) => fail(REFUSED, &error.to_string()),
        Err(Failure::State(text)) => fail(REFUSED, &text),
    }
}
