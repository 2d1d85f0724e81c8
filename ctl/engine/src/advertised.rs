// SPDX-License-Identifier: GPL-2.0
//! What a peer was told of our addresses.

use ihmp_core::addr::{Addr, Family};
use ihmp_core::message::Control;

use crate::io::{KernelHost, Local};
use crate::world::World;

/// What the peer holds one of our addresses for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It acknowledged a message from it, or sent us one to it.
    Active,
    /// It was told of it; it is in its unreachable set.
    Unreachable,
    /// It was told that the address came or went, but has not acknowledged it.
    Maybe,
    /// Only the router knew this address; it is gone, and the peer never heard of it.
    Behind,
}

/// One of our addresses that the peer was told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Advertised {
    pub(crate) addr: Addr,
    pub(crate) standing: Standing,
}

/// What a peer was told of our addresses.
#[derive(Debug, Default)]
pub(crate) struct Advertisement {
    list: Vec<Advertised>,
    /// The last one that the peer confirmed: it names us.
    anchor: Option<Addr>,
    /// The one before.
    former: Option<Addr>,
    /// It knows us by a temporary address, or by a stable one.
    by_temporary: Option<bool>,
    /// It was a stranger when we greeted each other: what it may be told of our addresses is yet to be said.
    owes_list: bool,
}

impl Advertisement {
    /// All addresses that it was told of, in the order in which the peer was told.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = Advertised> + '_ {
        self.list.iter().copied()
    }

    /// What the peer holds an address for; `None` if it was not told of it.
    pub(crate) fn standing(&self, addr: Addr) -> Option<Standing> {
        let mut list = self.iter();
        let advertised = list.find(|advertised| advertised.addr == addr)?;
        Some(advertised.standing)
    }

    /// Whether the peer holds an address for active.
    pub(crate) fn is_active(&self, addr: Addr) -> bool {
        self.standing(addr) == Some(Standing::Active)
    }

    /// Whether the peer knows an address for sure, or may know it.
    pub(crate) fn is_known(&self, addr: Addr) -> bool {
        self.standing(addr).is_some()
    }

    /// By which of our addresses the peer knows us.
    pub(crate) fn anchor(&self) -> Option<Addr> {
        self.anchor
    }

    /// The peer holds an address for this.
    pub(crate) fn set(&mut self, addr: Addr, standing: Standing) {
        let mut list = self.list.iter_mut();
        match list.find(|advertised| advertised.addr == addr) {
            Some(advertised) => advertised.standing = standing,
            None => self.list.push(Advertised { addr, standing }),
        }
    }

    /// The peer hears of an address of which it was not told before.
    pub(crate) fn mention(&mut self, addr: Addr) {
        if !self.is_known(addr) {
            self.set(addr, Standing::Unreachable);
        }
    }

    /// The peer knows us by this address.
    pub(crate) fn confirm(&mut self, addr: Addr) {
        self.set(addr, Standing::Active);
        if self.anchor != Some(addr) {
            self.former = self.anchor;
            self.anchor = Some(addr);
        }
    }

    /// A flow begins at this address: the peer may know us by it.
    pub(crate) fn begin(&mut self, local: Addr) {
        self.set(local, Standing::Maybe);
        self.anchor = Some(local);
    }

    /// The peer has replaced what it knew by this list. Of what is still being `said` it is not known yet.
    pub(crate) fn replace(&mut self, list: &[Addr], said: impl Fn(Addr) -> bool) {
        self.list
            .retain(|advertised| list.contains(&advertised.addr));
        for advertised in &mut self.list {
            if advertised.standing == Standing::Maybe && !said(advertised.addr) {
                advertised.standing = Standing::Unreachable;
            }
        }
    }

    /// A list is on its way to the peer: it may forget what is not in it.
    pub(crate) fn send(&mut self, list: &[Addr]) {
        self.owes_list = false;
        for advertised in &mut self.list {
            if !list.contains(&advertised.addr) && advertised.standing != Standing::Behind {
                advertised.standing = Standing::Maybe;
            }
        }
    }

    /// Active addresses that a list does not name.
    pub(crate) fn unnamed(&self, list: &[Addr]) -> Vec<Addr> {
        let active = self.iter().filter(|advertised| {
            advertised.standing == Standing::Active && !list.contains(&advertised.addr)
        });
        active.map(|advertised| advertised.addr).collect()
    }

    /// The peer may have forgotten all that it held for active, but for this address; what that was.
    pub(crate) fn doubt_others(&mut self, addr: Option<Addr>) -> Vec<Addr> {
        let mut doubted = Vec::new();
        for advertised in &mut self.list {
            if advertised.standing == Standing::Active && Some(advertised.addr) != addr {
                advertised.standing = Standing::Maybe;
                doubted.push(advertised.addr);
            }
        }
        doubted
    }

    /// Whether an address is gone of which only a router knew.
    pub(crate) fn has_behind(&self) -> bool {
        let mut list = self.iter();
        list.any(|advertised| advertised.standing == Standing::Behind)
    }

    /// A router brings what is sent to `old` to `new`: the peer has not heard that the one is gone, nor that the other has come.
    pub(crate) fn relayed(&mut self, old: Addr, new: Addr) {
        self.set(old, Standing::Active);
        self.list
            .retain(|advertised| advertised.addr != new && advertised.standing != Standing::Behind);
    }

    /// A router has taken out what would have told the peer of this address, or taken it back.
    pub(crate) fn rejected(&mut self, new: Addr) {
        let doubtful = |advertised: &Advertised| advertised.standing == Standing::Maybe;
        self.list
            .retain(|advertised| advertised.addr != new || !doubtful(advertised));
    }

    /// The Host ID of a message: the last of our addresses that the peer confirmed.
    ///
    /// A HELLO from that address, after the peer may have heard that we left it, must not look like that of a newcomer
    /// there: then one that it confirmed before, or at least was told of.
    pub(crate) fn host_id(&self, control: Control, from: Addr) -> Addr {
        let returned = self.anchor == Some(from) && !self.is_active(from);
        let left = control == Control::Hello && returned;
        let maybe = |advertised: &Advertised| {
            advertised.addr != from && advertised.standing == Standing::Maybe
        };
        let other = || self.iter().rev().find(maybe);
        let other = || other().map(|advertised| advertised.addr);
        let other = left.then(|| self.former.or_else(other)).flatten();
        other.or(self.anchor).unwrap_or(from)
    }

    /// Whether the peer is yet to be told of our addresses.
    pub(crate) fn owes_list(&self) -> bool {
        self.owes_list
    }

    /// Says whether it is.
    pub(crate) fn owe_list(&mut self, owes: bool) {
        self.owes_list = owes;
    }

    /// By which kind of address the peer knows us, as soon as it knows one.
    pub(crate) fn review_kind(&mut self, world: &World) {
        if self.by_temporary.is_some() {
            return;
        }
        let ours = |addr: &Addr| addr.family() == Family::V6 && world.own.is_real(*addr);
        let mut known = self.list.iter().map(|advertised| advertised.addr);
        let first = known.find(ours);
        self.by_temporary = first.map(|addr| world.own.discretion().is_temporary(addr));
    }

    /// Whether an own address is of use towards this peer as far as the administrator and the kind of it go.
    pub(crate) fn may_use(&self, addr: Addr, world: &World) -> bool {
        let temporary = self.by_temporary.unwrap_or(true);
        let kind =
            world.own.discretion().is_temporary(addr) == temporary || !world.own.has_twin(addr);
        let silent = world.own.discretion().silent.contains(&addr);
        self.is_known(addr) || (kind && !silent)
    }

    /// Takes over what the kernel has.
    pub(crate) fn adopt(&mut self, known: &KernelHost) {
        for local in &known.local {
            let standing = match (local.unvalidated, local.nat) {
                (_, true) => Standing::Unreachable,
                (true, _) => Standing::Maybe,
                (false, _) => Standing::Active,
            };
            self.set(local.addr, standing);
        }
        let confirmed = |local: &&Local| !local.unvalidated;
        let confirmed = known.local.iter().find(confirmed).map(|local| local.addr);
        let first = known.local.first().map(|local| local.addr);
        self.anchor = confirmed.or(known.identifiers.first().copied()).or(first);
        if let Some(anchor) = self.anchor.filter(|anchor| !self.is_known(*anchor)) {
            self.set(anchor, Standing::Maybe);
        }
    }

    /// Takes over what the same peer was told under another entry.
    pub(crate) fn merge(&mut self, other: &Advertisement) {
        for advertised in &other.list {
            if !self.is_active(advertised.addr) {
                self.set(advertised.addr, advertised.standing);
            }
        }
    }

    /// The peer has forgotten it; what it held for active.
    pub(crate) fn forget(&mut self) -> Vec<Addr> {
        let mut forgotten = std::mem::take(&mut self.list);
        forgotten.retain(|advertised| advertised.standing == Standing::Active);
        let addrs = forgotten.iter().map(|advertised| advertised.addr);
        addrs.collect()
    }

    /// The peer names us as it does under another entry.
    pub(crate) fn take_names(&mut self, other: &Advertisement) {
        (self.anchor, self.former) = (other.anchor, other.former);
    }
}
