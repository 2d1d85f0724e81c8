// SPDX-License-Identifier: GPL-2.0

//! What is known of flows to unknown addresses, before the agent is asked about them: see [`crate::discover`].

use crate::{
    opener::Openers,
    rate::Rate, //
};
use ihmp_core::packet::Tuple;
use kernel::{
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

/// Packets to an address, without a connection, before it is asked about.
const SIGHTINGS_NEEDED: u32 = 3;
/// Requests a second.
const MOST: u32 = 100;
/// Counters of packets towards unknown addresses.
const SIGHTINGS: usize = 256;

/// What is known of flows to unknown addresses.
pub(crate) struct Asking {
    pub(crate) openers: Openers,
    /// Packets to addresses; one counter for several addresses.
    sightings: [Atomic<u32>; SIGHTINGS],
    requests: Rate,
}

impl Asking {
    /// No flows were seen. Fails without memory.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            openers: Openers::new()?,
            sightings: [const { Atomic::new(0) }; SIGHTINGS],
            requests: Rate::new(),
        })
    }

    /// Forgets what was seen of addresses.
    pub(crate) fn forget(&self) {
        for sighting in &self.sightings {
            sighting.store(0, Relaxed);
        }
    }

    /// A packet goes to an address without a connection: whether that is enough to ask about it.
    pub(crate) fn sight(&self, tuple: &Tuple) -> bool {
        let [high, low] = tuple.sport.to_be_bytes();
        let octets = Iterator::chain(tuple.dst.octets().into_iter(), [high, low]);
        let sum = octets.fold(0_usize, |sum, octet| {
            sum.wrapping_mul(31).wrapping_add(octet.into())
        });
        let sighting = &self.sightings[sum % SIGHTINGS];
        let enough = sighting.fetch_add(1, Relaxed) >= SIGHTINGS_NEEDED - 1;
        if enough {
            sighting.store(0, Relaxed);
        }
        enough
    }

    /// Counts a request to the agent; false when there were as many as may be in a second.
    pub(crate) fn is_within_rate(&self) -> bool {
        self.requests.take(MOST)
    }
}
