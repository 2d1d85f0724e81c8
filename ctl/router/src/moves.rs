// SPDX-License-Identifier: GPL-2.0
//! Moves within the router's network, answered in the peer's place.

use ihmp_core::addr::Addr;
use ihmp_core::grant::Grant;
use ihmp_core::message::{Control, Message, Options};
use ihmp_core::time::Duration;
use ihmp_engine::PublicKey;

use crate::io::{HostRoute, Link, Note, Output, Passing, Reason, Verdict};
use crate::router::Router;

/// So much longer than was promised a route stays: answers take their time.
const SLACK: Duration = Duration::from_secs(5);
/// How long a host is left alone that does not hear what we answer.
const DEAF: Duration = Duration::from_secs(600);

/// A move that waits for its route.
#[derive(Debug)]
pub(crate) struct Waiting {
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

impl Router {
    /// A host has lost an address: nothing can be brought there any more, and the peer asks for it no longer.
    pub(crate) fn down(&mut self, gone: Addr, peer: Addr, key: &PublicKey) {
        let through = |(route, of): &(HostRoute, PublicKey)| of == key && route.via == gone;
        let through: Vec<Addr> = self
            .table
            .routes()
            .filter(through)
            .map(|(route, _)| route.to)
            .collect();
        for addr in through {
            self.table.home(addr);
            self.removed(addr, "next-hop");
        }
        let own = self.table.get(gone).is_some_and(|bound| bound.key == *key);
        if own && self.table.release(gone, peer) {
            self.removed(gone, "address-down");
        }
    }

    /// A host has moved: it is at home at the source of the message now.
    pub(crate) fn moved(
        &mut self,
        passing: &Passing<'_>,
        message: &Message<'_>,
        link: Link,
        key: &PublicKey,
        echo: u64,
    ) -> Result<Option<Verdict>, Reason> {
        let Passing { id, from, to, .. } = *passing;
        let addresses = message.addresses.as_slice();
        if addresses.get(1) != Some(&from) {
            return Err(Reason::Payload);
        }
        let named = match message.control {
            Control::Handoff => addresses.get(2).copied(),
            // The address that the peer knows, else one that it has besides.
            _ => {
                let others = addresses.get(2..).unwrap_or_default();
                let mut names = [message.host].into_iter().chain(others.iter().copied());
                let own = |addr: &Addr| {
                    let bound = self.table.get(*addr);
                    *addr != from && bound.is_some_and(|bound| bound.key == *key)
                };
                names.find(own)
            }
        };
        let old = named.filter(|old| self.inside(*old) && old.family() == to.family());
        let Some((old, home)) = old.and_then(|old| Some((old, self.link(old)?))) else {
            // From elsewhere, or a second address.
            return Ok(Some(Verdict::Pass));
        };
        if old == from {
            return Err(Reason::Payload);
        }
        if home.prefix.contains(to) {
            return Err(Reason::OnLink);
        }
        let bound = self.table.get(old).ok_or(Reason::Unbound)?;
        if bound.key != *key {
            return Err(Reason::OtherKey);
        }
        let route = HostRoute {
            to: old,
            via: from,
            device: link.device,
        };
        let current = bound.away.as_ref().map(|away| away.route);
        if self.table.left_alone(key, self.now) {
            return Err(Reason::NotHeard);
        }
        if self.table.granted(old, to) == Some(message.seqno) {
            // The answer got lost, or it does not believe us: the peer will answer.
            self.table.is_deaf(key, self.now.after(DEAF));
            if self.table.release(old, to) {
                self.removed(old, "not-heard");
            }
            return Err(Reason::NotHeard);
        }
        let grant = Grant {
            router: link.own,
            new: from,
            old,
            peer: to,
            lifetime: self.config.lifetime.max(1),
        };
        let answer = Answer {
            seqno: message.seqno,
            echo,
            grant,
        };
        let reject = &self.config.reject;
        if reject
            .iter()
            .any(|prefix| prefix.contains(old) || prefix.contains(from))
        {
            self.reject(answer);
            return Ok(Some(Verdict::Pass));
        }
        if current.is_none() && self.table.sizes()[1] >= self.config.max_routes {
            self.reject(answer);
            return Err(Reason::RouteLimit);
        }
        let control = message.control;
        let waiting = Waiting {
            id,
            route,
            answer,
            control,
        };
        if current == Some(route) {
            if self.table.granted(old, to).is_some() {
                self.table.hears(key);
            }
            self.grant(&waiting);
            return Ok(Some(Verdict::Take));
        }
        self.outputs.push_back(Output::Install(route));
        self.waiting = Some(waiting);
        Ok(None)
    }

    /// The route is there, or cannot be made.
    pub(crate) fn installed(&mut self, done: bool) {
        let Some(waiting) = self.waiting.take() else {
            return;
        };
        let id = waiting.id;
        let verdict = if done {
            self.grant(&waiting);
            Verdict::Take
        } else {
            let Grant { new, peer, .. } = waiting.answer.grant;
            if self.table.home(waiting.route.to) {
                self.removed(waiting.route.to, "route-failed");
            }
            let reason = Reason::RouteFailed;
            *self.passed.entry(reason.name()).or_insert(0) += 1;
            let (from, to) = (new, peer);
            self.note(Note::Passed { reason, from, to });
            self.reject(waiting.answer);
            Verdict::Pass
        };
        self.outputs.push_back(Output::Verdict { id, verdict });
    }

    fn grant(&mut self, waiting: &Waiting) {
        let Grant {
            new,
            old,
            peer,
            lifetime,
            ..
        } = waiting.answer.grant;
        let span = Duration::from_secs(lifetime.into()).saturating_add(SLACK);
        let until = self.now.after(span);
        let seqno = waiting.answer.seqno;
        self.table.leave(waiting.route, peer, until, seqno);
        self.granted += 1;
        let control = waiting.control;
        self.note(Note::Granted {
            old,
            new,
            peer,
            control,
        });
        self.answer(waiting.answer);
    }

    /// Tells a host that its message goes on to the peer.
    fn reject(&mut self, answer: Answer) {
        let Grant { new, old, peer, .. } = answer.grant;
        self.rejected += 1;
        self.note(Note::Rejected { old, new, peer });
        let grant = Grant {
            lifetime: 0,
            ..answer.grant
        };
        self.answer(Answer { grant, ..answer });
    }

    fn answer(&mut self, answer: Answer) {
        let Answer { seqno, echo, grant } = answer;
        let stamp = self.stamp();
        let Some(key) = &self.key else {
            return;
        };
        let message = Message {
            control: Control::RouterAck,
            options: Options::NONE,
            seqno,
            signature: None,
            host: grant.router,
            addresses: grant.addresses(),
        };
        let (from, to) = (grant.router, grant.new);
        let bytes = key.seal(&message, to, stamp, echo);
        self.outputs.push_back(Output::Send { from, to, bytes });
    }
}
