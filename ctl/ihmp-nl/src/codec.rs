// SPDX-License-Identifier: GPL-2.0
//! Objects of the model to attributes of uapi/ihmp.yaml and back, on bytes alone.
//!
//! What the model holds without `Option` must be in a reply: the spec lists it there. The exceptions are those whose
//! attribute says what its absence means. Attributes and commands that are not known are passed over, for they can only
//! come from a later module.

use ihmp_uapi::Command;

use crate::event::Event;

mod flow;
mod host;
mod nat;
mod param;
mod path;
mod policy;
mod request;
mod stats;
mod value;

pub(crate) use flow::*;
pub(crate) use host::*;
pub(crate) use nat::*;
pub(crate) use param::*;
pub(crate) use path::*;
pub(crate) use policy::*;
pub(crate) use request::Request;
pub(crate) use stats::*;
use value::{
    need,
    Result, //
};

/// A multicast message; `None` for one that this library does not know.
pub(crate) fn read_event(message: &[u8]) -> Result<Option<Event>> {
    let command = Command(*need(message.first(), "header")?);
    Ok(Some(match command {
        Command::HOST_NTF => Event::HostChanged(read_host(message)?),
        Command::HOST_DEL_NTF => Event::HostDeleted(read_id(message)?),
        Command::PATH_NTF => read_path_change(message)?,
        Command::SILENT_NTF => read_silence(message)?,
        Command::DISCOVER_NTF => read_discovery(message)?,
        Command::LIMIT_NTF => read_limit(message)?,
        Command::CREDIT_NTF => {
            let (host_id, credit) = read_credit(message)?;
            Event::CreditLow { host_id, credit }
        }
        Command::NAT_NTF => Event::NatChanged(read_nat(message)?),
        Command::NAT_DEL_NTF => Event::NatDeleted(read_nat(message)?),
        Command::PARAM_NTF => Event::ParamsChanged(read_params(message)?),
        _ => return Ok(None),
    }))
}

#[cfg(test)]
mod tests;
