// SPDX-License-Identifier: GPL-2.0
//! The list of objects. Each has a file with its verbs and what they do.

use std::path::Path;

use ihmp_nl::Client;

use crate::{
    render::Output,
    words::{
        pick,
        Result,
        Usage,
        Words, //
    },
};

mod address;
mod agent;
mod failure;
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
mod verb;
mod version;
mod which;

pub(crate) use failure::Failure;
use verb::{
    Asked,
    Object, //
};

/// What a command asks for.
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
    /// Carries it out; keys are in the folder `state`.
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

/// An object, whatever its actions are.
trait Entry {
    fn name(&self) -> &'static str;
    /// The names of each verb.
    #[cfg(test)]
    fn names(&self) -> Vec<&'static [&'static str]>;
    fn help(&self) -> String;
    fn parse(&self, words: &mut Words<'_>) -> Result<Action>;
}

/// An object, and the function that makes an [`Action`] of what its verbs read.
struct Of<A: 'static>(Object<A>, fn(A) -> Action);

impl<A> Entry for Of<A> {
    fn name(&self) -> &'static str {
        self.0.name
    }

    #[cfg(test)]
    fn names(&self) -> Vec<&'static [&'static str]> {
        self.0.verbs.iter().map(|verb| verb.names).collect()
    }

    fn help(&self) -> String {
        self.0.help()
    }

    fn parse(&self, words: &mut Words<'_>) -> Result<Action> {
        Ok(match self.0.parse(words)? {
            Asked::Help(text) => Action::Help(text),
            Asked::Action(action) => (self.1)(action),
        })
    }
}

const OBJECTS: &[&dyn Entry] = &[
    &Of(host::OBJECT, Action::Host),
    &Of(path::OBJECT, Action::Path),
    &Of(flow::OBJECT, Action::Flow),
    &Of(nat::OBJECT, Action::Nat),
    &Of(policy::OBJECT, Action::Policy),
    &Of(param::OBJECT, Action::Param),
    &Of(stats::OBJECT, Action::Stats),
    &Of(key::OBJECT, Action::Key),
    &Of(agent::OBJECT, |()| Action::Agent),
    &Of(monitor::OBJECT, |()| Action::Monitor),
    &Of(switch::OFF, Action::Switch),
    &Of(switch::ON, Action::Switch),
    &Of(version::OBJECT, |()| Action::Version),
];

/// The text for `ihmpctl help`.
fn help() -> String {
    let objects: Vec<_> = OBJECTS.iter().map(|object| object.name()).collect();
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

fn object(word: &str) -> Result<&'static dyn Entry> {
    let choices: Vec<_> = (0..)
        .zip(OBJECTS)
        .map(|(n, object)| (object.name(), n))
        .collect();
    let n: usize = pick(word, "an object", &choices)?;
    OBJECTS.get(n).copied().ok_or_else(|| Usage(help()))
}

#[cfg(test)]
mod tests;
