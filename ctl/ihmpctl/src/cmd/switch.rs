// SPDX-License-Identifier: GPL-2.0
//! `ihmpctl off` and `ihmpctl on`: the switch of the network namespace.

use ihmp_nl::{
    Client,
    ParamRequest, //
};

use super::{
    failure::Failure,
    verb::{
        Object,
        Verb, //
    },
};
use crate::render::{
    Output,
    Switched, //
};

pub(super) const OFF: Object<bool> = Object {
    name: "off",
    verbs: &[Verb {
        names: &[],
        syntax: "",
        parse: |_| Ok(false),
    }],
    notes: "

No new flow takes part and nobody is greeted; flows that have moved go on.",
};

pub(super) const ON: Object<bool> = Object {
    name: "on",
    verbs: &[Verb {
        names: &[],
        syntax: "",
        parse: |_| Ok(true),
    }],
    notes: "

Brings back what was before \"ihmpctl off\".",
};

/// Switches the namespace on or off, and prints how many flows can move and how many stay.
pub(super) fn run(on: bool, client: &mut Client, out: &mut Output<'_>) -> Result<(), Failure> {
    client.param_set(&ParamRequest {
        enabled: Some(on),
        ..ParamRequest::default()
    })?;
    let hosts = client.hosts()?;
    let flows: u64 = hosts.iter().map(|host| u64::from(host.flows)).sum();
    let staying: u64 = hosts.iter().map(|host| u64::from(host.staying)).sum();
    Ok(out.switched(&Switched {
        enabled: on,
        moved: flows.saturating_sub(staying),
        staying,
    })?)
}
