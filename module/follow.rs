// SPDX-License-Identifier: GPL-2.0

//! What listeners hear of a path that follows its host: where it is at last, and at most once a second how it gets there. Packets
//! from two addresses by turns, which anybody can send in the name of the host, would make an event each.

use crate::{
    ffi::clock,
    host::Host,
    netns::Netns,
    notify,
    uapi::PathCause, //
};
use ihmp_core::addr::Family;
use kernel::sync::rcu::{
    self,
    Guard, //
};

/// The path of a family has followed its host. If listeners were just told of another one, they hear of it by [`tell_rest`].
pub(crate) fn tell(netns: &Netns, host: &Host, family: Family, guard: &Guard) {
    if host.moves.may_tell_path(clock::jiffies()) {
        tell_now(netns, host, family, guard);
    } else {
        host.moves.note_untold(family);
    }
}

/// Sends the path events that were held back. Called about once a second.
pub(crate) fn tell_rest(netns: &Netns, host: &Host) {
    if !host.moves.has_untold() || !host.moves.may_tell_path(clock::jiffies()) {
        return;
    }
    let guard = rcu::read_lock();
    for family in [Family::V4, Family::V6] {
        if host.moves.take_untold(family) {
            tell_now(netns, host, family, &guard);
        }
    }
}

fn tell_now(netns: &Netns, host: &Host, family: Family, guard: &Guard) {
    // One that is gone was told of when it went.
    if let Some(path) = host.view.read(guard).path(family) {
        notify::path(netns, host.id(), Some(&path), PathCause::Followed);
    }
}
