// SPDX-License-Identifier: GPL-2.0
//! Our own addresses.

use std::collections::BTreeMap;

use ihmp_core::addr::Addr;

use crate::discretion::Discretion;
use crate::io::{Age, Own};
use crate::prefix::is_same_network;

/// Our own addresses, and what is known of them.
#[derive(Debug, Default)]
pub(crate) struct OwnAddresses {
    /// The usable ones of devices, then those that come by a router.
    all: Vec<Addr>,
    /// How many of them are usable ones of devices.
    devices: usize,
    /// Those that are deprecated.
    aged: Vec<Own>,
    /// Old and new addresses of which hosts say that a router brings the one to the other, and how many do.
    held: BTreeMap<(Addr, Addr), usize>,
    /// Own addresses with the lengths of the prefixes to which they connect us.
    connected: Vec<(Addr, u8)>,
    /// Which of them are told to whom.
    discretion: Discretion,
}

impl OwnAddresses {
    /// All of them.
    pub(crate) fn all(&self) -> &[Addr] {
        &self.all
    }

    /// Whether this is one of them.
    pub(crate) fn has(&self, addr: Addr) -> bool {
        self.all.contains(&addr)
    }

    /// The usable ones of devices.
    pub(crate) fn real(&self) -> &[Addr] {
        self.all.get(..self.devices).unwrap_or_default()
    }

    /// Whether this is one of those.
    pub(crate) fn is_real(&self, addr: Addr) -> bool {
        self.real().contains(&addr)
    }

    /// What one is good for.
    pub(crate) fn age(&self, addr: Addr) -> Age {
        let aged = self.aged.iter().find(|own| own.addr == addr);
        aged.map_or(Age::Preferred, |own| own.age)
    }

    /// These are the usable ones of devices now.
    pub(crate) fn set(&mut self, own: Vec<Own>) {
        self.set_real(own.iter().map(|own| own.addr).collect());
        self.aged = own;
        self.aged.retain(|own| own.age != Age::Preferred);
    }

    fn set_real(&mut self, real: Vec<Addr>) {
        (self.devices, self.all) = (real.len(), real);
        for (old, new) in self.held.keys() {
            if !self.all.contains(old) && self.all.iter().take(self.devices).any(|addr| addr == new)
            {
                self.all.push(*old);
            }
        }
    }

    fn is_held(&self, old: Addr) -> bool {
        self.held.keys().any(|(held, _)| *held == old)
    }

    /// A router brings what is sent to `old` to `new`, a host says; whether it is the first that says so of `old`.
    pub(crate) fn hold(&mut self, old: Addr, new: Addr) -> bool {
        let first = !self.is_held(old);
        *self.held.entry((old, new)).or_insert(0) += 1;
        self.set_real(self.real().to_vec());
        first
    }

    /// It does not say so any more; whether it was the last one.
    pub(crate) fn unhold(&mut self, old: Addr, new: Addr) -> bool {
        let Some(count) = self.held.get_mut(&(old, new)) else {
            return false;
        };
        *count -= 1;
        if *count > 0 {
            return false;
        }
        self.held.remove(&(old, new));
        self.set_real(self.real().to_vec());
        !self.is_held(old)
    }

    /// Own addresses with the lengths of the prefixes to which they connect us.
    pub(crate) fn connected(&self) -> &[(Addr, u8)] {
        &self.connected
    }

    /// They are these; whether that is new.
    pub(crate) fn set_connected(&mut self, connected: Vec<(Addr, u8)>) -> bool {
        let new = self.connected != connected;
        self.connected = connected;
        new
    }

    /// Which of them are told to whom.
    pub(crate) fn discretion(&self) -> &Discretion {
        &self.discretion
    }

    /// They are told so.
    pub(crate) fn set_discretion(&mut self, discretion: Discretion) {
        self.discretion = discretion;
    }

    /// Whether there is an address of the other kind in the network of this one: a temporary one, or a stable one.
    pub(crate) fn has_twin(&self, addr: Addr) -> bool {
        let near = |other: &Addr| is_same_network(*other, addr);
        let temporary = |addr: &Addr| self.discretion.is_temporary(*addr);
        match temporary(&addr) {
            true => self
                .real()
                .iter()
                .any(|other| !temporary(other) && near(other)),
            false => self.discretion.temporary.iter().any(near),
        }
    }
}
