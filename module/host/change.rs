// SPDX-License-Identifier: GPL-2.0

//! Hosts are made, changed and removed, each as a whole: by the holder of the configuration lock.

use super::{
    difference::{
        Difference,
        PathChanges, //
    },
    names::Conflict,
    Host, //
};
use crate::{
    ffi::{
        object::{
            Owned,
            Shared, //
        },
        table::Reserved, //
    },
    netns::{
        Config,
        Netns, //
    },
    notify,
    uapi::HostState,
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

/// Which sockets go on.
fn whom<'a>(difference: &Difference, vacated: &'a Vacated) -> Whom<'a> {
    match difference.all {
        true => Whom::All {
            idle: difference.idle,
        },
        false => Whom::Moved {
            away: difference.away,
            vacated,
        },
    }
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
        let number = self.net.reserve_number().map_err(|_| Conflict::Memory)?;
        host.set_id(number.get());
        self.host_publish(&host, number);
        match self.host_change(&host, config) {
            Ok(changes) => Ok((host, changes)),
            Err(conflict) => {
                self.host_take_out(&host);
                Err(conflict)
            }
        }
    }

    /// Commands find a new host by its number from now on.
    pub(crate) fn host_publish(&self, host: &Shared<Host>, number: Reserved<'_>) {
        self.hosts.fetch_add(1, Relaxed);
        number.give(host);
    }

    /// Gives a host the view that the draft says: all of it, or a conflict and nothing.
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
        let names = self.names_add(host, draft.sets.lists(), other)?;
        let guard = rcu::read_lock();
        let old = host.view.read(&guard);
        let Ok(mut view) = self.next_view(old, draft) else {
            self.names_sync(host, draft.sets.lists(), &guard);
            return Err(Conflict::Memory);
        };
        vacated.note(old, &view, host.moves.has_just_followed());
        let change = Difference::new(host, old, &view, draft, vacated);
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
        let renamed = names.is_some();
        if let Some(names) = names {
            self.names_take(names);
        }
        let guard = rcu::read_lock();
        let old = host.view.read(&guard);
        host.loss.note_change();
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
            wake::host(self, host, whom(&change, vacated), change.we_moved);
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
    fn rows_follow(&self, host: &Shared<Host>, change: &Difference, vacated: &Vacated) {
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
            // While there was no path, sockets cached the dummy route; make them look again.
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

    /// Removes every host and row; nothing else runs in the namespace any more.
    pub(crate) fn empty(&self) {
        let config = self.lock();
        self.flush(&config);
        self.net.take_back();
    }
}
