// SPDX-License-Identifier: GPL-2.0
//! Former addresses of this machine whose packets a router forwards to it. They are on our own device, so that packets to them are
//! accepted, and packets from them can leave.
//!
//! C header: linux/if_addr.h

use std::net::IpAddr;

use ihmp_netlink::{
    Error,
    Flags,
    Writer, //
};

use crate::{
    address::is_global,
    ours::PROTOCOL,
    rtnetlink::{
        bits,
        family_of,
        IFA_ADDRESS,
        IFA_FLAGS,
        IFA_LOCAL,
        RTM_DELADDR,
        RTM_NEWADDR,
        RT_SCOPE_HOST,
        RT_SCOPE_UNIVERSE, //
    },
    rtnl::Rtnl,
};

const IFA_CACHEINFO: u16 = 6;
const IFA_PROTO: u16 = 11;
const IFA_F_NODAD: u32 = 0x02;
const IFA_F_NOPREFIXROUTE: u32 = 0x200;

/// linux/errno.h
const EADDRNOTAVAIL: i32 = 99;

/// Puts an address on our own device: with the longest prefix, deprecated, so that the kernel does not choose it as a source, and without
/// duplicate address detection.
pub fn add(rtnl: &mut Rtnl, device: u32, addr: IpAddr) -> Result<(), Error> {
    let flags = Flags::CREATE | Flags::REPLACE;
    rtnl.order(RTM_NEWADDR, flags, message(device, addr))
}

/// Removes an address from our own device.
pub fn del(rtnl: &mut Rtnl, device: u32, addr: IpAddr) -> Result<(), Error> {
    let message = message(device, addr);
    rtnl.order_unless(EADDRNOTAVAIL, RTM_DELADDR, Flags::empty(), message)?;
    Ok(())
}

/// The addresses of our own device.
pub fn list(rtnl: &mut Rtnl, device: u32) -> Result<Vec<IpAddr>, Error> {
    let addresses = rtnl.addresses(device)?.into_iter();
    let ours = addresses.filter(|address| is_global(address.addr));
    Ok(ours.map(|address| address.addr).collect())
}

/// `struct ifaddrmsg` and the attributes of such an address.
fn message(device: u32, addr: IpAddr) -> Vec<u8> {
    let scope = match addr {
        IpAddr::V4(_) => RT_SCOPE_HOST,
        IpAddr::V6(_) => RT_SCOPE_UNIVERSE,
    };
    let mut header = vec![family_of(addr), bits(addr), 0, scope];
    header.extend_from_slice(&device.to_ne_bytes());
    let mut attrs = Writer::default();
    attrs.addr(IFA_LOCAL, addr);
    attrs.addr(IFA_ADDRESS, addr);
    attrs.u32(IFA_FLAGS, IFA_F_NODAD | IFA_F_NOPREFIXROUTE);
    // struct ifa_cacheinfo: preferred for no time, valid for ever.
    let mut lifetimes = [0; 16];
    lifetimes[4..8].copy_from_slice(&u32::MAX.to_ne_bytes());
    attrs.bytes(IFA_CACHEINFO, &lifetimes);
    attrs.u8(IFA_PROTO, PROTOCOL);
    attrs.behind(&header)
}
