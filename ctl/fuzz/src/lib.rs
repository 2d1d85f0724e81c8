// SPDX-License-Identifier: GPL-2.0
//! What is fuzzed, as functions of octets that panic where something does not hold (Documentation/fuzzing.rst).
//!
//! libFuzzer calls them for as long as one likes (`make fuzz`), the tests of this crate with octets from fixed seeds.

#![forbid(unsafe_code)]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "that is how a finding is reported"
)]

mod chaos;
mod message;
mod node;
mod octets;
mod table;

pub use chaos::engine;
pub use message::message;
