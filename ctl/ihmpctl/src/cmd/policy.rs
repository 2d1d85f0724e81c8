// SPDX-License-Identifier: GPL-2.0
//! `ihmpctl policy`: what is done for unknown addresses, by prefix.

use std::net::IpAddr;

use ihmp_nl::{
    Client,
    Policy,
    PolicyAction, //
};

use super::{
    failure::Failure,
    verb::{
        Object,
        Verb,
        DEL,
        SHOW, //
    },
};
use crate::{
    render::Output,
    words::{
        Result,
        Words, //
    },
};

pub(super) const OBJECT: Object<Action> = Object {
    name: "policy",
    verbs: &[
        Verb {
            names: SHOW,
            syntax: "",
            parse: |_| Ok(Action::Show),
        },
        Verb {
            names: &["add", "new"],
            syntax: "PREFIX ACTION",
            parse: set,
        },
        Verb {
            names: &["set"],
            syntax: "PREFIX ACTION",
            parse: set,
        },
        Verb {
            names: DEL,
            syntax: "PREFIX",
            parse: |words| words.prefix().map(|(addr, len)| Action::Del(addr, len)),
        },
        Verb {
            names: &["flush"],
            syntax: "",
            parse: |_| Ok(Action::Flush),
        },
    ],
    notes: "

PREFIX: ADDR[/LENGTH]
ACTION: auto, known, never

The longest prefix wins; where there is none, the action is auto.",
};

/// What to do with the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Show,
    Set(Policy),
    Del(IpAddr, u8),
    Flush,
}

impl Action {
    pub(super) fn run(
        self,
        client: &mut Client,
        out: &mut Output<'_>,
    ) -> std::result::Result<(), Failure> {
        match self {
            Self::Show => out.policies(client.policies()?)?,
            Self::Set(policy) => client.policy_new(&policy)?,
            Self::Del(addr, len) => client.policy_del(addr, len)?,
            Self::Flush => client.policy_flush()?,
        }
        Ok(())
    }
}

fn set(words: &mut Words<'_>) -> Result<Action> {
    let (addr, prefix_len) = words.prefix()?;
    let action = words.value("an action", PolicyAction::ALL, PolicyAction::name)?;
    Ok(Action::Set(Policy {
        addr,
        prefix_len,
        action,
    }))
}
