// SPDX-License-Identifier: GPL-2.0
//! `ihmpctl host`: foreign hosts.

use std::{
    net::IpAddr,
    path::Path, //
};

use ihmp_keys::State;
use ihmp_nl::{
    AddrSet,
    Client,
    Host,
    HostRequest,
    HostState,
    Scheduler,
    NAME_MAX, //
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
};
use crate::{
    render::{
        Output,
        Style, //
    },
    words::{
        Result,
        Usage,
        Words, //
    },
};

pub(super) const OBJECT: Object<Action> = Object {
    name: "host",
    verbs: &[
        Verb { names: SHOW, syntax: "[ID | ADDR | name NAME]", parse: show },
        Verb {
            names: ADD,
            syntax: "[name NAME] [state STATE] [scheduler SCHEDULER] [expires SECONDS] [ADDRESS]...",
            parse: |words| Ok(Action::Add(properties(words, HostRequest::default())?)),
        },
        Verb {
            names: &["set"],
            syntax: "ID [name NAME] [state STATE] [scheduler SCHEDULER] [expires SECONDS] [clear SET]... [wake] [ADDRESS]...",
            parse: set,
        },
        Verb { names: DEL, syntax: "ID", parse: |words| Ok(Action::Del(id(words)?)) },
        Verb { names: &["flush"], syntax: "", parse: |_| Ok(Action::Flush) },
    ],
    notes: "

ADDRESS: SET ADDR [preference N] [unvalidated] [nat] [left] [device NAME]
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    All,
    Id(u32),
    Address(IpAddr),
    Name(String),
}

impl Which {
    fn fetch(self, client: &mut Client) -> std::result::Result<Vec<Host>, ihmp_nl::Error> {
        Ok(match self {
            Self::All => client.hosts()?,
            Self::Id(id) => vec![client.host(id)?],
            Self::Address(addr) => vec![client.host_by_address(addr)?],
            Self::Name(name) => {
                let mut hosts = client.hosts()?;
                hosts.retain(|host| host.name.as_ref() == Some(&name));
                hosts
            }
        })
    }
}

impl Action {
    pub(super) fn run(
        self,
        client: &mut Client,
        state: &Path,
        out: &mut Output<'_>,
    ) -> std::result::Result<(), Failure> {
        match self {
            Self::Show(which) => {
                let known = State::at(state).known();
                let mut hosts = which.fetch(client)?;
                if out.style.family.is_some() {
                    paths_of_family(&mut hosts, client, out.style)?;
                }
                // Without permission to read the folder, hosts are shown without keys.
                out.hosts(hosts, &known.unwrap_or_default())?
            }
            Self::Add(host) => out.id(client.host_new(&host)?)?,
            Self::Set(host) => client.host_set(&host)?,
            Self::Del(id) => client.host_del(id)?,
            Self::Flush => client.host_flush()?,
        }
        Ok(())
    }
}

/// A reply has one path for each host, of any family. With -4 or -6, this puts the path of that family in its place.
fn paths_of_family(
    hosts: &mut [Host],
    client: &mut Client,
    style: Style,
) -> std::result::Result<(), ihmp_nl::Error> {
    let mut paths = client.paths(None)?;
    paths.retain(|path| path.active && style.shows(path.local));
    for host in hosts {
        let path = paths.iter().find(|path| path.host_id == host.id);
        host.local = path.map(|path| path.local);
        host.remote = path.map(|path| path.remote);
    }
    Ok(())
}

fn id(words: &mut Words<'_>) -> Result<u32> {
    words.parse("the id of a host")
}

fn show(words: &mut Words<'_>) -> Result<Action> {
    let which = match words.peek() {
        None => Which::All,
        Some(word) if word.contains(['.', ':']) => Which::Address(words.addr("an address")?),
        Some(_) if words.keyword("name") => Which::Name(words.need("a name")?.to_owned()),
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
    Wake,
    Address(AddrSet),
}

/// The properties of a host, in any order.
fn properties(words: &mut Words<'_>, mut host: HostRequest) -> Result<HostRequest> {
    let mut keywords = vec![
        ("name", Property::Name),
        ("state", Property::State),
        ("scheduler", Property::Scheduler),
        ("expires", Property::Expires),
    ];
    if host.id.is_some() {
        keywords.push(("clear", Property::Clear));
        keywords.push(("wake", Property::Wake));
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
            Property::Wake => host.wake = true,
            Property::Address(set) => host.addrs.push(address(set, words)?),
        }
    }
    Ok(host)
}

/// A name. One that is too long is refused here, since the kernel's own error message does not explain it.
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
