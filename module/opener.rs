// SPDX-License-Identifier: GPL-2.0

//! Who spoke first, we or the other end: of TCP the socket knows, of the rest it is seen.
//!
//! A service that answers is no reason to greet its client: it might be a victim in whose name somebody else asked. What
//! is remembered is a tag for each foreign address and port, in a table that does not grow. A tag that another one has
//! pushed out is as if nothing had been seen; who could not know the seed cannot choose which.

use crate::ffi::{
    clock,
    sock::Sock, //
};
use ihmp_core::packet::{
    Tuple,
    TCP, //
};
use kernel::{
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

/// Tags; a power of two. They come in pairs, of which the older one is pushed out.
const CELLS: usize = 4096;
/// Bit of a cell: we spoke first.
const OURS: u32 = 1;

/// The first speakers of a namespace.
pub(crate) struct Openers {
    cells: KVec<Atomic<u32>>,
    seed: u64,
}

/// Where a foreign address and port are remembered.
struct Place {
    cell: usize,
    /// An even number, never 0.
    tag: u32,
}

impl Openers {
    pub(crate) fn new() -> Result<Self> {
        let mut cells = KVec::with_capacity(CELLS, GFP_KERNEL_ACCOUNT)?;
        for _ in 0..CELLS {
            cells.push(Atomic::new(0), GFP_KERNEL_ACCOUNT)?;
        }
        let seed = (u64::from(clock::random()) << 32) | u64::from(clock::random());
        Ok(Self { cells, seed })
    }

    fn place(&self, proto: u8, addr: [u8; 16], port: u16) -> Place {
        let [high, low] = port.to_be_bytes();
        let octets = Iterator::chain(addr.into_iter(), [proto, high, low]);
        let mixed = octets.fold(self.seed, |sum, octet| {
            let sum = (sum ^ u64::from(octet)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            sum ^ (sum >> 29)
        });
        let tag = (mixed >> 32) as u32;
        Place {
            cell: mixed as usize % CELLS,
            tag: (tag | 2) & !OURS,
        }
    }

    /// What is remembered.
    fn find(&self, place: &Place) -> Option<bool> {
        [place.cell, place.cell ^ 1]
            .into_iter()
            .filter_map(|cell| self.cells.get(cell))
            .map(|cell| cell.load(Relaxed))
            .find(|known| known & !OURS == place.tag)
            .map(|known| known & OURS != 0)
    }

    fn put(&self, place: &Place, ours: bool) {
        let (Some(cell), Some(other)) =
            (self.cells.get(place.cell), self.cells.get(place.cell ^ 1))
        else {
            return;
        };
        other.store(cell.load(Relaxed), Relaxed);
        let ours = if ours { OURS } else { 0 };
        cell.store(place.tag | ours, Relaxed);
    }

    /// A packet from there, of no host's; `called` tells whether the socket for it has called there before.
    pub(crate) fn hear(&self, tuple: &Tuple, called: impl FnOnce() -> bool) {
        if tuple.proto == TCP {
            return;
        }
        let place = self.place(tuple.proto, tuple.src.octets(), tuple.sport);
        if self.find(&place).is_none() {
            self.put(&place, called());
        }
    }

    /// A packet of this socket goes there; whether the flow is one that this machine opened.
    pub(crate) fn speak(&self, tuple: &Tuple, sock: &Sock<'_>) -> bool {
        if tuple.proto == TCP {
            if sock.opening() {
                sock.opens();
                return true;
            }
            return !sock.accepted();
        }
        let place = self.place(tuple.proto, tuple.dst.octets(), tuple.dport);
        self.find(&place).unwrap_or_else(|| {
            self.put(&place, true);
            true
        })
    }
}
