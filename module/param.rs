// SPDX-License-Identifier: GPL-2.0

//! Settings of a namespace; each is read without a lock.

use crate::uapi;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// The settings; meanings and units are those of the attribute set `param`.
pub(crate) struct Params {
    pub(crate) discovery: Atomic<u32>,
    pub(crate) port: Atomic<u32>,
    pub(crate) max_hosts: Atomic<u32>,
    pub(crate) max_flows: Atomic<u32>,
    pub(crate) udp_timeout: Atomic<u32>,
    pub(crate) hold_time: Atomic<u32>,
    pub(crate) scheduler: Atomic<u32>,
    pub(crate) path_timeout: Atomic<u32>,
    pub(crate) max_nats: Atomic<u32>,
    pub(crate) enabled: Atomic<u32>,
}

impl Params {
    /// The defaults, but no table is larger than where these are the `bounds`.
    pub(crate) fn new(bounds: Option<&Self>) -> Self {
        let most = |default: u32, bound: fn(&Self) -> &Atomic<u32>| {
            let bound = bounds.map(|bounds| bound(bounds).load(Relaxed));
            Atomic::new(bound.map_or(default, |bound| default.min(bound)))
        };
        Self {
            discovery: Atomic::new(0),
            port: Atomic::new(uapi::DEFAULT_PORT.into()),
            max_hosts: most(65_536, |bounds| &bounds.max_hosts),
            max_flows: most(1_048_576, |bounds| &bounds.max_flows),
            udp_timeout: Atomic::new(180),
            hold_time: Atomic::new(250),
            scheduler: Atomic::new(uapi::Scheduler::Backup.number()),
            path_timeout: Atomic::new(0),
            max_nats: most(65_536, |bounds| &bounds.max_nats),
            enabled: Atomic::new(1),
        }
    }

    /// Whether flows to unknown addresses are looked at.
    pub(crate) fn discovers(&self) -> bool {
        self.discovery.load(Relaxed) != 0 && self.is_on()
    }

    /// Whether new flows take part: see [`crate::switch`].
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.enabled.load(Relaxed) != 0
    }
}
