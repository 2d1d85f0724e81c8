// SPDX-License-Identifier: GPL-2.0
//! Keys of the socket table, as octets for a keyed hash.

use crate::addr::Addr;
use crate::packet::Tuple;

/// A flow as its socket knows it: identifiers and ports of both ends, in host byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowKey {
    /// Upper-layer protocol.
    pub proto: u8,
    /// Local identifier, the address the socket is bound to.
    pub laddr: Addr,
    /// Foreign identifier, the address the socket knows the host by.
    pub faddr: Addr,
    /// Local port, or the identifier of echo requests that we send.
    pub lport: u16,
    /// Foreign port, or the identifier of echo requests that we answer.
    pub fport: u16,
}

impl FlowKey {
    /// The flow of a packet that goes out: its source is local.
    #[inline]
    pub const fn outbound(tuple: &Tuple) -> FlowKey {
        FlowKey {
            proto: tuple.proto,
            laddr: tuple.src,
            faddr: tuple.dst,
            lport: tuple.sport,
            fport: tuple.dport,
        }
    }

    /// The flow of a packet that comes in: its destination is local.
    #[inline]
    pub const fn inbound(tuple: &Tuple) -> FlowKey {
        FlowKey {
            proto: tuple.proto,
            laddr: tuple.dst,
            faddr: tuple.src,
            lport: tuple.dport,
            fport: tuple.sport,
        }
    }

    /// What the flow is on the wire towards a host, if its port is not mapped.
    #[inline]
    pub const fn on_wire(&self, host: u32) -> WireKey {
        WireKey {
            host,
            proto: self.proto,
            lport: self.lport,
            fport: self.fport,
        }
    }

    /// The same where the host's own port is another one than is seen here, as behind a NAT.
    #[inline]
    pub const fn on_wire_by(&self, host: u32, fport: u16) -> WireKey {
        WireKey {
            fport,
            ..self.on_wire(host)
        }
    }

    /// The tuple of a packet of the flow that goes out, in identifiers.
    #[inline]
    pub const fn tuple_out(&self) -> Tuple {
        Tuple {
            proto: self.proto,
            src: self.laddr,
            dst: self.faddr,
            sport: self.lport,
            dport: self.fport,
        }
    }

    /// The tuple of a packet of the flow that comes in, in identifiers.
    #[inline]
    pub const fn tuple_in(&self) -> Tuple {
        self.tuple_out().mirror()
    }

    /// The key as octets: equal octets mean equal keys. `laddr`, `faddr`, `lport`, `fport` (network order), `proto`,
    /// three zeros.
    #[inline]
    pub fn bytes(&self) -> [u8; 40] {
        let mut bytes = [0; 40];
        let (laddr, rest) = bytes.split_at_mut(16);
        let (faddr, rest) = rest.split_at_mut(16);
        laddr.copy_from_slice(&self.laddr.octets());
        faddr.copy_from_slice(&self.faddr.octets());
        if let Some(rest) = rest.first_chunk_mut::<8>() {
            let [l0, l1] = self.lport.to_be_bytes();
            let [f0, f1] = self.fport.to_be_bytes();
            *rest = [l0, l1, f0, f1, self.proto, 0, 0, 0];
        }
        bytes
    }

    /// The key with these octets, the inverse of [`FlowKey::bytes`]; the padding is not looked at.
    #[inline]
    pub fn from_bytes(bytes: &[u8; 40]) -> FlowKey {
        let [head @ .., l0, l1, f0, f1, proto, _, _, _] = bytes;
        let mut laddr = [0; 16];
        let mut faddr = [0; 16];
        let (l, f) = head.split_at(16);
        laddr.copy_from_slice(l);
        faddr.copy_from_slice(f);
        FlowKey {
            proto: *proto,
            laddr: Addr::v6(laddr),
            faddr: Addr::v6(faddr),
            lport: u16::from_be_bytes([*l0, *l1]),
            fport: u16::from_be_bytes([*f0, *f1]),
        }
    }
}

/// A flow as it is on the wire, whatever the locators: what an inbound packet of a known host is looked up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WireKey {
    /// Host id, from 1.
    pub host: u32,
    /// Upper-layer protocol.
    pub proto: u8,
    /// Local port on the wire.
    pub lport: u16,
    /// Foreign port.
    pub fport: u16,
}

impl WireKey {
    /// The key as octets: equal octets mean equal keys. `host`, `lport`, `fport` (network order), `proto`, three zeros.
    #[inline]
    pub const fn bytes(&self) -> [u8; 12] {
        let [h0, h1, h2, h3] = self.host.to_be_bytes();
        let [l0, l1] = self.lport.to_be_bytes();
        let [f0, f1] = self.fport.to_be_bytes();
        [h0, h1, h2, h3, l0, l1, f0, f1, self.proto, 0, 0, 0]
    }
}
