// SPDX-License-Identifier: GPL-2.0
//! How often events of rtnetlink make the agent read addresses and routes: at once while there are few events; with many of them, within a
//! bounded time, and with a bounded number of requests in each second.

use ihmp_core::time::{
    Duration,
    Instant, //
};

/// Most messages that are read in a row. If there are more, the monitor is closed for a pause.
pub(crate) const FLOOD: usize = 128;
/// Routes that the kernel may be asked for in a second because of events.
const RATE: u64 = 2_500;
/// How much of that may be used at once: enough to ask a few times for the routes to ten thousand peers when the machine moves.
const BURST: Duration = Duration::from_secs(32);
/// Reading all devices, or all addresses of one, counts as much as asking for so many routes.
const LISTS: u32 = 40;
/// Most messages that are read in a second on average, and for how many seconds' worth of them at once.
const HEARD: u64 = 256;
const HEARD_BURST: Duration = Duration::from_secs(4);
/// The shortest and the longest pause. A pause that follows closely on another one is twice as long as that.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_millis(600);

/// The pace of one kind of events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// When the requests so far are paid for, at `RATE` a second.
    paid: Instant,
    /// At this time what has changed is read even if the requests so far are not paid for.
    latest: Instant,
    /// How much is added to pauses, because reading everything takes so many requests.
    wait: Duration,
    /// When the messages so far are paid for, at `HEARD` a second.
    heard: Instant,
    rest: Duration,
    /// When the last pause ended.
    since: Instant,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self {
            paid: Instant::ZERO,
            latest: Instant::ZERO,
            wait: Duration::ZERO,
            heard: Instant::ZERO,
            rest: SHORTEST,
            since: Instant::ZERO,
        }
    }

    /// When what an event of now reports may be read from the kernel.
    pub(crate) fn ready_at(&self, now: Instant) -> Instant {
        let early = Instant::from_nanos(self.paid.as_nanos().saturating_sub(BURST.as_nanos()));
        early.min(self.latest).max(now)
    }

    /// The kernel was asked for so many lists and routes. The next time is within a second, and later by a tenth of a millisecond for each
    /// route.
    pub(crate) fn charge(&mut self, now: Instant, lists: u32, routes: u32) {
        let cost = u64::from(lists.saturating_mul(LISTS).saturating_add(routes));
        self.paid = self
            .paid
            .max(now)
            .after(Duration::from_nanos(cost * (1_000_000_000 / RATE)));
        self.wait = Duration::from_micros(cost * 100);
        self.latest = now.after(LONGEST.saturating_add(self.wait));
    }

    /// So many messages were read. True if that is too many.
    pub(crate) fn hear(&mut self, now: Instant, messages: usize) -> bool {
        let messages = u64::try_from(messages).unwrap_or(u64::MAX);
        let price = Duration::from_nanos(messages.saturating_mul(1_000_000_000 / HEARD));
        self.heard = self.heard.max(now).after(price);
        self.heard > now.after(HEARD_BURST)
    }

    /// There are too many messages. Returns when the monitor is to be opened again.
    pub(crate) fn flooded(&mut self, now: Instant) -> Instant {
        let soon = self.since.after(self.rest).after(self.rest);
        self.rest = if now < soon {
            self.rest.saturating_add(self.rest).min(LONGEST)
        } else {
            SHORTEST
        };
        now.after(self.rest.saturating_add(self.wait))
    }

    /// The monitor was opened again.
    pub(crate) fn resumed(&mut self, now: Instant) {
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::ZERO.after(Duration::from_millis(millis))
    }

    /// Looks at so many lists and routes each, in `millis` of events without end; the longest time between two.
    fn looks(lists: u32, routes: u32, millis: u64) -> (u64, Duration) {
        let mut pace = Pace::new();
        let (end, mut now, mut count, mut longest) = (at(millis), at(0), 0, Duration::ZERO);
        while now < end {
            let ready = pace.ready_at(now);
            longest = longest.max(ready.since(now));
            now = ready.max(now.after(Duration::from_micros(50)));
            pace.charge(now, lists, routes);
            count += 1;
        }
        (count, longest)
    }

    #[test]
    fn the_first_looks_are_made_at_once() {
        let mut pace = Pace::new();
        for n in 0..200 {
            assert_eq!(pace.ready_at(at(n)), at(n));
            pace.charge(at(n), 9, 40);
        }
        for n in 200..220 {
            pace.charge(at(n), 9, 40);
        }
        assert!(pace.ready_at(at(400)) > at(400));
        // It is forgotten in time.
        assert_eq!(pace.ready_at(at(40_000)), at(40_000));
    }

    #[test]
    fn who_has_ten_thousand_peers_moves_at_once() {
        let mut pace = Pace::new();
        // The old address goes, and the device, the address and the route of the new network come.
        for (n, routes) in [(0, 10_000), (1, 10_000), (2, 30_000), (3, 30_000)] {
            assert_eq!(pace.ready_at(at(n)), at(n), "{n}");
            pace.charge(at(n), 3, routes);
        }
    }

    #[test]
    fn cost_and_delay_are_bounded() {
        for (lists, routes, bound) in [(1, 0, 1_000), (10, 30, 1_000), (3, 3_000, 1_200)] {
            let (count, longest) = looks(lists, routes, 60_000);
            assert!(
                longest <= Duration::from_millis(bound),
                "{lists} {routes}: {longest:?}"
            );
            // What it costs, but for the looks that must not wait any longer.
            let cost = u64::from(lists * LISTS + routes);
            let most = 93 * RATE + 60_000 / 600 * cost;
            assert!(count * cost <= most, "{lists} {routes}: {count}");
        }
        // With ten thousand peers the cost still is.
        let (count, longest) = looks(3, 30_000, 600_000);
        assert!(
            count < 180 && longest < Duration::from_secs(4),
            "{count} {longest:?}"
        );
    }

    #[test]
    fn messages_that_come_one_by_one_are_a_flood_as_well() {
        let mut pace = Pace::new();
        let (end, mut now, mut count) = (at(60_000), at(0), 0);
        while now < end {
            now = now.after(Duration::from_micros(50));
            count += 1;
            if pace.hear(now, 1) {
                let back = pace.flooded(now);
                assert!(back.since(now) <= LONGEST);
                pace.resumed(back);
                now = back;
            }
        }
        assert!(count < 64 * HEARD + 1_000, "{count}");
        // Two hundred a second are none.
        let mut pace = Pace::new();
        assert!((0..12_000).all(|n| !pace.hear(at(n * 5), 1)));
    }

    #[test]
    fn a_flood_is_listened_to_less_and_less() {
        let mut pace = Pace::new();
        let mut now = at(1_000);
        let mut rests = Vec::new();
        for _ in 0..6 {
            let back = pace.flooded(now);
            rests.push(back.since(now).as_nanos() / 1_000_000);
            pace.resumed(back);
            now = back.after(Duration::from_millis(20));
        }
        assert_eq!(rests, [100, 200, 400, 600, 600, 600]);
        // It was calm for a while.
        now = now.after(Duration::from_secs(2));
        assert_eq!(pace.flooded(now), now.after(SHORTEST));
    }
}
