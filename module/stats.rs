// SPDX-License-Identifier: GPL-2.0

//! Counters of a namespace: one for each reason, and one for each thing that went well.

use crate::netns::Netns;
use ihmp_core::verdict::Reason;

/// What is counted beside the reasons.
#[derive(Clone, Copy)]
#[repr(usize)]
pub(crate) enum Counter {
    OutTranslated = Reason::COUNT,
    OutUnchanged,
    InTranslated,
    InUnchanged,
    IcmpOut,
    IcmpIn,
    PortMapped,
    TcpWoken,
    Discovered,
    FlowsMade,
    FlowsExpired,
    Unreachable,
}

const _: () = assert!((Counter::Unreachable as usize) < crate::ffi::net::COUNTERS);

impl Netns {
    /// Counts one event.
    #[inline]
    pub(crate) fn count(&self, counter: Counter) {
        self.net.count(counter as usize, 1);
    }

    /// Counts a refusal.
    pub(crate) fn refuse(&self, reason: Reason) {
        self.net.count(reason.index(), 1);
    }

    /// A counter's value.
    pub(crate) fn counted(&self, counter: Counter) -> u64 {
        self.net.counted(counter as usize)
    }

    /// How often a reason applied.
    pub(crate) fn refused(&self, reason: Reason) -> u64 {
        self.net.counted(reason.index())
    }
}
