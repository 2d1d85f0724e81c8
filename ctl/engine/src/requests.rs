// SPDX-License-Identifier: GPL-2.0
//! The requests that are out to a peer, and their numbers and times.

use ihmp_core::addr::Addr;
use ihmp_core::time::{Duration, Instant};

use crate::endpoint::Endpoint;
use crate::request::Request;
use crate::seqno::AHEAD;
use crate::world::World;

/// The requests to a peer.
///
/// # Invariants
///
/// At most one is out from each own address, but for greetings that went out under another entry of the same peer.
#[derive(Debug)]
pub(crate) struct Requests {
    out: Vec<Request>,
    /// The number of the next one.
    next_seqno: u16,
    /// The last one that carried a list of addresses.
    newest_list: Option<u16>,
    /// The smoothed round trip.
    smoothed: Option<Duration>,
}

impl Requests {
    pub(crate) fn new(next_seqno: u16) -> Requests {
        Requests {
            out: Vec::new(),
            next_seqno,
            newest_list: None,
            smoothed: None,
        }
    }

    /// Those that are out.
    pub(crate) fn out(&self) -> &[Request] {
        &self.out
    }

    /// Whether none is out.
    pub(crate) fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Whether one is out from this address.
    pub(crate) fn is_out_from(&self, addr: Addr) -> bool {
        self.out.iter().any(|request| request.from() == addr)
    }

    /// Whether one is out that announces this address, its source.
    pub(crate) fn announces(&self, addr: Addr) -> bool {
        let announces = |request: &Request| request.from() == addr && request.contents().proves();
        self.out.iter().any(announces)
    }

    /// Whether a greeting is out.
    pub(crate) fn greets(&self) -> bool {
        self.out.iter().any(Request::greets)
    }

    /// Whether one is out that says that an address does not work.
    pub(crate) fn is_reporting(&self) -> bool {
        let mut out = self.out.iter();
        out.any(|request| request.contents().new.is_some())
    }

    /// Whether one is out that says that this address does not work.
    pub(crate) fn reports(&self, addr: Addr) -> bool {
        let mut out = self.out.iter();
        out.any(|request| request.contents().new == Some(addr))
    }

    /// When the next one is sent again.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.out.iter().map(Request::due).min()
    }

    /// The number of the next one.
    pub(crate) fn next_seqno(&self) -> u16 {
        self.next_seqno
    }

    /// The next one has this number.
    pub(crate) fn go_on_at(&mut self, seqno: u16) {
        self.next_seqno = seqno;
    }

    /// A number for a new one.
    pub(crate) fn take_seqno(&mut self) -> u16 {
        let seqno = self.next_seqno;
        self.next_seqno = seqno.wrapping_add(1);
        seqno
    }

    /// Whether one with this number was sent a short while ago.
    pub(crate) fn is_recent(&self, seqno: u16) -> bool {
        (1..=AHEAD).contains(&self.next_seqno.wrapping_sub(seqno))
    }

    /// A list of our addresses goes out with this number.
    pub(crate) fn note_list(&mut self, seqno: u16) {
        self.newest_list = Some(seqno);
    }

    /// Whether no later one than this has a list of our addresses.
    pub(crate) fn is_newest_list(&self, seqno: u16) -> bool {
        self.newest_list == Some(seqno)
    }

    /// Adds one, in the place of the one from the same address.
    pub(crate) fn push(&mut self, request: Request, world: &mut World) {
        self.drop(world, |other| other.from() == request.from());
        self.out.push(request);
    }

    /// Gives up those for which this holds.
    pub(crate) fn drop(&mut self, world: &mut World, over: impl Fn(&Request) -> bool) {
        self.out.retain(|request| {
            let over = over(request);
            if over {
                request.superseded(world);
            }
            !over
        });
    }

    /// Takes all of them: to send them, or to say again what they said.
    pub(crate) fn take(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.out)
    }

    /// This one is still out.
    pub(crate) fn put(&mut self, request: Request) {
        self.out.push(request);
    }

    /// Takes the one that an ACK with this number, from there to here, answers.
    pub(crate) fn take_answered(&mut self, seqno: u16, by: Endpoint, to: Addr) -> Option<Request> {
        let answered = |request: &Request| request.is_answered(seqno, by, to);
        let at = self.out.iter().position(answered)?;
        Some(self.out.remove(at))
    }

    /// Takes the one with this number from this address.
    pub(crate) fn take_from(&mut self, seqno: u16, from: Addr) -> Option<Request> {
        let asked = |request: &Request| request.seqno() == seqno && request.from() == from;
        let at = self.out.iter().position(asked)?;
        Some(self.out.remove(at))
    }

    /// Those for which this holds, to change them.
    pub(crate) fn find_mut(
        &mut self,
        is: impl Fn(&Request) -> bool,
    ) -> impl Iterator<Item = &mut Request> {
        self.out.iter_mut().filter(move |request| is(request))
    }

    /// Starts over those whose last destination is not among these.
    pub(crate) fn retarget(&mut self, endpoints: &[Endpoint], now: Instant) {
        for request in &mut self.out {
            let there = request.last_tried();
            if !there.is_some_and(|to| endpoints.contains(&to)) {
                request.restart(now);
            }
        }
    }

    /// The peer may wait for the answer to a greeting that went out under another entry.
    pub(crate) fn merge(&mut self, other: Requests) {
        self.out
            .extend(other.out.into_iter().filter(Request::greets));
    }

    /// Takes a measured round trip (RFC 6298 section 2).
    pub(crate) fn measured(&mut self, round_trip: Option<Duration>) {
        let Some(round_trip) = round_trip else {
            return;
        };
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
            Some(smoothed) => smoothed
                .saturating_mul(3)
                .max(world.limits.requests.rto_floor),
            None => world.limits.requests.rto_first,
        }
    }
}
