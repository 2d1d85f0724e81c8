// SPDX-License-Identifier: GPL-2.0

//! The discovery policy of a namespace: prefixes with actions, published as a whole.

use crate::ffi::object::{
    Owned,
    Trail, //
};
use ihmp_core::{
    addr::Addr,
    policy::{
        decide,
        Action,
        Prefix, //
    },
};
use kernel::prelude::*;

/// Most prefixes.
pub(crate) const MAX_RULES: usize = 1024;

/// A prefix, and what is to be done for its addresses.
pub(crate) type Rule = (Prefix, Action);

/// The prefixes at one moment, as many as there are.
pub(crate) type PolicyTable = Trail<(), [Rule]>;

impl PolicyTable {
    /// These prefixes, one list after the other; without any, everything is auto.
    pub(crate) fn new(lists: &[&[Rule]]) -> Result<Owned<Self>> {
        Owned::with_items((), lists, false)
    }

    /// What is to be done for an address.
    pub(crate) fn action(&self, addr: Addr) -> Action {
        decide(self.items(), addr)
    }
}
