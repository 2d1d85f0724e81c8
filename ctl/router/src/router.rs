// SPDX-License-Identifier: GPL-2.0
//! What the router makes of what passes.

use std::collections::BTreeMap;

use ihmp_core::addr::Addr;
use ihmp_core::message::{Control, Message};
use ihmp_core::time::Instant;
use ihmp_engine::{Moment, PublicKey};

use crate::io::{Config, Input, Link, Output, Passing, Reason, Verdict};
use crate::moves::{Move, Moves};
use crate::nat::{Handling, Nat};
use crate::networks::Networks;
use crate::outbox::Outbox;
use crate::table::Table;
use crate::verifier::Verifier;

/// The signalling of a router.
#[derive(Debug)]
pub struct Router {
    at: Moment,
    networks: Networks,
    table: Table,
    verifier: Verifier,
    moves: Moves,
    nat: Option<Nat>,
    outbox: Outbox,
}

impl Router {
    /// A router that knows nobody. Without a key it lets everything pass.
    pub fn new(config: Config) -> Router {
        Router {
            at: Moment {
                now: Instant::ZERO,
                wall: 0,
                random: 0,
            },
            verifier: Verifier::new(config.verified),
            nat: config.nat.map(Nat::new),
            table: Table::new(config.max_bound),
            moves: Moves::new(&config),
            networks: Networks::new(config.inside),
            outbox: Outbox::default(),
        }
    }

    /// Goes on with other networks and bounds; whether it serves a NAT stays. What was granted goes on until it ends.
    pub fn configure(&mut self, config: Config) {
        self.table.set_most(config.max_bound);
        self.moves.configure(&config);
        self.networks.set_inside(config.inside);
    }

    /// Takes an input.
    pub fn handle(&mut self, moment: Moment, input: Input<'_>) {
        self.at = Moment {
            now: self.at.now.max(moment.now),
            ..moment
        };
        match input {
            Input::Key(key, sent) => self.outbox.set_key(*key, sent),
            Input::Links(links) => self.connected(links),
            Input::Passing(passing) => self.passing(&passing),
            Input::Installed(done) => {
                self.moves
                    .installed(self.at, &mut self.table, &mut self.outbox, done);
            }
            Input::Heard { from, to, bytes } => self.heard(from, to, bytes),
            Input::Events(events) => self.nat(|nat, handling| nat.events(handling, events)),
            Input::Overrun => self.nat(|nat, _| nat.overrun()),
            Input::Seen(all) => self.nat(|nat, handling| nat.seen(handling, all)),
            Input::Timer => {
                self.expire();
                self.nat(|nat, handling| nat.wake(handling));
            }
        }
        self.nat(|nat, handling| nat.look(handling));
    }

    /// The next thing to do, in the order in which it was decided.
    pub fn poll(&mut self) -> Option<Output> {
        self.outbox.poll()
    }

    /// When [`Input::Timer`] is due; `None` for never.
    pub fn next_timeout(&self) -> Option<Instant> {
        let nat = self.nat.as_ref().and_then(Nat::next_timeout);
        self.table.next_end().into_iter().chain(nat).min()
    }

    /// How many datagrams passed that looked as if they were for us, by the name of the reason.
    pub fn passed(&self) -> &BTreeMap<&'static str, u64> {
        self.outbox.counts()
    }

    /// How many moves were granted, declined, and rejected.
    pub fn moves(&self) -> [u64; 3] {
        self.moves.counts()
    }

    /// How many addresses are bound, and how many host routes there are.
    pub fn sizes(&self) -> [usize; 2] {
        self.table.sizes()
    }

    /// How many pairs of hosts behind the NAT and peers there are, how many mappings of them, and how many NAT_ENTRYs were
    /// acknowledged; `None` when it is no NAT.
    pub fn nat_sizes(&self) -> Option<[u64; 3]> {
        self.nat.as_ref().map(Nat::sizes)
    }

    /// The timestamp that no message was later than, for a clean end.
    pub fn sent(&self) -> u64 {
        self.outbox.sent()
    }

    /// Has the NAT do something, if there is one.
    fn nat(&mut self, act: impl FnOnce(&mut Nat, &mut Handling<'_>)) {
        if let Some(nat) = &mut self.nat {
            act(
                nat,
                &mut Handling::new(self.at, &self.table, &mut self.outbox),
            );
        }
    }

    /// What is kept for peers ends when its time is over.
    fn expire(&mut self) {
        while let Some((addr, peer)) = self.table.ended(self.at.now) {
            if self.table.release(addr, peer) {
                self.outbox.remove(addr, "expired");
            }
        }
    }

    /// The networks changed: what has no next hop there any more ends.
    fn connected(&mut self, links: Vec<Link>) {
        self.networks.set_links(links);
        let routes = self.table.routes().map(|(route, _)| route);
        let gone = routes.filter(|route| !self.networks.has_next_hop(route));
        let gone: Vec<Addr> = gone.map(|route| route.to).collect();
        for addr in gone {
            self.table.home(addr);
            self.outbox.remove(addr, "link");
        }
    }

    /// A datagram to the router itself: only a NAT has asked somebody for something.
    fn heard(&mut self, from: Addr, to: Addr, bytes: &[u8]) {
        let Some(nat) = &mut self.nat else {
            return self.outbox.refused(Reason::Unsupported, from, to);
        };
        let mut handling = Handling::new(self.at, &self.table, &mut self.outbox);
        nat.heard(&mut handling, &mut self.verifier, from, to, bytes);
    }

    fn passing(&mut self, passing: &Passing<'_>) {
        let Passing { id, from, to, .. } = *passing;
        let verdict = if passing.translated {
            self.translated(passing).map(Some)
        } else {
            self.consider(passing)
        };
        let verdict = match verdict {
            Ok(Some(verdict)) => verdict,
            // It waits for its route.
            Ok(None) => return,
            Err(reason) => {
                self.outbox.passed(reason, from, to);
                Verdict::Pass
            }
        };
        self.outbox.push(Output::Verdict { id, verdict });
    }

    /// What is to be done with a datagram that leaves and has passed the NAT.
    fn translated(&mut self, passing: &Passing<'_>) -> Result<Verdict, Reason> {
        let Some(nat) = &mut self.nat else {
            return Ok(Verdict::Pass);
        };
        nat.translated(
            self.at,
            &mut self.table,
            &mut self.verifier,
            &mut self.outbox,
            passing,
        )
    }

    /// What is to be done with a datagram.
    fn consider(&mut self, passing: &Passing<'_>) -> Result<Option<Verdict>, Reason> {
        let Passing {
            device,
            from,
            to,
            bytes,
            ..
        } = *passing;
        const PASS: Result<Option<Verdict>, Reason> = Ok(Some(Verdict::Pass));
        let to_inside = self.networks.is_inside(to);
        let from_inside = self.networks.is_inside(from);
        let parsed = Message::parse(bytes);
        if let (Some(nat), Ok(message)) = (&mut self.nat, &parsed) {
            nat.crossing(&self.networks, &self.table, passing, message);
        }
        if !self.outbox.has_key() || (!to_inside && !from_inside) {
            return PASS;
        }
        let message = parsed.map_err(Reason::Malformed)?;
        let signature = message.signature.as_ref();
        let block = signature.and_then(|signature| signature.ed25519());
        if to_inside {
            if let Some(block) = &block {
                let request = (from, to, message.seqno);
                self.verifier.remember(request, block.timestamp);
            }
        }
        let Some(link) = self.networks.link(from).filter(|_| from_inside) else {
            return PASS;
        };
        let away = self.table.route(from);
        if link.device != device {
            // A host that is away speaks from its old address as well.
            return match away {
                Some(route) if route.device == device => PASS,
                _ => Err(Reason::WrongDevice),
            };
        }
        let block = block.ok_or(Reason::Unsigned)?;
        if message.addresses.as_slice().first() != Some(&from) {
            return Err(Reason::Payload);
        }
        let key = PublicKey(*block.key);
        let tells = matches!(
            message.control,
            Control::AddrUp | Control::Handoff | Control::AddrDown | Control::AddrDownUnreachable
        );
        let known = self.table.key(from) == Some(key);
        if known && away.is_none() && !tells {
            self.table.touch(from);
            return PASS;
        }
        // It answers something that we have not seen.
        let Some(echoes) = self.verifier.echoes(from, to, &message) else {
            return PASS;
        };
        self.verifier
            .authenticate(self.at.now, &mut self.table, passing, &block, &echoes)?;
        self.table
            .at_home(&mut self.outbox, from, key, block.timestamp)?;
        match message.control {
            Control::AddrDown | Control::AddrDownUnreachable => {
                if let Some(gone) = message.addresses.as_slice().get(1) {
                    self.moves
                        .down(&mut self.table, &mut self.outbox, *gone, to, &key);
                }
                PASS
            }
            Control::AddrUp | Control::Handoff => {
                let asked = Move::new(passing, &message, link, key, block.timestamp);
                self.moves.moved(
                    self.at,
                    &self.networks,
                    &mut self.table,
                    &mut self.outbox,
                    &asked,
                )
            }
            _ => PASS,
        }
    }
}
