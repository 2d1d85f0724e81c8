// SPDX-License-Identifier: GPL-2.0
//! What a peer has been told, and is still to be told, of the mappings of one host behind the NAT.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ihmp_core::addr::Addr;
use ihmp_core::entry::{Lease, MAX_LEASES};
use ihmp_core::time::{Duration, Instant};
use ihmp_engine::PublicKey;

use super::pending::Number;
use super::request::{name_of, Cause, Request};

/// Pause after nobody answered; doubled each time.
const RETRY_FIRST: Duration = Duration::from_secs(5);
const RETRY_LAST: Duration = Duration::from_secs(60);

/// A mapping.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    /// The NAT has forgotten it.
    gone: bool,
    /// The peer may know of it.
    told: bool,
    /// It is in `due`.
    due: bool,
}

/// The state of a pair.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    /// The address of the NAT towards the peer.
    nat: Addr,
    /// The key of the host.
    key: Option<PublicKey>,
    /// Until when it is remembered.
    until: Instant,
    /// The peer takes part: it has been heard, or the host knows it.
    live: bool,
    /// When the NAT is asked again what it has.
    look_at: Instant,
    request: Option<Request>,
    leases: BTreeMap<Lease, Held>,
    due: VecDeque<Lease>,
    pause: Duration,
    paused: Instant,
}

impl Exchange {
    pub(super) fn new(nat: Addr) -> Exchange {
        Exchange {
            nat,
            key: None,
            until: Instant::ZERO,
            live: false,
            look_at: Instant::MAX,
            request: None,
            leases: BTreeMap::new(),
            due: VecDeque::new(),
            pause: RETRY_FIRST,
            paused: Instant::ZERO,
        }
    }

    /// Goes on behind another address of the NAT, with nothing that was told from the one before; what it was.
    pub(super) fn restart(&mut self, nat: Addr) -> Exchange {
        let old = std::mem::replace(self, Exchange::new(nat));
        (self.until, self.live) = (old.until, old.live);
        old
    }

    /// The address of the NAT towards the peer.
    pub(super) fn nat(&self) -> Addr {
        self.nat
    }

    /// The host has this key; true when that is another one.
    pub(super) fn set_key(&mut self, key: PublicKey) -> bool {
        self.key.replace(key) != Some(key)
    }

    /// Until when it is remembered.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// It is remembered until then.
    pub(super) fn keep_until(&mut self, until: Instant) {
        self.until = until;
    }

    /// Whether the peer takes part.
    pub(super) fn is_live(&self) -> bool {
        self.live
    }

    /// The peer takes part from now on.
    pub(super) fn begin(&mut self) {
        self.live = true;
    }

    /// When the NAT is asked again what it has.
    pub(super) fn looks_at(&self) -> Instant {
        self.look_at
    }

    /// It is asked then.
    pub(super) fn look_at(&mut self, at: Instant) {
        self.look_at = at;
    }

    /// Nothing is told until then, since nobody answered.
    pub(super) fn paused_until(&self) -> Instant {
        self.paused
    }

    /// The peer was heard: the pause is over.
    pub(super) fn resume(&mut self) {
        self.paused = Instant::ZERO;
    }

    /// The request that is out.
    pub(super) fn request(&self) -> Option<&Request> {
        self.request.as_ref()
    }

    pub(super) fn request_mut(&mut self) -> Option<&mut Request> {
        self.request.as_mut()
    }

    /// Whether no request is out.
    pub(super) fn is_idle(&self) -> bool {
        self.request.is_none()
    }

    /// The number of the request to this peer that is out.
    pub(super) fn number(&self, peer: Addr) -> Option<Number> {
        let request = self.request.as_ref()?;
        Some((self.nat, peer, request.seqno()))
    }

    /// How many mappings there are.
    pub(super) fn len(&self) -> usize {
        self.leases.len()
    }

    /// The names of all mappings.
    pub(super) fn names(&self) -> impl Iterator<Item = Lease> + '_ {
        self.leases.keys().copied()
    }

    /// Whether there is something to tell.
    pub(super) fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    fn is_due(&mut self, name: Lease) {
        if let Some(held) = self.leases.get_mut(&name).filter(|held| !held.due) {
            held.due = true;
            self.due.push_back(name);
        }
    }

    /// The NAT has this mapping; false when there are `most` of them. `again` tells it even if it was told.
    pub(super) fn made(&mut self, name: Lease, most: usize, again: bool) -> bool {
        if !self.leases.contains_key(&name) && self.leases.len() >= most {
            return false;
        }
        let held = self.leases.entry(name).or_default();
        let known = held.told && !held.gone;
        held.gone = false;
        if again || !known {
            self.is_due(name);
        }
        true
    }

    /// The peer may know of another one by this name, that of another host.
    pub(super) fn inherits(&mut self, name: Lease) {
        if let Some(held) = self.leases.get_mut(&name) {
            held.told = true;
        }
    }

    /// The NAT does not have this mapping any more; true when there is nobody who has to know.
    pub(super) fn ended(&mut self, name: Lease) -> bool {
        let Some(held) = self.leases.get_mut(&name) else {
            return false;
        };
        held.gone = true;
        if !held.told {
            self.leases.remove(&name);
            return true;
        }
        self.is_due(name);
        false
    }

    /// These are all mappings that the NAT has; the names of those that it has not.
    pub(super) fn missing(&self, all: &BTreeSet<Lease>) -> Vec<Lease> {
        let there = |held: &Held| !held.gone;
        let known = self.leases.iter().filter(|(_, held)| there(held));
        let names = known.map(|(name, _)| *name);
        names.filter(|name| !all.contains(name)).collect()
    }

    /// Other mappings of the same flow, of which the NAT can have but one: they have ended, even if nobody said so.
    pub(super) fn rivals(&self, name: Lease) -> Vec<Lease> {
        let flow = |of: &Lease| (of.proto, of.port, of.peer_port);
        let there = self.leases.iter().filter(|(_, held)| !held.gone);
        let names = there.map(|(name, _)| *name);
        let same = names.filter(|other| *other != name && flow(other) == flow(&name));
        same.collect()
    }

    /// Takes out of the request what is known here no longer, and what `anothers` says of.
    pub(super) fn narrow(&mut self, anothers: impl Fn(Lease) -> bool) {
        let Some(request) = &mut self.request else {
            return;
        };
        let leases = &self.leases;
        let out = request.leave_out(|lease| {
            let name = name_of(lease);
            !leases.contains_key(&name) || anothers(name)
        });
        for name in out.into_iter().map(name_of) {
            if self.leases.get(&name).is_some_and(|held| held.gone) {
                self.leases.remove(&name);
            }
        }
    }

    /// Makes a request of what is due, with this number and lifetime.
    pub(super) fn ask(&mut self, seqno: u16, lifetime: u16, srtt: Option<Duration>) {
        let mut leases = Vec::new();
        while leases.len() < MAX_LEASES {
            let Some(name) = self.due.pop_front() else {
                break;
            };
            let Some(held) = self.leases.get_mut(&name) else {
                continue;
            };
            (held.due, held.told) = (false, true);
            let lifetime = if held.gone { 0 } else { lifetime };
            leases.push(Lease { lifetime, ..name });
        }
        if leases.is_empty() {
            return;
        }
        self.request = Some(Request::new(seqno, leases, srtt));
    }

    /// Whether there is a request that may be sent once more for this cause.
    pub(super) fn again(&mut self, cause: Cause) -> bool {
        self.request
            .as_mut()
            .is_some_and(|request| request.again(cause))
    }

    /// The request was acknowledged; the names of the mappings that nobody has to know of any more.
    pub(super) fn acknowledged(&mut self) -> Vec<Lease> {
        self.pause = RETRY_FIRST;
        self.paused = Instant::ZERO;
        let request = self.request.take();
        let leases = request.as_ref().map(Request::leases);
        let names = leases.unwrap_or_default().iter().copied().map(name_of);
        let mut forgotten = Vec::new();
        for name in names {
            let over = |held: &Held| held.gone && !held.due;
            if self.leases.get(&name).is_some_and(over) {
                self.leases.remove(&name);
                forgotten.push(name);
            }
        }
        forgotten
    }

    /// Nobody acknowledged the request: it is said again, after a pause.
    pub(super) fn gave_up(&mut self, now: Instant) {
        let request = self.request.take();
        let leases = request.as_ref().map(Request::leases);
        for lease in leases.unwrap_or_default().iter().rev() {
            let name = name_of(*lease);
            if let Some(held) = self.leases.get_mut(&name).filter(|held| !held.due) {
                held.due = true;
                self.due.push_front(name);
            }
        }
        self.paused = now.after(self.pause);
        self.pause = self.pause.saturating_add(self.pause).min(RETRY_LAST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ihmp_core::packet::TCP;

    const fn name(port: u16) -> Lease {
        Lease {
            proto: TCP,
            nat_port: 20_000 + port,
            port,
            peer_port: 22,
            lifetime: 0,
        }
    }

    fn told(exchange: &Exchange) -> Vec<(u16, u16)> {
        let leases = exchange.request.as_ref().unwrap().leases();
        leases.iter().map(|l| (l.port, l.lifetime)).collect()
    }

    fn exchange() -> Exchange {
        Exchange::new(Addr::v4([203, 0, 113, 2]))
    }

    #[test]
    fn twelve_in_a_message_and_the_rest_in_the_next() {
        let mut it = exchange();
        for port in 1..=15 {
            assert!(it.made(name(port), 15, false));
        }
        assert!(!it.made(name(16), 15, false) && it.made(name(3), 15, false));
        it.ask(7, 60, None);
        assert_eq!(told(&it).len(), MAX_LEASES);
        assert_eq!(told(&it)[0], (1, 60));
        assert!(it.acknowledged().is_empty());
        it.ask(8, 60, None);
        assert_eq!(told(&it), [(13, 60), (14, 60), (15, 60)]);
        it.acknowledged();
        assert!(!it.has_due());
        // What is known is told again only if it is asked for.
        it.made(name(1), 15, false);
        assert!(!it.has_due());
        it.made(name(1), 15, true);
        assert!(it.has_due());
    }

    #[test]
    fn what_goes_before_it_was_told_is_not_told() {
        let mut it = exchange();
        it.made(name(1), 9, false);
        assert!(it.ended(name(1)));
        it.ask(7, 60, None);
        assert!(it.request.is_none() && it.len() == 0);
    }

    #[test]
    fn what_goes_is_told_and_forgotten() {
        let mut it = exchange();
        it.made(name(1), 9, false);
        it.ask(7, 60, None);
        // While the request is out.
        assert!(!it.ended(name(1)));
        assert!(it.acknowledged().is_empty());
        it.ask(8, 60, None);
        assert_eq!(told(&it), [(1, 0)]);
        assert_eq!(it.acknowledged(), [name(1)]);
        assert_eq!(it.len(), 0);
    }

    #[test]
    fn what_comes_back_while_its_end_is_told_stays() {
        let mut it = exchange();
        it.made(name(1), 9, false);
        it.ask(7, 60, None);
        it.acknowledged();
        it.ended(name(1));
        it.ask(8, 60, None);
        it.made(name(1), 9, false);
        assert!(it.acknowledged().is_empty());
        it.ask(9, 60, None);
        assert_eq!(told(&it), [(1, 60)]);
    }

    #[test]
    fn what_nobody_acknowledged_is_said_again_with_what_is_new() {
        let mut it = exchange();
        it.made(name(1), 9, false);
        it.ask(7, 60, None);
        it.made(name(2), 9, false);
        it.gave_up(Instant::ZERO);
        assert_eq!(it.paused, Instant::ZERO.after(RETRY_FIRST));
        it.ask(8, 60, None);
        assert_eq!(told(&it), [(1, 60), (2, 60)]);
        it.gave_up(Instant::ZERO);
        assert_eq!(it.paused, Instant::ZERO.after(Duration::from_secs(10)));
        for _ in 0..9 {
            it.gave_up(Instant::ZERO);
        }
        assert_eq!(it.paused, Instant::ZERO.after(RETRY_LAST));
    }
}
