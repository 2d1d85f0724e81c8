// SPDX-License-Identifier: GPL-2.0
//! Micro-mobility: a router near us answers a move in the peer's place, and brings what the peer sends to our old address
//! to the new one ([DIME-IFIP] section V-C, Fig. 8). The peer is told nothing, and knows the old address only.
//!
//! A router's word only suppresses the message to the peer: when nothing comes from the peer any more, or the lifetime ends
//! without another answer, the peer is told all the same. That is a HELLO from the new address, which routers let pass, and
//! an ADDR_DOWN of the old one.

use ihmp_core::addr::Addr;
use ihmp_core::grant::Grant;
use ihmp_core::time::{Duration, Instant};

use crate::advertised::{Advertisement, Standing};
use crate::endpoint::Endpoint;
use crate::io::{Traffic, Via};
use crate::keys::PublicKey;
use crate::request::Request;
use crate::world::World;

/// The longest pause between two looks whether the peer is still heard.
const LOOK_LAST: Duration = Duration::from_secs(10);

/// An address that the peer knows and that is ours through a router.
#[derive(Clone, Debug)]
struct Relay {
    /// Where the router brings what is sent to `old`.
    new: Addr,
    /// What the peer knows.
    old: Addr,
    /// Who said so.
    router: PublicKey,
    /// What it answered: the peer may have had it as well, and answers, too.
    request: Option<Request>,
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

/// What is to be done about relays now.
#[derive(Debug, Default)]
pub(crate) struct Due {
    /// New addresses whose relays were not renewed.
    pub(crate) over: Vec<Addr>,
    /// New addresses for which the router is asked again.
    pub(crate) renew: Vec<Addr>,
    /// The kernel is asked whether the peer is still heard.
    pub(crate) look: bool,
}

/// The relays of one peer.
#[derive(Debug, Default)]
pub(crate) struct Relays {
    list: Vec<Relay>,
}

impl Relays {
    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether a router brings something to this address.
    pub(crate) fn brings_to(&self, new: Addr) -> bool {
        self.list.iter().any(|relay| relay.new == new)
    }

    /// Whether a router keeps this old address.
    pub(crate) fn keeps(&self, old: Addr) -> bool {
        self.list.iter().any(|relay| relay.old == old)
    }

    /// The requests that routers answered, and that the peer may answer as well.
    pub(crate) fn requests(&self) -> impl Iterator<Item = &Request> + '_ {
        let requests = self.list.iter();
        requests.filter_map(|relay| relay.request.as_ref())
    }

    /// Takes the one of these that an ACK with this number, from there to here, answers.
    pub(crate) fn take_answered(&mut self, seqno: u16, by: Endpoint, to: Addr) -> Option<Request> {
        let answered = |request: &mut Request| request.is_answered(seqno, by, to);
        let mut relays = self.list.iter_mut();
        relays.find_map(|relay| relay.request.take_if(answered))
    }

    /// Adds the old addresses that are kept to own addresses, with the routes of the new ones.
    pub(crate) fn keep(&self, usable: &mut Vec<Via>, advertised: &Advertisement) {
        for relay in &self.list {
            if relay.ended && advertised.is_active(relay.new) {
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

    /// A router has granted this for so long in answer to a request; whether that is new. The peer is looked at after `pause`.
    pub(crate) fn grant(
        &mut self,
        grant: &Grant,
        seconds: u16,
        router: PublicKey,
        request: Option<Request>,
        pause: Duration,
        world: &mut World,
    ) -> bool {
        let (new, old) = (grant.new, grant.old);
        let lifetime = Duration::from_secs(seconds.into());
        let half = Duration::from_nanos(lifetime.as_nanos() / 2);
        let now = world.now;
        let until = now.after(lifetime);
        let renew_at = Some(now.after(world.jitter(half)));
        let same = |relay: &&mut Relay| (relay.new, relay.old) == (new, old) && !relay.ended;
        if let Some(known) = self.list.iter_mut().find(same) {
            (known.until, known.renew_at, known.request) = (until, renew_at, request);
            return false;
        }
        world.hold(old, new);
        self.end(world, |relay_new, relay_old| {
            relay_new == new || relay_old == old
        });
        self.list.push(Relay {
            new,
            old,
            router,
            request,
            until,
            renew_at,
            base: None,
            look_at: Some(now),
            pause,
            doubted: false,
            ended: false,
        });
        true
    }

    /// Gives up those for which `over` holds of the new and the old address.
    fn end(&mut self, world: &mut World, over: impl Fn(Addr, Addr) -> bool) {
        self.list.retain(|relay| {
            let over = over(relay.new, relay.old);
            if over {
                world.unhold(relay.old, relay.new);
            }
            !over
        });
    }

    /// Gives up those that bring something to this address.
    pub(crate) fn end_to(&mut self, new: Addr, world: &mut World) {
        self.end(world, |relay_new, _| relay_new == new);
    }

    /// Gives up all of them.
    pub(crate) fn clear(&mut self, world: &mut World) {
        self.end(world, |_, _| true);
    }

    /// Ends what has lost its ground: the new address, or the peer knows the new address and has forgotten the old one. The new
    /// addresses of those whose router's key was taken away.
    pub(crate) fn review(
        &mut self,
        advertised: &mut Advertisement,
        world: &mut World,
    ) -> Vec<Addr> {
        for relay in self.list.clone() {
            let there = world.own.is_real(relay.new);
            let known = advertised.standing(relay.new);
            if !there && known.is_none() {
                // The router has to hear that it is gone; what says so to the peer passes it.
                advertised.set(relay.new, Standing::Behind);
            }
            let told = known == Some(Standing::Active) && !advertised.is_known(relay.old);
            if !there || told {
                self.end(world, |new, old| (new, old) == (relay.new, relay.old));
            }
        }
        for relay in &mut self.list {
            // The peer has heard of it in another way.
            relay.ended |= advertised.is_active(relay.new);
        }
        let lost = |relay: &&Relay| !relay.ended && !world.keyring.is_router(&relay.router);
        let lost = self.list.iter().filter(lost);
        lost.map(|relay| relay.new).collect()
    }

    /// The peer is told of the new address, for which a router stood in; the old one. `None` when it is told already.
    pub(crate) fn end_to_end(&mut self, new: Addr) -> Option<Addr> {
        let relay = self.list.iter_mut().find(|relay| relay.new == new)?;
        if std::mem::replace(&mut relay.ended, true) {
            return None;
        }
        Some(relay.old)
    }

    /// When something is to be done.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.list.iter().filter_map(Relay::next).min()
    }

    /// What is to be done now.
    pub(crate) fn due(&mut self, now: Instant) -> Due {
        let mut all = Due::default();
        for relay in &mut self.list {
            if relay.ended {
                (relay.renew_at, relay.look_at) = (None, None);
            } else if relay.until <= now {
                all.over.push(relay.new);
            } else {
                if due(&mut relay.renew_at, now) {
                    all.renew.push(relay.new);
                }
                all.look |= due(&mut relay.look_at, now);
            }
        }
        all
    }

    /// Whether the peer is heard: new addresses at which something was sent, and nothing has come for two time-outs.
    pub(crate) fn looked(
        &mut self,
        traffic: Traffic,
        time_out: Duration,
        now: Instant,
    ) -> Vec<Addr> {
        let mut silent = Vec::new();
        for relay in self.list.iter_mut().filter(|relay| !relay.ended) {
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
        silent
    }
}
