// SPDX-License-Identifier: GPL-2.0
//! A socket filter that lets events of connections to some addresses through.

use std::net::IpAddr;

use ihmp_netlink::{
    Code,
    Program, //
};

use crate::rtnetlink::family_of;

/// Most destinations that a filter checks; with more of them it lets everything through.
pub(super) const MOST: usize = 64;
/// Where an event has its family, and where the destination of its first tuple, which is that of the original direction:
/// header, nfgenmsg, and the headers of CTA_TUPLE_ORIG, CTA_TUPLE_IP and of the addresses.
const FAMILY_AT: u32 = 16;
const V4_AT: u32 = 16 + 4 + 4 + 4 + 8 + 4;
const V6_AT: u32 = 16 + 4 + 4 + 4 + 20 + 4;

/// Lets events through of connections to these addresses; all of them when these are too many.
pub(super) fn program(destinations: &[IpAddr]) -> Program {
    let mut code = Code::default();
    if destinations.len() > MOST {
        code.pass();
        return code.program();
    }
    for destination in destinations {
        let (at, octets) = match destination {
            IpAddr::V4(addr) => (V4_AT, addr.octets().to_vec()),
            IpAddr::V6(addr) => (V6_AT, addr.octets().to_vec()),
        };
        let words = octets.chunks_exact(4).zip((at..).step_by(4));
        // If something differs, the rest of this destination's instructions is skipped, up to its `pass`.
        let mut left = u8::try_from(octets.len() / 2 + 1).unwrap_or(u8::MAX);
        code.octet(FAMILY_AT);
        code.if_equal(family_of(*destination).into(), 0, left);
        for (word, offset) in words {
            left -= 2;
            let word = word
                .iter()
                .fold(0, |word, octet| (word << 8) | u32::from(*octet));
            code.word(offset);
            code.if_equal(word, 0, left);
        }
        code.pass();
    }
    code.discard();
    code.program()
}
