// SPDX-License-Identifier: GPL-2.0
//! Objects of the model to attributes of uapi/ihmp.yaml and back, on bytes alone.
//!
//! What the model holds without `Option` must be in a reply: the spec lists it there. The exceptions are those whose
//! attribute says what its absence means. Attributes and commands that are not known are passed over, for they can only
//! come from a later module.

use std::time::Duration;

use ihmp_netlink::{
    Attr,
    Attrs,
    Malformed,
    Writer, //
};
use ihmp_uapi::{
    AddrAttr,
    Command,
    FlowAttr,
    HostAttr,
    NatAttr,
    ParamAttr,
    PathAttr,
    PolicyAttr,
    StatsAttr,
    FAMILY_VERSION, //
};

use crate::events::Event;

/// Octets of the generic netlink header.
pub(crate) const HEADER: usize = 4;

type Result<T> = std::result::Result<T, Malformed>;

/// A request: the command and its attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) command: Command,
    attrs: Writer,
}

impl Request {
    pub(crate) fn new(command: Command) -> Self {
        Self {
            command,
            attrs: Writer::default(),
        }
    }

    /// The request as the payload of a netlink message.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.attrs.behind(&[self.command.0, FAMILY_VERSION, 0, 0])
    }

    /// The name of the attribute whose header starts at this octet of `bytes()`.
    pub(crate) fn attr_at(&self, offset: usize) -> Option<String> {
        find(
            set_of(self.command),
            self.attrs.as_bytes(),
            offset.checked_sub(HEADER)?,
        )
    }

    /// The name of an attribute of this number, at the top or in the nest that starts at this octet of `bytes()`.
    pub(crate) fn attr_named(&self, number: u16, nest: Option<usize>) -> Option<String> {
        match nest {
            None => set_of(self.command)(number).0.map(str::to_owned),
            Some(offset) => {
                let outer = self.attr_at(offset)?;
                let name = AddrAttr(number).name()?;
                Some(format!("{outer}.{name}"))
            }
        }
    }
}

/// The name of an attribute of a set, and whether it holds attributes of the set `addr`.
type Set = fn(u16) -> (Option<&'static str>, bool);

fn set_of(command: Command) -> Set {
    match command {
        Command::PATH_GET => |number| (PathAttr(number).name(), false),
        Command::FLOW_GET | Command::FLOW_DEL | Command::FLOW_FLUSH => {
            |number| (FlowAttr(number).name(), false)
        }
        Command::POLICY_GET | Command::POLICY_NEW | Command::POLICY_DEL | Command::POLICY_FLUSH => {
            |number| (PolicyAttr(number).name(), false)
        }
        Command::PARAM_GET | Command::PARAM_SET => |number| (ParamAttr(number).name(), false),
        Command::STATS_GET | Command::STATS_FLUSH => |number| (StatsAttr(number).name(), false),
        Command::NAT_GET | Command::NAT_NEW | Command::NAT_DEL | Command::NAT_FLUSH => {
            |number| (NatAttr(number).name(), false)
        }
        _ => |number| (HostAttr(number).name(), HostAttr(number) == HostAttr::ADDR),
    }
}

fn find(set: Set, attrs: &[u8], offset: usize) -> Option<String> {
    for attr in Attrs::new(attrs).map_while(std::result::Result::ok) {
        let (name, nested) = set(attr.number());
        if attr.offset() == offset {
            return name.map(str::to_owned);
        }
        let start = attr.offset() + 4;
        if nested && (start..start + attr.payload().len()).contains(&offset) {
            let inner = find(
                |number| (AddrAttr(number).name(), false),
                attr.payload(),
                offset - start,
            )?;
            return Some(format!("{}.{inner}", name?));
        }
    }
    None
}

/// Milliseconds, rounded up so that a short time does not become none.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

fn duration(attr: Attr<'_>) -> Result<Duration> {
    attr.uint().map(Duration::from_millis)
}

fn known<T>(attr: Attr<'_>, from_number: fn(u32) -> Option<T>) -> Result<T> {
    from_number(attr.u32()?).ok_or_else(|| attr.wrong("a value of the enum"))
}

fn need<T>(value: Option<T>, what: &str) -> Result<T> {
    value.ok_or_else(|| Malformed::new(format!("no {what}")))
}

/// The attributes behind the generic netlink header of a message.
fn body(message: &[u8]) -> Result<Attrs<'_>> {
    message
        .get(HEADER..)
        .map(Attrs::new)
        .ok_or_else(|| Malformed::new("no header"))
}

/// A multicast message; `None` for one that this library does not know.
pub(crate) fn read_event(message: &[u8]) -> Result<Option<Event>> {
    let command = Command(*need(message.first(), "header")?);
    Ok(Some(match command {
        Command::HOST_NTF => Event::HostChanged(read_host(message)?),
        Command::HOST_DEL_NTF => Event::HostDeleted(read_id(message)?),
        Command::PATH_NTF => read_path_change(message)?,
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

mod flow;
mod host;
mod nat;
mod param;
mod path;
mod policy;
mod stats;

pub(crate) use flow::*;
pub(crate) use host::*;
pub(crate) use nat::*;
pub(crate) use param::*;
pub(crate) use path::*;
pub(crate) use policy::*;
pub(crate) use stats::*;

#[cfg(test)]
mod tests;
