// SPDX-License-Identifier: GPL-2.0
//! Protocols over IP, by name or number.

use crate::words::{
    Result,
    Usage, //
};

/// Protocols that have a name here.
const PROTOCOLS: &[(&str, u8)] = &[
    ("icmp", 1),
    ("tcp", 6),
    ("udp", 17),
    ("dccp", 33),
    ("icmpv6", 58),
    ("sctp", 132),
    ("udplite", 136), //
];

/// The name of a protocol, if it has one here.
pub(crate) fn name(number: u8) -> Option<&'static str> {
    PROTOCOLS
        .iter()
        .find(|(_, other)| *other == number)
        .map(|(name, _)| *name)
}

/// The number of a protocol, of which the word is the name or the number; names are not shortened.
pub(crate) fn number(word: &str) -> Result<u8> {
    let named = PROTOCOLS
        .iter()
        .find(|(name, _)| *name == word)
        .map(|(_, number)| *number);
    named
        .or_else(|| word.parse().ok())
        .ok_or_else(|| Usage(format!("\"{word}\" is not a protocol")))
}
