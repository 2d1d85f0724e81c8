// SPDX-License-Identifier: GPL-2.0
//! Machines with engines, model kernels and a network between them, under a virtual clock.
//!
//! The tests of the engine use it for two machines or a thousand, `ihmp-sim` for ten thousand. It reads no clock, and all random numbers
//! come from a seed, so each run is the same. It panics when something is wrong, as an assertion of a test does.
#![forbid(unsafe_code)]

pub mod crowd;
pub mod formula;
pub mod handoff;
pub mod hub;
mod kernel;
pub mod nat;
mod network;
mod node;
mod random;
mod sim;
pub mod store;
pub mod table;

use ihmp_core::addr::Addr;
use ihmp_core::time::Duration;

pub use kernel::{Kernel, Row, BUSY};
pub use network::{Crossing, Gateway, Weather, FAIR};
pub use node::{own_key, Node};
pub use random::Random;
pub use sim::Sim;

/// An address in text form.
pub fn addr(text: &str) -> Addr {
    text.parse().unwrap()
}

/// Milliseconds.
pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Seconds.
pub fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}
