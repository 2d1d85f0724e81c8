// SPDX-License-Identifier: GPL-2.0

//! Announced moves of a namespace, and the packets that wait for them.
//!
//! C header: `shim/shim.h` (announce.c, hold.c)

use super::{
    net::Net,
    raw,
    skb::Skb,
    table::{
        AddrKey,
        Aligned, //
    },
};
use core::ptr;
use kernel::{
    ffi::c_void,
    sync::rcu::Guard, //
};

/// A host says that it is at another address.
pub(crate) struct Announced {
    /// The host that was named.
    pub(crate) host: u32,
    /// A NAT has given its flows other ports, and tells which.
    pub(crate) natted: bool,
    /// Packets from there wait so long, in jiffies.
    pub(crate) until: u64,
}

/// What has become of a packet that was to wait.
pub(crate) enum Held<'a> {
    /// It waits, and is no longer the caller's.
    Waits,
    /// There is no room, or it may not wait.
    Not(Skb<'a>),
    /// Its route is going away, or conntrack refuses it: it is to be dropped.
    Lost,
}

/// The announcements of one source, newest first; those of which the time is over, too.
///
/// # Invariants
///
/// `at` is null or a record of the table, which stays until a grace period after it was taken out.
struct Sources<'a> {
    net: &'a Net,
    source: Aligned<AddrKey>,
    at: *const c_void,
    _guard: &'a Guard,
}

impl Iterator for Sources<'_> {
    type Item = Announced;

    fn next(&mut self) -> Option<Announced> {
        let (mut host, mut until, mut natted) = (0, 0, false);
        // SAFETY: By the invariants, and the guard; the key has the table's length.
        let found = unsafe {
            raw::ihmp_announced_next(
                self.net.raw(),
                self.source.as_ptr(),
                &mut self.at,
                &mut host,
                &mut until,
                &mut natted,
            )
        };
        // INVARIANT: C has made `at` the record that it found.
        found.then_some(Announced {
            host,
            natted,
            until,
        })
    }
}

impl Net {
    /// Remembers an announcement until `forget`, in jiffies. False if that of the host from this source is remembered already and was
    /// not applied, or there is no room.
    pub(crate) fn announce(
        &self,
        source: &AddrKey,
        announced: &Announced,
        forget: u64,
        _: &Guard,
    ) -> bool {
        let source = Aligned(*source);
        // SAFETY: By the invariant of `Net`; the key has the table's length, and the guard is held.
        unsafe {
            raw::ihmp_announce(
                self.raw(),
                source.as_ptr(),
                announced.host,
                announced.natted,
                announced.until,
                forget,
            )
        }
    }

    /// The announcements of a source.
    pub(crate) fn announced<'a>(
        &'a self,
        source: AddrKey,
        guard: &'a Guard,
    ) -> impl Iterator<Item = Announced> + 'a {
        // INVARIANT: Null.
        Sources {
            net: self,
            source: Aligned(source),
            at: ptr::null(),
            _guard: guard,
        }
    }

    /// Forgets the announcements that were to be remembered until now, in jiffies.
    pub(crate) fn forget_announced(&self, now: u64) {
        // SAFETY: By the invariant of `Net`.
        unsafe { raw::ihmp_announced_forget(self.raw(), now) }
    }

    /// Keeps a packet from a source until the announced move is applied, or the time is over.
    pub(crate) fn hold<'a>(
        &self,
        skb: Skb<'a>,
        source: &AddrKey,
        announced: &Announced,
    ) -> Held<'a> {
        if !skb.may_wait() {
            return Held::Not(skb);
        }
        // SAFETY: By the invariants of `Net` and `Skb`, and the key has the length of a key. When taken, the packet belongs to C and `skb`
        // is gone.
        let held = unsafe {
            raw::ihmp_hold(
                self.raw(),
                skb.raw(),
                skb.hook_state(),
                source.as_ptr(),
                announced.host,
                announced.until,
            )
        };
        match held {
            raw::ihmp_held_as_IHMP_HELD => Held::Waits,
            raw::ihmp_held_as_IHMP_HELD_LOST => Held::Lost,
            _ => Held::Not(skb),
        }
    }

    /// A move of a host to a source was applied: looks at the packets from there again. The caller may not hold locks of ours, but
    /// that of the configuration.
    pub(crate) fn release_held(&self, host: u32, source: &AddrKey) {
        let source = Aligned(*source);
        // SAFETY: By the invariant of `Net`; the key has the table's length.
        unsafe { raw::ihmp_hold_release(self.raw(), host, source.as_ptr()) }
    }
}
