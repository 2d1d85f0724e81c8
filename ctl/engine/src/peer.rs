// SPDX-License-Identifier: GPL-2.0
//! The addresses of a peer: those that it has, those that it had, and those that it says it has.

use ihmp_core::addr::{Addr, Family};
use ihmp_core::message::MAX_ADDRESSES;
use ihmp_core::time::Instant;

use crate::endpoint::Endpoint;
use crate::io::KernelHost;
use crate::limits::MAX_ADVERTISED;
use crate::nat::Nat;

/// Addresses that a peer says it has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims {
    /// Those that no other host is active at.
    pub(crate) free: Vec<Addr>,
    /// The others.
    pub(crate) contested: Vec<Addr>,
}

/// The addresses of a peer.
///
/// # Invariants
///
/// An address is in one of the sets `active`, `unreachable` and `alias` at most, and none of them has more than
/// [`MAX_ADDRESSES`].
#[derive(Debug, Default)]
pub(crate) struct Peer {
    /// It was seen to send from them.
    active: Vec<Addr>,
    /// It says that it has them.
    unreachable: Vec<Addr>,
    /// It had them; flows may still know it by them.
    alias: Vec<Addr>,
    /// Until when each of those names it.
    until: Vec<(Addr, Instant)>,
    /// It says that it has them, and they are active at another host.
    contested: Vec<Addr>,
    /// Where its last message came from.
    heard: Option<Addr>,
    /// It has just said which addresses it has, all of them.
    said_all: bool,
    /// NATs in front of it.
    nat: Nat,
}

/// Appends unless it is there or the list is full.
pub(crate) fn include(list: &mut Vec<Addr>, addr: Addr) {
    if list.len() < MAX_ADDRESSES && !list.contains(&addr) {
        list.push(addr);
    }
}

impl Peer {
    /// Those at which it was seen to send.
    pub(crate) fn active(&self) -> &[Addr] {
        &self.active
    }

    /// Those that it says it has.
    pub(crate) fn unreachable(&self) -> &[Addr] {
        &self.unreachable
    }

    /// Those that it had.
    pub(crate) fn alias(&self) -> &[Addr] {
        &self.alias
    }

    /// Where it says it is, and another host is.
    pub(crate) fn contested(&self) -> &[Addr] {
        &self.contested
    }

    /// NATs in front of it.
    pub(crate) fn nat(&self) -> &Nat {
        &self.nat
    }

    /// The same, to change what is known of them.
    pub(crate) fn nat_mut(&mut self) -> &mut Nat {
        &mut self.nat
    }

    /// Whether it was seen to send from this address.
    pub(crate) fn is_active(&self, addr: Addr) -> bool {
        self.active.contains(&addr)
    }

    /// Whether it is known to have this address: it was seen to send from there, or says that it has it.
    pub(crate) fn is_at(&self, addr: Addr) -> bool {
        self.active.contains(&addr) || self.unreachable.contains(&addr)
    }

    /// Whether it had this address, and left it.
    pub(crate) fn has_left(&self, addr: Addr) -> bool {
        self.alias.contains(&addr)
    }

    /// Whether the host goes by this address now, or went by it.
    pub(crate) fn knows(&self, addr: Addr) -> bool {
        self.is_at(addr) || self.has_left(addr)
    }

    /// All addresses by which it goes or went.
    pub(crate) fn names(&self) -> Vec<Addr> {
        [&self.active[..], &self.unreachable, &self.alias].concat()
    }

    /// Whether it says that it has this address.
    pub(crate) fn claims(&self, addr: Addr) -> bool {
        self.unreachable.contains(&addr) || self.contested.contains(&addr)
    }

    /// Addresses that it has or says it has.
    pub(crate) fn has(&self) -> impl Iterator<Item = Addr> + '_ {
        let known = self.active.iter().chain(&self.unreachable);
        known.chain(&self.contested).copied()
    }

    /// Addresses that it has or says it has, when it has said so since this was asked last.
    pub(crate) fn take_said_all(&mut self) -> Option<Vec<Addr>> {
        std::mem::take(&mut self.said_all).then(|| self.has().collect())
    }

    /// The active address that its last message came from.
    pub(crate) fn heard(&self) -> Option<Addr> {
        self.heard.filter(|heard| self.active.contains(heard))
    }

    /// Its last message came from there.
    pub(crate) fn hear(&mut self, addr: Addr) {
        self.heard = Some(addr);
    }

    /// Whether this can be an active address. A newcomer takes the place of none: flows may use it.
    pub(crate) fn has_room(&self, addr: Addr) -> bool {
        self.active.len() < MAX_ADDRESSES || self.active.contains(&addr)
    }

    /// It was seen to send from this address. What does not fit is left as it is.
    pub(crate) fn activate(&mut self, addr: Addr) {
        if self.has_room(addr) {
            self.unreachable.retain(|other| *other != addr);
            self.alias.retain(|other| *other != addr);
            include(&mut self.active, addr);
        }
    }

    /// It did not answer at this active address.
    pub(crate) fn deactivate(&mut self, addr: Addr) {
        self.active.retain(|other| *other != addr);
        include(&mut self.unreachable, addr);
    }

    /// It has the address, but has not been seen to send from it.
    pub(crate) fn claim(&mut self, addr: Addr) {
        if !self.active.contains(&addr) {
            self.alias.retain(|other| *other != addr);
            include(&mut self.unreachable, addr);
        }
    }

    /// Takes note of what it says it has: before that, there is room for what it said earlier.
    pub(crate) fn take_claims(&mut self, claims: &Claims) {
        let new = claims
            .free
            .iter()
            .filter(|addr| !self.is_at(**addr))
            .count();
        let over = (self.unreachable.len() + new).saturating_sub(MAX_ADDRESSES);
        let earlier = self.unreachable.iter().copied();
        let earlier = earlier.filter(|addr| !claims.free.contains(addr));
        for addr in earlier.take(over).collect::<Vec<Addr>>() {
            self.retire(addr);
        }
        for addr in &claims.free {
            self.claim(*addr);
        }
        for addr in &claims.contested {
            include(&mut self.contested, *addr);
        }
    }

    /// It has the address no longer; flows may still know it by it.
    pub(crate) fn retire(&mut self, addr: Addr) {
        self.active.retain(|other| *other != addr);
        self.unreachable.retain(|other| *other != addr);
        self.alias.retain(|other| *other != addr);
        if self.alias.len() >= MAX_ADDRESSES {
            self.alias.remove(0);
        }
        self.alias.push(addr);
    }

    /// It had these before it was known here.
    pub(crate) fn had(&mut self, former: Vec<Addr>) {
        self.alias = former;
    }

    /// A greeting names its addresses. When it names as many as it can, it may have others: they go only where there is no room
    /// for its source.
    pub(crate) fn restate(&mut self, source: Endpoint, listed: &[Addr]) {
        if listed.len() + 1 < MAX_ADVERTISED {
            return self.replace(source, listed, &[]);
        }
        for addr in self.active.clone() {
            if !self.has_room(source.own) && addr != source.own && !listed.contains(&addr) {
                self.retire(addr);
            }
        }
        self.contested.clear();
        self.review_nat(source, listed);
    }

    /// Its addresses are its source and the listed ones, no others.
    pub(crate) fn replace(&mut self, source: Endpoint, listed: &[Addr], unreachable: &[Addr]) {
        let named = |addr: &Addr| listed.contains(addr) || unreachable.contains(addr);
        for addr in [&self.active[..], &self.unreachable].concat() {
            if addr != source.own && !named(&addr) {
                self.retire(addr);
            }
        }
        self.contested.clear();
        self.said_all = true;
        self.review_nat(source, listed);
        for addr in unreachable {
            self.active.retain(|other| other != addr);
        }
    }

    fn review_nat(&mut self, source: Endpoint, listed: &[Addr]) {
        self.nat.review(source, listed);
        if source.is_behind() {
            // Somebody may have copied a message before the NAT changed it.
            self.active.retain(|addr| *addr != source.own);
        }
    }

    /// Puts active addresses for which this holds last: of equal paths the kernel takes the first.
    pub(crate) fn order_active(&mut self, is_last: impl Fn(&Addr) -> bool) {
        self.active.sort_by_key(is_last);
    }

    /// Former addresses name it until `until`, as long as it was not said before; those that have done so for long enough end.
    pub(crate) fn expire(&mut self, now: Instant, until: Instant) {
        let mut names = std::mem::take(&mut self.until);
        names.retain(|(addr, _)| self.alias.contains(addr));
        for addr in &self.alias {
            if !names.iter().any(|(known, _)| known == addr) {
                names.push((*addr, until));
            }
        }
        let over = |addr: &Addr| {
            names
                .iter()
                .any(|(known, until)| known == addr && *until <= now)
        };
        self.alias.retain(|addr| !over(addr));
        names.retain(|(_, until)| *until > now);
        self.until = names;
    }

    /// When the next former address ends.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.until.iter().map(|(_, until)| *until).min()
    }

    /// Takes over what the kernel has, but for active addresses that are `taken` by others.
    pub(crate) fn adopt(&mut self, known: &KernelHost, taken: &[Addr]) {
        self.active = known.active.clone();
        self.active.retain(|addr| !taken.contains(addr));
        self.unreachable = known.unreachable.clone();
        self.alias = known.alias.clone();
        self.nat.adopt(known.nats.clone());
    }

    /// Takes over what is known of the same peer under another entry.
    pub(crate) fn merge(&mut self, other: &Peer) {
        for addr in &other.active {
            self.activate(*addr);
        }
        self.nat.merge(&other.nat);
        for addr in &other.unreachable {
            self.claim(*addr);
        }
        self.contested.retain(|addr| !other.active.contains(addr));
        for addr in &other.alias {
            if !self.knows(*addr) {
                include(&mut self.alias, *addr);
            }
        }
    }

    /// Whether it is at this endpoint, which may be its own address.
    pub(crate) fn is_there(&self, endpoint: Endpoint, to: Addr) -> bool {
        match endpoint.is_behind() {
            true => self.nat.is_there(endpoint, to),
            false => self.active.contains(&endpoint.addr),
        }
    }

    /// Addresses of NATs that are of use for flows with a port mapping.
    pub(crate) fn nats(&self) -> Vec<Addr> {
        let mut nats: Vec<Addr> = Vec::new();
        for addr in self.nat.supported() {
            let room = self.active.len() + nats.len() < MAX_ADDRESSES;
            if room && !nats.contains(&addr) && !self.active.contains(&addr) {
                nats.push(addr);
            }
        }
        nats
    }

    /// All addresses to which something is sent: active ones, and those of NATs.
    pub(crate) fn reach(&self) -> impl Iterator<Item = Addr> + '_ {
        self.active.iter().copied().chain(self.nat.addrs())
    }

    /// Whether anything can be sent to it in this family.
    pub(crate) fn speaks(&self, family: Family) -> bool {
        self.reach().any(|addr| addr.family() == family)
    }

    /// All endpoints where it is: at active addresses and behind NATs.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = Endpoint> + '_ {
        let direct = self.active.iter().map(|addr| Endpoint::direct(*addr));
        direct.chain(self.nat.endpoints())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(last: usize) -> Addr {
        Addr::v4([192, 0, 2, u8::try_from(last).unwrap()])
    }

    #[test]
    fn an_address_is_in_one_set() {
        let mut peer = Peer::default();
        peer.claim(addr(1));
        assert!(peer.claims(addr(1)) && !peer.is_active(addr(1)));
        peer.activate(addr(1));
        assert_eq!(
            (peer.active(), peer.unreachable().len()),
            (&[addr(1)][..], 0)
        );
        // What it says of an address from which it sends takes nothing away.
        peer.claim(addr(1));
        assert!(peer.is_active(addr(1)));
        peer.deactivate(addr(1));
        assert_eq!(peer.unreachable(), [addr(1)]);
        peer.retire(addr(1));
        assert!(peer.has_left(addr(1)) && !peer.is_at(addr(1)) && peer.knows(addr(1)));
        peer.activate(addr(1));
        assert_eq!(peer.names(), [addr(1)]);
    }

    #[test]
    fn sets_are_bounded() {
        let mut peer = Peer::default();
        for last in 0..=MAX_ADDRESSES {
            peer.activate(addr(last));
        }
        assert_eq!(peer.active().len(), MAX_ADDRESSES);
        assert!(!peer.has_room(addr(MAX_ADDRESSES)) && peer.has_room(addr(0)));
        // Newer claims take the place of older ones.
        let mut peer = Peer::default();
        for last in 0..=MAX_ADDRESSES {
            let free = vec![addr(last)];
            let claims = Claims {
                free,
                ..Claims::default()
            };
            peer.take_claims(&claims);
        }
        assert_eq!(peer.unreachable().len(), MAX_ADDRESSES);
        assert!(peer.has_left(addr(0)) && peer.claims(addr(MAX_ADDRESSES)));
        for last in 0..=MAX_ADDRESSES {
            peer.retire(addr(last));
        }
        assert_eq!(peer.alias().len(), MAX_ADDRESSES);
    }

    #[test]
    fn a_whole_list_takes_the_place_of_what_was_known() {
        let mut peer = Peer::default();
        peer.activate(addr(1));
        peer.activate(addr(2));
        peer.claim(addr(3));
        peer.replace(Endpoint::direct(addr(4)), &[addr(2)], &[]);
        peer.activate(addr(4));
        assert_eq!(peer.active(), [addr(2), addr(4)]);
        assert_eq!(peer.alias(), [addr(1), addr(3)]);
        assert_eq!(peer.take_said_all(), Some(vec![addr(2), addr(4)]));
        assert_eq!(peer.take_said_all(), None);
    }

    #[test]
    fn former_addresses_end() {
        let mut peer = Peer::default();
        let [now, until] = [Instant::from_nanos(1), Instant::from_nanos(5)];
        peer.had(vec![addr(1)]);
        peer.expire(now, until);
        assert_eq!(peer.next(), Some(until));
        // It was not said again since.
        peer.expire(now, Instant::from_nanos(9));
        assert_eq!(peer.next(), Some(until));
        peer.expire(until, Instant::from_nanos(9));
        assert!(!peer.knows(addr(1)) && peer.next().is_none());
    }
}
