// SPDX-License-Identifier: GPL-2.0
//! Micro-mobility: a router near us answers a move in the peer's place, and brings what the peer sends to our old address
//! to the new one ([DIME-IFIP] section IV-C, Fig. 8). The peer is told nothing, and knows the old address only.
//!
//! A router's word only suppresses the message to the peer: when nothing comes from the peer any more, or the lifetime ends
//! without another answer, the peer is told all the same. That is a HELLO from the new address, which routers let pass, and
//! an ADDR_DOWN of the old one.

use ihmp_core::addr::Addr;
use ihmp_core::grant::Grant;
use ihmp_core::time::{Duration, Instant};

use crate::endpoint::Endpoint;
use crate::engine::Engine;
use crate::forged::Sort;
use crate::host::{Entry, Host, Standing};
use crate::io::{Output, Refusal, Traffic, Via};
use crate::keys::{verify, PublicKey};
use crate::note::Note;
use crate::received::Received;
use crate::request::Request;
use crate::seqno::AHEAD;
use crate::world::World;

/// The longest pause between two looks whether the peer is still heard.
const LOOK_LAST: Duration = Duration::from_secs(10);

/// An address that the peer knows and that is ours through a router.
#[derive(Clone, Debug)]
pub(crate) struct Relay {
    /// Where the router brings what is sent to `old`.
    pub(crate) new: Addr,
    /// What the peer knows.
    pub(crate) old: Addr,
    /// Who said so.
    router: PublicKey,
    /// What it answered: the peer may have had it as well, and answers, too.
    pub(crate) request: Option<Request>,
    until: Instant,
    /// When the router is asked again.
    renew_at: Option<Instant>,
    /// What passed when it was last looked at.
    base: Option<Traffic>,
    look_at: Option<Instant>,
    pause: Duration,
    /// Something was sent and nothing has come since.
    doubted: bool,
    /// The peer is being told of `new`.
    ended: bool,
}

/// Sets the time of something that is over to none.
fn due(at: &mut Option<Instant>, now: Instant) -> bool {
    at.take_if(|at| *at <= now).is_some()
}

impl Relay {
    fn next(&self) -> Option<Instant> {
        let lasts = (!self.ended).then_some(self.until);
        let others = self.renew_at.into_iter().chain(self.look_at);
        others.chain(lasts).min()
    }
}

impl Engine {
    /// A router answers in the place of a peer.
    pub(crate) fn router_ack(
        &mut self,
        received: &Received<'_>,
        bytes: &[u8],
    ) -> Result<(), Refusal> {
        let Received {
            from, to, message, ..
        } = *received;
        let grant = Grant::read(&message.addresses).filter(|grant| grant.new == to);
        let grant = grant.ok_or(Refusal::Payload)?;
        let signature = message.signature.ok_or(Refusal::Unsigned)?;
        let block = signature.ed25519().ok_or(Refusal::UnknownAlgorithm)?;
        let (router, now) = (PublicKey(*block.key), self.world.now);
        let ring = &self.world.keyring;
        if ring.own.iter().any(|own| own.public() == router) {
            return Err(Refusal::OwnKey);
        }
        let known = ring.peers.get(&router).filter(|peer| peer.known.router);
        let known = known.ok_or(Refusal::UnknownKey)?;
        if ![grant.new, grant.old]
            .iter()
            .all(|addr| known.serves(*addr))
        {
            return Err(Refusal::ReservedAddress);
        }
        if !known.replay.is_fresh(block.timestamp) {
            return Err(Refusal::Replayed);
        }
        let answered = |request: &&Request| {
            let move_there = request.proves() && request.replaces() && request.from == to;
            request.seqno == message.seqno
                && move_there
                && request.tried.contains(&Endpoint::direct(grant.peer))
        };
        let asked = self
            .known(grant.peer)
            .find_map(|host| Some((host, host.outstanding.iter().find(answered)?)));
        let Some((host, request)) = asked else {
            let recent =
                |host: &Host| (1..=AHEAD).contains(&host.next_seqno.wrapping_sub(message.seqno));
            let late = self.known(grant.peer).any(recent);
            return Err(if late {
                Refusal::LateAck
            } else {
                Refusal::UnexpectedAck
            });
        };
        if !known.forged.may_be(Sort::Answer, now) {
            return Err(Refusal::Rate);
        }
        let genuine = request
            .stamps_to(Endpoint::direct(grant.peer))
            .any(|stamp| verify(bytes, to, stamp, &block));
        let key = host.key;
        // What the peer does not have cannot be kept for it.
        let has = host
            .standing(grant.old)
            .is_some_and(|standing| standing != Standing::Unreachable);
        let managed = host.managed;
        let ring = &mut self.world.keyring;
        if !genuine {
            if let Some(peer) = ring.peers.get_mut(&router) {
                peer.forged.count(Sort::Answer, now);
            }
            return Err(Refusal::BadSignature);
        }
        let fact = ring.accept(&router, block.timestamp);
        self.world.keep(fact);
        if managed {
            return Err(Refusal::Managed);
        }
        if !has {
            return Err(Refusal::Payload);
        }
        self.received(received);
        let seqno = message.seqno;
        self.with(key, |host, world| match grant.lifetime {
            0 => host.declined(seqno, from, &grant, world),
            _ => host.relayed(seqno, from, &grant, router, world),
        });
        Ok(())
    }
}

impl Host {
    /// Whether this is an address that only a router knows of: not to be told to the peer.
    pub(crate) fn is_behind(&self, addr: Addr) -> bool {
        let relayed = self.relays.iter().any(|relay| relay.new == addr);
        relayed && self.standing(addr).is_none()
    }

    /// Whether a router may answer in the peer's place to what was sent from there: until somebody has answered, nothing
    /// else leaves from there. Where the peer has not heard of the move, it would be a stranger's.
    pub(crate) fn awaits_router(&self, addr: Addr, world: &World) -> bool {
        let out = |request: &Request| {
            request.from == addr
                && request.proves()
                && request.replaces()
                && !request.declined
                && request.sends > 0
        };
        world.keyring.is_routed(addr)
            && self.standing(addr) != Some(Standing::Active)
            && self.outstanding.iter().any(out)
    }

    /// The requests that an ACK may answer: those on their way, and those that a router answered.
    pub(crate) fn requests(&self) -> impl Iterator<Item = &Request> + '_ {
        let answered = self
            .relays
            .iter()
            .filter_map(|relay| relay.request.as_ref());
        self.outstanding.iter().chain(answered)
    }

    /// The old addresses that are kept, with the routes of the new ones.
    pub(crate) fn keep_relayed(&self, usable: &mut Vec<Via>) {
        for relay in &self.relays {
            if relay.ended && self.standing(relay.new) == Some(Standing::Active) {
                continue;
            }
            let through = usable.iter().find(|via| via.local == relay.new);
            let Some(through) = through.copied() else {
                continue;
            };
            match usable.iter_mut().find(|via| via.local == relay.old) {
                Some(via) => via.preference = via.preference.min(through.preference),
                None => usable.push(Via {
                    local: relay.old,
                    ..through
                }),
            }
        }
    }

    /// The router has let the request pass.
    fn declined(&mut self, seqno: u16, by: Addr, grant: &Grant, world: &mut World) {
        for request in &mut self.outstanding {
            request.declined |= request.seqno == seqno && request.from == grant.new;
        }
        let (new, old) = (grant.new, grant.old);
        world.note(Note::RouterDeclined { by, new, old });
    }

    /// The router has taken the request.
    fn relayed(
        &mut self,
        seqno: u16,
        by: Addr,
        grant: &Grant,
        router: PublicKey,
        world: &mut World,
    ) {
        let (new, old) = (grant.new, grant.old);
        let asked = |request: &Request| request.seqno == seqno && request.from == new;
        let asked = self.outstanding.iter().position(asked);
        let request = asked.map(|at| self.outstanding.remove(at));
        let lifetime = Duration::from_secs(grant.lifetime.into());
        let half = Duration::from_nanos(lifetime.as_nanos() / 2);
        let pause = self.time_out(world);
        let now = world.now;
        let relay = Relay {
            new,
            old,
            router,
            request,
            until: now.after(lifetime),
            renew_at: Some(now.after(world.jitter(half))),
            base: None,
            look_at: Some(now),
            pause,
            doubted: false,
            ended: false,
        };
        let renewed = self.relays.iter_mut().find(|relay| {
            let same = (relay.new, relay.old) == (new, old);
            same && !relay.ended
        });
        match renewed {
            Some(known) => {
                (known.until, known.renew_at) = (relay.until, relay.renew_at);
                known.request = relay.request;
            }
            None => {
                world.hold(old, new);
                self.end_relay(world, |relay| relay.new == new || relay.old == old);
                self.relays.push(relay);
                world.note(Note::Routed { by, new, old });
            }
        }
        // It has not heard that the one is gone, nor that the other has come.
        self.tell(old, Standing::Active);
        self.advertised
            .retain(|advertised| advertised.addr != new && advertised.standing != Standing::Behind);
        self.prove.retain(|addr| *addr != new);
        self.report.retain(|report| report.addr != new);
        self.retry_at = None;
        self.retry_after = world.limits.retry_first;
        self.reconcile(world);
    }

    /// Gives up the old addresses for which `over` holds.
    pub(crate) fn end_relay(&mut self, world: &mut World, over: impl Fn(&Relay) -> bool) {
        self.relays.retain(|relay| {
            let over = over(relay);
            if over {
                world.unhold(relay.old, relay.new);
            }
            !over
        });
    }

    /// Ends what has lost its ground: the new address, the router's key, or the peer knows the new address and has
    /// forgotten the old one.
    pub(crate) fn review_relays(&mut self, world: &mut World) {
        if self.relays.is_empty() {
            return;
        }
        for relay in self.relays.clone() {
            let there = world.is_real(relay.new);
            let known = self.standing(relay.new);
            if !there && known.is_none() {
                // The router has to hear that it is gone; what says so to the peer passes it.
                self.tell(relay.new, Standing::Behind);
            }
            let advertised = known == Some(Standing::Active) && self.standing(relay.old).is_none();
            if !there || advertised {
                self.end_relay(world, |other| {
                    (other.new, other.old) == (relay.new, relay.old)
                });
            }
        }
        for relay in &mut self.relays {
            let known = self
                .advertised
                .iter()
                .find(|advertised| advertised.addr == relay.new);
            // The peer has heard of it in another way.
            relay.ended |= known.is_some_and(|advertised| advertised.standing == Standing::Active);
        }
        let lost = |relay: &Relay| !relay.ended && !world.keyring.is_router(&relay.router);
        let lost: Vec<Addr> = self
            .relays
            .iter()
            .filter(|relay| lost(relay))
            .map(|relay| relay.new)
            .collect();
        for new in lost {
            self.end_to_end(new, "key-removed", world);
        }
    }

    /// When something is to be done about an old address.
    pub(crate) fn next_relay(&self) -> Option<Instant> {
        self.relays.iter().filter_map(Relay::next).min()
    }

    /// Asks the router again, ends what was not renewed, and looks whether the peer is still heard.
    pub(crate) fn relay_due(&mut self, world: &mut World) {
        let now = world.now;
        let (mut over, mut look) = (Vec::new(), false);
        for relay in &mut self.relays {
            if relay.ended {
                (relay.renew_at, relay.look_at) = (None, None);
            } else if relay.until <= now {
                over.push(relay.new);
            } else {
                if due(&mut relay.renew_at, now) && !self.prove.contains(&relay.new) {
                    self.prove.push(relay.new);
                }
                look |= due(&mut relay.look_at, now);
            }
        }
        for new in over {
            self.end_to_end(new, "expired", world);
        }
        if let (true, Entry::Id(id)) = (look, self.entry) {
            world.outputs.push_back(Output::Look(id));
        }
    }

    /// Whether the peer is heard: when something was sent, and nothing has come for two time-outs, it is told of the new
    /// address.
    pub(crate) fn relay_looked(&mut self, traffic: Traffic, world: &mut World) {
        let now = world.now;
        let time_out = self.time_out(world);
        let mut silent = Vec::new();
        for relay in self.relays.iter_mut().filter(|relay| !relay.ended) {
            if relay.look_at.is_some() {
                continue;
            }
            let Some(base) = relay.base else {
                (relay.base, relay.look_at) = (Some(traffic), Some(now.after(relay.pause)));
                continue;
            };
            let heard = traffic.received != base.received;
            let unanswered = !heard && traffic.sent != base.sent;
            if relay.doubted && unanswered {
                silent.push(relay.new);
                continue;
            }
            relay.doubted = unanswered;
            relay.pause = if unanswered {
                time_out
            } else {
                relay.pause.saturating_mul(2).min(LOOK_LAST)
            };
            if !unanswered {
                relay.base = Some(traffic);
            }
            relay.look_at = Some(now.after(relay.pause));
        }
        for new in &silent {
            self.end_to_end(*new, "silent", world);
        }
        if !silent.is_empty() {
            self.reconcile(world);
        }
    }

    /// Tells the peer of an address that a router stood in for; false when there is none.
    pub(crate) fn end_to_end(
        &mut self,
        new: Addr,
        reason: &'static str,
        world: &mut World,
    ) -> bool {
        let Some(relay) = self.relays.iter_mut().find(|relay| relay.new == new) else {
            return false;
        };
        if relay.ended {
            return false;
        }
        relay.ended = true;
        let old = relay.old;
        world.note(Note::EndToEnd { new, old, reason });
        self.drop_requests(world, |_, request| {
            request.from == new && request.replaces()
        });
        self.needs_hello = true;
        self.retry_at = None;
        if !self.prove.contains(&new) {
            self.prove.push(new);
        }
        true
    }
}
