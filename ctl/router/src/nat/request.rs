// SPDX-License-Identifier: GPL-2.0
//! A NAT_ENTRY that waits for its ACK, and when it is sent again.

use std::collections::VecDeque;

use ihmp_core::entry::Lease;
use ihmp_core::time::{Duration, Instant};

/// Sends of one request; those that answer an ACK with IS, or follow the peer's word to the host, are apart.
const SENDS: u32 = 4;
/// Sends with IS, and sends at the peer's word, for one request.
const ANSWERS: u32 = 3;
const PROMPTS: u32 = 2;
/// Sends that an answer can be to.
const STAMPS: usize = 4;
/// First time-out, and the least one.
const RTO_FIRST: Duration = Duration::from_secs(1);
const RTO_FLOOR: Duration = Duration::from_millis(200);

/// The name of a mapping: a lease without a lifetime.
pub(super) const fn name_of(lease: Lease) -> Lease {
    Lease {
        lifetime: 0,
        ..lease
    }
}

/// What a request is sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// It is the first time, or nobody answered.
    Timer,
    /// The peer wants proof that we hear it: the timestamp of its ACK.
    Proof(u64),
    /// The peer has spoken to the host: it may know it now.
    Word,
}

/// A NAT_ENTRY that waits for its ACK.
#[derive(Clone, Debug)]
pub(super) struct Request {
    seqno: u16,
    /// What it says.
    leases: Vec<Lease>,
    /// The timestamps of its last sends.
    stamps: VecDeque<u64>,
    /// How often it was sent.
    attempt: u32,
    /// So often by the clock.
    sends: u32,
    answers: u32,
    prompts: u32,
    first_at: Instant,
    next_at: Instant,
    rto: Duration,
}

impl Request {
    /// One that has not been sent, to a peer that takes so long to answer.
    pub(super) fn new(seqno: u16, leases: Vec<Lease>, srtt: Option<Duration>) -> Request {
        Request {
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
        }
    }

    pub(super) fn seqno(&self) -> u16 {
        self.seqno
    }

    /// What it says.
    pub(super) fn leases(&self) -> &[Lease] {
        &self.leases
    }

    /// Says only what is not in `others`; what it said of those.
    pub(super) fn leave_out(&mut self, others: impl Fn(Lease) -> bool) -> Vec<Lease> {
        let leases = std::mem::take(&mut self.leases);
        let (out, kept) = leases.into_iter().partition(|lease| others(*lease));
        self.leases = kept;
        out
    }

    /// The timestamps that an answer can be to.
    pub(super) fn stamps(&self) -> Vec<u64> {
        self.stamps.iter().copied().collect()
    }

    /// How often it was sent.
    pub(super) fn attempt(&self) -> u32 {
        self.attempt
    }

    /// When it was sent first.
    pub(super) fn first_at(&self) -> Instant {
        self.first_at
    }

    /// When it is to be sent again.
    pub(super) fn next_at(&self) -> Instant {
        self.next_at
    }

    /// Whether it may be sent once more for this cause.
    pub(super) fn again(&mut self, cause: Cause) -> bool {
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
    pub(super) fn leaves(&mut self, now: Instant, stamp: u64, cause: Cause, random: u64) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_outs_double() {
        let srtt = Some(Duration::from_millis(100));
        let mut request = Request::new(7, Vec::new(), srtt);
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
