// SPDX-License-Identifier: GPL-2.0

//! One network namespace as C knows it.
//!
//! C header: `shim/shim.h` (net.c, stranded.c)

use super::raw;
use core::ptr::NonNull;
use kernel::{
    error::to_result,
    prelude::*, //
};

/// Number of counters that fit.
pub(crate) const COUNTERS: usize = raw::IHMP_COUNTERS as usize;

/// Handle of a namespace.
///
/// # Invariants
///
/// The pointer is valid while the state that holds the handle is.
pub(crate) struct Net(NonNull<raw::ihmp_net>);

// SAFETY: All functions on the pointer may be called from any context.
unsafe impl Send for Net {}
// SAFETY: As above.
unsafe impl Sync for Net {}

impl Net {
    /// # Safety
    ///
    /// The namespace outlives the handle.
    pub(super) unsafe fn from_raw(net: NonNull<raw::ihmp_net>) -> Self {
        // INVARIANT: By the requirement.
        Self(net)
    }

    pub(super) fn raw(&self) -> *mut raw::ihmp_net {
        self.0.as_ptr()
    }

    pub(super) fn ns(&self) -> *mut raw::net {
        // SAFETY: By the invariant.
        unsafe { raw::ihmp_net_ns(self.raw()) }
    }

    /// Registers or unregisters the hooks. Calls are serialised by the caller.
    pub(crate) fn set_hooks(&self, on: bool) -> Result {
        // SAFETY: By the invariant.
        to_result(unsafe { raw::ihmp_hooks_set(self.raw(), on) })
    }

    /// Hooks registered now.
    pub(crate) fn hooks(&self) -> u32 {
        // SAFETY: By the invariant.
        unsafe { raw::ihmp_hooks_count(self.raw()) }
    }

    /// Adds to a per-CPU counter.
    #[inline]
    pub(crate) fn count(&self, counter: usize, n: u64) {
        if counter < COUNTERS {
            // SAFETY: By the invariant, and the index is in range.
            unsafe { raw::ihmp_count(self.raw(), counter as u32, n) }
        }
    }

    /// Sum of a counter over all CPUs.
    pub(crate) fn counted(&self, counter: usize) -> u64 {
        if counter < COUNTERS {
            // SAFETY: By the invariant, and the index is in range.
            unsafe { raw::ihmp_count_read(self.raw(), counter as u32) }
        } else {
            0
        }
    }

    /// Sets all counters to zero.
    pub(crate) fn reset_counters(&self) {
        // SAFETY: By the invariant.
        unsafe { raw::ihmp_count_reset(self.raw()) }
    }

    /// Asks for a run of the expiry after so many milliseconds.
    pub(crate) fn schedule_expiry(&self, ms: u32) {
        // SAFETY: By the invariant.
        unsafe { raw::ihmp_gc_schedule(self.raw(), ms) }
    }

    /// Has every socket looked at that is connected over IPv4 from an address that no device has (`entry::ihmp_rs_stranded`).
    pub(crate) fn schedule_stranded(&self) {
        // SAFETY: By the invariant.
        unsafe { raw::ihmp_stranded_schedule(self.raw()) }
    }

    /// Drops what waits for neighbours on devices without a carrier.
    pub(crate) fn drop_unresolved(&self) {
        // SAFETY: The namespace is valid by the invariant.
        unsafe { raw::ihmp_neighbours_drop(self.ns()) }
    }

    /// Forgets the dead ones among the sockets that may send from any address by us.
    pub(crate) fn forget_dead(&self) {
        // SAFETY: By the invariant; the caller may sleep.
        unsafe { raw::ihmp_sock_return(self.raw(), false) }
    }

    /// Forbids it to all of them.
    pub(crate) fn take_back(&self) {
        // SAFETY: By the invariant; the caller may sleep.
        unsafe { raw::ihmp_sock_return(self.raw(), true) }
    }

    /// Whether events have an audience.
    pub(crate) fn events_wanted(&self) -> bool {
        // SAFETY: By the invariant.
        unsafe { raw::ihmp_events_wanted(self.raw()) }
    }
}
