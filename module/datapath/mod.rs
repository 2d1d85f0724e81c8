// SPDX-License-Identifier: GPL-2.0

//! The hooks: packet in, verdict out. They read under RCU, never sleep, and allocate nothing for a
//! flow that is known.

mod arrival;
mod error;
mod held;
mod input;
mod output;

pub(crate) use input::input;
pub(crate) use output::output;

use crate::{
    ffi::skb::Skb,
    flow::NoRow,
    netns::Netns, //
};
use ihmp_core::{
    addr::Family,
    packet::{
        parse,
        Packet,
        ParseError,
        Tuple,
        UDP, //
    },
    verdict::Reason,
    xlat::{
        self,
        Rewrite, //
    }, //
};
use kernel::sync::atomic::Relaxed;

/// What becomes of a packet.
pub(crate) enum Verdict {
    /// It goes on.
    Accept,
    /// It is freed; the sender sees no error.
    Drop,
    /// It is freed, and the transport is told that it was not sent.
    Refuse,
    /// It is freed, and the sender gets EHOSTUNREACH.
    Unreachable,
    /// It waits, or is gone already.
    Stolen,
}

fn family(ipv6: bool) -> Family {
    if ipv6 {
        Family::V6
    } else {
        Family::V4
    }
}

/// Parses the headers; makes as much of the packet linear as that takes.
#[inline]
fn parse_skb(netns: &Netns, skb: &mut Skb<'_>, family: Family) -> Option<Packet> {
    // Each round asks for more octets than the last, and ends at the packet's length.
    for _ in 0..8 {
        match parse(skb.head(), family) {
            Ok(packet) => return Some(packet),
            Err(ParseError::Short(need)) if need <= skb.len() as usize => {
                if !skb.pull(need) {
                    break;
                }
            }
            Err(ParseError::Fragment) => return None,
            Err(_) => break,
        }
    }
    netns.refuse(Reason::Malformed);
    None
}

/// Servers and clients of DHCP (RFC 2131) and DHCPv6 (RFC 8415): addresses are what they are about.
const DHCP: [u16; 4] = [67, 68, 546, 547];

/// Whether the packet is the signalling itself, or DHCP.
#[inline]
fn is_signalling(netns: &Netns, tuple: &Tuple) -> bool {
    let port = netns.params.port.load(Relaxed) as u16;
    tuple.proto == UDP
        && (tuple.sport == port
            || tuple.dport == port
            || (DHCP.contains(&tuple.sport) && DHCP.contains(&tuple.dport)))
}

/// Writes the new tuple into the packet; false when it cannot be written.
#[inline]
fn rewrite(skb: &mut Skb<'_>, packet: &Packet, to: &Rewrite) -> bool {
    let span = xlat::span(packet);
    let Some(head) = skb.writable(span) else {
        return false;
    };
    match xlat::apply(head, packet, to) {
        Some(fix) => skb.fix_checksum(&fix, span, packet.family == Family::V6),
        // A device's sum over the whole IPv6 packet no longer fits, if no field made up for it.
        None => skb.forget_checksum(),
    }
    true
}

impl Netns {
    fn drop_for(&self, reason: Reason) -> Verdict {
        self.refuse(reason);
        Verdict::Drop
    }

    fn without_row(&self, why: NoRow) -> Verdict {
        match why {
            NoRow::Pass => Verdict::Accept,
            NoRow::Drop(reason) => self.drop_for(reason),
        }
    }
}
