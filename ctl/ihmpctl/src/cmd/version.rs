// SPDX-License-Identifier: GPL-2.0
//! `ihmpctl version`: the versions of this program and of the module, if that is loaded.

use ihmp_nl::{
    Client,
    Error, //
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
    name: "version",
    verbs: &[Verb {
        names: &[],
        syntax: "",
        parse: |_| Ok(()),
    }],
    notes: "",
};

pub(super) fn run(out: &mut Output<'_>) -> Result<(), Failure> {
    let module = match Client::connect().and_then(|mut client| client.params()) {
        Ok(params) => Some(params.version),
        Err(Error::NoModule) => None,
        Err(error) => return Err(error.into()),
    };
    Ok(out.version(env!("CARGO_PKG_VERSION"), module.as_deref())?)
}
