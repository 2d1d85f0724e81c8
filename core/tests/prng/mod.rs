// SPDX-License-Identifier: GPL-2.0
//! Random input from a fixed seed.

#![allow(dead_code, reason = "not every test file uses everything")]

use ihmp_core::addr::{Addr, Family};

/// SplitMix64.
pub(crate) struct Prng(u64);

impl Prng {
    pub(crate) fn new(seed: u64) -> Prng {
        Prng(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn octet(&mut self) -> u8 {
        self.next() as u8
    }

    /// A word, all zeros or ones more often than chance has it.
    pub(crate) fn word(&mut self) -> u16 {
        match self.below(8) {
            0 => 0,
            1 => 0xffff,
            _ => self.next() as u16,
        }
    }

    pub(crate) fn octets(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.octet()).collect()
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub(crate) fn family(&mut self) -> Family {
        self.pick(&[Family::V4, Family::V6])
    }

    /// Any address of a family.
    pub(crate) fn addr(&mut self, family: Family) -> Addr {
        match family {
            Family::V4 => Addr::v4(core::array::from_fn(|_| self.octet())),
            Family::V6 => loop {
                let addr = Addr::v6(core::array::from_fn(|i| {
                    if i < 2 {
                        0x20
                    } else {
                        self.octet()
                    }
                }));
                if !addr.is_v4() {
                    return addr;
                }
            },
        }
    }
}
