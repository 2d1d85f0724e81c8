// SPDX-License-Identifier: GPL-2.0
//! No message is believed twice: which timestamps of a key were used.

/// How far one message may overtake another of the same key, in nanoseconds of the sender's clock.
const OVERTAKE: u64 = 500_000_000;
/// Most timestamps that are remembered above the floor.
const REMEMBERED: usize = 32;
/// Steps in which the greatest timestamp is written down, in nanoseconds: after a restart, so much is lost at most.
const STEP: u64 = 100_000_000;

/// Which timestamps of a key were used.
///
/// # Invariants
///
/// `recent` is sorted, and all of it is greater than `floor`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replay {
    floor: u64,
    recent: Vec<u64>,
    /// What was written down: the floor after a restart.
    kept: u64,
}

impl Replay {
    /// Those up to `floor` were.
    pub(crate) fn new(floor: u64) -> Replay {
        Replay {
            floor,
            recent: Vec::new(),
            // That of a key which has just become known is yet to be written down.
            kept: 0,
        }
    }

    /// Those up to this one were.
    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    /// Whether no message had this timestamp, and none could have since.
    pub(crate) fn is_fresh(&self, stamp: u64) -> bool {
        stamp > self.floor && self.recent.binary_search(&stamp).is_err()
    }

    /// A message with this timestamp was believed; what is to be written down, if anything is.
    pub(crate) fn accept(&mut self, stamp: u64) -> Option<u64> {
        if let Err(at) = self.recent.binary_search(&stamp) {
            self.recent.insert(at, stamp);
        }
        let greatest = self.recent.last().copied().unwrap_or(stamp).max(self.floor);
        self.floor = self.floor.max(greatest.saturating_sub(OVERTAKE));
        while self.recent.len() > REMEMBERED {
            self.floor = self.floor.max(self.recent.remove(0));
        }
        let floor = self.floor;
        self.recent.retain(|recent| *recent > floor);
        if greatest <= self.kept {
            return None;
        }
        self.kept = greatest.saturating_add(STEP);
        Some(self.kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_timestamp_is_believed_twice() {
        let mut replay = Replay::new(1_000);
        assert!(!replay.is_fresh(1_000) && replay.is_fresh(1_001));
        let second = 1_000_000_000;
        assert_eq!(replay.accept(2 * second), Some(2 * second + STEP));
        // Overtaken by less than half a second.
        assert!(replay.is_fresh(2 * second - 1));
        assert_eq!(replay.accept(2 * second - 1), None);
        assert!(!replay.is_fresh(2 * second - 1) && !replay.is_fresh(2 * second));
        assert!(!replay.is_fresh(2 * second - OVERTAKE));
        // More at a time than is remembered.
        for more in 0..1_000 {
            replay.accept(3 * second + more);
        }
        assert!((0..1_000).all(|more| !replay.is_fresh(3 * second + more)));
        assert!(replay.recent.len() <= REMEMBERED);
        assert!(!replay.is_fresh(2 * second) && replay.is_fresh(3 * second + 1_000));
        // What was written down is not below what was believed.
        assert!(!Replay::new(replay.kept).is_fresh(3 * second + 999));
    }
}
