// SPDX-License-Identifier: GPL-2.0
//! The words for addresses of a host.

use ihmp_nl::{
    AddrSet,
    HostAddr, //
};

use crate::words::{
    Result,
    Words, //
};

/// The words for the sets of addresses.
pub(super) const SETS: &[(&str, AddrSet)] = &[
    ("remote", AddrSet::Active),
    ("active", AddrSet::Active),
    ("local", AddrSet::Local),
    ("unreachable", AddrSet::Unreachable),
    ("alias", AddrSet::Alias),
];

/// Reads an address and its properties, which follow the word for a set: `ADDR [preference N] [unvalidated] [nat] [left] [device NAME]`
pub(super) fn address(set: AddrSet, words: &mut Words<'_>) -> Result<HostAddr> {
    let mut addr = HostAddr::new(set, words.addr("an address")?);
    loop {
        if words.keyword("preference") {
            addr.preference = words.parse("a preference from 0 to 65535")?;
        } else if words.peek() == Some("nat") {
            // Not shortened: a name may follow.
            words.take();
            addr.nat = true;
        } else if words.peek() == Some("left") {
            // Not shortened either: a local address may follow.
            words.take();
            addr.left = true;
        } else if words.peek() == Some("unvalidated") {
            // Nor is this: the set "unreachable" may follow.
            words.take();
            addr.unvalidated = true;
        } else if words.keyword("device") {
            addr.device = Some(words.device()?);
        } else {
            return Ok(addr);
        }
    }
}
