// SPDX-License-Identifier: GPL-2.0
//! What the agent asks of rtnetlink: links, addresses, the source the kernel would choose; and what is our own: last-resort
//! routes, addresses that a router keeps for us, and a router's host routes.
//!
//! C headers: linux/rtnetlink.h, linux/if_addr.h, linux/if_link.h, linux/fib_rules.h

use std::{
    io,
    net::{
        IpAddr,
        Ipv4Addr,
        Ipv6Addr, //
    },
};

use neli::{
    consts::{
        nl::NlmF,
        socket::NlFamily, //
    },
    nl::NlPayload, //
};

use crate::{
    attrs::{
        Attrs,
        Writer, //
    },
    error::Error,
    socket::{
        Socket,
        Wait, //
    },
};

/// Name of the device that last-resort routes point to.
pub const DEVICE: &str = "ihmp0";
/// Number of the routing table for last-resort routes, and of our protocol there.
pub const TABLE: u32 = 61_453;
/// Preference of the rule that looks the table up: after `main` (32766) and `default` (32767).
pub(crate) const RULE_PREFERENCE: u32 = 40_000;
/// Marks routes and rules as ours (`rtm_protocol`, no assigned meaning).
pub(crate) const PROTOCOL: u8 = 213;
/// Marks the host routes of a router agent.
pub const ROUTER_PROTOCOL: u8 = 214;

pub(crate) const AF_INET: u8 = 2;
pub(crate) const AF_INET6: u8 = 10;
pub(crate) const AF_BRIDGE: u8 = 7;

// enum rtnetlink message types
pub(crate) const RTM_NEWLINK: u16 = 16;
pub(crate) const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
pub(crate) const RTM_NEWADDR: u16 = 20;
pub(crate) const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;
pub(crate) const RTM_NEWROUTE: u16 = 24;
pub(crate) const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;
pub(crate) const RTM_NEWRULE: u16 = 32;
pub(crate) const RTM_DELRULE: u16 = 33;

const IFF_UP: u32 = 1;
const IFF_LOOPBACK: u32 = 1 << 3;
const IFF_NOARP: u32 = 1 << 7;
const IFF_LOWER_UP: u32 = 1 << 16;
pub(crate) const IFLA_IFNAME: u16 = 3;
const IFLA_MASTER: u16 = 10;
pub(crate) const IFLA_LINKINFO: u16 = 18;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_PARENT_DEV_NAME: u16 = 56;
const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;
pub(crate) const IFLA_INFO_KIND: u16 = 1;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_CACHEINFO: u16 = 6;
const IFA_FLAGS: u16 = 8;
const IFA_PROTO: u16 = 11;
/// Of IPv4 addresses the same bit says that they are not the first ones of their prefixes.
const IFA_F_TEMPORARY: u32 = 0x01;
const IFA_F_NODAD: u32 = 0x02;
const IFA_F_NOPREFIXROUTE: u32 = 0x200;
const IFA_F_OPTIMISTIC: u32 = 0x04;
const IFA_F_DADFAILED: u32 = 0x08;
const IFA_F_DEPRECATED: u32 = 0x20;
const IFA_F_TENTATIVE: u32 = 0x40;

pub(crate) const RTA_DST: u16 = 1;
const RTA_SRC: u16 = 2;
pub(crate) const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_TABLE: u16 = 15;
const RTM_F_FIB_MATCH: u32 = 0x2000;
const RT_TABLE_UNSPEC: u8 = 0;
const RT_TABLE_MAIN: u8 = 254;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RT_SCOPE_LINK: u8 = 253;
const RT_SCOPE_HOST: u8 = 254;
pub(crate) const RTN_UNICAST: u8 = 1;
pub(crate) const RTN_LOCAL: u8 = 2;
pub(crate) const RTN_BLACKHOLE: u8 = 6;
pub(crate) const RTN_THROW: u8 = 9;

const FR_ACT_TO_TBL: u8 = 1;
pub(crate) const FRA_PRIORITY: u16 = 6;
const FRA_TABLE: u16 = 15;
const FRA_PROTOCOL: u16 = 21;

const EEXIST: i32 = 17;
const EADDRNOTAVAIL: i32 = 99;
const ESRCH: i32 = 3;
const ENODEV: i32 = 19;
const ENOENT: i32 = 2;

/// A network device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Index of the device.
    pub index: u32,
    /// Name of the device.
    pub name: String,
    /// Kind of a virtual device (`veth`, `dummy`, `wireguard`), none for a real one.
    pub kind: Option<String>,
    /// The device is up and has a carrier.
    pub up: bool,
    /// The device is a loopback.
    pub loopback: bool,
    /// Type of its link (`ARPHRD_*`).
    pub link_type: u16,
    /// Index of the bridge, bond or VRF that it is a part of.
    pub master: Option<u32>,
    /// There is hardware behind it.
    pub hardware: bool,
}

/// A route that the kernel would take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Index of the device; `None` for one that leads to no device.
    pub device: Option<u32>,
    /// The source that it prefers.
    pub source: Option<IpAddr>,
    /// Lower is preferred.
    pub metric: u32,
    /// Its type (`RTN_*`).
    kind: u8,
    table: u32,
}

impl Route {
    /// Whether packets leave by it, and it is not one of our own.
    fn leads(&self) -> bool {
        self.kind == RTN_UNICAST && self.table != TABLE
    }
}

/// What last-resort routes need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastResort {
    /// Index of our device.
    pub device: u32,
    /// The device or a rule was not there.
    pub missing: bool,
}

/// An address of a network device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// Index of the device.
    pub index: u32,
    /// The address.
    pub addr: IpAddr,
    /// Length of its prefix, in bits.
    pub prefix_len: u8,
    /// It can be a source now: not tentative unless optimistic, not a duplicate.
    pub usable: bool,
    /// It is for what began there, and nothing else begins there where there is another.
    pub deprecated: bool,
    /// It is a temporary one (RFC 8981), which another one replaces in time, and no duplicate.
    pub temporary: bool,
}

fn family_of(addr: IpAddr) -> u8 {
    match addr {
        IpAddr::V4(_) => AF_INET,
        IpAddr::V6(_) => AF_INET6,
    }
}

fn bits(addr: IpAddr) -> u8 {
    match addr {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

pub(crate) fn word(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .map_or(0, |octets| u32::from_ne_bytes(*octets))
}

pub(crate) fn octet(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

/// `struct ifinfomsg` is 16 octets.
pub(crate) fn read_link(bytes: &[u8]) -> Result<Link, Error> {
    let flags = word(bytes, 8);
    let mut link = Link {
        index: word(bytes, 4),
        name: String::new(),
        kind: None,
        up: flags & IFF_UP != 0 && flags & IFF_LOWER_UP != 0,
        loopback: flags & IFF_LOOPBACK != 0,
        link_type: u16::from_ne_bytes([octet(bytes, 2), octet(bytes, 3)]),
        master: None,
        hardware: false,
    };
    for attr in Attrs::new(bytes.get(16..).unwrap_or_default()) {
        let attr = attr?;
        match attr.number {
            IFLA_IFNAME => link.name = attr.string()?.to_owned(),
            IFLA_MASTER => link.master = Some(attr.u32()?),
            IFLA_PARENT_DEV_NAME => link.hardware = true,
            IFLA_LINKINFO => {
                for inner in attr.nest() {
                    let inner = inner?;
                    if inner.number == IFLA_INFO_KIND {
                        link.kind = Some(inner.string()?.to_owned());
                    }
                }
            }
            _ => (),
        }
    }
    Ok(link)
}

/// `struct ifaddrmsg` is 8 octets.
fn read_address(bytes: &[u8]) -> Result<Option<Address>, Error> {
    let mut flags = u32::from(octet(bytes, 2));
    let (mut local, mut address) = (None, None);
    for attr in Attrs::new(bytes.get(8..).unwrap_or_default()) {
        let attr = attr?;
        match attr.number {
            IFA_LOCAL => local = Some(attr.addr()?),
            IFA_ADDRESS => address = Some(attr.addr()?),
            IFA_FLAGS => flags = attr.u32()?,
            _ => (),
        }
    }
    let tentative = flags & IFA_F_TENTATIVE != 0 && flags & IFA_F_OPTIMISTIC == 0;
    Ok(local.or(address).map(|addr| Address {
        index: word(bytes, 4),
        addr,
        prefix_len: octet(bytes, 1),
        usable: flags & IFA_F_DADFAILED == 0 && !tentative,
        deprecated: flags & IFA_F_DEPRECATED != 0,
        // Of IPv4, this flag says that it is a secondary one.
        temporary: addr.is_ipv6() && flags & (IFA_F_DADFAILED | IFA_F_TEMPORARY) == IFA_F_TEMPORARY,
    }))
}

/// `struct rtmsg` is 12 octets.
fn read_route(bytes: &[u8]) -> Result<Route, Error> {
    let mut route = Route {
        device: None,
        source: None,
        metric: 0,
        kind: octet(bytes, 7),
        table: u32::from(octet(bytes, 4)),
    };
    for attr in Attrs::new(bytes.get(12..).unwrap_or_default()) {
        let attr = attr?;
        match attr.number {
            RTA_OIF => route.device = Some(attr.u32()?),
            RTA_PREFSRC => route.source = Some(attr.addr()?),
            RTA_PRIORITY => route.metric = attr.u32()?,
            RTA_TABLE => route.table = attr.u32()?,
            _ => (),
        }
    }
    Ok(route)
}

/// A socket for questions and orders.
pub struct Rtnl {
    socket: Socket,
}

impl Rtnl {
    /// Opens a socket in the network namespace of the thread.
    pub fn connect() -> Result<Self, Error> {
        let socket = Socket::open_family(NlFamily::Route)?;
        // A dump is of what was asked for, not of everything.
        socket.be_strict()?;
        Ok(Self { socket })
    }

    /// Requests so far.
    pub fn questions(&self) -> u32 {
        self.socket.requests()
    }

    /// Sends a request that is no dump, and has its answer read, if there is one.
    fn answer(
        &mut self,
        kind: u16,
        flags: NlmF,
        payload: Vec<u8>,
        mut read: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let seq = self.socket.send(kind, flags, payload)?;
        loop {
            for message in self.socket.receive(Wait::Yes)? {
                if *message.nl_seq() != seq {
                    continue;
                }
                match message.nl_payload() {
                    NlPayload::Err(error) => {
                        return Err(io::Error::from_raw_os_error(-*error.error()).into())
                    }
                    NlPayload::Payload(payload) => return read(payload.as_ref()),
                    NlPayload::Ack(_) | NlPayload::Empty | NlPayload::DumpExtAck(_) => {
                        return Ok(())
                    }
                }
            }
        }
    }

    fn order(&mut self, kind: u16, flags: NlmF, payload: Vec<u8>) -> Result<(), Error> {
        self.answer(kind, flags | NlmF::ACK, payload, |_| Ok(()))
    }

    /// All devices.
    pub fn links(&mut self) -> Result<Vec<Link>, Error> {
        let mut attrs = Writer::default();
        attrs.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
        let payload = [&[0; 16], attrs.0.as_slice()].concat();
        self.socket
            .dump(RTM_GETLINK, &payload, |bytes| Ok(Some(read_link(bytes)?)))
    }

    /// One device; `None` when it is not there.
    pub fn link(&mut self, index: u32) -> Result<Option<Link>, Error> {
        let mut header = vec![0; 16];
        header[4..8].copy_from_slice(&index.to_ne_bytes());
        let mut link = None;
        let result = self.answer(RTM_GETLINK, NlmF::empty(), header, |bytes| {
            link = Some(read_link(bytes)?);
            Ok(())
        });
        match result {
            Err(Error::Io(error)) if error.raw_os_error() == Some(ENODEV) => Ok(None),
            result => result.map(|()| link),
        }
    }

    /// The addresses of a device, of both families.
    pub fn addresses(&mut self, device: u32) -> Result<Vec<Address>, Error> {
        let mut header = vec![0; 8];
        header[4..8].copy_from_slice(&device.to_ne_bytes());
        let read = |bytes: &[u8]| read_address(bytes);
        match self.socket.dump(RTM_GETADDR, &header, read) {
            // A device that has just gone has none.
            Err(error) if error.errno() == Some(ENODEV) => Ok(Vec::new()),
            result => result,
        }
    }

    /// The route that the kernel would take, as it is used or, with `RTM_F_FIB_MATCH`, as it is in its table.
    fn lookup(
        &mut self,
        dst: IpAddr,
        src: Option<IpAddr>,
        device: Option<u32>,
        flags: u32,
    ) -> Result<Option<Route>, Error> {
        let mut header = vec![0; 12];
        header[0] = family_of(dst);
        header[1] = bits(dst);
        header[8..12].copy_from_slice(&flags.to_ne_bytes());
        let mut attrs = Writer::default();
        attrs.addr(RTA_DST, dst);
        if let Some(src) = src {
            header[2] = bits(src);
            attrs.addr(RTA_SRC, src);
        }
        if let Some(device) = device {
            attrs.u32(RTA_OIF, device);
        }
        header.extend_from_slice(&attrs.0);
        let mut route = None;
        let result = self.answer(RTM_GETROUTE, NlmF::empty(), header, |bytes| {
            route = Some(read_route(bytes)?);
            Ok(())
        });
        match result {
            Ok(()) => Ok(route),
            // No route at all.
            Err(Error::Io(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The source address that the kernel would choose for a destination, if it has a route other than our own.
    pub fn source_for(&mut self, dst: IpAddr) -> Result<Option<IpAddr>, Error> {
        let route = self.lookup(dst, None, None, 0)?;
        Ok(route
            .filter(|route| route.table != TABLE)
            .and_then(|route| route.source))
    }

    /// Whether packets to an address are accepted here; by this device, if one is given.
    ///
    /// The kernel shows a new IPv6 address before it has the route that this takes (addrconf_dad_start leaves it to a
    /// worker): the router's answer to a solicitation would be lost, and the next one is a second away. The route's
    /// coming is told.
    pub fn is_local(&mut self, addr: IpAddr, device: Option<u32>) -> Result<bool, Error> {
        let route = self.lookup(addr, None, device, 0)?;
        Ok(route.is_some_and(|route| route.kind == RTN_LOCAL))
    }

    /// The device by which the kernel sends packets from an address to a destination, if it has a route other than our
    /// own; as seen from a VRF, if one is given.
    pub fn leaves_by(
        &mut self,
        src: IpAddr,
        dst: IpAddr,
        vrf: Option<u32>,
    ) -> Result<Option<u32>, Error> {
        let route = self.lookup(dst, Some(src), vrf, 0)?;
        Ok(route.filter(Route::leads).and_then(|route| route.device))
    }

    /// The route other than our own that leads from an address to a destination by a device.
    pub fn route_by(
        &mut self,
        src: IpAddr,
        dst: IpAddr,
        device: u32,
    ) -> Result<Option<Route>, Error> {
        // With a source, IPv6 takes the device for a wish only.
        let src = Some(src).filter(IpAddr::is_ipv4);
        // As it is used, IPv4 takes a destination that it has no route for as on-link.
        let route = self.lookup(dst, src, Some(device), RTM_F_FIB_MATCH)?;
        Ok(route.filter(Route::leads))
    }

    /// Our device, if it is there.
    fn device(&mut self) -> Result<Option<Link>, Error> {
        let mut links = self.links()?.into_iter();
        Ok(links.find(|link| link.name == DEVICE))
    }

    /// Makes our device, or sets it up.
    fn make_device(&mut self, index: u32, flags: NlmF, attrs: &Writer) -> Result<(), Error> {
        let mut header = vec![0; 16];
        let up = IFF_UP | IFF_NOARP;
        header[4..8].copy_from_slice(&index.to_ne_bytes());
        header[8..12].copy_from_slice(&up.to_ne_bytes());
        header[12..16].copy_from_slice(&up.to_ne_bytes());
        header.extend_from_slice(&attrs.0);
        self.order(RTM_NEWLINK, flags, header)
    }

    /// Makes the device and the rules for last-resort routes, where they are missing.
    pub fn ensure_last_resort(&mut self) -> Result<LastResort, Error> {
        let mut missing = true;
        match self.device()? {
            None => {
                let mut kind = Writer::default();
                kind.string(IFLA_INFO_KIND, "dummy");
                let mut attrs = Writer::default();
                attrs.string(IFLA_IFNAME, DEVICE);
                attrs.nest(IFLA_LINKINFO, &kind);
                self.make_device(0, NlmF::CREATE | NlmF::EXCL, &attrs)?;
            }
            Some(link) if !link.up => {
                self.make_device(link.index, NlmF::empty(), &Writer::default())?;
            }
            Some(_) => missing = false,
        }
        for family in [AF_INET, AF_INET6] {
            // Without IPv6 in the kernel there are no IPv6 sockets to save.
            match self.order(RTM_NEWRULE, NlmF::CREATE | NlmF::EXCL, rule(family)) {
                Err(Error::Io(error)) if error.raw_os_error() == Some(EEXIST) => (),
                Err(error) if family == AF_INET => return Err(error),
                Err(_) => (),
                Ok(()) => missing = true,
            }
        }
        let device = self.device()?.map(|link| link.index);
        let device = device.ok_or_else(|| io::Error::from_raw_os_error(ENODEV))?;
        Ok(LastResort { device, missing })
    }

    /// Keeps an identifier routable when no other route is left.
    pub fn last_resort_add(&mut self, device: u32, addr: IpAddr) -> Result<(), Error> {
        let flags = NlmF::CREATE | NlmF::REPLACE;
        self.order(RTM_NEWROUTE, flags, route(device, addr))
    }

    /// No longer keeps an identifier routable.
    pub fn last_resort_del(&mut self, device: u32, addr: IpAddr) -> Result<(), Error> {
        match self.order(RTM_DELROUTE, NlmF::empty(), route(device, addr)) {
            Err(Error::Io(error)) if error.raw_os_error() == Some(ESRCH) => Ok(()),
            result => result,
        }
    }

    /// The identifiers that have a last-resort route.
    pub fn last_resort_list(&mut self) -> Result<Vec<IpAddr>, Error> {
        self.routes_of(TABLE, PROTOCOL)
    }

    /// The destinations of the routes in a table that bear this protocol number.
    fn routes_of(&mut self, table: u32, protocol: u8) -> Result<Vec<IpAddr>, Error> {
        let mut found = Vec::new();
        for family in [AF_INET, AF_INET6] {
            let mut header = vec![0; 12];
            header[0] = family;
            let mut attrs = Writer::default();
            attrs.u32(RTA_TABLE, table);
            header.extend_from_slice(&attrs.0);
            let read = |bytes: &[u8]| {
                let (mut dst, mut of) = (None, u32::from(octet(bytes, 4)));
                for attr in Attrs::new(bytes.get(12..).unwrap_or_default()) {
                    let attr = attr?;
                    match attr.number {
                        RTA_DST => dst = Some(attr.addr()?),
                        RTA_TABLE => of = attr.u32()?,
                        _ => (),
                    }
                }
                let ours = (of, octet(bytes, 5)) == (table, protocol);
                Ok(dst.filter(|_| ours))
            };
            match self.socket.dump(RTM_GETROUTE, &header, read) {
                Ok(routes) => found.extend(routes),
                // A table that nobody has used yet has none.
                Err(error) if error.errno() == Some(ENOENT) => (),
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Accepts what is sent to an address that no device has, and lets packets with it for a source leave: it is put on
    /// our device, alone, deprecated, so that nobody chooses it, and without a look for duplicates.
    pub fn held_add(&mut self, device: u32, addr: IpAddr) -> Result<(), Error> {
        let flags = NlmF::CREATE | NlmF::REPLACE;
        self.order(RTM_NEWADDR, flags, held(device, addr))
    }

    /// Does so no longer.
    pub fn held_del(&mut self, device: u32, addr: IpAddr) -> Result<(), Error> {
        match self.order(RTM_DELADDR, NlmF::empty(), held(device, addr)) {
            Err(Error::Io(error)) if error.raw_os_error() == Some(EADDRNOTAVAIL) => Ok(()),
            result => result,
        }
    }

    /// The addresses of our device.
    pub fn held_list(&mut self, device: u32) -> Result<Vec<IpAddr>, Error> {
        let addresses = self.addresses(device)?.into_iter();
        let ours = addresses.filter(|address| is_global(address.addr));
        Ok(ours.map(|address| address.addr).collect())
    }

    /// Makes a router's route to a host, or replaces one that it has made; never another's.
    pub fn host_route_add(
        &mut self,
        to: IpAddr,
        via: IpAddr,
        device: u32,
        replace: bool,
    ) -> Result<(), Error> {
        let flags = if replace { NlmF::REPLACE } else { NlmF::EXCL };
        let mut route = host_route(to);
        let mut attrs = Writer::default();
        attrs.addr(RTA_GATEWAY, via);
        attrs.u32(RTA_OIF, device);
        route.extend_from_slice(&attrs.0);
        self.order(RTM_NEWROUTE, NlmF::CREATE | flags, route)
    }

    /// Removes a router's route to a host.
    pub fn host_route_del(&mut self, to: IpAddr) -> Result<(), Error> {
        match self.order(RTM_DELROUTE, NlmF::empty(), host_route(to)) {
            Err(Error::Io(error)) if error.raw_os_error() == Some(ESRCH) => Ok(()),
            result => result,
        }
    }

    /// The hosts to which there are a router's routes.
    pub fn host_routes(&mut self) -> Result<Vec<IpAddr>, Error> {
        self.routes_of(RT_TABLE_MAIN.into(), ROUTER_PROTOCOL)
    }

    /// Removes device, routes and rules of ours.
    pub fn last_resort_remove(&mut self) -> Result<(), Error> {
        for family in [AF_INET, AF_INET6] {
            match self.order(RTM_DELRULE, NlmF::empty(), rule(family)) {
                Err(Error::Io(error)) if error.raw_os_error() == Some(ENOENT) => (),
                Err(error) if family == AF_INET => return Err(error),
                _ => (),
            }
        }
        if let Some(Link { index, .. }) = self.device()? {
            let mut header = vec![0; 16];
            header[4..8].copy_from_slice(&index.to_ne_bytes());
            self.order(RTM_DELLINK, NlmF::empty(), header)?;
        }
        Ok(())
    }
}

/// `struct fib_rule_hdr` and attributes of our rule.
fn rule(family: u8) -> Vec<u8> {
    let header = [
        family,
        0,
        0,
        0,
        RT_TABLE_UNSPEC,
        0,
        0,
        FR_ACT_TO_TBL,
        0,
        0,
        0,
        0,
    ];
    let mut attrs = Writer::default();
    attrs.u32(FRA_PRIORITY, RULE_PREFERENCE);
    attrs.u32(FRA_TABLE, TABLE);
    attrs.u8(FRA_PROTOCOL, PROTOCOL);
    [&header[..], attrs.0.as_slice()].concat()
}

/// `struct ifaddrmsg` and attributes of an address that a router keeps for us.
fn held(device: u32, addr: IpAddr) -> Vec<u8> {
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
    header.extend_from_slice(&attrs.0);
    header
}

/// `struct rtmsg` and destination of a router's route to a host.
fn host_route(to: IpAddr) -> Vec<u8> {
    let header = [
        family_of(to),
        bits(to),
        0,
        0,
        RT_TABLE_MAIN,
        ROUTER_PROTOCOL,
        RT_SCOPE_UNIVERSE,
        RTN_UNICAST,
        0,
        0,
        0,
        0,
    ];
    let mut attrs = Writer::default();
    attrs.addr(RTA_DST, to);
    [&header[..], attrs.0.as_slice()].concat()
}

/// `struct rtmsg` and attributes of a last-resort route.
fn route(device: u32, addr: IpAddr) -> Vec<u8> {
    let scope = match addr {
        IpAddr::V4(_) => RT_SCOPE_LINK,
        IpAddr::V6(_) => RT_SCOPE_UNIVERSE,
    };
    let header = [
        family_of(addr),
        bits(addr),
        0,
        0,
        RT_TABLE_UNSPEC,
        PROTOCOL,
        scope,
        RTN_UNICAST,
        0,
        0,
        0,
        0,
    ];
    let mut attrs = Writer::default();
    attrs.u32(RTA_TABLE, TABLE);
    attrs.addr(RTA_DST, addr);
    attrs.u32(RTA_OIF, device);
    [&header[..], attrs.0.as_slice()].concat()
}

/// Whether an address can name this host towards others: unicast, not loopback, not link-local.
pub fn is_global(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(addr) => is_global_v4(addr),
        IpAddr::V6(addr) => is_global_v6(addr),
    }
}

fn is_global_v4(addr: Ipv4Addr) -> bool {
    !(addr.is_loopback()
        || addr.is_link_local()
        || addr.is_multicast()
        || addr.is_broadcast()
        || addr.is_unspecified())
}

fn is_global_v6(addr: Ipv6Addr) -> bool {
    !(addr.is_loopback()
        || addr.is_unicast_link_local()
        || addr.is_multicast()
        || addr.is_unspecified()
        || addr.to_ipv4_mapped().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_there() {
        let mut rtnl = Rtnl::connect().unwrap();
        let links = rtnl.links().unwrap();
        let lo = links.iter().find(|link| link.loopback).unwrap();
        assert_eq!(lo.name, "lo");
        assert_eq!(rtnl.link(lo.index).unwrap().as_ref(), Some(lo));
        assert_eq!(rtnl.link(0x7fff_ffff).unwrap(), None);
        assert_eq!(rtnl.addresses(0x7fff_ffff).unwrap(), []);
        let addresses = rtnl.addresses(lo.index).unwrap();
        let local: IpAddr = Ipv4Addr::LOCALHOST.into();
        assert!(addresses
            .iter()
            .any(|addr| addr.addr == local && addr.usable));
        assert!(addresses.iter().all(|addr| addr.index == lo.index));
        // None, and no error.
        rtnl.last_resort_list().unwrap();
        assert_eq!(rtnl.source_for(local).unwrap(), Some(local));
        assert!(rtnl.is_local(local, None).unwrap());
        assert!(!rtnl
            .is_local(Ipv4Addr::new(192, 0, 2, 1).into(), None)
            .unwrap());
    }

    #[test]
    fn tentative_and_optimistic() {
        let message = |flags: u32| {
            let mut attrs = Writer::default();
            attrs.addr(IFA_ADDRESS, "2001:db8::1".parse().unwrap());
            attrs.u32(IFA_FLAGS, flags);
            [&[AF_INET6, 64, 0, 0, 7, 0, 0, 0][..], attrs.0.as_slice()].concat()
        };
        let address = |flags| read_address(&message(flags)).unwrap().unwrap();
        let usable = |flags| address(flags).usable;
        assert!(usable(0));
        assert!(!usable(IFA_F_TENTATIVE));
        assert!(usable(IFA_F_TENTATIVE | IFA_F_OPTIMISTIC));
        assert!(usable(IFA_F_DEPRECATED) && address(IFA_F_DEPRECATED).deprecated);
        assert!(!address(0).deprecated && !address(0).temporary);
        assert!(address(IFA_F_TEMPORARY).temporary);
        assert!(!usable(IFA_F_DADFAILED | IFA_F_TENTATIVE));
        assert!(address(IFA_F_TEMPORARY | IFA_F_TENTATIVE).temporary);
        assert!(!address(IFA_F_TEMPORARY | IFA_F_DADFAILED).temporary);
    }
}
