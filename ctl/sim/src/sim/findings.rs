// SPDX-License-Identifier: GPL-2.0
//! What a test asks: whether two machines agree about their addresses, what was refused, what was noted.

use std::collections::BTreeSet;

use ihmp_core::addr::Addr;
use ihmp_engine::{Engine, Note, State};

use super::Sim;
use crate::kernel::Row;
use crate::ms;

impl Sim {
    /// The only entry of a node that takes part and has one of these addresses.
    pub fn row(&self, at: usize, of: usize) -> &Row {
        self.find(at, of).unwrap_or_else(|why| panic!("{why}"))
    }

    /// The same; or why there is none.
    pub fn find(&self, at: usize, of: usize) -> Result<&Row, String> {
        let theirs = &self.nodes[of].local;
        let kernel = &self.nodes[at].kernel;
        let rows = |id| Some((id, kernel.rows.get(&id)?));
        let known = theirs.iter().filter_map(|addr| kernel.owner(*addr));
        let mut rows = known
            .filter_map(rows)
            .filter(|(_, row)| row.record.state == State::Up);
        let (id, row) = rows
            .next()
            .ok_or_else(|| format!("node {at} has no entry of node {of} {theirs:?}"))?;
        if rows.any(|(other, _)| other != id) {
            return Err(format!("node {at} has two entries of node {of}"));
        }
        Ok(row)
    }

    /// Asserts that both ends agree about each other's addresses, and that data can pass.
    pub fn agree(&self, one: usize, other: usize) {
        self.agreement(one, other)
            .unwrap_or_else(|why| panic!("{why}"));
    }

    /// Whether both ends agree about each other's addresses, and data can pass; or why not.
    pub fn agreement(&self, one: usize, other: usize) -> Result<(), String> {
        for (near, far) in [(one, other), (other, one)] {
            let ours = &self.find(near, far)?.record;
            let theirs = &self.find(far, near)?.record;
            let has = |addr: &Addr| self.nodes[far].local.contains(addr);
            let active: BTreeSet<Addr> = ours.active.iter().copied().collect();
            let local: BTreeSet<Addr> = theirs
                .local
                .iter()
                .filter(|local| !local.nat)
                .map(|local| local.addr)
                .collect();
            if active != local {
                return Err(format!(
                    "node {near} has {active:?} of node {far}, which holds {local:?} for known"
                ));
            }
            if let Some(local) = theirs.local.iter().find(|local| local.unvalidated) {
                return Err(format!(
                    "node {far} has not proven {} to node {near}",
                    local.addr
                ));
            }
            if let Some(gone) = ours
                .active
                .iter()
                .chain(&ours.unreachable)
                .find(|addr| !has(addr))
            {
                return Err(format!("node {near} still has {gone} of node {far}"));
            }
            let pairs = ours.local.iter().any(|local| {
                ours.active.iter().any(|active| {
                    active.family() == local.addr.family()
                        && !self.blocked.contains(&(local.addr, *active))
                })
            });
            if !pairs {
                return Err(format!("no path from node {near} to node {far}: {ours:?}"));
            }
        }
        Ok(())
    }

    /// Whether every host that a kernel has takes part.
    pub fn all_up(&self) -> bool {
        let mut rows = self.nodes.iter().flat_map(|node| node.kernel.rows.values());
        rows.all(|row| row.record.state == State::Up)
    }

    /// How many messages a node refused for this reason.
    pub fn refused(&self, at: usize, reason: &str) -> u64 {
        let engine = self.nodes[at].engine.as_ref();
        let refusals = engine.map(Engine::refusals).unwrap_or_default();
        refusals.get(reason).copied().unwrap_or(0)
    }

    /// A figure that a node's agent shows of its limits; it must be one of [`Engine::limits`].
    pub fn limit(&self, at: usize, name: &str) -> u64 {
        let limits = self.nodes[at].engine.as_ref().unwrap().limits();
        limits.iter().find(|(known, _)| *known == name).unwrap().1
    }

    /// Lets time pass until `pred` holds for a note of a node.
    pub fn run_until_noted(&mut self, at: usize, pred: impl Fn(&Note) -> bool) {
        while self.noted(at, &pred) == 0 {
            self.run(ms(1));
        }
    }

    /// How many notes of a node `pred` holds for.
    pub fn noted(&self, at: usize, pred: impl Fn(&Note) -> bool) -> usize {
        self.nodes[at]
            .notes
            .iter()
            .filter(|note| pred(note))
            .count()
    }
}
