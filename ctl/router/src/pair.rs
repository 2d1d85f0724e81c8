// SPDX-License-Identifier: GPL-2.0
//! What a peer has been told, and is still to be told, of the mappings of one host behind the NAT.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ihmp_core::addr::Addr;
use ihmp_core::entry::{Lease, MAX_LEASES};
use ihmp_core::time::{Duration, Instant};
use ihmp_engine::PublicKey;

/// Sends of one request; those that answer an ACK with IS, or follow the peer's word to the host, are apart.
const SENDS: u32 = 4;
/// Sends with IS, and sends at the peer's word, for one request.
const ANSWERS: u32 = 3;
const PROMPTS: u32 = 2;
/// Sends that an answer can be to.
const STAMPS: usize = 4;
/// Pause after nobody answered; doubled each time.
const RETRY_FIRST: Duration = Duration::from_secs(5);
const RETRY_LAST: Duration = Duration::from_secs(60);
/// First time-out, and the least one.
const RTO_FIRST: Duration = Duration::from_secs(1);
const RTO_FLOOR: Duration = Duration::from_millis(200);

/// The name of a mapping: a lease without a lifetime.
pub(crate) const fn name_of(lease: Lease) -> Lease {
    Lease {
        lifetime: 0,
        ..lease
    }
}

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

/// A NAT_ENTRY that waits for its ACK.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) seqno: u16,
    /// What it says.
    pub(crate) leases: Vec<Lease>,
    /// The timestamps of its last sends.
    pub(crate) stamps: VecDeque<u64>,
    /// How often it was sent.
    pub(crate) attempt: u32,
    /// So often by the clock.
    sends: u32,
    answers: u32,
    prompts: u32,
    pub(crate) first_at: Instant,
    pub(crate) next_at: Instant,
    rto: Duration,
}

impl Request {
    /// Why it is sent once more; false when it was often enough.
    fn again(&mut self, cause: Cause) -> bool {
        // Who has asked for proof knows the host.
        if cause == Cause::Word && self.answers > 0 {
            return false;
        }
        let (count, most) = match cause {
            Cause::Timer => (&mut self.sends, SENDS),
            Cause::Proof(_) => (&mut self.answers, ANSWERS),
            Cause::Word => (&mut self.prompts, PROMPTS),
        };
        *count += 1;
        *count <= most
    }

    /// It leaves with this timestamp. Who is asked by the clock again is waited for twice as long.
    pub(crate) fn leaves(&mut self, now: Instant, stamp: u64, cause: Cause, random: u64) {
        if self.stamps.len() >= STAMPS {
            self.stamps.pop_front();
        }
        self.stamps.push_back(stamp);
        let mut wait = self.rto;
        if self.attempt > 0 && cause == Cause::Timer {
            self.rto = self.rto.saturating_add(self.rto);
            // Up to a quarter of jitter.
            let jitter = random % (self.rto.as_nanos() / 4 + 1);
            wait = self.rto.saturating_add(Duration::from_nanos(jitter));
        }
        if self.attempt == 0 {
            self.first_at = now;
        }
        self.attempt += 1;
        self.next_at = now.after(wait);
    }
}

/// What a request is sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It is the first time, or nobody answered.
    Timer,
    /// The peer wants proof that we hear it: the timestamp of its ACK.
    Proof(u64),
    /// The peer has spoken to the host: it may know it now.
    Word,
}

/// The state of a pair.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    /// The address of the NAT towards the peer.
    pub(crate) nat: Addr,
    /// The key of the host.
    pub(crate) key: Option<PublicKey>,
    /// Until when it is remembered.
    pub(crate) until: Instant,
    /// The peer takes part: it has been heard, or the host knows it.
    pub(crate) live: bool,
    /// When the NAT is asked again what it has.
    pub(crate) look_at: Instant,
    /// When it wakes up.
    pub(crate) wake: Instant,
    pub(crate) request: Option<Request>,
    leases: BTreeMap<Lease, Held>,
    due: VecDeque<Lease>,
    pause: Duration,
    pub(crate) paused: Instant,
}

impl Exchange {
    pub(crate) fn new(nat: Addr) -> Exchange {
        Exchange {
            nat,
            key: None,
            until: Instant::ZERO,
            live: false,
            look_at: Instant::MAX,
            wake: Instant::ZERO,
            request: None,
            leases: BTreeMap::new(),
            due: VecDeque::new(),
            pause: RETRY_FIRST,
            paused: Instant::ZERO,
        }
    }

    /// How many mappings there are.
    pub(crate) fn len(&self) -> usize {
        self.leases.len()
    }

    /// The names of all mappings.
    pub(crate) fn names(&self) -> impl Iterator<Item = Lease> + '_ {
        self.leases.keys().copied()
    }

    /// Whether there is something to tell.
    pub(crate) fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    fn is_due(&mut self, name: Lease) {
        if let Some(held) = self.leases.get_mut(&name).filter(|held| !held.due) {
            held.due = true;
            self.due.push_back(name);
        }
    }

    /// The NAT has this mapping; false when there are `most` of them. `again` tells it even if it was told.
    pub(crate) fn made(&mut self, name: Lease, most: usize, again: bool) -> bool {
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
    pub(crate) fn inherits(&mut self, name: Lease) {
        if let Some(held) = self.leases.get_mut(&name) {
            held.told = true;
        }
    }

    /// The NAT does not have this mapping any more; true when there is nobody who has to know.
    pub(crate) fn ended(&mut self, name: Lease) -> bool {
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
    pub(crate) fn missing(&self, all: &BTreeSet<Lease>) -> Vec<Lease> {
        let there = |held: &Held| !held.gone;
        let known = self.leases.iter().filter(|(_, held)| there(held));
        let names = known.map(|(name, _)| *name);
        names.filter(|name| !all.contains(name)).collect()
    }

    /// Other mappings of the same flow, of which the NAT can have but one: they have ended, even if nobody said so.
    pub(crate) fn rivals(&self, name: Lease) -> Vec<Lease> {
        let flow = |of: &Lease| (of.proto, of.port, of.peer_port);
        let there = self.leases.iter().filter(|(_, held)| !held.gone);
        let names = there.map(|(name, _)| *name);
        let same = names.filter(|other| *other != name && flow(other) == flow(&name));
        same.collect()
    }

    /// Whether it is known here.
    pub(crate) fn has(&self, name: Lease) -> bool {
        self.leases.contains_key(&name)
    }

    /// Nobody has to know of this mapping any more.
    pub(crate) fn forget(&mut self, name: Lease) {
        self.leases.remove(&name);
    }

    /// Whether the NAT has forgotten it.
    pub(crate) fn is_gone(&self, name: Lease) -> bool {
        self.leases.get(&name).is_some_and(|held| held.gone)
    }

    /// Makes a request of what is due, with this number and lifetime.
    pub(crate) fn ask(&mut self, seqno: u16, lifetime: u16, srtt: Option<Duration>) {
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
        self.request = Some(Request {
            seqno,
            leases,
            stamps: VecDeque::new(),
            attempt: 0,
            sends: 0,
            answers: 0,
            prompts: 0,
            first_at: Instant::ZERO,
            next_at: Instant::ZERO,
            rto: srtt.map_or(RTO_FIRST, |srtt| srtt.saturating_mul(3).max(RTO_FLOOR)),
        });
    }

    /// Whether the request may be sent once more for this cause.
    pub(crate) fn again(&mut self, cause: Cause) -> bool {
        self.request
            .as_mut()
            .is_some_and(|request| request.again(cause))
    }

    /// The request was acknowledged; the names of the mappings that nobody has to know of any more.
    pub(crate) fn acknowledged(&mut self) -> Vec<Lease> {
        self.pause = RETRY_FIRST;
        self.paused = Instant::ZERO;
        let leases = self.request.take().map(|request| request.leases);
        let names = leases.unwrap_or_default().into_iter().map(name_of);
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
    pub(crate) fn gave_up(&mut self, now: Instant) {
        let leases = self.request.take().map(|request| request.leases);
        for lease in leases.unwrap_or_default().into_iter().rev() {
            let name = name_of(lease);
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
        let leases = &exchange.request.as_ref().unwrap().leases;
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

    #[test]
    fn time_outs_double() {
        let mut it = exchange();
        it.made(name(1), 9, false);
        it.ask(7, 60, Some(Duration::from_millis(100)));
        let request = it.request.as_mut().unwrap();
        let mut now = Instant::ZERO;
        let mut waits = vec![];
        while request.again(Cause::Timer) {
            request.leaves(now, 1, Cause::Timer, 0);
            waits.push(request.next_at.since(now).as_millis());
            now = request.next_at;
        }
        assert_eq!(waits, [300, 600, 1_200, 2_400]);
        assert!(request.again(Cause::Word) && request.again(Cause::Proof(1)));
        assert!(!request.again(Cause::Word));
    }
}
