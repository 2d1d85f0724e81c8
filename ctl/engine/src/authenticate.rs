// SPDX-License-Identifier: GPL-2.0
//! Who vouches for a message: what is cheap is asked first, the signature last.

use ihmp_core::addr::Addr;
use ihmp_core::message::{Control, Options};

use crate::engine::Engine;
use crate::forged::Sort;
use crate::host::Host;
use crate::io::{Key, Output, Refusal};
use crate::keys::{Fact, Policy, PublicKey};
use crate::note::Note;
use crate::received::{Received, Signer};
use crate::seqno::AHEAD;

impl Engine {
    /// Decides whether a message may be used at all; `None` for one without a signature that may.
    pub(crate) fn authenticate(
        &mut self,
        received: &Received<'_>,
        bytes: &[u8],
    ) -> Result<Option<Signer>, Refusal> {
        let Received {
            endpoint,
            to,
            message,
            ..
        } = *received;
        let now = self.world.now;
        let ring = &self.world.keyring;
        if message.signature.is_none() {
            let signed = ring.remembered(endpoint.own).is_some();
            let may = ring.policy == Policy::Unsigned && !ring.reserves(endpoint.own, None);
            let may = may && !signed;
            if !may {
                return Err(Refusal::Unsigned);
            }
            let greets = message.control == Control::Hello;
            let rated = !greets || self.world.hello_prefix.take(received.from, now);
            return rated.then_some(None).ok_or(Refusal::Rate);
        }
        let claim = self.claim(&message)?;
        let (key, stamp, name) = (claim.key, claim.stamp, claim.name());
        if ring.is_router(&name) {
            return Err(Refusal::WrongKey);
        }
        if !ring.admits(&name) {
            return Err(Refusal::UnknownKey);
        }
        if ring.reserves(endpoint.own, Some(&name)) {
            return Err(Refusal::ReservedAddress);
        }
        let peer = ring.peers.get(&name);
        if peer.is_some_and(|peer| !peer.replay.is_fresh(stamp)) {
            return Err(Refusal::Replayed);
        }
        let host = self.bound(&name).and_then(|host| self.hosts.get(&host));
        // Where it is without a NAT, there is none: somebody has copied its message.
        if endpoint.is_behind()
            && host.is_some_and(|host| host.validation.is_validated(endpoint.own))
        {
            return Err(Refusal::NatDetected);
        }
        let settled =
            !endpoint.is_behind() || host.is_some_and(|host| host.peer.is_there(endpoint, to));
        let answers = message.options.has(Options::INCORRECT_SEQNO);
        let who = (key, endpoint, to);
        let (echoes, proven, moved) = match message.control {
            Control::Ack => (self.awaited(received, &name)?, true, false),
            Control::Hello if answers => {
                let awaited = ring.challenged(&who, now).ok_or(Refusal::LateAnswer)?;
                (vec![awaited.stamp], true, awaited.moved)
            }
            _ => (vec![0], false, false),
        };
        let greets = message.control == Control::Hello && !proven;
        let rated = peer.is_some_and(|peer| peer.greetings.ready_at(now) > now);
        if greets && rated {
            return Err(Refusal::Rate);
        }
        let stranger = greets && peer.is_none();
        let sort = match proven {
            true => Sort::Answer,
            false => Sort::of_request(host, endpoint, to, &message),
        };
        // What costs nothing was asked before. From here on, who forges sources could spend what others need.
        let sort = match stranger && self.world.admits_greeting(received)? {
            true => Sort::Answer,
            false => sort,
        };
        self.verify(&claim, received, bytes, &echoes, sort)?;
        let signer = Signer {
            key,
            stamp,
            proven,
            moved,
        };
        self.remember(received, &signer)?;
        let ring = &mut self.world.keyring;
        if let Some(peer) = ring.peers.get_mut(&key).filter(|_| greets) {
            // There was one: what was forged in its name took none.
            let _ = peer.greetings.take(now);
        }
        let mut facts = Vec::new();
        if proven {
            ring.answered(&who);
            // What had to wait for this is not believed any more.
            let host = self.bound.get(&key).and_then(|host| self.hosts.get(host));
            for stamp in host
                .map(|host| host.peer.nat().claimed_stamps())
                .unwrap_or_default()
            {
                facts.extend(ring.accept(&key, stamp));
            }
        }
        // From an unknown NAT it may be a copy, and the message itself is yet to come.
        if settled || proven {
            facts.extend(ring.accept(&key, stamp));
        }
        self.world
            .outputs
            .extend(facts.into_iter().map(Output::Keep));
        Ok(Some(signer))
    }

    /// What is known of the keys at the source of a message: another one than that which is remembered there is worth a
    /// warning once it has shown that it hears us, and is not believed at all where the administrator wants to be asked.
    fn remember(&mut self, received: &Received<'_>, signer: &Signer) -> Result<(), Refusal> {
        let (at, now) = (received.from, self.world.now);
        let ring = &mut self.world.keyring;
        let former = ring.remembered(at).filter(|former| *former != signer.key);
        if former.is_none() || received.endpoint.is_behind() {
            return Ok(());
        }
        if signer.proven {
            let (believed, said) = ring.changed(at, signer.key, now);
            self.world.key_changed(said);
            return believed.then_some(()).ok_or(Refusal::ChangedKey);
        }
        if ring.policy != Policy::Pin {
            return Ok(());
        }
        let signed = Received {
            signer: Some(*signer),
            ..*received
        };
        self.incorrect_seqno(&signed, self.bound(&signer.key));
        Err(Refusal::ChangedKey)
    }

    /// The timestamps of the request that this ACK says it answers.
    fn awaited(&self, received: &Received<'_>, name: &PublicKey) -> Result<Vec<u64>, Refusal> {
        let Received {
            from,
            endpoint,
            to,
            message,
            ..
        } = *received;
        let there = self.hosts_at(endpoint, Some(name));
        let open = there.iter().flat_map(|host| host.requests());
        let answered = open.filter(|request| request.seqno == message.seqno && request.from == to);
        let mut echoes: Vec<u64> = answered
            .flat_map(|request| request.stamps_to(endpoint))
            .collect();
        let direct = there.iter().filter(|_| !endpoint.is_behind());
        let probes = direct.map(|host| host.validation.probes());
        echoes.extend(probes.flat_map(|probes| probes.stamps(message.seqno, from, to)));
        if !echoes.is_empty() {
            return Ok(echoes);
        }
        let recent =
            |host: &Host| (1..=AHEAD).contains(&host.next_seqno.wrapping_sub(message.seqno));
        Err(if there.into_iter().any(recent) {
            Refusal::LateAck
        } else {
            Refusal::UnexpectedAck
        })
    }

    /// A peer has a new key, by the word of the former one.
    pub(crate) fn succeed(&mut self, former: PublicKey, key: PublicKey) {
        let world = &mut self.world;
        world.keyring.succeed(&former, key);
        world.keep(Some(Fact::Succeeded { former, key }));
        world.note(Note::Succeeded { former, key });
        if let Some(host) = self.bound.remove(&former) {
            self.bound.insert(key, host);
            if let Some(host) = self.hosts.get_mut(&host) {
                host.peer_key = Some(key);
            }
        }
    }

    /// The host with this key.
    pub(crate) fn bound(&self, key: &PublicKey) -> Option<Key> {
        self.bound.get(key).copied()
    }

    /// Whether a host has no key yet.
    pub(crate) fn is_unbound(&self, key: Key) -> bool {
        let host = self.hosts.get(&key);
        host.is_some_and(|host| host.peer_key.is_none())
    }

    /// From now on nobody else speaks for this host; nothing that was signed before counts any more.
    pub(crate) fn bind(&mut self, key: Key, signer: &Signer, from: Addr, to: Addr) {
        let Some(host) = self.hosts.get_mut(&key) else {
            return;
        };
        let world = &mut self.world;
        if host.peer_key != Some(signer.key) {
            world.note(Note::Bound {
                peer: from,
                key: signer.key,
            });
        }
        host.peer_key = Some(signer.key);
        if host.own.is_none() {
            host.own = world.keyring.own_for(to).map(|own| own.public());
        }
        self.bound.insert(signer.key, key);
        let mut facts = Vec::new();
        let bound = &self.bound;
        let keep = |key: &PublicKey| bound.contains_key(key);
        let before = host.greeted_by.take().filter(|(key, _)| *key == signer.key);
        let floor = before.map_or(signer.stamp, |(_, last)| last.max(signer.stamp));
        world.keyring.learn(signer.key, floor, keep, &mut facts);
        facts.extend(world.keyring.accept(&signer.key, signer.stamp));
        world.outputs.extend(facts.into_iter().map(Output::Keep));
    }

    /// `from` is proven to be an address of `key`, and was held for one of `other`: what has no key yet becomes part of
    /// `key`, what has another one loses the address. Where `key` has just `moved` there, its flows there are new.
    pub(crate) fn hand_over(&mut self, from: Addr, other: Key, key: Key, moved: bool) {
        if self.is_unbound(other) {
            self.merge(key, other);
        } else {
            self.mistaken(other, from, !moved);
        }
    }

    /// Somebody else answers at an address of this host; perhaps, where there is `doubt`, since it was last heard of.
    pub(crate) fn mistaken(&mut self, key: Key, addr: Addr, doubt: bool) {
        self.with(key, |host, world| {
            if host.managed {
                return;
            }
            world.note(Note::Mistaken { peer: addr });
            let before = host.peer.active().to_vec();
            host.peer.retire(addr);
            host.doubt |= doubt;
            host.follow(&before, world);
        });
    }

    /// The administrator changed keys.
    pub(crate) fn keys_changed(&mut self, keys: crate::keys::Keys) {
        self.world.keyring.load(keys);
        let now = self.world.now;
        for key in self.keys() {
            let Some(host) = self.hosts.get(&key) else {
                continue;
            };
            let ring = &self.world.keyring;
            let own = host
                .own
                .and_then(|own| ring.own(&own))
                .map(|own| own.public());
            let gone = host.peer_key.filter(|key| !ring.peers.contains_key(key));
            if own == host.own && gone.is_none() {
                continue;
            }
            if let Some(gone) = gone {
                self.bound.remove(&gone);
            }
            self.with(key, |host, _| {
                if gone.is_some() {
                    host.peer_key = None;
                }
                host.own = own;
                if !host.managed && host.state == crate::io::State::Up {
                    host.needs_hello = true;
                    host.greet_at = Some(now);
                }
            });
        }
    }
}
