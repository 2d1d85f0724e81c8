// SPDX-License-Identifier: GPL-2.0

//! The host table: a host, what is known of it at one moment, and its addresses.
//!
//! A hand-off publishes one new [`View`]; no row of the host is touched, however many it has.

use crate::{
    ffi::{
        clock,
        object::{
            copy_of,
            Owned,
            Shared,
            Slot, //
        },
        route::DstCache,
        table::AddrKey, //
    },
    uapi::{
        HostState,
        Scheduler as SchedulerName,
        NAME_MAX, //
    },
};
use ihmp_core::{
    addr::{
        Addr,
        Family, //
    },
    paths::{
        Path,
        Paths, //
    },
    sched::{
        Backup,
        Scheduler, //
    },
    sets::{
        Role,
        Sets, //
    },
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        rcu::Guard, //
    },
};

/// No path, or no address.
const NONE: u32 = u32::MAX;
/// Paths that have a route cache; others look the route up for each packet.
const CACHES: usize = 8;
/// Former local addresses that are remembered.
const FORMER: usize = 8;

/// A foreign address in the table of addresses. The C side reads the key at its head.
#[repr(C)]
pub(crate) struct AddrNode {
    /// The address.
    pub(crate) key: AddrKey,
    role: Atomic<u32>,
    host: Shared<Host>,
}

impl AddrNode {
    /// A node for an address of a host.
    pub(crate) fn new(
        addr: Addr,
        role: Role,
        host: Shared<Host>,
        atomic: bool,
    ) -> Result<Owned<Self>> {
        Owned::new(
            Self {
                key: addr.octets(),
                role: Atomic::new(role as u32),
                host,
            },
            atomic,
        )
    }

    /// The host that has the address.
    pub(crate) fn host<'a>(&self, guard: &'a Guard) -> &'a Host {
        self.host.under(guard)
    }

    /// What the address is to the host.
    pub(crate) fn role(&self) -> Role {
        Role::from_number(self.role.load(Relaxed)).unwrap_or(Role::Alias)
    }

    /// The address is something else from now on.
    pub(crate) fn set_role(&self, role: Role) {
        self.role.store(role as u32, Relaxed);
    }
}

/// Name that an administrator gave, at most [`NAME_MAX`] octets.
#[derive(Clone, Copy)]
pub(crate) struct Name {
    octets: [u8; NAME_MAX as usize],
    len: usize,
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
        &self.octets[..self.len]
    }
}

/// What is known of a host at one moment.
pub(crate) struct View {
    pub(crate) state: HostState,
    pub(crate) scheduler: Option<SchedulerName>,
    pub(crate) name: Name,
    pub(crate) sets: Sets,
    /// Own addresses that the host could reach once; sockets may still be bound to them.
    former: [Addr; FORMER],
    /// The sockets are woken when the host has acknowledged where we are.
    pub(crate) asleep: bool,
    paths: Paths,
    caches: [Option<DstCache>; CACHES],
    current: [Atomic<u32>; 2],
}

fn index_of(family: Family) -> usize {
    match family {
        Family::V4 => 0,
        Family::V6 => 1,
    }
}

static NO_ADDRESSES: Sets = Sets::new();
static NO_PATHS: Paths = Paths::EMPTY;

impl View {
    /// A host without addresses; made in place, it is too big for the stack.
    pub(crate) fn new(state: HostState) -> impl Init<Self> {
        init!(Self {
            state,
            scheduler: None,
            name: Name::EMPTY,
            sets <- copy_of(&NO_ADDRESSES),
            former: [Addr::UNSPECIFIED; FORMER],
            asleep: false,
            paths <- copy_of(&NO_PATHS),
            caches: [const { None }; CACHES],
            current: [Atomic::new(NONE), Atomic::new(NONE)],
        })
    }

    /// The same knowledge, to be changed; paths are chosen again by [`View::settle`].
    pub(crate) fn like(&self) -> impl Init<Self> + '_ {
        let view = init!(Self {
            state: self.state,
            scheduler: self.scheduler,
            name: self.name,
            sets <- copy_of(&NO_ADDRESSES),
            former: self.former,
            asleep: self.asleep,
            paths <- copy_of(&NO_PATHS),
            caches: [const { None }; CACHES],
            current: [Atomic::new(NONE), Atomic::new(NONE)],
        });
        view.chain(|view| {
            view.sets.copy_from(&self.sets);
            Ok(())
        })
    }

    /// Makes paths of the sets and chooses among them, as `before` heard the host.
    pub(crate) fn settle(&mut self, before: Option<&View>) {
        self.paths.fill(&self.sets);
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
        let mut paths = self.paths.as_slice().iter();
        let at = paths.position(|path| path.nat && path.local == local && path.remote == remote);
        if let Some(at) = at {
            self.current[index_of(remote.family())].store(at as u32, Relaxed);
        }
        at.is_some()
    }

    /// Gives the first paths a route cache; may sleep.
    pub(crate) fn make_caches(&mut self) {
        let used = self.paths.as_slice().len();
        for cache in self.caches.iter_mut().take(used) {
            *cache = DstCache::new();
        }
    }

    /// Remembers the local addresses of `before` that are no longer there.
    pub(crate) fn remember_former(&mut self, before: &View) {
        for entry in before.sets.list(Role::Local) {
            if self.is_ours(entry.addr) {
                continue;
            }
            self.former.rotate_right(1);
            self.former[0] = entry.addr;
        }
    }

    /// Whether an address is, or was, one of ours towards this host.
    pub(crate) fn is_ours(&self, addr: Addr) -> bool {
        self.sets.lookup(Role::Local, addr).is_some() || self.former.contains(&addr)
    }

    /// All addresses that sockets of ours may be bound to.
    pub(crate) fn own_addresses(&self) -> impl Iterator<Item = Addr> + '_ {
        let local = self.sets.list(Role::Local).iter().map(|entry| entry.addr);
        Iterator::chain(local, self.former.iter().copied())
            .filter(|addr| *addr != Addr::UNSPECIFIED)
    }

    fn base(&self, family: Family) -> usize {
        match family {
            Family::V4 => 0,
            Family::V6 => self.paths.family(Family::V4).len(),
        }
    }

    /// Chooses the path of a family; true when it is another one now.
    fn choose(&self, family: Family, heard: Option<Addr>) -> bool {
        let scheduler = match self.scheduler {
            None | Some(SchedulerName::Backup) => Backup,
        };
        let chosen = scheduler
            .pick(self.paths.family(family), heard)
            .map_or(NONE, |at| (self.base(family) + at) as u32);
        self.current[index_of(family)].xchg(chosen, kernel::sync::atomic::Full) != chosen
    }

    /// The paths of a family with their route caches, the lowest preference first.
    pub(crate) fn ways(
        &self,
        family: Family,
    ) -> impl Iterator<Item = (&Path, Option<&DstCache>)> + '_ {
        let caches = self.caches.iter().skip(self.base(family));
        let caches = Iterator::chain(caches.map(Option::as_ref), core::iter::repeat(None));
        self.paths.family(family).iter().zip(caches)
    }

    /// The path that packets of a family take, with its route cache.
    #[inline]
    pub(crate) fn path_cached(&self, family: Family) -> Option<(&Path, Option<&DstCache>)> {
        let at = self.current[index_of(family)].load(Relaxed) as usize;
        let cache = self.caches.get(at).and_then(|cache| cache.as_ref());
        Some((self.paths.as_slice().get(at)?, cache))
    }

    /// The path that packets of a family take.
    pub(crate) fn path(&self, family: Family) -> Option<&Path> {
        self.path_cached(family).map(|(path, _)| path)
    }

    /// The path in use, IPv4 first.
    pub(crate) fn any_path(&self) -> Option<&Path> {
        self.path(Family::V4).or_else(|| self.path(Family::V6))
    }

    /// Whether both ends of a path are still in the sets.
    pub(crate) fn has(&self, path: &Path) -> bool {
        self.sets.lookup(Role::Local, path.local).is_some()
            && self.sets.lookup(Role::Active, path.remote).is_some()
    }

    /// All paths.
    pub(crate) fn paths(&self) -> &[Path] {
        self.paths.as_slice()
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

    /// Whether the host has not yet acknowledged that we are at this address.
    pub(crate) fn unproven(&self, local: Addr) -> bool {
        self.sets
            .lookup(Role::Local, local)
            .is_some_and(|entry| entry.unproven)
    }
}

/// In `lost`: the sockets were told.
const TOLD: u64 = u64::MAX;

/// A foreign host.
pub(crate) struct Host {
    id: Atomic<u32>,
    pub(crate) view: Slot<View>,
    /// Rows of the host.
    pub(crate) flows: Atomic<u32>,
    /// Port mappings of NATs in front of it.
    pub(crate) nats: Atomic<u32>,
    pub(crate) tx: Atomic<u64>,
    pub(crate) rx: Atomic<u64>,
    last: Atomic<u64>,
    expires: Atomic<u64>,
    /// Jiffies when the last path went; 0 while there is one, [`TOLD`] once the sockets know.
    lost: Atomic<u64>,
    /// The host was removed: what is being added to it at this moment must go again.
    pub(crate) gone: Atomic<bool>,
}

impl Host {
    /// A host that has no id yet.
    pub(crate) fn new(view: Owned<View>, atomic: bool) -> Result<Shared<Self>> {
        let host = Self {
            id: Atomic::new(0),
            view: Slot::new(view),
            flows: Atomic::new(0),
            nats: Atomic::new(0),
            tx: Atomic::new(0),
            rx: Atomic::new(0),
            last: Atomic::new(clock::jiffies()),
            expires: Atomic::new(0),
            lost: Atomic::new(0),
            gone: Atomic::new(false),
        };
        Ok(Owned::new(host, atomic)?.share())
    }

    /// Index of the host, from 1.
    #[inline]
    pub(crate) fn id(&self) -> u32 {
        self.id.load(Relaxed)
    }

    /// Said once, before any address of the host is in the table.
    pub(crate) fn set_id(&self, id: u32) {
        self.id.store(id, Relaxed);
    }

    /// Counts a packet to the host.
    #[inline]
    pub(crate) fn sent(&self, now: u64) {
        self.tx.add(1, Relaxed);
        self.touch(now);
    }

    /// Counts a packet from the host.
    #[inline]
    pub(crate) fn received(&self, now: u64) {
        self.rx.add(1, Relaxed);
        self.touch(now);
    }

    #[inline]
    fn touch(&self, now: u64) {
        if self.last.load(Relaxed) != now {
            self.last.store(now, Relaxed);
        }
    }

    /// Jiffies since the last packet to or from the host.
    pub(crate) fn idle(&self, now: u64) -> u64 {
        now.saturating_sub(self.last.load(Relaxed))
    }

    /// Lets the entry end after so many milliseconds, or never.
    pub(crate) fn set_expiry(&self, ms: Option<u64>) {
        self.expires.store(clock::deadline(ms), Relaxed);
    }

    /// Milliseconds until the entry ends.
    pub(crate) fn expires_in(&self) -> Option<u64> {
        clock::left(self.expires.load(Relaxed))
    }

    /// Notes whether the host has any path.
    pub(crate) fn set_reachable(&self, reachable: bool) {
        if reachable {
            self.lost.store(0, Relaxed);
        } else if self.lost.load(Relaxed) == 0 {
            self.lost.store(clock::jiffies().max(1), Relaxed);
        }
    }

    /// Whether the sockets are to be told that there has been no path for `ms`; says so once.
    pub(crate) fn give_up(&self, now: u64, ms: u64) -> bool {
        let since = self.lost.load(Relaxed);
        let over = since != 0 && since != TOLD && clock::to_ms(now.saturating_sub(since)) >= ms;
        if over {
            self.lost.store(TOLD, Relaxed);
        }
        over
    }

    /// The sockets were told, and there is no path yet.
    pub(crate) fn given_up(&self) -> bool {
        self.lost.load(Relaxed) == TOLD
    }

    /// The entry's time is over.
    pub(crate) fn expired(&self, now: u64) -> bool {
        let at = self.expires.load(Relaxed);
        at != 0 && at <= now
    }
}
