// SPDX-License-Identifier: GPL-2.0
//! Netlink: sockets, messages, attributes and socket filters. This crate knows no protocol; the crates that use it do.
//!
//! [`Socket`] sends requests and receives their answers; [`Listener`] receives multicast messages that pass its [`Program`].
//! No other crate uses neli.
//!
//! ```no_run
//! use ihmp_netlink::{Attrs, Protocol, Socket};
//!
//! # fn main() -> Result<(), ihmp_netlink::Error> {
//! const RTM_GETLINK: u16 = 18;
//! const IFLA_IFNAME: u16 = 3;
//!
//! let mut socket = Socket::open(Protocol::Route)?;
//! // struct ifinfomsg has 16 octets.
//! let names = socket.dump(RTM_GETLINK, &[0; 16], |body| {
//!     for attr in Attrs::new(body.get(16..).unwrap_or_default()) {
//!         let attr = attr?;
//!         if attr.number() == IFLA_IFNAME {
//!             return Ok(Some(attr.string()?.to_owned()));
//!         }
//!     }
//!     Ok(None)
//! })?;
//! println!("{names:?}");
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod attrs;
mod bpf;
mod descriptor;
mod error;
mod family;
mod listener;
mod message;
mod socket;

pub use attrs::{Attr, Attrs, Malformed, Writer};
pub use bpf::{Code, Program};
pub use descriptor::{Protocol, Wait};
pub use error::{Error, Refusal};
pub use family::Family;
pub use listener::{Heard, Listener};
pub use message::{Message, HEADER};
pub use socket::{Flags, Socket};
