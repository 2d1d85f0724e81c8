// SPDX-License-Identifier: GPL-2.0
//! Moves within the router's network: answered in the peer's place, left to the peer, or rejected.

use ihmp_core::addr::Addr;
use ihmp_core::grant::{Grant, Terms};
use ihmp_core::message::{Control, Message, Options};
use ihmp_core::policy::Prefix;
use ihmp_core::time::Duration;
use ihmp_engine::{Moment, PublicKey};

use crate::io::{Config, HostRoute, Link, Note, Output, Passing, Reason, Verdict};
use crate::networks::Networks;
use crate::outbox::Outbox;
use crate::table::Table;

/// So much longer than was promised a route stays: answers take their time.
const SLACK: Duration = Duration::from_secs(5);
/// How long a host is left alone that does not hear what we answer.
const DEAF: Duration = Duration::from_secs(600);

/// A message by which a host says that it has moved; it is what its key says.
#[derive(Debug)]
pub(crate) struct Move<'a> {
    id: u32,
    /// Where the host is at home now.
    new: Addr,
    /// The network to which that belongs.
    link: Link,
    peer: Addr,
    key: PublicKey,
    stamp: u64,
    message: &'a Message<'a>,
}

impl<'a> Move<'a> {
    /// The move of a datagram with a message that is authentic, from this network.
    pub(crate) fn new(
        passing: &Passing<'_>,
        message: &'a Message<'a>,
        link: Link,
        key: PublicKey,
        stamp: u64,
    ) -> Move<'a> {
        Move {
            id: passing.id,
            new: passing.from,
            link,
            peer: passing.to,
            key,
            stamp,
            message,
        }
    }

    /// Where it comes from, for the administrator: the address that it has left, else the one by which the peer knows it. `old`
    /// is that which it names.
    fn left(&self, old: Addr) -> Addr {
        match self.message.control {
            Control::Handoff => old,
            _ => self.message.host,
        }
    }

    /// The address that it has left, as far as it says so: the one that the peer knows, else one that it has besides, where it
    /// may have moved to.
    fn named(&self, table: &Table, wishes: &Wishes) -> Option<Addr> {
        let addresses = self.message.addresses.as_slice();
        match self.message.control {
            Control::Handoff => addresses.get(2).copied(),
            _ => {
                let others = addresses.get(2..).unwrap_or_default();
                let others = others.iter().copied();
                let others = others.filter(|addr| !concerns(&wishes.reject, *addr, *addr));
                let mut names = [self.message.host].into_iter().chain(others);
                names.find(|addr| *addr != self.new && table.key(*addr) == Some(self.key))
            }
        }
    }
}

/// What the administrator wants of moves.
#[derive(Debug)]
struct Wishes {
    /// Moves from and to these are left to the peer.
    decline: Vec<Prefix>,
    /// Moves from and to these are rejected.
    reject: Vec<Prefix>,
}

/// Whether one of these networks has one of two addresses.
fn concerns(prefixes: &[Prefix], old: Addr, new: Addr) -> bool {
    let has = |prefix: &Prefix| prefix.contains(old) || prefix.contains(new);
    prefixes.iter().any(has)
}

impl Wishes {
    fn of(config: &Config) -> Wishes {
        Wishes {
            decline: config.decline.clone(),
            reject: config.reject.clone(),
        }
    }
}

/// A move that waits for its route.
#[derive(Debug)]
struct Waiting {
    id: u32,
    route: HostRoute,
    answer: Answer,
    control: Control,
}

/// What a ROUTER_ACK answers, and what it says.
#[derive(Clone, Copy, Debug)]
struct Answer {
    seqno: u16,
    echo: u64,
    grant: Grant,
}

/// Grants moves and rejects them.
#[derive(Debug)]
pub(crate) struct Moves {
    wishes: Wishes,
    /// Seconds for which a host need not ask again.
    lifetime: u16,
    /// Most host routes.
    max_routes: usize,
    waiting: Option<Waiting>,
    granted: u64,
    declined: u64,
    rejected: u64,
}

impl Moves {
    /// Has granted nothing yet.
    pub(crate) fn new(config: &Config) -> Moves {
        Moves {
            wishes: Wishes::of(config),
            lifetime: config.lifetime,
            max_routes: config.max_routes,
            waiting: None,
            granted: 0,
            declined: 0,
            rejected: 0,
        }
    }

    /// Goes on with other bounds.
    pub(crate) fn configure(&mut self, config: &Config) {
        self.wishes = Wishes::of(config);
        self.lifetime = config.lifetime;
        self.max_routes = config.max_routes;
    }

    /// How many were granted, declined, and rejected.
    pub(crate) fn counts(&self) -> [u64; 3] {
        [self.granted, self.declined, self.rejected]
    }

    /// A host has lost an address: nothing can be brought there any more, and the peer asks for it no longer.
    pub(crate) fn down(
        &self,
        table: &mut Table,
        outbox: &mut Outbox,
        gone: Addr,
        peer: Addr,
        key: &PublicKey,
    ) {
        let through = |(route, of): &(HostRoute, PublicKey)| of == key && route.via == gone;
        let through: Vec<Addr> = table
            .routes()
            .filter(through)
            .map(|(route, _)| route.to)
            .collect();
        for addr in through {
            table.home(addr);
            outbox.remove(addr, "next-hop");
        }
        if table.key(gone) == Some(*key) && table.release(gone, peer) {
            outbox.remove(gone, "address-down");
        }
    }

    /// A host has moved: it is at home at the source of the message now.
    pub(crate) fn moved(
        &mut self,
        at: Moment,
        networks: &Networks,
        table: &mut Table,
        outbox: &mut Outbox,
        asked: &Move<'_>,
    ) -> Result<Option<Verdict>, Reason> {
        let Move {
            id,
            new,
            link,
            peer,
            ..
        } = *asked;
        let message = asked.message;
        if message.addresses.as_slice().get(1) != Some(&new) {
            return Err(Reason::Payload);
        }
        let named = asked.named(table, &self.wishes);
        let old = named.filter(|old| networks.is_inside(*old) && old.family() == peer.family());
        let Some((old, home)) = old.and_then(|old| Some((old, networks.link(old)?))) else {
            // From elsewhere, or a second address.
            return Ok(Some(Verdict::Pass));
        };
        if old == new {
            return Err(Reason::Payload);
        }
        let answer = Answer {
            seqno: message.seqno,
            echo: asked.stamp,
            grant: Grant {
                router: link.own,
                new,
                old,
                peer,
                terms: Terms::Granted(self.lifetime.max(1)),
            },
        };
        // Who asks again gets the same answer: whether the host hears it, or believes it, does not matter.
        if concerns(&self.wishes.reject, asked.left(old), new) {
            if table.key(old) == Some(asked.key) && table.release(old, peer) {
                outbox.remove(old, "rejected");
            }
            self.reject(at, outbox, answer);
            return Ok(Some(Verdict::Take));
        }
        if home.prefix.contains(peer) {
            return Err(Reason::OnLink);
        }
        let key = table.key(old).ok_or(Reason::Unbound)?;
        if key != asked.key {
            return Err(Reason::OtherKey);
        }
        let route = HostRoute {
            to: old,
            via: new,
            device: link.device,
        };
        let current = table.route(old);
        if table.left_alone(&key, at.now) {
            return Err(Reason::NotHeard);
        }
        if table.granted(old, peer) == Some(message.seqno) {
            // The answer got lost, or it does not believe us: the peer will answer.
            table.is_deaf(&key, at.now.after(DEAF));
            if table.release(old, peer) {
                outbox.remove(old, "not-heard");
            }
            return Err(Reason::NotHeard);
        }
        if concerns(&self.wishes.decline, old, new) {
            self.decline(at, outbox, answer);
            return Ok(Some(Verdict::Pass));
        }
        if current.is_none() && table.sizes()[1] >= self.max_routes {
            self.decline(at, outbox, answer);
            return Err(Reason::RouteLimit);
        }
        let waiting = Waiting {
            id,
            route,
            answer,
            control: message.control,
        };
        if current == Some(route) {
            if table.granted(old, peer).is_some() {
                table.hears(&key);
            }
            self.grant(at, table, outbox, &waiting);
            return Ok(Some(Verdict::Take));
        }
        outbox.push(Output::Install(route));
        self.waiting = Some(waiting);
        Ok(None)
    }

    /// The route is there, or cannot be made.
    pub(crate) fn installed(
        &mut self,
        at: Moment,
        table: &mut Table,
        outbox: &mut Outbox,
        done: bool,
    ) {
        let Some(waiting) = self.waiting.take() else {
            return;
        };
        let id = waiting.id;
        let verdict = if done {
            self.grant(at, table, outbox, &waiting);
            Verdict::Take
        } else {
            let Grant { new, peer, .. } = waiting.answer.grant;
            if table.home(waiting.route.to) {
                outbox.remove(waiting.route.to, "route-failed");
            }
            outbox.passed(Reason::RouteFailed, new, peer);
            self.decline(at, outbox, waiting.answer);
            Verdict::Pass
        };
        outbox.push(Output::Verdict { id, verdict });
    }

    fn grant(&mut self, at: Moment, table: &mut Table, outbox: &mut Outbox, waiting: &Waiting) {
        let Grant { new, old, peer, .. } = waiting.answer.grant;
        let lifetime = self.lifetime.max(1);
        let span = Duration::from_secs(lifetime.into()).saturating_add(SLACK);
        let until = at.now.after(span);
        table.leave(waiting.route, peer, until, waiting.answer.seqno);
        self.granted += 1;
        outbox.note(Note::Granted {
            old,
            new,
            peer,
            control: waiting.control,
        });
        waiting.answer.send(at, outbox);
    }

    /// Tells a host that its message goes on to the peer.
    fn decline(&mut self, at: Moment, outbox: &mut Outbox, answer: Answer) {
        let Grant { new, old, peer, .. } = answer.grant;
        self.declined += 1;
        outbox.note(Note::Declined { old, new, peer });
        answer.with(Terms::Declined).send(at, outbox);
    }

    /// Tells a host that its message does not go on to the peer.
    fn reject(&mut self, at: Moment, outbox: &mut Outbox, answer: Answer) {
        let Grant { new, old, peer, .. } = answer.grant;
        self.rejected += 1;
        outbox.note(Note::Rejected { old, new, peer });
        let terms = Terms::Rejected(self.lifetime.max(1));
        answer.with(terms).send(at, outbox);
    }
}

impl Answer {
    /// The same, which says something else of the move.
    fn with(self, terms: Terms) -> Answer {
        let grant = Grant {
            terms,
            ..self.grant
        };
        Answer { grant, ..self }
    }

    fn send(&self, at: Moment, outbox: &mut Outbox) {
        let grant = &self.grant;
        let stamp = outbox.stamp(at);
        let message = Message {
            control: Control::RouterAck,
            options: Options::NONE,
            seqno: self.seqno,
            signature: None,
            host: grant.router,
            addresses: grant.addresses(),
        };
        let (from, to) = (grant.router, grant.new);
        if let Some(bytes) = outbox.seal(&message, to, stamp, self.echo) {
            outbox.push(Output::Send { from, to, bytes });
        }
    }
}
