// SPDX-License-Identifier: GPL-2.0
//! Packets as the hooks see them: from the network header to the ports (RFC 791, RFC 8200).

use crate::addr::{Addr, Family};
use crate::header::{be, need, take, walk, Network, Stop, Upper};

/// ICMP for IPv4, RFC 792.
pub const ICMP: u8 = 1;
/// TCP, RFC 9293.
pub const TCP: u8 = 6;
/// UDP, RFC 768.
pub const UDP: u8 = 17;
/// DCCP, RFC 4340.
pub const DCCP: u8 = 33;
/// ICMP for IPv6, RFC 4443.
pub const ICMPV6: u8 = 58;
/// SCTP, RFC 9260.
pub const SCTP: u8 = 132;
/// UDP-Lite, RFC 3828.
pub const UDP_LITE: u8 = 136;

/// Why a packet was not parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// The linear part ends too early: make this many octets linear and parse again, it may then ask for more. Never
    /// more than the packet has by its own length field.
    Short(usize),
    /// The headers contradict themselves, or are of a kind that must not be translated.
    Malformed,
    /// One of several fragments. Only the first has a transport header; all of them are to go the same way.
    Fragment,
}

/// Who talks to whom: the values that name a flow. Ports are in host byte order.
///
/// Protocols with ports are TCP, UDP, UDP-Lite, SCTP and DCCP. An ICMP echo request has its identifier as `sport`, a
/// reply as `dport`, so that both directions of one exchange are mirror images. All others have ports 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tuple {
    /// Upper-layer protocol, after the extension headers of IPv6.
    pub proto: u8,
    /// Source address of the network header.
    pub src: Addr,
    /// Destination address of the network header.
    pub dst: Addr,
    /// Source port, or identifier of an echo request.
    pub sport: u16,
    /// Destination port, or identifier of an echo reply.
    pub dport: u16,
}

impl Tuple {
    /// The tuple of a packet that answers one with this tuple.
    #[inline]
    pub const fn mirror(&self) -> Tuple {
        Tuple {
            proto: self.proto,
            src: self.dst,
            dst: self.src,
            sport: self.dport,
            dport: self.sport,
        }
    }
}

/// Where the ports of a tuple are in the packet, counted from the transport header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slots {
    /// Nowhere.
    None,
    /// Source port at 0, destination port at 2.
    Pair,
    /// The identifier at 4 is the source port (echo request).
    Request,
    /// The identifier at 4 is the destination port (echo reply).
    Reply,
}

/// The CRC32c of a quoted SCTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crc {
    /// Offset of the field from the outer network header.
    pub at: usize,
    /// Octets that it covers, from the quoted transport header to the end of the packet that is quoted.
    pub octets: usize,
}

/// The packet quoted by an ICMP error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// Offset of the quoted network header from the outer one.
    pub l3: usize,
    /// Offset of the quoted transport header from the outer network header; the quote may end before it.
    pub l4: usize,
    /// The tuple as quoted: `src` is the host the error is for.
    pub tuple: Tuple,
    /// Whether the tuple is whole: the ports were quoted, or the protocol has none.
    pub ports: bool,
    /// Offset of the quoted transport checksum from the outer network header, if it was quoted and is in use.
    pub csum: Option<usize>,
    /// The checksum of SCTP, if it was quoted and the packet says how long it was.
    pub crc: Option<Crc>,
    /// Where the quoted ports are.
    pub slots: Slots,
}

/// What kind of packet it is, as far as translation must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// TCP.
    Tcp {
        /// The octet of control bits, CWR to FIN (RFC 9293 section 3.1).
        flags: u8,
    },
    /// UDP.
    Udp {
        /// The checksum field is zero: the sender made none.
        no_csum: bool,
    },
    /// UDP-Lite.
    UdpLite,
    /// ICMP or ICMPv6 echo.
    Echo {
        /// A request rather than a reply.
        request: bool,
    },
    /// An ICMP or ICMPv6 error with the packet that it quotes.
    Error(Quoted),
    /// Any other ICMP or ICMPv6 message, neighbour discovery among them.
    Icmp,
    /// Any other protocol, with or without ports.
    Other,
}

/// Control bit RST of [`Kind::Tcp`].
pub const TCP_RST: u8 = 0x04;
/// Control bit SYN of [`Kind::Tcp`].
pub const TCP_SYN: u8 = 0x02;
/// Control bit FIN of [`Kind::Tcp`].
pub const TCP_FIN: u8 = 0x01;
/// Control bit ACK of [`Kind::Tcp`].
pub const TCP_ACK: u8 = 0x10;

/// A parsed packet. Offsets count from the network header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Family of the network header.
    pub family: Family,
    /// Offset of the transport header.
    pub l4: usize,
    /// Who talks to whom.
    pub tuple: Tuple,
    /// What kind of packet it is.
    pub kind: Kind,
}

/// Octets of an ICMP message before the quoted packet (RFC 792, RFC 4443 section 3).
const ICMP_LEN: usize = 8;

/// Octets of a quote that are asked for at once: any usual headers with options, and the least that an extended
/// message quotes (RFC 4884 section 3).
const QUOTE_LEN: usize = 128;

/// Parses the packet whose first octets are `head`, starting at the network header; `head` may be only the linear part.
///
/// # Errors
///
/// [`ParseError::Short`] when more octets have to be made linear. [`ParseError::Malformed`] also for packets that could
/// be parsed but not be translated right: IPv6 with segments left in a routing header, or with IPv4-mapped addresses.
#[inline]
pub fn parse(head: &[u8], family: Family) -> Result<Packet, ParseError> {
    let (net, proto, l4, end) = match family {
        Family::V4 => {
            let net = Network::v4(need(head, 0, usize::MAX)?)?;
            let end = net.total.unwrap_or(usize::MAX);
            if end < net.len {
                return Err(ParseError::Malformed);
            }
            if net.fragment || net.more {
                return Err(ParseError::Fragment);
            }
            let (proto, l4) = (net.proto, net.len);
            (net, proto, l4, end)
        }
        Family::V6 => {
            let net = Network::v6(need(head, 0, usize::MAX)?)?;
            let end = net.total.unwrap_or(usize::MAX);
            let upper = walk(head, net.proto, net.len, end).map_err(|stop| match stop {
                Stop::Short(octets) => ParseError::Short(octets),
                Stop::Fragment { .. } => ParseError::Fragment,
                Stop::Cut { .. } | Stop::Refused => ParseError::Malformed,
            })?;
            if upper.more {
                return Err(ParseError::Fragment);
            }
            (net, upper.proto, upper.at, end)
        }
    };
    let (sport, dport, kind) = match (proto, family) {
        (TCP, _) => {
            let [s0, s1, d0, d1, _, _, _, _, _, _, _, _, _, flags, ..] =
                *need::<20>(head, l4, end)?;
            (be(s0, s1), be(d0, d1), Kind::Tcp { flags })
        }
        (UDP, _) => {
            let [s0, s1, d0, d1, _, _, c0, c1] = *need(head, l4, end)?;
            (
                be(s0, s1),
                be(d0, d1),
                Kind::Udp {
                    no_csum: be(c0, c1) == 0,
                },
            )
        }
        (UDP_LITE, _) => {
            let [s0, s1, d0, d1, _, _, _, _] = *need(head, l4, end)?;
            (be(s0, s1), be(d0, d1), Kind::UdpLite)
        }
        (SCTP | DCCP, _) => {
            let [s0, s1, d0, d1, ..] = *need::<12>(head, l4, end)?;
            (be(s0, s1), be(d0, d1), Kind::Other)
        }
        (ICMP, Family::V4) | (ICMPV6, Family::V6) => {
            let icmp = need::<ICMP_LEN>(head, l4, end)?;
            let [kind, _, _, _, i0, i1, ..] = *icmp;
            match Message::of(family, kind) {
                Message::Request => (be(i0, i1), 0, Kind::Echo { request: true }),
                Message::Reply => (0, be(i0, i1), Kind::Echo { request: false }),
                Message::Error => (0, 0, Kind::Error(quoted(head, family, l4, end, icmp)?)),
                Message::Other => (0, 0, Kind::Icmp),
            }
        }
        _ => (0, 0, Kind::Other),
    };
    let tuple = Tuple {
        proto,
        src: net.src,
        dst: net.dst,
        sport,
        dport,
    };
    Ok(Packet {
        family,
        l4,
        tuple,
        kind,
    })
}

/// ICMP messages, as far as they differ for translation.
enum Message {
    Request,
    Reply,
    Error,
    Other,
}

impl Message {
    #[inline]
    const fn of(family: Family, kind: u8) -> Message {
        match (family, kind) {
            (Family::V4, 8) | (Family::V6, 128) => Message::Request,
            (Family::V4, 0) | (Family::V6, 129) => Message::Reply,
            // Destination unreachable, time exceeded, parameter problem; and packet too big.
            (Family::V4, 3 | 11 | 12) | (Family::V6, 1..=4) => Message::Error,
            _ => Message::Other,
        }
    }
}

/// Parses what an ICMP error at `icmp_at`, whose first octets are `icmp`, quotes. The quote may end anywhere after the
/// fixed part of its network header; only then is it told apart from a linear part that is too short.
fn quoted(
    head: &[u8],
    family: Family,
    icmp_at: usize,
    end: usize,
    icmp: &[u8; ICMP_LEN],
) -> Result<Quoted, ParseError> {
    // Without a length of the packet the end of the quote is unknown.
    if end == usize::MAX {
        return Err(ParseError::Malformed);
    }
    let l3 = icmp_at.saturating_add(ICMP_LEN);
    // Extended messages have other objects after the quote (RFC 4884 sections 4 and 5); less than 128 octets is not the
    // length of a quote, but something from before that RFC.
    let [kind, _, _, _, length_v6, length_v4, _, _] = *icmp;
    let length = match (family, kind) {
        (Family::V4, _) => usize::from(length_v4).saturating_mul(4),
        (Family::V6, 1 | 3) => usize::from(length_v6).saturating_mul(8),
        (Family::V6, _) => 0,
    };
    let end = if length >= QUOTE_LEN {
        end.min(l3.saturating_add(length))
    } else {
        end
    };
    let wanted = end.min(l3.saturating_add(QUOTE_LEN));
    if head.len() < wanted {
        return Err(ParseError::Short(wanted));
    }

    let net = match family {
        Family::V4 => Network::v4(need(head, l3, end)?)?,
        Family::V6 => Network::v6(need(head, l3, end)?)?,
    };
    // What follows the quoted packet is padding. A length that cannot be is not believed.
    let total = net.total.filter(|total| *total >= net.len);
    let sent = total.map(|total| l3.saturating_add(total));
    let end = sent.map_or(end, |sent| end.min(sent));
    let at = l3.saturating_add(net.len);
    let (proto, l4, whole, more) = match family {
        Family::V4 => (net.proto, at, !net.fragment && at <= end, net.more),
        Family::V6 => match walk(head, net.proto, at, end) {
            Ok(Upper { proto, at, more }) => (proto, at, true, more),
            Err(Stop::Short(octets)) => return Err(ParseError::Short(octets)),
            Err(Stop::Cut { proto, at } | Stop::Fragment { proto, at }) => {
                (proto, at, false, false)
            }
            Err(Stop::Refused) => return Err(ParseError::Malformed),
        },
    };
    let mut quoted = Quoted {
        l3,
        l4,
        tuple: Tuple {
            proto,
            src: net.src,
            dst: net.dst,
            sport: 0,
            dport: 0,
        },
        ports: false,
        csum: None,
        crc: None,
        slots: Slots::None,
    };
    if whole {
        // The CRC of a datagram that was cut covers more than the fragment.
        let octets = sent.filter(|_| !more).and_then(|sent| sent.checked_sub(l4));
        quoted
            .read_transport(head, family, end, octets)
            .map_err(ParseError::Short)?;
    }
    Ok(quoted)
}

impl Quoted {
    /// Reads the ports and finds the checksum, as far as they are quoted before `end`. The packet had that many octets from
    /// its transport header on, if that is known.
    fn read_transport(
        &mut self,
        head: &[u8],
        family: Family,
        end: usize,
        octets: Option<usize>,
    ) -> Result<(), usize> {
        let l4 = self.l4;
        self.slots = match (self.tuple.proto, family) {
            (TCP | UDP | UDP_LITE | SCTP | DCCP, _) => Slots::Pair,
            (ICMP, Family::V4) | (ICMPV6, Family::V6) => match take(head, l4, end)? {
                Some(&[kind]) => match Message::of(family, kind) {
                    Message::Request => Slots::Request,
                    Message::Reply => Slots::Reply,
                    Message::Error | Message::Other => Slots::None,
                },
                None => return Ok(()),
            },
            _ => Slots::None,
        };
        let ports = match self.slots {
            Slots::None => Some((0, 0)),
            Slots::Pair => take(head, l4, end)?.map(|&[s0, s1, d0, d1]| (be(s0, s1), be(d0, d1))),
            Slots::Request => take(head, l4, end)?.map(|&[_, _, _, _, i0, i1]| (be(i0, i1), 0)),
            Slots::Reply => take(head, l4, end)?.map(|&[_, _, _, _, i0, i1]| (0, be(i0, i1))),
        };
        match ports {
            Some((sport, dport)) => {
                self.tuple.sport = sport;
                self.tuple.dport = dport;
                self.ports = true;
            }
            None => self.slots = Slots::None,
        }
        match Check::of(self.tuple.proto, family) {
            Some(Check::Sum(offset)) => {
                let at = l4.saturating_add(offset);
                self.csum = match take(head, at, end)? {
                    Some([0, 0]) if zero_is_none(self.tuple.proto) => None,
                    Some(_) => Some(at),
                    None => None,
                };
            }
            Some(Check::Crc(offset)) => {
                let at = l4.saturating_add(offset);
                let quoted = take::<4>(head, at, end)?;
                self.crc = quoted.and(octets).map(|octets| Crc { at, octets });
            }
            None => (),
        }
        Ok(())
    }
}

/// The checksum that changes with addresses or ports, by its place in the transport header.
#[derive(Clone, Copy)]
pub(crate) enum Check {
    /// A one's complement sum of two octets.
    Sum(usize),
    /// A CRC32c of four octets, over the ports but not over addresses (RFC 9260 section 6.8).
    Crc(usize),
}

impl Check {
    /// That of a protocol. DCCP's covers part of the data only, if told so, but always the pseudo-header and the header (RFC 4340
    /// section 9.2); so does that of UDP-Lite.
    #[inline]
    pub(crate) const fn of(proto: u8, family: Family) -> Option<Check> {
        match (proto, family) {
            (TCP, _) => Some(Check::Sum(16)),
            (UDP | UDP_LITE | DCCP, _) => Some(Check::Sum(6)),
            (ICMP, Family::V4) | (ICMPV6, Family::V6) => Some(Check::Sum(2)),
            (SCTP, _) => Some(Check::Crc(8)),
            _ => None,
        }
    }

    /// Octets from the transport header to the end of the field.
    #[inline]
    pub(crate) const fn end(self) -> usize {
        match self {
            Check::Sum(offset) => offset.saturating_add(2),
            Check::Crc(offset) => offset.saturating_add(4),
        }
    }
}

/// Whether a checksum of zero means that there is none, so that one that comes out as zero is written as 0xffff
/// (RFC 768; for UDP-Lite, RFC 3828 section 3.1, zero is not a checksum either).
#[inline]
pub(crate) const fn zero_is_none(proto: u8) -> bool {
    matches!(proto, UDP | UDP_LITE)
}
