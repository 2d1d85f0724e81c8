// SPDX-License-Identifier: GPL-2.0
//! `ihmpctl agent`: the status of a running agent.

use std::path::Path;

use ihmp_keys::State;

use super::{
    failure::Failure,
    verb::{
        Object,
        Verb,
        SHOW, //
    },
};
use crate::render::Output;

pub(super) const OBJECT: Object<()> = Object {
    name: "agent",
    verbs: &[Verb {
        names: SHOW,
        syntax: "",
        parse: |_| Ok(()),
    }],
    notes: "

Asks the agent that uses the folder (--state DIR).",
};

fn no_agent(dir: &Path) -> Failure {
    Failure::State(format!(
        "no agent runs that uses {}; start it (\"systemctl start ihmpd\"), or name the folder of another one (--state)",
        dir.display()
    ))
}

pub(super) fn run(dir: &Path, out: &mut Output<'_>) -> Result<(), Failure> {
    let text = State::open(dir)?.ask_agent()?;
    let text = text.ok_or_else(|| no_agent(dir))?;
    Ok(out.agent(&text)?)
}
