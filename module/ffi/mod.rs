// SPDX-License-Identifier: GPL-2.0

//! The fence: the only place where the module touches C.
//!
//! Everything that is re-exported here is safe to use. `raw` is generated from `shim/shim.h`, in
//! which only scalars, byte pointers and opaque pointers occur.
//!
//! What the module calls knows nothing of the module. Above it is what C calls: `entry`, which nobody uses, and which says what C
//! keeps for the module: types under RCU, entries of tables, states of namespaces ([`initial`]).

pub(crate) mod charge;
pub(crate) mod clock;
mod entry;
pub(crate) mod family;
pub(crate) mod genl;
pub(crate) mod hold;
pub(crate) mod initial;
pub(crate) mod net;
pub(crate) mod object;
mod raw;
pub(crate) mod route;
pub(crate) mod skb;
pub(crate) mod sock;
pub(crate) mod table;
