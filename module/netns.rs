// SPDX-License-Identifier: GPL-2.0

//! The state of one network namespace, and the changes that are made to it as a whole.
//!
//! Lock order: `config` (sleeps), then the tables' own locks, then that of announced moves. Packets never take
//! `config`: they read under RCU, add rows and make hosts in state `new`, for which the tables' own
//! locks suffice. Addresses of hosts that are there change under `config` only.

use crate::{
    ffi::{
        net::Net,
        object::{
            copy_of,
            Found,
            Shared,
            Slot, //
        },
        table::{
            row_after,
            Addrs, //
        }, //
    },
    flow::Row,
    host::{
        AddrNode,
        Host, //
    },
    notify,
    opener::Openers,
    param::Params,
    pending::Pending,
    policy::PolicyTable,
    uapi::{
        HostState,
        PathCause, //
    },
    view::{
        Draft,
        Said,
        View, //
    },
    wake::{
        self,
        Vacated,
        Whom, //
    }, //
};
use ihmp_core::{
    addr::{
        Addr,
        Family, //
    },
    paths::Path,
    sets::{
        Lists,
        Role, //
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

/// What the configuration lock protects beside the tables: drafts, each too big for the stack.
pub(crate) struct Config {
    /// Of the host that is being changed.
    pub(crate) draft: KBox<Draft>,
    /// Of one that loses an address by that.
    other: KBox<Draft>,
    /// Addresses that go by the change.
    vacated: KBox<Vacated>,
}

impl Config {
    fn new() -> Result<Self> {
        let draft = || KBox::init(copy_of(const { &Draft::EMPTY }), GFP_KERNEL_ACCOUNT);
        Ok(Self {
            draft: draft()?,
            other: draft()?,
            vacated: KBox::init(copy_of(const { &Vacated::NONE }), GFP_KERNEL_ACCOUNT)?,
        })
    }
}

/// What has become of the path of each family, where it changed.
pub(crate) type PathChanges = [Option<(Option<Path>, PathCause)>; 2];

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
    pub(crate) openers: Openers,
    pub(crate) sightings: [Atomic<u32>; SIGHTINGS],
    pub(crate) discover_second: Atomic<u64>,
    pub(crate) discover_count: Atomic<u32>,
    /// By reason: the second in which listeners were last told of a limit.
    limit_seconds: [Atomic<u64>; Reason::COUNT],
    /// Number of a host that had more than a fair part of the flows when it last got one; 0 before that.
    pub(crate) crowded: Atomic<u32>,
    /// Number of the host at which the look for such hosts goes on.
    pub(crate) next_crowded: Atomic<u32>,
    /// Number of what last happened to addresses of a host: [`ihmp_core::ends`].
    pub(crate) marks: Atomic<u32>,
    /// When what waits for neighbours was dropped the last time, in jiffies.
    pub(crate) dropped_unresolved: Atomic<u64>,
    /// Change of this machine's IPv4 addresses after which sockets were last looked for that cannot send any more.
    pub(crate) searched: Atomic<u32>,
    /// Looks at what has expired, so far.
    pub(crate) looks: Atomic<u32>,
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
        let params = Params::new(net.initial().map(|initial| &initial.params));
        let policy = Slot::new(PolicyTable::empty()?);
        let config = Config::new()?;
        let openers = Openers::new()?;
        KBox::pin_init(
            pin_init!(Self {
                net,
                params,
                policy,
                flows: Atomic::new(0),
                hosts: Atomic::new(0),
                nats: Atomic::new(0),
                natted: Atomic::new(0),
                openers,
                sightings: [const { Atomic::new(0) }; SIGHTINGS],
                discover_second: Atomic::new(0),
                discover_count: Atomic::new(0),
                limit_seconds: [const { Atomic::new(0) }; Reason::COUNT],
                crowded: Atomic::new(0),
                next_crowded: Atomic::new(0),
                marks: Atomic::new(0),
                dropped_unresolved: Atomic::new(0),
                searched: Atomic::new(0),
                looks: Atomic::new(0),
                pending: Pending::new(),
                config <- kernel::new_mutex!(config),
            }),
            GFP_KERNEL_ACCOUNT,
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
        self.net.host(id, &guard).and_then(Found::share)
    }

    /// Makes a host known, as the draft says.
    pub(crate) fn host_add(
        &self,
        expires_in: Option<u64>,
        config: &mut Config,
    ) -> Result<(Shared<Host>, PathChanges), Conflict> {
        let said = Said::new(config.draft.said.state);
        let host = View::new(said, Lists::EMPTY, &[], None, false)
            .and_then(|view| Host::new(view, false))
            .map_err(|_| Conflict::Memory)?;
        host.set_expiry(expires_in);
        let id = self.net.host_link(&host).map_err(|_| Conflict::Memory)?;
        host.set_id(id);
        self.hosts.fetch_add(1, Relaxed);
        match self.host_change(&host, config) {
            Ok(changes) => Ok((host, changes)),
            Err(conflict) => {
                self.host_take_out(&host);
                Err(conflict)
            }
        }
    }

    /// Gives a host the view that the draft says: addresses first, so that a conflict changes nothing.
    pub(crate) fn host_change(
        &self,
        host: &Shared<Host>,
        config: &mut Config,
    ) -> Result<PathChanges, Conflict> {
        self.note_taken(host, config);
        let Config {
            draft,
            other,
            vacated,
        } = config;
        let guard = rcu::read_lock();
        let named = host.view.read(&guard).lists().names();
        // Mostly they stay as they are, and so does all that names the host.
        let renamed = !named.eq(draft.sets.lists().names());
        if renamed {
            self.check_conflicts(host, draft.sets.lists(), &guard)?;
            drop(guard);
            self.yield_aliases(host, draft.sets.lists(), other)?;
            self.add_nodes(host, draft.sets.lists())?;
        } else {
            drop(guard);
        }
        let guard = rcu::read_lock();
        let before = host.view.read(&guard);
        draft.remember_former(before);
        draft.number(before, &self.marks);
        let made = self
            .natted_add(before.lists(), draft.sets.lists())
            .and_then(|()| {
                draft.view(before).inspect_err(|_| {
                    self.natted_remove(draft.sets.lists(), before.lists());
                })
            });
        let Ok(mut view) = made else {
            self.sync_nodes(host, draft.sets.lists(), &guard);
            return Err(Conflict::Memory);
        };
        vacated.note(before, &view, host.has_just_followed());
        let old_paths = FAMILIES.map(|family| before.path(family));
        let was_up = before.state() == HostState::Up;
        let was_asleep = before.asleep;
        let idle = draft.idle || (was_asleep && before.idle);
        let validated = view.validates(before);
        let (old_network, new_network) = (before.network(), view.network());
        drop(guard);
        let is_up = view.state() == HostState::Up;
        // May sleep. Only the holder of the lock replaces the view, so it is still the same one.
        if is_up {
            host.make_caches(view.paths());
        }
        let new_paths = FAMILIES.map(|family| view.path(family));
        let is_classic = view.state() == HostState::Classic;
        let (mut wake, mut we_moved) = (draft.wake, false);
        // Of everything that is no longer where it was, or only of what has lost its addresses just now.
        let (mut all, mut away) = (draft.wake, false);
        for (old, new) in old_paths.iter().zip(&new_paths) {
            // A path that is still there may carry what is in flight.
            let gone = old.is_none_or(|path| !view.has(&path));
            if is_up && gone && new.is_some() && ends(old) != ends(new) {
                (wake, away) = (true, true);
                all |= old.is_none();
                we_moved |= old.map(|path| path.local) != new.map(|path| path.local);
            }
        }
        let reachable = is_up && new_paths.iter().any(Option::is_some);
        if reachable && vacated.any() {
            wake = true;
            we_moved |= vacated.ours();
            away |= vacated.overtaken();
        }
        if validated && host.was_short() && reachable {
            (wake, away) = (true, true);
        }
        if was_asleep && reachable {
            (wake, we_moved, all) = (true, true, true);
        }
        let unproven = |path: &Path| view.unproven(path.local);
        let asleep = wake
            && we_moved
            && self.flows.load(Relaxed) > WAKE_AT_ONCE
            && new_paths.iter().flatten().any(unproven);
        view.edit().asleep = asleep;
        view.edit().idle = asleep && idle;
        self.network_change(host, old_network, new_network);
        let guard = rcu::read_lock();
        let before = host.view.read(&guard);
        host.view.replace(view);
        if renamed {
            self.sync_nodes(host, before.lists(), &guard);
        }
        self.natted_remove(before.lists(), host.view.read(&guard).lists());
        drop(guard);
        if vacated.theirs() {
            host.note_move();
        }
        if vacated.relocates() {
            host.note_relocation();
        }
        host.set_reachable(!is_up || new_paths.iter().any(Option::is_some));

        if is_up && vacated.ours_v4() {
            self.find_stranded();
        }
        if is_classic {
            self.flows_remove(host);
        }
        if is_up && !was_up {
            self.each_row(host, |row, _| {
                if !row.stance.stays() {
                    row.keep_source(self);
                }
            });
        }
        if was_up && matches!((&old_paths, &new_paths), ([_, None], [_, Some(_)])) {
            // In the gap they took the last resort, and would stay there if the path is the first one again.
            self.net.renew_routes6();
        }
        if wake && !asleep {
            let whom = match all {
                true => Whom::All { idle },
                false => Whom::Moved { away, vacated },
            };
            wake::host(self, host, whom, we_moved);
        }
        // After the sockets were woken: what was held may be the acknowledgement that they need.
        self.release_held(host);
        let mut changes = [None, None];
        for (change, (old, new)) in changes.iter_mut().zip(old_paths.iter().zip(&new_paths)) {
            let cause = match (old.is_some(), new.is_some()) {
                _ if ends(old) == ends(new) => continue,
                (_, false) => PathCause::Lost,
                (false, true) => PathCause::Restored,
                _ => PathCause::Configured,
            };
            *change = Some((*new, cause));
        }
        Ok(changes)
    }

    fn check_conflicts(
        &self,
        host: &Host,
        lists: Lists<'_>,
        guard: &Guard,
    ) -> Result<(), Conflict> {
        for (addr, _) in lists.names() {
            let Some(node) = self.net.find::<Addrs>(&addr.octets(), guard) else {
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
    fn yield_aliases(
        &self,
        host: &Host,
        lists: Lists<'_>,
        draft: &mut Draft,
    ) -> Result<(), Conflict> {
        for (addr, _) in lists.names() {
            let guard = rcu::read_lock();
            let Some(node) = self.net.find::<Addrs>(&addr.octets(), &guard) else {
                continue;
            };
            let owner = node.host(&guard);
            if owner.id() == host.id() {
                continue;
            }
            let Some(owner) = owner.share() else {
                continue;
            };
            let before = owner.view.read(&guard);
            let since = before
                .lists()
                .lookup(Role::Alias, addr)
                .map(|alias| alias.mark);
            draft.load(before);
            draft.sets.remove(Role::Alias, addr);
            let view = draft.view(before).map_err(|_| Conflict::Memory)?;
            owner.view.replace(view);
            if let Some(node) = self.net.find::<Addrs>(&addr.octets(), &guard) {
                if node.host(&guard).id() == owner.id() {
                    self.net.remove::<Addrs>(node);
                }
            }
            drop(guard);
            // What began there since is this host's; its next packet says so.
            self.each_row(&owner, |row, _| {
                let younger = since.is_some_and(|since| row.is_younger(since));
                let recent = row.began_before_move(&owner) && !row.roams_there();
                let younger = row.plain || younger || recent;
                if younger && row.key().faddr == addr {
                    self.flow_close(row);
                }
            });
        }
        Ok(())
    }

    /// Makes the nodes of addresses that have none.
    fn add_nodes(&self, host: &Shared<Host>, lists: Lists<'_>) -> Result<(), Conflict> {
        for (addr, _) in lists.names() {
            let guard = rcu::read_lock();
            if let Some(node) = self.net.find::<Addrs>(&addr.octets(), &guard) {
                let owner = node.host(&guard).id();
                if owner != host.id() {
                    // Discovered between the check and now.
                    self.sync_nodes(host, lists, &guard);
                    return Err(Conflict::Taken(addr, owner));
                }
                continue;
            }
            drop(guard);
            // Until the view is there the address only names the host.
            let added = AddrNode::new(addr, Role::Alias, host.clone(), false)
                .and_then(|node| self.net.insert::<Addrs>(node));
            if added.is_err() {
                self.sync_nodes(host, lists, &rcu::read_lock());
                return Err(Conflict::Memory);
            }
        }
        Ok(())
    }

    /// Gives the nodes of a host the roles that its view has, and removes those of `old` that it
    /// has not.
    fn sync_nodes(&self, host: &Host, old: Lists<'_>, guard: &Guard) {
        let lists = host.view.read(guard).lists();
        for (addr, _) in Iterator::chain(old.names(), lists.names()) {
            let Some(node) = self.net.find::<Addrs>(&addr.octets(), guard) else {
                continue;
            };
            if node.host(guard).id() != host.id() {
                continue;
            }
            match lists.name_role(addr) {
                Some(role) => node.set_role(role),
                None => {
                    self.net.remove::<Addrs>(node);
                }
            }
        }
    }

    /// Takes a host out of the numbers, and its rows out of the tables: also those that packets are just making. True for the caller
    /// that did it.
    fn host_take_out(&self, host: &Shared<Host>) -> bool {
        if !self.net.host_unlink(host.id()) {
            return false;
        }
        host.gone.xchg(true, Full);
        self.hosts.fetch_sub(1, Relaxed);
        self.flows_remove(host);
        true
    }

    /// Removes a host with its rows and addresses; true for the caller that did it.
    pub(crate) fn host_remove(&self, host: &Shared<Host>, config: &Config) -> bool {
        if !self.host_take_out(host) {
            return false;
        }
        let guard = rcu::read_lock();
        let lists = host.view.read(&guard).lists();
        for (addr, _) in lists.names() {
            if let Some(node) = self.net.find::<Addrs>(&addr.octets(), &guard) {
                if node.host(&guard).id() == host.id() {
                    self.net.remove::<Addrs>(node);
                }
            }
        }
        self.natted_remove(lists, Lists::EMPTY);
        let network = host.view.read(&guard).network();
        drop(guard);
        self.network_leave(network);
        self.nats_forget(host, config);
        notify::host_deleted(self, host.id());
        true
    }

    /// Does something with every row of a host; the grace period is not held up by many rows.
    pub(crate) fn each_row(
        &self,
        host: &Shared<Host>,
        mut act: impl FnMut(Found<'_, Row>, &Guard),
    ) {
        let mut index = 0;
        loop {
            let guard = rcu::read_lock();
            for _ in 0..ROWS_AT_ONCE {
                match row_after(host.found(), &mut index, &guard) {
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
            let host = host.share();
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

    /// Counts that a limit was met and tells listeners, at most once a second for each reason.
    pub(crate) fn limit_reached(&self, reason: Reason) {
        self.refuse(reason);
        let second = crate::ffi::clock::to_ms(crate::ffi::clock::jiffies()) / 1000;
        let told = &self.limit_seconds[reason.index()];
        if told.load(Relaxed) != second && told.xchg(second, Relaxed) != second {
            notify::limit(self, reason);
        }
    }
}

/// The two ends of a path.
fn ends(path: &Option<Path>) -> Option<(Addr, Addr)> {
    path.map(|path| (path.local, path.remote))
}
