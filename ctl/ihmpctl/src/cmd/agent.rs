// SPDX-License-Identifier: GPL-2.0
//! `ihmpctl agent`: what a running agent says of itself.

use std::path::Path;

use ihmp_keys::State;

use super::{
    Failure,
    Object,
    Verb,
    SHOW, //
};
use crate::render::Output;

pub(super) const OBJECT: Object = Object {
    name: "agent",
    verbs: &[Verb {
        names: SHOW,
        syntax: "",
        parse: |_| Ok(super::Action::Agent),
    }],
    notes: "

Asks the agent that uses the folder (--state DIR).",
};

pub(super) fn run(dir: &Path, out: &mut Output<'_>) -> Result<(), Failure> {
    let text = State::open(dir)?.ask_agent()?;
    let text = text.ok_or_else(|| Failure::State("no agent runs".to_owned()))?;
    Ok(out.agent(&text)?)
}
