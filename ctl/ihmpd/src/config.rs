// SPDX-License-Identifier: GPL-2.0
//! The configuration file: TOML, safe when empty, refused whole when anything in it is wrong.

use std::{
    fs, io,
    path::{
        Path,
        PathBuf, //
    },
};

use anyhow::{
    anyhow,
    bail,
    Context, //
};
use ihmp_core::{
    policy::Prefix,
    time::Duration, //
};
use ihmp_engine::{
    HostLimits,
    Limits,
    Policy, //
};
use ihmp_router::NatConfig;
use serde::Deserialize;

use crate::tell::Tell;

/// Where the file is unless told.
pub(crate) const DEFAULT_PATH: &str = "/etc/ihmp/ihmpd.toml";

/// Bridges of containers and virtual machines, whose kind does not tell.
const IGNORED: [&str; 5] = ["docker*", "virbr*", "lxcbr*", "lxdbr*", "cni*"];

/// The whole file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// UDP port of IHMP, at both ends.
    pub(crate) port: u16,
    /// Least level of log lines: error, warn, info, debug or trace.
    pub(crate) log: Level,
    /// The agent switches the machine off when it starts.
    pub(crate) off: bool,
    /// The folder for keys.
    pub(crate) state_dir: PathBuf,
    pub(crate) interfaces: Interfaces,
    pub(crate) peers: Peers,
    pub(crate) security: Security,
    pub(crate) router: Router,
}

/// `[router]`: what an agent in router mode serves.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Router {
    /// Networks within which moves are answered.
    pub(crate) inside: Vec<String>,
    /// Networks from and to which they are left to the peers.
    pub(crate) decline: Vec<String>,
    /// Networks from and to which nothing may move.
    pub(crate) reject: Vec<String>,
    /// Seconds for which a host need not ask again.
    pub(crate) lifetime: u16,
    /// Most host routes.
    pub(crate) max_routes: u32,
    /// Number of the netfilter queue.
    pub(crate) queue: u16,
    /// The machine is a NAT: peers of the hosts behind it are told what it does.
    pub(crate) nat: bool,
}

/// `[security]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Security {
    /// Whom to believe: first-use, pin, require-known or unsigned.
    pub(crate) mode: Mode,
}

/// `security.mode`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    #[default]
    FirstUse,
    Pin,
    RequireKnown,
    Unsigned,
}

/// `log`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// `[interfaces]`: whose addresses are told to peers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Interfaces {
    /// Name patterns of devices that count, whatever their kind and the other lists say.
    pub(crate) include: Vec<String>,
    /// Name patterns of devices that are passed over.
    pub(crate) ignore: Vec<String>,
    /// If not empty, name patterns of the only devices that count.
    pub(crate) only: Vec<String>,
    /// If not empty, name patterns of the only devices, and prefixes of the only addresses, that peers are told of.
    pub(crate) tell: Vec<String>,
}

/// `[peers]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Peers {
    /// Most hosts that the agent keeps.
    pub(crate) max: u32,
    /// Seconds for which a host that did not answer is left alone.
    pub(crate) retry_after: u32,
    /// Seconds for which a host without connections is kept.
    pub(crate) forget_after: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            port: 61_453,
            log: Level::Info,
            off: false,
            state_dir: ihmp_keys::DEFAULT_PATH.into(),
            interfaces: Interfaces::default(),
            peers: Peers::default(),
            security: Security::default(),
            router: Router::default(),
        }
    }
}

impl Default for Interfaces {
    fn default() -> Self {
        Self {
            include: Vec::new(),
            ignore: IGNORED.map(String::from).to_vec(),
            only: Vec::new(),
            tell: Vec::new(),
        }
    }
}

impl Default for Peers {
    fn default() -> Self {
        Self {
            max: 65_536,
            retry_after: 600,
            forget_after: 300,
        }
    }
}

impl Default for Router {
    fn default() -> Self {
        Self {
            inside: Vec::new(),
            decline: Vec::new(),
            reject: Vec::new(),
            lifetime: 300,
            max_routes: 4_096,
            queue: 61_453,
            nat: false,
        }
    }
}

/// The networks of a list, or the entry that is none, and why.
fn prefixes(texts: &[String]) -> Result<Vec<Prefix>, (String, anyhow::Error)> {
    let parse = |text: &String| {
        text.parse().map_err(|error| {
            let what = anyhow!("\"{text}\" is not a prefix: {error}");
            (text.clone(), what)
        })
    };
    texts.iter().map(parse).collect()
}

impl Router {
    /// What of this takes a restart where it differs from what runs.
    pub(crate) fn needs_restart(&self, running: &Self) -> Vec<&'static str> {
        let queue = (self.queue != running.queue).then_some("router.queue");
        let nat = (self.nat != running.nat).then_some("router.nat");
        queue.into_iter().chain(nat).collect()
    }

    /// What the machine has to know.
    pub(crate) fn config(&self, port: u16) -> anyhow::Result<ihmp_router::Config> {
        let inside = prefixes(&self.inside).map_err(|(_, error)| error)?;
        if inside.is_empty() && !self.nat {
            bail!("a router agent needs router.inside, the networks that it serves, or router.nat");
        }
        let nat = self.nat.then(|| NatConfig {
            port,
            ..NatConfig::default()
        });
        Ok(ihmp_router::Config {
            inside,
            decline: prefixes(&self.decline).map_err(|(_, error)| error)?,
            reject: prefixes(&self.reject).map_err(|(_, error)| error)?,
            lifetime: self.lifetime,
            max_routes: self.max_routes as usize,
            nat,
            ..ihmp_router::Config::default()
        })
    }
}

impl Mode {
    /// The name in the file.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::FirstUse => "first-use",
            Self::Pin => "pin",
            Self::RequireKnown => "require-known",
            Self::Unsigned => "unsigned",
        }
    }
}

impl Level {
    /// The level with this name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "error" => Self::Error,
            "warn" => Self::Warn,
            "info" => Self::Info,
            "debug" => Self::Debug,
            "trace" => Self::Trace,
            _ => return None,
        })
    }
}

/// Where a configuration comes from: the file, and what the command line says instead.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// The file.
    pub(crate) path: PathBuf,
    /// It was asked for by name, so it must be there.
    pub(crate) named: bool,
    /// The folder for keys.
    pub(crate) state_dir: Option<PathBuf>,
    /// Least level of log lines.
    pub(crate) log: Option<Level>,
}

impl Source {
    /// Reads it, the first time and again.
    pub(crate) fn load(&self) -> anyhow::Result<Config> {
        let config = Config::load(&self.path, self.named)?;
        Ok(Config {
            state_dir: self.state_dir.clone().unwrap_or(config.state_dir),
            log: self.log.unwrap_or(config.log),
            ..config
        })
    }
}

impl Config {
    /// What of this takes a restart where it differs from what runs.
    pub(crate) fn needs_restart(&self, running: &Self) -> Vec<&'static str> {
        let port = (self.port != running.port).then_some("port");
        let state_dir = (self.state_dir != running.state_dir).then_some("state_dir");
        let off = (self.off != running.off).then_some("off");
        port.into_iter().chain(state_dir).chain(off).collect()
    }

    /// Reads a file; one that is not there is an empty one, unless it was asked for by name.
    pub(crate) fn load(path: &Path, named: bool) -> anyhow::Result<Self> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text)
                .map_err(|Bad { line, what }| anyhow!("{}:{line}: {what}", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !named => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| path.display().to_string()),
        }
    }

    fn parse(text: &str) -> Result<Self, Bad> {
        let config: Self = toml::from_str(text).map_err(|error| Bad {
            line: error.span().map_or(1, |span| line_of(text, span.start)),
            what: error.message().to_owned(),
        })?;
        config.check().map_err(|(key, error)| Bad {
            line: text
                .lines()
                .position(|line| {
                    line.trim_start().starts_with(&key) || line.contains(&format!("\"{key}\""))
                })
                .map_or(1, |at| at + 1),
            what: error.to_string(),
        })?;
        Ok(config)
    }

    /// What is wrong, and the key or the entry of a list by which its line is found.
    fn check(&self) -> Result<(), (String, anyhow::Error)> {
        let within = |key, what: u32, least: u32, most: u32| -> anyhow::Result<()> {
            if (least..=most).contains(&what) {
                return Ok(());
            }
            bail!("{key} is {what}, it must be {least} to {most}")
        };
        within("port", self.port.into(), 1, 65_535).map_err(|error| ("port".into(), error))?;
        within("max", self.peers.max, 1, 1_048_576).map_err(|error| ("max".into(), error))?;
        for (key, what) in [
            ("retry_after", self.peers.retry_after),
            ("forget_after", self.peers.forget_after),
        ] {
            within(key, what, 1, 86_400).map_err(|error| (key.into(), error))?;
        }
        Tell::parse(&self.interfaces.tell).map_err(|(entry, why)| (entry, anyhow!(why)))?;
        let router = &self.router;
        for list in [&router.inside, &router.decline, &router.reject] {
            prefixes(list)?;
        }
        for (key, what, least) in [
            ("lifetime", u32::from(router.lifetime), 10),
            ("max_routes", router.max_routes, 1),
        ] {
            within(key, what, least, 65_535).map_err(|error| (key.into(), error))?;
        }
        Ok(())
    }

    /// Whom to believe.
    pub(crate) fn policy(&self) -> Policy {
        match self.security.mode {
            Mode::FirstUse => Policy::FirstUse,
            Mode::Pin => Policy::Pin,
            Mode::RequireKnown => Policy::RequireKnown,
            Mode::Unsigned => Policy::Unsigned,
        }
    }

    /// Whom to tell of what.
    pub(crate) fn tell(&self) -> Tell {
        // Bad lists were refused.
        Tell::parse(&self.interfaces.tell).unwrap_or_default()
    }

    /// The bounds of the engine.
    pub(crate) fn limits(&self) -> Limits {
        let hosts = HostLimits {
            most: self.peers.max as usize,
            classic: Duration::from_secs(self.peers.retry_after.into()),
            forget: Duration::from_secs(self.peers.forget_after.into()),
            ..HostLimits::default()
        };
        Limits {
            hosts,
            ..Limits::default()
        }
    }
}

/// What is wrong with a file.
#[derive(Debug, PartialEq, Eq)]
struct Bad {
    line: usize,
    what: String,
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes()
        .take(at)
        .filter(|octet| *octet == b'\n')
        .count()
        + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(Config::parse("").unwrap(), Config::default());
    }

    #[test]
    fn every_key() {
        let text = "port = 50000\nlog = \"debug\"\noff = true\nstate_dir = \"/x\"\n[security]\n\
                    mode = \"require-known\"\n[interfaces]\nignore = []\nonly = [\"eth*\"]\ninclude = [\"ppp0\"]\n\
                    tell = [\"eth*\", \"10.0.0.0/8\"]\n\
                    [peers]\nmax = 10\nretry_after = 5\nforget_after = 6\n\
                    [router]\ninside = [\"192.0.2.0/24\"]\nreject = [\"192.0.2.128/25\"]\nlifetime = 60\n\
                    decline = [\"192.0.2.64/26\"]\n\
                    max_routes = 7\nqueue = 8\nnat = true\n";
        let config = Config::parse(text).unwrap();
        assert_eq!((config.port, config.log), (50_000, Level::Debug));
        assert!(config.off);
        assert_eq!(config.state_dir, Path::new("/x"));
        assert_eq!(config.policy(), Policy::RequireKnown);
        assert_eq!(config.interfaces.only, ["eth*"]);
        assert_eq!(config.interfaces.include, ["ppp0"]);
        assert_ne!(config.tell(), Tell::default());
        let router = config.router.config(config.port).unwrap();
        assert_eq!(router.inside, ["192.0.2.0/24".parse().unwrap()]);
        assert_eq!(router.reject, ["192.0.2.128/25".parse().unwrap()]);
        assert_eq!(router.decline, ["192.0.2.64/26".parse().unwrap()]);
        assert_eq!((router.lifetime, router.max_routes), (60, 7));
        assert_eq!(config.router.queue, 8);
        assert_eq!(router.nat.unwrap().port, 50_000);
        assert_eq!(config.limits().hosts.most, 10);
        assert_eq!(config.limits().hosts.classic, Duration::from_secs(5));
        assert_eq!(config.limits().hosts.forget, Duration::from_secs(6));
    }

    #[test]
    fn unsigned_messages_are_believed_only_where_somebody_says_so() {
        assert_eq!(Config::default().policy(), Policy::FirstUse);
        let unsigned = Config::parse("[security]\nmode = \"unsigned\"\n").unwrap();
        assert_eq!(unsigned.policy(), Policy::Unsigned);
        let pin = Config::parse("[security]\nmode = \"pin\"\n").unwrap();
        assert_eq!(pin.policy(), Policy::Pin);
        assert!(Config::parse("[security]\nmode = \"none\"\n").is_err());
    }

    #[test]
    fn what_a_reload_cannot_change() {
        let running = Config::default();
        let other = |text: &str| Config::parse(text).unwrap();
        let all = "log = \"debug\"\n[interfaces]\nonly = [\"a\"]\n[peers]\nmax = 7\n[security]\n\
                   mode = \"unsigned\"\n";
        assert!(other(all).needs_restart(&running).is_empty());
        let rest = other("port = 7\nstate_dir = \"/x\"\noff = true\n");
        assert_eq!(rest.needs_restart(&running), ["port", "state_dir", "off"]);
        let router = other("[router]\nqueue = 7\nnat = true\nlifetime = 70\n").router;
        let needs = router.needs_restart(&running.router);
        assert_eq!(needs, ["router.queue", "router.nat"]);
    }

    #[test]
    fn the_command_line_comes_first() {
        let dir = std::env::temp_dir().join(format!("ihmpd-config-{}", std::process::id()));
        let source = Source {
            path: dir.join("nothing.toml"),
            named: false,
            state_dir: Some("/y".into()),
            log: Some(Level::Trace),
        };
        let config = source.load().unwrap();
        assert_eq!(config.state_dir, Path::new("/y"));
        assert_eq!(config.log, Level::Trace);
        let named = Source {
            named: true,
            ..source
        };
        assert!(named.load().is_err());
    }

    #[test]
    fn bad_lines_are_named() {
        let line = |text| Config::parse(text).unwrap_err().line;
        assert_eq!(line("port = 1\nprot = 2\n"), 2);
        assert_eq!(line("\n\nport = \"x\"\n"), 3);
        assert_eq!(line("log = \"info\"\nport = 0\n"), 2);
        assert_eq!(line("[peers]\n\nmax = 0\n"), 3);
        assert_eq!(line("[peers]\nretry_after = 1\nforget_after = 0\n"), 3);
        assert_eq!(line("port ="), 1);
        assert_eq!(line("port = 1\noff = \"yes\"\n"), 2);
        assert_eq!(line("[interfaces]\nignore = [1]\n"), 2);
        assert_eq!(
            line("[interfaces]\ntell = [\n\"eth*\",\n\"10.0.0.0/40\",\n]\n"),
            4
        );
        assert_eq!(line("[interfaces]\n\ntell = [\"a b\"]\n"), 3);
        assert_eq!(line("[router]\nlifetime = 60\ninside = [\"x\"]\n"), 3);
        assert_eq!(
            line("[router]\ninside = [\"10.0.0.0/8\"]\nreject = [\n\"10.1.0.0/16\",\n\"10.2.0.0/99\",\n]\n"),
            5
        );
        assert_eq!(line("[router]\ndecline = [\"10.2.0.0/33\"]\n"), 2);
        assert_eq!(line("[router]\nlifetime = 1\n"), 2);
        assert!(Config::default().router.config(1).is_err());
        let nat = Config::parse("[router]\nnat = true\n").unwrap().router;
        assert!(nat.config(1).unwrap().inside.is_empty());
    }
}
