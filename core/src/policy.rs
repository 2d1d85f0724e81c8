// SPDX-License-Identifier: GPL-2.0
//! Discovery policy: what is done for addresses that are not known, by prefix.

use core::fmt;
use core::str::FromStr;

use crate::addr::{Addr, Family};

/// What happens on the first packet of a flow to an unknown address; numbers as `policy-action` of the contract.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// A host entry and a discovery event are made, if this machine opened the flow.
    #[default]
    Auto = 0,
    /// Only hosts that are configured or that signalled first take part.
    Known = 1,
    /// No host is ever made for the prefix, and none may use it.
    Never = 2,
    /// As [`Action::Auto`], and a TCP connection whoever opened it.
    AutoIn = 3,
}

impl Action {
    /// The action with this number.
    #[inline]
    pub const fn from_number(number: u32) -> Option<Action> {
        match number {
            0 => Some(Action::Auto),
            1 => Some(Action::Known),
            2 => Some(Action::Never),
            3 => Some(Action::AutoIn),
            _ => None,
        }
    }
}

/// Why something is not a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrefixError {
    /// Not of the form `address/length`.
    Syntax,
    /// Longer than 32 (IPv4) or 128 (IPv6) bits.
    TooLong,
    /// Bits after the prefix are not zero.
    HostBits,
}

impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PrefixError::Syntax => "not a prefix",
            PrefixError::TooLong => "prefix too long",
            PrefixError::HostBits => "bits after the prefix are not zero",
        })
    }
}

impl core::error::Error for PrefixError {}

/// An address prefix; `len` counts bits of the family's own address, 0 to 32 or 0 to 128.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    /// First address of the prefix.
    pub addr: Addr,
    /// Length in bits.
    pub len: u8,
}

/// The halves of an address that is shifted left so that it has only the bits after the first `len`.
#[inline]
fn host_bits(high: u64, low: u64, len: u32) -> (u64, u64) {
    match len.checked_sub(64) {
        // The whole of `high` belongs to the prefix.
        Some(len) => (0, low.checked_shl(len).unwrap_or(0)),
        None => (high.checked_shl(len).unwrap_or(0), low),
    }
}

/// Whether all bits up to the first `len` are zero.
#[inline]
fn prefix_is_zero(high: u64, low: u64, len: u32) -> bool {
    match len.checked_sub(64) {
        Some(len) => high == 0 && low.checked_shr(64_u32.saturating_sub(len)).unwrap_or(0) == 0,
        None => high.checked_shr(64_u32.saturating_sub(len)).unwrap_or(0) == 0,
    }
}

#[inline]
fn halves(addr: Addr) -> (u64, u64) {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = addr.octets();
    (
        u64::from_be_bytes([a, b, c, d, e, f, g, h]),
        u64::from_be_bytes([i, j, k, l, m, n, o, p]),
    )
}

impl Prefix {
    /// The prefix of `len` bits that begins with `addr`.
    pub fn new(addr: Addr, len: u8) -> Result<Prefix, PrefixError> {
        let prefix = Prefix { addr, len };
        if len > prefix.max_len() {
            return Err(PrefixError::TooLong);
        }
        let (high, low) = halves(addr);
        match host_bits(high, low, prefix.bits()) {
            (0, 0) => Ok(prefix),
            _ => Err(PrefixError::HostBits),
        }
    }

    #[inline]
    fn max_len(&self) -> u8 {
        match self.addr.family() {
            Family::V4 => 32,
            Family::V6 => 128,
        }
    }

    /// The length in bits of the 16-octet form.
    #[inline]
    fn bits(&self) -> u32 {
        let mapped = match self.addr.family() {
            Family::V4 => 96,
            Family::V6 => 0,
        };
        u32::from(self.len).saturating_add(mapped)
    }

    /// Whether the address is under the prefix; never across families.
    #[inline]
    pub fn contains(&self, addr: Addr) -> bool {
        if self.addr.is_v4() != addr.is_v4() {
            return false;
        }
        let (high, low) = halves(self.addr);
        let (other_high, other_low) = halves(addr);
        prefix_is_zero(high ^ other_high, low ^ other_low, self.bits())
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    /// Reads `address/length`; an address alone is a prefix of full length.
    fn from_str(text: &str) -> Result<Prefix, PrefixError> {
        let (addr, len) = match text.split_once('/') {
            Some((addr, len)) => (addr, Some(len)),
            None => (text, None),
        };
        let addr: Addr = addr.parse().map_err(|_| PrefixError::Syntax)?;
        let full = Prefix { addr, len: 0 }.max_len();
        let len = match len {
            // `u8::from_str` takes a sign, a prefix length has none.
            Some(len) if len.starts_with('+') => return Err(PrefixError::Syntax),
            Some(len) => len.parse().map_err(|_| PrefixError::Syntax)?,
            None => full,
        };
        Prefix::new(addr, len)
    }
}

/// The action of the longest prefix that the address is under; [`Action::Auto`] when there is none.
pub fn decide(policy: &[(Prefix, Action)], addr: Addr) -> Action {
    let mut best: Option<&(Prefix, Action)> = None;
    for rule in policy {
        if rule.0.contains(addr) && best.is_none_or(|best| rule.0.len > best.0.len) {
            best = Some(rule);
        }
    }
    best.map_or(Action::default(), |best| best.1)
}
