// SPDX-License-Identifier: GPL-2.0
//! The module's table of hosts: its events become inputs of the engine, and the engine's changes are written into it.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    os::fd::{
        AsRawFd,
        RawFd, //
    },
};

use ihmp_core::addr::Addr;
use ihmp_engine::{
    Change,
    Engine,
    Input,
    KernelHost,
    Record, //
};
use ihmp_network::Rtnl;
use ihmp_nl::{
    AddrSet,
    Client,
    Error,
    Event,
    Events,
    Host,
    HostAddr,
    HostRequest,
    HostState,
    Nat,
    ParamRequest, //
};

use super::failure::Failure;
use crate::io::{
    fallback::Fallback,
    held::Held,
    kernel::{
        addr,
        adopted,
        ip,
        nat,
        request,
        traffic, //
    },
};

/// linux/errno.h
const EEXIST: i32 = 17;
const ENOENT: i32 = 2;

/// An input for the engine.
type Told = Input<'static>;

/// The module's table, and the routes and addresses on the agent's own device for the hosts in it.
pub(super) struct Table {
    client: Client,
    events: Events,
    fallback: Fallback,
    held: Held,
    /// New flows take part: the administrator has not switched this machine off.
    enabled: bool,
}

impl Table {
    /// Makes the agent's own device. No host is known yet.
    pub(super) fn new(events: Events, client: Client, rtnl: &mut Rtnl) -> Result<Self, Failure> {
        let fallback = Fallback::new(rtnl)?;
        let held = Held::new(fallback.device(), rtnl)?;
        Ok(Self {
            client,
            events,
            fallback,
            held,
            enabled: true,
        })
    }

    /// The descriptor to wait for.
    pub(super) fn fd(&self) -> RawFd {
        self.events.as_raw_fd()
    }

    /// Whether new flows take part.
    pub(super) fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Has the module report new flows to unknown addresses; `off` also switches the machine off.
    pub(super) fn discover(&mut self, port: u16, off: bool) -> Result<(), Failure> {
        self.client.param_set(&ParamRequest {
            discovery: Some(true),
            port: Some(port),
            enabled: off.then_some(false),
            ..ParamRequest::default()
        })?;
        Ok(())
    }

    /// The module no longer reports new flows.
    pub(super) fn stop(&mut self) -> Result<(), Failure> {
        self.client.param_set(&ParamRequest {
            discovery: Some(false),
            ..ParamRequest::default()
        })?;
        Ok(())
    }

    /// Makes the agent's device, rules and routes again where somebody has removed them.
    pub(super) fn restore(&mut self, rtnl: &mut Rtnl) -> Result<(), Failure> {
        let device = self.fallback.device();
        let routes = self.fallback.restore(rtnl)?;
        let made = self.fallback.device() != device;
        if made {
            self.held.renew(self.fallback.device());
        }
        if let Some(routes) = routes {
            tracing::info!("event=restored routes={routes}");
        }
        Ok(())
    }

    /// Adds and removes the routes and addresses on the agent's device, as the hosts now need them.
    pub(super) fn apply(&mut self, rtnl: &mut Rtnl) {
        self.fallback.apply(rtnl);
        self.held.apply(rtnl);
    }

    /// A router forwards packets for this former address to us: puts it on the agent's device at once.
    pub(super) fn hold(&mut self, addr: Addr, rtnl: &mut Rtnl) {
        self.held.hold(ip(addr));
        self.held.apply(rtnl);
    }

    /// No router forwards packets for this address any more.
    pub(super) fn release(&mut self, addr: Addr) {
        self.held.release(ip(addr));
    }

    /// All hosts of the kernel.
    pub(super) fn all(&mut self) -> Result<Told, Failure> {
        let hosts = self.hosts()?;
        Ok(Input::Kernel { hosts })
    }

    fn hosts(&mut self) -> Result<Vec<KernelHost>, Failure> {
        let hosts = self.client.hosts()?;
        self.fallback.forget();
        self.held.forget();
        let mut known = Vec::new();
        for host in &hosts {
            self.held.see(host);
            if host.state == HostState::Up {
                self.fallback.set(host.id, names(host));
            }
            known.push(self.as_found(host)?);
        }
        Ok(known)
    }

    /// A host of the kernel as the engine takes it over.
    fn as_found(&mut self, host: &Host) -> Result<KernelHost, Failure> {
        let mut identifiers = BTreeSet::new();
        let mut local = host
            .addrs
            .iter()
            .filter(|entry| entry.set == AddrSet::Local);
        if local.any(|entry| entry.unvalidated) {
            for flow in self.client.flows(Some(host.id))? {
                identifiers.insert(addr(flow.local));
            }
        }
        Ok(adopted(host, identifiers.into_iter().collect()))
    }

    /// Asks the module whether this machine is on, since an event that said so may have been lost.
    pub(super) fn look_at_switch(&mut self) -> Result<Option<Told>, Failure> {
        let enabled = self.client.params()?.enabled;
        self.switch(enabled)
    }

    /// The module's settings were changed: if the machine was switched on or off, the engine is told, with all hosts.
    fn switch(&mut self, enabled: bool) -> Result<Option<Told>, Failure> {
        if enabled == self.enabled {
            return Ok(None);
        }
        self.enabled = enabled;
        match enabled {
            true => tracing::info!("event=on"),
            false => tracing::info!("event=off"),
        }
        let hosts = self.hosts()?;
        Ok(Some(Input::Switch { on: enabled, hosts }))
    }

    /// The next event of the module, as inputs for the engine; `None` when there is no event.
    pub(super) fn hear(&mut self, engine: &Engine) -> Result<Option<Vec<Told>>, Failure> {
        let Some(event) = self.events.next()? else {
            return Ok(None);
        };
        let told = match event {
            Event::Discover {
                host_id,
                local,
                remote,
                ..
            } => Some(Input::Discovered {
                id: host_id,
                local: addr(local),
                remote: addr(remote),
            }),
            Event::HostDeleted(id) => {
                self.fallback.remove(id);
                self.held.remove(id);
                Some(Input::Removed { id })
            }
            Event::HostChanged(host) => self.changed(&host, engine)?,
            Event::ParamsChanged(params) => self.switch(params.enabled)?,
            Event::PathSilent {
                host_id,
                local,
                remote,
            } => Some(Input::Silent {
                id: host_id,
                local: addr(local),
                remote: addr(remote),
            }),
            // The host is read again: its credit may have changed since the event.
            Event::CreditLow { host_id, .. } => self.traffic(host_id)?,
            Event::PathChanged { .. } | Event::NatChanged(_) | Event::NatDeleted(_) => None,
            Event::Limit { reason, packets } => {
                tracing::warn!(
                    "event=limit reason={} packets={packets}",
                    reason.name().unwrap_or("unknown")
                );
                None
            }
            Event::Resync => {
                tracing::warn!("event=overrun source=module");
                let switch = self.look_at_switch()?;
                let all = self.all()?;
                return Ok(Some(switch.into_iter().chain([all]).collect()));
            }
        };
        Ok(Some(told.into_iter().collect()))
    }

    fn changed(&mut self, host: &Host, engine: &Engine) -> Result<Option<Told>, Failure> {
        self.held.see(host);
        if host.state == HostState::Up {
            self.fallback.set(host.id, names(host));
        } else {
            self.fallback.remove(host.id);
        }
        // Most of these events echo what the engine has written, and it is not told of them. It is told when the administrator gives a
        // host a name, or takes the name away.
        let managed = engine.is_managed(host.id).unwrap_or(false);
        if managed == host.name.is_some() {
            return Ok(None);
        }
        Ok(Some(Input::Changed(self.as_found(host)?)))
    }

    /// How many packets went to a host and came from it, as an input for the engine.
    pub(super) fn traffic(&mut self, id: u32) -> Result<Option<Told>, Failure> {
        match self.client.host(id) {
            Ok(host) => {
                let traffic = traffic(&host);
                Ok(Some(Input::Traffic { id, traffic }))
            }
            // Removed meanwhile: the event is on its way.
            Err(Error::Kernel { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a change that the engine wants. Returns what the engine is to be told about it.
    pub(super) fn change(&mut self, change: Change) -> Result<Option<Told>, Failure> {
        match change {
            Change::New {
                key,
                record,
                former,
            } => {
                return Ok(Some(match self.make(&record, &former)? {
                    Some(id) => Input::Made { key, id },
                    None => Input::Refused { key },
                }));
            }
            Change::Set { id, record, doubt } => self.set(id, &record, doubt)?,
            Change::Wake { id, idle } => self.wake(id, idle)?,
            Change::Map {
                id,
                mapping,
                lifetime,
            } => self.map(&nat(id, &mapping, Some(lifetime)))?,
            Change::Unmap { id, mapping } => {
                let key = nat(id, &mapping, None).key();
                match self.client.nat_del(&key, Some(id)) {
                    // The mapping has expired, or the host is gone.
                    Ok(()) | Err(Error::Kernel { errno: ENOENT, .. }) => (),
                    Err(error) => return Err(error.into()),
                }
            }
            Change::Del { id } => {
                self.fallback.remove(id);
                self.held.remove(id);
                match self.client.host_del(id) {
                    Ok(()) | Err(Error::Kernel { errno: ENOENT, .. }) => (),
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(None)
    }

    /// Tells the module of a port mapping.
    fn map(&mut self, mapping: &Nat) -> Result<(), Failure> {
        match self.client.nat_new(mapping) {
            // Removed meanwhile: the event is on its way.
            Ok(()) | Err(Error::Kernel { errno: ENOENT, .. }) => Ok(()),
            Err(error @ Error::Kernel { .. }) => {
                let id = mapping.host_id;
                tracing::warn!("event=mapping-refused id={id} error=\"{error}\"");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a host, or takes the one that the module has just discovered under the same address. Its former addresses are added only if
    /// the module knows no other host by them.
    fn make(&mut self, record: &Record, former: &[Addr]) -> Result<Option<u32>, Failure> {
        let wish = request(None, record);
        let mut known = wish.clone();
        known.addrs.extend(former.iter().map(|addr| HostAddr {
            unvalidated: true,
            ..HostAddr::new(AddrSet::Alias, ip(*addr))
        }));
        let mut result = self.client.host_new(&known);
        if matches!(result, Err(Error::Kernel { errno: EEXIST, .. })) && !former.is_empty() {
            result = self.client.host_new(&wish);
        }
        match result {
            Ok(id) => Ok(Some(id)),
            Err(Error::Kernel { errno: EEXIST, .. }) => {
                for peer in &record.active {
                    let Ok(host) = self.client.host_by_address(ip(*peer)) else {
                        continue;
                    };
                    if host.state == HostState::New && host.name.is_none() {
                        self.set(host.id, record, false)?;
                        return Ok(Some(host.id));
                    }
                }
                Ok(None)
            }
            Err(error @ Error::Kernel { .. }) => {
                tracing::warn!("event=host-refused error=\"{error}\"");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn set(&mut self, id: u32, record: &Record, doubt: bool) -> Result<(), Failure> {
        let mut wish = request(Some(id), record);
        wish.doubt = doubt;
        let mut result = self.client.host_set(&wish);
        if matches!(result, Err(Error::Kernel { errno: EEXIST, .. })) {
            // An entry that the module has discovered meanwhile is this host, and makes room. The unreachable addresses are left out, since
            // another host may have one of them.
            self.give_way(id, record)?;
            wish.addrs.retain(|entry| entry.set != AddrSet::Unreachable);
            result = self.client.host_set(&wish);
        }
        was_set(id, result)
    }

    fn wake(&mut self, id: u32, idle: bool) -> Result<(), Failure> {
        let wish = HostRequest {
            id: Some(id),
            wake: true,
            wake_idle: idle,
            ..HostRequest::default()
        };
        was_set(id, self.client.host_set(&wish))
    }

    /// Removes the entries that the module made for flows to addresses of this host.
    fn give_way(&mut self, id: u32, record: &Record) -> Result<(), Failure> {
        for peer in &record.active {
            let Ok(host) = self.client.host_by_address(ip(*peer)) else {
                continue;
            };
            if host.id != id && host.state == HostState::New && host.name.is_none() {
                match self.client.host_del(host.id) {
                    Ok(()) | Err(Error::Kernel { .. }) => (),
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }
}

/// Logs that the kernel refused to change a host.
fn was_set(id: u32, result: Result<(), Error>) -> Result<(), Failure> {
    match result {
        Ok(()) => Ok(()),
        // Removed meanwhile: the event is on its way.
        Err(Error::Kernel { errno: ENOENT, .. }) => Ok(()),
        Err(error @ Error::Kernel { .. }) => {
            tracing::warn!("event=host-refused id={id} error=\"{error}\"");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// The foreign addresses that sockets may have for a host.
fn names(host: &Host) -> Vec<IpAddr> {
    host.addrs
        .iter()
        .filter(|entry| matches!(entry.set, AddrSet::Active | AddrSet::Alias))
        .map(|entry| entry.addr)
        .collect()
}
