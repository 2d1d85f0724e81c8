// SPDX-License-Identifier: GPL-2.0

//! What the next view of a host changes for its paths and sockets.

use super::Host;
use crate::{
    ffi::table::AddrKey,
    uapi::{
        HostState,
        PathCause, //
    },
    view::{
        Asleep,
        Draft,
        Vacated,
        View, //
    },
};
use ihmp_core::{
    addr::{
        Addr,
        Family, //
    },
    paths::Path, //
};

/// Both families, in the order in which paths are shown.
const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// What has become of the path of each family, where it changed.
pub(crate) type PathChanges = [Option<(Option<Path>, PathCause)>; 2];

/// What one view says of a host, as far as a change to another view depends on it.
pub(super) struct Known {
    pub(super) state: HostState,
    pub(super) paths: [Option<Path>; 2],
    pub(super) network: Option<AddrKey>,
}

impl Known {
    fn of(view: &View) -> Self {
        Self {
            state: view.state(),
            paths: FAMILIES.map(|family| view.path(family)),
            network: view.network(),
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.state == HostState::Up
    }

    /// Whether packets can be sent to the host.
    pub(super) fn is_reachable(&self) -> bool {
        self.is_up() && self.paths.iter().any(Option::is_some)
    }
}

/// What the next view of a host changes for its paths and sockets.
pub(super) struct Difference {
    pub(super) before: Known,
    pub(super) after: Known,
    /// Some sockets are to be woken.
    pub(super) wakes: bool,
    /// All of them, not only those of what has lost its addresses just now.
    pub(super) all: bool,
    /// Also wake flows that do not use their identifiers now, not only those whose address has just gone.
    pub(super) away: bool,
    /// If all are woken: idle ones, too.
    pub(super) idle: bool,
    /// It was our end that moved.
    pub(super) we_moved: bool,
}

impl Difference {
    /// From one view to the next one, as the draft asks for it.
    pub(super) fn new(
        host: &Host,
        old: &View,
        new: &View,
        draft: &Draft,
        vacated: &Vacated,
    ) -> Self {
        let mut difference = Self {
            before: Known::of(old),
            after: Known::of(new),
            wakes: draft.wake,
            all: draft.wake,
            away: false,
            idle: draft.idle || old.asleep == Asleep::All,
            we_moved: false,
        };
        let (is_up, reachable) = (difference.after.is_up(), difference.after.is_reachable());
        for (from, to) in difference.before.paths.iter().zip(&difference.after.paths) {
            // A path that is still there may carry what is in flight.
            let gone = from.is_none_or(|path| !new.has(&path));
            if is_up && gone && to.is_some() && ends(from) != ends(to) {
                (difference.wakes, difference.away) = (true, true);
                difference.all |= from.is_none();
                difference.we_moved |= from.map(|path| path.local) != to.map(|path| path.local);
            }
        }
        if reachable && vacated.any() {
            difference.wakes = true;
            difference.we_moved |= vacated.ours();
            difference.away |= vacated.overtaken();
        }
        if new.validates(old) && host.traffic.was_short() && reachable {
            (difference.wakes, difference.away) = (true, true);
        }
        if old.asleep != Asleep::None && reachable {
            (difference.wakes, difference.we_moved, difference.all) = (true, true, true);
        }
        difference
    }

    /// What has become of the paths.
    pub(super) fn paths(&self) -> PathChanges {
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
