// SPDX-License-Identifier: GPL-2.0
//! Values of attributes, as several objects have them.

use std::time::Duration;

use ihmp_netlink::{
    Attr,
    Attrs,
    Malformed, //
};

/// Octets of the generic netlink header.
pub(super) const HEADER: usize = 4;

pub(super) type Result<T> = std::result::Result<T, Malformed>;

/// Milliseconds, rounded up so that a short time does not become none.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

pub(super) fn duration(attr: Attr<'_>) -> Result<Duration> {
    attr.uint().map(Duration::from_millis)
}

pub(super) fn known<T>(attr: Attr<'_>, from_number: fn(u32) -> Option<T>) -> Result<T> {
    from_number(attr.u32()?).ok_or_else(|| attr.wrong("a value of the enum"))
}

pub(super) fn need<T>(value: Option<T>, what: &str) -> Result<T> {
    value.ok_or_else(|| Malformed::new(format!("no {what}")))
}

/// The attributes behind the generic netlink header of a message.
pub(super) fn body(message: &[u8]) -> Result<Attrs<'_>> {
    message
        .get(HEADER..)
        .map(Attrs::new)
        .ok_or_else(|| Malformed::new("no header"))
}
