// SPDX-License-Identifier: GPL-2.0

//! What is known of a host at one moment, and how it becomes something else.
//!
//! A view is as long as what it holds: with ten thousand hosts, what a hand-off has to read and write is what it costs.

mod draft;
mod vacated;

pub(crate) use draft::Draft;
pub(crate) use vacated::Vacated;

use crate::{
    ffi::{
        object::{
            Owned,
            Trail, //
        },
        table::AddrKey, //
    },
    marks::Marks,
    uapi::{
        HostState,
        Scheduler as SchedulerName,
        NAME_MAX, //
    },
};
use core::ops::Range;
use ihmp_core::{
    addr::{
        Addr,
        Family, //
    },
    credit,
    paths::{
        Path,
        Paths, //
    },
    sched::{
        Backup,
        Scheduler, //
    },
    sets::{
        Entry,
        Lists,
        Role,
        MAX_ADDRS,
        ROLES, //
    },
};
use kernel::{
    prelude::*,
    sync::atomic::{
        Atomic,
        Full,
        Relaxed, //
    },
};

/// No path.
const NONE: u32 = u32::MAX;
/// Marks an empty cache entry; no device has this index.
const UNSEEN: u64 = u64::MAX;

/// Name that an administrator gave, at most [`NAME_MAX`] octets.
#[derive(Clone, Copy)]
pub(crate) struct Name {
    octets: [u8; NAME_MAX as usize],
    len: u8,
}

impl Name {
    /// No name.
    pub(crate) const EMPTY: Self = Self {
        octets: [0; NAME_MAX as usize],
        len: 0,
    };

    /// The name in a netlink string, without its final zero.
    pub(crate) fn new(text: &[u8]) -> Self {
        let mut name = Self::EMPTY;
        for (to, from) in name
            .octets
            .iter_mut()
            .zip(text.iter().take_while(|octet| **octet != 0))
        {
            *to = *from;
            name.len += 1;
        }
        name
    }

    /// The octets of the name.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.octets[..usize::from(self.len)]
    }
}

/// What is said of a host beside its addresses.
#[derive(Clone, Copy)]
pub(crate) struct Said {
    pub(crate) state: HostState,
    pub(crate) scheduler: Option<SchedulerName>,
    pub(crate) name: Name,
}

impl Said {
    /// A host in this state, of which nothing more is said.
    pub(crate) const fn new(state: HostState) -> Self {
        Self {
            state,
            scheduler: None,
            name: Name::EMPTY,
        }
    }
}

/// Sockets of a host that are woken when it has acknowledged where we are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asleep {
    None,
    /// Those that have something on the way.
    Busy,
    /// Those that have been idle as well.
    All,
}

/// What is known of a host at one moment. Its addresses are behind it: those of each role, then own addresses that the
/// host could reach once, the last one first; sockets may still be bound to them.
pub(crate) type View = Trail<Facts, [Entry]>;

/// What a view holds beside addresses.
pub(crate) struct Facts {
    /// Counts the views of a host.
    number: u32,
    current: [Atomic<u32>; 2],
    /// By place of a local address: the device that has it, and which change of addresses that was seen after.
    seen: [Atomic<u64>; MAX_ADDRS],
    /// By place of an active address: the number by which the host left it, or 0.
    left: [Atomic<u64>; MAX_ADDRS],
    /// Where the addresses of each role end.
    ends: [u8; ROLES],
    paths: Paths,
    pub(crate) asleep: Asleep,
    /// Some local address is behind a NAT, and no locator.
    hides: bool,
    /// Some active address is not validated.
    tries: bool,
    /// Listeners were told that the credit runs out.
    told: Atomic<bool>,
    /// The network whose account the host shares.
    network: Option<AddrKey>,
    pub(crate) said: Said,
}

fn sight(device: u32, change: u32) -> u64 {
    u64::from(device) << 32 | u64::from(change)
}

impl View {
    /// A view of a host with these addresses, which follows `before`; `atomic` when the caller may not
    /// sleep.
    pub(crate) fn new(
        said: Said,
        lists: Lists<'_>,
        former: &[Entry],
        before: Option<&View>,
        atomic: bool,
    ) -> Result<Owned<Self>> {
        let mut end = 0_usize;
        let left = core::array::from_fn(|at| {
            let entry = lists.list(Role::Active).get(at);
            let mark = before
                .zip(entry)
                .map(|(before, entry)| before.mark_of(entry.addr));
            Atomic::new(mark.unwrap_or(0))
        });
        let facts = Facts {
            number: before.map_or(0, |before| before.number.wrapping_add(1)),
            current: [Atomic::new(NONE), Atomic::new(NONE)],
            seen: [const { Atomic::new(UNSEEN) }; MAX_ADDRS],
            left,
            // A list has at most 16 addresses.
            ends: lists.0.map(|list| {
                end += list.len();
                end as u8
            }),
            paths: Paths::of(lists),
            asleep: before.map_or(Asleep::None, |before| before.asleep),
            hides: lists.list(Role::Local).iter().any(|entry| entry.nat),
            tries: lists
                .list(Role::Active)
                .iter()
                .any(|entry| entry.unvalidated),
            told: Atomic::new(false),
            network: match said.state {
                HostState::Up => credit::network_of(
                    lists.list(Role::Active),
                    before.and_then(|before| before.network),
                ),
                _ => None,
            },
            said,
        };
        let [active, unreachable, local, alias] = lists.0;
        let lists = [active, unreachable, local, alias, former];
        let view = Owned::with_items(facts, &lists, atomic)?;
        view.settle(before);
        Ok(view)
    }

    /// Chooses among the paths, as `before` heard the host.
    fn settle(&self, before: Option<&View>) {
        for family in [Family::V4, Family::V6] {
            let path = before.and_then(|before| before.path(family));
            let kept = path.is_some_and(|path| path.nat && self.take(path.local, path.remote));
            if !kept {
                self.choose(family, path.map(|path| path.remote));
            }
        }
    }

    /// Takes the path through a NAT between these addresses, if there is one.
    fn take(&self, local: Addr, remote: Addr) -> bool {
        let lists = self.lists();
        let at = (0..self.paths.len()).find(|at| {
            let path = self.paths.get(*at, &lists);
            path.is_some_and(|path| path.nat && path.local == local && path.remote == remote)
        });
        if let Some(at) = at {
            self.current[remote.family().index()].store(at as u32, Relaxed);
        }
        at.is_some()
    }

    /// Chooses the path of a family; true when it is another one now.
    fn choose(&self, family: Family, heard: Option<Addr>) -> bool {
        let scheduler = match self.said.scheduler {
            None | Some(SchedulerName::Backup) => Backup,
        };
        let places = self.family(family);
        let lists = self.lists();
        let first = places.start;
        let paths = places.filter_map(|at| self.paths.get(at, &lists));
        let chosen = scheduler.pick(paths, heard);
        let chosen = chosen.map_or(NONE, |at| (first + at) as u32);
        self.current[family.index()].xchg(chosen, Full) != chosen
    }

    /// What the host is to us.
    #[inline]
    pub(crate) fn state(&self) -> HostState {
        self.said.state
    }

    /// Which view of the host it is, or another one so long ago that nothing is left of that.
    #[inline]
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// The addresses by role.
    #[inline]
    pub(crate) fn lists(&self) -> Lists<'_> {
        let [active, unreachable, local, alias] = self.ends.map(usize::from);
        let of = |from, to| self.items().get(from..to).unwrap_or(&[]);
        Lists([
            of(0, active),
            of(active, unreachable),
            of(unreachable, local),
            of(local, alias),
        ])
    }

    /// The addresses in a role, in the order of insertion.
    #[inline]
    pub(crate) fn list(&self, role: Role) -> &[Entry] {
        self.lists().list(role)
    }

    /// Own addresses that the host could reach once.
    fn former(&self) -> &[Entry] {
        let end = self.ends.last().map_or(0, |end| usize::from(*end));
        self.items().get(end..).unwrap_or(&[])
    }

    /// Whether an address is, or was, one of ours towards this host.
    pub(crate) fn is_ours(&self, addr: Addr) -> bool {
        has(self.list(Role::Local), addr) || has(self.former(), addr)
    }

    /// Whether an address was one of ours towards this host, and is none now.
    #[inline]
    pub(crate) fn was_ours(&self, addr: Addr) -> bool {
        has(self.former(), addr) && !has(self.list(Role::Local), addr)
    }

    /// All addresses that sockets of ours may be bound to.
    pub(crate) fn own_addresses(&self) -> impl Iterator<Item = Addr> + '_ {
        let local = self.list(Role::Local).iter();
        Iterator::chain(local, self.former()).map(|entry| entry.addr)
    }

    /// The paths of a family, by place, the lowest preference first.
    #[inline]
    pub(crate) fn family(&self, family: Family) -> Range<usize> {
        self.paths.family(family)
    }

    /// Whether the host has more than one path of a family.
    #[inline]
    pub(crate) fn has_choice(&self, family: Family) -> bool {
        self.paths.family(family).len() > 1
    }

    /// How many paths there are.
    pub(crate) fn paths(&self) -> usize {
        self.paths.len()
    }

    /// The path at a place.
    #[inline]
    pub(crate) fn get(&self, at: usize) -> Option<Path> {
        self.paths.get(at, &self.lists())
    }

    /// The place of a path, if it is among the paths.
    #[inline]
    pub(crate) fn place(&self, path: &Path) -> Option<usize> {
        self.paths.place(path)
    }

    /// The place of the path that packets of a family take.
    #[inline]
    pub(crate) fn current(&self, family: Family) -> usize {
        self.current[family.index()].load(Relaxed) as usize
    }

    /// The path that packets of a family take.
    #[inline]
    pub(crate) fn path(&self, family: Family) -> Option<Path> {
        self.get(self.current(family))
    }

    /// The device that has the local address at a place, if that was seen after this change of addresses.
    #[inline]
    pub(crate) fn seen(&self, at: usize, change: u32) -> Option<u32> {
        let seen = self.seen.get(at)?.load(Relaxed);
        let device = (seen >> 32) as u32;
        (seen == sight(device, change) && seen != UNSEEN).then_some(device)
    }

    /// It was seen.
    pub(crate) fn saw(&self, at: usize, device: u32, change: u32) {
        if let Some(seen) = self.seen.get(at) {
            seen.store(sight(device, change), Relaxed);
        }
    }

    /// The number by which the host left the active address at a place, or 0.
    #[inline]
    pub(crate) fn mark_at(&self, at: usize) -> u64 {
        self.left.get(at).map_or(0, |mark| mark.load(Relaxed))
    }

    fn place_of(&self, addr: Addr) -> Option<usize> {
        let mut active = self.list(Role::Active).iter();
        active.position(|entry| entry.addr == addr)
    }

    /// The number by which the host left an active address, or 0.
    pub(crate) fn mark_of(&self, addr: Addr) -> u64 {
        self.place_of(addr).map_or(0, |at| self.mark_at(at))
    }

    /// The host has left an active address, says a flow that was at home there `since` this number. The first one, and one
    /// that had come back, give the address the next of `marks`.
    pub(crate) fn leave(&self, addr: Addr, since: u64, marks: &Marks) {
        let left = self.place_of(addr).and_then(|at| self.left.get(at));
        if let Some(left) = left.filter(|left| since >= left.load(Relaxed)) {
            left.store(marks.next(), Relaxed);
        }
    }

    /// The path in use, IPv4 first.
    pub(crate) fn any_path(&self) -> Option<Path> {
        self.path(Family::V4).or_else(|| self.path(Family::V6))
    }

    /// Whether both ends of a path are still in the sets.
    pub(crate) fn has(&self, path: &Path) -> bool {
        has(self.list(Role::Local), path.local) && has(self.list(Role::Active), path.remote)
    }

    /// The host sends from `remote` now: follow it. True when the path changed.
    #[inline]
    pub(crate) fn hear(&self, remote: Addr) -> bool {
        let family = remote.family();
        match self.path(family) {
            Some(path) if path.remote != remote => self.choose(family, Some(remote)),
            _ => false,
        }
    }

    /// The host sends from behind a NAT: follow it. The NAT lets through what comes from the address that
    /// the host talks to, whatever we prefer. True when the path changed.
    pub(crate) fn hear_nat(&self, local: Addr, remote: Addr) -> bool {
        match self.path(remote.family()) {
            Some(path) if path.local == local && path.remote == remote => false,
            Some(_) => self.take(local, remote),
            None => false,
        }
    }

    /// Whether the host has not acknowledged that we are at this address: what comes there may answer what
    /// it took for somebody else's.
    pub(crate) fn unvalidated(&self, local: Addr) -> bool {
        let entry = self.lists().lookup(Role::Local, local);
        entry.is_some_and(|entry| entry.unvalidated || entry.nat)
    }

    /// Whether the address is behind a NAT without mappings; its flows are not translated.
    #[inline]
    pub(crate) fn hides(&self, local: Addr) -> bool {
        self.hides && self.is_natted(local)
    }

    /// Whether the address is active and validated.
    #[inline]
    pub(crate) fn is_validated(&self, remote: Addr) -> bool {
        let mut active = self.list(Role::Active).iter();
        active.any(|entry| entry.addr == remote && !entry.unvalidated)
    }

    /// Whether the host has the address, and has not shown that it is there.
    #[inline]
    pub(crate) fn tries(&self, remote: Addr) -> bool {
        self.tries && !self.is_validated(remote) && has(self.list(Role::Active), remote)
    }

    /// Whether the host has shown that it is at an address at which `before` did not know it.
    pub(crate) fn validates(&self, before: &View) -> bool {
        let mut active = self.list(Role::Active).iter();
        before.tries && active.any(|entry| !entry.unvalidated && before.tries(entry.addr))
    }

    /// The network whose account the host shares.
    pub(crate) fn network(&self) -> Option<AddrKey> {
        self.network
    }

    /// True once: whether to send the credit event now.
    pub(crate) fn tells_credit(&self) -> bool {
        !self.told.load(Relaxed) && !self.told.xchg(true, Relaxed)
    }

    #[cold]
    fn is_natted(&self, local: Addr) -> bool {
        let entry = self.lists().lookup(Role::Local, local);
        entry.is_some_and(|entry| entry.nat)
    }
}

fn has(list: &[Entry], addr: Addr) -> bool {
    list.iter().any(|entry| entry.addr == addr)
}
