// SPDX-License-Identifier: GPL-2.0
//! The paths of a host: pairs of locators.

use crate::addr::{Addr, Family};
use crate::sets::Sets;

/// Most paths of a host.
pub const MAX_PATHS: usize = 32;

/// A pair of locators of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// Local locator.
    pub local: Addr,
    /// Remote locator.
    pub remote: Addr,
    /// Preference of the local locator.
    pub local_preference: u16,
    /// Preference of the remote locator.
    pub remote_preference: u16,
    /// Sum of both preferences; lower is preferred.
    pub preference: u32,
    /// The local locator has not been acknowledged yet.
    pub unproven: bool,
}

/// The paths of one host; about 1.4 KB.
#[derive(Clone, Debug)]
pub struct Paths {
    v4: usize,
    len: usize,
    paths: [Path; MAX_PATHS],
}

impl Paths {
    /// No paths.
    pub const EMPTY: Paths = Paths {
        v4: 0,
        len: 0,
        paths: [Path {
            local: Addr::UNSPECIFIED,
            remote: Addr::UNSPECIFIED,
            local_preference: 0,
            remote_preference: 0,
            preference: 0,
            unproven: false,
        }; MAX_PATHS],
    };

    /// The paths of a host with these addresses.
    #[inline]
    pub fn of(sets: &Sets) -> Paths {
        let mut paths = Paths::EMPTY;
        paths.fill(sets);
        paths
    }

    /// Makes this the paths of a host with these addresses, in place.
    pub fn fill(&mut self, sets: &Sets) {
        let _ = sets;
        self.v4 = 0;
        self.len = 0;
    }

    /// All paths: those of IPv4, then those of IPv6, each sorted by preference.
    #[inline]
    pub fn as_slice(&self) -> &[Path] {
        self.paths.get(..self.len).unwrap_or(&[])
    }

    /// The paths of one family, sorted by preference; what a scheduler is given, since a packet keeps its family.
    #[inline]
    pub fn family(&self, family: Family) -> &[Path] {
        let (v4, v6) = self
            .as_slice()
            .split_at_checked(self.v4)
            .unwrap_or((&[], &[]));
        match family {
            Family::V4 => v4,
            Family::V6 => v6,
        }
    }
}
