// SPDX-License-Identifier: GPL-2.0
//! Paths on which something is sent and nothing comes back, while they are checked.
//!
//! A network can fail without an event: the carrier stays, and the router behind it forwards nothing. Then the suspected path is probed,
//! and other paths of the host are as well. It is given up only if none of its probes is answered and one on another path is.

use ihmp_core::addr::{Addr, Family};
use ihmp_core::time::{Duration, Instant};

/// An own address and one of the peer, of one family.
pub(crate) type Ends = (Addr, Addr);

/// Least pause between two checks of the paths of one family; also that after a path was found to work.
const REST: Duration = Duration::from_secs(1);
/// The longest, while no path works.
const REST_MOST: Duration = Duration::from_secs(30);

/// A path that is being checked.
#[derive(Clone, Debug)]
struct Suspicion {
    path: Ends,
    /// Other paths, in the order in which they are preferred.
    others: Vec<Ends>,
    /// When the others are probed; `None` when they are.
    others_at: Option<Instant>,
    /// Those of them that were found to work.
    working: Vec<Ends>,
}

/// When the paths of a family may be checked again.
#[derive(Clone, Copy, Debug)]
struct Rest {
    until: Instant,
    /// The next pause, if no path works then either.
    pause: Duration,
}

/// The paths of one host that are being checked, one of each family at most.
#[derive(Debug, Default)]
pub(crate) struct Suspicions {
    open: Vec<Suspicion>,
    rests: [Option<Rest>; 2],
}

fn family((local, _): Ends) -> Family {
    local.family()
}

impl Suspicions {
    /// Whether a path of this family may be checked now.
    pub(crate) fn may_begin(&self, of: Family, now: Instant) -> bool {
        let rest = self.rests.get(of.index()).copied().flatten();
        let open = self.open.iter().any(|other| family(other.path) == of);
        !open && rest.is_none_or(|rest| rest.until <= now)
    }

    /// A path is probed now, and others at `others_at`.
    pub(crate) fn begin(&mut self, path: Ends, others: Vec<Ends>, others_at: Instant) {
        self.open.push(Suspicion {
            path,
            others,
            others_at: Some(others_at),
            working: Vec::new(),
        });
    }

    /// Other paths that are to be probed now.
    pub(crate) fn take_others(&mut self, now: Instant) -> Vec<Ends> {
        let mut due = Vec::new();
        for open in &mut self.open {
            if open.others_at.take_if(|at| *at <= now).is_some() {
                due.extend(&open.others);
            }
        }
        due
    }

    /// A probe of this path was answered. True when that was the suspected one: it works.
    pub(crate) fn answered(&mut self, path: Ends, now: Instant) -> bool {
        if let Some(at) = self.open.iter().position(|open| open.path == path) {
            self.open.remove(at);
            self.rest(family(path), now, REST, REST);
            return true;
        }
        for open in &mut self.open {
            if open.others.contains(&path) {
                open.working.push(path);
            }
        }
        false
    }

    /// No probe of this path was answered. If it is the suspected one, its check is over: the path that is used in its place, the most
    /// preferred one that works, or nothing when none does. `None` when it is another one.
    pub(crate) fn failed(&mut self, path: Ends, now: Instant) -> Option<Option<Ends>> {
        let at = self.open.iter().position(|open| open.path == path)?;
        let Suspicion {
            others, working, ..
        } = self.open.remove(at);
        let next = others.into_iter().find(|other| working.contains(other));
        let of = family(path);
        let rest = self.rests.get(of.index()).copied().flatten();
        let pause = match (next, rest) {
            (None, Some(rest)) => rest.pause,
            _ => REST,
        };
        let longer = pause.saturating_mul(2).min(REST_MOST);
        self.rest(of, now, pause, next.map_or(longer, |_| REST));
        Some(next)
    }

    /// No path of a family is checked for this span; if none works in the next check, for the `next` one.
    fn rest(&mut self, of: Family, now: Instant, span: Duration, next: Duration) {
        if let Some(rest) = self.rests.get_mut(of.index()) {
            *rest = Some(Rest {
                until: now.after(span),
                pause: next,
            });
        }
    }

    /// Ends checks of paths that are none any more; their families.
    pub(crate) fn review(&mut self, is_path: impl Fn(Ends) -> bool) -> Vec<Family> {
        let (open, over) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|open: &Suspicion| is_path(open.path));
        self.open = open;
        let over: Vec<Suspicion> = over;
        over.iter().map(|over| family(over.path)).collect()
    }

    /// Nothing is checked any more.
    pub(crate) fn clear(&mut self) {
        self.open.clear();
    }

    /// When something is to be done.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.open.iter().filter_map(|open| open.others_at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIFI: Addr = Addr::v4([192, 0, 2, 1]);
    const LTE: Addr = Addr::v4([198, 51, 100, 1]);
    const PEER: Addr = Addr::v4([203, 0, 113, 1]);

    fn at(millis: u64) -> Instant {
        Instant::ZERO.after(Duration::from_millis(millis))
    }

    #[test]
    fn a_path_is_given_up_only_for_one_that_works() {
        let mut all = Suspicions::default();
        let (path, other) = ((WIFI, PEER), (LTE, PEER));
        all.begin(path, vec![other], at(100));
        assert!(!all.may_begin(Family::V4, at(50)) && all.may_begin(Family::V6, at(50)));
        assert_eq!(all.take_others(at(99)), []);
        assert_eq!(all.take_others(at(100)), [other]);
        assert_eq!(all.next(), None);
        assert!(!all.answered(other, at(150)));
        assert_eq!(all.failed(other, at(160)), None);
        assert_eq!(all.failed(path, at(400)), Some(Some(other)));
        all.begin(path, vec![other], at(1_500));
        assert_eq!(all.failed(path, at(2_000)), Some(None));
    }

    #[test]
    fn a_path_that_works_is_left_alone_for_a_second() {
        let mut all = Suspicions::default();
        all.begin((WIFI, PEER), vec![(LTE, PEER)], at(100));
        assert!(all.answered((WIFI, PEER), at(60)));
        assert_eq!((all.next(), all.failed((WIFI, PEER), at(70))), (None, None));
        assert!(!all.may_begin(Family::V4, at(1_059)));
        assert!(all.may_begin(Family::V4, at(1_060)));
    }

    #[test]
    fn pauses_double_while_no_path_works() {
        let mut all = Suspicions::default();
        let mut now = 0;
        for pause in [1, 2, 4, 8, 16, 30, 30] {
            assert!(all.may_begin(Family::V4, at(now)));
            all.begin((WIFI, PEER), vec![(LTE, PEER)], at(now + 100));
            assert_eq!(all.failed((WIFI, PEER), at(now)), Some(None));
            assert!(
                !all.may_begin(Family::V4, at(now + pause * 1_000 - 1)),
                "{pause}"
            );
            now += pause * 1_000;
        }
    }

    #[test]
    fn checks_end_with_their_addresses() {
        let mut all = Suspicions::default();
        all.begin((WIFI, PEER), vec![(LTE, PEER)], at(100));
        assert_eq!(all.review(|path| path.0 == WIFI), []);
        assert_eq!(all.review(|path| path.0 == LTE), [Family::V4]);
        assert_eq!(all.next(), None);
    }
}
