// SPDX-License-Identifier: GPL-2.0
//! What a peer is to be told of our addresses as soon as that can be: which of them came, and which of them did not work.

use ihmp_core::addr::Addr;
use ihmp_core::time::{Duration, Instant};

use crate::limits::Limits;
use crate::world::World;

/// An address that did not work, to be reported from another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) addr: Addr,
    /// The lost address, when it was announced by a hand-off.
    pub(crate) old: Option<Addr>,
}

/// The announcements that are due to a peer.
///
/// # Invariants
///
/// Each list has an address once at most.
#[derive(Debug)]
pub(crate) struct Announcements {
    /// Own addresses that it is to hear from.
    gained: Vec<Addr>,
    /// Own addresses from which nothing came back.
    reports: Vec<Report>,
    /// There was no own address for it, or it was nowhere, and what came since was not told.
    apart: bool,
    /// When what was not answered is announced again.
    retry_at: Option<Instant>,
    /// The pause before that; doubled each time.
    retry_after: Duration,
}

impl Announcements {
    pub(crate) fn new(limits: &Limits) -> Announcements {
        Announcements {
            gained: Vec::new(),
            reports: Vec::new(),
            apart: false,
            retry_at: None,
            retry_after: limits.requests.retry_first,
        }
    }

    /// Own addresses that are to be announced.
    pub(crate) fn gained(&self) -> &[Addr] {
        &self.gained
    }

    /// Whether an address is to be announced.
    pub(crate) fn announces(&self, addr: Addr) -> bool {
        self.gained.contains(&addr)
    }

    /// An address is to be announced.
    pub(crate) fn announce(&mut self, addr: Addr) {
        if !self.announces(addr) {
            self.gained.push(addr);
        }
    }

    /// Several addresses are to be announced.
    pub(crate) fn announce_all(&mut self, addrs: impl IntoIterator<Item = Addr>) {
        for addr in addrs {
            self.announce(addr);
        }
    }

    /// An address need not be announced any more.
    pub(crate) fn withdraw(&mut self, addr: Addr) {
        self.gained.retain(|other| *other != addr);
    }

    /// Announces only those for which this holds.
    pub(crate) fn retain_gained(&mut self, keeps: impl FnMut(&Addr) -> bool) {
        self.gained.retain(keeps);
    }

    /// Nothing came back from this address, which was announced in the place of `old`.
    pub(crate) fn report(&mut self, addr: Addr, old: Option<Addr>) {
        self.withdraw(addr);
        self.end_report(addr);
        self.reports.push(Report { addr, old });
    }

    /// The next one to be reported.
    pub(crate) fn next_report(&self) -> Option<Report> {
        self.reports.first().copied()
    }

    /// Whether an address is to be reported.
    pub(crate) fn reports(&self, addr: Addr) -> bool {
        self.reports.iter().any(|report| report.addr == addr)
    }

    /// Addresses that are to be reported.
    pub(crate) fn reported(&self) -> impl Iterator<Item = Addr> + '_ {
        self.reports.iter().map(|report| report.addr)
    }

    /// An address need not be reported any more.
    pub(crate) fn end_report(&mut self, addr: Addr) {
        self.retain_reports(|other| *other != addr);
    }

    /// Reports only those for which this holds.
    pub(crate) fn retain_reports(&mut self, keeps: impl Fn(&Addr) -> bool) {
        self.reports.retain(|report| keeps(&report.addr));
    }

    /// Nothing can be said now: from no own address, or to none of the peer.
    pub(crate) fn part(&mut self) {
        self.apart = true;
    }

    /// Something can be said now; whether that is new.
    pub(crate) fn meet(&mut self) -> bool {
        std::mem::take(&mut self.apart)
    }

    /// Whether nothing is said for a while.
    pub(crate) fn is_paused(&self) -> bool {
        self.retry_at.is_some()
    }

    /// Nothing is said for a while, and for longer the next time.
    pub(crate) fn pause(&mut self, world: &mut World) {
        self.retry_at = Some(world.now.after(world.jitter(self.retry_after)));
        let next = self.retry_after.saturating_mul(2);
        self.retry_after = next.min(world.limits.requests.retry_last);
    }

    /// The pause is over.
    pub(crate) fn resume(&mut self) {
        self.retry_at = None;
    }

    /// The pause is over, and the next one is short.
    pub(crate) fn restart(&mut self, limits: &Limits) {
        self.resume();
        self.retry_after = limits.requests.retry_first;
    }

    /// Ends the pause when it is time.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.retry_at.take_if(|at| *at <= now);
    }

    /// When the pause ends.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.retry_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Policy;

    #[test]
    fn an_address_is_announced_or_reported_once() {
        let mut due = Announcements::new(&Limits::default());
        let [one, other] = [Addr::v4([192, 0, 2, 1]), Addr::v4([192, 0, 2, 2])];
        due.announce(one);
        due.announce_all([other, one]);
        assert_eq!(due.gained(), [one, other]);
        due.report(one, Some(other));
        due.report(one, None);
        assert_eq!(due.gained(), [other]);
        assert_eq!(due.reported().collect::<Vec<_>>(), [one]);
        let report = due.next_report().map(|report| (report.addr, report.old));
        assert_eq!(report, Some((one, None)));
        due.end_report(one);
        assert!(!due.reports(one) && due.announces(other));
    }

    #[test]
    fn pauses_double_until_something_is_answered() {
        let limits = Limits::default();
        let mut world = World::new(limits, Policy::FirstUse);
        let mut due = Announcements::new(&limits);
        let mut pause = |due: &mut Announcements| {
            due.pause(&mut world);
            due.next().unwrap().since(Instant::ZERO)
        };
        let mut span = limits.requests.retry_first;
        for _ in 0..8 {
            let paused = pause(&mut due);
            // Up to a quarter more.
            assert!(paused >= span && paused.as_nanos() <= span.as_nanos() * 5 / 4);
            span = span.saturating_mul(2).min(limits.requests.retry_last);
        }
        due.expire(Instant::ZERO);
        assert!(due.is_paused());
        due.restart(&limits);
        assert!(!due.is_paused());
        assert!(pause(&mut due) < limits.requests.retry_first.saturating_mul(2));
    }
}
