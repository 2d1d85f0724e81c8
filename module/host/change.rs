// SPDX-License-Identifier: GPL-2.0

//! Hosts are made, changed and removed, each as a whole: by the holder of the configuration lock.

use super::Host;
use crate::{
    ffi::{
        object::{
            Owned,
            Shared, //
        },
        table::AddrKey, //
    },
    netns::{
        Config,
        Netns, //
    },
    notify,
    uapi::{
        HostState,
        PathCause, //
    },
    view::{
        Asleep,
        Draft,
        Said,
        Vacated,
        View, //
    },
    wake::{
        self,
        Whom, //
    }, //
};
use ihmp_core::{
    addr::{
        Addr,
        Family, //
    },
    paths::Path,
    sets::Lists, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Full,
            Relaxed, //
        },
        rcu, //
    },
};

/// With more flows than this, sockets are woken when the host has acknowledged a move of ours: the
/// queue of a neighbour whose link address is not known yet holds few packets, and drops the oldest
/// ones, the announcement first.
const WAKE_AT_ONCE: u32 = 32;
/// Both families, in the order in which paths are shown.
const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// What has become of the path of each family, where it changed.
pub(crate) type PathChanges = [Option<(Option<Path>, PathCause)>; 2];

/// Why an address cannot be given to a host.
pub(crate) enum Conflict {
    /// Another host has it.
    Taken(Addr, u32),
    /// There is no memory.
    Memory,
}

/// What one view says of a host, as far as a change to another view depends on it.
struct Known {
    state: HostState,
    paths: [Option<Path>; 2],
    network: Option<AddrKey>,
}

impl Known {
    fn of(view: &View) -> Self {
        Self {
            state: view.state(),
            paths: FAMILIES.map(|family| view.path(family)),
            network: view.network(),
        }
    }

    fn is_up(&self) -> bool {
        self.state == HostState::Up
    }

    /// Whether packets can be sent to the host.
    fn is_reachable(&self) -> bool {
        self.is_up() && self.paths.iter().any(Option::is_some)
    }
}

/// What the next view of a host changes for its paths and sockets.
struct Change {
    before: Known,
    after: Known,
    /// Some sockets go on.
    wakes: bool,
    /// All of them, not only those of what has lost its addresses just now.
    all: bool,
    /// With those of what has lost its addresses, all that are away from home.
    away: bool,
    /// With all of them, those that have been idle.
    idle: bool,
    /// It was our end that moved.
    we_moved: bool,
}

impl Change {
    /// From one view to the next one, as the draft asks for it.
    fn new(host: &Host, old: &View, new: &View, draft: &Draft, vacated: &Vacated) -> Self {
        let mut change = Self {
            before: Known::of(old),
            after: Known::of(new),
            wakes: draft.wake,
            all: draft.wake,
            away: false,
            idle: draft.idle || old.asleep == Asleep::All,
            we_moved: false,
        };
        let (is_up, reachable) = (change.after.is_up(), change.after.is_reachable());
        for (from, to) in change.before.paths.iter().zip(&change.after.paths) {
            // A path that is still there may carry what is in flight.
            let gone = from.is_none_or(|path| !new.has(&path));
            if is_up && gone && to.is_some() && ends(from) != ends(to) {
                (change.wakes, change.away) = (true, true);
                change.all |= from.is_none();
                change.we_moved |= from.map(|path| path.local) != to.map(|path| path.local);
            }
        }
        if reachable && vacated.any() {
            change.wakes = true;
            change.we_moved |= vacated.ours();
            change.away |= vacated.overtaken();
        }
        if new.validates(old) && host.traffic.was_short() && reachable {
            (change.wakes, change.away) = (true, true);
        }
        if old.asleep != Asleep::None && reachable {
            (change.wakes, change.we_moved, change.all) = (true, true, true);
        }
        change
    }

    fn whom<'a>(&self, vacated: &'a Vacated) -> Whom<'a> {
        match self.all {
            true => Whom::All { idle: self.idle },
            false => Whom::Moved {
                away: self.away,
                vacated,
            },
        }
    }

    /// What has become of the paths.
    fn paths(&self) -> PathChanges {
        let mut changes = [None, None];
        let paths = self.before.paths.iter().zip(&self.after.paths);
        for (change, (old, new)) in changes.iter_mut().zip(paths) {
            let cause = match (old.is_some(), new.is_some()) {
                _ if ends(old) == ends(new) => continue,
                (_, false) => PathCause::Lost,
                (false, true) => PathCause::Restored,
                _ => PathCause::Configured,
            };
            *change = Some((*new, cause));
        }
        changes
    }
}

/// The two ends of a path.
fn ends(path: &Option<Path>) -> Option<(Addr, Addr)> {
    path.map(|path| (path.local, path.remote))
}

impl Netns {
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
        self.host_number(&host).map_err(|_| Conflict::Memory)?;
        match self.host_change(&host, config) {
            Ok(changes) => Ok((host, changes)),
            Err(conflict) => {
                self.host_take_out(&host);
                Err(conflict)
            }
        }
    }

    /// Gives a new host its number.
    pub(crate) fn host_number(&self, host: &Shared<Host>) -> Result {
        host.set_id(self.net.number(host)?);
        self.hosts.fetch_add(1, Relaxed);
        Ok(())
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
        let renamed = self.names_add(host, draft.sets.lists(), other)?;
        let guard = rcu::read_lock();
        let old = host.view.read(&guard);
        let Ok(mut view) = self.next_view(old, draft) else {
            self.names_sync(host, draft.sets.lists(), &guard);
            return Err(Conflict::Memory);
        };
        vacated.note(old, &view, host.moves.has_just_followed());
        let change = Change::new(host, old, &view, draft, vacated);
        drop(guard);
        let (before, after) = (&change.before, &change.after);
        // May sleep. Only the holder of the lock replaces the view, so it is still the same one.
        if after.is_up() {
            host.make_caches(view.paths());
        }
        let unvalidated = |path: &Path| view.unvalidated(path.local);
        let asleep = change.wakes
            && change.we_moved
            && self.table.count() > WAKE_AT_ONCE
            && after.paths.iter().flatten().any(unvalidated);
        view.edit().asleep = match (asleep, change.idle) {
            (false, _) => Asleep::None,
            (true, false) => Asleep::Busy,
            (true, true) => Asleep::All,
        };
        self.network_change(host, before.network, after.network);
        let guard = rcu::read_lock();
        let old = host.view.read(&guard);
        host.view.replace(view);
        if renamed {
            self.names_sync(host, old.lists(), &guard);
        }
        self.natted_remove(old.lists(), host.view.read(&guard).lists());
        drop(guard);
        host.moves.note_vacated(vacated);
        host.loss
            .set_reachable(!after.is_up() || after.is_reachable());
        self.rows_follow(host, &change, vacated);
        if change.wakes && !asleep {
            wake::host(self, host, change.whom(vacated), change.we_moved);
        }
        // After the sockets were woken: what was held may be the acknowledgement that they need.
        self.release_held(host);
        Ok(change.paths())
    }

    /// The view that follows one, as the draft says. The addresses of NATs are noted, or none of them.
    fn next_view(&self, old: &View, draft: &mut Draft) -> Result<Owned<View>> {
        draft.remember_former(old);
        draft.number(old, &self.marks);
        self.natted_add(old.lists(), draft.sets.lists())?;
        draft.view(old).inspect_err(|_| {
            self.natted_remove(draft.sets.lists(), old.lists());
        })
    }

    /// Does to the rows of a host and to the routes of sockets what a change of the host asks for.
    fn rows_follow(&self, host: &Shared<Host>, change: &Change, vacated: &Vacated) {
        let (before, after) = (&change.before, &change.after);
        if after.is_up() && vacated.ours_v4() {
            self.find_stranded();
        }
        if after.state == HostState::Classic {
            self.flows_remove(host);
        }
        if after.is_up() && !before.is_up() {
            self.each_row(host, |row, _| {
                if !row.stance.stays() {
                    self.keep_source_of(&row);
                }
            });
        }
        if before.is_up() && matches!((&before.paths, &after.paths), ([_, None], [_, Some(_)])) {
            // In the gap they took the last resort, and would stay there if the path is the first one again.
            self.net.renew_routes6();
        }
    }

    /// Takes a host out of the numbers, and its rows out of the tables: also those that packets are just making. True for the caller
    /// that did it.
    pub(crate) fn host_take_out(&self, host: &Shared<Host>) -> bool {
        if !self.net.unnumber(host.id()) {
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
        let view = host.view.read(&guard);
        self.names_remove(host, view.lists(), &guard);
        self.natted_remove(view.lists(), Lists::EMPTY);
        let network = view.network();
        drop(guard);
        self.network_leave(network);
        self.nats_forget(host, config);
        notify::host_deleted(self, host.id());
        true
    }

    /// Removes every host and row.
    pub(crate) fn flush(&self, config: &Config) {
        self.each_host(|host| {
            self.host_remove(host, config);
        });
    }
}
