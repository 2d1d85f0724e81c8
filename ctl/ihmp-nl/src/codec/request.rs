// SPDX-License-Identifier: GPL-2.0
//! Requests, and the names of their attributes.

use ihmp_netlink::{
    Attrs,
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

use super::value::HEADER;

/// A request: the command and its attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    command: Command,
    attrs: Writer,
}

impl Request {
    pub(crate) fn new(command: Command) -> Self {
        Self {
            command,
            attrs: Writer::default(),
        }
    }

    /// Its attributes.
    pub(super) fn attrs(&mut self) -> &mut Writer {
        &mut self.attrs
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
