// SPDX-License-Identifier: GPL-2.0
//! Former addresses that a router keeps for us: on our device, so that packets to them are accepted, and leave with them
//! for a source.

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

/// What the engine holds, and what is on the device.
pub(crate) struct Held {
    device: u32,
    wanted: BTreeSet<IpAddr>,
    there: BTreeSet<IpAddr>,
    /// Left by an earlier agent; hosts use them until their peers have been told of another address.
    left: BTreeSet<IpAddr>,
    /// Own addresses that the kernel uses towards a host, where they are such ones.
    used: BTreeMap<u32, BTreeSet<IpAddr>>,
    stale: bool,
}

impl Held {
    /// Takes note of what an earlier agent has left on our device.
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

    /// Our device is another one, and has none of them.
    pub(crate) fn renew(&mut self, device: u32) {
        self.device = device;
        self.there.clear();
        self.stale = true;
    }

    /// A router brings what is sent to this address.
    pub(crate) fn hold(&mut self, addr: IpAddr) {
        self.stale |= self.wanted.insert(addr);
    }

    /// It does not any more.
    pub(crate) fn release(&mut self, addr: IpAddr) {
        self.stale |= self.wanted.remove(&addr);
    }

    /// The kernel's entry of a host, as it is now.
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

    /// Forgets all hosts; those that are there are seen again.
    pub(crate) fn forget(&mut self) {
        self.used.clear();
        self.stale = true;
    }

    /// Brings the device into line. What cannot be added is tried again at the next change.
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
