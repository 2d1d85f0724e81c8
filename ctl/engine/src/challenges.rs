// SPDX-License-Identifier: GPL-2.0
//! Who has to show that he hears us.

use std::collections::{BTreeMap, HashMap};

use ihmp_core::addr::Addr;
use ihmp_core::time::{Duration, Instant};

use crate::endpoint::Endpoint;
use crate::keys::PublicKey;

/// How long a challenge can be answered.
const CHALLENGE: Duration = Duration::from_secs(30);

/// Who has to show it: a key, where it is, and our address.
pub(crate) type Who = (PublicKey, Endpoint, Addr);

/// What is awaited of somebody who has to show that he hears us.
#[derive(Debug)]
pub(crate) struct Challenge {
    pub(crate) stamp: u64,
    /// What was challenged announced a move.
    pub(crate) moved: bool,
    until: Instant,
    order: u64,
}

/// Answers that are awaited, by who has to give them and where we asked.
#[derive(Debug, Default)]
pub(crate) struct Challenges {
    awaited: HashMap<Who, Challenge>,
    /// The same, the oldest first.
    order: BTreeMap<u64, Who>,
    next_order: u64,
}

impl Challenges {
    /// Who answers with this key, from there to here, has to name this timestamp. `moved` says that he announced a move.
    /// The oldest of `most` is given up for it.
    pub(crate) fn add(&mut self, who: Who, stamp: u64, moved: bool, most: usize, now: Instant) {
        self.remove(&who);
        if self.awaited.len() >= most {
            if let Some((_, oldest)) = self.order.pop_first() {
                self.awaited.remove(&oldest);
            }
        }
        let order = self.next_order;
        self.next_order += 1;
        self.order.insert(order, who);
        let challenge = Challenge {
            stamp,
            moved,
            until: now.after(CHALLENGE),
            order,
        };
        self.awaited.insert(who, challenge);
    }

    /// What is awaited of this one.
    pub(crate) fn of(&self, who: &Who, now: Instant) -> Option<&Challenge> {
        let challenge = self.awaited.get(who)?;
        (challenge.until > now).then_some(challenge)
    }

    /// It has shown that it hears us, or need not.
    pub(crate) fn remove(&mut self, who: &Who) {
        if let Some(challenge) = self.awaited.remove(who) {
            self.order.remove(&challenge.order);
        }
    }

    /// How many are awaited.
    pub(crate) fn len(&self) -> usize {
        self.awaited.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_bounded() {
        let mut challenges = Challenges::default();
        let most = 1_024;
        let here = Addr::v4([192, 0, 2, 1]);
        let who = |number: u32| {
            let [a, b, c, d] = number.to_be_bytes();
            (
                PublicKey([1; 32]),
                Endpoint::direct(Addr::v4([a, b, c, d])),
                here,
            )
        };
        let stamp = |challenges: &Challenges, number, now| {
            let challenge = challenges.of(&who(number), now);
            challenge.map(|challenge| challenge.stamp)
        };
        let now = Instant::from_nanos(1);
        for number in 0..100_000 {
            challenges.add(who(number), number.into(), false, most, now);
            challenges.add(who(number), u64::from(number) + 1, false, most, now);
        }
        assert_eq!(challenges.len(), most);
        assert_eq!(challenges.order.len(), challenges.awaited.len());
        assert_eq!(stamp(&challenges, 99_999, now), Some(100_000));
        assert_eq!(stamp(&challenges, 0, now), None);
        assert_eq!(stamp(&challenges, 99_999, now.after(CHALLENGE)), None);
        challenges.remove(&who(99_999));
        assert_eq!(stamp(&challenges, 99_999, now), None);
    }
}
