// SPDX-License-Identifier: GPL-2.0
//! Peers behind NATs: where they are spoken to, and what of it the kernel may use ([DIME-IFIP] section V-D).
//!
//! The source of a datagram that passed a NAT is not under its signature. So it is used only where the peer has shown that
//! it hears us: else whoever copies a message could add an address of his own.

use ihmp_core::addr::Addr;

use crate::endpoint::Endpoint;
use crate::limits::{MAX_BEHIND, MAX_CLAIMED};
use crate::mapped::Mapped;
use crate::received::Received;

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

/// What is known of NATs in front of a peer.
#[derive(Debug, Default)]
pub(crate) struct Nat {
    behind: Vec<Behind>,
    /// Addresses of NATs that an agent before this one had for it.
    adopted: Vec<Addr>,
    claimed: Vec<Claimed>,
    /// Port mappings that the kernel was told of.
    mapped: Mapped,
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

    /// Port mappings that the kernel was told of.
    pub(crate) fn mapped_mut(&mut self) -> &mut Mapped {
        &mut self.mapped
    }

    /// Whether the peer has shown that it hears what is sent from `to` to this endpoint behind a NAT.
    pub(crate) fn is_there(&self, endpoint: Endpoint, to: Addr) -> bool {
        let mut behind = self.behind.iter();
        behind.any(|behind| (behind.endpoint, behind.local) == (endpoint, to))
    }

    /// Whether the peer says, or has shown, that it has the address `own` behind the NAT with the address `nat`.
    pub(crate) fn says_behind(&self, nat: Addr, own: Addr) -> bool {
        let mut shown = self.behind.iter().map(|behind| behind.endpoint);
        let mut said = self.claimed.iter();
        shown.any(|endpoint| (endpoint.addr, endpoint.own) == (nat, own))
            || said.any(|claim| (claim.nat, claim.own) == (nat, own))
    }

    /// Addresses of NATs that tell of their port mappings.
    pub(crate) fn supported(&self) -> impl Iterator<Item = Addr> + '_ {
        let behind = self.behind.iter();
        let supported = behind.filter(|behind| behind.supported);
        let supported = supported.map(|behind| behind.endpoint.addr);
        self.adopted.iter().copied().chain(supported)
    }

    /// Addresses of NATs, some of them twice.
    pub(crate) fn addrs(&self) -> impl Iterator<Item = Addr> + '_ {
        let behind = self.behind.iter().map(|behind| behind.endpoint.addr);
        behind.chain(self.adopted.iter().copied())
    }

    /// Addresses of NATs, each once: their routes are kept.
    pub(crate) fn routes(&self) -> Vec<Addr> {
        let mut nats: Vec<Addr> = Vec::new();
        for addr in self.addrs() {
            if !nats.contains(&addr) {
                nats.push(addr);
            }
        }
        nats
    }

    /// Endpoints at which the peer has shown that it hears us.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = Endpoint> + '_ {
        self.behind.iter().map(|behind| behind.endpoint)
    }

    /// Where to send to from one of our addresses: to the port that is for that address, if there is one.
    pub(crate) fn endpoints_from(&self, from: Addr) -> Vec<Endpoint> {
        let mut endpoints: Vec<Endpoint> = Vec::new();
        let family = |behind: &&Behind| behind.endpoint.addr.family() == from.family();
        let (ours, others): (Vec<&Behind>, Vec<&Behind>) = self
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

    /// A message came from an endpoint where the peer has to show first that it hears us.
    pub(crate) fn hear_of(&mut self, received: &Received<'_>) {
        let Endpoint { addr, own, .. } = received.endpoint;
        let (true, Some(signer)) = (received.endpoint.is_behind(), received.signer) else {
            return;
        };
        let claimed = &mut self.claimed;
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
        let mut claimed = self.claimed.iter();
        claimed.any(|claim| Some(claim.stamp) == stamp)
    }

    /// Timestamps of messages that came from endpoints where the peer had yet to show it.
    pub(crate) fn claimed_stamps(&self) -> Vec<u64> {
        self.claimed.iter().map(|claim| claim.stamp).collect()
    }

    /// The peer was heard where it has shown that it hears us.
    pub(crate) fn heard(&mut self, received: &Received<'_>) {
        let Received { endpoint, to, .. } = *received;
        self.claimed.retain(|claim| claim.own != endpoint.own);
        self.settle(Behind {
            endpoint,
            local: to,
            supported: received.is_supported(),
        });
        self.adopted.retain(|addr| *addr != endpoint.addr);
    }

    /// The peer has the address that a message is from, and the listed ones, and no others.
    pub(crate) fn review(&mut self, source: Endpoint, listed: &[Addr]) {
        let has = |own: Addr| own == source.own || listed.contains(&own);
        self.behind.retain(|behind| has(behind.endpoint.own));
        self.claimed.retain(|claim| has(claim.own));
        self.adopted.clear();
        if !source.is_behind() {
            self.behind
                .retain(|behind| behind.endpoint.own != source.own);
        }
    }
}
