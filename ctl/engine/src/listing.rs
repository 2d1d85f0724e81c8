// SPDX-License-Identifier: GPL-2.0
//! The kernel's entry of a host: whether there is one, whose it is, and what it says.

use ihmp_core::addr::Addr;
use ihmp_core::time::{Duration, Instant};

use crate::io::{Change, Key, Output, Record, State, Traffic};
use crate::lifetime::Lifetime;
use crate::limits::Limits;
use crate::world::World;

/// Where the kernel's entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It was asked for.
    Asked,
    /// It has this number.
    Id(u32),
}

/// The kernel's entry of a host.
#[derive(Debug)]
pub(crate) struct Listing {
    entry: Entry,
    /// The administrator's; left alone.
    managed: bool,
    /// What it says.
    published: Option<Record>,
    /// The host has lost addresses of which it is not known since when.
    doubt: bool,
    /// How long the kernel leaves the host alone when it is classic.
    classic_for: Duration,
    lifetime: Lifetime,
}

impl Listing {
    pub(crate) fn new(entry: Entry, limits: &Limits) -> Listing {
        Listing {
            entry,
            managed: false,
            published: None,
            doubt: false,
            classic_for: limits.hosts.classic,
            lifetime: Lifetime::default(),
        }
    }

    /// The kernel's number of the host, if it has one.
    pub(crate) fn id(&self) -> Option<u32> {
        match self.entry {
            Entry::Id(id) => Some(id),
            Entry::Asked => None,
        }
    }

    /// The kernel has made it.
    pub(crate) fn made(&mut self, id: u32) {
        self.entry = Entry::Id(id);
    }

    /// Whether it is the administrator's: then it is left alone.
    pub(crate) fn is_managed(&self) -> bool {
        self.managed
    }

    /// It is the administrator's, or not.
    pub(crate) fn manage(&mut self, managed: bool) {
        self.managed = managed;
    }

    /// What the kernel has.
    pub(crate) fn published(&self) -> Option<&Record> {
        self.published.as_ref()
    }

    /// The kernel has this.
    pub(crate) fn note(&mut self, record: Record) {
        self.published = Some(record);
    }

    /// The kernel is to have this.
    pub(crate) fn publish(&mut self, record: Record, world: &mut World) {
        let Some(id) = self.id() else {
            return;
        };
        if self.published.as_ref() != Some(&record) {
            self.published = Some(record.clone());
            let doubt = std::mem::take(&mut self.doubt);
            let change = Change::Set { id, record, doubt };
            world.outputs.push_back(Output::Table(change));
        }
    }

    /// Asks the kernel for an entry of a host that had these addresses before.
    pub(crate) fn ask(&mut self, key: Key, record: Record, former: Vec<Addr>, world: &mut World) {
        self.published = Some(record.clone());
        let change = Change::New {
            key,
            record,
            former,
        };
        world.outputs.push_back(Output::Table(change));
    }

    /// The host has lost addresses, and perhaps it is not known since when.
    pub(crate) fn doubt(&mut self, doubt: bool) {
        self.doubt |= doubt;
    }

    /// The sockets of the host go on now, unless it is not up for the kernel and is asked about `idle` ones: then it knows none.
    pub(crate) fn wake(&self, idle: bool, world: &mut World) {
        let up = |record: &Record| record.state == State::Up;
        let up = self.published.as_ref().is_some_and(up);
        if let Some(id) = self.id().filter(|_| up || !idle) {
            let change = Change::Wake { id, idle };
            world.outputs.push_back(Output::Table(change));
        }
    }

    /// Asks the kernel what passed between the host and us.
    pub(crate) fn look(&self, world: &mut World) {
        if let Some(id) = self.id() {
            world.outputs.push_back(Output::Look(id));
        }
    }

    /// Has the kernel remove it.
    pub(crate) fn delete(&self, world: &mut World) {
        if let Some(id) = self.id() {
            world.outputs.push_back(Output::Table(Change::Del { id }));
        }
    }

    /// How long the kernel leaves the host alone when it is classic.
    pub(crate) fn classic_for(&self) -> Duration {
        self.classic_for
    }

    /// For so long.
    pub(crate) fn leave_for(&mut self, span: Duration) {
        self.classic_for = span;
    }

    /// Whether the kernel has it, and it is ours, of a host that is `up`.
    fn is_served(&self, up: bool) -> bool {
        self.id().is_some() && up && !self.managed
    }

    /// Starts what begins now and ends what is over.
    pub(crate) fn review_lifetime(&mut self, up: bool, world: &World) {
        let served = self.is_served(up);
        self.lifetime.review(served, world);
    }

    /// Asks the kernel for the flows of the host when it is time.
    pub(crate) fn look_due(&mut self, world: &mut World) {
        if self.id().is_some() && self.lifetime.take_due(world) {
            self.look(world);
        }
    }

    /// Whether nobody needs the host any more.
    pub(crate) fn is_over(&mut self, traffic: Traffic, up: bool, world: &World) -> bool {
        self.is_served(up) && self.lifetime.is_over(traffic, world)
    }

    /// When something is to be done.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.lifetime.next()
    }
}
