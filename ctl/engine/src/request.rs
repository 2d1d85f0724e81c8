// SPDX-License-Identifier: GPL-2.0
//! A request on its way: from one own address, to one address of the peer after the other, until it is acknowledged.

use ihmp_core::addr::Addr;
use ihmp_core::message::{Addresses, Control, Message, Options, MAX_ADDRESSES};
use ihmp_core::time::{Duration, Instant};

use crate::cookie::COOKIE;
use crate::endpoint::Endpoint;
use crate::host::{Advertised, Host, Report, Standing};
use crate::io::State;
use crate::limits::MAX_SENDS;
use crate::note::Note;
use crate::world::World;

/// How many sends to one address an ACK can answer.
const STAMPS: usize = 4;
/// How often a greeting answers a challenge.
const CHALLENGES: u32 = 3;

/// A request that was not acknowledged yet. At most one is out from each own address.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) control: Control,
    pub(crate) seqno: u16,
    pub(crate) from: Addr,
    /// The Host ID.
    host: Addr,
    /// The announced address, when it is not `from`.
    pub(crate) new: Option<Addr>,
    /// The lost address.
    old: Option<Addr>,
    /// All our addresses, as the peer should know them; towards a stranger, the source.
    pub(crate) list: Vec<Addr>,
    /// The list is the whole of what the peer should know.
    pub(crate) complete: bool,
    /// Where it was sent to, the last one last.
    pub(crate) tried: Vec<Endpoint>,
    /// Where the next send goes, when that is not the next one's turn.
    next: Option<Endpoint>,
    /// Where to and with what timestamps it was sent, the last ones.
    stamps: Vec<(Endpoint, u64)>,
    /// What the peer wants to see before it looks at a greeting, and where.
    pub(crate) cookie: Option<(Endpoint, Addr)>,
    /// How often the peer wanted to see that we hear it.
    challenges: u32,
    /// A router has let it pass.
    pub(crate) declined: bool,
    pub(crate) sends: u32,
    first_sent: Instant,
    pub(crate) due: Instant,
    time_out: Duration,
}

impl Request {
    /// Whether an ACK proves the source: the message announced it.
    pub(crate) fn proves(&self) -> bool {
        matches!(
            self.control,
            Control::Hello | Control::AddrUp | Control::Handoff
        )
    }

    /// Whether it tells the peer all our addresses in place of those it knew.
    pub(crate) fn replaces(&self) -> bool {
        self.control != Control::Hello
    }

    /// The timestamps with which it was sent there, the last one first.
    pub(crate) fn stamps_to(&self, to: Endpoint) -> impl Iterator<Item = u64> + '_ {
        let there = self
            .stamps
            .iter()
            .rev()
            .filter(move |(sent, _)| *sent == to);
        there.map(|(_, stamp)| *stamp).take(STAMPS)
    }

    fn addresses(&self) -> Addresses {
        let mut addresses = Addresses::EMPTY;
        let mut room = addresses.push(self.from);
        if matches!(self.control, Control::AddrUp | Control::Handoff) {
            room &= addresses.push(self.from);
        }
        for addr in self.new.into_iter().chain(self.old) {
            room &= addresses.push(addr);
        }
        for addr in &self.list {
            if *addr != self.from && Some(*addr) != self.new {
                room &= addresses.push(*addr);
            }
        }
        // A greeting that names its source alone says nothing of others.
        if self.control == Control::Hello && self.complete && self.list.len() == 1 {
            room &= addresses.push(self.from);
        }
        debug_assert!(room);
        addresses
    }
}

impl Host {
    /// Makes a request and sends it; false when the peer has no address in the family of `from`.
    pub(crate) fn request(
        &mut self,
        world: &mut World,
        control: Control,
        from: Addr,
        new: Option<Addr>,
        old: Option<Addr>,
    ) -> bool {
        let targets = self.targets(from, control, world);
        if targets.is_empty() {
            return false;
        }
        let complete = control != Control::Hello || self.is_met();
        let list = match complete {
            true => self.list_from(from, world),
            false => vec![from],
        };
        let seqno = self.next_seqno;
        self.next_seqno = seqno.wrapping_add(1);
        let host = self.host_id(control, from);
        let time_out = match control {
            Control::Hello if self.state == State::New => world.limits.rto_first,
            _ => self.time_out(world),
        };
        let request = Request {
            control,
            seqno,
            from,
            host,
            new,
            old,
            list,
            complete,
            tried: Vec::new(),
            next: self.answers_to(control, from),
            stamps: Vec::new(),
            cookie: None,
            challenges: 0,
            declined: false,
            sends: 0,
            first_sent: world.now,
            due: world.now,
            time_out,
        };
        if control == Control::Hello {
            // The peer may start over from this number as soon as it has heard it.
            self.window.learn(seqno);
        }
        if request.complete {
            self.lists(&request);
        }
        if request.proves() && self.standing(from) != Some(Standing::Active) {
            self.tell(from, Standing::Maybe);
        }
        self.outstanding.retain(|other| {
            let superseded = other.from == from;
            if superseded {
                world.note(Note::Superseded {
                    control: other.control,
                    seqno: other.seqno,
                    from,
                });
            }
            !superseded
        });
        self.outstanding.push(request);
        self.send_due(world);
        true
    }

    /// Our addresses as the peer should know them, with this source.
    fn list_from(&self, from: Addr, world: &World) -> Vec<Addr> {
        let mut list = self.list(world);
        if !list.contains(&from) {
            list.insert(0, from);
            list.truncate(crate::limits::MAX_ADVERTISED);
        }
        list
    }

    /// A request goes out that says which addresses we have.
    fn lists(&mut self, request: &Request) {
        self.newest_list = Some(request.seqno);
        self.owes_list = false;
        for advertised in &mut self.advertised {
            if !request.list.contains(&advertised.addr) && advertised.standing != Standing::Behind {
                advertised.standing = Standing::Maybe;
            }
        }
    }

    /// By which of our addresses the peer knows us: the last one that it confirmed.
    ///
    /// A HELLO from that address, after the peer may have heard that we left it, must not look like that of a newcomer
    /// there: then one that it confirmed before, or at least was told of.
    fn host_id(&self, control: Control, from: Addr) -> Addr {
        let returned = self.anchor == Some(from) && self.standing(from) != Some(Standing::Active);
        let left = control == Control::Hello && returned;
        let maybe = |advertised: &&Advertised| {
            advertised.addr != from && advertised.standing == Standing::Maybe
        };
        let other = || {
            self.advertised
                .iter()
                .rev()
                .find(maybe)
                .map(|advertised| advertised.addr)
        };
        let other = left.then(|| self.former.or_else(other)).flatten();
        other.or(self.anchor).unwrap_or(from)
    }

    /// Sends what is due, and gives up what was sent often enough.
    pub(crate) fn send_due(&mut self, world: &mut World) {
        let mut failed = Vec::new();
        for mut request in std::mem::take(&mut self.outstanding) {
            if request.due > world.now {
                self.outstanding.push(request);
                continue;
            }
            let targets = self.targets(request.from, request.control, world);
            let count = u32::try_from(targets.len()).unwrap_or(1).max(1);
            let most = world
                .limits
                .sends_of(request.control)
                .saturating_mul(count)
                .min(MAX_SENDS);
            let turn = targets.get((request.sends % count) as usize).copied();
            let turn = request.next.take().or(turn);
            match turn {
                Some(to) if request.sends < most => {
                    self.send_request(&mut request, to, count, world);
                    self.outstanding.push(request);
                }
                _ => failed.push(request),
            }
        }
        for request in failed {
            self.unanswered(request, world);
        }
    }

    /// Sends a request once; the time-out doubles after each round over the peer's addresses.
    fn send_request(&mut self, request: &mut Request, to: Endpoint, count: u32, world: &mut World) {
        let round = request.sends / count;
        request.sends += 1;
        request.tried.retain(|tried| *tried != to);
        request.tried.push(to);
        if request.sends == 1 {
            request.first_sent = world.now;
        }
        let time_out = request.time_out.saturating_mul(1 << round.min(16));
        request.due = world.now.after(world.jitter(time_out));
        let mut options = self.greeting_options(request.control);
        let mut echo = 0;
        if request.control == Control::Hello {
            // Once: if the answer is lost, the peer may have forgotten what it asked.
            let asked = |asked: &(Addr, Endpoint, u64)| (asked.0, asked.1) == (request.from, to);
            if let Some(at) = self.challenges.iter().position(asked) {
                options = options.with(Options::INCORRECT_SEQNO);
                echo = self.challenges.remove(at).2;
            }
        }
        let mut addresses = request.addresses();
        // What answers a challenge needs none.
        let cookie = request
            .cookie
            .filter(|(there, _)| *there == to && echo == 0);
        if cookie.is_some_and(|(_, cookie)| addresses.push(cookie)) {
            options = options.with(COOKIE);
        }
        let message = Message {
            control: request.control,
            options,
            seqno: request.seqno,
            signature: None,
            host: request.host,
            addresses,
        };
        let stamp = world.send(request.from, to, &message, self.own, Some(echo));
        if request.stamps.len() >= MAX_SENDS as usize {
            request.stamps.remove(0);
        }
        request.stamps.push((to, stamp));
        world.note(Note::Sent {
            control: request.control,
            seqno: request.seqno,
            from: request.from,
            to: to.addr,
            attempt: request.sends,
        });
    }

    /// Whether the peer is being told that one of our addresses does not work, or will be.
    pub(crate) fn reports(&self, addr: Addr) -> bool {
        let on_the_way = self
            .outstanding
            .iter()
            .any(|request| request.new == Some(addr));
        on_the_way || self.report.iter().any(|report| report.addr == addr)
    }

    /// The peer wants to see that we hear it.
    pub(crate) fn challenge(&mut self, from: Addr, to: Endpoint, stamp: u64) {
        self.challenges
            .retain(|asked| (asked.0, asked.1) != (from, to));
        if self.challenges.len() >= MAX_ADDRESSES {
            self.challenges.remove(0);
        }
        self.challenges.push((from, to, stamp));
    }

    /// Sends a greeting again, so that it answers a challenge.
    pub(crate) fn greet_again(&mut self, seqno: u16, to: Endpoint, world: &mut World) {
        let greets = |request: &Request| request.seqno == seqno && !request.complete;
        let tells = self.greeting_options(Control::Hello) == Options::NONE;
        // It has a key, and hears us. Who is to be left alone is told nothing more.
        if let Some(at) = self.outstanding.iter().position(greets).filter(|_| tells) {
            let mut request = self.outstanding.remove(at);
            request.complete = true;
            request.list = self.list_from(request.from, world);
            self.lists(&request);
            self.outstanding.insert(at, request);
        }
        self.send_again(seqno, to, world);
    }

    /// Sends a greeting again at once, with what the peer wants to see.
    pub(crate) fn send_again(&mut self, seqno: u16, to: Endpoint, world: &mut World) {
        let now = world.now;
        let Some(request) = self
            .outstanding
            .iter_mut()
            .find(|request| request.seqno == seqno)
        else {
            return;
        };
        if request.challenges >= CHALLENGES {
            return;
        }
        request.challenges += 1;
        let measured = (request.sends == 1).then(|| now.since(request.first_sent));
        (request.sends, request.due, request.next) = (0, now, Some(to));
        if let Some(round_trip) = measured {
            self.measured(round_trip);
        }
        self.send_due(world);
    }

    /// Starts the requests over whose last destination the peer no longer has.
    pub(crate) fn retarget(&mut self, world: &mut World) {
        let here: Vec<Endpoint> = self.peer.endpoints().collect();
        for request in &mut self.outstanding {
            let current = request.tried.last();
            if !current.is_some_and(|to| here.contains(to)) {
                request.sends = 0;
                request.due = world.now;
            }
        }
        self.send_due(world);
    }

    /// No address of the peer acknowledged a request.
    fn unanswered(&mut self, request: Request, world: &mut World) {
        let to = request.tried.last().map_or(Addr::UNSPECIFIED, |to| to.addr);
        world.note(Note::Unanswered {
            control: request.control,
            seqno: request.seqno,
            from: request.from,
            to,
        });
        if request.control == Control::Hello {
            if self.state == State::New {
                self.state = State::Classic;
                world.note(Note::Classic {
                    peer: self.name(),
                    reason: "no-answer",
                });
                return;
            }
            // Its own HELLO may have come in the meantime; and who is only greeted to be known may be silent.
            if !self.needs_hello || self.standing(request.from) == Some(Standing::Active) {
                if let Some(heard) = self
                    .window
                    .heard()
                    .filter(|_| self.next_seqno == request.seqno.wrapping_add(1))
                {
                    self.next_seqno = heard.wrapping_add(1);
                }
                return;
            }
        }
        self.tell(request.from, Standing::Maybe);
        if self.end_to_end(request.from, "unanswered", world) {
            return;
        }
        let proven = self.proven().next().is_some();
        if request.replaces() && proven {
            // The peer learns from an address that works which one does not.
            self.prove.retain(|addr| *addr != request.from);
            self.report.retain(|report| report.addr != request.from);
            self.report.push(Report {
                addr: request.from,
                old: request.old.filter(|_| request.proves()),
            });
            self.retry_awaited(request.from, world);
        } else {
            if !self.prove.contains(&request.from) {
                self.prove.push(request.from);
            }
            self.retry_at = Some(world.now.after(world.jitter(self.retry_after)));
            self.retry_after = self
                .retry_after
                .saturating_mul(2)
                .min(world.limits.retry_last);
        }
    }

    /// Takes the request that this ACK answers off the list.
    pub(crate) fn take_acknowledged(
        &mut self,
        seqno: u16,
        from: Endpoint,
        to: Addr,
    ) -> Option<Request> {
        let answered = |request: &Request| {
            request.seqno == seqno && request.from == to && request.tried.contains(&from)
        };
        if let Some(at) = self.outstanding.iter().position(answered) {
            return Some(self.outstanding.remove(at));
        }
        let mut relays = self.relays.iter_mut();
        relays.find_map(|relay| relay.request.take_if(|request| answered(request)))
    }

    /// The time that an acknowledged request took, where it tells a round trip (Karn's rule).
    pub(crate) fn time(&mut self, request: &Request, by: Addr, world: &mut World) {
        let after = world.now.since(request.first_sent);
        if request.sends == 1 {
            self.measured(after);
        }
        world.note(Note::Acked {
            control: request.control,
            seqno: request.seqno,
            from: request.from,
            by,
            after,
        });
    }

    /// Takes a measured round trip (RFC 6298 section 2).
    pub(crate) fn measured(&mut self, round_trip: Duration) {
        let smoothed = match self.smoothed {
            None => round_trip.as_nanos(),
            Some(old) => {
                (old.as_nanos()
                    .saturating_mul(7)
                    .saturating_add(round_trip.as_nanos()))
                    / 8
            }
        };
        self.smoothed = Some(Duration::from_nanos(smoothed));
    }

    /// The first retransmission time-out of a request: three times the smoothed round trip, which is what RFC 6298
    /// section 2.2 makes of one measurement. Hosts exchange so few messages that the variance is not learned, and after a
    /// move the next answer may wait behind the data that goes on: twice the round trip was too early.
    pub(crate) fn time_out(&self, world: &World) -> Duration {
        match self.smoothed {
            Some(smoothed) => smoothed.saturating_mul(3).max(world.limits.rto_floor),
            None => world.limits.rto_first,
        }
    }
}
