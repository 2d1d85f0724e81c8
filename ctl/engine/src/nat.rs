// SPDX-License-Identifier: GPL-2.0
//! Peers behind NATs: where they are spoken to, and what of it the kernel may use ([DIME-IFIP] section IV-D).
//!
//! The source of a datagram that passed a NAT is not under its signature. So it is used only where the peer has shown that
//! it hears us: else whoever copies a message could add an address of his own.

use ihmp_core::addr::{Addr, Family};
use ihmp_core::message::{Addresses, Options, MAX_ADDRESSES};

use crate::authenticate::Signer;
use crate::endpoint::Endpoint;
use crate::engine::Engine;
use crate::entry::Mapped;
use crate::hidden::Hidden;
use crate::host::Host;
use crate::io::{Key, Refusal, State};
use crate::keys::PublicKey;
use crate::limits::{MAX_BEHIND, MAX_CLAIMED};
use crate::note::Note;
use crate::receive::Received;
use crate::world::{Answer, World};

/// An endpoint behind a NAT at which the peer has shown that it hears us.
#[derive(Clone, Copy, Debug)]
struct Behind {
    endpoint: Endpoint,
    /// Our address, to which the NAT gave the port.
    local: Addr,
    /// The NAT tells of its port mappings.
    supported: bool,
}

/// A message that came from an endpoint where the peer has not shown it.
#[derive(Clone, Copy, Debug)]
struct Claimed {
    nat: Addr,
    own: Addr,
    stamp: u64,
}

/// What is known of NATs between a host and us.
#[derive(Debug, Default)]
pub(crate) struct Nat {
    behind: Vec<Behind>,
    /// Addresses of NATs that an agent before this one had for it.
    adopted: Vec<Addr>,
    claimed: Vec<Claimed>,
    /// Addresses of NATs whose routes are kept for it.
    pub(crate) routed: Vec<Addr>,
    /// Port mappings that the kernel was told of.
    pub(crate) mapped: Mapped,
    /// The same of our own addresses.
    pub(crate) hidden: Hidden,
}

impl Nat {
    /// What the kernel had.
    pub(crate) fn adopt(&mut self, nats: Vec<Addr>) {
        self.adopted = nats;
    }

    /// Takes over what is known of the same peer under another entry.
    pub(crate) fn merge(&mut self, other: &Nat) {
        for behind in &other.behind {
            self.settle(*behind);
        }
    }

    fn settle(&mut self, new: Behind) {
        // For each of our addresses the NAT has one port.
        let same = |old: &Behind| {
            let Endpoint { addr, own, .. } = old.endpoint;
            (addr, own, old.local) == (new.endpoint.addr, new.endpoint.own, new.local)
        };
        self.behind.retain(|old| !same(old));
        if self.behind.len() >= MAX_BEHIND {
            self.behind.remove(0);
        }
        self.behind.push(new);
    }
}

impl Host {
    /// Whether the peer has shown that it hears what is sent from `to` to this endpoint behind a NAT.
    pub(crate) fn is_there(&self, endpoint: Endpoint, to: Addr) -> bool {
        let mut behind = self.nat.behind.iter();
        behind.any(|behind| (behind.endpoint, behind.local) == (endpoint, to))
    }

    /// Whether it is at this endpoint, which may be its own address.
    pub(crate) fn is_at(&self, endpoint: Endpoint, to: Addr) -> bool {
        match endpoint.is_behind() {
            true => self.is_there(endpoint, to),
            false => self.active.contains(&endpoint.addr),
        }
    }

    /// Whether it says, or has shown, that it has the address `own` behind the NAT with the address `nat`.
    pub(crate) fn says_behind(&self, nat: Addr, own: Addr) -> bool {
        let mut shown = self.nat.behind.iter().map(|behind| behind.endpoint);
        let mut said = self.nat.claimed.iter();
        shown.any(|endpoint| (endpoint.addr, endpoint.own) == (nat, own))
            || said.any(|claim| (claim.nat, claim.own) == (nat, own))
    }

    /// Addresses of NATs that are of use for flows with a port mapping.
    pub(crate) fn nats(&self) -> Vec<Addr> {
        let behind = self.nat.behind.iter();
        let supported = behind.filter(|behind| behind.supported);
        let supported = supported.map(|behind| behind.endpoint.addr);
        let mut nats: Vec<Addr> = Vec::new();
        for addr in self.nat.adopted.iter().copied().chain(supported) {
            let room = self.active.len() + nats.len() < MAX_ADDRESSES;
            if room && !nats.contains(&addr) && !self.active.contains(&addr) {
                nats.push(addr);
            }
        }
        nats
    }

    /// All addresses to which something is sent: active ones, and those of NATs.
    pub(crate) fn reach(&self) -> impl Iterator<Item = Addr> + '_ {
        let behind = self.nat.behind.iter().map(|behind| behind.endpoint.addr);
        let active = self.active.iter().copied();
        active.chain(behind).chain(self.nat.adopted.iter().copied())
    }

    /// Addresses of NATs among these, each once.
    pub(crate) fn nat_routes(&self) -> Vec<Addr> {
        let mut nats: Vec<Addr> = Vec::new();
        for addr in self.reach().skip(self.active.len()) {
            if !nats.contains(&addr) {
                nats.push(addr);
            }
        }
        nats
    }

    /// All endpoints where it is: at active addresses and behind NATs.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = Endpoint> + '_ {
        let direct = self.active.iter().map(|addr| Endpoint::direct(*addr));
        direct.chain(self.nat.behind.iter().map(|behind| behind.endpoint))
    }

    /// Where to send to behind NATs from one of our addresses: to the port that is for that address, if there is one.
    pub(crate) fn endpoints_behind(&self, from: Addr) -> Vec<Endpoint> {
        let mut endpoints: Vec<Endpoint> = Vec::new();
        let family = |behind: &&Behind| behind.endpoint.addr.family() == from.family();
        let (ours, others): (Vec<&Behind>, Vec<&Behind>) = self
            .nat
            .behind
            .iter()
            .rev()
            .filter(family)
            .partition(|behind| behind.local == from);
        for behind in ours.into_iter().chain(others) {
            let new = behind.endpoint;
            let same = |old: &Endpoint| (old.addr, old.own) == (new.addr, new.own);
            if !endpoints.iter().any(same) {
                endpoints.push(new);
            }
        }
        endpoints
    }

    /// Whether anything can be sent to it in this family.
    pub(crate) fn speaks(&self, family: Family) -> bool {
        self.reach().any(|addr| addr.family() == family)
    }

    /// A message came from an endpoint where the peer has to show first that it hears us.
    pub(crate) fn hear_of(&mut self, received: &Received<'_>) {
        let Endpoint { addr, own, .. } = received.endpoint;
        let (true, Some(signer)) = (received.endpoint.is_behind(), received.signer) else {
            return;
        };
        let claimed = &mut self.nat.claimed;
        claimed.retain(|claim| (claim.nat, claim.own) != (addr, own));
        if claimed.len() >= MAX_CLAIMED {
            claimed.remove(0);
        }
        let stamp = signer.stamp;
        claimed.push(Claimed {
            nat: addr,
            own,
            stamp,
        });
    }

    /// Whether the same message came from another source before: one of the two is a copy.
    pub(crate) fn was_copied(&self, received: &Received<'_>) -> bool {
        let stamp = received.signer.map(|signer| signer.stamp);
        let mut claimed = self.nat.claimed.iter();
        claimed.any(|claim| Some(claim.stamp) == stamp)
    }

    /// Timestamps of messages that came from endpoints where it had yet to show it.
    pub(crate) fn claimed_stamps(&self) -> Vec<u64> {
        self.nat.claimed.iter().map(|claim| claim.stamp).collect()
    }

    /// The peer was heard where it has shown that it hears us, behind a NAT.
    pub(crate) fn heard_behind(&mut self, received: &Received<'_>) {
        let Received { endpoint, to, .. } = *received;
        self.nat.claimed.retain(|claim| claim.own != endpoint.own);
        self.nat.settle(Behind {
            endpoint,
            local: to,
            supported: received.is_supported(),
        });
        self.nat.adopted.retain(|addr| *addr != endpoint.addr);
    }

    /// The peer was heard.
    pub(crate) fn heard_at(&mut self, received: &Received<'_>, world: &mut World) {
        let Received {
            from, to, signer, ..
        } = *received;
        if received.endpoint.is_behind() {
            return self.heard_behind(received);
        }
        self.activate(from);
        if signer.is_some_and(|signer| signer.proven) {
            self.proves(from);
        } else {
            self.try_out(from, to, world);
        }
        self.heard = Some(from);
    }

    /// The peer has the address that the message is from, and the listed ones, and no others.
    pub(crate) fn review_behind(&mut self, endpoint: Endpoint, listed: &[Addr]) {
        let nat = &mut self.nat;
        let has = |own: Addr| own == endpoint.own || listed.contains(&own);
        nat.behind.retain(|behind| has(behind.endpoint.own));
        nat.claimed.retain(|claim| has(claim.own));
        nat.adopted.clear();
        if endpoint.is_behind() {
            // Somebody may have copied a message before the NAT changed it.
            self.active.retain(|addr| *addr != endpoint.own);
            self.trials.retain(|trial| !trial.is_of(endpoint.own));
        } else {
            nat.behind
                .retain(|behind| behind.endpoint.own != endpoint.own);
        }
    }
}

impl Engine {
    /// Hosts that somebody may speak for who is there: those that have or had the address, or behind a NAT the one with
    /// the key.
    pub(crate) fn hosts_at(&self, endpoint: Endpoint, key: Option<&PublicKey>) -> Vec<&Host> {
        if !endpoint.is_behind() {
            return self.known(endpoint.addr).collect();
        }
        let host = key.and_then(|key| self.bound(key));
        host.and_then(|host| self.hosts.get(&host))
            .into_iter()
            .collect()
    }

    /// Which host greets with this key from behind a NAT; as `greeting_key`.
    pub(crate) fn greeting_behind(
        &mut self,
        received: &Received<'_>,
        signer: &Signer,
        own: Option<Key>,
    ) -> Result<Option<Key>, Option<Refusal>> {
        let Received { endpoint, to, .. } = *received;
        let host = own.and_then(|own| self.hosts.get_mut(&own));
        let known = host
            .as_ref()
            .is_some_and(|host| host.is_there(endpoint, to));
        if signer.proven || known {
            return Ok(own);
        }
        if let Some(host) = host {
            host.hear_of(received);
        }
        self.received(received);
        self.demand(received, own);
        Err(Some(Refusal::Challenged))
    }

    /// Somebody greets from behind a NAT, and is there. What discovery found at the NAT's address is not asked. True when
    /// that is all: he is not known, and cannot be reached where he is.
    pub(crate) fn begins_behind(&mut self, received: &Received<'_>, found: Option<Key>) -> bool {
        let options = received.message.options;
        let legacy = received.detected() != Options::NONE;
        let forced = legacy && options.has(Options::NAT_FORCED);
        if forced || (!legacy && found.is_none()) {
            let reason = if forced { "nat-forced" } else { "nat" };
            self.leave_classic(received.from, reason);
        }
        if !legacy || found.is_some() {
            return false;
        }
        self.received(received);
        let Received {
            endpoint,
            to,
            message,
            ..
        } = *received;
        let answer = Answer {
            echo: received.signer.map(|signer| signer.stamp),
            own: None,
        };
        let addresses = Addresses::of(&[to]).unwrap_or(Addresses::EMPTY);
        let (seqno, options) = (message.seqno, received.detected());
        let world = &mut self.world;
        world.acknowledge(to, endpoint, seqno, options, addresses, answer);
        true
    }

    /// A host that is still being asked is a NAT, or what is behind it.
    fn leave_classic(&mut self, nat: Addr, reason: &'static str) {
        let Some(key) = self.active(nat).filter(|key| self.is_unbound(*key)) else {
            return;
        };
        self.with(key, |host, world| {
            if host.managed || host.state != State::New {
                return;
            }
            host.drop_requests(world, |_, _| true);
            host.state = State::Classic;
            world.note(Note::Classic { peer: nat, reason });
        });
    }
}
