// SPDX-License-Identifier: GPL-2.0
//! Shares of the table by source network, so that nobody fills it.
//!
//! Hosts that greeted us are counted by their networks (/24, /48). When the table is nearly full, those of the largest network
//! are looked at, and who has no connection goes: it greets again when it opens one. When it is full, a newcomer from a
//! smaller network takes the place of the oldest of the largest one. Hosts that we have greeted are not touched.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;

use ihmp_core::addr::Addr;
use ihmp_core::time::Duration;

use crate::engine::Engine;
use crate::host::Entry;
use crate::io::{Change, Key, Output, Traffic};

/// The table is nearly full when one part in so many of it is free.
const SPARE: usize = 16;
/// Hosts that are looked at for each newcomer then.
const LOOKS: usize = 4;

/// So long nothing has passed at a host that has to go: a newcomer's connection may not have been seen yet.
const IDLE: Duration = Duration::from_secs(10);

/// A network: [`Addr::network`].
pub(crate) type Network = [u8; 16];

/// Hosts that came, by network; the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    hosts: HashMap<Network, BTreeSet<Key>>,
    /// Networks by how many they have.
    sizes: BTreeSet<(usize, Network)>,
    /// Who is asked for its connections, because room is needed.
    asked: BTreeSet<Key>,
    /// The last one that was asked.
    last: Key,
    /// How many had to go.
    pub(crate) evicted: u64,
}

impl Shares {
    fn change(&mut self, of: Network, act: impl FnOnce(&mut BTreeSet<Key>)) {
        let hosts = self.hosts.entry(of).or_default();
        self.sizes.remove(&(hosts.len(), of));
        act(hosts);
        let count = hosts.len();
        if count == 0 {
            self.hosts.remove(&of);
        } else {
            self.sizes.insert((count, of));
        }
    }

    /// A host came.
    pub(crate) fn add(&mut self, of: Network, key: Key) {
        self.change(of, |hosts| {
            hosts.insert(key);
        });
    }

    /// It is gone.
    pub(crate) fn remove(&mut self, of: Network, key: Key) {
        self.asked.remove(&key);
        self.change(of, |hosts| {
            hosts.remove(&key);
        });
    }

    fn count(&self, of: Network) -> usize {
        self.hosts.get(&of).map_or(0, BTreeSet::len)
    }

    /// How many networks there are, and how many hosts the largest has.
    pub(crate) fn sizes(&self) -> [usize; 2] {
        let largest = self.sizes.last().map_or(0, |(count, _)| *count);
        [self.hosts.len(), largest]
    }

    /// The oldest host of the largest network, if a newcomer from `of`, or one of ours, may take its place.
    fn oldest(&self, of: Option<Network>) -> Option<Key> {
        let (count, largest) = self.sizes.last()?;
        let own = of.map_or(0, |of| self.count(of));
        let hosts = self.hosts.get(largest).filter(|_| *count > own);
        hosts?.first().copied()
    }

    /// Some of the largest network that are to be asked, in turn.
    fn ask(&mut self) -> Vec<Key> {
        let Some(hosts) = self.sizes.last().and_then(|(_, of)| self.hosts.get(of)) else {
            return Vec::new();
        };
        let later = hosts.range((Bound::Excluded(self.last), Bound::Unbounded));
        let next: Vec<Key> = later.chain(hosts).take(LOOKS).copied().collect();
        self.last = next.last().copied().unwrap_or(self.last);
        self.asked.extend(&next);
        next
    }

    /// Whether a host was asked; it is not, after that.
    pub(crate) fn answered(&mut self, key: Key) -> bool {
        self.asked.remove(&key)
    }
}

impl Engine {
    /// Whether there is room for a host that greets from there, or for one of ours; room is made where that is just.
    pub(crate) fn has_room(&mut self, from: Option<Addr>) -> bool {
        let most = self.world.limits.max_hosts;
        let spare = (most / SPARE).max(1);
        if self.hosts.len().saturating_add(spare) >= most {
            for key in self.shares.ask() {
                let id = self.hosts.get(&key).map(|host| host.entry);
                if let Some(Entry::Id(id)) = id {
                    self.world.outputs.push_back(Output::Look(id));
                }
            }
        }
        if self.hosts.len() < most {
            return true;
        }
        let oldest = self.shares.oldest(from.map(|from| from.network()));
        oldest.is_some_and(|key| self.evict(key))
    }

    /// What passed at a host that was asked because room is needed: one without connections has to go.
    pub(crate) fn make_room(&mut self, key: Key, traffic: Traffic) -> bool {
        let idle = traffic.flows == 0 && traffic.idle >= IDLE;
        self.shares.answered(key) && idle && self.evict(key)
    }

    /// Counts a host that came among those of its network.
    pub(crate) fn count_share(&mut self, key: Key, of: Addr) {
        if let Some(host) = self.hosts.get_mut(&key) {
            let of = of.network();
            host.share = Some(of);
            self.shares.add(of, key);
        }
    }

    /// Gives up a host so that another one has room; false when that is not possible now.
    pub(crate) fn evict(&mut self, key: Key) -> bool {
        let entry = self.hosts.get(&key).filter(|host| !host.managed);
        let Some(Entry::Id(id)) = entry.map(|host| host.entry) else {
            return false;
        };
        self.shares.evicted += 1;
        let change = Change::Del { id };
        self.world.outputs.push_back(Output::Table(change));
        self.remove(key, "crowded");
        true
    }
}
