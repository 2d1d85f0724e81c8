// SPDX-License-Identifier: GPL-2.0
//! Parsing: packets of the Linux stack, extension headers, fragments, quotes, and every way to be too short.

mod packets;
mod prng;

use ihmp_core::addr::{Addr, Family};
use ihmp_core::csum;
use ihmp_core::packet::{
    parse, Kind, Packet, ParseError, Quoted, Slots, Tuple, DCCP, ICMP, ICMPV6, SCTP, TCP, TCP_ACK,
    TCP_RST, UDP, UDP_LITE,
};
use ihmp_core::xlat::{apply, apply_error, Fix, Rewrite};

use packets::{error, error_kinds, network, set_len, Proto, Spec, PROTOS};
use prng::Prng;

/// TCP reset from 192.0.2.2:5002 to 192.0.2.1:52796.
const RESET_V4: &str =
    "45000028000040004006b6ccc0000202c0000201138ace3c000000003404155a5014000000a80000";

/// TCP reset from [2001:db8::2]:5002 to [2001:db8::1]:43928, its checksum left to the device.
const RESET_V6: &str =
    "600263520014064020010db800000000000000000000000220010db8000000000000000000000001\
                        138aab9800000000bae7b85c501400005b8f0000";

/// Port unreachable from 192.0.2.2 about a UDP packet from 192.0.2.1:51732 to port 5001. The quoted checksum is that of a
/// packet that was never finished, for it stayed on one machine.
const UNREACHABLE_V4: &str = "45c0003d3c9700004001b965c0000202c00002010303a35600000000\
                              450000211f8e40004011973ac0000201c0000202ca141389000d842269686d7021";

/// The same for IPv6.
const UNREACHABLE_V6: &str =
    "60084cd3003d3a4020010db800000000000000000000000220010db8000000000000000000000001\
                              0104b98e000000006004ee63000d114020010db8000000000000000000000001\
                              20010db8000000000000000000000002c7531389000d5b9369686d7021";

/// Multicast listener report with a router alert in hop-by-hop options.
const REPORT_V6: &str =
    "600000000038000100000000000000000000000000000000ff020000000000000000000000000016\
                         3a000502000001008f00f16b0000000204000000ff0200000000000000000001ffba7b49\
                         04000000ff0200000000000000000001ff000001";

fn octets(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2)
        .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
        .collect()
}

fn addr(text: &str) -> Addr {
    text.parse().unwrap()
}

fn tuple(proto: u8, src: &str, sport: u16, dst: &str, dport: u16) -> Tuple {
    Tuple {
        proto,
        src: addr(src),
        dst: addr(dst),
        sport,
        dport,
    }
}

/// The transport checksum is right, by the crate's own arithmetic.
fn assert_sums(packet: &[u8], pkt: &Packet) {
    let segment = &packet[pkt.l4..];
    let pseudo = match pkt.tuple.proto {
        ICMP => 0,
        proto => csum::pseudo(pkt.tuple.src, pkt.tuple.dst, proto, segment.len() as u32),
    };
    assert_eq!(csum::checksum(pseudo, segment), 0);
    if pkt.family == Family::V4 {
        assert_eq!(csum::checksum(0, &packet[..pkt.l4]), 0);
    }
}

#[test]
fn reset_v4() {
    let mut packet = octets(RESET_V4);
    let pkt = parse(&packet, Family::V4).unwrap();
    assert_eq!(pkt.family, Family::V4);
    assert_eq!(pkt.l4, 20);
    assert_eq!(pkt.tuple, tuple(TCP, "192.0.2.2", 5002, "192.0.2.1", 52796));
    assert_eq!(
        pkt.kind,
        Kind::Tcp {
            flags: TCP_RST | TCP_ACK
        }
    );
    assert_sums(&packet, &pkt);

    let to = Rewrite {
        src: addr("198.51.100.9"),
        dst: addr("203.0.113.77"),
        sport: 5003,
        dport: 1,
    };
    let Some(Fix::Sum {
        at: 36,
        pseudo,
        plain,
        mangle_zero: false,
    }) = apply(&mut packet, &pkt, &to)
    else {
        panic!("not that sum");
    };
    let field = u16::from_ne_bytes([packet[36], packet[37]]);
    let field = csum::replace(csum::replace(field, pseudo), plain);
    packet[36..38].copy_from_slice(&field.to_ne_bytes());
    let pkt = parse(&packet, Family::V4).unwrap();
    assert_eq!(
        pkt.tuple,
        tuple(TCP, "198.51.100.9", 5003, "203.0.113.77", 1)
    );
    assert_sums(&packet, &pkt);
}

#[test]
fn reset_v6() {
    let packet = octets(RESET_V6);
    let pkt = parse(&packet, Family::V6).unwrap();
    assert_eq!(pkt.l4, 40);
    assert_eq!(
        pkt.tuple,
        tuple(TCP, "2001:db8::2", 5002, "2001:db8::1", 43928)
    );
    assert_eq!(
        pkt.kind,
        Kind::Tcp {
            flags: TCP_RST | TCP_ACK
        }
    );
    let pseudo = csum::pseudo(pkt.tuple.src, pkt.tuple.dst, TCP, 20);
    assert_eq!(csum::fold(pseudo).to_ne_bytes(), packet[56..58]);
}

#[test]
fn unreachable_v4() {
    let mut packet = octets(UNREACHABLE_V4);
    let pkt = parse(&packet, Family::V4).unwrap();
    assert_eq!(pkt.tuple, tuple(ICMP, "192.0.2.2", 0, "192.0.2.1", 0));
    let Kind::Error(quoted) = pkt.kind else {
        panic!("{pkt:?}");
    };
    let expected = Quoted {
        l3: 28,
        l4: 48,
        tuple: tuple(UDP, "192.0.2.1", 51732, "192.0.2.2", 5001),
        ports: true,
        csum: Some(54),
        crc: None,
        slots: Slots::Pair,
    };
    assert_eq!(quoted, expected);
    assert_sums(&packet, &pkt);

    // The quote becomes that of a host which sent from 10.0.0.1:9; the error that of one which answered from 10.0.0.2.
    let outer = Rewrite {
        src: addr("10.0.0.2"),
        dst: addr("10.0.0.1"),
        sport: 0,
        dport: 0,
    };
    let inner = Rewrite {
        src: addr("10.0.0.1"),
        dst: addr("10.0.0.2"),
        sport: 9,
        dport: 5001,
    };
    let Some(Fix::Sum {
        at: 22,
        pseudo: 0,
        plain,
        ..
    }) = apply_error(&mut packet, &pkt, &outer, &inner)
    else {
        panic!("not that sum");
    };
    let field = u16::from_ne_bytes([packet[22], packet[23]]);
    packet[22..24].copy_from_slice(&csum::replace(field, plain).to_ne_bytes());
    let pkt = parse(&packet, Family::V4).unwrap();
    assert_sums(&packet, &pkt);
    assert_eq!(csum::checksum(0, &packet[28..48]), 0);
    assert!(
        matches!(pkt.kind, Kind::Error(quoted) if quoted.tuple == tuple(UDP, "10.0.0.1", 9, "10.0.0.2", 5001))
    );
}

#[test]
fn unreachable_v6() {
    let packet = octets(UNREACHABLE_V6);
    let pkt = parse(&packet, Family::V6).unwrap();
    assert_eq!(pkt.tuple, tuple(ICMPV6, "2001:db8::2", 0, "2001:db8::1", 0));
    let Kind::Error(quoted) = pkt.kind else {
        panic!("{pkt:?}");
    };
    let expected = Quoted {
        l3: 48,
        l4: 88,
        tuple: tuple(UDP, "2001:db8::1", 51027, "2001:db8::2", 5001),
        ports: true,
        csum: Some(94),
        crc: None,
        slots: Slots::Pair,
    };
    assert_eq!(quoted, expected);
    assert_sums(&packet, &pkt);
}

#[test]
fn report_v6() {
    let packet = octets(REPORT_V6);
    let pkt = parse(&packet, Family::V6).unwrap();
    assert_eq!(pkt.l4, 48);
    assert_eq!(pkt.tuple, tuple(ICMPV6, "::", 0, "ff02::16", 0));
    assert_eq!(pkt.kind, Kind::Icmp);
    assert_sums(&packet, &pkt);
}

#[test]
fn kinds_and_tuples() {
    let mut prng = Prng::new(1);
    for family in [Family::V4, Family::V6] {
        for proto in PROTOS {
            for _ in 0..500 {
                let spec = Spec::random(&mut prng, family, proto);
                let packet = spec.build();
                let pkt = parse(&packet, family).unwrap();
                assert_eq!(
                    (pkt.family, pkt.l4, pkt.tuple),
                    (family, spec.l4(), spec.tuple()),
                    "{spec:?}"
                );
                let kind = match proto {
                    Proto::Tcp => Kind::Tcp {
                        flags: packet[spec.l4() + 13],
                    },
                    Proto::Udp => Kind::Udp { no_csum: false },
                    Proto::UdpZero => Kind::Udp { no_csum: true },
                    Proto::UdpLite | Proto::UdpLiteHeader => Kind::UdpLite,
                    Proto::Request => Kind::Echo { request: true },
                    Proto::Reply => Kind::Echo { request: false },
                    Proto::OtherIcmp => Kind::Icmp,
                    Proto::Dccp | Proto::Sctp | Proto::Gre | Proto::Foreign => Kind::Other,
                };
                assert_eq!(pkt.kind, kind);
            }
        }
    }
    assert_eq!((TCP, UDP, DCCP, SCTP, UDP_LITE), (6, 17, 33, 132, 136));
}

/// A request and its reply are mirror images.
#[test]
fn echo_exchange() {
    let mut prng = Prng::new(2);
    for family in [Family::V4, Family::V6] {
        let request = Spec::random(&mut prng, family, Proto::Request);
        let mut reply = Spec::random(&mut prng, family, Proto::Reply);
        (reply.src, reply.dst, reply.dport) = (request.dst, request.src, request.sport);
        let there = parse(&request.build(), family).unwrap().tuple;
        let back = parse(&reply.build(), family).unwrap().tuple;
        assert_eq!(there.mirror(), back);
        assert_eq!(back.mirror(), there);
        assert_eq!((there.sport, there.dport), (request.sport, 0));
    }
}

/// All packets of the tests, errors with quotes of any length among them.
fn any_packet(prng: &mut Prng, family: Family) -> Vec<u8> {
    let proto = prng.pick(&PROTOS);
    let mut spec = Spec::random(prng, family, proto);
    if prng.one_in(2) {
        return spec.build();
    }
    spec.more = prng.one_in(4);
    let outer = Spec::random(prng, family, Proto::OtherIcmp);
    let mut quote = spec.build();
    let least = if family == Family::V4 { 20 } else { 40 };
    quote.truncate(least + prng.below(quote.len() - least + 1));
    error(&outer, prng.pick(error_kinds(family)), &quote)
}

/// A linear part of any length gives the same packet or asks for more, and asking leads to the same packet.
#[test]
fn linear_part() {
    let mut prng = Prng::new(3);
    for _ in 0..3_000 {
        let family = prng.family();
        let packet = any_packet(&mut prng, family);
        let whole = parse(&packet, family).unwrap();
        for len in 0..packet.len() {
            let mut have = len;
            loop {
                match parse(&packet[..have], family) {
                    Ok(pkt) => break assert_eq!(pkt, whole),
                    Err(ParseError::Short(wanted)) => {
                        assert!(
                            wanted > have && wanted <= packet.len(),
                            "{have} {wanted} {packet:02x?}"
                        );
                        have = wanted;
                    }
                    Err(error) => panic!("{error:?} at {have}: {packet:02x?}"),
                }
            }
        }
    }
}

/// Three pulls are enough for an error with usual headers.
#[test]
fn few_pulls() {
    for (family, header, quote) in [(Family::V4, 20, 100), (Family::V6, 40, 128)] {
        let packet = error(
            &udp(family),
            3,
            &Spec {
                rest: vec![0; quote],
                ..udp(family)
            }
            .build(),
        );
        let mut have = 0;
        for wanted in [header, header + 8, packet.len().min(header + 8 + 128)] {
            assert_eq!(
                parse(&packet[..have], family),
                Err(ParseError::Short(wanted))
            );
            have = wanted;
        }
        assert!(parse(&packet[..have], family).is_ok());
    }
}

/// What follows the packet by its own length field is not looked at.
#[test]
fn trailing_octets() {
    let mut prng = Prng::new(4);
    for _ in 0..3_000 {
        let family = prng.family();
        let mut packet = any_packet(&mut prng, family);
        let whole = parse(&packet, family).unwrap();
        packet.extend(prng.octets(40));
        assert_eq!(parse(&packet, family).unwrap(), whole);
    }
}

/// A packet that was cut and says so has its headers or is malformed; it is never taken for another one.
#[test]
fn cut_packets() {
    let mut prng = Prng::new(5);
    for family in [Family::V4, Family::V6] {
        for proto in PROTOS {
            for _ in 0..50 {
                let spec = Spec::random(&mut prng, family, proto);
                let whole = spec.build();
                let pkt = parse(&whole, family).unwrap();
                let least = match proto {
                    Proto::Tcp => 20,
                    Proto::Sctp | Proto::Dccp => 12,
                    Proto::Gre | Proto::Foreign => 0,
                    _ => 8,
                };
                // Of an IPv6 header alone the length field is zero, and zero does not say how long it is.
                let first = if family == Family::V4 { spec.l4() } else { 41 };
                for len in first..whole.len() {
                    let mut packet = whole[..len].to_vec();
                    set_len(&mut packet, family);
                    let result = parse(&packet, family);
                    if len >= spec.l4() + least {
                        assert_eq!(result, Ok(pkt));
                    } else {
                        assert_eq!(result, Err(ParseError::Malformed), "{len} {spec:?}");
                    }
                }
            }
        }
    }
}

/// A quote may end anywhere: the addresses are always known, ports and checksum exactly when they were quoted.
#[test]
fn cut_quotes() {
    let mut prng = Prng::new(6);
    for family in [Family::V4, Family::V6] {
        for proto in PROTOS {
            for _ in 0..50 {
                let spec = Spec {
                    more: prng.one_in(4),
                    ..Spec::random(&mut prng, family, proto)
                };
                let outer = Spec::random(&mut prng, family, Proto::OtherIcmp);
                let inner = spec.build();
                let kind = prng.pick(error_kinds(family));
                for len in 0..=inner.len() {
                    let packet = error(&outer, kind, &inner[..len]);
                    let result = parse(&packet, family);
                    if len < if family == Family::V4 { 20 } else { 40 } {
                        assert_eq!(result, Err(ParseError::Malformed));
                        continue;
                    }
                    let pkt = result.unwrap();
                    let Kind::Error(quoted) = pkt.kind else {
                        panic!("{pkt:?}");
                    };
                    let l3 = outer.l4() + 8;
                    assert_eq!(quoted.l3, l3);
                    assert_eq!((quoted.tuple.src, quoted.tuple.dst), (spec.src, spec.dst));
                    let least = match proto {
                        Proto::Gre | Proto::Foreign => 0,
                        Proto::OtherIcmp => 1,
                        Proto::Request | Proto::Reply => 6,
                        _ => 4,
                    };
                    assert_eq!(quoted.ports, len >= spec.l4() + least, "{len} {spec:?}");
                    if quoted.ports {
                        assert_eq!((quoted.tuple, quoted.l4), (spec.tuple(), l3 + spec.l4()));
                    } else {
                        assert_eq!(
                            (quoted.tuple.sport, quoted.tuple.dport, quoted.slots),
                            (0, 0, Slots::None)
                        );
                    }
                    let csum = spec
                        .checksum_at()
                        .filter(|at| at + 2 <= len)
                        .map(|at| at + l3);
                    assert_eq!(quoted.csum, csum, "{len} {spec:?}");
                }
            }
        }
    }
}

fn udp(family: Family) -> Spec {
    let mut spec = Spec::random(&mut Prng::new(7), family, Proto::Udp);
    spec.options.clear();
    spec.extensions.clear();
    (spec.sport, spec.dport) = (1234, 53);
    spec
}

#[test]
fn fragments_v4() {
    let mut packet = udp(Family::V4).build();
    packet[6..8].copy_from_slice(&[0x40, 0]);
    assert!(parse(&packet, Family::V4).is_ok());
    // The first one, too: the others could not go where it goes.
    for offset in [[0x20, 0], [0x20, 1], [0, 1], [0x1f, 0xff], [0x10, 0]] {
        packet[6..8].copy_from_slice(&offset);
        assert_eq!(parse(&packet, Family::V4), Err(ParseError::Fragment));
        assert_eq!(parse(&packet[..20], Family::V4), Err(ParseError::Fragment));
    }
}

#[test]
fn fragments_v6() {
    let mut spec = udp(Family::V6);
    spec.extensions = vec![
        (60, vec![0, 1, 4, 0, 0, 0, 0]),
        (44, vec![0, 0, 0, 0, 0, 0, 9]),
    ];
    let mut packet = spec.build();
    // All of it is in one fragment (RFC 6946).
    let pkt = parse(&packet, Family::V6).unwrap();
    assert_eq!((pkt.l4, pkt.tuple), (56, spec.tuple()));
    packet[51] = 1;
    assert_eq!(parse(&packet, Family::V6), Err(ParseError::Fragment));
    packet[51] = 8;
    assert_eq!(parse(&packet, Family::V6), Err(ParseError::Fragment));
    packet[50..52].copy_from_slice(&[1, 0]);
    assert_eq!(parse(&packet, Family::V6), Err(ParseError::Fragment));
}

/// A first fragment that is quoted is translated like its datagram, but for the CRC of SCTP, which covers the others as well.
#[test]
fn quoted_first_fragments() {
    for family in [Family::V4, Family::V6] {
        for proto in [Proto::Udp, Proto::Sctp] {
            let spec = Spec {
                proto,
                extensions: vec![(44, vec![0, 0, 0, 0, 0, 0, 9])],
                ..udp(family)
            };
            for more in [false, true] {
                let spec = Spec {
                    more,
                    ..spec.clone()
                };
                let packet = error(
                    &udp(family),
                    1 + 2 * u8::from(family == Family::V4),
                    &spec.build(),
                );
                let pkt = parse(&packet, family).unwrap();
                let Kind::Error(quoted) = pkt.kind else {
                    panic!("{pkt:?}");
                };
                assert!(quoted.ports);
                assert_eq!(quoted.tuple, spec.tuple());
                assert_eq!(quoted.csum.is_some(), proto == Proto::Udp);
                assert_eq!(quoted.crc.is_some(), proto == Proto::Sctp && !more);
            }
        }
    }
}

/// A quoted fragment that is not the first has addresses only.
#[test]
fn quoted_fragments() {
    let outer = udp(Family::V4);
    let mut inner = udp(Family::V4).build();
    inner[6..8].copy_from_slice(&[0, 9]);
    let pkt = parse(&error(&outer, 11, &inner), Family::V4).unwrap();
    let Kind::Error(quoted) = pkt.kind else {
        panic!("{pkt:?}");
    };
    assert_eq!(
        (quoted.ports, quoted.csum, quoted.slots),
        (false, None, Slots::None)
    );
    assert_eq!((quoted.tuple.proto, quoted.tuple.sport), (UDP, 0));

    let outer = udp(Family::V6);
    let mut inner = udp(Family::V6);
    inner.extensions = vec![(44, vec![0, 1, 0, 0, 0, 0, 9])];
    let pkt = parse(&error(&outer, 2, &inner.build()), Family::V6).unwrap();
    let Kind::Error(quoted) = pkt.kind else {
        panic!("{pkt:?}");
    };
    assert_eq!(
        (quoted.ports, quoted.csum, quoted.slots),
        (false, None, Slots::None)
    );
    assert_eq!((quoted.tuple.proto, quoted.tuple.sport), (UDP, 0));
}

/// What is quoted behind the quoted packet's own end is padding or an extension object (RFC 4884).
#[test]
fn padded_quotes() {
    for (family, kind, at, unit) in [(Family::V4, 3, 5, 4), (Family::V6, 1, 4, 8)] {
        let outer = udp(family);
        let mut inner = Spec {
            rest: Vec::new(),
            ..udp(family)
        }
        .build();
        inner.truncate(inner.len() - 3);
        set_len(&mut inner, family);
        let header = inner.len() - 5;
        inner.resize(128, 0x55);
        let pkt = parse(&error(&outer, kind, &inner), family).unwrap();
        assert!(
            matches!(pkt.kind, Kind::Error(quoted) if quoted.ports && quoted.csum.is_none()),
            "{pkt:?}"
        );

        // A length field that cannot be right is not believed.
        let length = if family == Family::V4 { 2..4 } else { 4..6 };
        inner[length].copy_from_slice(&[0, if family == Family::V4 { 1 } else { 0 }]);
        let pkt = parse(&error(&outer, kind, &inner), family).unwrap();
        assert!(
            matches!(pkt.kind, Kind::Error(quoted) if quoted.csum == Some(quoted.l3 + header + 6)),
            "{pkt:?}"
        );

        // The length of the quote in the error ends it, when it is one.
        let mut long = Spec {
            rest: vec![1; 300],
            ..udp(family)
        };
        let options = (128 - header).next_multiple_of(8);
        match family {
            Family::V4 => long.options = vec![1; 40],
            Family::V6 => {
                let mut filler = vec![0; options / 8 * 8 - 1];
                filler[0] = (options / 8 - 1) as u8;
                long.extensions = vec![(60, filler)];
            }
        }
        let l4 = long.l4();
        let mut packet = error(&outer, kind, &long.build());
        packet[outer.l4() + at] = (128 / unit) as u8;
        let Kind::Error(quoted) = parse(&packet, family).unwrap().kind else {
            panic!("not an error");
        };
        assert_eq!(quoted.csum.is_some(), l4 + 8 <= 128, "{l4}");
        packet[outer.l4() + at] = 1;
        assert!(
            matches!(parse(&packet, family).unwrap().kind, Kind::Error(quoted) if quoted.csum.is_some())
        );
    }
}

#[test]
fn errors_are_told_from_other_icmp() {
    for (family, errors) in [
        (Family::V4, &[3_u8, 11, 12][..]),
        (Family::V6, &[1, 2, 3, 4]),
    ] {
        let outer = udp(family);
        let inner = udp(family).build();
        for kind in 0..=255 {
            let pkt = parse(&error(&outer, kind, &inner), family).unwrap();
            assert_eq!(
                matches!(pkt.kind, Kind::Error(_)),
                errors.contains(&kind),
                "{kind}"
            );
        }
    }
}

#[test]
fn extension_headers() {
    let spec = udp(Family::V6);
    let with = |extensions: &[(u8, Vec<u8>)]| {
        let spec = Spec {
            extensions: extensions.to_vec(),
            ..spec.clone()
        };
        parse(&spec.build(), Family::V6)
    };
    let options = vec![0, 1, 4, 0, 0, 0, 0];
    let routing = |left: u8| {
        let mut octets = vec![2, 4, left, 0, 0, 0, 0];
        octets.extend([0; 16]);
        octets
    };

    let all = [
        (0, options.clone()),
        (60, options.clone()),
        (43, routing(0)),
        (60, options.clone()),
    ];
    assert_eq!(with(&all).unwrap().l4, 40 + 8 + 8 + 24 + 8);
    // The final destination is elsewhere.
    assert_eq!(with(&[(43, routing(1))]), Err(ParseError::Malformed));
    // Nobody sends that many.
    assert!(with(&vec![(60, options.clone()); 7]).is_ok());
    assert_eq!(
        with(&vec![(60, options.clone()); 8]),
        Err(ParseError::Malformed)
    );
    // Authentication, ESP, no next header and unknown kinds end the walk.
    for kind in [51, 50, 59, 135, 253] {
        let pkt = with(&[(0, options.clone()), (kind, options.clone())]).unwrap();
        assert_eq!(
            (pkt.l4, pkt.tuple.proto, pkt.tuple.sport, pkt.kind),
            (48, kind, 0, Kind::Other)
        );
    }
    // A header that is longer than the packet.
    let mut long = options;
    long[0] = 200;
    assert_eq!(with(&[(60, long)]), Err(ParseError::Malformed));
}

#[test]
fn bad_network_headers() {
    let good = udp(Family::V4).build();
    for (at, value) in [(0, 0x44), (0, 0x65), (0, 0x40), (3, 19), (3, 27)] {
        let mut packet = good.clone();
        packet[at] = value;
        if at == 3 {
            packet[2] = 0;
        }
        assert_eq!(
            parse(&packet, Family::V4),
            Err(ParseError::Malformed),
            "{at} {value}"
        );
    }
    assert_eq!(parse(&good, Family::V6), Err(ParseError::Malformed));
    let good = udp(Family::V6).build();
    assert_eq!(parse(&good, Family::V4), Err(ParseError::Malformed));
    // An IPv4-mapped address on the wire is not an IPv4 address.
    for at in [8, 24] {
        let mut packet = good.clone();
        packet[at..at + 16].copy_from_slice(&addr("192.0.2.1").octets());
        assert_eq!(parse(&packet, Family::V6), Err(ParseError::Malformed));
    }
    assert_eq!(parse(&[], Family::V4), Err(ParseError::Short(20)));
    assert_eq!(parse(&[], Family::V6), Err(ParseError::Short(40)));
}

/// A segment that the device will cut may be longer than its length field can say; then the field is zero.
#[test]
fn big_segments() {
    for family in [Family::V4, Family::V6] {
        let mut spec = udp(family);
        spec.proto = Proto::Tcp;
        let mut packet = spec.build();
        let l4 = spec.l4();
        match family {
            Family::V4 => packet[2..4].fill(0),
            Family::V6 => packet[4..6].fill(0),
        }
        assert_eq!(parse(&packet, family).unwrap().tuple, spec.tuple());
        assert_eq!(
            parse(&packet[..l4 + 2], family),
            Err(ParseError::Short(l4 + 20))
        );
    }
    // With a jumbo payload option (RFC 2675).
    let mut spec = udp(Family::V6);
    spec.extensions = vec![(0, vec![0, 0xc2, 4, 0, 1, 0, 0])];
    let mut packet = spec.build();
    packet[4..6].fill(0);
    assert_eq!(parse(&packet, Family::V6).unwrap().tuple, spec.tuple());
    // An error is never that long.
    let mut packet = error(&udp(Family::V4), 3, &udp(Family::V4).build());
    packet[2..4].fill(0);
    assert_eq!(parse(&packet, Family::V4), Err(ParseError::Malformed));
}

/// An error about an error cannot be; it is taken as a quoted packet without ports.
#[test]
fn error_about_an_error() {
    let inner = error(&udp(Family::V4), 3, &udp(Family::V4).build());
    let pkt = parse(&error(&udp(Family::V4), 3, &inner), Family::V4).unwrap();
    assert!(matches!(pkt.kind, Kind::Error(quoted) if quoted.ports && quoted.tuple.sport == 0));
}

/// A quote of the other family is refused.
#[test]
fn quote_of_the_other_family() {
    let packet = network(
        &udp(Family::V4),
        1,
        &[&[3, 0, 0, 0, 0, 0, 0, 0], &udp(Family::V6).build()[..]].concat(),
    );
    assert_eq!(parse(&packet, Family::V4), Err(ParseError::Malformed));
}
