// SPDX-License-Identifier: GPL-2.0
//! Packets built from their meaning, with checksums by the book: the oracle shares no code with the crate.

#![allow(dead_code, reason = "not every test file uses everything")]

use ihmp_core::addr::{Addr, Family};
use ihmp_core::packet::Tuple;

use crate::prng::Prng;

/// What an IP packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proto {
    Tcp,
    Udp,
    /// The sender made no checksum.
    UdpZero,
    UdpLite,
    /// The checksum covers the header only.
    UdpLiteHeader,
    Dccp,
    Sctp,
    Request,
    Reply,
    /// Timestamp request, or neighbour solicitation.
    OtherIcmp,
    Gre,
    /// ICMP of the other family, which means nothing here.
    Foreign,
}

pub(crate) const PROTOS: [Proto; 12] = [
    Proto::Tcp,
    Proto::Udp,
    Proto::UdpZero,
    Proto::UdpLite,
    Proto::UdpLiteHeader,
    Proto::Dccp,
    Proto::Sctp,
    Proto::Request,
    Proto::Reply,
    Proto::OtherIcmp,
    Proto::Gre,
    Proto::Foreign,
];

/// A packet as its sender means it.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) family: Family,
    pub(crate) proto: Proto,
    pub(crate) src: Addr,
    pub(crate) dst: Addr,
    pub(crate) sport: u16,
    pub(crate) dport: u16,
    /// IPv4 options, a multiple of 4 octets.
    pub(crate) options: Vec<u8>,
    /// IPv6 extension headers: kind, and all octets after the first.
    pub(crate) extensions: Vec<(u8, Vec<u8>)>,
    /// The first of several fragments: IPv4 says so, and the fragment headers of IPv6, if there are any.
    pub(crate) more: bool,
    /// The transport header after ports and checksum, and the payload.
    pub(crate) rest: Vec<u8>,
}

/// The sum of big-endian words, the slow way.
pub(crate) fn sum(octets: &[u8]) -> u64 {
    octets
        .iter()
        .enumerate()
        .map(|(i, &octet)| u64::from(octet) << if i % 2 == 0 { 8 } else { 0 })
        .sum()
}

/// The checksum of octets that have the sum `sum`.
pub(crate) fn checksum(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}

/// CRC32c, octet by octet and bit by bit (RFC 9260 appendix A).
pub(crate) fn crc32c(octets: &[u8]) -> u32 {
    !octets.iter().fold(u32::MAX, |crc, octet| {
        (0..8).fold(crc ^ u32::from(*octet), |crc, _| match crc & 1 {
            0 => crc >> 1,
            _ => (crc >> 1) ^ 0x82f6_3b78,
        })
    })
}

fn pseudo(src: Addr, dst: Addr, proto: u8, len: usize) -> u64 {
    sum(src.wire()) + sum(dst.wire()) + u64::from(proto) + sum(&(len as u32).to_be_bytes())
}

fn put(octets: &mut [u8], at: usize, word: u16) {
    octets[at..at + 2].copy_from_slice(&word.to_be_bytes());
}

impl Spec {
    pub(crate) fn random(prng: &mut Prng, family: Family, proto: Proto) -> Spec {
        let v4 = family == Family::V4;
        let mut extensions = Vec::new();
        if !v4 {
            while prng.one_in(3) && extensions.len() < 4 {
                extensions.push(random_extension(prng));
            }
        }
        let options = if v4 && prng.one_in(4) {
            4 * prng.below(11)
        } else {
            0
        };
        let rest = 32 + prng.below(40);
        Spec {
            family,
            proto,
            src: prng.addr(family),
            dst: prng.addr(family),
            sport: prng.word(),
            dport: prng.word(),
            options: prng.octets(options),
            extensions,
            more: false,
            rest: prng.octets(rest),
        }
    }

    /// Protocol number.
    pub(crate) fn number(&self) -> u8 {
        let (icmp, foreign) = match self.family {
            Family::V4 => (1, 58),
            Family::V6 => (58, 1),
        };
        match self.proto {
            Proto::Tcp => 6,
            Proto::Udp | Proto::UdpZero => 17,
            Proto::UdpLite | Proto::UdpLiteHeader => 136,
            Proto::Dccp => 33,
            Proto::Sctp => 132,
            Proto::Request | Proto::Reply | Proto::OtherIcmp => icmp,
            Proto::Gre => 47,
            Proto::Foreign => foreign,
        }
    }

    /// The tuple that the packet must have.
    pub(crate) fn tuple(&self) -> Tuple {
        let (sport, dport) = match self.proto {
            Proto::Request => (self.sport, 0),
            Proto::Reply => (0, self.dport),
            Proto::OtherIcmp | Proto::Gre | Proto::Foreign => (0, 0),
            _ => (self.sport, self.dport),
        };
        Tuple {
            proto: self.number(),
            src: self.src,
            dst: self.dst,
            sport,
            dport,
        }
    }

    pub(crate) fn l4(&self) -> usize {
        match self.family {
            Family::V4 => 20 + self.options.len(),
            Family::V6 => {
                40 + self
                    .extensions
                    .iter()
                    .map(|(_, octets)| 1 + octets.len())
                    .sum::<usize>()
            }
        }
    }

    /// Where the transport checksum is, if there is a sum over addresses or ports.
    pub(crate) fn checksum_at(&self) -> Option<usize> {
        let offset = match self.proto {
            Proto::Tcp => 16,
            Proto::Udp | Proto::UdpLite | Proto::UdpLiteHeader | Proto::Dccp => 6,
            Proto::Request | Proto::Reply | Proto::OtherIcmp => 2,
            Proto::UdpZero | Proto::Sctp | Proto::Gre | Proto::Foreign => return None,
        };
        Some(self.l4() + offset)
    }

    /// Whether the checksum changes with the addresses.
    pub(crate) fn covers_addresses(&self) -> bool {
        self.checksum_at().is_some() && self.number() != 1
    }

    fn segment(&self) -> Vec<u8> {
        let v4 = self.family == Family::V4;
        let mut segment = Vec::new();
        let ports = |segment: &mut Vec<u8>| {
            segment.extend(self.sport.to_be_bytes());
            segment.extend(self.dport.to_be_bytes());
        };
        let len = 8 + self.rest.len();
        let covered = match self.proto {
            Proto::Tcp => {
                ports(&mut segment);
                segment.extend(&self.rest[..12]);
                segment.extend([0, 0]);
                segment.extend(&self.rest[12..]);
                segment[12] = 0x50;
                segment.len()
            }
            Proto::Udp | Proto::UdpZero | Proto::UdpLite | Proto::UdpLiteHeader => {
                let coverage = if self.proto == Proto::UdpLiteHeader {
                    8
                } else {
                    len
                };
                ports(&mut segment);
                segment.extend((coverage as u16).to_be_bytes());
                segment.extend([0, 0]);
                segment.extend(&self.rest);
                coverage
            }
            Proto::Dccp => {
                ports(&mut segment);
                segment.extend([4, 0, 0, 0]);
                segment.extend(&self.rest);
                segment.len()
            }
            Proto::Sctp => {
                ports(&mut segment);
                segment.extend(&self.rest[..4]);
                segment.extend([0; 4]);
                segment.extend(&self.rest[4..]);
                let crc = crc32c(&segment);
                segment[8..12].copy_from_slice(&crc.to_le_bytes());
                segment.len()
            }
            Proto::Request | Proto::Reply | Proto::OtherIcmp => {
                let (kind, id) = match (self.proto, v4) {
                    (Proto::Request, true) => (8, self.sport),
                    (Proto::Request, false) => (128, self.sport),
                    (Proto::Reply, true) => (0, self.dport),
                    (Proto::Reply, false) => (129, self.dport),
                    (_, true) => (13, 7),
                    (_, false) => (135, 0),
                };
                segment.extend([kind, 0, 0, 0]);
                segment.extend(id.to_be_bytes());
                segment.extend(&self.rest);
                segment.len()
            }
            Proto::Gre | Proto::Foreign => {
                segment.extend(&self.rest);
                segment.len()
            }
        };
        if let Some(at) = self.checksum_at() {
            let pseudo = match self.covers_addresses() {
                true => pseudo(self.src, self.dst, self.number(), segment.len()),
                false => 0,
            };
            let check = match (self.proto, checksum(pseudo + sum(&segment[..covered]))) {
                (Proto::Udp | Proto::UdpLite | Proto::UdpLiteHeader, 0) => 0xffff,
                (_, check) => check,
            };
            put(&mut segment, at - self.l4(), check);
        }
        segment
    }

    /// The packet.
    pub(crate) fn build(&self) -> Vec<u8> {
        network(self, self.number(), &self.segment())
    }
}

/// Destination options, hop-by-hop options, a routing header at its end, or an atomic fragment.
fn random_extension(prng: &mut Prng) -> (u8, Vec<u8>) {
    let units = prng.below(4);
    let kind = prng.pick(&[0, 43, 44, 60]);
    let mut octets = prng.octets(7 + if kind == 44 { 0 } else { 8 * units });
    match kind {
        44 => octets[1..3].fill(0),
        43 => {
            octets[0] = units as u8;
            octets[2] = 0;
        }
        _ => octets[0] = units as u8,
    }
    (kind, octets)
}

/// Puts the network headers of `spec` before a segment.
pub(crate) fn network(spec: &Spec, proto: u8, segment: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    match spec.family {
        Family::V4 => {
            let len = 20 + spec.options.len();
            packet.push(0x40 | (len / 4) as u8);
            packet.push(0);
            packet.extend(((len + segment.len()) as u16).to_be_bytes());
            packet.extend([
                0x12,
                0x34,
                if spec.more { 0x20 } else { 0x40 },
                0,
                64,
                proto,
                0,
                0,
            ]);
            packet.extend(spec.src.wire());
            packet.extend(spec.dst.wire());
            packet.extend(&spec.options);
            let check = checksum(sum(&packet));
            put(&mut packet, 10, check);
        }
        Family::V6 => {
            let mut chain = Vec::new();
            let mut kinds: Vec<u8> = spec.extensions.iter().map(|(kind, _)| *kind).collect();
            kinds.push(proto);
            for ((kind, octets), next) in spec.extensions.iter().zip(&kinds[1..]) {
                chain.push(*next);
                chain.extend(octets);
                if *kind == 44 && spec.more {
                    let at = chain.len() - octets.len() + 2;
                    chain[at] |= 1;
                }
            }
            packet.extend([0x60, 0, 0, 0]);
            packet.extend(((chain.len() + segment.len()) as u16).to_be_bytes());
            packet.extend([kinds[0], 64]);
            packet.extend(spec.src.wire());
            packet.extend(spec.dst.wire());
            packet.extend(chain);
        }
    }
    packet.extend(segment);
    packet
}

/// Writes the length of the packet into its network header, and the IPv4 header checksum.
pub(crate) fn set_len(packet: &mut [u8], family: Family) {
    match family {
        Family::V4 => {
            let header = usize::from(packet[0] & 15) * 4;
            put(packet, 2, packet.len() as u16);
            put(packet, 10, 0);
            let check = checksum(sum(&packet[..header]));
            put(packet, 10, check);
        }
        Family::V6 => put(packet, 4, (packet.len() - 40) as u16),
    }
}

/// An ICMP error from `outer.src` to `outer.dst` that quotes `quote`; `outer` gives the network headers.
pub(crate) fn error(outer: &Spec, kind: u8, quote: &[u8]) -> Vec<u8> {
    let mut segment = vec![kind, 0, 0, 0, 0, 0, 0, 0];
    segment.extend(quote);
    let (proto, pseudo) = match outer.family {
        Family::V4 => (1, 0),
        Family::V6 => (58, pseudo(outer.src, outer.dst, 58, segment.len())),
    };
    let check = checksum(pseudo + sum(&segment));
    put(&mut segment, 2, check);
    network(outer, proto, &segment)
}

/// ICMP error types.
pub(crate) fn error_kinds(family: Family) -> &'static [u8] {
    match family {
        Family::V4 => &[3, 11, 12],
        Family::V6 => &[1, 2, 3, 4],
    }
}
