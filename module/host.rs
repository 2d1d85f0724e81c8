// SPDX-License-Identifier: GPL-2.0

//! The host table: a host and its addresses.
//!
//! A hand-off publishes one new [`View`]; no row of the host is touched, however many it has.

mod change;
mod difference;
mod loss;
mod moves;
mod names;
mod node;
mod silent;
mod traffic;

pub(crate) use difference::PathChanges;
pub(crate) use names::Conflict;
pub(crate) use node::{
    AddrNode,
    Addrs, //
};

use crate::{
    credit::Account,
    ffi::{
        clock,
        object::{
            Owned,
            Shared,
            Slot, //
        },
        route::{
            DstCache,
            Tagged, //
        }, //
    },
    room::Rows,
    switch::Staying,
    view::View, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        SetOnce, //
    },
};
use loss::Loss;
use moves::Moves;
use traffic::Traffic;

/// Paths that have a route cache; others look the route up for each packet.
const CACHES: usize = 8;

/// A foreign host.
pub(crate) struct Host {
    id: Atomic<u32>,
    pub(crate) view: Slot<View>,
    /// Route caches by path index; allocated when a host first has that many paths.
    caches: [SetOnce<DstCache>; CACHES],
    /// Its part of the table of flows.
    pub(crate) rows: Rows,
    pub(crate) staying: Staying,
    /// Port mappings of NATs in front of it.
    pub(crate) nats: Atomic<u32>,
    pub(crate) traffic: Traffic,
    pub(crate) account: Account,
    pub(crate) moves: Moves,
    pub(crate) loss: Loss,
    expires: Atomic<u64>,
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
            rows: Rows::new(),
            staying: Staying::new(),
            nats: Atomic::new(0),
            traffic: Traffic::new(),
            account: Account::new(),
            moves: Moves::new(),
            loss: Loss::new(),
            expires: Atomic::new(0),
            gone: Atomic::new(false),
        };
        Ok(Owned::new(host, atomic)?.share())
    }

    /// Index of the host, from 1.
    #[inline]
    pub(crate) fn id(&self) -> u32 {
        self.id.load(Relaxed)
    }

    /// Called once, before any address of the host is inserted.
    pub(crate) fn set_id(&self, id: u32) {
        self.id.store(id, Relaxed);
    }

    /// Allocates route caches for the first `paths` paths; may sleep.
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

    /// Lets the entry end after so many milliseconds, or never.
    pub(crate) fn set_expiry(&self, ms: Option<u64>) {
        self.expires.store(clock::deadline(ms), Relaxed);
    }

    /// Milliseconds until the entry ends.
    pub(crate) fn expires_in(&self) -> Option<u64> {
        clock::left(self.expires.load(Relaxed))
    }

    /// The entry's time is over.
    pub(crate) fn expired(&self, now: u64) -> bool {
        let at = self.expires.load(Relaxed);
        at != 0 && at <= now
    }
}
