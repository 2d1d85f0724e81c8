// SPDX-License-Identifier: GPL-2.0
//! Own addresses that flows of a host have left, though they are still there.
//!
//! A mark is the trace of an event: another device became the preferred one, or an address was deprecated while it was in
//! use. A machine that has several networks from the start has no marks, and its flows stay where they began.

use ihmp_core::addr::{Addr, Family};
use ihmp_core::message::MAX_ADDRESSES;
use ihmp_core::time::{Duration, Instant};

use crate::advertised::Advertisement;
use crate::io::{Age, Local, Record, Via};
use crate::peer::include;
use crate::world::World;

/// What is known of the past of our addresses towards a host.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// The device that is the preferred one, for each family.
    settled: [Option<u32>; 2],
    /// Addresses of a device that was the preferred one and is not any more.
    moved: Vec<Addr>,
    /// Addresses that were in use before they were deprecated.
    young: Vec<Addr>,
    /// Those of them that are to be left.
    worn: Vec<Addr>,
    /// Addresses that went, and that the host has not acknowledged since.
    gone: Vec<Addr>,
    /// When the addresses of a preferred device are announced again, because nothing came back from them, and the pause
    /// before that.
    again: Option<(Instant, Duration)>,
}

impl Left {
    /// Takes over what an earlier agent has left in the kernel.
    pub(crate) fn adopt(&mut self, local: &[Local]) {
        let marked = |local: &&Local| local.left;
        self.moved = local
            .iter()
            .filter(marked)
            .map(|local| local.addr)
            .collect();
        let proven = |local: &&Local| !local.unvalidated && !local.nat;
        let young = local.iter().filter(proven);
        self.young = young.map(|local| local.addr).collect();
        for family in [Family::V4, Family::V6] {
            let of = |local: &&Local| local.addr.family() == family && !local.left;
            let best = local.iter().filter(of).min_by_key(|local| local.preference);
            if let Some(slot) = self.settled.get_mut(family.index()) {
                *slot = best.and_then(|local| local.device);
            }
        }
    }

    /// When something is to be done.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.again.map(|(at, _)| at)
    }

    /// Whether this address is marked as left: flows that are older than the mark leave from the host's best locator instead.
    ///
    /// After a move this is so at once. Until the host has acknowledged an address of the preferred device, the one that was
    /// left is still the best locator, and packets leave by its device: not into a network of which nothing is known, where
    /// the routing tables would send them.
    pub(crate) fn has(&self, addr: Addr, usable: &[Via], advertised: &Advertisement) -> bool {
        let Left {
            moved, worn, gone, ..
        } = self;
        // What came back stays where it went until the host has heard of it.
        let unvalidated = !advertised.is_active(addr);
        let mut others = usable.iter().map(|via| via.local);
        let other = others.any(|other| {
            let same = other == addr || other.family() != addr.family();
            !same && advertised.is_active(other)
        });
        moved.contains(&addr)
            || worn.contains(&addr)
            || (gone.contains(&addr) && unvalidated && other)
    }

    /// Whether this is an address of the preferred device, flows have left another one for that, and the host has
    /// acknowledged none of its addresses yet.
    fn is_awaited(&self, via: &Via, usable: &[Via], advertised: &Advertisement) -> bool {
        let family = via.local.family();
        let settled = self.settled.get(family.index()).copied().flatten();
        let preferred = |via: &Via| via.local.family() == family && via.device == settled;
        let proven = |via: &&Via| advertised.is_active(via.local);
        let here = |addr: &Addr| usable.iter().any(|via| via.local == *addr);
        let mut moved = self.moved.iter();
        settled.is_some()
            && preferred(via)
            && moved.any(|addr| addr.family() == family && here(addr))
            && !usable.iter().filter(proven).any(preferred)
    }

    /// Nothing came back from an address that was announced. If it is awaited, it is announced again later: the network may
    /// have no uplink yet, or may want a login first (RFC 8952).
    pub(crate) fn retry(
        &mut self,
        addr: Addr,
        usable: &[Via],
        advertised: &Advertisement,
        world: &mut World,
    ) {
        let via = usable.iter().find(|via| via.local == addr);
        if !via.is_some_and(|via| self.is_awaited(via, usable, advertised)) {
            return;
        }
        let pause = match self.again {
            Some((_, pause)) => pause
                .saturating_mul(2)
                .min(world.limits.requests.retry_last),
            None => world.limits.requests.retry_first,
        };
        self.again = Some((world.now.after(world.jitter(pause)), pause));
    }

    /// What is awaited and is to be announced again now.
    pub(crate) fn due(
        &mut self,
        usable: &[Via],
        advertised: &Advertisement,
        world: &World,
    ) -> Vec<Addr> {
        if self.next().is_none_or(|at| at > world.now) {
            return Vec::new();
        }
        // If nothing comes back this time either, the pause is doubled from here.
        if let Some((at, pause)) = &mut self.again {
            *at = world.now.after(*pause);
        }
        let awaited = usable.iter();
        let awaited = awaited.filter(|via| self.is_awaited(via, usable, advertised));
        awaited.map(|via| via.local).collect()
    }

    /// Takes note of which device is the preferred one now, and of which addresses came, went and were deprecated.
    /// `before` is what the kernel has.
    pub(crate) fn review(
        &mut self,
        before: Option<&Record>,
        usable: &[Via],
        advertised: &Advertisement,
        world: &World,
    ) {
        let before = before.iter().flat_map(|record| &record.local);
        for local in before {
            if !usable.iter().any(|via| via.local == local.addr) {
                include(&mut self.gone, local.addr);
            }
        }
        let active = |via: &&Via| advertised.is_active(via.local);
        let proven: Vec<Via> = usable.iter().filter(active).copied().collect();
        let works = |addr: &Addr| proven.iter().any(|via| via.local == *addr);
        let left = self;
        left.gone.retain(|addr| !works(addr));
        for via in &proven {
            if world.own.age(via.local) == Age::Preferred {
                include(&mut left.young, via.local);
            }
        }
        left.young
            .retain(|addr| usable.iter().any(|via| via.local == *addr));
        // What went and comes back is another event.
        left.moved
            .retain(|addr| usable.iter().any(|via| via.local == *addr));
        left.worn.clear();
        for addr in &left.young {
            let other = |via: &Via| {
                via.local.family() == addr.family() && world.own.age(via.local) == Age::Preferred
            };
            if world.own.age(*addr) == Age::Deprecated && proven.iter().any(other) {
                left.worn.push(*addr);
            }
        }
        for family in [Family::V4, Family::V6] {
            let of = |via: &&Via| via.local.family() == family;
            let wanted = usable.iter().find(of).and_then(|via| via.device);
            let (Some(wanted), Some(slot)) = (wanted, left.settled.get_mut(family.index())) else {
                continue;
            };
            let by = |device: u32| {
                let by = move |via: &&Via| via.device == Some(device);
                usable.iter().filter(of).filter(by).map(|via| via.local)
            };
            let settled = *slot.get_or_insert(wanted);
            if settled != wanted {
                *slot = Some(wanted);
                for addr in by(settled) {
                    if left.moved.len() >= MAX_ADDRESSES {
                        left.moved.remove(0);
                    }
                    include(&mut left.moved, addr);
                }
                left.moved
                    .retain(|addr| !by(wanted).any(|here| here == *addr));
            }
        }
        let mut usable_now = usable.iter();
        if !usable_now.any(|via| left.is_awaited(via, usable, advertised)) {
            left.again = None;
        }
    }
}
