// SPDX-License-Identifier: GPL-2.0

//! Jiffies and random numbers.
//!
//! C header: `shim/shim.h` (time.c)

use super::raw;

/// Jiffies since boot, 64 bit.
#[inline]
pub(crate) fn jiffies() -> u64 {
    // SAFETY: The function has no requirements.
    unsafe { raw::ihmp_jiffies() }
}

/// A number of jiffies in milliseconds.
pub(crate) fn to_ms(jiffies: u64) -> u64 {
    // SAFETY: The function has no requirements.
    unsafe { raw::ihmp_jiffies_to_ms(jiffies) }
}

/// Milliseconds in jiffies.
pub(crate) fn from_ms(ms: u64) -> u64 {
    // SAFETY: The function has no requirements.
    unsafe { raw::ihmp_ms_to_jiffies(ms) }
}

/// When so many milliseconds from now are over, in jiffies; 0 for never.
pub(crate) fn deadline(ms: Option<u64>) -> u64 {
    ms.map_or(0, |ms| jiffies().saturating_add(from_ms(ms)).max(1))
}

/// Milliseconds until a deadline.
pub(crate) fn left(deadline: u64) -> Option<u64> {
    match deadline {
        0 => None,
        at => Some(to_ms(at.saturating_sub(jiffies()))),
    }
}

/// A random number, unpredictable.
pub(crate) fn random() -> u32 {
    // SAFETY: The function has no requirements.
    unsafe { raw::ihmp_random() }
}
