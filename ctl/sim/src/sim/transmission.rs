// SPDX-License-Identifier: GPL-2.0
//! A datagram leaves a machine: what the router, the NATs and the weather make of it, and whom it reaches when.

use ihmp_core::addr::Addr;
use ihmp_core::message::Message;
use ihmp_core::time::Duration;
use ihmp_engine::Input;

use super::Sim;
use crate::nat;
use crate::network::Flight;
use crate::random::Random;

impl Sim {
    /// A machine sends a datagram.
    pub(super) fn transmit(
        &mut self,
        at: usize,
        from: Addr,
        to: Addr,
        port: Option<u16>,
        bytes: Vec<u8>,
    ) {
        assert!(
            self.nodes[at].has(from),
            "sent from {from}, which node {at} does not have"
        );
        assert_eq!(from.family(), to.family());
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.addresses.as_slice().first(), Some(&from));
        self.nodes[at].sent += 1;
        if !self.quiet {
            self.log
                .push((at, message.control, message.options, from, to));
            self.wire.push((from, to, bytes.clone()));
        }
        if self.blocked.contains(&(from, to)) || self.random.percent(self.weather.loss) {
            self.lost += 1;
            return;
        }
        if let Some(mut gateway) = self.gateway.take() {
            let crossing = gateway(self.now, from, to, &bytes);
            self.gateway = Some(gateway);
            self.host_routes = crossing.routes;
            for (from, to, bytes) in crossing.sent {
                if !self.quiet {
                    self.wire.push((from, to, bytes.clone()));
                }
                let flight = Flight {
                    from,
                    port: None,
                    to,
                    bytes,
                    sender: at,
                    inside: None,
                };
                self.flights.push(self.now, flight);
            }
            if crossing.taken {
                return;
            }
        }
        let Some(passed) = nat::pass(&mut self.nats, (at, from), (to, port), bytes) else {
            self.lost += 1;
            return;
        };
        let nat::Passed {
            from,
            port,
            to,
            inside,
            bytes,
        } = passed;
        let latency = match inside.or_else(|| self.owner(to)) {
            Some(there) => self.distance(at, there),
            None => self.weather.latency,
        };
        let copies = if self.random.percent(self.weather.duplication) {
            2
        } else {
            1
        };
        for _ in 0..copies {
            let spread = self.random.below(self.weather.spread.as_nanos() + 1);
            let arrival = self.now.after(latency).after(Duration::from_nanos(spread));
            let flight = Flight {
                from,
                port,
                to,
                bytes: bytes.clone(),
                sender: at,
                inside,
            };
            self.flights.push(arrival, flight);
        }
    }

    /// The machine that has this address.
    pub fn owner(&self, of: Addr) -> Option<usize> {
        let to = self.host_routes.get(&of).unwrap_or(&of);
        let places = self.places.get(to)?.iter().copied();
        places
            .filter(|at| self.nodes[*at].local.contains(to) && self.nodes[*at].has(of))
            .min()
    }

    /// The time that a packet takes between two machines at least.
    pub fn distance(&self, one: usize, other: usize) -> Duration {
        let latency = self.weather.latency;
        if self.farthest == Duration::ZERO {
            return latency;
        }
        let pair = ((one.min(other) as u64) << 32) | one.max(other) as u64;
        let mut random = Random(pair.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ self.seed | 1);
        for _ in 0..4 {
            random.next();
        }
        let more = random.below(self.farthest.as_nanos() + 1);
        latency.saturating_add(Duration::from_nanos(more))
    }

    /// A datagram from outside.
    pub fn inject(&mut self, at: usize, from: Addr, to: Addr, bytes: &[u8]) {
        self.inject_by(at, from, None, to, bytes);
    }

    /// The same, from another port than that of IHMP.
    pub fn inject_by(&mut self, at: usize, from: Addr, port: Option<u16>, to: Addr, bytes: &[u8]) {
        let input = Input::Message {
            from,
            port,
            to,
            bytes,
        };
        self.give(at, input);
    }
}
