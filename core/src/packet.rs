// SPDX-License-Identifier: GPL-2.0
//! Packets as the hooks see them: from the network header to the ports (RFC 791, RFC 8200).

use crate::addr::{Addr, Family};

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

/// Octets of an IPv4 header without options.
pub const IPV4_LEN: usize = 20;
/// Octets of an IPv6 header.
pub const IPV6_LEN: usize = 40;

/// Why a packet was not parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// The linear part ends too early: make this many octets linear and parse again, it may then ask for more. Never
    /// more than the packet has by its own length field.
    Short(usize),
    /// The headers contradict themselves, or are of a kind that must not be translated.
    Malformed,
    /// A fragment other than the first: it has no transport header.
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

/// Parses the packet whose first octets are `head`, starting at the network header; `head` may be only the linear part.
pub fn parse(head: &[u8], family: Family) -> Result<Packet, ParseError> {
    let _ = (head, family);
    Err(ParseError::Malformed)
}
