// SPDX-License-Identifier: GPL-2.0
//! The devices, addresses and routes that the agent knows, and when it reads them from the kernel again.

use std::{
    collections::HashMap,
    net::IpAddr, //
};

use ihmp_core::{
    addr::Addr,
    time::{
        Duration,
        Instant, //
    },
};
use ihmp_engine::{
    Discretion,
    Input,
    Own as Known,
    Routes,
    Via, //
};
use ihmp_network::{
    Address,
    Counted,
    Filter,
    Groups,
    Link,
    Names,
    Rtnl, //
};
use mio::{
    Registry,
    Token, //
};

use super::failure::Failure;
use crate::{
    config::{
        Config,
        Interfaces, //
    },
    interfaces,
    io::{
        kernel::{
            addr,
            ip, //
        },
        monitor::Monitor,
    },
    own::{
        Device,
        Own, //
    },
};

/// Preference of an own address that the kernel would not choose as the source; the one that it would choose has 0.
const SECOND_CHOICE: u16 = 10;
/// How soon devices, addresses and routes are read again that changed while they were read.
const AGAIN: Duration = Duration::from_millis(50);
/// Devices are read at most so many times in a row, until two lists are the same. Later changes are reported by rtnetlink.
const DEVICE_LOOKS: usize = 3;

/// What is to be read from the kernel.
#[derive(Clone, Copy, Debug, Default)]
struct Due {
    /// When; `None` for not at all.
    at: Option<Instant>,
    /// Devices, not only addresses.
    links: bool,
    /// Routes, even if devices and addresses are what they were.
    routes: bool,
    /// The agent's own device, rules and routes.
    ours: bool,
}

/// One reading, from its beginning.
pub(super) struct Look {
    now: Instant,
    due: Due,
    /// How many requests had been sent to rtnetlink before it.
    before: u32,
}

impl Look {
    /// Whether somebody may have removed the agent's own device, rules or routes.
    pub(super) fn at_ours(&self) -> bool {
        self.due.ours
    }
}

/// What the engine was told last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Told {
    connected: Vec<(Addr, u8)>,
    local: Vec<Known>,
    discretion: Discretion,
    routes: Vec<Routes>,
}

impl Told {
    fn inputs(self) -> [Input<'static>; 3] {
        [
            Input::Connected(self.connected),
            Input::Discretion(self.discretion),
            Input::Network {
                local: self.local,
                routes: self.routes,
            },
        ]
    }
}

/// How packets from an own address leave for a peer.
enum Way {
    /// By this device, on a route with this metric.
    By(Device, u32),
    /// By a device that does not count.
    Diverted,
}

/// The machine's network, as far as it is known, and the sockets that hear of its changes.
pub(super) struct Network {
    rtnl: Rtnl,
    addresses: Monitor,
    routes: Monitor,
    filter: Filter,
    /// Devices whose messages matter.
    counted: Counted,
    /// The devices that count.
    links: Vec<Link>,
    /// VRFs, by number.
    vrfs: Vec<u32>,
    /// The addresses of the devices that count.
    addrs: Vec<Address>,
    /// Usable own addresses.
    local: Vec<Own>,
    /// The device by which packets from an own address (first) to a peer (second) leave.
    devices: HashMap<(IpAddr, IpAddr), Device>,
    due: Due,
    told: Option<Told>,
}

impl Network {
    /// Opens the socket for requests. Nothing is known yet, and no monitor is open. `names` says which devices count.
    pub(super) fn open(names: Names) -> Result<Self, Failure> {
        Ok(Self {
            rtnl: Rtnl::connect()?,
            addresses: Monitor::new(Groups::Addresses),
            routes: Monitor::new(Groups::Routes),
            filter: Filter::new(names),
            counted: Counted::default(),
            links: Vec::new(),
            vrfs: Vec::new(),
            addrs: Vec::new(),
            local: Vec::new(),
            devices: HashMap::new(),
            due: Due::default(),
            told: None,
        })
    }

    /// The socket for questions and orders.
    pub(super) fn rtnl(&mut self) -> &mut Rtnl {
        &mut self.rtnl
    }

    /// The device by which packets from an own address to a peer leave.
    pub(super) fn device(&self, from: IpAddr, to: IpAddr) -> Option<&Device> {
        self.devices.get(&(from, to))
    }

    /// When something is to be read next.
    pub(super) fn look_at(&self) -> Option<Instant> {
        let monitors = [self.addresses.back_at(), self.routes.back_at()];
        monitors.into_iter().flatten().chain(self.due.at).min()
    }

    /// Takes what the monitors have received. True when it is time to read what has changed: changes that came together are handled
    /// together.
    pub(super) fn hear(&mut self, now: Instant, config: &Interfaces) -> Result<bool, Failure> {
        let counts = |link: &Link| interfaces::may_count(config, link);
        for monitor in [&mut self.addresses, &mut self.routes] {
            let changes = monitor.drain(now, &mut self.counted, counts)?;
            if changes.overrun {
                tracing::warn!("event=overrun source=rtnetlink");
            }
            if changes.more {
                tracing::debug!("event=flood messages={}", changes.seen);
            }
            self.due.links |= changes.links || changes.overrun;
            self.due.routes |= changes.routes || changes.overrun;
            self.due.ours |= changes.ours || changes.overrun;
            self.due.at = self.due.at.into_iter().chain(monitor.look_at(now)).min();
        }
        Ok(self.due.at.is_some_and(|at| at <= now))
    }

    /// Replaces the names by which devices count; everything is to be read.
    pub(super) fn set_names(&mut self, names: Names) -> anyhow::Result<()> {
        self.filter.set_names(names);
        self.set_filter()?;
        self.due.links = true;
        self.due.routes = true;
        Ok(())
    }

    /// Routes are to be read, even if devices and addresses have not changed.
    pub(super) fn want_routes(&mut self) {
        self.due.routes = true;
    }

    /// Everything is to be read again soon, since it changed while it was read.
    pub(super) fn look_again(&mut self, now: Instant) {
        self.due = Due {
            at: Some(now.after(AGAIN)),
            links: true,
            routes: true,
            ours: true,
        };
    }

    /// Attaches the socket filter to both rtnetlink monitors.
    fn set_filter(&self) -> anyhow::Result<()> {
        self.addresses.set_filter(&self.filter)?;
        self.routes.set_filter(&self.filter)
    }

    /// Begins to read what is due. Monitors that were closed are opened first, so that no change is missed.
    pub(super) fn begin(
        &mut self,
        now: Instant,
        registry: &Registry,
        token: Token,
    ) -> Result<Look, Failure> {
        let before = self.rtnl.questions();
        let mut due = std::mem::take(&mut self.due);
        due.links |= self.addresses.resume(now, &self.filter, registry, token)?;
        due.routes |= self.routes.resume(now, &self.filter, registry, token)?;
        Ok(Look { now, due, before })
    }

    /// Reads what is due. Returns what the engine is to be told, if addresses or routes have changed.
    pub(super) fn look(
        &mut self,
        look: &Look,
        config: &Config,
        peers: impl FnOnce() -> Vec<Addr>,
    ) -> Result<Option<[Input<'static>; 3]>, Failure> {
        let mut changed = self.told.is_none();
        if look.due.links {
            changed |= self.look_at_devices(&config.interfaces)?;
        }
        changed |= self.look_at_addresses()?;
        let between = self.rtnl.questions();
        let mut told = None;
        if changed || look.due.routes {
            told = self.look_at_routes(config, peers())?;
        }
        let lists = between.wrapping_sub(look.before);
        let routes = self.rtnl.questions().wrapping_sub(between);
        self.addresses.looked(look.now, lists, routes);
        self.routes.looked(look.now, lists, routes);
        Ok(told)
    }

    /// Reads the devices; true if those that count have changed.
    fn look_at_devices(&mut self, config: &Interfaces) -> Result<bool, Failure> {
        let before = self.links.clone();
        for _ in 0..DEVICE_LOOKS {
            let mut links = self.rtnl.links()?;
            let counted = Counted::of(&links, |link| interfaces::counts(config, link, &links));
            let vrfs = links
                .iter()
                .filter(|link| link.kind.as_deref() == Some("vrf"));
            self.vrfs = vrfs.map(|link| link.index).collect();
            links.retain(|link| counted.has(link.index));
            (self.links, self.counted) = (links, counted);
            if !self.filter.set_counted(&self.counted) {
                break;
            }
            // The filter did not pass messages about this device until now, so the device may have changed since it was read: read again.
            self.set_filter()?;
        }
        Ok(self.links != before)
    }

    /// Reads the addresses; true if they have changed, or which of them can be used.
    fn look_at_addresses(&mut self) -> Result<bool, Failure> {
        let mut addrs = Vec::new();
        for link in &self.links {
            addrs.extend(self.rtnl.addresses(link.index)?);
        }
        // Addresses that were there when the agent started, or that it has used before, are taken as they are. A new one is used once
        // the kernel has its local route (see `Rtnl::is_local`), which rtnetlink reports.
        let first = self.told.is_none();
        let mut local = Vec::new();
        for own in interfaces::usable(&self.links, &self.vrfs, &addrs) {
            let index = own.device.as_ref().map(|device| device.index);
            let known = first || self.local.iter().any(|old| old.addr == own.addr);
            if known || self.rtnl.is_local(own.addr, index)? {
                local.push(own);
            }
        }
        let changed = self.local != local || self.addrs != addrs;
        (self.local, self.addrs) = (local, addrs);
        Ok(changed)
    }

    /// Asks the kernel for the routes to all peers. Returns what the engine is to be told, if it differs from what it was told last.
    fn look_at_routes(
        &mut self,
        config: &Config,
        peers: Vec<Addr>,
    ) -> Result<Option<[Input<'static>; 3]>, Failure> {
        if self
            .filter
            .set_peers(peers.iter().copied().map(ip).collect())
        {
            self.routes.set_filter(&self.filter)?;
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
            local: self.local.iter().map(known).collect(),
            discretion: config
                .tell()
                .discretion(&self.links, &self.addrs, &self.local),
            routes,
        };
        if self.told.as_ref() == Some(&told) {
            return Ok(None);
        }
        self.told = Some(told.clone());
        Ok(Some(told.inputs()))
    }

    /// Asks the kernel for the routes to a new peer.
    pub(super) fn ask(&mut self, peer: Addr) -> Result<Routes, Failure> {
        if self.filter.add_peer(ip(peer)) {
            self.routes.set_filter(&self.filter)?;
        }
        let routes = self.routes_to(peer)?;
        let told = self.told.iter_mut().flat_map(|told| &mut told.routes);
        for old in told.filter(|old| old.peer == peer) {
            old.clone_from(&routes);
        }
        Ok(routes)
    }

    /// The own addresses from which a peer can be reached, each by the device that has it. Routes by devices without a carrier do not
    /// matter.
    ///
    /// The most preferred one is the source address that the kernel would choose. If that is not among them, it is the one whose route has
    /// the lowest metric; of two with the same metric, an address of a real device goes before one of a loopback or dummy device. An
    /// address from which the kernel sends by a device that does not count, such as a tunnel, is marked as diverted: its packets must
    /// not leave outside of that tunnel.
    fn routes_to(&mut self, peer: Addr) -> Result<Routes, Failure> {
        let to = ip(peer);
        let chosen = self.rtnl.source_for(to)?;
        let (mut ways, mut diverted) = (Vec::new(), Vec::new());
        for own in self.local.clone() {
            if own.addr.is_ipv4() != to.is_ipv4() {
                continue;
            }
            match self.way(&own, to)? {
                None => (),
                Some(Way::By(device, metric)) => {
                    self.devices.insert((own.addr, to), device.clone());
                    ways.push((own.addr, device.index, (metric, own.device.is_none())));
                }
                Some(Way::Diverted) => diverted.push(Via {
                    diverted: true,
                    ..Via::new(addr(own.addr), u16::MAX)
                }),
            }
        }
        let usual = ways.iter().find(|(local, ..)| Some(*local) == chosen);
        let best = usual.or(ways.iter().min_by_key(|(.., metric)| *metric));
        let best = best.map(|(local, ..)| *local);
        let via = |(local, device, _): &(IpAddr, u32, (u32, bool))| Via {
            local: addr(*local),
            preference: if best == Some(*local) {
                0
            } else {
                SECOND_CHOICE
            },
            device: Some(*device),
            diverted: false,
        };
        let via = ways.iter().map(via).chain(diverted).collect();
        Ok(Routes { peer, via })
    }

    /// The device by which packets from an own address reach a peer, with the metric of the route.
    fn way(&mut self, own: &Own, to: IpAddr) -> Result<Option<Way>, Failure> {
        let vrf = own.device.as_ref().and_then(|device| device.vrf);
        let Some(usual) = self.rtnl.leaves_by(own.addr, to, vrf)? else {
            return Ok(None);
        };
        let Some(usual) = self.links.iter().find(|link| link.index == usual) else {
            return Ok(Some(Way::Diverted));
        };
        let by = match &own.device {
            Some(device) => vec![device.clone()],
            None if usual.up => vec![Device {
                index: usual.index,
                name: usual.name.clone(),
                vrf: None,
            }],
            // The kernel goes on to use routes by a device without a carrier, so all other devices are tried.
            None => self.outer(),
        };
        let mut best: Option<(Device, u32)> = None;
        for device in by {
            let route = self.rtnl.route_by(own.addr, to, device.index)?;
            let Some(metric) = route.map(|route| route.metric()) else {
                continue;
            };
            if best.as_ref().is_none_or(|(_, other)| metric < *other) {
                best = Some((device, metric));
            }
        }
        Ok(best.map(|(device, metric)| Way::By(device, metric)))
    }

    /// The devices with own addresses that can be used.
    fn outer(&self) -> Vec<Device> {
        let mut devices: Vec<Device> = Vec::new();
        for device in self.local.iter().filter_map(|own| own.device.as_ref()) {
            if !devices.contains(device) {
                devices.push(device.clone());
            }
        }
        devices
    }
}

fn known(own: &Own) -> Known {
    Known {
        addr: addr(own.addr),
        age: own.age,
    }
}
