// SPDX-License-Identifier: GPL-2.0

//! Who pays for the memory of what a packet makes.
//!
//! C header: `shim/shim.h` (charge.c)

use super::{
    raw,
    sock::Sock, //
};

/// Runs `act`, in which what is allocated is charged to the memory cgroup of a socket, if there is one.
pub(crate) fn charged<R>(to: Option<&Sock<'_>>, act: impl FnOnce() -> R) -> R {
    let Some(sock) = to else {
        return act();
    };
    // SAFETY: The socket is valid, and is kept during the call.
    let before = unsafe { raw::ihmp_charge(sock.as_ptr()) };
    let done = act();
    // SAFETY: It is what was just given, in the same context.
    unsafe { raw::ihmp_charge_end(before) };
    done
}
