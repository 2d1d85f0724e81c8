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
    /// Those of before that come by a router.
    pub held: BTreeSet<Addr>,
    /// What its engine said so far.
    pub notes: Vec<Note>,
    /// Of its engine.
    pub limits: Limits,
    /// Whom its engine believes.
    pub policy: Policy,
    /// Its keys.
    pub store: Store,
    /// What its clock on the wall shows at the beginning.
    pub wall: u64,
    /// How many messages it sent.
    pub sent: u64,
    /// What its engine took of [`Sim::clock`].
    pub spent: u64,
    /// The addresses under which the network finds it.
    pub(crate) placed: Vec<Addr>,
    /// When something happens in it by itself.
    pub(crate) wake: Option<Instant>,
}

impl Node {
    /// Whether it takes what is sent to this address.
    pub(crate) fn has(&self, addr: Addr) -> bool {
        self.local.contains(&addr) || self.held.contains(&addr)
    }
}
