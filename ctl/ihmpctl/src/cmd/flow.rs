// SPDX-License-Identifier: GPL-2.0
//! `ihmpctl flow`: flows.

use ihmp_nl::{
    Client,
    FlowKey, //
};

use super::{
    failure::Failure,
    verb::{
        Object,
        Verb,
        DEL,
        SHOW, //
    },
    which::optional_host, //
};
use crate::{
    protocol,
    render::Output,
    words::{
        Result,
        Words, //
    },
};

const KEY: &str = "PROTO LADDR LPORT FADDR FPORT";

pub(super) const OBJECT: Object<Action> = Object {
    name: "flow",
    verbs: &[
        Verb {
            names: SHOW,
            syntax: "[host ID]",
            parse: |words| Ok(Action::Show(optional_host(words)?)),
        },
        Verb {
            names: &["get"],
            syntax: KEY,
            parse: |words| Ok(Action::Get(key(words)?)),
        },
        Verb {
            names: DEL,
            syntax: KEY,
            parse: |words| Ok(Action::Del(key(words)?)),
        },
        Verb {
            names: &["flush"],
            syntax: "[host ID]",
            parse: |words| Ok(Action::Flush(optional_host(words)?)),
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
        proto: protocol::number(words.need("a protocol")?)?,
        local: words.addr("a local address")?,
        local_port: words.parse("a local port")?,
        remote: words.addr("a foreign address")?,
        remote_port: words.parse("a foreign port")?,
    })
}
