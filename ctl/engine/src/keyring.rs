// SPDX-License-Identifier: GPL-2.0
//! Which keys are known, and which of them is believed where.

use std::collections::{BTreeSet, HashMap};

use ihmp_core::addr::Addr;
use ihmp_core::policy::Prefix;
use ihmp_core::time::Instant;

use crate::bucket::Bucket;
use crate::challenges::{Challenge, Challenges, Who};
use crate::forged::{Forged, Sort};
use crate::keys::{Changed, Fact, Keys, KnownKey, Policy, PublicKey};
use crate::limits::Limits;
use crate::own_keys::OwnKeys;
use crate::places::Places;
use crate::replay::Replay;

/// Most addresses at which one key is remembered.
const MAX_SEEN: usize = 32;

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

/// All that the engine knows of keys.
#[derive(Debug)]
pub(crate) struct Keyring {
    policy: Policy,
    own: OwnKeys,
    peers: HashMap<PublicKey, Peer>,
    /// Keys that are the only ones believed at some addresses.
    scoped: Vec<(Prefix, PublicKey)>,
    /// Those of routers.
    routers: Vec<PublicKey>,
    /// Where keys were seen.
    places: Places,
    /// Keys by how long they were of no use.
    order: BTreeSet<(u64, PublicKey)>,
    next_order: u64,
    /// Who has to show that he hears us.
    challenges: Challenges,
    /// Verifications of messages with keys that nobody knows.
    strangers: Bucket,
    /// The same of messages that answer one of ours.
    answers: Bucket,
    limits: Limits,
}

impl Keyring {
    pub(crate) fn new(policy: Policy, limits: Limits) -> Keyring {
        Keyring {
            policy,
            own: OwnKeys::default(),
            peers: HashMap::new(),
            scoped: Vec::new(),
            routers: Vec::new(),
            places: Places::new(),
            order: BTreeSet::new(),
            next_order: 0,
            challenges: Challenges::default(),
            strangers: Bucket::new(limits.signatures.strangers),
            answers: Bucket::new(limits.signatures.answers),
            limits,
        }
    }

    pub(crate) fn configure(&mut self, limits: Limits, policy: Policy) {
        self.limits = limits;
        self.policy = policy;
    }

    /// Takes over what is known; what this engine has seen since stays.
    pub(crate) fn load(&mut self, keys: Keys) {
        self.own.load(keys.own, keys.sent);
        let before = std::mem::take(&mut self.peers);
        self.order.clear();
        self.scoped.clear();
        self.routers.clear();
        self.places.clear();
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
                    self.places.forget(*addr);
                }
                for addr in &old.seen {
                    self.places.remember(*addr, key);
                }
                for addr in &old.known.at {
                    self.places.locate(*addr, key);
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
        self.places.locate(addr, key);
        let former = self.places.remember(addr, key);
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
        self.places.accept(addr);
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
                self.places.remember(*addr, key);
            }
        }
        let excess = peer.seen.len().saturating_sub(MAX_SEEN);
        let has = |addr: &Addr| has.is_none_or(|has| has.contains(addr));
        let (seen, mut gone): (Vec<Addr>, Vec<Addr>) = peer.seen.iter().partition(|addr| has(addr));
        peer.seen = seen;
        gone.extend(peer.seen.drain(..excess.min(peer.seen.len())));
        for addr in gone {
            self.places.forget_key(addr, &key);
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
        self.places.remembered(addr)
    }

    /// How many keys were believed where another one was remembered, and at how many addresses one is refused for that.
    pub(crate) fn change_counts(&self) -> [u64; 2] {
        self.places.counts()
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
        let changed = Changed {
            at,
            former,
            key,
            believed,
        };
        let said = self.places.change(changed, now);
        if believed {
            self.take_over(at, key);
        }
        (believed, said)
    }

    fn insert(&mut self, key: PublicKey, known: KnownKey) {
        if known.router {
            self.routers.push(key);
        } else {
            let scope = known.scope.iter().map(|prefix| (*prefix, key));
            self.scoped.extend(scope);
        }
        for addr in &known.at {
            self.places.locate(*addr, key);
            self.places.remember(*addr, key);
        }
        let peer = Peer {
            seen: known.at.clone(),
            replay: Replay::new(known.floor),
            forged: Forged::new(self.limits.signatures.forged),
            greetings: Bucket::new(self.limits.greetings.prefix),
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
        if self.peers.len() >= self.limits.hosts.most.saturating_mul(2) {
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
            self.places.leave(*addr, key);
        }
        for addr in &peer.seen {
            self.places.forget_key(*addr, key);
        }
        Some(peer)
    }

    /// A new key takes the place of a former one. Both have one clock: what was signed before is not believed by the new
    /// name either, lest an old message brings back a key that was in use before.
    pub(crate) fn succeed(&mut self, former: &PublicKey, key: PublicKey) {
        if let Some(peer) = self.forget(former) {
            let known = KnownKey {
                floor: peer.replay.floor(),
                ..peer.known
            };
            self.insert(key, known);
        }
    }

    /// Our own keys.
    pub(crate) fn own(&self) -> &OwnKeys {
        &self.own
    }

    /// The same, to sign with them.
    pub(crate) fn own_mut(&mut self) -> &mut OwnKeys {
        &mut self.own
    }

    /// Whom to believe.
    pub(crate) fn policy(&self) -> Policy {
        self.policy
    }

    /// Whether a key is known.
    pub(crate) fn knows(&self, key: &PublicKey) -> bool {
        self.peers.contains_key(key)
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
        let key = addrs.iter().find_map(|addr| self.places.located(*addr))?;
        Some((key, self.peers.get(&key)?.known.own))
    }

    /// The host with this key is at these addresses.
    pub(crate) fn locate(&mut self, key: PublicKey, own: PublicKey, at: &[Addr]) -> Option<Fact> {
        let peer = self.peers.get_mut(&key)?;
        if peer.known.at == at && peer.known.own == Some(own) {
            return None;
        }
        peer.known.own = Some(own);
        for addr in std::mem::replace(&mut peer.known.at, at.to_vec()) {
            self.places.leave(addr, &key);
        }
        for addr in at {
            self.places.locate(*addr, key);
        }
        let at = at.to_vec();
        Some(Fact::At { key, own, at })
    }

    /// Who answers with this key, from there to here, has to name this timestamp. `moved` says that he announced a move.
    pub(crate) fn challenge(&mut self, who: Who, stamp: u64, moved: bool, now: Instant) {
        let most = self.limits.hosts.pending;
        self.challenges.add(who, stamp, moved, most, now);
    }

    /// What is awaited of this one.
    pub(crate) fn challenged(&self, who: &Who, now: Instant) -> Option<&Challenge> {
        self.challenges.of(who, now)
    }

    /// It has shown that it hears us.
    pub(crate) fn answered(&mut self, who: &Who) {
        self.challenges.remove(who);
    }

    /// How many answers are awaited, and how many keys are known.
    pub(crate) fn sizes(&self) -> [usize; 2] {
        [self.challenges.len(), self.peers.len()]
    }
}
