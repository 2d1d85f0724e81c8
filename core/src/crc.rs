// SPDX-License-Identifier: GPL-2.0
//! How a CRC32c changes with the octets that it covers (RFC 9260 appendix A).
//!
//! A CRC is linear: the difference of two CRCs, by exclusive or, depends on the difference of the octets alone. So it is corrected
//! without a look at the octets that stay, and a wrong one stays wrong by the same difference.

/// The polynomial, bits reversed: x^31 is the lowest bit, x^0 the highest.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// x^8, which one octet stands for.
const OCTET: u32 = 1 << 23;

/// The product of two polynomials, modulo that of the CRC.
const fn multiply(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut term = 1 << 31;
    while term != 0 {
        if a & term != 0 {
            product ^= b;
        }
        b = (b >> 1) ^ if b & 1 != 0 { POLYNOMIAL } else { 0 };
        term >>= 1;
    }
    product
}

/// The difference of the CRCs of `octets` octets, old and new by exclusive or, when the first four of them changed by
/// `changed`, likewise. SCTP has the CRC in its header with the lowest octet first.
pub const fn difference(changed: [u8; 4], octets: usize) -> u32 {
    let mut crc = u32::from_le_bytes(changed);
    let mut power = OCTET;
    let mut left = octets;
    while left != 0 {
        if left & 1 != 0 {
            crc = multiply(crc, power);
        }
        power = multiply(power, power);
        left >>= 1;
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Octet by octet, as in RFC 9260 appendix A.
    fn crc32c(octets: impl Iterator<Item = u8>) -> u32 {
        !octets.fold(u32::MAX, |crc, octet| {
            (0..8).fold(crc ^ u32::from(octet), |crc, _| {
                (crc >> 1) ^ if crc & 1 != 0 { POLYNOMIAL } else { 0 }
            })
        })
    }

    #[test]
    fn check_value() {
        assert_eq!(crc32c(b"123456789".iter().copied()), 0xe306_9283);
    }

    /// Of every length up to one, and of some long ones.
    #[test]
    fn against_the_whole() {
        let octet = |i: usize| i.wrapping_mul(151).wrapping_add(i >> 5).to_le_bytes()[0];
        for len in (4..600).chain([1452, 9000, 65_535]) {
            for changed in [
                [0, 0, 0, 0],
                [0, 0, 0, 1],
                [0x80, 0, 0, 0],
                [0x12, 0x34, 0xff, 0x5a],
            ] {
                let before = crc32c((0..len).map(octet));
                let after = crc32c((0..len).map(|i| octet(i) ^ changed.get(i).unwrap_or(&0)));
                assert_eq!(
                    before ^ after,
                    difference(changed, len),
                    "{len} {changed:?}"
                );
            }
        }
    }
}
