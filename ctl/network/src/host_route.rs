// SPDX-License-Identifier: GPL-2.0
//! A router's routes to hosts that have moved within its networks.
//!
//! C header: linux/rtnetlink.h

use std::net::IpAddr;

use ihmp_netlink::{
    Error,
    Flags,
    Writer, //
};

use crate::{
    errno::ESRCH,
    ours::ROUTER_PROTOCOL,
    rtnetlink::{
        bits,
        family_of,
        ROUTE_HEADER,
        RTA_DST,
        RTA_GATEWAY,
        RTA_OIF,
        RTM_DELROUTE,
        RTM_NEWROUTE,
        RTN_UNICAST,
        RT_SCOPE_UNIVERSE,
        RT_TABLE_MAIN, //
    },
    rtnl::Rtnl,
};

/// Makes a route to a host, or replaces one that we have made; never another's.
pub fn add(
    rtnl: &mut Rtnl,
    to: IpAddr,
    via: IpAddr,
    device: u32,
    replace: bool,
) -> Result<(), Error> {
    let mut attrs = Writer::default();
    attrs.addr(RTA_DST, to);
    attrs.addr(RTA_GATEWAY, via);
    attrs.u32(RTA_OIF, device);
    let flags = if replace { Flags::REPLACE } else { Flags::EXCL };
    let message = attrs.behind(&header(to));
    rtnl.order(RTM_NEWROUTE, Flags::CREATE | flags, message)
}

/// Removes the route to a host.
pub fn del(rtnl: &mut Rtnl, to: IpAddr) -> Result<(), Error> {
    let mut attrs = Writer::default();
    attrs.addr(RTA_DST, to);
    let message = attrs.behind(&header(to));
    rtnl.order_unless(ESRCH, RTM_DELROUTE, Flags::empty(), message)?;
    Ok(())
}

/// The hosts to which there are such routes.
pub fn list(rtnl: &mut Rtnl) -> Result<Vec<IpAddr>, Error> {
    rtnl.destinations(RT_TABLE_MAIN.into(), ROUTER_PROTOCOL)
}

/// `struct rtmsg`
fn header(to: IpAddr) -> [u8; ROUTE_HEADER] {
    let mut header = [0; ROUTE_HEADER];
    (header[0], header[1]) = (family_of(to), bits(to));
    (header[4], header[5]) = (RT_TABLE_MAIN, ROUTER_PROTOCOL);
    (header[6], header[7]) = (RT_SCOPE_UNIVERSE, RTN_UNICAST);
    header
}
