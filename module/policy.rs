// SPDX-License-Identifier: GPL-2.0

//! The discovery policy of a namespace: prefixes with actions, published as a whole.

use crate::ffi::object::Owned;
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

/// The prefixes at one moment.
pub(crate) struct PolicyTable {
    pub(crate) rules: KVec<(Prefix, Action)>,
}

impl PolicyTable {
    /// No prefixes: everything is auto.
    pub(crate) fn empty() -> Result<Owned<Self>> {
        Owned::new(Self { rules: KVec::new() }, false)
    }

    /// What is to be done for an address.
    pub(crate) fn action(&self, addr: Addr) -> Action {
        decide(&self.rules, addr)
    }
}
