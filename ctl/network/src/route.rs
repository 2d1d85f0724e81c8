// SPDX-License-Identifier: GPL-2.0
//! Routes.
//!
//! C header: linux/rtnetlink.h

use std::net::IpAddr;

use ihmp_netlink::{
    Attrs,
    Malformed, //
};

use crate::{
    ours::TABLE,
    rtnetlink::{
        octet,
        ROUTE_HEADER,
        RTA_DST,
        RTA_OIF,
        RTA_TABLE,
        RTN_LOCAL,
        RTN_UNICAST, //
    },
};

const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;

/// A route of the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    destination: Option<IpAddr>,
    device: Option<u32>,
    source: Option<IpAddr>,
    metric: u32,
    /// Its type (`RTN_*`).
    kind: u8,
    table: u32,
    /// Who has made it (`RTPROT_*`).
    protocol: u8,
}

impl Route {
    /// A route from its message.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut route = Self {
            destination: None,
            device: None,
            source: None,
            metric: 0,
            kind: octet(bytes, 7),
            table: u32::from(octet(bytes, 4)),
            protocol: octet(bytes, 5),
        };
        for attr in Attrs::new(bytes.get(ROUTE_HEADER..).unwrap_or_default()) {
            let attr = attr?;
            match attr.number() {
                RTA_DST => route.destination = Some(attr.addr()?),
                RTA_OIF => route.device = Some(attr.u32()?),
                RTA_PREFSRC => route.source = Some(attr.addr()?),
                RTA_PRIORITY => route.metric = attr.u32()?,
                RTA_TABLE => route.table = attr.u32()?,
                _ => (),
            }
        }
        Ok(route)
    }

    /// Lower is preferred.
    pub fn metric(&self) -> u32 {
        self.metric
    }

    /// Index of the device; `None` for one that leads to no device, or by several.
    pub(crate) fn device(&self) -> Option<u32> {
        self.device
    }

    /// Where it leads; `None` for a default route.
    pub(crate) fn destination(&self) -> Option<IpAddr> {
        self.destination
    }

    /// The source that it prefers.
    pub(crate) fn source(&self) -> Option<IpAddr> {
        self.source
    }

    /// Whether it is one of our last-resort routes.
    pub(crate) fn is_last_resort(&self) -> bool {
        self.table == TABLE
    }

    /// Whether packets leave by it, and it is not one of our last-resort routes.
    pub(crate) fn leads(&self) -> bool {
        self.kind == RTN_UNICAST && !self.is_last_resort()
    }

    /// Whether packets to its destination are accepted by this machine.
    pub(crate) fn is_local(&self) -> bool {
        self.kind == RTN_LOCAL
    }

    /// Whether it is in this table and bears this protocol number.
    pub(crate) fn is_of(&self, table: u32, protocol: u8) -> bool {
        (self.table, self.protocol) == (table, protocol)
    }
}
