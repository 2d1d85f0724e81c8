// SPDX-License-Identifier: GPL-2.0
//! Schedulers: which path the next packet takes.

use crate::addr::Addr;
use crate::paths::Path;

/// A way to choose the path of the next packet.
pub trait Scheduler {
    /// The index of the path to use, `None` when there is none.
    ///
    /// `paths` are those of one family ([`crate::paths::Paths::family`]), since a packet keeps its family; `heard` is the
    /// remote locator the host was last heard from.
    fn pick(&self, paths: impl Iterator<Item = Path>, heard: Option<Addr>) -> Option<usize>;
}

/// The path of the lowest preference that works: [`Path::rank`], then the order of the paths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backup;

impl Scheduler for Backup {
    #[inline]
    fn pick(&self, paths: impl Iterator<Item = Path>, heard: Option<Addr>) -> Option<usize> {
        let paths = (0_usize..).zip(paths);
        let best = paths.min_by_key(|(_, path)| path.rank(heard));
        best.map(|(at, _)| at)
    }
}
