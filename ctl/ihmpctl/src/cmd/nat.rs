// SPDX-License-Identifier: GPL-2.0
//! `ihmpctl nat`: port mappings of NATs in front of hosts.

use ihmp_nl::{
    Client,
    Nat,
    NatKey, //
};

use super::{
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
    protocol,
    render::Output,
    words::{
        Result,
        Words, //
    },
};

const KEY: &str = "PROTO ADDR NATPORT LPORT";

pub(super) const OBJECT: Object<Action> = Object {
    name: "nat",
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
            names: ADD,
            syntax: "PROTO ADDR NATPORT LPORT port PORT host ID [expires SECONDS]",
            parse: |words| Ok(Action::Add(mapping(words)?)),
        },
        Verb {
            names: DEL,
            syntax: "PROTO ADDR NATPORT LPORT [host ID]",
            parse: |words| {
                let key = key(words)?;
                let host = optional_host(words)?;
                Ok(Action::Del(key, host))
            },
        },
        Verb {
            names: &["flush"],
            syntax: "[host ID]",
            parse: |words| Ok(Action::Flush(optional_host(words)?)),
        },
    ],
    notes: "

ADDR:    address of the NAT, which the host has with the word nat
NATPORT: its port, the remote one on the wire
LPORT:   local port on the wire
PORT:    port of the host behind the NAT",
};

/// What to do with port mappings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Show(Option<u32>),
    Get(NatKey),
    Add(Nat),
    Del(NatKey, Option<u32>),
    Flush(Option<u32>),
}

impl Action {
    pub(super) fn run(
        self,
        client: &mut Client,
        out: &mut Output<'_>,
    ) -> std::result::Result<(), Failure> {
        match self {
            Self::Show(host) => out.nats(client.nats(host)?)?,
            Self::Get(key) => out.nats(vec![client.nat(&key)?])?,
            Self::Add(nat) => client.nat_new(&nat)?,
            Self::Del(key, host) => client.nat_del(&key, host)?,
            Self::Flush(host) => client.nat_flush(host)?,
        }
        Ok(())
    }
}

fn key(words: &mut Words<'_>) -> Result<NatKey> {
    Ok(NatKey {
        proto: protocol::number(words.need("a protocol")?)?,
        addr: words.addr("the address of a NAT")?,
        nat_port: words.parse("a port of the NAT")?,
        local_port: words.parse("a local port")?,
    })
}

fn mapping(words: &mut Words<'_>) -> Result<Nat> {
    let key = key(words)?;
    words.choice("the word port", &[("port", ())])?;
    let port = words.parse("a port of the host")?;
    let host_id = host_id(words)?;
    let expires_in = match words.keyword("expires") {
        true => Some(words.seconds("a time in seconds")?),
        false => None,
    };
    Ok(Nat {
        host_id,
        proto: key.proto,
        addr: key.addr,
        nat_port: key.nat_port,
        port,
        local_port: key.local_port,
        expires_in,
    })
}
