// SPDX-License-Identifier: GPL-2.0

//! Numbers of what happens to addresses of hosts.

use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// Numbers of what happens to addresses of hosts in a namespace, as [`ihmp_core::ends`] compares them; the first one is 1.
///
/// Two packets of a host can cost a number before any transport has looked at them. A number that came back to 0, or to
/// [`ihmp_core::sets::Entry::NOW`], would be wrong wherever it is compared. So they have 64 bits: at a billion a second
/// those last for more than 500 years.
pub(crate) struct Marks(Atomic<u64>);

impl Marks {
    /// Nothing has happened.
    pub(crate) fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// The number of what happened last.
    #[inline]
    pub(crate) fn last(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// The number of what happens now.
    #[inline]
    pub(crate) fn next(&self) -> u64 {
        self.0.fetch_add(1, Relaxed).wrapping_add(1)
    }
}
