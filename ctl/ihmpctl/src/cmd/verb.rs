// SPDX-License-Identifier: GPL-2.0
//! Objects and verbs of the command line: how a command is read, and the help text of an object.

use crate::words::{
    pick,
    Result,
    Usage,
    Words, //
};

/// A verb: its names (the first one is shown in the help), the syntax of what follows it, and the function that reads that.
pub(super) struct Verb<A> {
    pub(super) names: &'static [&'static str],
    pub(super) syntax: &'static str,
    pub(super) parse: fn(&mut Words<'_>) -> Result<A>,
}

/// An object: its name, its verbs (the first one is the default), and notes that explain the words of the syntax.
pub(super) struct Object<A: 'static> {
    pub(super) name: &'static str,
    pub(super) verbs: &'static [Verb<A>],
    pub(super) notes: &'static str,
}

/// What the words that follow an object ask for.
pub(super) enum Asked<A> {
    Help(String),
    Action(A),
}

/// Names of the verbs that several objects have.
pub(super) const ADD: &[&str] = &["add", "new"];
pub(super) const DEL: &[&str] = &["del", "delete"];
pub(super) const SHOW: &[&str] = &["show", "list"];

impl<A> Object<A> {
    /// The text for `ihmpctl OBJECT help`.
    pub(super) fn help(&self) -> String {
        let line = |verb: &Verb<A>| match verb.names {
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

    /// Reads a verb and what follows it.
    pub(super) fn parse(&self, words: &mut Words<'_>) -> Result<Asked<A>> {
        let verb = match words.take() {
            Some("help") => return Ok(Asked::Help(self.help())),
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
            return Ok(Asked::Help(self.help()));
        };
        let action = (verb.parse)(words)?;
        words.end()?;
        Ok(Asked::Action(action))
    }
}
