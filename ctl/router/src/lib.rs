// SPDX-License-Identifier: GPL-2.0
//! Micro-mobility ([DIME-IFIP] section V-C, Fig. 8): a router that sees the messages of the hosts behind it answers their
//! moves within its network in place of their peers, and brings what is sent to the old address to the new one.
//!
//! [`Router`] takes an [`Input`] and is then asked for its [`Output`]s until there are none, as the engine of a host is. Each
//! datagram that is shown to it gets exactly one [`Output::Verdict`]. What it does not understand, or has no part in,
//! passes untouched: without a router all hosts are as well off, and with one that errs the messages go on to the peer.
//!
//! NAT ([DIME-IFIP] section V-D, Fig. 9): a router that exchanges the addresses of the hosts behind it says so in their
//! messages, and tells their peers which ports it gave them, so that connections move into its network and out of it.
//!
//! Whom it believes: a host is *bound* to the key with which it is heard from an address, but only where the message comes
//! by the device to which the address belongs. Who can send from there could take the address anyway, by answering for it
//! on the link. From then on no other key moves the address.
//!
//! [`Router`] has the parts, each of which alone changes its own state: who is bound to which address (`table`), whether a message
//! is what its key says (`verifier`), which moves are granted (`moves`), which networks there are (`networks`), the NAT's
//! side (`nat`), and what is to be done and said (`outbox`). A part is given the others that it needs, and knows no router.

#![forbid(unsafe_code)]

mod asked;
mod io;
mod mark;
mod moves;
mod nat;
mod networks;
mod outbox;
mod router;
mod table;
mod verifier;

pub use io::{
    Config, Event, HostRoute, Input, Link, NatConfig, Note, Output, Pair, Passing, Reason,
    Translation, Verdict,
};
pub use mark::mark;
pub use router::Router;
