// SPDX-License-Identifier: GPL-2.0
//! What the loop knows of devices, addresses and routes, and when it looks at them.

use ihmp_core::{
    addr::Addr,
    time::Instant, //
};
use ihmp_engine::{
    Input,
    Routes,
    Via, //
};
use ihmp_nl::{
    rtnl::{
        Link,
        Rtnl, //
    },
    Counted,
    Error, //
};

use super::{
    Driver,
    Fatal,
    NETWORK, //
};
use crate::{
    interfaces::{
        self,
        Own, //
    },
    io::kernel::{
        addr,
        ip, //
    },
};

/// Preference of own addresses that the kernel would not choose as a source.
const SECOND_CHOICE: u16 = 10;
/// Looks at the devices until two of them agree; what changes after that many is told.
const DEVICE_LOOKS: usize = 3;

/// What is to be looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Due {
    /// When; `None` for not at all.
    pub(super) at: Option<Instant>,
    /// Devices, not only addresses.
    pub(super) links: bool,
    /// Routes, even if devices and addresses are what they were.
    pub(super) routes: bool,
}

/// What the engine was told last.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) connected: Vec<(Addr, u8)>,
    pub(super) local: Vec<Addr>,
    pub(super) routes: Vec<Routes>,
}

impl Driver<'_> {
    /// When addresses and routes are to be looked at.
    pub(super) fn look_at(&self) -> Option<Instant> {
        let ears = [self.addresses.back_at(), self.routes.back_at()];
        ears.into_iter().flatten().chain(self.due.at).min()
    }

    /// Links, addresses or routes changed. All that is known by now is one batch.
    pub(super) fn take_changes(&mut self) -> Result<(), Fatal> {
        let now = self.clock.now();
        let config = &self.config.interfaces;
        let counts = |name: &str| interfaces::counts(config, name);
        for ear in [&mut self.addresses, &mut self.routes] {
            let changes = ear.drain(now, &mut self.counted, counts)?;
            if changes.overrun {
                tracing::warn!("event=overrun source=rtnetlink");
            }
            if changes.more {
                tracing::debug!("event=flood messages={}", changes.seen);
            }
            self.due.links |= changes.links || changes.overrun;
            self.due.routes |= changes.routes || changes.overrun;
            self.due.at = self.due.at.into_iter().chain(ear.look_at(now)).min();
        }
        if self.due.at.is_some_and(|at| at <= now) {
            self.network()?;
            self.perform()?;
        }
        Ok(())
    }

    /// Has both ears listen to what passes the sieve.
    pub(super) fn sift(&self) -> anyhow::Result<()> {
        self.addresses.sift(&self.sieve)?;
        self.routes.sift(&self.sieve)
    }

    /// Looks at what is due, and tells the engine the addresses and routes of now, if they are others.
    pub(super) fn network(&mut self) -> Result<(), Fatal> {
        let (now, before) = (self.clock.now(), self.rtnl.questions());
        let mut due = std::mem::take(&mut self.due);
        let registry = self.poll.registry();
        // Listen first, then look.
        due.links |= self.addresses.resume(now, &self.sieve, registry, NETWORK)?;
        due.routes |= self.routes.resume(now, &self.sieve, registry, NETWORK)?;
        let mut changed = self.told.is_none();
        if due.links {
            changed |= self.look_at_devices()?;
        }
        changed |= self.look_at_addresses()?;
        let between = self.rtnl.questions();
        if changed || due.routes {
            self.look_at_routes()?;
        }
        let lists = between.wrapping_sub(before);
        let routes = self.rtnl.questions().wrapping_sub(between);
        self.addresses.looked(now, lists, routes);
        self.routes.looked(now, lists, routes);
        Ok(())
    }

    /// True when devices that count are not what they were.
    fn look_at_devices(&mut self) -> Result<bool, Fatal> {
        let before = std::mem::take(&mut self.links);
        for _ in 0..DEVICE_LOOKS {
            let config = &self.config.interfaces;
            let counts = |name: &str| interfaces::counts(config, name);
            let mut links = self.rtnl.links()?;
            self.counted = Counted::of(&links, counts);
            links.retain(|link| counts(&link.name));
            self.links = links;
            if self.counted == self.sieve.counted {
                break;
            }
            // What happened to a device before it was listened to is seen by looking again.
            self.sieve.counted.clone_from(&self.counted);
            self.sift()?;
        }
        Ok(self.links != before)
    }

    /// True when addresses, or which of them can be used, are not what they were.
    fn look_at_addresses(&mut self) -> Result<bool, Fatal> {
        let mut addrs = Vec::new();
        for link in self.links.iter().filter(|link| !link.loopback) {
            addrs.extend(self.rtnl.addresses(link.index)?);
        }
        // Those that were there before us, and those that were accepted once, are in use; of others the route's coming is told.
        let first = self.told.is_none();
        let before = std::mem::take(&mut self.local);
        for own in interfaces::usable(&self.config.interfaces, &self.links, &addrs) {
            let index = own.device.as_ref().map(|device| device.index);
            let known = first || before.iter().any(|old| old.addr == own.addr);
            if known || self.rtnl.is_local(own.addr, index)? {
                self.local.push(own);
            }
        }
        let changed = self.local != before || self.addrs != addrs;
        self.addrs = addrs;
        Ok(changed)
    }

    /// Asks for the routes to all peers.
    fn look_at_routes(&mut self) -> Result<(), Fatal> {
        let peers = self.engine.peers();
        if self
            .sieve
            .set_peers(peers.iter().copied().map(ip).collect())
        {
            self.routes.sift(&self.sieve)?;
        }
        self.devices.clear();
        let mut routes = Vec::new();
        for peer in peers {
            routes.push(self.routes_to(peer)?);
        }
        let connected = self.addrs.iter().filter(|entry| {
            let own = |own: &Own| own.addr == entry.addr;
            self.local.iter().any(own)
        });
        let told = Told {
            connected: connected
                .map(|entry| (addr(entry.addr), entry.prefix_len))
                .collect(),
            local: self.local.iter().map(|own| addr(own.addr)).collect(),
            routes,
        };
        if self.told.as_ref() == Some(&told) {
            return Ok(());
        }
        self.tell(Input::Connected(told.connected.clone()))?;
        self.tell(Input::Network {
            local: told.local.clone(),
            routes: told.routes.clone(),
        })?;
        self.told = Some(told);
        Ok(())
    }

    /// The own addresses that reach a peer by their own device; first the one that the kernel would choose.
    pub(super) fn routes_to(&mut self, peer: Addr) -> Result<Routes, Fatal> {
        let to = ip(peer);
        let chosen = self.rtnl.source_for(to)?;
        let mut via = Vec::new();
        for own in &self.local {
            let family = own.addr.is_ipv4() == to.is_ipv4();
            let index = own.device.as_ref().map(|device| device.index);
            if !family || !self.rtnl.reaches(own.addr, to, index)? {
                continue;
            }
            // What is sent there waits for a neighbour that does not answer, and TCP does not send it again meanwhile.
            let leaves = self.rtnl.leaves_by(own.addr, to)?;
            if match leaves {
                Some(device) => is_dead(&self.links, &mut self.rtnl, device)?,
                None => false,
            } {
                continue;
            }
            if let Some(device) = &own.device {
                self.devices.insert((own.addr, to), device.clone());
            }
            let preference = if Some(own.addr) == chosen {
                0
            } else {
                SECOND_CHOICE
            };
            via.push(Via {
                local: addr(own.addr),
                preference,
            });
        }
        Ok(Routes { peer, via })
    }
}

/// Whether a device has no carrier. The kernel goes on to use routes by it.
fn is_dead(links: &[Link], rtnl: &mut Rtnl, index: u32) -> Result<bool, Error> {
    Ok(match links.iter().find(|link| link.index == index) {
        Some(link) => !link.up,
        // It does not count, so what happens to it is not told.
        None => rtnl.link(index)?.is_some_and(|link| !link.up),
    })
}
