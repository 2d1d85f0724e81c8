// SPDX-License-Identifier: GPL-2.0

//! A move is announced, and applied.

use crate::{
    ffi::{
        clock,
        hold::Announced, //
    },
    host::Host,
    netns::Netns, //
};
use ihmp_core::{
    addr::Addr,
    sets::Role, //
};
use kernel::sync::{
    atomic::Relaxed,
    rcu::{
        self,
        Guard, //
    },
};

/// Milliseconds after packets have waited in vain for which the same announcement is none.
const QUIET_MS: u64 = 4_000;

impl Netns {
    /// A message says that a host is at `source`, by a NAT that tells of its ports or without one.
    pub(crate) fn announce(
        &self,
        host: &Host,
        source: Addr,
        natted: bool,
        hold_ms: u32,
        guard: &Guard,
    ) {
        let until = clock::jiffies().saturating_add(clock::from_ms(hold_ms.into()));
        let announced = Announced {
            host: host.id(),
            natted,
            until,
        };
        let forget = until.saturating_add(clock::from_ms(QUIET_MS));
        if self
            .net
            .announce(&source.octets(), &announced, forget, guard)
        {
            self.pending.latest.store(until, Relaxed);
        }
    }

    /// The announced moves to `source` for which packets wait.
    pub(crate) fn announced<'a>(
        &'a self,
        source: Addr,
        guard: &'a Guard,
    ) -> impl Iterator<Item = Announced> + 'a {
        let now = clock::jiffies();
        self.net
            .announced(source.octets(), guard)
            .filter(move |announced| announced.until > now)
    }

    /// What has waited for a host at one of its addresses goes on. By the holder of the configuration lock.
    pub(crate) fn release_held(&self, host: &Host) {
        for at in 0.. {
            let guard = rcu::read_lock();
            let entry = host.view.read(&guard).list(Role::Active).get(at);
            let Some(addr) = entry.map(|entry| entry.addr) else {
                return;
            };
            drop(guard);
            self.net.release_held(host.id(), &addr.octets());
        }
    }
}
