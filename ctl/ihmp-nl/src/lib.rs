// SPDX-License-Identifier: GPL-2.0
//! Client of the generic netlink family `ihmp`: plain objects in, plain objects out.
//!
//! [`Client`] sends requests, [`Events`] receives events, and [`model`] has the objects in both. Nothing of netlink is visible from
//! outside, and no other crate of the project speaks netlink with the module.
//!
//! ```no_run
//! use ihmp_nl::{Client, HostAddr, HostRequest};
//!
//! # fn main() -> Result<(), ihmp_nl::Error> {
//! let mut client = Client::connect()?;
//! let id = client.host_new(&HostRequest {
//!     addrs: vec![
//!         HostAddr::active("198.51.100.7".parse().unwrap()),
//!         HostAddr::local("192.0.2.1".parse().unwrap()),
//!     ],
//!     ..HostRequest::default()
//! })?;
//! println!("{:?}", client.host(id)?);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod client;
mod codec;
mod error;
mod event;
mod events;
mod family;
pub mod model;

pub use client::Client;
pub use error::Error;
pub use event::Event;
pub use events::Events;
pub use model::*;
