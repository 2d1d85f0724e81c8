// SPDX-License-Identifier: GPL-2.0
//! `ihmpctl param`: settings of the network namespace.

use ihmp_nl::{
    Client,
    ParamRequest,
    Scheduler, //
};

use super::{
    failure::Failure,
    verb::{
        Object,
        Verb,
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
    name: "param",
    verbs: &[
        Verb {
            names: SHOW,
            syntax: "",
            parse: |_| Ok(Action::Show),
        },
        Verb {
            names: &["set"],
            syntax: "NAME VALUE [NAME VALUE]...",
            parse: |words| Ok(Action::Set(settings(words)?)),
        },
    ],
    notes: "

NAME VALUE: discovery on|off, port PORT, max-hosts N, max-flows N,
            udp-timeout SECONDS, hold-time MILLISECONDS,
            path-timeout SECONDS, scheduler SCHEDULER, max-nats N,
            enabled on|off",
};

/// What to do with settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Show,
    Set(ParamRequest),
}

impl Action {
    pub(super) fn run(
        self,
        client: &mut Client,
        out: &mut Output<'_>,
    ) -> std::result::Result<(), Failure> {
        match self {
            Self::Show => out.params(&client.params()?)?,
            Self::Set(params) => client.param_set(&params)?,
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Name {
    Discovery,
    Port,
    MaxHosts,
    MaxFlows,
    UdpTimeout,
    HoldTime,
    PathTimeout,
    Scheduler,
    MaxNats,
    Enabled,
}

const NAMES: &[(&str, Name)] = &[
    ("discovery", Name::Discovery),
    ("port", Name::Port),
    ("max-hosts", Name::MaxHosts),
    ("max-flows", Name::MaxFlows),
    ("max-nats", Name::MaxNats),
    ("udp-timeout", Name::UdpTimeout),
    ("hold-time", Name::HoldTime),
    ("path-timeout", Name::PathTimeout),
    ("scheduler", Name::Scheduler),
    ("enabled", Name::Enabled),
];

const SWITCH: &[(&str, bool)] = &[("on", true), ("off", false), ("1", true), ("0", false)];

fn settings(words: &mut Words<'_>) -> Result<ParamRequest> {
    let mut params = ParamRequest::default();
    loop {
        match words.choice("a setting", NAMES)? {
            Name::Discovery => params.discovery = Some(words.choice("a switch", SWITCH)?),
            Name::Enabled => params.enabled = Some(words.choice("a switch", SWITCH)?),
            Name::Port => params.port = Some(words.parse("a port")?),
            Name::MaxHosts => params.max_hosts = Some(words.parse("a number of hosts")?),
            Name::MaxFlows => params.max_flows = Some(words.parse("a number of flows")?),
            Name::MaxNats => params.max_nats = Some(words.parse("a number of mappings")?),
            Name::UdpTimeout => params.udp_timeout = Some(words.parse("a number of seconds")?),
            Name::PathTimeout => params.path_timeout = Some(words.parse("a number of seconds")?),
            Name::HoldTime => params.hold_time = Some(words.parse("a number of milliseconds")?),
            Name::Scheduler => {
                params.scheduler =
                    Some(words.value("a scheduler", Scheduler::ALL, Scheduler::name)?);
            }
        }
        if words.peek().is_none() {
            return Ok(params);
        }
    }
}
