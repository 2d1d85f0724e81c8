// SPDX-License-Identifier: GPL-2.0
//! The paths of a host: pairs of locators.

use crate::addr::{Addr, Family};
use crate::sets::{Role, Sets};

/// Most paths of a host.
pub const MAX_PATHS: usize = 32;

/// A pair of locators of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// Local locator.
    pub local: Addr,
    /// Remote locator.
    pub remote: Addr,
    /// Preference of the local locator.
    pub local_preference: u16,
    /// Preference of the remote locator.
    pub remote_preference: u16,
    /// Sum of both preferences; lower is preferred.
    pub preference: u32,
    /// The local locator has not been acknowledged yet.
    pub unproven: bool,
    /// The remote locator is that of a NAT: for flows with a port mapping only.
    pub nat: bool,
}

/// The paths of one host; about 1.4 KB.
#[derive(Clone, Copy, Debug)]
pub struct Paths {
    v4: usize,
    len: usize,
    paths: [Path; MAX_PATHS],
}

/// How many pairs of locators of one family there are.
fn count(sets: &Sets, family: Family) -> usize {
    pairs(sets, family).fold(0, |count, _| count.saturating_add(1))
}

/// The pairs of locators of one family, the active ones of each local one together.
fn pairs(sets: &Sets, family: Family) -> impl Iterator<Item = Path> + '_ {
    let of = move |role| {
        sets.list(role)
            .iter()
            .filter(move |entry| entry.addr.family() == family)
    };
    of(Role::Local).flat_map(move |local| {
        of(Role::Active).map(move |remote| Path {
            local: local.addr,
            remote: remote.addr,
            local_preference: local.preference,
            remote_preference: remote.preference,
            preference: u32::from(local.preference).saturating_add(u32::from(remote.preference)),
            unproven: local.unproven,
            nat: remote.nat,
        })
    })
}

/// Puts a path behind those of the first `used` of `room` that do not come after it; the last falls out when there is no
/// room. Returns how many are used now.
fn insert<K: Ord>(room: &mut [Path], used: usize, path: Path, key: impl Fn(&Path) -> K) -> usize {
    let len = used.saturating_add(1).min(room.len());
    let sorted = room.get(..used).unwrap_or(&[]);
    let at = sorted.partition_point(|other| key(other) <= key(&path));
    if let Some(tail @ [_, ..]) = room.get_mut(at..len) {
        tail.rotate_right(1);
        if let Some(slot) = tail.first_mut() {
            *slot = path;
        }
    }
    len
}

impl Paths {
    /// No paths.
    pub const EMPTY: Paths = Paths {
        v4: 0,
        len: 0,
        paths: [Path {
            local: Addr::UNSPECIFIED,
            remote: Addr::UNSPECIFIED,
            local_preference: 0,
            remote_preference: 0,
            preference: 0,
            unproven: false,
            nat: false,
        }; MAX_PATHS],
    };

    /// The paths of a host with these addresses.
    #[inline]
    pub fn of(sets: &Sets) -> Paths {
        let mut paths = Paths::EMPTY;
        paths.fill(sets);
        paths
    }

    /// Makes this the paths of a host with these addresses, in place.
    ///
    /// Of more than [`MAX_PATHS`] pairs those with the lowest local preference, then the lowest remote preference, are
    /// kept; neither family takes more than half from the other.
    pub fn fill(&mut self, sets: &Sets) {
        let v4 = count(sets, Family::V4);
        let v6 = count(sets, Family::V6);
        let half = MAX_PATHS / 2;
        self.v4 = v4.min(MAX_PATHS.saturating_sub(v6.min(half)));
        self.len = self.v4.saturating_add(v6).min(MAX_PATHS);
        let (room_v4, rest) = self.paths.split_at_mut_checked(self.v4).unwrap_or_default();
        let room_v6 = rest
            .get_mut(..self.len.saturating_sub(self.v4))
            .unwrap_or_default();
        for (room, family) in [(room_v4, Family::V4), (room_v6, Family::V6)] {
            let mut used = 0;
            for path in pairs(sets, family) {
                used = insert(room, used, path, |path| {
                    (path.local_preference, path.remote_preference)
                });
            }
            // The second order on top of the first, which stays between equals.
            for used in 0..room.len() {
                if let Some(&path) = room.get(used) {
                    insert(room, used, path, |path| path.preference);
                }
            }
        }
    }

    /// All paths: those of IPv4, then those of IPv6, each sorted by preference, equal ones by local preference, then in the
    /// order of the sets.
    #[inline]
    pub fn as_slice(&self) -> &[Path] {
        self.paths.get(..self.len).unwrap_or(&[])
    }

    /// The paths of one family, sorted by preference; what a scheduler is given, since a packet keeps its family.
    #[inline]
    pub fn family(&self, family: Family) -> &[Path] {
        let (v4, v6) = self
            .as_slice()
            .split_at_checked(self.v4)
            .unwrap_or((&[], &[]));
        match family {
            Family::V4 => v4,
            Family::V6 => v6,
        }
    }
}
