// SPDX-License-Identifier: GPL-2.0
//! How much may be sent to a host where it has not shown that it is there.
//!
//! Who has a key can announce an address that is somebody else's. RFC 9000 section 8.1 allows three times the octets that
//! came from such an address. That would stop a download at each move for a round trip. So what a host took at addresses
//! where it has shown that it is there counts as well: nobody has more sent to others than it took itself.
//!
//! All amounts are octets of IP packets.

use crate::sets::Entry;
use crate::time::Duration;

/// The time of a slot.
pub const SLOT: Duration = Duration::from_secs(30);
/// How many slots count: ten minutes, with the one that goes on.
pub const SLOTS: usize = 20;
/// What an octet from an address that is not validated earns.
pub const PER_OCTET: u64 = 3;
/// With less than this, a host is asked at once whether it is there.
pub const LOW: u64 = 64 << 10;

/// The number of the slot of a moment.
#[inline]
pub const fn slot(since_start: Duration) -> u64 {
    match since_start.as_nanos().checked_div(SLOT.as_nanos()) {
        Some(slot) => slot,
        None => 0,
    }
}

/// What was earned in each of the last [`SLOTS`] slots. The most of these is what may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Earnings {
    /// A slot's place is its number modulo [`SLOTS`].
    pub slots: [u64; SLOTS],
    /// The number of the newest slot.
    pub newest: u64,
}

impl Earnings {
    /// Nothing.
    pub const NONE: Earnings = Earnings {
        slots: [0; SLOTS],
        newest: 0,
    };

    /// Adds to a slot, which is the newest one or a later one; what is older than [`SLOTS`] is forgotten.
    pub fn add(&mut self, slot: u64, octets: u64) {
        let passed = slot.saturating_sub(self.newest).min(SLOTS as u64);
        self.newest = self.newest.max(slot);
        for back in 0..passed {
            if let Some(place) = self.place(self.newest.saturating_sub(back)) {
                *place = 0;
            }
        }
        if let Some(place) = self.place(self.newest) {
            *place = place.saturating_add(octets);
        }
    }

    fn place(&mut self, slot: u64) -> Option<&mut u64> {
        let at = slot.checked_rem(SLOTS as u64)?;
        self.slots.get_mut(usize::try_from(at).ok()?)
    }

    /// The most that was earned in one slot: 30 seconds' worth of traffic.
    #[inline]
    pub fn most(&self) -> u64 {
        self.slots.iter().copied().fold(0, u64::max)
    }
}

/// What a credit becomes when so much is earned, and `most` may be kept.
#[inline]
pub const fn earn(credit: u64, octets: u64, most: u64) -> u64 {
    let sum = credit.saturating_add(octets);
    if sum < most {
        sum
    } else {
        most
    }
}

/// What a credit becomes when so much is spent; `None` when there is less.
#[inline]
pub const fn spend(credit: u64, octets: u64) -> Option<u64> {
    credit.checked_sub(octets)
}

/// The network of a host with these active addresses, which was in that of `before`: it stays there while an address is
/// validated there, or none is. [`crate::addr::Addr::network`] is what it is named by.
pub fn network_of(active: &[Entry], before: Option<[u8; 16]>) -> Option<[u8; 16]> {
    let validated = || {
        let entries = active.iter().filter(|entry| !entry.unvalidated);
        entries.map(|entry| entry.addr.network())
    };
    let stays = before.filter(|before| validated().any(|network| network == *before));
    stays.or_else(|| validated().next()).or(before)
}
