// SPDX-License-Identifier: GPL-2.0

//! A flow of which the first packet is seen.

use super::socket::Owner;
use ihmp_core::{
    flow::{
        FlowKey,
        WireKey, //
    },
    verdict::Reason, //
};

/// How the first packet of a flow that we see stands to it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// The flow is older than we know; its ports are fixed.
    Joins,
    /// A TCP connection that was accepted, before any data; its ports are fixed.
    Accepted,
    /// The other end opens it; its ports are fixed.
    Accepts,
    /// This end opens it, and may choose another port on the wire.
    Opens,
    /// This end opens it, towards whoever has a former address of the host now, or from an address that
    /// is no locator.
    OpensPlain,
}

/// A flow of which the first packet is seen.
#[derive(Clone, Copy)]
pub(crate) struct Opening<'a> {
    /// Its identifiers.
    pub(crate) key: &'a FlowKey,
    /// What it is on the wire towards its host, with the host's own port.
    pub(crate) wire: WireKey,
    /// Who has it here.
    pub(crate) owner: Owner<'a>,
    /// How the packet stands to it.
    pub(crate) start: Start,
}

/// Why there is no row for a packet.
pub(crate) enum NoRow {
    /// The packet passes as it is.
    Pass,
    /// The packet is dropped.
    Drop(Reason),
}
