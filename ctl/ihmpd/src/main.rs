// SPDX-License-Identifier: GPL-2.0
//! ihmpd, the agent: signals this host's moves to its peers, and theirs to the kernel.

#![forbid(unsafe_code)]

mod config;
mod datagram;
mod driver;
mod interfaces;
mod io;
mod journal;
mod log;
mod manager;
mod memory;
mod own;
mod pace;
mod pattern;
mod router;
mod running;
mod signals;
mod status;
mod store;
mod tell;

use std::{
    path::PathBuf,
    process::ExitCode, //
};

use crate::{
    config::{
        Config,
        Source, //
    },
    driver::End,
    log::Log,
    running::Running,
    signals::{
        Signal,
        Signals, //
    },
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
use ihmp_network::{
    last_resort,
    Rtnl, //
};
use ihmp_nl::{
    Client,
    ParamRequest, //
};

/// Milliseconds after which it is tried again whether the module is loaded.
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
            Arg::new("router")
                .long("router")
                .action(ArgAction::SetTrue)
                .help("Answer the moves of hosts behind this router, or tell their peers what its NAT does"),
        )
        .arg(
            Arg::new("log")
                .long("log")
                .value_name("LEVEL")
                .value_parser(["error", "warn", "info", "debug", "trace"])
                .help("Least level of log lines"),
        )
}

/// Removes all hosts and flows, and the agent's device, rules and routes.
fn flush() -> anyhow::Result<()> {
    last_resort::remove(&mut Rtnl::connect()?)?;
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

/// Serves as a router until a signal comes.
fn route(source: &Source, mut config: Config, log: &Log) -> anyhow::Result<()> {
    let signals = Signals::block()?;
    let port = config.port;
    let running = Running::new(source, &mut config, log);
    router::serve(running, &signals, || {
        tracing::info!("event=ready port={port} mode=router");
        eprintln!("ihmpd ready");
        manager::ready();
    })
}

/// Serves until a signal comes. It fails if the module is not loaded at the start; if the module is unloaded later, it waits for it.
fn serve(source: &Source, mut config: Config, log: &Log) -> anyhow::Result<()> {
    let signals = Signals::block()?;
    let mut begun = false;
    let mut missing = false;
    loop {
        let port = config.port;
        let ready = || {
            begun = true;
            missing = false;
            tracing::info!("event=ready port={port}");
            eprintln!("ihmpd ready");
            manager::ready();
        };
        let running = Running::new(source, &mut config, log);
        match driver::serve(running, &signals, ready)? {
            End::Signal => return Ok(()),
            End::NoModule if !begun => bail!("{}", ihmp_nl::Error::NoModule),
            End::NoModule if !missing => {
                tracing::warn!("event=no-module");
                missing = true;
            }
            End::NoModule => (),
        }
        match signals.wait(MODULE_RETRY_MS)? {
            Some(Signal::End) => return Ok(()),
            Some(Signal::Reload) => match source.load() {
                Ok(new) => config = new,
                Err(error) => tracing::error!("event=reload-refused error=\"{error:#}\""),
            },
            Some(Signal::Answer) | None => (),
        }
    }
}

fn run() -> anyhow::Result<()> {
    let args = command().get_matches();
    let named = args.get_one::<PathBuf>("config");
    let path = named
        .cloned()
        .unwrap_or_else(|| config::DEFAULT_PATH.into());
    let told = args.get_one::<String>("log");
    let source = Source {
        path,
        named: named.is_some(),
        state_dir: args.get_one::<PathBuf>("state").cloned(),
        log: told.and_then(|name| config::Level::parse(name)),
    };
    let config = source.load()?;
    let router = args.get_flag("router");
    if router {
        let checked = config.router.config(config.port);
        checked.with_context(|| source.path.display().to_string())?;
    }
    if args.get_flag("check") {
        return Ok(());
    }
    let log = Log::start(config.log);
    if args.get_flag("flush") {
        return flush();
    }
    if router {
        return route(&source, config, &log);
    }
    serve(&source, config, &log)
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
