// SPDX-License-Identifier: GPL-2.0

//! Between which addresses the packets of a flow were seen, and since when.

use super::{
    opening::Start,
    silence::Silence, //
};
use crate::{
    ffi::clock,
    host::Host, //
};
use ihmp_core::flow::FlowKey;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// Milliseconds for which it may not be known yet that an address has another owner.
const FRESH_MS: u64 = 1_000;

/// Milliseconds after the last packet from a host for which a router's word that it cannot be reached is not believed.
const GOING_ON_MS: u64 = 10_000;

/// What was seen of a flow; numbers are marks of [`ihmp_core::ends`].
pub(crate) struct Seen {
    /// When the flow was first seen, in jiffies.
    made: u64,
    /// Number of what had happened to addresses when the flow began; 0 when it is older than we know.
    born: u64,
    /// Number since which the flow is known to be at its foreign identifier; 0 when it was heard from another address.
    since: Atomic<u64>,
    /// The host has been told of the local identifier.
    known: Atomic<bool>,
    /// When the host was last heard on the flow, in jiffies; 0 when it never was.
    heard: Atomic<u64>,
    /// A packet of the flow was to be sent.
    sent: Atomic<bool>,
    /// Packets of the flow come to another address than the local identifier.
    here: Atomic<bool>,
    /// Packets of the flow come from another address than the foreign identifier.
    there: Atomic<bool>,
    /// The socket had a flow with the host from another own address before.
    continues: Atomic<bool>,
    /// When the last packet passed, in jiffies.
    last: Atomic<u64>,
    /// Since when nothing comes back.
    pub(crate) silence: Silence,
}

impl Seen {
    /// A flow of which the first packet is seen, when what happens to addresses is at this number.
    pub(super) fn new(start: Start, number: u64, known: bool) -> Self {
        let born = match start {
            Start::Joins => 0,
            _ => number,
        };
        // An accepted connection follows its host when that leaves the address. If another host turns up there, `born` decides whose it is.
        let since = match start {
            Start::Accepted => 0,
            _ => born,
        };
        let now = clock::jiffies();
        Self {
            made: now,
            born,
            since: Atomic::new(since),
            known: Atomic::new(known),
            heard: Atomic::new(0),
            sent: Atomic::new(false),
            here: Atomic::new(false),
            there: Atomic::new(false),
            continues: Atomic::new(false),
            last: Atomic::new(now),
            silence: Silence::new(),
        }
    }

    /// Whether the local identifier was found to be an address of ours towards the host.
    #[inline]
    pub(super) fn is_known(&self) -> bool {
        self.known.load(Relaxed)
    }

    /// The local identifier is an address of ours towards the host.
    #[inline]
    pub(crate) fn note_known(&self) {
        if !self.known.load(Relaxed) {
            self.known.store(true, Relaxed);
        }
    }

    /// Number since which the flow is known to be at its foreign identifier; 0 when it was heard from another address.
    #[inline]
    pub(crate) fn since(&self) -> u64 {
        self.since.load(Relaxed)
    }

    /// Whether the flow is known to have begun just before its host gave up an address, or later.
    pub(super) fn began_before_move(&self, host: &Host) -> bool {
        self.born != 0 && clock::to_ms(host.moves.moved().saturating_sub(self.made)) < FRESH_MS
    }

    /// Whether a packet between these addresses was expected by a flow with this key.
    #[inline]
    pub(super) fn expects(&self, key: &FlowKey, wire: &FlowKey) -> bool {
        (key.laddr == wire.laddr || self.roams_here())
            && (key.faddr == wire.faddr || self.roams_there())
    }

    /// A packet came from and to these addresses, on a flow with this key.
    pub(super) fn roam(&self, key: &FlowKey, wire: &FlowKey) {
        if key.laddr != wire.laddr {
            self.here.store(true, Relaxed);
        }
        if key.faddr != wire.faddr {
            self.there.store(true, Relaxed);
        }
    }

    /// A packet came from the foreign identifier, which the host had left, at this number.
    pub(crate) fn hear_there(&self, number: u64) {
        self.since.store(number, Relaxed);
    }

    /// A packet came from another address of the host.
    #[inline]
    pub(crate) fn hear_elsewhere(&self) {
        if self.since() != 0 {
            self.since.store(0, Relaxed);
        }
    }

    /// Notes that a packet passed.
    #[inline]
    pub(crate) fn touch(&self, now: u64) {
        if self.last.load(Relaxed) != now {
            self.last.store(now, Relaxed);
        }
    }

    /// Jiffies since the last packet.
    pub(crate) fn idle(&self, now: u64) -> u64 {
        now.saturating_sub(self.last.load(Relaxed))
    }

    /// The host was heard on the flow.
    #[inline]
    pub(crate) fn hear(&self, now: u64) {
        if self.heard.load(Relaxed) != now {
            self.heard.store(now, Relaxed);
        }
    }

    /// A packet of the flow is to be sent.
    #[inline]
    pub(crate) fn note_sent(&self) {
        if !self.was_sent() {
            self.sent.store(true, Relaxed);
        }
    }

    /// Whether there was one.
    #[inline]
    pub(crate) fn was_sent(&self) -> bool {
        self.sent.load(Relaxed)
    }

    /// Whether the host was ever heard on the flow.
    #[inline]
    pub(crate) fn was_heard(&self) -> bool {
        self.heard.load(Relaxed) != 0
    }

    /// Whether the flow began here and continues no other one, and the host was not heard on it yet.
    #[inline]
    pub(crate) fn awaits_first_answer(&self) -> bool {
        !self.was_heard() && self.born != 0 && !self.continues.load(Relaxed)
    }

    /// The socket, which is bound to no address, had a flow with the host from another own address before.
    pub(crate) fn note_continues(&self) {
        self.continues.store(true, Relaxed);
    }

    /// Whether packets were seen in both directions.
    pub(crate) fn is_answered(&self) -> bool {
        self.was_sent() && self.was_heard()
    }

    /// Whether the host was heard on the flow so shortly ago that it may be leaving the address that a router cannot reach.
    pub(crate) fn is_going_on(&self, now: u64) -> bool {
        match self.heard.load(Relaxed) {
            0 => false,
            heard => clock::to_ms(now.saturating_sub(heard)) < GOING_ON_MS,
        }
    }

    /// Whether the host was not heard on the flow since this time in jiffies.
    pub(crate) fn is_unheard(&self, since: u64) -> bool {
        self.heard.load(Relaxed) <= since
    }

    /// Age to compare with marks of local addresses. A flow that never heard the host counts as newest and does not leave: this machine's
    /// own netfilter may have sent it elsewhere.
    #[inline]
    pub(crate) fn age(&self) -> u64 {
        match self.heard.load(Relaxed) {
            0 => u64::MAX,
            _ => self.born,
        }
    }

    /// Whether the flow was heard from its foreign identifier at this number or later; or began then, and was never heard from
    /// elsewhere.
    pub(crate) fn is_younger(&self, mark: u64) -> bool {
        self.since() >= mark || (!self.roams_there() && self.born >= mark)
    }

    /// Whether packets come to another address than the local identifier, or will.
    #[inline]
    pub(crate) fn roams_here(&self) -> bool {
        self.here.load(Relaxed)
    }

    /// Whether packets came from another address than the foreign identifier.
    #[inline]
    pub(crate) fn roams_there(&self) -> bool {
        self.there.load(Relaxed)
    }

    /// Our end goes away.
    #[inline]
    pub(crate) fn leave_here(&self) {
        if !self.here.load(Relaxed) {
            self.here.store(true, Relaxed);
        }
    }
}
