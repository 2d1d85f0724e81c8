// SPDX-License-Identifier: GPL-2.0
//! `ihmpctl flow`: socket-table rows.

use ihmp_nl::{
    Client,
    FlowKey, //
};

use super::{
    optional_host,
    Failure,
    Object,
    Verb,
    DEL,
    SHOW, //
};
use crate::{
    render::{
        Output,
        PROTOCOLS, //
    },
    words::{
        Result,
        Usage,
        Words, //
    },
};

const KEY: &str = "PROTO LADDR LPORT FADDR FPORT";

pub(super) const OBJECT: Object = Object {
    name: "flow",
    verbs: &[
        Verb {
            names: SHOW,
            syntax: "[host ID]",
            parse: |words| Ok(super::Action::Flow(Action::Show(optional_host(words)?))),
        },
        Verb {
            names: &["get"],
            syntax: KEY,
            parse: |words| Ok(super::Action::Flow(Action::Get(key(words)?))),
        },
        Verb {
            names: DEL,
            syntax: KEY,
            parse: |words| Ok(super::Action::Flow(Action::Del(key(words)?))),
        },
        Verb {
            names: &["flush"],
            syntax: "[host ID]",
            parse: |words| Ok(super::Action::Flow(Action::Flush(optional_host(words)?))),
        },
    ],
    notes: "",
};

/// What to do with flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Show(Option<u32>),
    Get(FlowKey),
    Del(FlowKey),
    Flush(Option<u32>),
}

impl Action {
    pub(super) fn run(
        self,
        client: &mut Client,
        out: &mut Output<'_>,
    ) -> std::result::Result<(), Failure> {
        match self {
            Self::Show(host) => out.flows(client.flows(host)?)?,
            Self::Get(key) => out.flows(vec![client.flow(&key)?])?,
            Self::Del(key) => client.flow_del(&key)?,
            Self::Flush(host) => client.flow_flush(host)?,
        }
        Ok(())
    }
}

fn key(words: &mut Words<'_>) -> Result<FlowKey> {
    Ok(FlowKey {
        proto: protocol(words.need("a protocol")?)?,
        local: words.addr("a local address")?,
        local_port: words.parse("a local port")?,
        remote: words.addr("a foreign address")?,
        remote_port: words.parse("a foreign port")?,
    })
}

/// A name or a number; names are not shortened.
pub(super) fn protocol(word: &str) -> Result<u8> {
    let named = PROTOCOLS
        .iter()
        .find(|(name, _)| *name == word)
        .map(|(_, number)| *number);
    named
        .or_else(|| word.parse().ok())
        .ok_or_else(|| Usage(format!("\"{word}\" is not a protocol")))
}
