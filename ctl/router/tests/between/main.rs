// SPDX-License-Identifier: GPL-2.0
//! Two hosts and a router between them: moves within its network that the peer does not hear of, and what happens when the
//! router does not do, or never did, what it said.

mod answered;
mod believed;
mod bench;
mod bound;
mod rejected;
