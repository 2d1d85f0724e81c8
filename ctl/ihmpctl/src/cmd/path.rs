// SPDX-License-Identifier: GPL-2.0
//! `ihmpctl path`: the paths of hosts, and the addresses that make them.

use ihmp_nl::{
    Client,
    HostAddr, //
};

use super::{
    address::{
        address,
        SETS, //
    },
    failure::Failure,
    verb::{
        Object,
        Verb,
        ADD,
        DEL,
        SHOW, //
    },
    which::{
        host_id,
        optional_host, //
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
    name: "path",
    verbs: &[
        Verb {
            names: SHOW,
            syntax: "[host ID]",
            parse: |words| Ok(Action::Show(optional_host(words)?)),
        },
        Verb {
            names: ADD,
            syntax: "host ID ADDRESS...",
            parse: |words| addresses(words).map(|(id, addrs)| Action::Add(id, addrs)),
        },
        Verb {
            names: &["set"],
            syntax: "host ID ADDRESS...",
            parse: |words| addresses(words).map(|(id, addrs)| Action::Add(id, addrs)),
        },
        Verb {
            names: DEL,
            syntax: "host ID ADDRESS...",
            parse: |words| addresses(words).map(|(id, addrs)| Action::Del(id, addrs)),
        },
    ],
    notes: "

ADDRESS: SET ADDR [preference N] [unvalidated] [nat] [left] [device NAME]
SET:     remote, local, unreachable, alias

A path is a pair of a local and a remote address of the same family.",
};

/// What to do with paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Show(Option<u32>),
    Add(u32, Vec<HostAddr>),
    Del(u32, Vec<HostAddr>),
}

impl Action {
    pub(super) fn run(
        self,
        client: &mut Client,
        out: &mut Output<'_>,
    ) -> std::result::Result<(), Failure> {
        match self {
            Self::Show(host) => out.paths(client.paths(host)?)?,
            Self::Add(id, addrs) => client.addr_new(id, &addrs)?,
            Self::Del(id, addrs) => client.addr_del(id, &addrs)?,
        }
        Ok(())
    }
}

fn addresses(words: &mut Words<'_>) -> Result<(u32, Vec<HostAddr>)> {
    let id = host_id(words)?;
    let mut addrs = Vec::new();
    while addrs.is_empty() || words.peek().is_some() {
        let set = words.choice("a set of addresses", SETS)?;
        addrs.push(address(set, words)?);
    }
    Ok((id, addrs))
}
