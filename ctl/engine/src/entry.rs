// SPDX-License-Identifier: GPL-2.0
//! NAT_ENTRY: a NAT tells which port it gave to which flow of a host behind it ([DIME-IFIP] section IV-D, Fig. 9).
//!
//! A NAT speaks for its address and for nothing else: it has to hear what is sent there, and the host has to be behind it
//! by its own word. What it then says is about flows that pass it anyway.

use ihmp_core::addr::Addr;
use ihmp_core::entry::{Entry, Lease};
use ihmp_core::message::{Addresses, Options};
use ihmp_core::time::Duration;

use crate::engine::Engine;
use crate::forged::Sort;
use crate::host::{self, Host};
use crate::io::{Change, Key, Output, Refusal, State};
use crate::keys::{Policy, PublicKey};
use crate::received::Received;
use crate::received::Signer;
use crate::world::{Answer, World};

impl Engine {
    /// A NAT tells of port mappings.
    pub(crate) fn nat_entry(
        &mut self,
        received: &Received<'_>,
        bytes: &[u8],
    ) -> Result<(), Refusal> {
        let Received {
            from, to, message, ..
        } = *received;
        let entry = Entry::read(&message.addresses).filter(|_| message.host == from);
        let entry = entry.ok_or(Refusal::Payload)?;
        let now = self.world.now;
        let rated = self.world.entry_prefix.take(from, now) && self.world.entries.take(now);
        if !rated {
            return Err(Refusal::Rate);
        }
        let claim = self.claim(&message)?;
        let (key, stamp, name) = (claim.key, claim.stamp, claim.name());
        let ring = &self.world.keyring;
        let known = ring.peers.get(&name);
        let router = ring.is_router(&name);
        if ring.policy == Policy::RequireKnown && !router {
            return Err(Refusal::UnknownKey);
        }
        let foreign = match known.filter(|_| router) {
            Some(router) => !router.serves(from),
            None => ring.reserves(from, Some(&name)),
        };
        if foreign {
            return Err(Refusal::ReservedAddress);
        }
        if known.is_some_and(|peer| !peer.replay.is_fresh(stamp)) {
            return Err(Refusal::Replayed);
        }
        let (host, id) = self.mapped_host(&entry)?;
        let there = self.bound(&name).and_then(|host| self.hosts.get(&host));
        let hears = there
            .is_some_and(|host| host.validation.is_validated(from) && host.peer.is_active(from));
        let who = (key, received.endpoint, to);
        let answers = message.options.has(Options::INCORRECT_SEQNO);
        let echo = match answers {
            true => {
                let awaited = ring.challenged(&who, now);
                awaited.ok_or(Refusal::LateAnswer)?.stamp
            }
            false => 0,
        };
        let sort = if answers { Sort::Answer } else { Sort::There };
        let heard = known.is_some() && self.world.nats.is_heard(name, from);
        self.verify(&claim, received, bytes, &[echo], sort)?;
        let fact = self.world.keyring.accept(&key, stamp);
        self.world.keep(fact);
        if !(answers || heard || router || hears) {
            let signer = Signer {
                key,
                stamp,
                proven: false,
                moved: false,
            };
            let signed = Received {
                signer: Some(signer),
                ..*received
            };
            self.demand(&signed, None);
            return Err(Refusal::Challenged);
        }
        if answers {
            self.world.keyring.answered(&who);
        }
        self.learn_nat(key, stamp, from);
        self.received(received);
        let mut left = false;
        for lease in entry.leases() {
            let host = self.hosts.get_mut(&host);
            left |= host.is_some_and(|host| !host.map(id, entry.nat, &lease, &mut self.world));
        }
        let answer = Answer {
            echo: Some(stamp),
            own: None,
        };
        let world = &mut self.world;
        let addresses = Addresses::of(&[to]).unwrap_or(Addresses::EMPTY);
        let (endpoint, seqno) = (received.endpoint, message.seqno);
        world.acknowledge(to, endpoint, seqno, Options::NONE, addresses, answer);
        if left {
            return Err(Refusal::MappingLimit);
        }
        Ok(())
    }

    /// The host that is behind the NAT by its own word, and the kernel's number of it.
    fn mapped_host(&self, entry: &Entry) -> Result<(Key, u32), Refusal> {
        let key = self.bound(&PublicKey(entry.key));
        let key = key.ok_or(Refusal::UnknownHost)?;
        let host = self.hosts.get(&key).ok_or(Refusal::UnknownHost)?;
        if host.managed {
            return Err(Refusal::Managed);
        }
        let behind = host.state == State::Up && host.peer.nat().says_behind(entry.nat, entry.host);
        match host.entry {
            host::Entry::Id(id) if behind => Ok((key, id)),
            _ => Err(Refusal::UnknownHost),
        }
    }

    /// The key has shown that it hears us at the NAT: no message of it is believed twice.
    fn learn_nat(&mut self, key: PublicKey, stamp: u64, nat: Addr) {
        let world = &mut self.world;
        world.nats.heard(key, nat);
        let bound = &self.bound;
        let keep = |key: &PublicKey| bound.contains_key(key);
        let mut facts = Vec::new();
        world.keyring.learn(key, stamp, keep, &mut facts);
        facts.extend(world.keyring.accept(&key, stamp));
        world.outputs.extend(facts.into_iter().map(Output::Keep));
    }
}

impl Host {
    /// Tells the kernel of a mapping; false when there are too many.
    fn map(&mut self, id: u32, nat: Addr, lease: &Lease, world: &mut World) -> bool {
        let mapping = lease.mapping(nat);
        if lease.lifetime == 0 {
            self.peer.nat_mut().mapped_mut().remove(&mapping);
            let change = Change::Unmap { id, mapping };
            world.outputs.push_back(Output::Table(change));
            return true;
        }
        let lifetime = Duration::from_secs(lease.lifetime.into());
        let until = world.now.after(lifetime);
        let taken = self
            .peer
            .nat_mut()
            .mapped_mut()
            .take(mapping, until, world.now);
        if taken {
            let change = Change::Map {
                id,
                mapping,
                lifetime,
            };
            world.outputs.push_back(Output::Table(change));
        }
        taken
    }
}
