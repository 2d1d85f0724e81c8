// SPDX-License-Identifier: GPL-2.0
//! `ihmpctl stats`: counters of the network namespace.

use ihmp_nl::Client;

use super::{
    failure::Failure,
    verb::{
        Object,
        Verb,
        SHOW, //
    },
};
use crate::render::Output;

pub(super) const OBJECT: Object<Action> = Object {
    name: "stats",
    verbs: &[
        Verb {
            names: SHOW,
            syntax: "",
            parse: |_| Ok(Action::Show),
        },
        Verb {
            names: &["flush"],
            syntax: "",
            parse: |_| Ok(Action::Flush),
        },
    ],
    notes: "",
};

/// What to do with counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Show,
    Flush,
}

impl Action {
    pub(super) fn run(
        self,
        client: &mut Client,
        out: &mut Output<'_>,
    ) -> std::result::Result<(), Failure> {
        match self {
            Self::Show => out.stats(&client.stats()?)?,
            Self::Flush => client.stats_flush()?,
        }
        Ok(())
    }
}
