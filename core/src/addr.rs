// SPDX-License-Identifier: GPL-2.0
//! Addresses of both families in one 16-octet value.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

/// The first 12 octets of an IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2).
const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/// Address family of a packet or address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4, RFC 791.
    V4,
    /// IPv6, RFC 8200.
    V6,
}

impl Family {
    /// The place of the family where there is something for each: 0 or 1.
    #[inline]
    pub const fn index(self) -> usize {
        match self {
            Family::V4 => 0,
            Family::V6 => 1,
        }
    }
}

/// What an address can be used for (RFC 6890, RFC 4291 section 2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// `::`, and all of 0.0.0.0/8 ("this network").
    Unspecified,
    /// `::1` and 127.0.0.0/8.
    Loopback,
    /// fe80::/10 and 169.254.0.0/16.
    LinkLocal,
    /// ff00::/8 and 224.0.0.0/4.
    Multicast,
    /// 255.255.255.255; directed broadcasts cannot be told from the address alone.
    Broadcast,
    /// 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10, fc00::/7 and fec0::/10.
    Private,
    /// Everything else.
    Global,
}

/// An IPv4 or IPv6 address.
///
/// # Invariants
///
/// The octets are those of an IPv6 address; an IPv4 address is held in the form `::ffff:a.b.c.d`, and that form always
/// means IPv4.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Addr([u8; 16]);

impl Addr {
    /// `::`, no address.
    pub const UNSPECIFIED: Addr = Addr([0; 16]);

    /// The IPv4 address with these octets, network order.
    #[inline]
    pub const fn v4(octets: [u8; 4]) -> Addr {
        let mut addr = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0];
        // One move of four octets; single octets would be moved one by one everywhere after.
        if let Some(low) = addr.last_chunk_mut() {
            *low = octets;
        }
        Addr(addr)
    }

    /// The IPv6 address with these octets, network order; an IPv4-mapped one is the IPv4 address.
    #[inline]
    pub const fn v6(octets: [u8; 16]) -> Addr {
        Addr(octets)
    }

    /// The address in 4 or 16 octets of a netlink attribute.
    ///
    /// Other lengths are refused, and so is an IPv4-mapped address in 16 octets: it would be a second way to write an
    /// IPv4 address.
    #[inline]
    pub fn from_wire(octets: &[u8]) -> Option<Addr> {
        if let Ok(octets) = <[u8; 4]>::try_from(octets) {
            return Some(Addr::v4(octets));
        }
        let addr = Addr(<[u8; 16]>::try_from(octets).ok()?);
        if addr.is_v4() {
            None
        } else {
            Some(addr)
        }
    }

    /// The 16 octets, IPv4 as `::ffff:a.b.c.d`.
    #[inline]
    pub const fn octets(&self) -> [u8; 16] {
        self.0
    }

    /// The last 4 octets: the IPv4 address when [`Addr::is_v4`].
    #[inline]
    pub const fn low(&self) -> [u8; 4] {
        match self.0.last_chunk() {
            Some(low) => *low,
            None => [0; 4],
        }
    }

    /// Whether this is an IPv4 address.
    #[inline]
    pub fn is_v4(&self) -> bool {
        self.0.first_chunk::<12>() == Some(&MAPPED)
    }

    /// The family of the address.
    #[inline]
    pub fn family(&self) -> Family {
        if self.is_v4() {
            Family::V4
        } else {
            Family::V6
        }
    }

    /// The address as it is on the wire and in netlink attributes: 4 or 16 octets.
    #[inline]
    pub fn wire(&self) -> &[u8] {
        match self.0.last_chunk::<4>() {
            Some(low) if self.is_v4() => low,
            _ => &self.0,
        }
    }

    /// What the address can be used for.
    pub fn scope(&self) -> Scope {
        if self.is_v4() {
            return match self.low() {
                [0, ..] => Scope::Unspecified,
                [127, ..] => Scope::Loopback,
                [169, 254, ..] => Scope::LinkLocal,
                [255, 255, 255, 255] => Scope::Broadcast,
                [224..=239, ..] => Scope::Multicast,
                [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => {
                    Scope::Private
                }
                _ => Scope::Global,
            };
        }
        match self.0 {
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] => Scope::Unspecified,
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1] => Scope::Loopback,
            [0xff, ..] => Scope::Multicast,
            [0xfe, 0x80..=0xbf, ..] => Scope::LinkLocal,
            [0xfe, 0xc0..=0xff, ..] | [0xfc..=0xfd, ..] => Scope::Private,
            _ => Scope::Global,
        }
    }

    /// The network that it is counted in: the first 24 bits of an address of IPv4, 48 of one of IPv6, and zeros.
    pub fn network(&self) -> [u8; 16] {
        let mut octets = self.octets();
        let kept = if self.is_v4() { 15 } else { 6 };
        for octet in octets.iter_mut().skip(kept) {
            *octet = 0;
        }
        octets
    }

    /// Whether packets from or to the address may be rewritten: unicast that is valid beyond its own link.
    #[inline]
    pub fn translatable(&self) -> bool {
        matches!(self.scope(), Scope::Private | Scope::Global)
    }
}

impl From<Ipv4Addr> for Addr {
    #[inline]
    fn from(addr: Ipv4Addr) -> Addr {
        Addr::v4(addr.octets())
    }
}

impl From<Ipv6Addr> for Addr {
    #[inline]
    fn from(addr: Ipv6Addr) -> Addr {
        Addr::v6(addr.octets())
    }
}

impl From<IpAddr> for Addr {
    #[inline]
    fn from(addr: IpAddr) -> Addr {
        match addr {
            IpAddr::V4(addr) => addr.into(),
            IpAddr::V6(addr) => addr.into(),
        }
    }
}

impl From<Addr> for IpAddr {
    #[inline]
    fn from(addr: Addr) -> IpAddr {
        if addr.is_v4() {
            IpAddr::V4(Ipv4Addr::from(addr.low()))
        } else {
            IpAddr::V6(Ipv6Addr::from(addr.0))
        }
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&IpAddr::from(*self), f)
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadAddr;

impl fmt::Display for BadAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an IPv4 or IPv6 address")
    }
}

impl core::error::Error for BadAddr {}

impl FromStr for Addr {
    type Err = BadAddr;

    /// Reads the usual text forms; `::ffff:a.b.c.d` is the IPv4 address.
    fn from_str(text: &str) -> Result<Addr, BadAddr> {
        text.parse::<IpAddr>().map(Addr::from).map_err(|_| BadAddr)
    }
}
