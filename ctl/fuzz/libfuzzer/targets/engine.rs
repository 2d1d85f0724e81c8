// SPDX-License-Identifier: GPL-2.0
//! `ihmp_fuzz::engine` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| ihmp_fuzz::engine(octets));
