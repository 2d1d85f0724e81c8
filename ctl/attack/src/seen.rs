// SPDX-License-Identifier: GPL-2.0
//! What attacker.py has seen on the link: a line a message, SRC DST OCTETS.

use std::fs;
use std::path::Path;

use anyhow::Context;
use ihmp_core::addr::Addr;
use ihmp_core::message::Message;

/// A message that passed.
pub(crate) struct Seen {
    pub(crate) from: Addr,
    pub(crate) to: Addr,
    pub(crate) octets: Vec<u8>,
}

impl Seen {
    fn parse(line: &str) -> Option<Seen> {
        let mut words = line.split_whitespace();
        let (from, to) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let digits = words.next()?.as_bytes();
        let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let octets: Option<Vec<u8>> = digits.chunks(2).map(octet).collect();
        Some(Seen {
            from,
            to,
            octets: octets?,
        })
    }

    /// The message that it is, if it is one.
    pub(crate) fn message(&self) -> Option<Message<'_>> {
        Message::parse(&self.octets).ok()
    }
}

/// All that was seen.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Seen>> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let lines = text.lines().map(Seen::parse);
    let seen: Option<Vec<Seen>> = lines.collect();
    seen.with_context(|| format!("{}: a line is not understood", path.display()))
}
