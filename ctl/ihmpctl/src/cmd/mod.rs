// SPDX-License-Identifier: GPL-2.0
//! The objects and their verbs: what can be said, and what it does.

use std::{
    io,
    path::Path, //
};

use ihmp_nl::{
    AddrSet,
    Client,
    HostAddr, //
};

use crate::{
    render::Output,
    words::{
        pick,
        Result,
        Usage,
        Words, //
    },
};

mod agent;
mod flow;
mod host;
mod key;
mod monitor;
mod nat;
mod param;
mod path;
mod policy;
mod stats;
mod switch;
mod version;

/// Something to do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    Help(String),
    Host(host::Action),
    Path(path::Action),
    Flow(flow::Action),
    Nat(nat::Action),
    Policy(policy::Action),
    Param(param::Action),
    Stats(stats::Action),
    Key(key::Action),
    Agent,
    Monitor,
    Switch(bool),
    Version,
}

impl Action {
    /// Does it; keys are in the folder `state`.
    pub(crate) fn run(
        self,
        state: &Path,
        out: &mut Output<'_>,
    ) -> std::result::Result<(), Failure> {
        match self {
            Self::Help(text) => out.line(&text)?,
            Self::Host(action) => action.run(&mut Client::connect()?, state, out)?,
            Self::Path(action) => action.run(&mut Client::connect()?, out)?,
            Self::Flow(action) => action.run(&mut Client::connect()?, out)?,
            Self::Nat(action) => action.run(&mut Client::connect()?, out)?,
            Self::Policy(action) => action.run(&mut Client::connect()?, out)?,
            Self::Param(action) => action.run(&mut Client::connect()?, out)?,
            Self::Stats(action) => action.run(&mut Client::connect()?, out)?,
            Self::Key(action) => action.run(state, out)?,
            Self::Agent => agent::run(state, out)?,
            Self::Monitor => monitor::run(out)?,
            Self::Switch(on) => switch::run(on, &mut Client::connect()?, out)?,
            Self::Version => version::run(out)?,
        }
        Ok(())
    }
}

/// Why something was not done.
#[derive(Debug)]
pub(crate) enum Failure {
    Kernel(ihmp_nl::Error),
    /// The folder with the keys.
    State(String),
    Output(io::Error),
}

impl From<ihmp_nl::Error> for Failure {
    fn from(error: ihmp_nl::Error) -> Self {
        Self::Kernel(error)
    }
}

impl From<ihmp_keys::Error> for Failure {
    fn from(error: ihmp_keys::Error) -> Self {
        Self::State(error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// A verb: its names (the first is the proper one), what follows it, and how that is read.
pub(crate) struct Verb {
    names: &'static [&'static str],
    syntax: &'static str,
    parse: fn(&mut Words<'_>) -> Result<Action>,
}

/// An object: its name, its verbs, the first of which is meant when none is given, and what the words of the syntax stand
/// for.
pub(crate) struct Object {
    name: &'static str,
    verbs: &'static [Verb],
    notes: &'static str,
}

const OBJECTS: &[&Object] = &[
    &host::OBJECT,
    &path::OBJECT,
    &flow::OBJECT,
    &nat::OBJECT,
    &policy::OBJECT,
    &param::OBJECT,
    &stats::OBJECT,
    &key::OBJECT,
    &agent::OBJECT,
    &monitor::OBJECT,
    &switch::OFF,
    &switch::ON,
    &version::OBJECT,
];

/// Names of the verbs that several objects have.
const ADD: &[&str] = &["add", "new"];
const DEL: &[&str] = &["del", "delete"];
const SHOW: &[&str] = &["show", "list"];

impl Object {
    fn help(&self) -> String {
        let line = |verb: &Verb| match verb.names {
            [] => format!("ihmpctl {}\n", self.name),
            [name, ..] => {
                format!("ihmpctl {} {name} {}", self.name, verb.syntax)
                    .trim_end()
                    .to_owned()
                    + "\n"
            }
        };
        let lines: String = self.verbs.iter().map(line).collect();
        "Usage: ".to_owned() + lines.trim_end().replace('\n', "\n       ").as_str() + self.notes
    }

    fn parse(&self, words: &mut Words<'_>) -> Result<Action> {
        let verb = match words.take() {
            Some("help") => return Ok(Action::Help(self.help())),
            Some(word) => {
                let choices: Vec<_> = (0..)
                    .zip(self.verbs)
                    .flat_map(|(n, verb)| verb.names.iter().map(move |name| (*name, n)))
                    .collect();
                if choices.is_empty() {
                    return Err(Usage(format!("\"{word}\" was not expected")));
                }
                self.verbs.get(pick::<usize>(word, "a verb", &choices)?)
            }
            None => self.verbs.first(),
        };
        let Some(verb) = verb else {
            return Ok(Action::Help(self.help()));
        };
        let action = (verb.parse)(words)?;
        words.end()?;
        Ok(action)
    }
}

/// The text for `ihmpctl help`.
fn help() -> String {
    let objects: Vec<_> = OBJECTS.iter().map(|object| object.name).collect();
    format!(
        "Usage: ihmpctl [OPTIONS] OBJECT [VERB] [ARGUMENTS]\n       \
         ihmpctl OBJECT help\n\n\
         OBJECT: {}\n\n\
         Options:\n  \
         -j, --json         print JSON\n  \
         -p, --pretty       print JSON with line breaks\n  \
         -4                 only IPv4\n  \
         -6                 only IPv6\n  \
         -n, --netns NETNS  in this network namespace: a name, or a path with a slash\n  \
         --state DIR        the folder of the agent, for key\n  \
         -t, --timestamp    in monitor, print the time of each event\n  \
         -h, --help         print this\n  \
         -V, --version      print the version of ihmpctl",
        objects.join(", ")
    )
}

/// Reads a command.
pub(crate) fn parse(line: &[String]) -> Result<Action> {
    let mut words = Words::new(line);
    match words.take() {
        None => Ok(Action::Help(help())),
        Some("help") => match words.take() {
            None => Ok(Action::Help(help())),
            Some(word) => Ok(Action::Help(object(word)?.help())),
        },
        Some(word) => object(word)?.parse(&mut words),
    }
}

fn object(word: &str) -> Result<&'static Object> {
    let choices: Vec<_> = (0..)
        .zip(OBJECTS)
        .map(|(n, object)| (object.name, n))
        .collect();
    let n: usize = pick(word, "an object", &choices)?;
    OBJECTS.get(n).copied().ok_or_else(|| Usage(help()))
}

/// The words for the sets of addresses.
const SETS: &[(&str, AddrSet)] = &[
    ("remote", AddrSet::Active),
    ("active", AddrSet::Active),
    ("local", AddrSet::Local),
    ("unreachable", AddrSet::Unreachable),
    ("alias", AddrSet::Alias),
];

/// What may follow the word for a set: ADDR [preference N] [unvalidated] [nat] [left] [device NAME]
fn address(set: AddrSet, words: &mut Words<'_>) -> Result<HostAddr> {
    let mut addr = HostAddr::new(set, words.addr("an address")?);
    loop {
        if words.keyword("preference") {
            addr.preference = words.parse("a preference from 0 to 65535")?;
        } else if words.peek() == Some("nat") {
            // Not shortened: a name may follow.
            words.take();
            addr.nat = true;
        } else if words.peek() == Some("left") {
            // Not shortened either: a local address may follow.
            words.take();
            addr.left = true;
        } else if words.peek() == Some("unvalidated") {
            // Nor is this: the set "unreachable" may follow.
            words.take();
            addr.unvalidated = true;
        } else if words.keyword("device") {
            addr.device = Some(words.device()?);
        } else {
            return Ok(addr);
        }
    }
}

/// [host ID]
fn optional_host(words: &mut Words<'_>) -> Result<Option<u32>> {
    match words.peek() {
        None => Ok(None),
        Some(_) => host_id(words).map(Some),
    }
}

/// host ID
fn host_id(words: &mut Words<'_>) -> Result<u32> {
    words.choice("the word host", &[("host", ())])?;
    words.parse("the id of a host")
}

#[cfg(test)]
mod tests;
