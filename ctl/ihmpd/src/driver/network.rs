// SPDX-License-Identifier: GPL-2.0
//! What the loop knows of devices, addresses and routes, and when it looks at them.

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

/// Preference of own addresses that the kernel would not choose as a source.
const SECOND_CHOICE: u16 = 10;
/// How soon there is another look where lists changed while they were made.
const AGAIN: Duration = Duration::from_millis(50);
/// Looks at the devices until two of them agree; what changes after that many is told.
const DEVICE_LOOKS: usize = 3;

/// What is to be looked at.
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

/// A look that has begun.
pub(super) struct Look {
    now: Instant,
    due: Due,
    /// Questions before it.
    before: u32,
}

impl Look {
    /// Whether the agent's own device, rules and routes may not be there any more.
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
    /// By which device packets from an own address to a peer leave.
    devices: HashMap<(IpAddr, IpAddr), Device>,
    due: Due,
    told: Option<Told>,
}

impl Network {
    /// Nothing is known, and nobody listens yet; devices count by these names.
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

    /// When addresses and routes are to be looked at.
    pub(super) fn look_at(&self) -> Option<Instant> {
        let monitors = [self.addresses.back_at(), self.routes.back_at()];
        monitors.into_iter().flatten().chain(self.due.at).min()
    }

    /// Links, addresses or routes changed. True when it is time to look: all that is known by now is one batch.
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

    /// Devices count by other names: all is to be looked at.
    pub(super) fn set_names(&mut self, names: Names) -> anyhow::Result<()> {
        self.filter.set_names(names);
        self.set_filter()?;
        self.due.links = true;
        self.due.routes = true;
        Ok(())
    }

    /// Routes are to be looked at, whatever else there is.
    pub(super) fn want_routes(&mut self) {
        self.due.routes = true;
    }

    /// All is to be looked at again soon: lists changed while they were made.
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

    /// Begins a look at what is due: listens first.
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

    /// Looks at what is due; what the engine is to be told of the addresses and routes of now, if they are others.
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

    /// True when devices that count are not what they were.
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
            // What happened to a device before it was listened to is seen by looking again.
            self.set_filter()?;
        }
        Ok(self.links != before)
    }

    /// True when addresses, or which of them can be used, are not what they were.
    fn look_at_addresses(&mut self) -> Result<bool, Failure> {
        let mut addrs = Vec::new();
        for link in &self.links {
            addrs.extend(self.rtnl.addresses(link.index)?);
        }
        // Those that were there before us, and those that were accepted once, are in use; of others the route's coming is told.
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

    /// Asks for the routes to all peers; what the engine is to be told, if that is something else than before.
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

    /// A new peer: the routes to it.
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

    /// The own addresses that reach a peer, each by its own device, whatever routes there are by devices that are dead.
    ///
    /// The first choice is the one that the kernel would take for a source; if that is not among them, the one whose route
    /// has the lowest metric, rather one that the device has. An address from which packets would leave by a device that does
    /// not count, a tunnel for instance, is for that device alone: what is meant for a tunnel does not go beside it.
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

    /// By which device packets from an own address reach a peer, and how good the route is.
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
            // The kernel goes on to use routes by a device that has no carrier.
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
