// SPDX-License-Identifier: GPL-2.0
//! The host table of a kernel, with the rules of the module.

use std::collections::BTreeMap;

use ihmp_core::addr::Addr;
use ihmp_core::message::MAX_ADDRESSES;
use ihmp_core::nat::Mapping;
use ihmp_engine::{KernelHost, Local, Record, State};
use ihmp_sim::table;

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) record: Record,
    pub(crate) alias: Vec<Addr>,
    /// The administrator gave it a name.
    pub(crate) managed: bool,
    local: Addr,
}

/// All entries of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) rows: BTreeMap<u32, Row>,
    last: u32,
    /// Port mappings of NATs, with their hosts.
    pub(crate) mappings: BTreeMap<Mapping, u32>,
}

impl Table {
    pub(crate) fn owner(&self, of: Addr) -> Option<u32> {
        let has = |(_, row): &(&u32, &Row)| row.record.active.contains(&of);
        self.rows.iter().find(has).map(|(id, _)| *id)
    }

    pub(crate) fn make(&mut self, record: Record, former: Vec<Addr>) -> u32 {
        table::check(None, &record, |addr| self.owner(addr));
        self.last += 1;
        let local = record.local.first().map(|local| local.addr);
        let row = Row {
            record,
            alias: former,
            managed: false,
            local: local.unwrap_or(Addr::UNSPECIFIED),
        };
        self.rows.insert(self.last, row);
        self.last
    }

    /// A flow to an address that nobody knows.
    pub(crate) fn discover(&mut self, local: Addr, remote: Addr) -> Option<u32> {
        if self.owner(remote).is_some() {
            return None;
        }
        let local = Local::new(local);
        Some(self.make(
            Record {
                state: State::New,
                active: vec![remote],
                unvalidated: vec![],
                nats: vec![],
                unreachable: vec![],
                local: vec![local],
                expires: None,
            },
            vec![],
        ))
    }

    /// Entries for flows that an agent did not take up: when it hears of the host in another way, they are in its way.
    fn idle(&self, id: Option<u32>, record: &Record) -> Vec<u32> {
        let owners = record.active.iter().filter_map(|addr| self.owner(*addr));
        let idle = |id: &u32| {
            let row = self.rows.get(id);
            row.is_some_and(|row| row.record.state == State::New && !row.managed)
        };
        owners
            .filter(|owner| Some(*owner) != id && idle(owner))
            .collect()
    }

    /// What the agent does when it wants to make a host that is there: it takes one of those.
    pub(crate) fn take_over(&mut self, record: &Record) -> Option<u32> {
        let id = self.idle(None, record).first().copied()?;
        self.set(id, record.clone());
        Some(id)
    }

    /// What the agent does when a host gets an address that is there: it removes those.
    pub(crate) fn give_way(&mut self, id: u32, record: &Record) -> Vec<u32> {
        let gone = self.idle(Some(id), record);
        for id in &gone {
            self.rows.remove(id);
        }
        gone
    }

    pub(crate) fn set(&mut self, id: u32, record: Record) {
        table::check(Some(id), &record, |addr| self.owner(addr));
        let row = self.rows.get_mut(&id).expect("an entry that is there");
        assert!(!row.managed, "the administrator's entry is changed");
        for gone in row.record.active.iter().chain(&row.record.unreachable) {
            if !row.alias.contains(gone) {
                row.alias.push(*gone);
            }
        }
        row.alias
            .retain(|addr| !record.active.contains(addr) && !record.unreachable.contains(addr));
        let extra = row.alias.len().saturating_sub(MAX_ADDRESSES);
        row.alias.drain(..extra);
        row.record = record;
    }

    pub(crate) fn wake(&self, id: u32) {
        let row = &self.rows[&id];
        assert!(!row.managed, "the administrator's entry is woken");
        assert_eq!(row.record.state, State::Up, "only who is up is woken");
    }

    /// A NAT in front of a host gave it a port.
    pub(crate) fn map(&mut self, id: u32, mapping: Mapping) {
        let row = &self.rows[&id];
        assert!(!row.managed, "a mapping of the administrator's entry");
        self.mappings.insert(mapping, id);
    }

    /// It has no longer.
    pub(crate) fn unmap(&mut self, id: u32, mapping: Mapping) {
        if self.mappings.get(&mapping) == Some(&id) {
            self.mappings.remove(&mapping);
        }
    }

    pub(crate) fn remove(&mut self, id: u32) -> Option<Row> {
        self.mappings.retain(|_, host| *host != id);
        self.rows.remove(&id)
    }

    /// What an agent reads.
    pub(crate) fn dump(&self) -> Vec<KernelHost> {
        let host = |(id, row): (&u32, &Row)| KernelHost {
            id: *id,
            state: row.record.state,
            managed: row.managed,
            moved: true,
            active: row.record.active.clone(),
            unvalidated: row.record.unvalidated.clone(),
            nats: row.record.nats.clone(),
            unreachable: row.record.unreachable.clone(),
            alias: row.alias.clone(),
            local: row.record.local.clone(),
            identifiers: vec![row.local],
        };
        self.rows.iter().map(host).collect()
    }
}
