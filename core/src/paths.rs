// SPDX-License-Identifier: GPL-2.0
//! The paths of a host: pairs of locators.

use core::ops::Range;

use crate::addr::{Addr, Family};
use crate::sets::{Entry, Lists, Role};

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
    pub unvalidated: bool,
    /// The remote locator is that of a NAT: for flows with a port mapping only.
    pub nat: bool,
    /// The local locator was left by a move, though it is still there.
    pub left: bool,
    /// Index of the device by which packets leave, or 0 for that of the local locator.
    pub device: u32,
    /// Place of the local locator in its list.
    pub local_at: usize,
    /// Place of the remote locator in its list.
    pub remote_at: usize,
}

impl Path {
    #[inline]
    fn of(pair: Pair, local: &Entry, remote: &Entry) -> Path {
        Path {
            local: local.addr,
            remote: remote.addr,
            local_preference: local.preference,
            remote_preference: remote.preference,
            preference: u32::from(local.preference).saturating_add(u32::from(remote.preference)),
            unvalidated: local.unvalidated,
            nat: remote.nat,
            left: local.mark != 0,
            device: local.device,
            local_at: usize::from(pair.local),
            remote_at: usize::from(pair.remote),
        }
    }
}

/// How good a path is; lower is better.
pub type Rank = (bool, bool, u16, bool, bool, u16);

impl Path {
    /// How good the path is, for the scheduler `backup`: local locators that the host has not acknowledged come last, then
    /// those that were left; local preferences are our own choice and come first; then where the host was `heard` from, for
    /// it knows its own paths best; then those that lead through no NAT; then the preference of the remote locator.
    #[inline]
    pub fn rank(&self, heard: Option<Addr>) -> Rank {
        (
            self.unvalidated,
            self.left,
            self.local_preference,
            Some(self.remote) != heard,
            self.nat,
            self.remote_preference,
        )
    }
}

/// All pairs of locators of one family, also those that are too many to be kept.
pub fn all<'a>(lists: Lists<'a>, family: Family) -> impl Iterator<Item = Path> + 'a {
    pairs(&lists, family).filter_map(move |pair| pair.path(&lists))
}

/// A path by the places of its locators in their lists.
#[derive(Clone, Copy, Debug)]
struct Pair {
    local: u8,
    remote: u8,
}

impl Pair {
    #[inline]
    fn path(self, lists: &Lists<'_>) -> Option<Path> {
        let local = lists.list(Role::Local).get(usize::from(self.local))?;
        let remote = lists.list(Role::Active).get(usize::from(self.remote))?;
        Some(Path::of(self, local, remote))
    }
}

/// The paths of one host, in places of the lists from which they were made; 66 octets.
#[derive(Clone, Copy, Debug)]
pub struct Paths {
    v4: u8,
    len: u8,
    pairs: [Pair; MAX_PATHS],
}

/// The addresses of one family in a role, with their places.
fn of_family<'a>(
    lists: &Lists<'a>,
    role: Role,
    family: Family,
) -> impl Iterator<Item = (u8, &'a Entry)> + Clone {
    (0_u8..)
        .zip(lists.list(role))
        .filter(move |(_, entry)| entry.addr.family() == family)
}

/// The local locators of one family, with their places: own addresses, but for those that are useless behind a NAT.
fn locators<'a>(lists: &Lists<'a>, family: Family) -> impl Iterator<Item = (u8, &'a Entry)> {
    of_family(lists, Role::Local, family).filter(|(_, local)| !local.nat)
}

/// The pairs of locators of one family, the active ones of each local one together.
fn pairs<'a>(lists: &Lists<'a>, family: Family) -> impl Iterator<Item = Pair> + 'a {
    let active = of_family(lists, Role::Active, family);
    locators(lists, family).flat_map(move |(local, _)| {
        active
            .clone()
            .map(move |(remote, _)| Pair { local, remote })
    })
}

/// How many pairs of locators of one family there are.
fn count(lists: &Lists<'_>, family: Family) -> usize {
    let active = of_family(lists, Role::Active, family).count();
    locators(lists, family).count().saturating_mul(active)
}

/// Puts a pair behind those of the first `used` of `room` that do not come after it; the last falls out when there is no
/// room. Returns how many are used now.
fn insert<K: Ord>(room: &mut [Pair], used: usize, pair: Pair, key: impl Fn(&Pair) -> K) -> usize {
    let len = used.saturating_add(1).min(room.len());
    let sorted = room.get(..used).unwrap_or(&[]);
    let at = sorted.partition_point(|other| key(other) <= key(&pair));
    if let Some(tail @ [_, ..]) = room.get_mut(at..len) {
        tail.rotate_right(1);
        if let Some(slot) = tail.first_mut() {
            *slot = pair;
        }
    }
    len
}

/// A number that is at most [`MAX_PATHS`].
fn small(number: usize) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

impl Paths {
    /// No paths.
    pub const EMPTY: Paths = Paths {
        v4: 0,
        len: 0,
        pairs: [Pair {
            local: 0,
            remote: 0,
        }; MAX_PATHS],
    };

    /// The paths of a host with these addresses.
    ///
    /// Of more than [`MAX_PATHS`] pairs those with an acknowledged local locator, then the lowest local preference, then the
    /// lowest remote preference, are kept; neither family takes more than half from the other.
    pub fn of<'a>(lists: impl Into<Lists<'a>>) -> Paths {
        let lists = lists.into();
        let v4 = count(&lists, Family::V4);
        let v6 = count(&lists, Family::V6);
        let half = MAX_PATHS / 2;
        let v4 = v4.min(MAX_PATHS.saturating_sub(v6.min(half)));
        let len = v4.saturating_add(v6).min(MAX_PATHS);
        let mut paths = Paths {
            v4: small(v4),
            len: small(len),
            ..Paths::EMPTY
        };
        let (room_v4, rest) = paths.pairs.split_at_mut_checked(v4).unwrap_or_default();
        let room_v6 = rest.get_mut(..len.saturating_sub(v4)).unwrap_or_default();
        let preferences = |pair: &Pair| {
            let path = pair.path(&lists);
            path.map(|path| {
                (
                    path.unvalidated,
                    path.local_preference,
                    path.remote_preference,
                )
            })
        };
        for (room, family) in [(room_v4, Family::V4), (room_v6, Family::V6)] {
            let mut used = 0;
            for pair in pairs(&lists, family) {
                used = insert(room, used, pair, preferences);
            }
            // The second order on top of the first, which stays between equals.
            for used in 0..room.len() {
                if let Some(&pair) = room.get(used) {
                    insert(room, used, pair, |pair| {
                        pair.path(&lists).map(|path| path.preference)
                    });
                }
            }
        }
        paths
    }

    /// How many there are.
    #[inline]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Which of them are of a family: those of IPv4 come first, then those of IPv6, each sorted by preference, of equal ones
    /// those with an acknowledged local locator first, then by local preference, then in the order of the lists.
    #[inline]
    pub fn family(&self, family: Family) -> Range<usize> {
        match family {
            Family::V4 => 0..usize::from(self.v4),
            Family::V6 => usize::from(self.v4)..self.len(),
        }
    }

    /// The place of a path, if it is kept.
    #[inline]
    pub fn place(&self, path: &Path) -> Option<usize> {
        let pairs = self.pairs.get(..self.len())?;
        let is = |pair: &Pair| {
            usize::from(pair.local) == path.local_at && usize::from(pair.remote) == path.remote_at
        };
        pairs.iter().position(is)
    }

    /// The path at a place, of the lists from which they were made.
    #[inline]
    pub fn get(&self, at: usize, lists: &Lists<'_>) -> Option<Path> {
        let pairs = self.pairs.get(..self.len())?;
        pairs.get(at)?.path(lists)
    }
}
