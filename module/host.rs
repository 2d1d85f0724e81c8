// SPDX-License-Identifier: GPL-2.0

//! The host table: a host and its addresses.
//!
//! A hand-off publishes one new [`View`]; no row of the host is touched, however many it has.

use crate::{
    credit::Account,
    ffi::{
        clock,
        object::{
            Found,
            Owned,
            Shared,
            Slot, //
        },
        route::{
            DstCache,
            Tagged, //
        },
        table::AddrKey, //
    },
    view::{
        index_of,
        View, //
    },
};
use ihmp_core::{
    addr::{
        Addr,
        Family, //
    },
    sets::Role, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Full,
            Relaxed, //
        },
        rcu::Guard,
        SetOnce, //
    },
};

/// Paths that have a route cache; others look the route up for each packet.
const CACHES: usize = 8;
/// If a host says that an address is gone within so many milliseconds after the path has left it, what was sent there counts
/// as lost. That is a round trip, and the time that an agent takes on a busy machine.
const OVERTAKEN_MS: u64 = 500;

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
    pub(crate) fn host<'a>(&self, guard: &'a Guard) -> Found<'a, Host> {
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

/// Milliseconds after a change of our addresses for which the host may not know yet who speaks from there, or may speak to who had the
/// address before: an agent that has forgotten us is told meanwhile.
const RELOCATED_MS: u64 = 3_000;

/// Milliseconds between two events that say that the path has followed the host.
const TELL_MS: u64 = 1_000;

/// In `lost`: the sockets were told.
const TOLD: u64 = u64::MAX;
/// In `lost`: the sockets are being told that were in use the first time.
const TELLING_REST: u64 = TOLD - 1;
/// In `lost`: the sockets are being told.
const TELLING: u64 = TOLD - 2;

/// A foreign host.
pub(crate) struct Host {
    id: Atomic<u32>,
    pub(crate) view: Slot<View>,
    /// Of the first paths, whichever they are at the moment; made when they are needed first.
    caches: [SetOnce<DstCache>; CACHES],
    /// Rows of the host.
    pub(crate) flows: Atomic<u32>,
    /// Those of them that stay at home: [`crate::switch`].
    pub(crate) staying: Atomic<u32>,
    /// Port mappings of NATs in front of it.
    pub(crate) nats: Atomic<u32>,
    pub(crate) tx: Atomic<u64>,
    pub(crate) rx: Atomic<u64>,
    /// Octets that were sent to validated addresses.
    taken: Atomic<u64>,
    /// Those of them that `account` knows of; changed under the configuration lock.
    noted: Atomic<u64>,
    /// Packets to an address that is not validated were dropped.
    short: Atomic<bool>,
    pub(crate) account: Account,
    last: Atomic<u64>,
    expires: Atomic<u64>,
    /// Jiffies when the last path went; 0 while there is one, [`TELLING`] and [`TOLD`] when that was long ago.
    lost: Atomic<u64>,
    /// Jiffies when an address last left the active ones; 0 for never.
    moved: Atomic<u64>,
    /// Jiffies when our addresses towards the host last changed; 0 for never.
    relocated: Atomic<u64>,
    /// Jiffies when the path last followed the host; 0 for never.
    followed: Atomic<u64>,
    /// Jiffies when listeners were last told so; 0 for never.
    told: Atomic<u64>,
    /// By family: the path has followed the host since then.
    untold: [Atomic<bool>; 2],
    /// Number of the row at which the look for one that may be pushed out goes on.
    pub(crate) next_to_go: Atomic<u32>,
    /// The host was removed: what is being added to it at this moment must go again.
    pub(crate) gone: Atomic<bool>,
}

impl Host {
    /// A host that has no id yet.
    pub(crate) fn new(view: Owned<View>, atomic: bool) -> Result<Shared<Self>> {
        let host = Self {
            id: Atomic::new(0),
            view: Slot::new(view),
            caches: [const { SetOnce::new() }; CACHES],
            flows: Atomic::new(0),
            staying: Atomic::new(0),
            nats: Atomic::new(0),
            tx: Atomic::new(0),
            rx: Atomic::new(0),
            taken: Atomic::new(0),
            noted: Atomic::new(0),
            short: Atomic::new(false),
            account: Account::new(),
            last: Atomic::new(clock::jiffies()),
            expires: Atomic::new(0),
            lost: Atomic::new(0),
            moved: Atomic::new(0),
            relocated: Atomic::new(0),
            followed: Atomic::new(0),
            told: Atomic::new(0),
            untold: [const { Atomic::new(false) }; 2],
            next_to_go: Atomic::new(0),
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

    /// Sees to it that the first `paths` paths have a route cache; may sleep.
    pub(crate) fn make_caches(&self, paths: usize) {
        for slot in self.caches.iter().take(paths) {
            if slot.as_ref().is_some() {
                continue;
            }
            if let Some(cache) = DstCache::new() {
                slot.populate(cache);
            }
        }
    }

    /// The route cache of the path at a place of the host's view. Routes by a device and routes by the tables alone do
    /// not serve for one another.
    #[inline]
    pub(crate) fn cache(&self, view: &View, at: usize, by_device: bool) -> Option<Tagged<'_>> {
        let cache = self.caches.get(at).and_then(SetOnce::as_ref)?;
        let tag = view.number() << 1 | u32::from(by_device);
        Some(Tagged { cache, tag })
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

    /// Counts octets that were sent to an address of the host, if that is validated.
    #[inline]
    pub(crate) fn takes(&self, view: &View, addr: Addr, octets: u64) {
        if view.is_validated(addr) {
            self.taken.add(octets, Relaxed);
        }
    }

    /// Octets that the host took at validated addresses since this was last asked; by the holder of the configuration lock.
    pub(crate) fn newly_taken(&self) -> u64 {
        let taken = self.taken.load(Relaxed);
        let noted = self.noted.xchg(taken, Relaxed);
        taken.wrapping_sub(noted)
    }

    /// A packet to an address that is not validated was dropped.
    pub(crate) fn note_short(&self) {
        self.short.store(true, Relaxed);
    }

    /// Whether there was one since this was last asked.
    pub(crate) fn was_short(&self) -> bool {
        self.short.xchg(false, Relaxed)
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

    /// The host has lost an address.
    pub(crate) fn note_move(&self) {
        self.moved.store(clock::jiffies(), Relaxed);
    }

    /// Our addresses towards the host have changed.
    pub(crate) fn note_relocation(&self) {
        self.relocated.store(clock::jiffies(), Relaxed);
    }

    /// When our addresses towards the host last changed, in jiffies, if that was within [`RELOCATED_MS`].
    pub(crate) fn relocated(&self, now: u64) -> Option<u64> {
        let relocated = self.relocated.load(Relaxed);
        let recent = clock::to_ms(now.saturating_sub(relocated)) < RELOCATED_MS;
        (relocated != 0 && recent).then_some(relocated)
    }

    /// The path follows the host to where a packet of it came from.
    pub(crate) fn note_follow(&self) {
        self.followed.store(clock::jiffies(), Relaxed);
    }

    /// Whether listeners may be told now that the path has followed the host. If so, nobody else may tell them for [`TELL_MS`].
    pub(crate) fn may_tell_path(&self, now: u64) -> bool {
        let told = self.told.load(Relaxed);
        let over = told == 0 || clock::to_ms(now.saturating_sub(told)) >= TELL_MS;
        over && self.told.cmpxchg(told, now.max(1), Relaxed).is_ok()
    }

    /// Listeners were not told where the path of a family is now.
    pub(crate) fn note_untold(&self, family: Family) {
        self.untold[index_of(family)].store(true, Relaxed);
    }

    /// Whether there is such a family.
    pub(crate) fn has_untold(&self) -> bool {
        self.untold.iter().any(|untold| untold.load(Relaxed))
    }

    /// Takes the note of [`Self::note_untold`] back; false if there is none. The caller reads the path after that, and finds the one that
    /// was noted or a newer one: the path was changed by a fully ordered exchange before the note was made, and this is one, too.
    pub(crate) fn take_untold(&self, family: Family) -> bool {
        self.untold[index_of(family)].xchg(false, Full)
    }

    /// Whether the path has followed the host within the last [`OVERTAKEN_MS`].
    pub(crate) fn has_just_followed(&self) -> bool {
        let followed = self.followed.load(Relaxed);
        followed != 0 && clock::to_ms(clock::jiffies().saturating_sub(followed)) < OVERTAKEN_MS
    }

    /// When the host last lost an address, in jiffies; 0 for never.
    pub(crate) fn moved(&self) -> u64 {
        self.moved.load(Relaxed)
    }

    /// Whether the sockets are to be told that there is no path, because there has been none for `ms` milliseconds; with 0 they never
    /// are. The caller holds the configuration lock.
    pub(crate) fn gives_up(&self, now: u64, ms: u64) -> bool {
        let since = self.lost.load(Relaxed);
        let waits = since != 0 && !self.given_up();
        if waits && ms != 0 && clock::to_ms(now.saturating_sub(since)) >= ms {
            self.lost.store(TELLING, Relaxed);
        }
        self.is_telling()
    }

    /// The sockets are to be told, or what is left of them.
    pub(crate) fn is_telling(&self) -> bool {
        matches!(self.lost.load(Relaxed), TELLING | TELLING_REST)
    }

    /// The sockets are told for the first time.
    pub(crate) fn is_telling_first(&self) -> bool {
        self.lost.load(Relaxed) == TELLING
    }

    /// The sockets were told: `all` of them, or all but those that are in use. It may have a path again by now.
    pub(crate) fn note_told(&self, all: bool) {
        let next = if all { TOLD } else { TELLING_REST };
        let before = self.lost.load(Relaxed);
        if matches!(before, TELLING | TELLING_REST) {
            let _ = self.lost.cmpxchg(before, next, Relaxed);
        }
    }

    /// The sockets are told, or were, and there is no path yet.
    pub(crate) fn given_up(&self) -> bool {
        self.lost.load(Relaxed) >= TELLING
    }

    /// The entry's time is over.
    pub(crate) fn expired(&self, now: u64) -> bool {
        let at = self.expires.load(Relaxed);
        at != 0 && at <= now
    }
}
