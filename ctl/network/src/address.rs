// SPDX-License-Identifier: GPL-2.0
//! Addresses of network devices.
//!
//! C header: linux/if_addr.h

use std::net::{
    IpAddr,
    Ipv4Addr,
    Ipv6Addr, //
};

use ihmp_netlink::{
    Attrs,
    Malformed, //
};

use crate::rtnetlink::{
    octet,
    word,
    ADDRESS_HEADER,
    IFA_ADDRESS,
    IFA_FLAGS,
    IFA_LOCAL, //
};

/// Of IPv4 addresses the same bit says that they are not the first ones of their prefixes.
const IFA_F_TEMPORARY: u32 = 0x01;
const IFA_F_OPTIMISTIC: u32 = 0x04;
const IFA_F_DADFAILED: u32 = 0x08;
const IFA_F_DEPRECATED: u32 = 0x20;
const IFA_F_TENTATIVE: u32 = 0x40;

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
    /// It is deprecated: flows that use it go on, and new ones use another address if there is one.
    pub deprecated: bool,
    /// It is a temporary address (RFC 8981), which is replaced by another one in time, and it is no duplicate.
    pub temporary: bool,
}

impl Address {
    /// An address from its message, if there is one in it.
    pub(crate) fn read(bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        let mut flags = u32::from(octet(bytes, 2));
        let (mut local, mut address) = (None, None);
        for attr in Attrs::new(bytes.get(ADDRESS_HEADER..).unwrap_or_default()) {
            let attr = attr?;
            match attr.number() {
                IFA_LOCAL => local = Some(attr.addr()?),
                IFA_ADDRESS => address = Some(attr.addr()?),
                IFA_FLAGS => flags = attr.u32()?,
                _ => (),
            }
        }
        let tentative = flags & IFA_F_TENTATIVE != 0 && flags & IFA_F_OPTIMISTIC == 0;
        Ok(local.or(address).map(|addr| Self {
            index: word(bytes, 4),
            addr,
            prefix_len: octet(bytes, 1),
            usable: flags & IFA_F_DADFAILED == 0 && !tentative,
            deprecated: flags & IFA_F_DEPRECATED != 0,
            // Of IPv4, this flag says that it is a secondary one.
            temporary: addr.is_ipv6()
                && flags & (IFA_F_DADFAILED | IFA_F_TEMPORARY) == IFA_F_TEMPORARY,
        }))
    }
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
    use ihmp_netlink::Writer;

    use super::*;
    use crate::rtnetlink::AF_INET6;

    #[test]
    fn tentative_and_optimistic() {
        let message = |flags: u32| {
            let mut attrs = Writer::default();
            attrs.addr(IFA_ADDRESS, "2001:db8::1".parse().unwrap());
            attrs.u32(IFA_FLAGS, flags);
            attrs.behind(&[AF_INET6, 64, 0, 0, 7, 0, 0, 0])
        };
        let address = |flags| Address::read(&message(flags)).unwrap().unwrap();
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
