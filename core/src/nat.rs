// SPDX-License-Identifier: GPL-2.0
//! Port mappings of a NAT in front of a host ([DIME-IFIP] section V-D, Fig. 9), and the keys that they are found by.

use core::fmt;

use crate::addr::{Addr, Family};
use crate::flow::FlowKey;
use crate::packet::{DCCP, ICMP, ICMPV6, SCTP, TCP, UDP, UDP_LITE};

/// One port mapping, for one flow: what comes from `nat_port` of the NAT is from `port` of the host behind it.
///
/// Ports are in host byte order. Of an exchange of echoes one side has an identifier and the other 0, as in
/// [`crate::packet::Tuple`]; protocols without ports have 0 everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mapping {
    /// Upper-layer protocol.
    pub proto: u8,
    /// Address of the NAT.
    pub addr: Addr,
    /// Port of the NAT, the remote port on the wire.
    pub nat_port: u16,
    /// Port of the host.
    pub port: u16,
    /// Our port on the wire.
    pub local_port: u16,
}

/// Why there cannot be such a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MappingError {
    /// The address is not one that packets may be rewritten to ([`Addr::translatable`]).
    NotUnicast,
    /// The protocol is the ICMP of the other family.
    OtherFamily,
    /// The ports are not those of the protocol.
    Ports,
}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MappingError::NotUnicast => "not an address to be translated",
            MappingError::OtherFamily => "the protocol is not one of the address's family",
            MappingError::Ports => "the ports are not those of the protocol",
        })
    }
}

impl core::error::Error for MappingError {}

impl Mapping {
    /// Says why there cannot be such a mapping, if there cannot.
    pub fn check(&self) -> Result<(), MappingError> {
        if !self.addr.translatable() {
            return Err(MappingError::NotUnicast);
        }
        let far = (self.nat_port != 0, self.port != 0);
        let near = self.local_port != 0;
        let right = match (self.proto, self.addr.family()) {
            (ICMP, Family::V6) | (ICMPV6, Family::V4) => return Err(MappingError::OtherFamily),
            // Either end may ask.
            (ICMP | ICMPV6, _) => {
                matches!((far, near), ((true, true), false) | ((false, false), true))
            }
            (TCP | UDP | UDP_LITE | SCTP | DCCP, _) => far == (true, true) && near,
            _ => far == (false, false) && !near,
        };
        if right {
            Ok(())
        } else {
            Err(MappingError::Ports)
        }
    }

    /// What packets from the NAT are looked up by.
    #[inline]
    pub const fn seen(&self) -> Seen {
        Seen {
            proto: self.proto,
            addr: self.addr,
            nat_port: self.nat_port,
            local_port: self.local_port,
        }
    }

    /// What packets to a host behind the NAT are looked up by.
    #[inline]
    pub const fn meant(&self, host: u32) -> Meant {
        Meant {
            host,
            proto: self.proto,
            addr: self.addr,
            port: self.port,
            local_port: self.local_port,
        }
    }
}

/// The far end of a flow as it is on the wire behind a NAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seen {
    /// Upper-layer protocol.
    pub proto: u8,
    /// Address of the NAT.
    pub addr: Addr,
    /// Port of the NAT.
    pub nat_port: u16,
    /// Our port on the wire.
    pub local_port: u16,
}

impl Seen {
    /// The far end of a flow with these addresses and ports on the wire.
    #[inline]
    pub const fn of(wire: &FlowKey) -> Seen {
        Seen {
            proto: wire.proto,
            addr: wire.faddr,
            nat_port: wire.fport,
            local_port: wire.lport,
        }
    }

    /// The key as octets: equal octets mean equal keys. `addr`, `nat_port`, `local_port` (network order), `proto`, three
    /// zeros.
    #[inline]
    pub fn bytes(&self) -> [u8; 24] {
        let mut bytes = [0; 24];
        let (addr, rest) = bytes.split_at_mut(16);
        addr.copy_from_slice(&self.addr.octets());
        if let Some(rest) = rest.first_chunk_mut::<8>() {
            let [n0, n1] = self.nat_port.to_be_bytes();
            let [l0, l1] = self.local_port.to_be_bytes();
            *rest = [n0, n1, l0, l1, self.proto, 0, 0, 0];
        }
        bytes
    }
}

/// The far end of a flow of a host that is to be reached by a NAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Meant {
    /// Host id, from 1.
    pub host: u32,
    /// Upper-layer protocol.
    pub proto: u8,
    /// Address of the NAT.
    pub addr: Addr,
    /// Port of the host.
    pub port: u16,
    /// Our port on the wire.
    pub local_port: u16,
}

impl Meant {
    /// The key as octets: equal octets mean equal keys. `addr`, `host`, `port`, `local_port` (network order), `proto`,
    /// three zeros.
    #[inline]
    pub fn bytes(&self) -> [u8; 28] {
        let mut bytes = [0; 28];
        let (addr, rest) = bytes.split_at_mut(16);
        addr.copy_from_slice(&self.addr.octets());
        if let Some(rest) = rest.first_chunk_mut::<12>() {
            let [h0, h1, h2, h3] = self.host.to_be_bytes();
            let [p0, p1] = self.port.to_be_bytes();
            let [l0, l1] = self.local_port.to_be_bytes();
            *rest = [h0, h1, h2, h3, p0, p1, l0, l1, self.proto, 0, 0, 0];
        }
        bytes
    }
}
