// SPDX-License-Identifier: GPL-2.0

//! The initial network namespace, as others see it.
//!
//! C header: `shim/shim.h` (net.c)

use super::{
    net::Net,
    raw, //
};
use crate::netns::Netns;

/// The state of the initial namespace, if that has another owner than this one: what this one may have is bounded by what it
/// allows. Asked by commands, and while a namespace is made.
pub(crate) fn initial(net: &Net) -> Option<&Netns> {
    // SAFETY: The namespace is valid by the invariant of `Net`. `entry::ihmp_rs_net_init` makes states, and nobody else. That of the
    // initial namespace is made first, and taken away when no command comes and no namespace is made any more (`Ihmp`,
    // `register_pernet_subsys`).
    unsafe { raw::ihmp_net_initial(net.raw()).cast::<Netns>().as_ref() }
}
