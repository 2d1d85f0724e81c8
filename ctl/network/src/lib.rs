// SPDX-License-Identifier: GPL-2.0
//! The machine's own network, over netlink: what there is, what changes, and what is made there for ihmp.
//!
//! [`Rtnl`] is asked for devices, addresses and routes, and [`Watch`] hears of their changes, as far as its [`Filter`] lets them
//! through. Three things are made: last-resort routes ([`last_resort`]), addresses that a router keeps for this machine ([`held`]),
//! and a router's host routes ([`host_route`]). [`conntrack`] is what the machine's NAT does, [`queue`] are forwarded datagrams that
//! wait for a verdict.
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
