// SPDX-License-Identifier: GPL-2.0
//! The machine's own network, over netlink: its devices, addresses and routes, how they change, and what is added to them for ihmp.
//!
//! [`Rtnl`] reads devices, addresses and routes. [`Watch`] receives their changes, if its [`Filter`] lets them through. Three things are
//! added: last-resort routes ([`last_resort`]), former addresses whose packets a router forwards to this machine ([`held`]), and a
//! router's host routes ([`host_route`]). [`conntrack`] reads the connections of the machine's NAT and receives their changes.
//! [`queue`] has forwarded datagrams wait for a verdict.
//!
//! ```no_run
//! use ihmp_network::Rtnl;
//!
//! # fn main() -> Result<(), ihmp_network::Error> {
//! let mut rtnl = Rtnl::connect()?;
//! for link in rtnl.links()? {
//!     println!("{} {:?}", link.name, rtnl.addresses(link.index)?);
//! }
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod address;
pub mod conntrack;
mod counted;
mod errno;
mod filter;
pub mod held;
pub mod host_route;
pub mod last_resort;
mod link;
mod nftables;
mod ours;
pub mod queue;
mod route;
mod rtnetlink;
mod rtnl;
mod watch;

pub use address::{is_global, Address};
pub use counted::Counted;
pub use filter::{Filter, Names};
pub use ihmp_netlink::Error;
pub use link::Link;
pub use ours::DEVICE;
pub use route::Route;
pub use rtnl::Rtnl;
pub use watch::{Changes, Groups, Watch};
