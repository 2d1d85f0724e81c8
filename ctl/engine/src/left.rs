// SPDX-License-Identifier: GPL-2.0
//! Own addresses that flows of a host have left, though they are still there.
//!
//! A mark is the trace of an event: another device became the preferred one, or an address was deprecated while it was in
//! use. A machine that has several networks from the start has no marks, and its flows stay where they began.

use ihmp_core::addr::{Addr, Family};
use ihmp_core::message::MAX_ADDRESSES;

use crate::host::{include, Host, Standing};
use crate::io::{Age, Local, Via};
use crate::world::World;

/// What is known of the past of our addresses towards a host.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// The device that was the preferred one when the host last knew an address of it, for each family.
    settled: [Option<u32>; 2],
    /// Addresses of a device that was the preferred one and is not any more.
    moved: Vec<Addr>,
    /// Addresses that were in use before they were deprecated.
    young: Vec<Addr>,
    /// Those of them that are to be left.
    worn: Vec<Addr>,
    /// Addresses that went, and that the host has not acknowledged since.
    gone: Vec<Addr>,
}

fn of_family(family: Family) -> usize {
    match family {
        Family::V4 => 0,
        Family::V6 => 1,
    }
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
        let proven = |local: &&Local| !local.unproven && !local.nat;
        let young = local.iter().filter(proven);
        self.young = young.map(|local| local.addr).collect();
        for family in [Family::V4, Family::V6] {
            let of = |local: &&Local| local.addr.family() == family && !local.left;
            let best = local.iter().filter(of).min_by_key(|local| local.preference);
            if let Some(slot) = self.settled.get_mut(of_family(family)) {
                *slot = best.and_then(|local| local.device);
            }
        }
    }
}

impl Host {
    /// Whether flows that are older than now do not use this address: there is a reason, and another one that works.
    pub(crate) fn is_left(&self, addr: Addr) -> bool {
        let better = |other: Addr| other.family() == addr.family() && !self.is_marked(other);
        self.is_marked(addr) && self.proven().any(better)
    }

    fn is_marked(&self, addr: Addr) -> bool {
        let Left {
            moved, worn, gone, ..
        } = &self.left;
        // What came back stays where it went until the host has heard of it.
        let unproven = self.standing(addr) != Some(Standing::Active);
        moved.contains(&addr) || worn.contains(&addr) || (gone.contains(&addr) && unproven)
    }

    /// Takes note of which device is the preferred one now, and of which addresses came, went and were deprecated.
    pub(crate) fn review_left(&mut self, world: &World) {
        let before = self.published.iter().flat_map(|record| &record.local);
        for local in before {
            if !self.usable.iter().any(|via| via.local == local.addr) {
                include(&mut self.left.gone, local.addr);
            }
        }
        let proven: Vec<Via> = {
            let active = |via: &&Via| self.standing(via.local) == Some(Standing::Active);
            self.usable.iter().filter(active).copied().collect()
        };
        let works = |addr: &Addr| proven.iter().any(|via| via.local == *addr);
        let usable = self.usable.clone();
        let left = &mut self.left;
        left.gone.retain(|addr| !works(addr));
        for via in &proven {
            if world.age(via.local) == Age::Preferred {
                include(&mut left.young, via.local);
            }
        }
        left.young
            .retain(|addr| usable.iter().any(|via| via.local == *addr));
        left.worn.clear();
        for addr in &left.young {
            let other = |via: &Via| {
                via.local.family() == addr.family() && world.age(via.local) == Age::Preferred
            };
            if world.age(*addr) == Age::Deprecated && proven.iter().any(other) {
                left.worn.push(*addr);
            }
        }
        for family in [Family::V4, Family::V6] {
            let of = |via: &&Via| via.local.family() == family;
            let wanted = usable.iter().find(of).and_then(|via| via.device);
            let (Some(wanted), Some(slot)) = (wanted, left.settled.get_mut(of_family(family)))
            else {
                continue;
            };
            let by = |device: u32| {
                let by = move |via: &&Via| via.device == Some(device);
                usable.iter().filter(of).filter(by).map(|via| via.local)
            };
            let settled = *slot.get_or_insert(wanted);
            let known = |addr: Addr| works(&addr);
            if settled != wanted && by(wanted).any(known) {
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
    }
}
