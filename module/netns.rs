// SPDX-License-Identifier: GPL-2.0

//! The state of one network namespace, and the changes that are made to it as a whole.
//!
//! Lock order: `config` (sleeps), then the tables' own locks, then `Pending`'s. Packets never take
//! `config`: they read under RCU, add rows and make hosts in state `new`, for which the tables' own
//! locks suffice. Addresses of hosts that are there change under `config` only.

use crate::{
    ffi::{
        net::Net,
        object::{
            Owned,
            Shared,
            Slot, //
        },
        table::row_after, //
    },
    flow::Row,
    host::{
        AddrNode,
        Host,
        View, //
    },
    notify,
    param::Params,
    pending::Pending,
    policy::PolicyTable,
    uapi::{
        HostState,
        PathCause, //
    },
    wake, //
};
use ihmp_core::{
    addr::{
        Addr,
        Family, //
    },
    paths::Path,
    sets::{
        Entry,
        Role,
        Sets, //
    },
    verdict::Reason, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Full,
            Relaxed, //
        },
        rcu::{
            self,
            Guard, //
        },
        Mutex,
        MutexGuard, //
    },
};

/// Milliseconds between two looks at what has expired.
pub(crate) const EXPIRY_MS: u32 = 1_000;
/// With more flows than this, sockets are woken when the host has acknowledged a move of ours: the
/// queue of a neighbour whose link address is not known yet holds few packets, and drops the oldest
/// ones, the announcement first.
const WAKE_AT_ONCE: u32 = 32;
/// Rows between two grace periods of a long walk.
pub(crate) const ROWS_AT_ONCE: usize = 1024;
/// Both families, in the order in which paths are shown.
const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// Counters of packets towards unknown addresses; see [`crate::discover`].
pub(crate) const SIGHTINGS: usize = 256;

/// What the configuration lock protects beside the tables.
pub(crate) struct Config(());

/// The state of a namespace.
#[pin_data]
pub(crate) struct Netns {
    pub(crate) net: Net,
    pub(crate) params: Params,
    pub(crate) policy: Slot<PolicyTable>,
    pub(crate) flows: Atomic<u32>,
    pub(crate) hosts: Atomic<u32>,
    /// Port mappings of NATs.
    pub(crate) nats: Atomic<u32>,
    /// Addresses that hosts have as those of NATs.
    pub(crate) natted: Atomic<u32>,
    pub(crate) sightings: [Atomic<u32>; SIGHTINGS],
    pub(crate) discover_second: Atomic<u64>,
    pub(crate) discover_count: Atomic<u32>,
    limit_second: Atomic<u64>,
    /// Looks at what has expired, so far.
    pub(crate) looks: Atomic<u32>,
    #[pin]
    pub(crate) pending: Pending,
    #[pin]
    config: Mutex<Config>,
}

/// Why an address cannot be given to a host.
pub(crate) enum Conflict {
    /// Another host has it.
    Taken(Addr, u32),
    /// There is no memory.
    Memory,
}

impl Netns {
    /// The state of a new namespace.
    pub(crate) fn new(net: Net) -> Result<Pin<KBox<Self>>> {
        let policy = Slot::new(PolicyTable::empty()?);
        KBox::pin_init(
            pin_init!(Self {
                net,
                params: Params::new(),
                policy,
                flows: Atomic::new(0),
                hosts: Atomic::new(0),
                nats: Atomic::new(0),
                natted: Atomic::new(0),
                sightings: [const { Atomic::new(0) }; SIGHTINGS],
                discover_second: Atomic::new(0),
                discover_count: Atomic::new(0),
                limit_second: Atomic::new(0),
                looks: Atomic::new(0),
                pending <- Pending::new(),
                config <- kernel::new_mutex!(Config(())),
            }),
            GFP_KERNEL,
        )
    }

    /// Removes every host and row; nothing else runs in the namespace any more.
    pub(crate) fn empty(&self) {
        let config = self.lock();
        self.flush(&config);
        self.net.take_back();
    }

    /// Serialises changes; may sleep.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Config> {
        self.config.lock()
    }

    /// Removes every host and row.
    pub(crate) fn flush(&self, config: &Config) {
        self.each_host(|host| {
            self.host_remove(host, config);
        });
    }

    /// Registers the hooks if there is something to do, or else unregisters them.
    pub(crate) fn update_hooks(&self, _: &Config) -> Result {
        let wanted = self.hosts.load(Relaxed) != 0 || self.params.discovers();
        let hooked = self.net.hooks() != 0;
        self.net.set_hooks(wanted)?;
        if !wanted {
            // Nobody watches the sockets any more.
            self.net.take_back();
        }
        if wanted || hooked {
            // Without hooks once more: a packet may just be in one.
            self.net.schedule_expiry(EXPIRY_MS);
        }
        Ok(())
    }

    /// The host with an id, held.
    pub(crate) fn host(&self, id: u32) -> Option<Shared<Host>> {
        let guard = rcu::read_lock();
        self.net
            .host(id, &guard)
            .and_then(|host| Shared::try_from_ref(host, &guard))
    }

    /// Makes a host known. Its addresses are those of `view`.
    pub(crate) fn host_add(
        &self,
        view: Owned<View>,
        expires_in: Option<u64>,
        config: &Config,
    ) -> Result<Shared<Host>, Conflict> {
        let empty = Owned::new(View::new(view.state), false).map_err(|_| Conflict::Memory)?;
        let host = Host::new(empty, false).map_err(|_| Conflict::Memory)?;
        host.set_expiry(expires_in);
        let id = self.net.host_link(&host).map_err(|_| Conflict::Memory)?;
        host.set_id(id);
        self.hosts.fetch_add(1, Relaxed);
        if let Err(conflict) = self.host_change(&host, view, config) {
            if self.net.host_unlink(id) {
                self.hosts.fetch_sub(1, Relaxed);
            }
            return Err(conflict);
        }
        Ok(host)
    }

    /// Gives a host another view: addresses first, so that a conflict changes nothing.
    pub(crate) fn host_change(
        &self,
        host: &Shared<Host>,
        mut view: Owned<View>,
        config: &Config,
    ) -> Result<(), Conflict> {
        let guard = rcu::read_lock();
        self.check_conflicts(host, &view.sets, &guard)?;
        drop(guard);
        self.yield_aliases(host, &view.sets, config)?;
        self.add_nodes(host, &view.sets)?;
        let guard = rcu::read_lock();
        let before = host.view.read(&guard);
        if self.natted_add(&before.sets, &view.sets).is_err() {
            self.sync_nodes(host, &view.sets, &guard);
            return Err(Conflict::Memory);
        }
        let old_paths = FAMILIES.map(|family| before.path(family).copied());
        let was_up = before.state == HostState::Up;
        let was_asleep = before.asleep;
        view.edit().remember_former(before);
        view.edit().settle(Some(before));
        drop(guard);
        // May sleep. Only the holder of the lock replaces the view, so it is still the same one.
        if view.state == HostState::Up {
            view.edit().make_caches();
        }
        let new_paths = FAMILIES.map(|family| view.path(family).copied());
        let is_up = view.state == HostState::Up;
        let is_classic = view.state == HostState::Classic;
        let (mut wake, mut we_moved) = (false, false);
        for (old, new) in old_paths.iter().zip(&new_paths) {
            // A path that is still there may carry what is in flight.
            let gone = old.is_none_or(|path| !view.has(&path));
            if is_up && gone && new.is_some() && ends(old) != ends(new) {
                wake = true;
                we_moved |= old.map(|path| path.local) != new.map(|path| path.local);
            }
        }
        if was_asleep && is_up && new_paths.iter().any(Option::is_some) {
            (wake, we_moved) = (true, true);
        }
        let unproven = |path: &Path| view.unproven(path.local);
        let asleep = wake
            && we_moved
            && self.flows.load(Relaxed) > WAKE_AT_ONCE
            && new_paths.iter().flatten().any(unproven);
        view.edit().asleep = asleep;
        let guard = rcu::read_lock();
        let before = host.view.read(&guard);
        host.view.replace(view);
        self.sync_nodes(host, &before.sets, &guard);
        self.natted_remove(&before.sets, &host.view.read(&guard).sets);
        drop(guard);
        host.set_reachable(!is_up || new_paths.iter().any(Option::is_some));

        for (old, new) in old_paths.iter().zip(&new_paths) {
            let cause = match (old.is_some(), new.is_some()) {
                _ if ends(old) == ends(new) => continue,
                (_, false) => PathCause::Lost,
                (false, true) => PathCause::Restored,
                _ => PathCause::Configured,
            };
            notify::path(self, host.id(), new.as_ref(), cause);
        }
        if is_classic {
            self.flows_remove(host);
        }
        if is_up && !was_up {
            self.each_row(host, |row, _| row.keep_source(self));
        }
        if was_up && matches!((&old_paths, &new_paths), ([_, None], [_, Some(_)])) {
            // In the gap they took the last resort, and would stay there if the path is the first one again.
            self.net.renew_routes6();
        }
        if wake && !asleep {
            wake::host(self, host, we_moved);
        }
        // After the sockets were woken: what was held may be the acknowledgement that they need.
        self.net.release_held();
        Ok(())
    }

    fn check_conflicts(&self, host: &Host, sets: &Sets, guard: &Guard) -> Result<(), Conflict> {
        for (addr, _) in foreign(sets) {
            let Some(node) = self.net.addr(&addr.octets(), guard) else {
                continue;
            };
            let owner = node.host(guard);
            if owner.id() != host.id() && node.role() != Role::Alias {
                return Err(Conflict::Taken(addr, owner.id()));
            }
        }
        Ok(())
    }

    /// Another host's former address is this one's address now.
    fn yield_aliases(&self, host: &Host, sets: &Sets, _: &Config) -> Result<(), Conflict> {
        for (addr, _) in foreign(sets) {
            let guard = rcu::read_lock();
            let Some(node) = self.net.addr(&addr.octets(), &guard) else {
                continue;
            };
            let owner = node.host(&guard);
            if owner.id() == host.id() {
                continue;
            }
            let Some(owner) = Shared::try_from_ref(owner, &guard) else {
                continue;
            };
            drop(guard);
            let guard = rcu::read_lock();
            let mut view =
                Owned::new(owner.view.read(&guard).like(), true).map_err(|_| Conflict::Memory)?;
            view.edit().sets.remove(Role::Alias, addr);
            view.edit().settle(Some(owner.view.read(&guard)));
            drop(guard);
            if view.state == HostState::Up {
                view.edit().make_caches();
            }
            owner.view.replace(view);
            let guard = rcu::read_lock();
            if let Some(node) = self.net.addr(&addr.octets(), &guard) {
                if node.host(&guard).id() == owner.id() {
                    self.net.addr_remove(node);
                }
            }
        }
        Ok(())
    }

    /// Makes the nodes of addresses that have none.
    fn add_nodes(&self, host: &Shared<Host>, sets: &Sets) -> Result<(), Conflict> {
        for (addr, _) in foreign(sets) {
            let guard = rcu::read_lock();
            if let Some(node) = self.net.addr(&addr.octets(), &guard) {
                let owner = node.host(&guard).id();
                if owner != host.id() {
                    // Discovered between the check and now.
                    self.sync_nodes(host, sets, &guard);
                    return Err(Conflict::Taken(addr, owner));
                }
                continue;
            }
            drop(guard);
            // Until the view is there the address only names the host.
            let added = AddrNode::new(addr, Role::Alias, host.clone(), false)
                .and_then(|node| self.net.addr_insert(node));
            if added.is_err() {
                self.sync_nodes(host, sets, &rcu::read_lock());
                return Err(Conflict::Memory);
            }
        }
        Ok(())
    }

    /// Gives the nodes of a host the roles that its view has, and removes those of `old` that it
    /// has not.
    fn sync_nodes(&self, host: &Host, old: &Sets, guard: &Guard) {
        let sets = &host.view.read(guard).sets;
        for (addr, _) in Iterator::chain(foreign(old), foreign(sets)) {
            let Some(node) = self.net.addr(&addr.octets(), guard) else {
                continue;
            };
            if node.host(guard).id() != host.id() {
                continue;
            }
            match sets.name_role(addr) {
                Some(role) => node.set_role(role),
                None => self.net.addr_remove(node),
            }
        }
    }

    /// Removes a host with its rows and addresses; true for the caller that did it.
    pub(crate) fn host_remove(&self, host: &Shared<Host>, config: &Config) -> bool {
        if !self.net.host_unlink(host.id()) {
            return false;
        }
        host.gone.xchg(true, Full);
        self.hosts.fetch_sub(1, Relaxed);
        let guard = rcu::read_lock();
        for (addr, _) in foreign(&host.view.read(&guard).sets) {
            if let Some(node) = self.net.addr(&addr.octets(), &guard) {
                if node.host(&guard).id() == host.id() {
                    self.net.addr_remove(node);
                }
            }
        }
        self.natted_remove(&host.view.read(&guard).sets, const { &Sets::new() });
        drop(guard);
        self.nats_forget(host, config);
        self.flows_remove(host);
        notify::host_deleted(self, host.id());
        true
    }

    /// Does something with every row of a host; the grace period is not held up by many rows.
    pub(crate) fn each_row(&self, host: &Shared<Host>, mut act: impl FnMut(&Row, &Guard)) {
        let mut index = 0;
        loop {
            let guard = rcu::read_lock();
            for _ in 0..ROWS_AT_ONCE {
                match row_after(host, &mut index, &guard) {
                    Some(row) => act(row, &guard),
                    None => return,
                }
            }
        }
    }

    /// Does something with every host.
    pub(crate) fn each_host(&self, mut act: impl FnMut(&Shared<Host>)) {
        let mut id = 0;
        loop {
            let guard = rcu::read_lock();
            let Some(host) = self.net.host_after(&mut id, &guard) else {
                return;
            };
            let host = Shared::try_from_ref(host, &guard);
            drop(guard);
            if let Some(host) = host {
                act(&host);
            }
        }
    }

    /// Removes the rows of a host.
    pub(crate) fn flows_remove(&self, host: &Shared<Host>) {
        self.each_row(host, |row, _| {
            self.flow_close(row);
        });
    }

    /// Counts that a limit was met and tells listeners, at most once a second.
    pub(crate) fn limit_reached(&self, reason: Reason) {
        self.refuse(reason);
        let second = crate::ffi::clock::to_ms(crate::ffi::clock::jiffies()) / 1000;
        if self.limit_second.xchg(second, Relaxed) != second {
            notify::limit(self, reason);
        }
    }
}

/// The two ends of a path.
fn ends(path: &Option<Path>) -> Option<(Addr, Addr)> {
    path.map(|path| (path.local, path.remote))
}

/// The foreign addresses by which a host is found, with their roles. An unreachable address is a claim: whoever is there
/// may be a host of its own. The address of a NAT may be that of several, and of the NAT itself.
fn foreign(sets: &Sets) -> impl Iterator<Item = (Addr, Role)> + '_ {
    [Role::Active, Role::Alias]
        .into_iter()
        .flat_map(move |role| {
            sets.list(role)
                .iter()
                .filter(|entry: &&Entry| !entry.nat)
                .map(move |entry| (entry.addr, role))
        })
}
