// SPDX-License-Identifier: GPL-2.0
//! Last-resort routes: the addresses that sockets have for a host stay routable when no other route is left. So packets reach the
//! module, and no socket gets an error while a move leaves the machine without a network.

use std::{
    collections::{
        BTreeMap,
        BTreeSet, //
    },
    net::IpAddr,
};

use ihmp_network::{
    last_resort,
    Error,
    Rtnl, //
};

/// The addresses that sockets may have for each host, and the last-resort routes that exist.
pub(crate) struct Fallback {
    device: u32,
    names: BTreeMap<u32, BTreeSet<IpAddr>>,
    routed: BTreeSet<IpAddr>,
    stale: bool,
}

impl Fallback {
    /// Makes the device and the rules that are missing, and takes over the routes of an earlier agent.
    pub(crate) fn new(rtnl: &mut Rtnl) -> Result<Self, Error> {
        let device = last_resort::ensure(rtnl)?.device;
        let routed = last_resort::list(rtnl)?.into_iter().collect();
        Ok(Self {
            device,
            names: BTreeMap::new(),
            routed,
            stale: true,
        })
    }

    /// The device's number.
    pub(crate) fn device(&self) -> u32 {
        self.device
    }

    /// Makes again what somebody has removed. Returns how many routes were missing, or `None` if nothing was.
    pub(crate) fn restore(&mut self, rtnl: &mut Rtnl) -> Result<Option<usize>, Error> {
        let device = self.device;
        let made = last_resort::ensure(rtnl)?;
        self.device = made.device;
        let there: BTreeSet<IpAddr> = last_resort::list(rtnl)?.into_iter().collect();
        let lost = self.routed.difference(&there).count();
        self.routed = there;
        self.stale |= lost > 0;
        self.apply(rtnl);
        let missing = lost > 0 || made.missing || self.device != device;
        Ok(missing.then_some(lost))
    }

    /// Sockets may have these addresses for a host from now on.
    pub(crate) fn set(&mut self, id: u32, names: impl IntoIterator<Item = IpAddr>) {
        let names = names.into_iter().collect();
        if self.names.get(&id) != Some(&names) {
            self.names.insert(id, names);
            self.stale = true;
        }
    }

    /// The host is gone.
    pub(crate) fn remove(&mut self, id: u32) {
        self.stale |= self.names.remove(&id).is_some();
    }

    /// Forgets all hosts. The caller sets those again that are there.
    pub(crate) fn forget(&mut self) {
        self.names.clear();
        self.stale = true;
    }

    /// Adds the routes that are missing and removes those that are not needed. A route that cannot be made is tried again at the next
    /// change.
    pub(crate) fn apply(&mut self, rtnl: &mut Rtnl) {
        if !std::mem::take(&mut self.stale) {
            return;
        }
        let wanted: BTreeSet<IpAddr> = self.names.values().flatten().copied().collect();
        for addr in wanted.difference(&self.routed) {
            if let Err(error) = last_resort::add(rtnl, self.device, *addr) {
                tracing::warn!("event=route-failed addr={addr} error=\"{error}\"");
            }
        }
        for addr in self.routed.difference(&wanted) {
            if let Err(error) = last_resort::del(rtnl, self.device, *addr) {
                tracing::warn!("event=route-failed addr={addr} error=\"{error}\"");
            }
        }
        self.routed = wanted;
    }
}
