// SPDX-License-Identifier: GPL-2.0
//! Own addresses to which a router does not let us move, as far as a peer is concerned ([DIME-IFIP] section V-C).
//!
//! The router has taken the announcement out, so the peer has not heard of the address, and nothing is sent to it from
//! there until the rejection ends. Should the peer answer the announcement all the same, it counts, and the router does not.

use ihmp_core::addr::Addr;
use ihmp_core::message::MAX_ADDRESSES;
use ihmp_core::time::Instant;

use crate::advertised::Advertisement;
use crate::endpoint::Endpoint;
use crate::keys::PublicKey;
use crate::request::Request;
use crate::world::World;

/// A router's word that a move to an address is not wanted.
#[derive(Clone, Debug)]
pub(crate) struct Rejection {
    /// The address.
    pub(crate) new: Addr,
    /// Whose word it is.
    pub(crate) router: PublicKey,
    /// What it answered: the peer may have had it as well, and answers, too.
    pub(crate) request: Option<Request>,
    /// When it ends.
    pub(crate) until: Instant,
}

/// A rejection, and what the peer made of it.
#[derive(Clone, Debug)]
struct Entry {
    rejection: Rejection,
    /// The peer has answered what the router says that it took out.
    disproved: bool,
}

/// The rejections towards one peer.
///
/// # Invariants
///
/// Each address has one at most.
#[derive(Debug, Default)]
pub(crate) struct Rejections {
    list: Vec<Entry>,
}

impl Rejections {
    /// The addresses.
    pub(crate) fn addrs(&self) -> impl Iterator<Item = Addr> + '_ {
        let good = self.list.iter().filter(|entry| !entry.disproved);
        good.map(|entry| entry.rejection.new)
    }

    /// Whether this is one of them.
    pub(crate) fn has(&self, addr: Addr) -> bool {
        self.addrs().any(|new| new == addr)
    }

    /// Whether the peer has answered from there what a router said that it took out.
    pub(crate) fn is_disproved(&self, addr: Addr) -> bool {
        let disproved = |entry: &Entry| entry.disproved && entry.rejection.new == addr;
        self.list.iter().any(disproved)
    }

    /// Whether this router's word about an address is worth nothing.
    pub(crate) fn is_doubted(&self, router: &PublicKey, addr: Addr) -> bool {
        let doubted = |entry: &Entry| {
            let Rejection {
                new, router: by, ..
            } = &entry.rejection;
            entry.disproved && *new == addr && by == router
        };
        self.list.iter().any(doubted)
    }

    /// Adds one. When there are too many, the oldest gives way.
    pub(crate) fn add(&mut self, rejection: Rejection) {
        let new = rejection.new;
        self.list.retain(|entry| entry.rejection.new != new);
        if self.list.len() >= MAX_ADDRESSES {
            self.list.remove(0);
        }
        self.list.push(Entry {
            rejection,
            disproved: false,
        });
    }

    /// The requests that routers took out, as they say.
    pub(crate) fn requests(&self) -> impl Iterator<Item = &Request> + '_ {
        let rejections = self.list.iter();
        rejections.filter_map(|entry| entry.rejection.request.as_ref())
    }

    /// Takes the one of these that an ACK with this number, from there to here, answers: the router did not keep it.
    pub(crate) fn take_answered(&mut self, seqno: u16, by: Endpoint, to: Addr) -> Option<Request> {
        let answered = |request: &mut Request| request.is_answered(seqno, by, to);
        let mut entries = self.list.iter_mut();
        entries.find_map(|entry| {
            let request = entry.rejection.request.take_if(answered);
            entry.disproved |= request.is_some();
            request
        })
    }

    /// Ends those of routers whose key was taken away, and of addresses by which the peer knows us; the addresses.
    pub(crate) fn review(&mut self, advertised: &Advertisement, world: &World) -> Vec<Addr> {
        let mut ended = Vec::new();
        self.list.retain(|entry| {
            let Rejection { new, router, .. } = &entry.rejection;
            let holds = world.keyring.is_router(router) && !advertised.is_active(*new);
            if !holds && !entry.disproved {
                ended.push(*new);
            }
            holds || entry.disproved
        });
        ended
    }

    /// Ends those whose time is over; the addresses.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<Addr> {
        let mut ended = Vec::new();
        self.list.retain(|entry| {
            let lasts = entry.rejection.until > now;
            if !lasts && !entry.disproved {
                ended.push(entry.rejection.new);
            }
            lasts
        });
        ended
    }

    /// When the next one ends.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.list.iter().map(|entry| entry.rejection.until).min()
    }

    /// Takes over those towards the same peer under another entry.
    pub(crate) fn merge(&mut self, other: &Rejections) {
        for entry in &other.list {
            if !self.has(entry.rejection.new) && !self.is_disproved(entry.rejection.new) {
                self.list.push(entry.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ihmp_core::time::Duration;

    fn rejection(last: u8, secs: u64) -> Rejection {
        Rejection {
            new: Addr::v4([192, 0, 2, last]),
            router: PublicKey([7; 32]),
            request: None,
            until: Instant::ZERO.after(Duration::from_secs(secs)),
        }
    }

    #[test]
    fn an_address_is_rejected_once_and_until_its_time_is_over() {
        let mut all = Rejections::default();
        all.add(rejection(1, 10));
        all.add(rejection(2, 30));
        all.add(rejection(1, 20));
        let at = |secs| Instant::ZERO.after(Duration::from_secs(secs));
        assert_eq!(all.next(), Some(at(20)));
        assert!(all.expire(at(19)).is_empty());
        assert_eq!(all.expire(at(20)), [rejection(1, 0).new]);
        assert!(!all.has(rejection(1, 0).new) && all.has(rejection(2, 0).new));
    }

    #[test]
    fn there_are_no_more_than_a_message_has_addresses() {
        let mut all = Rejections::default();
        for last in 0..=u8::MAX {
            all.add(rejection(last, 10));
        }
        assert_eq!(all.addrs().count(), MAX_ADDRESSES);
        assert!(all.has(rejection(255, 0).new) && !all.has(rejection(0, 0).new));
    }
}
