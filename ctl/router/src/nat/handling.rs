// SPDX-License-Identifier: GPL-2.0
//! What the NAT's side is given with an input.

use ihmp_core::addr::Addr;
use ihmp_core::time::Instant;
use ihmp_engine::{Moment, PublicKey};

use crate::outbox::Outbox;
use crate::table::Table;

/// The moment of an input, who is known then, and where outputs go.
pub(crate) struct Handling<'a> {
    at: Moment,
    table: &'a Table,
    outbox: &'a mut Outbox,
}

impl<'a> Handling<'a> {
    /// An input that is handled now.
    pub(crate) fn new(at: Moment, table: &'a Table, outbox: &'a mut Outbox) -> Handling<'a> {
        Handling { at, table, outbox }
    }

    /// The time.
    pub(super) fn now(&self) -> Instant {
        self.at.now
    }

    /// A number that nobody can guess.
    pub(super) fn random(&self) -> u64 {
        self.at.random
    }

    /// A timestamp for an own message.
    pub(super) fn stamp(&mut self) -> u64 {
        self.outbox.stamp(self.at)
    }

    /// The key that an address is bound to.
    pub(super) fn key(&self, addr: Addr) -> Option<PublicKey> {
        self.table.key(addr)
    }

    /// Whether an address is bound to a key.
    pub(super) fn is_bound(&self, addr: Addr) -> bool {
        self.key(addr).is_some()
    }

    /// Where outputs go.
    pub(super) fn outbox(&mut self) -> &mut Outbox {
        self.outbox
    }
}
