// SPDX-License-Identifier: GPL-2.0
//! Which keys are known, which timestamps were seen, and who has to show that it hears us.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ihmp_core::addr::Addr;
use ihmp_core::policy::Prefix;
use ihmp_core::time::{Duration, Instant};

use crate::bucket::Bucket;
use crate::endpoint::Endpoint;
use crate::forged::{Forged, Sort};
use crate::keys::{Changed, Fact, Keys, KnownKey, OwnKey, Policy, PublicKey};
use crate::limits::{Limits, Rate};
use crate::stamps::Stamps;

/// How far one message may overtake another of the same key, in nanoseconds of the sender's clock.
const OVERTAKE: u64 = 500_000_000;
/// Most timestamps that are remembered above the floor.
const REMEMBERED: usize = 32;
/// Steps in which the greatest timestamp is written down, in nanoseconds: after a restart, so much is lost at most.
const STEP: u64 = 100_000_000;
/// Most addresses at which one key is remembered.
const MAX_SEEN: usize = 32;
/// Most addresses of which it is remembered that another key was refused there.
const MAX_REFUSED: usize = 1_024;
/// How often it is said that keys changed.
const CHANGES: Rate = Rate {
    per_second: 1,
    burst: 100,
};
/// How long a challenge can be answered.
const CHALLENGE: Duration = Duration::from_secs(30);

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
    fn new(floor: u64) -> Replay {
        Replay {
            floor,
            recent: Vec::new(),
            // That of a key which has just become known is yet to be written down.
            kept: 0,
        }
    }

    /// Whether no message had this timestamp, and none could have since.
    pub(crate) fn is_fresh(&self, stamp: u64) -> bool {
        stamp > self.floor && self.recent.binary_search(&stamp).is_err()
    }

    /// A message with this timestamp was believed; what is to be written down, if anything is.
    fn accept(&mut self, stamp: u64) -> Option<u64> {
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

/// A peer's key.
#[derive(Debug)]
struct Peer {
    known: KnownKey,
    replay: Replay,
    /// Forged messages in its name.
    forged: Forged,
    /// Greetings of it that were believed.
    greetings: Bucket,
    /// Addresses at which it is remembered.
    seen: Vec<Addr>,
    /// When it was last of use: an order, not a time.
    used: u64,
}

impl Peer {
    /// Whether it is a router that is believed about this address.
    fn serves(&self, addr: Addr) -> bool {
        let scope = &self.known.scope;
        let within = scope.is_empty() || scope.iter().any(|prefix| prefix.contains(addr));
        self.known.router && within
    }
}

/// What is awaited of somebody who has to show that he hears us.
#[derive(Debug)]
pub(crate) struct Challenge {
    pub(crate) stamp: u64,
    /// What was challenged announced a move.
    pub(crate) moved: bool,
    until: Instant,
    order: u64,
}

/// All that the engine knows of keys.
#[derive(Debug)]
pub(crate) struct Keyring {
    policy: Policy,
    own: Vec<OwnKey>,
    peers: HashMap<PublicKey, Peer>,
    /// Keys that are the only ones believed at some addresses.
    scoped: Vec<(Prefix, PublicKey)>,
    /// Those of routers.
    routers: Vec<PublicKey>,
    /// The key that was last seen at an address.
    located: HashMap<Addr, PublicKey>,
    /// The key that has shown that it hears us at an address, and has not said since that it left.
    remembered: HashMap<Addr, PublicKey>,
    /// Keys that were refused because another one is remembered there.
    refused: HashMap<Addr, PublicKey>,
    /// How often it is said that keys changed.
    changes: Bucket,
    /// Keys that were believed where another one was remembered.
    changed: u64,
    /// Keys by how long they were of no use.
    order: BTreeSet<(u64, PublicKey)>,
    next_order: u64,
    /// Answers that are awaited, by who has to give them and where we asked.
    challenges: HashMap<(PublicKey, Endpoint, Addr), Challenge>,
    challenge_order: BTreeMap<u64, (PublicKey, Endpoint, Addr)>,
    /// Verifications of messages with keys that nobody knows.
    strangers: Bucket,
    /// The same of messages that answer one of ours.
    answers: Bucket,
    limits: Limits,
    stamps: Stamps,
}

impl Keyring {
    pub(crate) fn new(policy: Policy, limits: Limits) -> Keyring {
        Keyring {
            policy,
            own: Vec::new(),
            peers: HashMap::new(),
            scoped: Vec::new(),
            routers: Vec::new(),
            located: HashMap::new(),
            remembered: HashMap::new(),
            refused: HashMap::new(),
            changes: Bucket::new(CHANGES),
            changed: 0,
            order: BTreeSet::new(),
            next_order: 0,
            challenges: HashMap::new(),
            challenge_order: BTreeMap::new(),
            strangers: Bucket::new(limits.strangers),
            answers: Bucket::new(limits.answers),
            limits,
            stamps: Stamps::default(),
        }
    }

    pub(crate) fn configure(&mut self, limits: Limits, policy: Policy) {
        self.limits = limits;
        self.policy = policy;
    }

    /// Takes over what is known; what this engine has seen since stays.
    pub(crate) fn load(&mut self, keys: Keys) {
        // What was reserved by this engine has not been used.
        if self.own.is_empty() {
            self.stamps.go_on(keys.sent);
        }
        self.own = keys.own;
        let before = std::mem::take(&mut self.peers);
        self.order.clear();
        self.scoped.clear();
        self.routers.clear();
        self.located.clear();
        self.remembered.clear();
        self.refused.clear();
        let accepted = |(key, known): &(PublicKey, KnownKey)| {
            let key = *key;
            let at = known.accepted.clone();
            at.into_iter().map(move |addr| (addr, key))
        };
        let accepted: Vec<(Addr, PublicKey)> = keys.known.iter().flat_map(accepted).collect();
        for (key, known) in keys.known {
            self.insert(key, known);
        }
        for (key, old) in before {
            if let Some(peer) = self.peers.get_mut(&key) {
                peer.replay = old.replay;
                (peer.forged, peer.greetings) = (old.forged, old.greetings);
                peer.known.own = old.known.own;
                for addr in &peer.seen {
                    self.remembered.remove(addr);
                }
                for addr in &old.seen {
                    self.remembered.insert(*addr, key);
                }
                for addr in &old.known.at {
                    self.located.insert(*addr, key);
                }
                (peer.known.at, peer.seen) = (old.known.at, old.seen);
            }
        }
        for (addr, key) in accepted {
            self.take_over(addr, key);
        }
    }

    /// From now on this key is the one that is remembered at an address.
    fn take_over(&mut self, addr: Addr, key: PublicKey) {
        self.located.insert(addr, key);
        let former = self.remembered.insert(addr, key);
        let former = former.filter(|former| *former != key);
        if let Some(peer) = former.and_then(|former| self.peers.get_mut(&former)) {
            peer.known.at.retain(|at| *at != addr);
            peer.seen.retain(|at| *at != addr);
        }
        if let Some(peer) = self.peers.get_mut(&key) {
            if !peer.seen.contains(&addr) {
                peer.seen.push(addr);
            }
        }
        self.refused.remove(&addr);
    }

    /// A host with this key has shown at these addresses that it hears us. `has` are all that it has, when it has said so:
    /// it is remembered at no others any more. Where it is remembered now.
    pub(crate) fn remember(
        &mut self,
        key: PublicKey,
        shown: &[Addr],
        has: Option<&[Addr]>,
    ) -> Vec<Addr> {
        let Some(peer) = self.peers.get_mut(&key) else {
            return Vec::new();
        };
        for addr in shown {
            if !peer.seen.contains(addr) {
                peer.seen.push(*addr);
                self.remembered.insert(*addr, key);
            }
        }
        let excess = peer.seen.len().saturating_sub(MAX_SEEN);
        let has = |addr: &Addr| has.is_none_or(|has| has.contains(addr));
        let (seen, mut gone): (Vec<Addr>, Vec<Addr>) = peer.seen.iter().partition(|addr| has(addr));
        peer.seen = seen;
        gone.extend(peer.seen.drain(..excess.min(peer.seen.len())));
        for addr in gone {
            if self.remembered.get(&addr) == Some(&key) {
                self.remembered.remove(&addr);
            }
        }
        peer.seen.clone()
    }

    /// Where this key is remembered.
    pub(crate) fn seen(&self, key: &PublicKey) -> Vec<Addr> {
        let seen = self.peers.get(key).map(|peer| peer.seen.clone());
        let mut seen = seen.unwrap_or_default();
        seen.retain(|addr| self.remembered(*addr) == Some(*key));
        seen
    }

    /// The key that is remembered at an address.
    pub(crate) fn remembered(&self, addr: Addr) -> Option<PublicKey> {
        self.remembered.get(&addr).copied()
    }

    /// How many keys were believed where another one was remembered, and at how many addresses one is refused for that.
    pub(crate) fn change_counts(&self) -> [u64; 2] {
        [
            self.changed,
            u64::try_from(self.refused.len()).unwrap_or(u64::MAX),
        ]
    }

    /// A key is at an address where another one is remembered; whether it may be believed, and what is worth saying.
    pub(crate) fn changed(
        &mut self,
        at: Addr,
        key: PublicKey,
        now: Instant,
    ) -> (bool, Option<Changed>) {
        let former = self.remembered(at).filter(|former| *former != key);
        let Some(former) = former else {
            return (true, None);
        };
        let believed = self.policy != Policy::Pin;
        let known = self.refused.get(&at) == Some(&key);
        if believed {
            self.changed += 1;
            self.take_over(at, key);
        } else if self.refused.len() < MAX_REFUSED {
            self.refused.insert(at, key);
        }
        let changed = Changed {
            at,
            former,
            key,
            believed,
        };
        let said = !known && self.changes.take(now);
        (believed, said.then_some(changed))
    }

    fn insert(&mut self, key: PublicKey, known: KnownKey) {
        if known.router {
            self.routers.push(key);
        } else {
            let scope = known.scope.iter().map(|prefix| (*prefix, key));
            self.scoped.extend(scope);
        }
        for addr in &known.at {
            self.located.insert(*addr, key);
            self.remembered.insert(*addr, key);
        }
        let peer = Peer {
            seen: known.at.clone(),
            replay: Replay::new(known.floor),
            forged: Forged::new(self.limits.forged),
            greetings: Bucket::new(self.limits.hello_prefix),
            known,
            used: self.next_order,
        };
        self.order.insert((self.next_order, key));
        self.next_order += 1;
        self.peers.insert(key, peer);
    }

    /// Makes a key known, of which nothing up to `floor` is believed; the one that was of no use for longest, and for which `keep` does not hold, is given up when
    /// there are too many.
    pub(crate) fn learn(
        &mut self,
        key: PublicKey,
        floor: u64,
        keep: impl Fn(&PublicKey) -> bool,
        facts: &mut Vec<Fact>,
    ) {
        if self.peers.contains_key(&key) {
            return;
        }
        if self.peers.len() >= self.limits.max_hosts.saturating_mul(2) {
            let useless = |(_, key): &&(u64, PublicKey)| {
                !keep(key) && self.peers.get(key).is_none_or(|peer| !peer.known.pinned)
            };
            if let Some((_, gone)) = self.order.iter().find(useless).copied() {
                self.forget(&gone);
                facts.push(Fact::Forgotten(gone));
            }
        }
        let known = KnownKey {
            floor,
            ..KnownKey::default()
        };
        self.insert(key, known);
    }

    fn forget(&mut self, key: &PublicKey) -> Option<Peer> {
        let peer = self.peers.remove(key)?;
        self.order.remove(&(peer.used, *key));
        self.scoped.retain(|(_, other)| other != key);
        self.routers.retain(|other| other != key);
        for addr in &peer.known.at {
            if self.located.get(addr) == Some(key) {
                self.located.remove(addr);
            }
        }
        for addr in &peer.seen {
            if self.remembered.get(addr) == Some(key) {
                self.remembered.remove(addr);
            }
        }
        Some(peer)
    }

    /// A new key takes the place of a former one. Both have one clock: what was signed before is not believed by the new
    /// name either, lest an old message brings back a key that was in use before.
    pub(crate) fn succeed(&mut self, former: &PublicKey, key: PublicKey) {
        if let Some(peer) = self.forget(former) {
            let known = KnownKey {
                floor: peer.replay.floor,
                ..peer.known
            };
            self.insert(key, known);
        }
    }

    /// Whom to believe.
    pub(crate) fn policy(&self) -> Policy {
        self.policy
    }

    /// Whether a key is known.
    pub(crate) fn knows(&self, key: &PublicKey) -> bool {
        self.peers.contains_key(key)
    }

    /// Whether a key is one of ours.
    pub(crate) fn is_own(&self, key: &PublicKey) -> bool {
        self.own.iter().any(|own| own.public() == *key)
    }

    /// Whether no message with this key had this timestamp, and none could have since.
    pub(crate) fn is_fresh(&self, key: &PublicKey, stamp: u64) -> bool {
        let peer = self.peers.get(key);
        peer.is_none_or(|peer| peer.replay.is_fresh(stamp))
    }

    /// Whether a known key may greet again; of a key that is not known, others decide.
    pub(crate) fn may_greet(&self, key: &PublicKey, now: Instant) -> bool {
        let peer = self.peers.get(key);
        peer.is_none_or(|peer| peer.greetings.ready_at(now) <= now)
    }

    /// A greeting with this key was believed.
    pub(crate) fn greeted(&mut self, key: &PublicKey, now: Instant) {
        if let Some(peer) = self.peers.get_mut(key) {
            let _ = peer.greetings.take(now);
        }
    }

    /// Whether a message of this sort, in the name of this key, may be verified.
    pub(crate) fn may_verify(&mut self, key: &PublicKey, sort: Sort, now: Instant) -> bool {
        match self.peers.get(key) {
            Some(peer) => peer.forged.may_be(sort, now),
            None if sort == Sort::Answer => self.answers.take(now),
            None => self.strangers.take(now),
        }
    }

    /// It was forged.
    pub(crate) fn forged(&mut self, key: &PublicKey, sort: Sort, now: Instant) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.forged.count(sort, now);
        }
    }

    /// Whether a message with a key that nobody knows may be verified now.
    pub(crate) fn hears_strangers(&self, now: Instant) -> bool {
        self.strangers.ready_at(now) <= now
    }

    /// Verifications of messages with keys that nobody knows.
    pub(crate) fn strangers(&self) -> &Bucket {
        &self.strangers
    }

    /// The same of messages that answer one of ours.
    pub(crate) fn answers(&self) -> &Bucket {
        &self.answers
    }

    /// Whether this key is that of a router that is believed about this address.
    pub(crate) fn serves(&self, key: &PublicKey, addr: Addr) -> bool {
        let peer = self.peers.get(key);
        peer.is_some_and(|peer| peer.serves(addr))
    }

    /// When timestamps are to be reserved again.
    pub(crate) fn check_at(&self) -> Option<Instant> {
        self.stamps.check_at()
    }

    /// Whether a key may be believed at all.
    pub(crate) fn admits(&self, key: &PublicKey) -> bool {
        let pinned = || self.peers.get(key).is_some_and(|peer| peer.known.pinned);
        self.policy != Policy::RequireKnown || pinned()
    }

    /// Whether the administrator listed a key as that of a router.
    pub(crate) fn is_router(&self, key: &PublicKey) -> bool {
        self.routers.contains(key)
    }

    /// Whether a router may answer what is sent from this address.
    pub(crate) fn is_routed(&self, addr: Addr) -> bool {
        let mut routers = self.routers.iter().filter_map(|key| self.peers.get(key));
        routers.any(|router| router.serves(addr))
    }

    /// Whether the administrator listed another key for this address.
    pub(crate) fn reserves(&self, addr: Addr, key: Option<&PublicKey>) -> bool {
        let there = self
            .scoped
            .iter()
            .filter(|(prefix, _)| prefix.contains(addr));
        let mut there = there.peekable();
        there.peek().is_some() && there.all(|(_, other)| Some(other) != key)
    }

    /// A message with this key and timestamp was believed.
    pub(crate) fn accept(&mut self, key: &PublicKey, stamp: u64) -> Option<Fact> {
        let order = self.next_order;
        let peer = self.peers.get_mut(key)?;
        self.order.remove(&(peer.used, *key));
        peer.used = order;
        self.order.insert((order, *key));
        self.next_order += 1;
        let floor = peer.replay.accept(stamp)?;
        Some(Fact::Heard { key: *key, floor })
    }

    /// The key that was last at one of these addresses.
    pub(crate) fn at(&self, addrs: &[Addr]) -> Option<(PublicKey, Option<PublicKey>)> {
        let key = addrs.iter().find_map(|addr| self.located.get(addr))?;
        Some((*key, self.peers.get(key)?.known.own))
    }

    /// The host with this key is at these addresses.
    pub(crate) fn locate(&mut self, key: PublicKey, own: PublicKey, at: &[Addr]) -> Option<Fact> {
        let peer = self.peers.get_mut(&key)?;
        if peer.known.at == at && peer.known.own == Some(own) {
            return None;
        }
        peer.known.own = Some(own);
        for addr in std::mem::replace(&mut peer.known.at, at.to_vec()) {
            if self.located.get(&addr) == Some(&key) {
                self.located.remove(&addr);
            }
        }
        for addr in at {
            self.located.insert(*addr, key);
        }
        let at = at.to_vec();
        Some(Fact::At { key, own, at })
    }

    /// The own key for a host that is met at this own address: that with the longest prefix.
    pub(crate) fn own_for(&self, local: Addr) -> Option<&OwnKey> {
        let length = |own: &&OwnKey| {
            let fits = own.scope.iter().filter(|prefix| prefix.contains(local));
            match fits.map(|prefix| prefix.len).max() {
                Some(len) => Some(u16::from(len) + 1),
                None => own.scope.is_empty().then_some(0),
            }
        };
        let fits = self.own.iter().filter(|own| length(own).is_some());
        fits.max_by_key(length)
    }

    /// The own key with this public half, or the one that took its place.
    pub(crate) fn own(&self, public: &PublicKey) -> Option<&OwnKey> {
        let same = self.own.iter().find(|own| own.public() == *public);
        let after = |own: &&OwnKey| own.former.is_some_and(|former| former.key == *public);
        same.or_else(|| self.own.iter().find(after))
    }

    /// The next timestamp.
    pub(crate) fn stamp(&mut self, now: Instant, wall: u64, random: u64) -> u64 {
        self.stamps.next(now, wall, random)
    }

    /// Reserves timestamps.
    pub(crate) fn reserve(&mut self, now: Instant, wall: u64) -> Option<Fact> {
        if self.own.is_empty() {
            return None;
        }
        self.stamps.reserve(now, wall).map(Fact::Sent)
    }

    /// What was really used, for a clean end.
    pub(crate) fn sent(&self) -> Fact {
        Fact::Sent(self.stamps.sent())
    }

    /// Who answers with this key, from there to here, has to name this timestamp. `moved` says that he announced a move.
    pub(crate) fn challenge(
        &mut self,
        who: (PublicKey, Endpoint, Addr),
        stamp: u64,
        moved: bool,
        now: Instant,
    ) {
        if let Some(old) = self.challenges.remove(&who) {
            self.challenge_order.remove(&old.order);
        }
        if self.challenges.len() >= self.limits.max_pending {
            if let Some((_, oldest)) = self.challenge_order.pop_first() {
                self.challenges.remove(&oldest);
            }
        }
        let order = self.next_order;
        self.next_order += 1;
        self.challenge_order.insert(order, who);
        let challenge = Challenge {
            stamp,
            moved,
            until: now.after(CHALLENGE),
            order,
        };
        self.challenges.insert(who, challenge);
    }

    /// What is awaited of this one.
    pub(crate) fn challenged(
        &self,
        who: &(PublicKey, Endpoint, Addr),
        now: Instant,
    ) -> Option<&Challenge> {
        let challenge = self.challenges.get(who)?;
        (challenge.until > now).then_some(challenge)
    }

    /// It has shown that it hears us.
    pub(crate) fn answered(&mut self, who: &(PublicKey, Endpoint, Addr)) {
        if let Some(challenge) = self.challenges.remove(who) {
            self.challenge_order.remove(&challenge.order);
        }
    }

    /// How many answers are awaited, and how many keys are known.
    pub(crate) fn sizes(&self) -> [usize; 2] {
        [self.challenges.len(), self.peers.len()]
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

    #[test]
    fn timestamps_only_grow_whatever_the_clock_does() {
        let mut ring = Keyring::new(Policy::FirstUse, Limits::default());
        ring.load(Keys {
            own: vec![OwnKey::new(&[1; 32], vec![])],
            sent: 500,
            ..Keys::default()
        });
        let mut last = 500;
        for (number, wall) in [1_000_000_000, 2_000_000_000, 5, 0, 7_000_000_000]
            .into_iter()
            .enumerate()
        {
            let now = Instant::from_nanos(number as u64);
            let fact = ring.reserve(now, wall);
            let stamp = ring.stamp(now, wall, 0x1234_5678_9abc_def0);
            assert!(stamp > last && stamp <= ring.stamps.reserved());
            assert_eq!(fact.is_some(), number == 0, "{number}");
            last = stamp;
        }
        // An engine that was killed goes on above all that it may have sent.
        let mut next = Keyring::new(Policy::FirstUse, Limits::default());
        next.load(Keys {
            own: vec![OwnKey::new(&[1; 32], vec![])],
            sent: ring.stamps.reserved(),
            ..Keys::default()
        });
        let first = next.stamp(Instant::ZERO, 0, 0);
        assert!(first > last);
        // And goes on at the speed of a clock.
        let second = next.stamp(Instant::from_nanos(1_000_000_000), 0, 0);
        assert!(second - first > 1_000_000_000);
    }

    #[test]
    fn own_key_of_the_longest_prefix_signs() {
        let addr = |text: &str| text.parse::<Addr>().unwrap();
        let prefix = |text, len| Prefix::new(addr(text), len).unwrap();
        let mut ring = Keyring::new(Policy::FirstUse, Limits::default());
        ring.own = vec![
            OwnKey::new(&[1; 32], vec![prefix("10.0.0.0", 8)]),
            OwnKey::new(&[2; 32], vec![]),
            OwnKey::new(
                &[3; 32],
                vec![prefix("10.1.0.0", 16), prefix("2001:db8::", 32)],
            ),
        ];
        let of = |text| ring.own_for(addr(text)).unwrap().public();
        let public = |at: usize| ring.own[at].public();
        assert_eq!(of("10.2.0.1"), public(0));
        assert_eq!(of("10.1.0.1"), public(2));
        assert_eq!(of("2001:db8::1"), public(2));
        assert_eq!(of("192.0.2.1"), public(1));
    }

    #[test]
    fn challenges_are_bounded() {
        let mut ring = Keyring::new(Policy::FirstUse, Limits::default());
        let here = Addr::v4([192, 0, 2, 1]);
        let who = |number: u32| {
            let [a, b, c, d] = number.to_be_bytes();
            (
                PublicKey([1; 32]),
                Endpoint::direct(Addr::v4([a, b, c, d])),
                here,
            )
        };
        let stamp = |ring: &Keyring, number, now| {
            let challenge = ring.challenged(&who(number), now);
            challenge.map(|challenge| challenge.stamp)
        };
        let now = Instant::from_nanos(1);
        for number in 0..100_000 {
            ring.challenge(who(number), number.into(), false, now);
            ring.challenge(who(number), u64::from(number) + 1, false, now);
        }
        assert_eq!(ring.sizes()[0], Limits::default().max_pending);
        assert_eq!(ring.challenge_order.len(), ring.challenges.len());
        assert_eq!(stamp(&ring, 99_999, now), Some(100_000));
        assert_eq!(stamp(&ring, 0, now), None);
        assert_eq!(stamp(&ring, 99_999, now.after(CHALLENGE)), None);
        ring.answered(&who(99_999));
        assert_eq!(stamp(&ring, 99_999, now), None);
    }
}
