// SPDX-License-Identifier: GPL-2.0
//! `ihmpctl host`: foreign hosts.

use std::net::IpAddr;

use ihmp_nl::{
    AddrSet,
    Client,
    HostRequest,
    HostState,
    Scheduler,
    NAME_MAX, //
};

use super::{
    address,
    Failure,
    Object,
    Verb,
    ADD,
    DEL,
    SETS,
    SHOW, //
};
use crate::{
    render::Output,
    words::{
        Result,
        Usage,
        Words, //
    },
};

pub(super) const OBJECT: Object = Object {
    name: "host",
    verbs: &[
        Verb { names: SHOW, syntax: "[ID | ADDR]", parse: |words| Ok(super::Action::Host(show(words)?)) },
        Verb {
            names: ADD,
            syntax: "[name NAME] [state STATE] [scheduler SCHEDULER] [expires SECONDS] [ADDRESS]...",
            parse: |words| Ok(super::Action::Host(Action::Add(properties(words, HostRequest::default())?))),
        },
        Verb {
            names: &["set"],
            syntax: "ID [name NAME] [state STATE] [scheduler SCHEDULER] [expires SECONDS] [clear SET]... [ADDRESS]...",
            parse: |words| Ok(super::Action::Host(set(words)?)),
        },
        Verb { names: DEL, syntax: "ID", parse: |words| Ok(super::Action::Host(Action::Del(id(words)?))) },
        Verb { names: &["flush"], syntax: "", parse: |_| Ok(super::Action::Host(Action::Flush)) },
    ],
    notes: "

ADDRESS: SET ADDR [preference N] [unproven]
SET:     remote, local, unreachable, alias
STATE:   new, up, classic

In set, a SET that is named is replaced as a whole.",
};

/// What to do with hosts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    Show(Which),
    Add(HostRequest),
    Set(HostRequest),
    Del(u32),
    Flush,
}

/// Which hosts to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    All,
    Id(u32),
    Address(IpAddr),
}

impl Action {
    pub(super) fn run(
        self,
        client: &mut Client,
        out: &mut Output<'_>,
    ) -> std::result::Result<(), Failure> {
        match self {
            Self::Show(Which::All) => out.hosts(client.hosts()?)?,
            Self::Show(Which::Id(id)) => out.hosts(vec![client.host(id)?])?,
            Self::Show(Which::Address(addr)) => out.hosts(vec![client.host_by_address(addr)?])?,
            Self::Add(host) => out.id(client.host_new(&host)?)?,
            Self::Set(host) => client.host_set(&host)?,
            Self::Del(id) => client.host_del(id)?,
            Self::Flush => client.host_flush()?,
        }
        Ok(())
    }
}

fn id(words: &mut Words<'_>) -> Result<u32> {
    words.parse("the id of a host")
}

fn show(words: &mut Words<'_>) -> Result<Action> {
    let which = match words.peek() {
        None => Which::All,
        Some(word) if word.contains(['.', ':']) => Which::Address(words.addr("an address")?),
        Some(_) => Which::Id(id(words)?),
    };
    Ok(Action::Show(which))
}

fn set(words: &mut Words<'_>) -> Result<Action> {
    let host = HostRequest {
        id: Some(id(words)?),
        ..HostRequest::default()
    };
    Ok(Action::Set(properties(words, host)?))
}

#[derive(Clone, Copy, PartialEq)]
enum Property {
    Name,
    State,
    Scheduler,
    Expires,
    Clear,
    Address(AddrSet),
}

/// Everything that can be said of a host, in any order.
fn properties(words: &mut Words<'_>, mut host: HostRequest) -> Result<HostRequest> {
    let mut keywords = vec![
        ("name", Property::Name),
        ("state", Property::State),
        ("scheduler", Property::Scheduler),
        ("expires", Property::Expires),
    ];
    if host.id.is_some() {
        keywords.push(("clear", Property::Clear));
    }
    keywords.extend(
        SETS.iter()
            .map(|&(name, set)| (name, Property::Address(set))),
    );
    while words.peek().is_some() {
        match words.choice("a property of a host", &keywords)? {
            Property::Name => once(&mut host.name, "name", name(words.need("a name")?)?)?,
            Property::State => {
                let state = words.value("a state", HostState::ALL, HostState::name)?;
                once(&mut host.state, "state", state)?;
            }
            Property::Scheduler => {
                let scheduler = words.value("a scheduler", Scheduler::ALL, Scheduler::name)?;
                once(&mut host.scheduler, "scheduler", scheduler)?;
            }
            Property::Expires => once(
                &mut host.expires_in,
                "expires",
                words.seconds("a time in seconds")?,
            )?,
            Property::Clear => host.clear.push(words.choice("a set of addresses", SETS)?),
            Property::Address(set) => host.addrs.push(address(set, words)?),
        }
    }
    Ok(host)
}

/// A name that is not too long; the kernel's own words for that are dark.
fn name(word: &str) -> Result<String> {
    if word.len() > usize::from(NAME_MAX) {
        return Err(Usage(format!("the name is longer than {NAME_MAX} octets")));
    }
    Ok(word.to_owned())
}

fn once<T>(place: &mut Option<T>, what: &str, value: T) -> Result<()> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Usage(format!("{what} is given twice"))),
    }
}
