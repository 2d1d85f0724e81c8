// SPDX-License-Identifier: GPL-2.0
//! Which own addresses a peer is told.
//!
//! A stranger is told none but the source, which it sees anyway. A peer with a key that has shown that it hears us is told
//! others, so that it can be found there, or find us: not those that the administrator keeps to himself; no private one,
//! unless it is in the same scope; and of a network with a stable and a temporary address (RFC 8981) only the kind by which
//! it knows us. What a peer knows is never taken back for one of these reasons.

use ihmp_core::addr::{Addr, Family, Scope};

use crate::host::{Host, Standing};
use crate::io::State;
use crate::peer::include;
use crate::prefix::{is_connected, is_same_network};
use crate::world::World;

/// What the administrator and the kernel say of own addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discretion {
    /// The administrator keeps them to himself: they are used where a flow began at them, and nobody is told.
    pub silent: Vec<Addr>,
    /// The administrator named them: their scope does not matter.
    pub open: Vec<Addr>,
    /// They change with time, so that nobody is known by them for long. Those that will be ready soon are among them.
    pub temporary: Vec<Addr>,
}

impl Discretion {
    fn is_temporary(&self, addr: Addr) -> bool {
        self.temporary.contains(&addr)
    }
}

impl World {
    /// Whether there is an address of the other kind in the network of this one.
    fn has_twin(&self, addr: Addr) -> bool {
        let kind = self.discretion.is_temporary(addr);
        let stable = self.real().iter().copied();
        let stable = stable.filter(|other| !self.discretion.is_temporary(*other));
        let temporary = self.discretion.temporary.iter().copied();
        let near = |other: Addr| is_same_network(other, addr);
        match kind {
            true => stable.into_iter().any(near),
            false => temporary.into_iter().any(near),
        }
    }
}

impl Host {
    /// Whether it has a key, or has shown that it hears us: then it is no stranger.
    pub(crate) fn is_met(&self) -> bool {
        self.peer_key.is_some() || self.validation.has_any()
    }

    /// By which kind of address the peer knows us, as soon as it knows one.
    pub(crate) fn review_kind(&mut self, world: &World) {
        if self.by_temporary.is_some() {
            return;
        }
        let ours = |addr: &Addr| addr.family() == Family::V6 && world.is_real(*addr);
        let mut known = self
            .advertised
            .iter()
            .map(|advertised| advertised.addr)
            .filter(ours);
        self.by_temporary = known.next().map(|addr| world.discretion.is_temporary(addr));
    }

    /// Whether an own address is of use towards this peer as far as the administrator and the kind of it go.
    pub(crate) fn may_use(&self, addr: Addr, world: &World) -> bool {
        let temporary = self.by_temporary.unwrap_or(true);
        let kind = world.discretion.is_temporary(addr) == temporary || !world.has_twin(addr);
        let silent = world.discretion.silent.contains(&addr);
        self.standing(addr).is_some() || (kind && !silent)
    }

    /// Whether the peer may be told of an own address.
    pub(crate) fn may_tell(&self, addr: Addr, world: &World) -> bool {
        let within = addr.scope() != Scope::Private || self.shares_scope(addr.family(), world);
        let open = world.discretion.open.contains(&addr);
        self.standing(addr).is_some() || (self.may_use(addr, world) && (within || open))
    }

    /// Whether it reaches a private address of ours without a NAT, says that it has one of its own, or is in a network to
    /// which we are connected.
    fn shares_scope(&self, family: Family, world: &World) -> bool {
        let private = |addr: Addr| addr.family() == family && addr.scope() == Scope::Private;
        let mut advertised = self.advertised.iter();
        if advertised.any(|advertised| {
            let reached =
                advertised.standing == Standing::Active && !self.is_hidden(advertised.addr);
            private(advertised.addr) && reached
        }) {
            return true;
        }
        let known = self.peer.has();
        let mut known = known.iter();
        let near = |addr: &Addr| {
            let mut ours = world.connected.iter();
            ours.any(|(here, len)| is_connected(*here, *addr, *len))
        };
        known.any(|addr| private(*addr) || (self.peer.is_active(*addr) && near(addr)))
    }

    /// A flow of ours began at an address by which the peer does not know us yet. It is worth an announcement, so that the
    /// flow can go on when the address goes.
    pub(crate) fn begins_at(&mut self, local: Addr, world: &mut World) {
        let news = self.state == State::Up
            && !self.managed
            && self.is_usable(local)
            && self.standing(local) != Some(Standing::Active)
            && self.may_tell(local, world);
        if news {
            include(&mut self.prove, local);
            self.reconcile(world);
        }
    }

    /// Whether the peer may be told of an address of ours, and was not.
    pub(crate) fn has_untold(&self, world: &World) -> bool {
        let mut list = self.list(world).into_iter();
        list.any(|addr| self.standing(addr).is_none())
    }
}
