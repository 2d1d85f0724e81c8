// SPDX-License-Identifier: GPL-2.0
//! Last-resort routes: a device of our own, rules that look a table up after all others, and routes in that table for the addresses that
//! sockets have for hosts (identifiers). With them an identifier stays routable when no other route is left.
//!
//! C headers: linux/rtnetlink.h, linux/fib_rules.h

use std::{
    io,
    net::IpAddr, //
};

use ihmp_netlink::{
    Error,
    Flags,
    Writer, //
};

use crate::{
    errno::{
        EEXIST,
        ENODEV,
        ENOENT,
        ESRCH, //
    },
    link::Link,
    ours::{
        DEVICE,
        PROTOCOL,
        RULE_PREFERENCE,
        TABLE, //
    },
    rtnetlink::{
        bits,
        family_of,
        AF_INET,
        AF_INET6,
        FRA_PRIORITY,
        IFLA_IFNAME,
        IFLA_INFO_KIND,
        IFLA_LINKINFO,
        LINK_HEADER,
        ROUTE_HEADER,
        RTA_DST,
        RTA_OIF,
        RTA_TABLE,
        RTM_DELLINK,
        RTM_DELROUTE,
        RTM_DELRULE,
        RTM_NEWLINK,
        RTM_NEWROUTE,
        RTM_NEWRULE,
        RTN_UNICAST,
        RT_SCOPE_LINK,
        RT_SCOPE_UNIVERSE,
        RT_TABLE_UNSPEC, //
    },
    rtnl::Rtnl,
};

const IFF_UP: u32 = 1;
const IFF_NOARP: u32 = 1 << 7;
const FR_ACT_TO_TBL: u8 = 1;
const FRA_TABLE: u16 = 15;
const FRA_PROTOCOL: u16 = 21;

/// What last-resort routes need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastResort {
    /// Index of our device.
    pub device: u32,
    /// The device or a rule was not there.
    pub missing: bool,
}

/// Makes the device and the rules for last-resort routes, where they are missing.
pub fn ensure(rtnl: &mut Rtnl) -> Result<LastResort, Error> {
    let mut missing = true;
    match device(rtnl)? {
        None => {
            let mut kind = Writer::default();
            kind.string(IFLA_INFO_KIND, "dummy");
            let mut attrs = Writer::default();
            attrs.string(IFLA_IFNAME, DEVICE);
            attrs.nest(IFLA_LINKINFO, &kind);
            set_up(rtnl, 0, Flags::CREATE | Flags::EXCL, &attrs)?;
        }
        Some(link) if !link.up => {
            set_up(rtnl, link.index, Flags::empty(), &Writer::default())?;
        }
        Some(_) => missing = false,
    }
    for family in [AF_INET, AF_INET6] {
        let flags = Flags::CREATE | Flags::EXCL;
        match rtnl.order_unless(EEXIST, RTM_NEWRULE, flags, rule(family)) {
            Ok(made) => missing |= made,
            // Without IPv6 in the kernel there are no IPv6 sockets to save.
            Err(error) if family == AF_INET => return Err(error),
            Err(_) => (),
        }
    }
    let device = device(rtnl)?.map(|link| link.index);
    let device = device.ok_or_else(|| io::Error::from_raw_os_error(ENODEV))?;
    Ok(LastResort { device, missing })
}

/// Keeps an identifier routable when no other route is left.
pub fn add(rtnl: &mut Rtnl, device: u32, addr: IpAddr) -> Result<(), Error> {
    let flags = Flags::CREATE | Flags::REPLACE;
    rtnl.order(RTM_NEWROUTE, flags, route(device, addr))
}

/// No longer keeps an identifier routable.
pub fn del(rtnl: &mut Rtnl, device: u32, addr: IpAddr) -> Result<(), Error> {
    rtnl.order_unless(ESRCH, RTM_DELROUTE, Flags::empty(), route(device, addr))?;
    Ok(())
}

/// The identifiers that have a last-resort route.
pub fn list(rtnl: &mut Rtnl) -> Result<Vec<IpAddr>, Error> {
    rtnl.destinations(TABLE, PROTOCOL)
}

/// Removes device, routes and rules of ours.
pub fn remove(rtnl: &mut Rtnl) -> Result<(), Error> {
    for family in [AF_INET, AF_INET6] {
        match rtnl.order_unless(ENOENT, RTM_DELRULE, Flags::empty(), rule(family)) {
            Err(error) if family == AF_INET => return Err(error),
            _ => (),
        }
    }
    if let Some(Link { index, .. }) = device(rtnl)? {
        let mut header = vec![0; LINK_HEADER];
        header[4..8].copy_from_slice(&index.to_ne_bytes());
        rtnl.order(RTM_DELLINK, Flags::empty(), header)?;
    }
    Ok(())
}

/// Our device, if it is there.
fn device(rtnl: &mut Rtnl) -> Result<Option<Link>, Error> {
    let mut links = rtnl.links()?.into_iter();
    Ok(links.find(|link| link.name == DEVICE))
}

/// Makes our device, or sets it up.
fn set_up(rtnl: &mut Rtnl, index: u32, flags: Flags, attrs: &Writer) -> Result<(), Error> {
    let mut header = [0; LINK_HEADER];
    let up = IFF_UP | IFF_NOARP;
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&up.to_ne_bytes());
    header[12..16].copy_from_slice(&up.to_ne_bytes());
    rtnl.order(RTM_NEWLINK, flags, attrs.behind(&header))
}

/// `struct fib_rule_hdr` and attributes of our rule.
fn rule(family: u8) -> Vec<u8> {
    let mut header = [0; ROUTE_HEADER];
    (header[0], header[4], header[7]) = (family, RT_TABLE_UNSPEC, FR_ACT_TO_TBL);
    let mut attrs = Writer::default();
    attrs.u32(FRA_PRIORITY, RULE_PREFERENCE);
    attrs.u32(FRA_TABLE, TABLE);
    attrs.u8(FRA_PROTOCOL, PROTOCOL);
    attrs.behind(&header)
}

/// `struct rtmsg` and attributes of a last-resort route.
fn route(device: u32, addr: IpAddr) -> Vec<u8> {
    let scope = match addr {
        IpAddr::V4(_) => RT_SCOPE_LINK,
        IpAddr::V6(_) => RT_SCOPE_UNIVERSE,
    };
    let mut header = [0; ROUTE_HEADER];
    (header[0], header[1]) = (family_of(addr), bits(addr));
    (header[4], header[5]) = (RT_TABLE_UNSPEC, PROTOCOL);
    (header[6], header[7]) = (scope, RTN_UNICAST);
    let mut attrs = Writer::default();
    attrs.u32(RTA_TABLE, TABLE);
    attrs.addr(RTA_DST, addr);
    attrs.u32(RTA_OIF, device);
    attrs.behind(&header)
}
