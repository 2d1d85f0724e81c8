// SPDX-License-Identifier: GPL-2.0
//! Connections as attributes.
//!
//! C header: linux/netfilter/nfnetlink_conntrack.h

use std::net::IpAddr;

use ihmp_netlink::{
    Attrs,
    Writer, //
};

use super::Translation;

// enum ctattr_*
pub(super) const TUPLE_ORIG: u16 = 1;
pub(super) const TUPLE_REPLY: u16 = 2;
pub(super) const FILTER: u16 = 25;
pub(super) const FILTER_ORIG_FLAGS: u16 = 1;
/// Source and destination address are those of the tuple (CTA_FILTER_F_CTA_IP_*).
pub(super) const BY_ADDRESSES: u32 = 3;
pub(super) const TUPLE_IP: u16 = 1;
pub(super) const TUPLE_PROTO: u16 = 2;
pub(super) const IP_V4_SRC: u16 = 1;
pub(super) const IP_V4_DST: u16 = 2;
pub(super) const IP_V6_SRC: u16 = 3;
pub(super) const IP_V6_DST: u16 = 4;
pub(super) const PROTO_NUM: u16 = 1;
pub(super) const PROTO_SRC_PORT: u16 = 2;
pub(super) const PROTO_DST_PORT: u16 = 3;
pub(super) const PROTO_ICMP_ID: u16 = 4;
pub(super) const PROTO_ICMP_TYPE: u16 = 5;
pub(super) const PROTO_ICMPV6_ID: u16 = 7;
pub(super) const PROTO_ICMPV6_TYPE: u16 = 8;

/// Octets of `struct nfgenmsg`.
pub(super) const NFGENMSG: usize = 4;
pub(super) const ICMP: u8 = 1;
pub(super) const ICMPV6: u8 = 58;
pub(super) const ECHO: u8 = 8;
pub(super) const ECHO_V6: u8 = 128;
/// Protocols with ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
pub(super) const PORTS: [u8; 5] = [6, 17, 33, 132, 136];

/// `struct nfgenmsg`, then attributes.
pub(super) fn request(family: u8, attrs: &Writer) -> Vec<u8> {
    attrs.behind(&[family, 0, 0, 0])
}

/// What asks for the connections between two addresses only.
pub(super) fn by_addresses(source: IpAddr, destination: IpAddr) -> Writer {
    let (src, dst) = match source {
        IpAddr::V4(_) => (IP_V4_SRC, IP_V4_DST),
        IpAddr::V6(_) => (IP_V6_SRC, IP_V6_DST),
    };
    let mut ip = Writer::default();
    ip.addr(src, source);
    ip.addr(dst, destination);
    let mut tuple = Writer::default();
    tuple.nest(TUPLE_IP, &ip);
    let mut filter = Writer::default();
    filter.u32(FILTER_ORIG_FLAGS, BY_ADDRESSES);
    let mut attrs = Writer::default();
    attrs.nest(TUPLE_ORIG, &tuple);
    attrs.nest(FILTER, &filter);
    attrs
}

/// One direction of a connection.
#[derive(Clone, Copy)]
struct Tuple {
    proto: u8,
    src: IpAddr,
    dst: IpAddr,
    sport: u16,
    dport: u16,
}

/// A connection whose source the NAT replaces; `None` for any other message.
pub(super) fn read(bytes: &[u8]) -> Option<Translation> {
    let (mut original, mut reply) = (None, None);
    for attr in Attrs::new(bytes.get(NFGENMSG..)?) {
        let attr = attr.ok()?;
        match attr.number() {
            TUPLE_ORIG => original = tuple(attr.nest()),
            TUPLE_REPLY => reply = tuple(attr.nest()),
            _ => (),
        }
    }
    let (original, reply) = (original?, reply?);
    let nat = original.src != reply.dst && original.dst == reply.src;
    nat.then_some(Translation {
        proto: original.proto,
        source: original.src,
        source_port: original.sport,
        destination: original.dst,
        destination_port: original.dport,
        nat: reply.dst,
        nat_port: reply.dport,
    })
}

fn tuple(attrs: Attrs<'_>) -> Option<Tuple> {
    let (mut src, mut dst, mut proto) = (None, None, None);
    let (mut sport, mut dport, mut id, mut kind) = (0, 0, 0, 0);
    for attr in attrs {
        let attr = attr.ok()?;
        for inner in attr.nest() {
            let inner = inner.ok()?;
            match (attr.number(), inner.number()) {
                (TUPLE_IP, IP_V4_SRC | IP_V6_SRC) => src = Some(inner.addr().ok()?),
                (TUPLE_IP, IP_V4_DST | IP_V6_DST) => dst = Some(inner.addr().ok()?),
                (TUPLE_PROTO, PROTO_NUM) => proto = Some(inner.u8().ok()?),
                (TUPLE_PROTO, PROTO_SRC_PORT) => sport = u16::from_be(inner.u16().ok()?),
                (TUPLE_PROTO, PROTO_DST_PORT) => dport = u16::from_be(inner.u16().ok()?),
                (TUPLE_PROTO, PROTO_ICMP_ID | PROTO_ICMPV6_ID) => {
                    id = u16::from_be(inner.u16().ok()?)
                }
                (TUPLE_PROTO, PROTO_ICMP_TYPE | PROTO_ICMPV6_TYPE) => kind = inner.u8().ok()?,
                _ => (),
            }
        }
    }
    let proto = proto?;
    (sport, dport) = match proto {
        // A request's identifier is that of its source; the reply's type is that of an answer, the identifier the NAT's.
        ICMP if kind == ECHO => (id, 0),
        ICMP if kind == 0 => (0, id),
        ICMPV6 if kind == ECHO_V6 => (id, 0),
        ICMPV6 if kind == ECHO_V6 + 1 => (0, id),
        ICMP | ICMPV6 => return None,
        proto if PORTS.contains(&proto) => (sport, dport),
        _ => (0, 0),
    };
    Some(Tuple {
        proto,
        src: src?,
        dst: dst?,
        sport,
        dport,
    })
}
