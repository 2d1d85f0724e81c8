// SPDX-License-Identifier: GPL-2.0

//! Who pays for the memory of what a packet makes.
//!
//! C header: `shim/shim.h` (charge.c)

use super::{
    raw,
    sock::Sock, //
};
use core::marker::PhantomData;
use kernel::ffi::c_void;

/// While it lives, what is allocated in this context is charged to the memory cgroup of a socket.
///
/// # Invariants
///
/// `before` is what `ihmp_charge` gave, in the context in which the value is dropped: it is not `Send`, since a pointer is not.
pub(crate) struct Charge<'a> {
    before: *mut c_void,
    of: PhantomData<&'a Sock<'a>>,
}

impl<'a> Charge<'a> {
    /// From now on.
    pub(crate) fn to(sock: &'a Sock<'a>) -> Self {
        // SAFETY: The socket is valid, and kept for as long as the value lives.
        let before = unsafe { raw::ihmp_charge(sock.as_ptr()) };
        // INVARIANT: It is what was just given.
        Self {
            before,
            of: PhantomData,
        }
    }
}

impl Drop for Charge<'_> {
    fn drop(&mut self) {
        // SAFETY: By the invariant.
        unsafe { raw::ihmp_charge_end(self.before) }
    }
}
