// SPDX-License-Identifier: GPL-2.0
//! Former addresses of this machine whose packets a router forwards to us. They are on the agent's own device, so that packets to them are
//! accepted, and packets from them can leave.

use std::{
    collections::{
        BTreeMap,
        BTreeSet, //
    },
    net::IpAddr,
};

use ihmp_network::{
    held,
    Error,
    Rtnl, //
};
use ihmp_nl::{
    AddrSet,
    Host, //
};

/// The addresses that the engine wants on the device, and those that are there.
pub(crate) struct Held {
    device: u32,
    wanted: BTreeSet<IpAddr>,
    there: BTreeSet<IpAddr>,
    /// Addresses that an earlier agent left there. They stay as long as the module uses them towards a host.
    left: BTreeSet<IpAddr>,
    /// For each host, those of `left` that the module uses towards it.
    used: BTreeMap<u32, BTreeSet<IpAddr>>,
    stale: bool,
}

impl Held {
    /// Reads what an earlier agent has left on the device.
    pub(crate) fn new(device: u32, rtnl: &mut Rtnl) -> Result<Self, Error> {
        let left: BTreeSet<IpAddr> = held::list(rtnl, device)?.into_iter().collect();
        Ok(Self {
            device,
            wanted: BTreeSet::new(),
            there: left.clone(),
            left,
            used: BTreeMap::new(),
            stale: true,
        })
    }

    /// The device was made anew, and has no addresses.
    pub(crate) fn renew(&mut self, device: u32) {
        self.device = device;
        self.there.clear();
        self.stale = true;
    }

    /// A router forwards packets for this address to us.
    pub(crate) fn hold(&mut self, addr: IpAddr) {
        self.stale |= self.wanted.insert(addr);
    }

    /// No router forwards packets for this address any more.
    pub(crate) fn release(&mut self, addr: IpAddr) {
        self.stale |= self.wanted.remove(&addr);
    }

    /// The module's entry of a host, as it is now.
    pub(crate) fn see(&mut self, host: &Host) {
        if self.left.is_empty() {
            return;
        }
        let local = host
            .addrs
            .iter()
            .filter(|entry| entry.set == AddrSet::Local);
        let used: BTreeSet<IpAddr> = local
            .map(|entry| entry.addr)
            .filter(|addr| self.left.contains(addr))
            .collect();
        if used.is_empty() {
            self.stale |= self.used.remove(&host.id).is_some();
        } else {
            self.stale |= self.used.insert(host.id, used.clone()) != Some(used);
        }
    }

    /// The host is gone.
    pub(crate) fn remove(&mut self, id: u32) {
        self.stale |= self.used.remove(&id).is_some();
    }

    /// Forgets all hosts. The caller shows those again that are there.
    pub(crate) fn forget(&mut self) {
        self.used.clear();
        self.stale = true;
    }

    /// Adds the addresses that are missing and removes those that are not needed. An address that cannot be added is tried again at the
    /// next change.
    pub(crate) fn apply(&mut self, rtnl: &mut Rtnl) {
        if !std::mem::take(&mut self.stale) {
            return;
        }
        let used = &self.used;
        self.left
            .retain(|addr| used.values().any(|used| used.contains(addr)));
        let wanted: BTreeSet<IpAddr> = self.wanted.union(&self.left).copied().collect();
        for addr in wanted.difference(&self.there) {
            if let Err(error) = held::add(rtnl, self.device, *addr) {
                tracing::warn!("event=address-failed addr={addr} error=\"{error}\"");
            }
        }
        for addr in self.there.difference(&wanted) {
            if let Err(error) = held::del(rtnl, self.device, *addr) {
                tracing::warn!("event=address-failed addr={addr} error=\"{error}\"");
            }
        }
        self.there = wanted;
    }
}
