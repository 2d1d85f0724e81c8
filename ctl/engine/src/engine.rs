// SPDX-License-Identifier: GPL-2.0
//! The machine: inputs are handed to who handles them, outputs are handed out.

use std::collections::{BTreeMap, BTreeSet};

use ihmp_core::addr::Addr;
use ihmp_core::time::Instant;

use crate::binding::keys_changed;
use crate::host::Host;
use crate::io::{Input, Moment, Output, State};
use crate::keys::{Fact, Policy};
use crate::limits::{Limits, Rate};
use crate::receive::receive;
use crate::switch::switch;
use crate::table::Table;
use crate::{kernel, serve};

/// Names of the figures of a budget: what is left now, what it holds, what comes back in a second.
type Names = [&'static str; 3];

const NEWCOMERS: Names = ["left-newcomers", "most-newcomers", "second-newcomers"];
const STRANGERS: Names = ["left-strangers", "most-strangers", "second-strangers"];
const ANSWERS: Names = ["left-answers", "most-answers", "second-answers"];
const CHALLENGES: Names = ["left-challenges", "most-challenges", "second-challenges"];
const GREETINGS: Names = ["left-greetings", "most-greetings", "second-greetings"];

/// The signalling of one machine with all its hosts.
#[derive(Debug)]
pub struct Engine {
    table: Table,
}

impl Engine {
    /// An engine without hosts and keys. Without an own key it signs nothing.
    pub fn new(limits: Limits, policy: Policy) -> Engine {
        Engine {
            table: Table::new(limits, policy),
        }
    }

    /// Goes on with other bounds and another policy; [`Input::Keys`] follows. What hosts were granted before stays theirs.
    pub fn configure(&mut self, limits: Limits, policy: Policy) {
        self.table.world.limits = limits;
        self.table.world.keyring.configure(limits, policy);
    }

    /// Takes an input.
    pub fn handle(&mut self, moment: Moment, input: Input<'_>) {
        let table = &mut self.table;
        table.world.begin(moment);
        match input {
            Input::Message {
                from,
                port,
                to,
                bytes,
            } => receive(table, from, port, to, bytes),
            Input::Network { local, routes } => {
                table.world.own.set(local);
                table.world.routes.replace(routes);
                table.tell_all();
            }
            Input::Routes(routes) => serve::routes(table, routes),
            Input::Discovered { id, local, remote } => {
                kernel::discovered(table, id, local, remote);
            }
            Input::Keys(keys) => keys_changed(table, keys),
            Input::Kernel { hosts } => kernel::take(table, hosts, false),
            Input::Made { key, id } => kernel::made(table, key, id),
            Input::Changed(host) => kernel::changed(table, host),
            Input::Refused { key } => table.remove(key, "refused"),
            Input::Removed { id } => kernel::removed(table, id),
            Input::Connected(connected) => {
                if table.world.own.set_connected(connected) {
                    for key in table.keys() {
                        table.with(key, |host, _| {
                            host.validation_mut().probes_mut().forget_sought();
                        });
                    }
                }
            }
            Input::Switch { on, hosts } => switch(table, on, hosts),
            Input::Discretion(discretion) => table.world.own.set_discretion(discretion),
            Input::Silent { id, local, remote } => serve::silent(table, id, (local, remote)),
            Input::Traffic { id, traffic } => serve::looked(table, id, traffic),
            Input::Timer => serve::timer(table),
        }
        serve::serve_untold(table);
        serve::serve_queue(table);
    }

    /// The next thing to do, in the order in which it was decided.
    pub fn poll(&mut self) -> Option<Output> {
        self.table.world.outputs.pop_front()
    }

    /// When [`Input::Timer`] is due; `None` for never.
    pub fn next_timeout(&self) -> Option<Instant> {
        let hosts = serve::next(&self.table).into_iter();
        let check = self.table.world.keyring.own().check_at();
        hosts.chain(check).min()
    }

    /// The peer addresses whose routes matter: the driver looks each of them up for [`Input::Network`].
    pub fn peers(&self) -> Vec<Addr> {
        let served = |host: &&Host| !host.is_managed() && host.state() != State::Classic;
        let mut peers: Vec<Addr> = Vec::new();
        let mut nats = BTreeSet::new();
        for host in self.table.iter().filter(served) {
            peers.extend(host.peer().active());
            nats.extend(host.peer().nat().routes());
        }
        nats.retain(|addr| self.table.active(*addr).is_none());
        peers.extend(nats);
        peers
    }

    /// Whether the engine leaves the kernel's host with this number alone; `None` when it does not know it.
    pub fn is_managed(&self, id: u32) -> Option<bool> {
        let key = self.table.of_id(id)?;
        self.table.get(key).map(Host::is_managed)
    }

    /// How many messages were not used, by the name of the reason.
    pub fn refusals(&self) -> BTreeMap<&'static str, u64> {
        self.table.world.counters.refusals()
    }

    /// How many messages were not used.
    pub fn refused(&self) -> u64 {
        self.table.world.counters.refused()
    }

    /// How many messages were sent: those that say something, and probes with their answers.
    pub fn sent(&self) -> [u64; 2] {
        self.table.world.counters.sent_apart()
    }

    /// How many answers to challenges are awaited, and how many keys of peers are known.
    pub fn key_counts(&self) -> [usize; 2] {
        self.table.world.keyring.sizes()
    }

    /// Limits, how far they are used, and what is left of budgets now, by name.
    pub fn limits(&self) -> Vec<(&'static str, u64)> {
        let world = &self.table.world;
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let [networks, largest] = self.table.shares().sizes();
        let [sent, good] = world.budgets.baker().counts();
        let [newcomers, wrong, greetings] = world.budgets.buckets();
        let mut figures = vec![
            ("hosts-most", count(world.limits.hosts.most)),
            ("networks", count(networks)),
            ("network-largest", count(largest)),
            ("evicted", self.table.shares().evicted()),
            ("cookies-sent", sent),
            ("cookies-good", good),
            ("greetings-waiting", count(self.table.queued())),
        ];
        let ring = &world.keyring;
        let [changed, refused] = ring.change_counts();
        figures.extend([("keys-changed", changed), ("keys-refused", refused)]);
        for (names, bucket) in [
            (NEWCOMERS, newcomers),
            (STRANGERS, ring.strangers()),
            (ANSWERS, ring.answers()),
            (CHALLENGES, wrong),
            (GREETINGS, greetings),
        ] {
            let Rate { per_second, burst } = bucket.rate();
            let numbers = [bucket.left(world.now), burst, per_second].map(u64::from);
            figures.extend(names.into_iter().zip(numbers));
        }
        // Hosts that wait for their greeting ask for a token again and again.
        figures.extend([
            ("empty-newcomers", newcomers.empty()),
            ("empty-strangers", ring.strangers().empty()),
            ("empty-answers", ring.answers().empty()),
            ("empty-challenges", wrong.empty()),
        ]);
        figures
    }

    /// Own addresses to which routers do not let us move, with the number of hosts that are not reached from there.
    pub fn rejected(&self) -> BTreeMap<Addr, usize> {
        let mut all = BTreeMap::new();
        let hosts = self.table.iter();
        for addr in hosts.flat_map(|host| host.sources().rejected().addrs()) {
            *all.entry(addr).or_insert(0) += 1;
        }
        all
    }

    /// What to write down at a clean end.
    pub fn last_words(&self) -> Fact {
        self.table.world.keyring.own().sent()
    }

    /// How many hosts there are, by state: new, up, classic.
    pub fn counts(&self) -> [usize; 3] {
        let of = |state| {
            let hosts = self.table.iter();
            hosts.filter(|host| host.state() == state).count()
        };
        [of(State::New), of(State::Up), of(State::Classic)]
    }
}
