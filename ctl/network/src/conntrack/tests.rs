// SPDX-License-Identifier: GPL-2.0
//! Connections as the kernel tells of them.

use std::os::unix::net::UnixDatagram;

use ihmp_netlink::HEADER;

use super::{
    filter::{
        program,
        MOST, //
    },
    message::*,
    *,
};
use crate::rtnetlink::{
    AF_INET,
    AF_INET6, //
};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A tuple as the kernel writes it.
fn nest(src: &str, dst: &str, proto: u8, values: &[(u16, u16)]) -> Writer {
    let six = ip(src).is_ipv6();
    let mut addrs = Writer::default();
    addrs.addr(if six { IP_V6_SRC } else { IP_V4_SRC }, ip(src));
    addrs.addr(if six { IP_V6_DST } else { IP_V4_DST }, ip(dst));
    let mut protos = Writer::default();
    protos.u8(PROTO_NUM, proto);
    for (attr, value) in values {
        match *attr {
            PROTO_ICMP_TYPE | PROTO_ICMPV6_TYPE => protos.u8(*attr, *value as u8),
            _ => protos.u16(*attr, value.to_be()),
        }
    }
    let mut tuple = Writer::default();
    tuple.nest(TUPLE_IP, &addrs);
    tuple.nest(TUPLE_PROTO, &protos);
    tuple
}

/// What follows the header of an event.
fn body(family: u8, original: &Writer, reply: &Writer) -> Vec<u8> {
    let mut attrs = Writer::default();
    attrs.nest(TUPLE_ORIG, original);
    attrs.nest(TUPLE_REPLY, reply);
    request(family, &attrs)
}

/// An event with its header.
fn message(kind: u16, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(HEADER + body.len()).unwrap();
    let mut bytes = len.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.resize(HEADER, 0);
    [&bytes, body].concat()
}

const P: &str = "192.168.1.7";
const N: &str = "203.0.113.2";
const C: &str = "203.0.113.10";

fn tcp(src: &str, dst: &str, sport: u16, dport: u16) -> Writer {
    nest(
        src,
        dst,
        6,
        &[(PROTO_SRC_PORT, sport), (PROTO_DST_PORT, dport)],
    )
}

#[test]
fn a_translation_is_read() {
    let expected = Translation {
        proto: 6,
        source: ip(P),
        source_port: 40_000,
        destination: ip(C),
        destination_port: 22,
        nat: ip(N),
        nat_port: 20_001,
    };
    let (original, reply) = (tcp(P, C, 40_000, 22), tcp(C, N, 22, 20_001));
    let body = |reply: &Writer| body(AF_INET, &original, reply);
    let whole = body(&reply);
    assert_eq!(event(NEW, &whole), Some(Event::New(expected)));
    assert_eq!(event(DELETE, &whole), Some(Event::Gone(expected)));
    assert_eq!(event(GET, &whole), None);
    for cut in 0..whole.len() {
        let _ = event(NEW, &whole[..cut]);
    }
    // Another destination, or no NAT.
    for reply in [tcp("198.51.100.9", N, 22, 20_001), tcp(C, P, 22, 40_000)] {
        assert_eq!(event(NEW, &body(&reply)), None);
    }
}

#[test]
fn an_echo_has_identifiers() {
    let (p, n, c) = ("2001:db8:2::10", "2001:db8:3::2", "2001:db8:3::10");
    let six = |src, dst, kind, id| {
        let values = [(PROTO_ICMPV6_ID, id), (PROTO_ICMPV6_TYPE, kind)];
        nest(src, dst, ICMPV6, &values)
    };
    let new = body(AF_INET6, &six(p, c, 128, 7), &six(c, n, 129, 9));
    let Some(Event::New(found)) = event(NEW, &new) else {
        panic!("no event");
    };
    assert_eq!((found.source_port, found.destination_port), (7, 0));
    assert_eq!(found.nat_port, 9);
    // A question of another kind is none of ours.
    let other = body(AF_INET6, &six(p, c, 139, 7), &six(c, n, 140, 9));
    assert_eq!(event(NEW, &other), None);
}

/// Whether the kernel lets a message through to a socket with the filter for these destinations.
fn passes(destinations: &[IpAddr], message: &[u8]) -> bool {
    let (from, to) = UnixDatagram::pair().unwrap();
    program(destinations).attach(&to).unwrap();
    to.set_nonblocking(true).unwrap();
    from.send(message).unwrap();
    to.recv(&mut [0; 512]).is_ok()
}

#[test]
fn the_filter_knows_destinations() {
    let (p6, n6, c6) = ("2001:db8:2::10", "2001:db8:3::2", "2001:db8:3::10");
    let four = body(AF_INET, &tcp(P, C, 1, 2), &tcp(C, N, 2, 1));
    let six = body(AF_INET6, &tcp(p6, c6, 1, 2), &tcp(c6, n6, 2, 1));
    let (four, six) = (message(NEW, &four), message(NEW, &six));
    let lets = |list: &[&str]| {
        let list: Vec<IpAddr> = list.iter().map(|text| ip(text)).collect();
        (passes(&list, &four), passes(&list, &six))
    };
    assert_eq!(lets(&["192.0.2.1", C]), (true, false));
    assert_eq!(lets(&["2001:db8:3::11", c6, "2001:db8::1"]), (false, true));
    assert_eq!(lets(&[P, p6, "2001:db8:3::11"]), (false, false));
    assert_eq!(lets(&[c6, C]), (true, true));
    assert_eq!(lets(&[P; MOST + 1]), (true, true));
}
