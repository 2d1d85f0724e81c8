// SPDX-License-Identifier: GPL-2.0
//! The model of the kernel module: a table of hosts.

use std::collections::{BTreeMap, BTreeSet};

use ihmp_core::addr::Addr;
use ihmp_core::nat::Mapping;
use ihmp_core::time::{Duration, Instant};
use ihmp_engine::{KernelHost, Record, State, Traffic};

use crate::table;

/// The counters of a host with one flow, no packets, and more credit than it will need.
pub const BUSY: Traffic = Traffic {
    flows: 1,
    sent: 0,
    received: 0,
    idle: Duration::ZERO,
    credit: Some(1 << 30),
};

/// A host entry of the model kernel.
#[derive(Clone, Debug)]
pub struct Row {
    /// What the engine last said of it.
    pub record: Record,
    /// Its former addresses.
    pub alias: Vec<Addr>,
    /// The administrator's name for it.
    pub name: Option<String>,
    /// How often its sockets were woken though no path changed.
    pub woken: u32,
    /// How often idle sockets were woken as well.
    pub spoken_up: u32,
    /// How often an address was removed that may have belonged to another host for a while.
    pub doubts: u32,
    /// When it is removed.
    pub expires: Option<Instant>,
}

/// The host table of one machine, with the rules of the module.
#[derive(Default)]
pub struct Kernel {
    /// The entries, by number.
    pub rows: BTreeMap<u32, Row>,
    next: u32,
    owners: BTreeMap<Addr, u32>,
    expiries: BTreeSet<(Instant, u32)>,
    /// Hosts without flows, and when the last packet passed.
    pub idle_since: BTreeMap<u32, Instant>,
    /// The counters of a host, if a test sets them.
    pub traffic: BTreeMap<u32, Traffic>,
    /// The own addresses of each host's flows, for an agent that is started again.
    pub identifiers: BTreeMap<u32, Vec<Addr>>,
    /// Port mappings of NATs, with their host and when they end.
    pub mappings: BTreeMap<Mapping, (u32, Instant)>,
}

impl Kernel {
    /// The host that has this address.
    pub(crate) fn owner(&self, of: Addr) -> Option<u32> {
        self.owners.get(&of).copied()
    }

    fn put(&mut self, id: u32, record: Record, alias: Vec<Addr>, now: Instant) {
        let before = self.rows.get(&id);
        let name = before.and_then(|row| row.name.clone());
        let counts = before.map(|row| (row.woken, row.spoken_up, row.doubts));
        let (woken, spoken_up, doubts) = counts.unwrap_or_default();
        let mappings = std::mem::take(&mut self.mappings);
        self.take(id);
        self.mappings = mappings;
        let expires = record.expires.map(|span| now.after(span));
        for active in &record.active {
            self.owners.insert(*active, id);
        }
        self.expiries.extend(expires.map(|expires| (expires, id)));
        let row = Row {
            record,
            alias,
            name,
            woken,
            spoken_up,
            doubts,
            expires,
        };
        self.rows.insert(id, row);
    }

    /// The entry that expires next, and when.
    pub(crate) fn next_expiry(&self) -> Option<(Instant, u32)> {
        self.expiries.first().copied()
    }

    /// Removes an entry.
    pub fn take(&mut self, id: u32) -> Option<Row> {
        let row = self.rows.remove(&id)?;
        for active in &row.record.active {
            self.owners.remove(active);
        }
        if let Some(expires) = row.expires {
            self.expiries.remove(&(expires, id));
        }
        self.mappings.retain(|_, (host, _)| *host != id);
        Some(row)
    }

    /// Makes an entry; returns its number.
    pub fn make(&mut self, record: Record, former: Vec<Addr>, now: Instant) -> u32 {
        table::check(None, &record, |addr| self.owner(addr));
        self.next += 1;
        self.put(self.next, record, former, now);
        self.next
    }

    /// Replaces an entry; `doubt`: an address that it loses may have belonged to another host for a while.
    pub(crate) fn set(&mut self, id: u32, record: Record, doubt: bool, now: Instant) {
        table::check(Some(id), &record, |addr| self.owner(addr));
        let row = &self.rows[&id];
        let mut alias = row.alias.clone();
        for gone in row.record.active.iter().chain(&row.record.unreachable) {
            if !alias.contains(gone) {
                alias.push(*gone);
            }
        }
        alias.retain(|alias| !record.active.contains(alias) && !record.unreachable.contains(alias));
        self.put(id, record, alias, now);
        if let Some(row) = self.rows.get_mut(&id).filter(|_| doubt) {
            row.doubts += 1;
        }
    }

    /// Wakes the sockets of a host; `idle`: also those that have been idle for long.
    pub(crate) fn wake(&mut self, id: u32, idle: bool) {
        let row = self.rows.get_mut(&id).expect("an entry that is there");
        assert_eq!(row.record.state, State::Up, "only who is up is woken");
        match idle {
            true => row.spoken_up += 1,
            false => row.woken += 1,
        }
    }

    /// The counters of a host.
    pub(crate) fn look(&self, id: u32, now: Instant) -> Traffic {
        let known = self.traffic.get(&id).copied().unwrap_or(BUSY);
        match self.idle_since.get(&id) {
            Some(since) => Traffic {
                flows: 0,
                idle: now.since(*since),
                ..known
            },
            None => known,
        }
    }

    /// What an agent reads when it starts.
    pub fn dump(&self) -> Vec<KernelHost> {
        let host = |(id, row): (&u32, &Row)| KernelHost {
            id: *id,
            state: row.record.state,
            managed: row.name.is_some(),
            moved: true,
            active: row.record.active.clone(),
            unvalidated: row.record.unvalidated.clone(),
            nats: row.record.nats.clone(),
            unreachable: row.record.unreachable.clone(),
            alias: row.alias.clone(),
            local: row.record.local.clone(),
            identifiers: self.identifiers.get(id).cloned().unwrap_or_default(),
        };
        self.rows.iter().map(host).collect()
    }
}
