// SPDX-License-Identifier: GPL-2.0
//! The devices that count.

use std::collections::BTreeSet;

use crate::link::Link;

/// The devices that count, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted(BTreeSet<u32>);

impl Counted {
    /// Those devices of a list for which `counts` is true.
    pub fn of(links: &[Link], counts: impl Fn(&Link) -> bool) -> Self {
        let counted = links.iter().filter(|link| counts(link));
        counted.map(|link| link.index).collect()
    }

    /// Their numbers, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the device with this number is one of them.
    pub fn has(&self, index: u32) -> bool {
        self.0.contains(&index)
    }

    /// Takes note of a message about a device; `there`: it exists. True if the device counts now, or has counted until now.
    pub(crate) fn note(&mut self, index: u32, counts: bool, there: bool) -> bool {
        let before = if counts && there {
            !self.0.insert(index)
        } else {
            self.0.remove(&index)
        };
        before || counts
    }
}

impl FromIterator<u32> for Counted {
    fn from_iter<I: IntoIterator<Item = u32>>(indexes: I) -> Self {
        Self(indexes.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_counts_by_the_name_that_it_has_or_had() {
        let mut counted = Counted::default();
        assert!(!counted.note(7, false, true) && !counted.note(7, false, false));
        assert!(counted.note(3, true, true) && counted.note(3, true, true));
        // It is renamed, and renamed again: only the first time matters.
        assert!(counted.note(3, false, true) && !counted.note(3, false, true));
        assert!(counted.note(3, true, true) && counted.note(3, true, false));
        assert_eq!(counted, Counted::default());
    }
}
