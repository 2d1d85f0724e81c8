// SPDX-License-Identifier: GPL-2.0
//! Network headers and the extension headers behind them (RFC 791, RFC 8200).

use crate::addr::Addr;
use crate::packet::ParseError;

/// Octets of an IPv4 header without options.
pub(crate) const IPV4_LEN: usize = 20;
/// Octets of an IPv6 header.
pub(crate) const IPV6_LEN: usize = 40;

/// IPv6 hop-by-hop options, RFC 8200 section 4.3.
const HOP_BY_HOP: u8 = 0;
/// IPv6 routing header, RFC 8200 section 4.4.
const ROUTING: u8 = 43;
/// IPv6 fragment header, RFC 8200 section 4.5.
const FRAGMENT: u8 = 44;
/// IPv6 destination options, RFC 8200 section 4.6.
const DEST_OPTIONS: u8 = 60;

/// Most extension headers of a packet: RFC 8200 section 4.1 has no more than five of these kinds.
const MAX_EXTENSIONS: usize = 8;

/// The upper-layer header of an IPv6 packet.
pub(crate) struct Upper {
    pub(crate) proto: u8,
    pub(crate) at: usize,
    /// The packet is the first of several fragments.
    pub(crate) more: bool,
}

/// What ends the walk over extension headers early.
pub(crate) enum Stop {
    /// The linear part ends; make this many octets linear.
    Short(usize),
    /// The packet ends before the header `proto`.
    Cut { proto: u8, at: usize },
    /// A fragment that is not the first; `proto` is what its fragment header names.
    Fragment { proto: u8, at: usize },
    /// Too many headers, or the address in the pseudo-header is not that of the IPv6 header.
    Refused,
}

/// The two octets of a field in network order.
#[inline]
pub(crate) const fn be(high: u8, low: u8) -> u16 {
    u16::from_be_bytes([high, low])
}

/// The `N` octets at `at`; `None` when the packet ends at `end` before they do.
#[inline]
pub(crate) fn take<const N: usize>(
    head: &[u8],
    at: usize,
    end: usize,
) -> Result<Option<&[u8; N]>, usize> {
    let stop = at.saturating_add(N);
    if stop > end {
        return Ok(None);
    }
    match head.get(at..).and_then(|rest| rest.first_chunk()) {
        Some(octets) => Ok(Some(octets)),
        None => Err(stop),
    }
}

/// The `N` octets at `at` of a packet that must have them.
#[inline]
pub(crate) fn need<const N: usize>(
    head: &[u8],
    at: usize,
    end: usize,
) -> Result<&[u8; N], ParseError> {
    match take(head, at, end) {
        Ok(Some(octets)) => Ok(octets),
        Ok(None) => Err(ParseError::Malformed),
        Err(stop) => Err(ParseError::Short(stop)),
    }
}

/// Walks the extension headers from `at`, where the first is of kind `proto`, to the upper-layer header.
///
/// An authentication header ends the walk like ESP does: what it protects includes the addresses, so the packet is not
/// one of a flow before IPsec has taken the header off.
#[inline]
pub(crate) fn walk(head: &[u8], mut proto: u8, mut at: usize, end: usize) -> Result<Upper, Stop> {
    let mut more = false;
    for _ in 0..MAX_EXTENSIONS {
        if !matches!(proto, HOP_BY_HOP | ROUTING | FRAGMENT | DEST_OPTIONS) {
            return Ok(Upper { proto, at, more });
        }
        let [next, len, high, low] = match take::<4>(head, at, end) {
            Ok(Some(octets)) => *octets,
            Ok(None) => return Err(Stop::Cut { proto, at }),
            Err(stop) => return Err(Stop::Short(stop)),
        };
        let len = match proto {
            FRAGMENT => 0,
            _ => usize::from(len),
        };
        let after = at.saturating_add(len.saturating_add(1).saturating_mul(8));
        if after > end {
            return Err(Stop::Cut { proto, at });
        }
        match proto {
            FRAGMENT if be(high, low) & 0xfff8 != 0 => {
                return Err(Stop::Fragment {
                    proto: next,
                    at: after,
                });
            }
            FRAGMENT => more |= low & 1 != 0,
            // Segments left: the pseudo-header has the final destination instead (RFC 8200 section 8.1).
            ROUTING if low != 0 => return Err(Stop::Refused),
            _ => {}
        }
        proto = next;
        at = after;
    }
    Err(Stop::Refused)
}

/// What is read of a network header.
pub(crate) struct Network {
    pub(crate) src: Addr,
    pub(crate) dst: Addr,
    /// Protocol, or kind of the first extension header.
    pub(crate) proto: u8,
    /// Octets of the header, IPv4 options included.
    pub(crate) len: usize,
    /// Octets of the packet by its own length field, if it has one.
    pub(crate) total: Option<usize>,
    /// A fragment that is not the first, by the IPv4 header.
    pub(crate) fragment: bool,
    /// A fragment that is not the last, by the IPv4 header.
    pub(crate) more: bool,
}

/// The `N` octets at a place that is known to be inside; zeros if it is not.
#[inline]
fn field<const N: usize>(octets: &[u8], at: usize) -> [u8; N] {
    match octets.get(at..).and_then(|rest| rest.first_chunk()) {
        Some(field) => *field,
        None => [0; N],
    }
}

impl Network {
    #[inline]
    pub(crate) fn v4(octets: &[u8; IPV4_LEN]) -> Result<Network, ParseError> {
        let [first] = field(octets, 0);
        let len = usize::from(first & 0x0f).saturating_mul(4);
        if first >> 4 != 4 || len < IPV4_LEN {
            return Err(ParseError::Malformed);
        }
        let [proto] = field(octets, 9);
        let place = u16::from_be_bytes(field(octets, 6));
        Ok(Network {
            src: Addr::v4(field(octets, 12)),
            dst: Addr::v4(field(octets, 16)),
            proto,
            len,
            // Zero stands for more than 65535 octets, in a segment that was not cut yet.
            total: match u16::from_be_bytes(field(octets, 2)) {
                0 => None,
                total => Some(usize::from(total)),
            },
            fragment: place & 0x1fff != 0,
            more: place & 0x2000 != 0,
        })
    }

    #[inline]
    pub(crate) fn v6(octets: &[u8; IPV6_LEN]) -> Result<Network, ParseError> {
        let [first] = field(octets, 0);
        let src = Addr::v6(field(octets, 8));
        let dst = Addr::v6(field(octets, 24));
        // IPv4-mapped addresses do not belong on the wire, and would be taken for IPv4 here.
        if first >> 4 != 6 || src.is_v4() || dst.is_v4() {
            return Err(ParseError::Malformed);
        }
        let [proto] = field(octets, 6);
        Ok(Network {
            src,
            dst,
            proto,
            len: IPV6_LEN,
            // Zero stands for more than 65535 octets, with a jumbo payload option or in a segment that was not cut yet.
            total: match u16::from_be_bytes(field(octets, 4)) {
                0 => None,
                payload => Some(usize::from(payload).saturating_add(IPV6_LEN)),
            },
            fragment: false,
            more: false,
        })
    }
}
