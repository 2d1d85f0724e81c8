// SPDX-License-Identifier: GPL-2.0
//! Last-resort routes: identifiers of hosts stay routable when no other route is left, so that packets reach the module
//! and no socket sees an error in the gap of a move.

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

/// The names that hosts go by, and the routes that are there for them.
pub(crate) struct Fallback {
    device: u32,
    names: BTreeMap<u32, BTreeSet<IpAddr>>,
    routed: BTreeSet<IpAddr>,
    stale: bool,
}

impl Fallback {
    /// Makes what is missing; routes of an earlier agent are taken over.
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

    /// Makes again what is missing; how many routes were, if anything was.
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

    /// A host goes by these names now.
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

    /// Forgets all names; those that are still in use are said again.
    pub(crate) fn forget(&mut self) {
        self.names.clear();
        self.stale = true;
    }

    /// Brings the routes into line with the names. A route that cannot be made is tried again at the next change.
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
