// SPDX-License-Identifier: GPL-2.0
//! Rewriting of packets in place, with what the transport checksum then needs.

use crate::addr::{Addr, Family};
use crate::crc;
use crate::csum;
use crate::header::{IPV4_LEN, IPV6_LEN};
use crate::packet::{zero_is_none, Check, Kind, Packet, Quoted, Slots, DCCP, ICMP, SCTP};

/// The new values of a tuple; the addresses have the family of the packet.
///
/// Values that the packet does not carry (ports of a protocol without ports, the zero half of an echo tuple) are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// New source address.
    pub src: Addr,
    /// New destination address.
    pub dst: Addr,
    /// New source port, host byte order.
    pub sport: u16,
    /// New destination port, host byte order.
    pub dport: u16,
}

impl Rewrite {
    #[inline]
    fn is(&self, family: Family) -> bool {
        self.src.family() == family && self.dst.family() == family
    }
}

/// What the caller has to do to the transport checksum: see [`apply`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fix {
    /// It is a one's complement sum.
    Sum {
        /// Offset of the checksum field from the network header.
        at: usize,
        /// Difference of the pseudo-header, new minus old, as the kernel's `__wsum` ([`crate::csum`]).
        pseudo: u32,
        /// Difference of what the segment itself holds, new minus old, likewise.
        plain: u32,
        /// A checksum that comes out as zero must be written as 0xffff (RFC 768).
        mangle_zero: bool,
    },
    /// It is the CRC32c of SCTP: the caller knows how long the packet is, and [`crc::difference`] says the rest.
    Crc {
        /// Offset of the checksum field from the network header.
        at: usize,
        /// Offset of the first octet that it covers. The first four are the ports.
        from: usize,
        /// The ports, old and new by exclusive or.
        changed: [u8; 4],
    },
}

impl Fix {
    /// Octets from the network header to the end of the checksum field.
    #[inline]
    pub const fn end(&self) -> usize {
        match *self {
            Fix::Sum { at, .. } => at.saturating_add(2),
            Fix::Crc { at, .. } => at.saturating_add(4),
        }
    }

    /// This fix, or nothing when it would not change the checksum.
    #[inline]
    fn unless_neutral(self) -> Option<Fix> {
        let neutral = match self {
            Fix::Sum { pseudo, plain, .. } => csum::is_neutral(pseudo) && csum::is_neutral(plain),
            Fix::Crc { changed, .. } => changed == [0; 4],
        };
        (!neutral).then_some(self)
    }
}

/// Octets of a network header that are rewritten.
#[inline]
const fn header_len(family: Family) -> usize {
    match family {
        Family::V4 => IPV4_LEN,
        Family::V6 => IPV6_LEN,
    }
}

/// What is rewritten of a transport header.
#[derive(Clone, Copy)]
struct Layout {
    /// Where the ports are.
    slots: Slots,
    /// The checksum over addresses or ports.
    check: Option<Check>,
}

impl Layout {
    #[inline]
    const fn of(pkt: &Packet) -> Layout {
        let slots = match pkt.kind {
            Kind::Tcp { .. } => {
                return Layout {
                    slots: Slots::Pair,
                    check: Some(Check::Sum(16)),
                }
            }
            Kind::Udp { .. } | Kind::UdpLite => {
                return Layout {
                    slots: Slots::Pair,
                    check: Some(Check::Sum(6)),
                }
            }
            Kind::Echo { request: true } => Slots::Request,
            Kind::Echo { request: false } => Slots::Reply,
            Kind::Other if matches!(pkt.tuple.proto, SCTP | DCCP) => Slots::Pair,
            Kind::Error(_) | Kind::Icmp | Kind::Other => Slots::None,
        };
        Layout {
            slots,
            check: Check::of(pkt.tuple.proto, pkt.family),
        }
    }

    /// Octets from the transport header to the end of ports and checksum.
    #[inline]
    fn len(self) -> usize {
        let ports = slots_len(self.slots);
        match self.check {
            Some(check) => ports.max(check.end()),
            None => ports,
        }
    }

    /// Octets from the network header to the end of what is rewritten, the quote of an error left out.
    #[inline]
    fn span(self, pkt: &Packet) -> usize {
        match self.len() {
            0 => header_len(pkt.family),
            len => pkt.l4.saturating_add(len),
        }
    }
}

/// Octets from the transport header to the end of the ports.
#[inline]
const fn slots_len(slots: Slots) -> usize {
    match slots {
        Slots::None => 0,
        Slots::Pair => 4,
        Slots::Request | Slots::Reply => 6,
    }
}

/// How many octets from the network header must be writable for [`apply`] or, with an ICMP error, [`apply_error`]; the
/// transport checksum is among them.
#[inline]
pub fn span(pkt: &Packet) -> usize {
    let own = Layout::of(pkt).span(pkt);
    match &pkt.kind {
        Kind::Error(quoted) => own.max(quoted_span(quoted, pkt.family)),
        _ => own,
    }
}

fn quoted_span(quoted: &Quoted, family: Family) -> usize {
    let header = quoted.l3.saturating_add(header_len(family));
    let ports = match quoted.slots {
        Slots::None => 0,
        slots => quoted.l4.saturating_add(slots_len(slots)),
    };
    let csum = quoted.csum.map_or(0, |at| at.saturating_add(2));
    let crc = quoted.crc.map_or(0, |crc| crc.at.saturating_add(4));
    header.max(ports).max(csum).max(crc)
}

/// How much a network header changed, new minus old.
struct NetworkDiff {
    /// The addresses.
    addrs: u32,
    /// The whole header: the addresses and, in IPv4, the header checksum.
    header: u32,
}

/// Writes the addresses of the network header at `l3`, and its checksum.
#[inline]
fn write_network(head: &mut [u8], l3: usize, family: Family, to: &Rewrite) -> Option<NetworkDiff> {
    let rest = head.get_mut(l3..)?;
    match family {
        Family::V4 => {
            let header = rest.first_chunk_mut::<IPV4_LEN>()?;
            let (check_field, addrs) = header.get_mut(10..)?.split_first_chunk_mut::<2>()?;
            let (src, addrs) = addrs.split_first_chunk_mut::<4>()?;
            let dst = addrs.first_chunk_mut::<4>()?;
            let old = csum::pair_v4(*src, *dst);
            *src = to.src.low();
            *dst = to.dst.low();
            let addrs = csum::sub(csum::pair_v4(to.src.low(), to.dst.low()), old);
            let old = u16::from_ne_bytes(*check_field);
            let new = csum::replace(old, addrs);
            *check_field = new.to_ne_bytes();
            let check = csum::sub(u32::from(new), u32::from(old));
            Some(NetworkDiff {
                addrs,
                header: csum::add(addrs, check),
            })
        }
        Family::V6 => {
            let header = rest.first_chunk_mut::<IPV6_LEN>()?;
            let (src, addrs) = header.get_mut(8..)?.split_first_chunk_mut::<16>()?;
            let dst = addrs.first_chunk_mut::<16>()?;
            let old = csum::pair_v6(src, dst);
            let (new_src, new_dst) = (to.src.octets(), to.dst.octets());
            *src = new_src;
            *dst = new_dst;
            let addrs = csum::sub(csum::pair_v6(&new_src, &new_dst), old);
            Some(NetworkDiff {
                addrs,
                header: addrs,
            })
        }
    }
}

/// How much the ports of a transport header changed.
struct PortsDiff {
    /// New minus old.
    sum: u32,
    /// Old and new by exclusive or, if they are two ports.
    changed: [u8; 4],
}

/// Writes the ports of the transport header at `l4`.
#[inline]
fn write_ports(head: &mut [u8], l4: usize, slots: Slots, to: &Rewrite) -> Option<PortsDiff> {
    let id = match slots {
        Slots::None => {
            return Some(PortsDiff {
                sum: 0,
                changed: [0; 4],
            })
        }
        Slots::Pair => {
            let ports = head.get_mut(l4..)?.first_chunk_mut::<4>()?;
            let old = u32::from_ne_bytes(*ports);
            let [s0, s1] = to.sport.to_be_bytes();
            let [d0, d1] = to.dport.to_be_bytes();
            *ports = [s0, s1, d0, d1];
            let new = u32::from_ne_bytes(*ports);
            return Some(PortsDiff {
                sum: csum::sub(new, old),
                changed: (old ^ new).to_ne_bytes(),
            });
        }
        Slots::Request => to.sport,
        Slots::Reply => to.dport,
    };
    let [_, _, _, _, field @ ..] = head.get_mut(l4..)?.first_chunk_mut::<6>()?;
    let old = u16::from_ne_bytes(*field);
    *field = id.to_be_bytes();
    Some(PortsDiff {
        sum: csum::sub(u32::from(u16::from_ne_bytes(*field)), u32::from(old)),
        changed: [0; 4],
    })
}

/// Rewrites addresses, ports and the IPv4 header checksum of the packet that `pkt` was parsed from.
///
/// The transport checksum is left to the caller, who knows whether the device will compute it: `pseudo` and `plain` are
/// for `inet_proto_csum_replace_by_diff()` with and without `pseudohdr`; SCTP has a CRC, which covers the ports. Returns `None` when there is nothing to fix: the
/// protocol has no checksum over addresses and ports, the packet has none, or it stays right by itself. Of an ICMP error
/// only the outer addresses are rewritten.
///
/// Nothing is written when `head` is shorter than what is rewritten (at most [`span`]) or an address of `to` is of the
/// other family.
///
/// An IPv6 packet whose transport checksum does not cover the addresses (SCTP, a zero UDP checksum, unknown protocols)
/// sums to another value afterwards, so that `CHECKSUM_COMPLETE` must be given up for it.
#[inline]
pub fn apply(head: &mut [u8], pkt: &Packet, to: &Rewrite) -> Option<Fix> {
    let layout = Layout::of(pkt);
    if head.len() < layout.span(pkt) || !to.is(pkt.family) {
        return None;
    }
    let pseudo = write_network(head, 0, pkt.family, to)?.addrs;
    let ports = write_ports(head, pkt.l4, layout.slots, to)?;
    let at = match layout.check? {
        Check::Sum(offset) => pkt.l4.saturating_add(offset),
        Check::Crc(offset) => {
            let fix = Fix::Crc {
                at: pkt.l4.saturating_add(offset),
                from: pkt.l4,
                changed: ports.changed,
            };
            return fix.unless_neutral();
        }
    };
    let absent = match pkt.kind {
        Kind::Udp { no_csum } => no_csum,
        Kind::UdpLite => head.get(at..)?.first_chunk() == Some(&[0, 0]),
        _ => false,
    };
    if absent {
        return None;
    }
    let proto = pkt.tuple.proto;
    Fix::Sum {
        at,
        pseudo: if covers_addresses(proto) { pseudo } else { 0 },
        plain: ports.sum,
        mangle_zero: zero_is_none(proto),
    }
    .unless_neutral()
}

/// Whether the checksum of a protocol includes the pseudo-header: that of ICMPv4 does not, all others do.
#[inline]
const fn covers_addresses(proto: u8) -> bool {
    proto != ICMP
}

/// Rewrites the ICMP error that `pkt` was parsed from: the outer addresses to those of `outer`, the quoted packet to
/// `inner`, so that the quote is again what its sender sent.
///
/// In the quote the addresses, the IPv4 header checksum and, as far as they are quoted, ports and transport checksum are
/// written. The fix is for the ICMP checksum: `plain` is what changed inside the message, `pseudo` the outer addresses for
/// ICMPv6 and 0 for ICMPv4. Nothing is written when `pkt` is not an error, `head` is shorter than [`span`], or an address
/// is of the other family.
pub fn apply_error(head: &mut [u8], pkt: &Packet, outer: &Rewrite, inner: &Rewrite) -> Option<Fix> {
    let Kind::Error(quoted) = &pkt.kind else {
        return None;
    };
    if head.len() < span(pkt) || !outer.is(pkt.family) || !inner.is(pkt.family) {
        return None;
    }
    let pseudo = write_network(head, 0, pkt.family, outer)?.addrs;
    let net = write_network(head, quoted.l3, pkt.family, inner)?;
    let ports = write_ports(head, quoted.l4, quoted.slots, inner)?;
    let mut plain = csum::add(net.header, ports.sum);
    if let Some(at) = quoted.csum {
        let proto = quoted.tuple.proto;
        let covered = if covers_addresses(proto) {
            csum::add(net.addrs, ports.sum)
        } else {
            ports.sum
        };
        let field = head.get_mut(at..)?.first_chunk_mut::<2>()?;
        let old = u16::from_ne_bytes(*field);
        let new = match csum::replace(old, covered) {
            _ if csum::is_neutral(covered) => old,
            0 if zero_is_none(proto) => 0xffff,
            new => new,
        };
        *field = new.to_ne_bytes();
        plain = csum::add(plain, csum::sub(u32::from(new), u32::from(old)));
    }
    if let Some(crc) = quoted.crc {
        let field = head.get_mut(crc.at..)?.first_chunk_mut::<4>()?;
        let old = u32::from_ne_bytes(*field);
        let difference = crc::difference(ports.changed, crc.octets);
        *field = (u32::from_le_bytes(*field) ^ difference).to_le_bytes();
        plain = csum::add(plain, csum::sub(u32::from_ne_bytes(*field), old));
    }
    let proto = pkt.tuple.proto;
    let Check::Sum(offset) = Check::of(proto, pkt.family)? else {
        return None;
    };
    Fix::Sum {
        at: pkt.l4.saturating_add(offset),
        pseudo: if covers_addresses(proto) { pseudo } else { 0 },
        plain,
        mangle_zero: false,
    }
    .unless_neutral()
}
