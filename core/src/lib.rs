// SPDX-License-Identifier: GPL-2.0
//! The pure part of ihmp: everything that decides, nothing that touches the world.
//!
//! The crate is compiled twice from the same files: into the kernel module and by cargo for the agent and the tests. It
//! has no `std`, no `alloc`, no `unsafe` and no dependency. Time, randomness and identity are arguments. No octet of a
//! packet or message can make it panic.
//!
//! ```
//! use ihmp_core::addr::{Addr, Family};
//! use ihmp_core::packet::{parse, Kind};
//!
//! // An ICMP echo request from 192.0.2.1 to 198.51.100.7, identifier 9.
//! let head = [
//!     0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0, 192, 0, 2, 1, 198, 51, 100, 7, //
//!     8, 0, 0, 0, 0, 9, 0, 1,
//! ];
//! let packet = parse(&head, Family::V4).unwrap();
//! assert_eq!(packet.kind, Kind::Echo { request: true });
//! assert_eq!(packet.tuple.src, Addr::v4([192, 0, 2, 1]));
//! assert_eq!((packet.tuple.sport, packet.tuple.dport), (9, 0));
//! ```

#![no_std]
#![forbid(unsafe_code)]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

pub mod addr;
pub mod crc;
pub mod credit;
pub mod csum;
pub mod ends;
pub mod entry;
pub mod flow;
pub mod grant;
mod header;
pub mod message;
pub mod nat;
pub mod packet;
pub mod paths;
pub mod policy;
pub mod sched;
pub mod sets;
pub mod time;
pub mod verdict;
pub mod xlat;
