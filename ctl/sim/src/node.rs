// SPDX-License-Identifier: GPL-2.0
//! A machine: its agent, its module, its addresses and keys.

use std::collections::BTreeSet;

use ihmp_core::addr::Addr;
use ihmp_core::time::Instant;
use ihmp_engine::{Engine, Limits, Note, OwnKey, Policy};

use crate::kernel::Kernel;
use crate::store::Store;

/// The key of a node.
pub fn own_key(number: u64) -> OwnKey {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&(number + 1).to_be_bytes());
    OwnKey::new(&seed, vec![])
}

/// A machine.
pub struct Node {
    /// `None` when the agent does not run.
    pub engine: Option<Engine>,
    /// Its module.
    pub kernel: Kernel,
    /// Oldest first; the newest of a family is the preferred one.
    pub local: Vec<Addr>,
    /// Former addresses whose packets a router forwards to it.
    pub held: BTreeSet<Addr>,
    /// The notes of its engine so far.
    pub notes: Vec<Note>,
    /// The limits of its engine.
    pub limits: Limits,
    /// Whom its engine believes.
    pub policy: Policy,
    /// Its keys.
    pub store: Store,
    /// The time of its own clock at the beginning, in nanoseconds since 1970.
    pub wall: u64,
    /// How many messages it sent.
    pub sent: u64,
    /// How long its engine has computed, by `Sim::clock`.
    pub spent: u64,
    /// The addresses under which the network finds it.
    pub(crate) placed: Vec<Addr>,
    /// When its next timer or expiry is due.
    pub(crate) wake: Option<Instant>,
}

impl Node {
    /// Whether it receives datagrams to this address.
    pub(crate) fn has(&self, addr: Addr) -> bool {
        self.local.contains(&addr) || self.held.contains(&addr)
    }
}
