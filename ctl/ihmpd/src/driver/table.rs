// SPDX-License-Identifier: GPL-2.0
//! The table of hosts in the kernel: the loop hears of it, and writes what the engine wants into it.

use std::{
    collections::BTreeSet,
    net::IpAddr, //
};

use ihmp_core::addr::Addr;
use ihmp_engine::{
    Change,
    Input,
    KernelHost,
    Record, //
};
use ihmp_nl::{
    AddrSet,
    Error,
    Event,
    Host,
    HostAddr,
    HostRequest,
    HostState,
    Nat, //
};

use super::{
    Driver,
    Failure, //
};
use crate::io::kernel::{
    addr,
    adopted,
    ip,
    nat,
    request,
    traffic, //
};

/// linux/errno.h
const EEXIST: i32 = 17;
const ENOENT: i32 = 2;

impl Driver<'_> {
    /// Tells the engine all hosts of the kernel.
    pub(super) fn kernel(&mut self) -> Result<(), Failure> {
        let hosts = self.hosts()?;
        self.tell(Input::Kernel { hosts })
    }

    /// All hosts of the kernel.
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
        if host.addrs.iter().any(|entry| entry.unproven) {
            for flow in self.client.flows(Some(host.id))? {
                identifiers.insert(addr(flow.local));
            }
        }
        Ok(adopted(host, identifiers.into_iter().collect()))
    }

    /// Asks the module whether this machine is on, when that may have changed unheard.
    pub(super) fn look_at_switch(&mut self) -> Result<(), Failure> {
        let enabled = self.client.params()?.enabled;
        self.switch(enabled)
    }

    /// The administrator switched this machine on or off, or changed another setting.
    fn switch(&mut self, enabled: bool) -> Result<(), Failure> {
        if enabled == self.enabled {
            return Ok(());
        }
        self.enabled = enabled;
        match enabled {
            true => tracing::info!("event=on"),
            false => tracing::info!("event=off"),
        }
        let hosts = self.hosts()?;
        self.tell(Input::Switch { on: enabled, hosts })
    }

    pub(super) fn take_events(&mut self) -> Result<(), Failure> {
        while let Some(event) = self.events.next()? {
            match event {
                Event::Discover {
                    host_id,
                    local,
                    remote,
                    ..
                } => self.tell(Input::Discovered {
                    id: host_id,
                    local: addr(local),
                    remote: addr(remote),
                })?,
                Event::HostDeleted(id) => {
                    self.fallback.remove(id);
                    self.held.remove(id);
                    self.tell(Input::Removed { id })?;
                }
                Event::HostChanged(host) => {
                    self.held.see(&host);
                    if host.state == HostState::Up {
                        self.fallback.set(host.id, names(&host));
                    } else {
                        self.fallback.remove(host.id);
                    }
                    // Of what the engine writes it hears nothing; of who was given a name it does.
                    let managed = self.engine.is_managed(host.id).unwrap_or(false);
                    if managed != host.name.is_some() {
                        let found = self.as_found(&host)?;
                        self.tell(Input::Changed(found))?;
                    }
                }
                Event::ParamsChanged(params) => self.switch(params.enabled)?,
                // What it says is older than what a look says.
                Event::CreditLow { host_id, .. } => self.look(host_id)?,
                Event::PathChanged { .. } | Event::NatChanged(_) | Event::NatDeleted(_) => (),
                Event::Limit { reason, packets } => {
                    tracing::warn!(
                        "event=limit reason={} packets={packets}",
                        reason.name().unwrap_or("unknown")
                    );
                }
                Event::Resync => {
                    tracing::warn!("event=overrun source=module");
                    self.look_at_switch()?;
                    self.kernel()?;
                }
            }
            self.perform()?;
        }
        Ok(())
    }

    /// Tells the engine what passed between a host and us.
    pub(super) fn look(&mut self, id: u32) -> Result<(), Failure> {
        match self.client.host(id) {
            Ok(host) => {
                let traffic = traffic(&host);
                self.tell(Input::Traffic { id, traffic })
            }
            // Removed meanwhile: the event is on its way.
            Err(Error::Kernel { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn change(&mut self, change: Change) -> Result<(), Failure> {
        match change {
            Change::New {
                key,
                record,
                former,
            } => {
                let input = match self.make(&record, &former)? {
                    Some(id) => Input::Made { key, id },
                    None => Input::Refused { key },
                };
                self.tell(input)
            }
            Change::Set { id, record, doubt } => self.set(id, &record, doubt),
            Change::Wake { id, idle } => self.wake(id, idle),
            Change::Map {
                id,
                mapping,
                lifetime,
            } => self.map(&nat(id, &mapping, Some(lifetime))),
            Change::Unmap { id, mapping } => {
                let key = nat(id, &mapping, None).key();
                match self.client.nat_del(&key, Some(id)) {
                    // Its time was over, or the host is gone.
                    Ok(()) | Err(Error::Kernel { errno: ENOENT, .. }) => Ok(()),
                    Err(error) => Err(error.into()),
                }
            }
            Change::Del { id } => {
                self.fallback.remove(id);
                self.held.remove(id);
                match self.client.host_del(id) {
                    Err(Error::Kernel { errno: ENOENT, .. }) => Ok(()),
                    result => Ok(result?),
                }
            }
        }
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

    /// Makes a host, or takes the one that the module has just discovered under the same address. What it had before counts only
    /// where the module knows of nobody else.
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
            // What the module found in the meantime is this host; what others only claim to have can wait.
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

/// What became of a change of a host: the kernel may refuse it, and says why.
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

/// The foreign addresses that sockets may know a host by.
fn names(host: &Host) -> Vec<IpAddr> {
    host.addrs
        .iter()
        .filter(|entry| matches!(entry.set, AddrSet::Active | AddrSet::Alias))
        .map(|entry| entry.addr)
        .collect()
}
