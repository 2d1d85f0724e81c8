// SPDX-License-Identifier: GPL-2.0
//! One's complement sums of 16-bit words (RFC 1071, RFC 1624).
//!
//! A sum is a `u32` like the kernel's `__wsum`: words are taken in *memory* order, as [`u16::from_ne_bytes`] reads them,
//! so that a sum can be folded and stored back without swapping, on machines of either endianness. Two sums are the same
//! when they are equal modulo 0xffff; a 32-bit word read from memory is the sum of its two halves.

use crate::addr::{Addr, Family};

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

/// The sum in 16 bits, not inverted.
#[inline]
pub const fn fold(sum: u32) -> u16 {
    // The high half holds the sum of both halves, its carry included.
    (sum.wrapping_add(sum.rotate_left(16)) >> 16) as u16
}

/// Whether a difference leaves every checksum as it is.
#[inline]
pub const fn is_neutral(diff: u32) -> bool {
    matches!(fold(diff), 0 | 0xffff)
}

/// The checksum field after the data it covers changed by `diff`, new minus old (RFC 1624 equation 3,
/// `csum_replace_by_diff`). A wrong checksum stays wrong by the same amount.
#[inline]
pub const fn replace(check: u16, diff: u32) -> u16 {
    !fold(add(diff, !(check as u32)))
}

/// The sum of two sums of 64 bits.
#[inline]
const fn add_wide(a: u64, b: u64) -> u64 {
    let (sum, carry) = a.overflowing_add(b);
    sum.wrapping_add(carry as u64)
}

/// Both 64-bit words of an address in one sum.
#[inline]
const fn halves(octets: &[u8; 16]) -> u64 {
    match (octets.first_chunk(), octets.last_chunk()) {
        (Some(high), Some(low)) => add_wide(u64::from_ne_bytes(*high), u64::from_ne_bytes(*low)),
        _ => 0,
    }
}

/// The sum in 32 bits.
#[inline]
const fn narrow(sum: u64) -> u32 {
    add((sum >> 32) as u32, (sum & 0xffff_ffff) as u32)
}

/// The sum of two IPv4 addresses.
#[inline]
pub const fn pair_v4(a: [u8; 4], b: [u8; 4]) -> u32 {
    add(u32::from_ne_bytes(a), u32::from_ne_bytes(b))
}

/// The sum of two IPv6 addresses.
#[inline]
pub const fn pair_v6(a: &[u8; 16], b: &[u8; 16]) -> u32 {
    narrow(add_wide(halves(a), halves(b)))
}

/// The sum of any octets; an odd one at the end is padded with zero. Not for the hot path.
pub fn words(octets: &[u8]) -> u32 {
    let mut sum = 0;
    for pair in octets.chunks(2) {
        let word = match *pair {
            [a, b] => u16::from_ne_bytes([a, b]),
            [a] => u16::from_ne_bytes([a, 0]),
            _ => 0,
        };
        sum = add(sum, u32::from(word));
    }
    sum
}

/// The sum of a pseudo-header (RFC 9293 section 3.1, RFC 8200 section 8.1). `len` is the length of the upper-layer
/// packet in octets.
pub fn pseudo(src: Addr, dst: Addr, proto: u8, len: u32) -> u32 {
    let addrs = match src.family() {
        Family::V4 => pair_v4(src.low(), dst.low()),
        Family::V6 => pair_v6(&src.octets(), &dst.octets()),
    };
    add(add(addrs, words(&len.to_be_bytes())), words(&[0, proto]))
}

/// The checksum of `octets` on top of the sum `init` of a pseudo-header, or 0; in memory order. With a right checksum
/// in place the result is 0. Tests use it as the oracle of [`replace`].
pub fn checksum(init: u32, octets: &[u8]) -> u16 {
    !fold(add(init, words(octets)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 1071 section 3.
    #[test]
    fn rfc_1071() {
        let sum = fold(words(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]));
        assert_eq!(sum.to_ne_bytes(), [0xdd, 0xf2]);
        assert_eq!(words(&[1, 2, 3]), words(&[1, 2, 3, 0]));
    }

    /// The example of RFC 1624 section 4: the checksum 0xdd2f, a word 0x5555 becomes 0x3285.
    #[test]
    fn rfc_1624() {
        let diff = sub(words(&[0x32, 0x85]), words(&[0x55, 0x55]));
        let check = replace(u16::from_ne_bytes([0xdd, 0x2f]), diff);
        assert_eq!(check.to_ne_bytes(), [0x00, 0x00]);
    }

    #[test]
    fn folding() {
        for sum in [
            0,
            1,
            0xfffe,
            0xffff,
            0x10000,
            0x1_fffe,
            0x1_ffff,
            0xffff_0000,
            0xffff_fffe,
            u32::MAX,
        ] {
            assert_eq!(u32::from(fold(sum)) % 0xffff, sum % 0xffff, "{sum:#x}");
            assert_eq!(fold(sum) == 0, sum == 0, "{sum:#x}");
            assert_eq!(is_neutral(sum), sum % 0xffff == 0, "{sum:#x}");
        }
    }

    #[test]
    fn carries() {
        assert_eq!(add(u32::MAX, u32::MAX), u32::MAX);
        assert_eq!(add(u32::MAX, 1), 1);
        assert_eq!(add(0x8000_0000, 0x8000_0000), 1);
        assert!(is_neutral(sub(0x1234_5678, 0x1234_5678)));
        assert_eq!(narrow(u64::MAX), u32::MAX);
        let ones = [0xff; 16];
        assert!(is_neutral(pair_v6(&ones, &ones)));
    }

    #[test]
    fn address_sums() {
        let a = [
            0x20, 1, 0xd, 0xb8, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 0xff, 0xff, 0xff, 0xfe,
        ];
        let b = [0xfe; 16];
        assert_eq!(fold(pair_v6(&a, &b)), fold(add(words(&a), words(&b))));
        assert_eq!(
            fold(pair_v4([255, 255, 255, 254], [1, 2, 3, 4])),
            fold(add(words(&[255, 255, 255, 254]), words(&[1, 2, 3, 4])))
        );
    }
}
