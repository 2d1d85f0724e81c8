// SPDX-License-Identifier: GPL-2.0

//! Registrations with the kernel; each is a value whose drop undoes it.
//!
//! C header: `shim/shim.h` (net.c, genl.c)

use super::raw;
use kernel::{
    error::to_result,
    prelude::*, //
};

/// State of ours in every network namespace.
pub(crate) struct Pernet(());

impl Pernet {
    /// Makes state in every namespace, now and in future.
    pub(crate) fn register() -> Result<Self> {
        // SAFETY: Called once, from the module's init; the callbacks are in `entry`.
        to_result(unsafe { raw::ihmp_pernet_register() })?;
        Ok(Self(()))
    }
}

impl Drop for Pernet {
    fn drop(&mut self) {
        // SAFETY: `self` exists, hence the registration does.
        unsafe { raw::ihmp_pernet_unregister() }
    }
}

/// The generic netlink family.
pub(crate) struct Family(());

impl Family {
    /// Makes the family known; commands may come before this returns.
    pub(crate) fn register() -> Result<Self> {
        // SAFETY: Called once, from the module's init, when every namespace has its state.
        to_result(unsafe { raw::ihmp_family_register() })?;
        Ok(Self(()))
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        // SAFETY: `self` exists, hence the registration does.
        unsafe { raw::ihmp_family_unregister() }
    }
}
