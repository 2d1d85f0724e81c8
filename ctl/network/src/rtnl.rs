// SPDX-License-Identifier: GPL-2.0
//! Requests to rtnetlink: devices, addresses, and the routes that the kernel would take.
//!
//! C header: linux/rtnetlink.h

use std::net::IpAddr;

use ihmp_netlink::{
    Error,
    Flags,
    Protocol,
    Socket,
    Writer, //
};

use crate::{
    address::Address,
    errno::{
        ENODEV,
        ENOENT, //
    },
    link::Link,
    route::Route,
    rtnetlink::{
        bits,
        family_of,
        ADDRESS_HEADER,
        AF_INET,
        AF_INET6,
        LINK_HEADER,
        ROUTE_HEADER,
        RTA_DST,
        RTA_OIF,
        RTA_SRC,
        RTA_TABLE,
        RTM_GETADDR,
        RTM_GETLINK,
        RTM_GETROUTE, //
    },
};

const IFLA_EXT_MASK: u16 = 29;
const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;
const RTM_F_FIB_MATCH: u32 = 0x2000;

/// A socket for requests.
pub struct Rtnl {
    socket: Socket,
}

impl Rtnl {
    /// Opens a socket in the network namespace of the thread.
    pub fn connect() -> Result<Self, Error> {
        let socket = Socket::open(Protocol::Route)?;
        // Without this, the kernel ignores what a request for a dump asks for, and dumps everything.
        socket.be_strict()?;
        Ok(Self { socket })
    }

    /// How many requests were sent.
    pub fn questions(&self) -> u32 {
        self.socket.requests()
    }

    /// Changes something.
    pub(crate) fn order(&mut self, kind: u16, flags: Flags, payload: Vec<u8>) -> Result<(), Error> {
        self.socket.order(kind, flags, payload)
    }

    /// Changes something. False if the kernel refuses with the error number `done`, which says that nothing is left to change.
    pub(crate) fn order_unless(
        &mut self,
        done: i32,
        kind: u16,
        flags: Flags,
        payload: Vec<u8>,
    ) -> Result<bool, Error> {
        match self.socket.order(kind, flags, payload) {
            Ok(()) => Ok(true),
            Err(error) if error.errno() == Some(done) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// All devices.
    pub fn links(&mut self) -> Result<Vec<Link>, Error> {
        let mut attrs = Writer::default();
        attrs.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
        let payload = attrs.behind(&[0; LINK_HEADER]);
        self.socket
            .dump(RTM_GETLINK, &payload, |bytes| Ok(Some(Link::read(bytes)?)))
    }

    /// One device; `None` when it is not there.
    pub fn link(&mut self, index: u32) -> Result<Option<Link>, Error> {
        let mut header = vec![0; LINK_HEADER];
        header[4..8].copy_from_slice(&index.to_ne_bytes());
        let mut link = None;
        let answered = self
            .socket
            .ask(RTM_GETLINK, Flags::empty(), header, |bytes| {
                link = Some(Link::read(bytes)?);
                Ok(())
            });
        match answered {
            Err(error) if error.errno() == Some(ENODEV) => Ok(None),
            answered => answered.map(|()| link),
        }
    }

    /// The addresses of a device, of both families.
    pub fn addresses(&mut self, device: u32) -> Result<Vec<Address>, Error> {
        let mut header = [0; ADDRESS_HEADER];
        header[4..8].copy_from_slice(&device.to_ne_bytes());
        let read = |bytes: &[u8]| Ok(Address::read(bytes)?);
        match self.socket.dump(RTM_GETADDR, &header, read) {
            // The device has just gone.
            Err(error) if error.errno() == Some(ENODEV) => Ok(Vec::new()),
            result => result,
        }
    }

    /// The source address that the kernel would choose for a destination, if it has a route other than our own.
    pub fn source_for(&mut self, dst: IpAddr) -> Result<Option<IpAddr>, Error> {
        let route = self.lookup(dst, None, None, 0)?;
        Ok(route
            .filter(|route| !route.is_last_resort())
            .and_then(|route| route.source()))
    }

    /// Whether packets to an address are accepted here; by this device, if one is given.
    ///
    /// The kernel reports a new IPv6 address before it adds the local route (addrconf_dad_start() leaves that to a worker). If the agent
    /// sent before that, the router's neighbour advertisement would be dropped, and the next solicitation is a second away. rtnetlink
    /// reports the route when it is added.
    pub fn is_local(&mut self, addr: IpAddr, device: Option<u32>) -> Result<bool, Error> {
        let route = self.lookup(addr, None, device, 0)?;
        Ok(route.is_some_and(|route| route.is_local()))
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
        Ok(route.filter(Route::leads).and_then(|route| route.device()))
    }

    /// The route other than our own that leads from an address to a destination by a device.
    pub fn route_by(
        &mut self,
        src: IpAddr,
        dst: IpAddr,
        device: u32,
    ) -> Result<Option<Route>, Error> {
        // With a source, IPv6 takes the device only as a preference.
        let src = Some(src).filter(IpAddr::is_ipv4);
        // Without RTM_F_FIB_MATCH, IPv4 answers with an on-link route if it has no route by the device.
        let route = self.lookup(dst, src, Some(device), RTM_F_FIB_MATCH)?;
        Ok(route.filter(Route::leads))
    }

    /// The destinations of the routes in a table that bear this protocol number.
    pub(crate) fn destinations(&mut self, table: u32, protocol: u8) -> Result<Vec<IpAddr>, Error> {
        let mut found = Vec::new();
        for family in [AF_INET, AF_INET6] {
            let mut header = [0; ROUTE_HEADER];
            header[0] = family;
            let mut attrs = Writer::default();
            attrs.u32(RTA_TABLE, table);
            let read = |bytes: &[u8]| {
                let route = Route::read(bytes)?;
                Ok(route.destination().filter(|_| route.is_of(table, protocol)))
            };
            match self.socket.dump(RTM_GETROUTE, &attrs.behind(&header), read) {
                Ok(routes) => found.extend(routes),
                // The table does not exist yet.
                Err(error) if error.errno() == Some(ENOENT) => (),
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// The route that the kernel would take, as it is used or, with `RTM_F_FIB_MATCH`, as it is in its table.
    fn lookup(
        &mut self,
        dst: IpAddr,
        src: Option<IpAddr>,
        device: Option<u32>,
        flags: u32,
    ) -> Result<Option<Route>, Error> {
        let mut header = [0; ROUTE_HEADER];
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
        let mut route = None;
        let payload = attrs.behind(&header);
        let answered = self
            .socket
            .ask(RTM_GETROUTE, Flags::empty(), payload, |bytes| {
                route = Some(Route::read(bytes)?);
                Ok(())
            });
        match answered {
            Ok(()) => Ok(route),
            // No route at all.
            Err(error) if error.errno().is_some() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::last_resort;

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
        // There may be none, and that is no error.
        last_resort::list(&mut rtnl).unwrap();
        assert_eq!(rtnl.source_for(local).unwrap(), Some(local));
        assert!(rtnl.is_local(local, None).unwrap());
        assert!(!rtnl
            .is_local(Ipv4Addr::new(192, 0, 2, 1).into(), None)
            .unwrap());
    }
}
