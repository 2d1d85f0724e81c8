// SPDX-License-Identifier: GPL-2.0
//! ihmpd, the agent: signals this host's moves to its peers, and theirs to the kernel.

#![forbid(unsafe_code)]

mod config;
mod driver;
mod interfaces;
mod io;
mod journal;
mod status;
mod store;
mod watchdog;

use std::{
    path::PathBuf,
    process::ExitCode, //
};

use anyhow::{
    bail,
    Context, //
};
use clap::{
    value_parser,
    Arg,
    ArgAction,
    Command, //
};
use ihmp_nl::{
    rtnl::Rtnl,
    Client,
    ParamRequest, //
};
use nix::{
    poll::{
        poll,
        PollFd,
        PollFlags, //
    },
    sys::{
        signal::{
            SigSet,
            Signal, //
        },
        signalfd::{
            SfdFlags,
            SignalFd, //
        },
    },
};
use sd_notify::NotifyState;
use tracing::Level;

use crate::{
    config::Config,
    driver::End, //
};

/// Milliseconds between two looks for a module that is not loaded.
const MODULE_RETRY_MS: u16 = 500;

fn command() -> Command {
    Command::new("ihmpd")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Signals the moves of this host to its peers, and theirs to the kernel")
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help(format!(
                    "Configuration file [default: {}]",
                    config::DEFAULT_PATH
                )),
        )
        .arg(
            Arg::new("state")
                .long("state")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .help(format!(
                    "Folder for keys [default: {}]",
                    ihmp_keys::DEFAULT_PATH
                )),
        )
        .arg(
            Arg::new("check")
                .long("check")
                .action(ArgAction::SetTrue)
                .help("Check the configuration file and stop"),
        )
        .arg(
            Arg::new("flush")
                .long("flush")
                .action(ArgAction::SetTrue)
                .help("Remove all hosts, and all routes and rules of the agent, and stop"),
        )
        .arg(
            Arg::new("log")
                .long("log")
                .value_name("LEVEL")
                .value_parser(["error", "warn", "info", "debug", "trace"])
                .help("Least level of log lines"),
        )
}

fn start_log(level: config::Level) {
    let level = match level {
        config::Level::Error => Level::ERROR,
        config::Level::Warn => Level::WARN,
        config::Level::Info => Level::INFO,
        config::Level::Debug => Level::DEBUG,
        config::Level::Trace => Level::TRACE,
    };
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(level)
        .with_target(false)
        .with_ansi(false)
        .without_time()
        .init();
}

/// Removes what the agent and the module keep.
fn flush() -> anyhow::Result<()> {
    Rtnl::connect()?.last_resort_remove()?;
    let mut client = match Client::connect() {
        Err(ihmp_nl::Error::NoModule) => return Ok(()),
        client => client?,
    };
    client.param_set(&ParamRequest {
        discovery: Some(false),
        ..ParamRequest::default()
    })?;
    Ok(client.host_flush()?)
}

/// The signals that mean something, as a descriptor.
fn signals() -> anyhow::Result<SignalFd> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGTERM);
    set.add(Signal::SIGINT);
    set.add(Signal::SIGHUP);
    set.add(Signal::SIGUSR1);
    set.thread_block()?;
    SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).context("signalfd")
}

/// Serves until a signal comes; without a module it does not begin, and waits for one that was unloaded.
fn serve(config: &Config) -> anyhow::Result<()> {
    use std::os::fd::AsFd;

    let signals = signals()?;
    let mut begun = false;
    let mut missing = false;
    loop {
        let ready = || {
            begun = true;
            missing = false;
            tracing::info!("event=ready port={}", config.port);
            eprintln!("ihmpd ready");
            // Nobody may have asked to be told.
            let _ = sd_notify::notify(false, &[NotifyState::Ready]);
        };
        match driver::serve(config, &signals, ready)? {
            End::Signal => return Ok(()),
            End::NoModule if !begun => bail!("{}", ihmp_nl::Error::NoModule),
            End::NoModule if !missing => {
                tracing::warn!("event=no-module");
                missing = true;
            }
            End::NoModule => (),
        }
        let mut fds = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, MODULE_RETRY_MS).is_ok_and(|ready| ready > 0) {
            let signal = signals.read_signal()?;
            if signal.is_some_and(|signal| driver::ends(signal.ssi_signo)) {
                return Ok(());
            }
        }
    }
}

fn run() -> anyhow::Result<()> {
    let args = command().get_matches();
    let named = args.get_one::<PathBuf>("config");
    let path = named
        .cloned()
        .unwrap_or_else(|| config::DEFAULT_PATH.into());
    let mut config = Config::load(&path, named.is_some())?;
    if let Some(dir) = args.get_one::<PathBuf>("state") {
        config.state_dir.clone_from(dir);
    }
    if args.get_flag("check") {
        return Ok(());
    }
    let told = args.get_one::<String>("log");
    start_log(
        told.and_then(|name| config::Level::parse(name))
            .unwrap_or(config.log),
    );
    if args.get_flag("flush") {
        return flush();
    }
    serve(&config)
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ihmpd: {error:#}");
            ExitCode::FAILURE
        }
    }
}
