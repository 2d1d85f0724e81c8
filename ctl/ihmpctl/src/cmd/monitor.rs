// SPDX-License-Identifier: GPL-2.0
//! `ihmpctl monitor`: events as they come, until interrupted.

use ihmp_nl::{
    Client,
    Event,
    Events, //
};

use super::{
    failure::Failure,
    verb::{
        Object,
        Verb, //
    },
};
use crate::render::Output;

pub(super) const OBJECT: Object<()> = Object {
    name: "monitor",
    verbs: &[Verb {
        names: &[],
        syntax: "",
        parse: |_| Ok(()),
    }],
    notes: "",
};

/// Prints every event. After events were lost, it prints every host as it is then.
pub(super) fn run(out: &mut Output<'_>) -> Result<(), Failure> {
    let mut events = Events::subscribe()?;
    loop {
        let event = events.wait()?;
        out.event(&event)?;
        if event == Event::Resync {
            for host in Client::connect()?.hosts()? {
                out.event(&Event::HostChanged(host))?;
            }
        }
    }
}
