// SPDX-License-Identifier: GPL-2.0
//! The network between machines: delay and loss, a router, and datagrams on the way.

use std::collections::BTreeMap;

use ihmp_core::addr::Addr;
use ihmp_core::time::{Duration, Instant};

/// What a router does with a datagram that passes it.
#[derive(Clone, Debug, Default)]
pub struct Crossing {
    /// The router keeps it.
    pub taken: bool,
    /// What the router sends: source, destination, octets. It arrives without delay.
    pub sent: Vec<(Addr, Addr, Vec<u8>)>,
    /// Its host routes from now on: what is sent to the first address is brought to the second one.
    pub routes: BTreeMap<Addr, Addr>,
}

/// A router that all datagrams pass.
pub type Gateway = Box<dyn FnMut(Instant, Addr, Addr, &[u8]) -> Crossing>;

/// A datagram on the way.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    pub(crate) from: Addr,
    /// Its source port, if that is not the one of IHMP.
    pub(crate) port: Option<u16>,
    pub(crate) to: Addr,
    pub(crate) bytes: Vec<u8>,
    /// The machine that sent it.
    pub(crate) sender: usize,
    /// The machine behind a NAT that gets it.
    pub(crate) inside: Option<usize>,
}

/// All datagrams on the way, by when they arrive; of those that arrive at the same time, the one that was sent first comes first.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    by_arrival: BTreeMap<(Instant, u64), Flight>,
    sent: u64,
}

impl Flights {
    /// One more, which arrives at that time.
    pub(crate) fn push(&mut self, at: Instant, flight: Flight) {
        self.sent += 1;
        self.by_arrival.insert((at, self.sent), flight);
    }

    /// When the next one arrives.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.by_arrival.keys().next().map(|(at, _)| *at)
    }

    /// The next one, if it has arrived by now.
    pub(crate) fn arrived(&mut self, now: Instant) -> Option<Flight> {
        let next = self.by_arrival.first_entry()?;
        (next.key().0 <= now).then(|| next.remove())
    }
}

/// How the network treats packets.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// One way.
    pub latency: Duration,
    /// Up to so much more, so that packets overtake each other.
    pub spread: Duration,
    /// Per cent that are lost.
    pub loss: u64,
    /// Per cent that come twice.
    pub duplication: u64,
}

/// 30 ms, and everything arrives.
pub const FAIR: Weather = Weather {
    latency: Duration::from_millis(30),
    spread: Duration::ZERO,
    loss: 0,
    duplication: 0,
};
