// SPDX-License-Identifier: GPL-2.0
//! One's complement sums of 16-bit words (RFC 1071, RFC 1624).
//!
//! A sum is a `u32` like the kernel's `__wsum`: words are taken in *memory* order, as `u16::from_ne_bytes` reads them, so
//! that a sum can be folded and stored back without swapping, on machines of either endianness. Sums are equal when they
//! are equal modulo 0xffff.

/// The sum of two sums (`csum_add`).
#[inline]
pub const fn add(a: u32, b: u32) -> u32 {
    let (sum, carry) = a.overflowing_add(b);
    // No second carry: when the first addition overflowed, `sum` is at most 0xffff_fffe.
    sum.wrapping_add(carry as u32)
}

/// `a` minus `b` (`csum_sub`).
#[inline]
pub const fn sub(a: u32, b: u32) -> u32 {
    add(a, !b)
}
