// SPDX-License-Identifier: GPL-2.0
//! A foreign host: its addresses, what it was told of ours, and what is on the way.

use ihmp_core::addr::{Addr, Scope};
use ihmp_core::message::{Control, Options, MAX_ADDRESSES};
use ihmp_core::time::{Duration, Instant};

use crate::bucket::Bucket;
use crate::endpoint::Endpoint;
use crate::hidden::Hidden;
use crate::io::{Age, Change, Key, Local, Output, Record, State, Via};
use crate::keys::PublicKey;
use crate::left::Left;
use crate::lifetime::Lifetime;
use crate::limits::MAX_ADVERTISED;
use crate::peer::Peer;
use crate::received::Received;
use crate::relay::Relay;
use crate::request::Request;
use crate::seqno::Window;
use crate::share::Network;
use crate::validation::Validation;
use crate::world::{Answer, World};

/// What is added to the preference of an own address that works in a shared network only.
const SHARED: u16 = 20;
/// What is added to that of a deprecated one where there is another.
const AGED: u16 = 40;

/// What the peer holds one of our addresses for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It acknowledged a message from it, or sent us one to it.
    Active,
    /// It was told of it; it is in its unreachable set.
    Unreachable,
    /// It was told that the address came or went, but has not acknowledged it.
    Maybe,
    /// Only the router knew this address; it is gone, and the peer never heard of it.
    Behind,
}

/// One of our addresses that the peer was told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Advertised {
    pub(crate) addr: Addr,
    pub(crate) standing: Standing,
}

/// Where the kernel's entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It was asked for.
    Asked,
    /// It has this number.
    Id(u32),
}

/// An address that could not be proven, to be reported from another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) addr: Addr,
    /// The lost address, when it was announced by a hand-off.
    pub(crate) old: Option<Addr>,
}

/// An ACK that waits until the kernel has made the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) from: Addr,
    pub(crate) to: Endpoint,
    pub(crate) options: Options,
    pub(crate) seqno: u16,
    /// Octets of the HELLO.
    pub(crate) asked: usize,
    pub(crate) answer: Answer,
}

/// A foreign host.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) key: Key,
    pub(crate) entry: Entry,
    pub(crate) state: State,
    /// The network of which it is counted, when it came by itself.
    pub(crate) share: Option<Network>,
    /// The administrator's; left alone.
    pub(crate) managed: bool,

    /// The peer's key: nobody else speaks for it.
    pub(crate) peer_key: Option<PublicKey>,
    /// The own key that is used towards it.
    pub(crate) own: Option<PublicKey>,
    /// Who greeted from its address without having shown that it hears us, and the last timestamp of that.
    pub(crate) greeted_by: Option<(PublicKey, u64)>,
    /// What it wants to see before it believes that we hear it: own address, its address, timestamp.
    pub(crate) challenges: Vec<(Addr, Endpoint, u64)>,

    /// Its addresses.
    pub(crate) peer: Peer,
    /// At which of them it has shown that it hears us.
    pub(crate) validation: Validation,
    pub(crate) window: Window,
    /// The timestamp of the last request accepted, or HELLO that named all addresses; 0 for one that was not signed.
    pub(crate) newest_stamp: u64,

    // What the peer knows of us.
    pub(crate) advertised: Vec<Advertised>,
    /// The last own address that it confirmed: it names us.
    pub(crate) anchor: Option<Addr>,
    /// The one before.
    pub(crate) former: Option<Addr>,
    pub(crate) next_seqno: u16,
    /// When it last acknowledged a greeting, or made itself known by one: then it knew us.
    pub(crate) met_at: Option<Instant>,
    /// When it last answered a greeting as one that does not know our key.
    pub(crate) strange_at: Option<Instant>,
    /// The number of its last HELLO, if it greeted us as a stranger and we knew it.
    pub(crate) strange_hello: Option<u16>,
    /// It does not know where our counter stands.
    pub(crate) needs_hello: bool,
    /// It knows us by a temporary address, or by a stable one.
    pub(crate) by_temporary: Option<bool>,
    /// It was a stranger when we greeted each other: what it may be told of our addresses is yet to be said.
    pub(crate) owes_list: bool,

    // What is on the way.
    /// Own addresses from which it can be reached, best first.
    pub(crate) usable: Vec<Via>,
    /// Own addresses that its older flows use no longer.
    pub(crate) left: Left,
    /// There was none, and what came since was not told.
    pub(crate) apart: bool,
    /// Own addresses to be proven.
    pub(crate) prove: Vec<Addr>,
    pub(crate) report: Vec<Report>,
    /// Old addresses that a router keeps for us.
    pub(crate) relays: Vec<Relay>,
    pub(crate) outstanding: Vec<Request>,
    /// The last request that carried a list of addresses.
    pub(crate) newest_list: Option<u16>,
    pub(crate) replies: Vec<Reply>,
    /// When an unanswered change is signalled again.
    pub(crate) retry_at: Option<Instant>,
    pub(crate) retry_after: Duration,
    /// When it is to be greeted; its turn may come later.
    pub(crate) greet_at: Option<Instant>,
    /// It waits in the queue of the engine.
    pub(crate) queued: bool,
    /// How long it is left alone when it is classic.
    pub(crate) classic_for: Duration,
    pub(crate) smoothed: Option<Duration>,
    /// How often it may be told that its number is wrong.
    pub(crate) wrong: Bucket,
    /// IS answers in a row.
    pub(crate) resyncs: u32,

    pub(crate) lifetime: Lifetime,
    /// NATs in front of us that it sees.
    pub(crate) hidden: Hidden,

    // What others hold of it.
    pub(crate) published: Option<Record>,
    /// It has lost addresses of which it is not known since when.
    pub(crate) doubt: bool,
    /// Addresses of NATs whose routes are kept for it.
    pub(crate) routed: Vec<Addr>,
    /// Names under which the index knows it.
    pub(crate) indexed: Vec<Addr>,
    /// When the timer table will wake it.
    pub(crate) wake: Option<Instant>,
}

impl Host {
    pub(crate) fn new(key: Key, entry: Entry, state: State, world: &mut World) -> Host {
        Host {
            key,
            entry,
            state,
            share: None,
            managed: false,
            peer_key: None,
            own: None,
            greeted_by: None,
            challenges: Vec::new(),
            peer: Peer::default(),
            validation: Validation::new(&world.limits),
            window: Window::default(),
            newest_stamp: 0,
            advertised: Vec::new(),
            anchor: None,
            former: None,
            next_seqno: world.seqno(),
            met_at: None,
            strange_at: None,
            strange_hello: None,
            needs_hello: false,
            by_temporary: None,
            owes_list: false,
            usable: Vec::new(),
            left: Left::default(),
            apart: false,
            prove: Vec::new(),
            report: Vec::new(),
            relays: Vec::new(),
            outstanding: Vec::new(),
            newest_list: None,
            replies: Vec::new(),
            retry_at: None,
            retry_after: world.limits.retry_first,
            greet_at: None,
            queued: false,
            classic_for: world.limits.classic,
            smoothed: None,
            wrong: Bucket::new(world.limits.wrong_host),
            resyncs: 0,
            lifetime: Lifetime::default(),
            hidden: Hidden::default(),
            routed: Vec::new(),
            published: None,
            doubt: false,
            indexed: Vec::new(),
            wake: None,
        }
    }

    /// An address to name the host by in the log.
    pub(crate) fn name(&self) -> Addr {
        self.peer
            .heard()
            .or(self.peer.reach().next())
            .unwrap_or(Addr::UNSPECIFIED)
    }

    pub(crate) fn standing(&self, addr: Addr) -> Option<Standing> {
        self.advertised
            .iter()
            .find(|advertised| advertised.addr == addr)
            .map(|advertised| advertised.standing)
    }

    pub(crate) fn tell(&mut self, addr: Addr, standing: Standing) {
        match self
            .advertised
            .iter_mut()
            .find(|advertised| advertised.addr == addr)
        {
            Some(advertised) => advertised.standing = standing,
            None => self.advertised.push(Advertised { addr, standing }),
        }
    }

    /// Whether the peer has forgotten what it was told here: later it answered the greeting of `other`, which is the same peer at
    /// another address, as one that does not know our key.
    pub(crate) fn was_forgotten(&self, other: &Host) -> bool {
        other.strange_at.is_some() && self.met_at < other.strange_at
    }

    /// The peer knows us by this address.
    pub(crate) fn confirm(&mut self, addr: Addr) {
        self.tell(addr, Standing::Active);
        if self.anchor != Some(addr) {
            self.former = self.anchor;
            self.anchor = Some(addr);
        }
    }

    pub(crate) fn is_usable(&self, addr: Addr) -> bool {
        self.usable.iter().any(|via| via.local == addr)
    }

    /// Usable addresses that the peer confirmed, best first.
    pub(crate) fn proven(&self) -> impl Iterator<Item = Addr> + '_ {
        let usable = self.usable.iter().map(|via| via.local);
        usable.filter(|addr| self.standing(*addr) == Some(Standing::Active))
    }

    /// Whether the peer knows us by as many addresses as a message can name, and not by this one: by more, each message would
    /// take some away.
    pub(crate) fn is_told_enough(&self, addr: Addr) -> bool {
        self.standing(addr) != Some(Standing::Active) && self.proven().count() >= MAX_ADVERTISED
    }

    /// A greeting names its addresses.
    pub(crate) fn restate(&mut self, source: Endpoint, listed: &[Addr]) {
        self.peer.restate(source, listed);
        self.validation.restated(source);
    }

    /// Its addresses are its source and the listed ones, no others.
    pub(crate) fn replace(&mut self, source: Endpoint, listed: &[Addr], unreachable: &[Addr]) {
        self.peer.replace(source, listed, unreachable);
        self.validation.restated(source);
    }

    /// It was heard.
    pub(crate) fn heard_at(&mut self, received: &Received<'_>, world: &mut World) {
        let Received {
            from, to, signer, ..
        } = *received;
        if received.endpoint.is_behind() {
            return self.peer.nat_mut().heard(received);
        }
        self.peer.activate(from);
        if signer.is_some_and(|signer| signer.proven) {
            self.validation.validate(from);
        } else {
            self.try_out(from, to, world);
        }
        self.peer.hear(from);
    }

    /// Whether the routes to all addresses in use are known.
    pub(crate) fn is_routed(&self, world: &World) -> bool {
        self.peer
            .reach()
            .all(|addr| world.routes.contains_key(&addr))
    }

    /// Own addresses from which an active address of the peer can be reached, best first.
    pub(crate) fn find_usable(&self, world: &World) -> Vec<Via> {
        let mut usable: Vec<Via> = Vec::new();
        let ours = world.real().iter();
        for local in ours.filter(|local| self.may_use(**local, world)) {
            let routes = self.peer.reach().filter_map(|peer| world.routes.get(&peer));
            let mine = routes.flatten();
            let mine = mine.filter(|via| via.local == *local && !via.diverted);
            if let Some(preference) = mine.map(|via| via.preference).min() {
                // What reaches only some of its addresses, in a network that we share, is good for nothing else.
                let partial = self
                    .peer
                    .active()
                    .iter()
                    .any(|peer| world.misses(*local, *peer));
                let shared = partial && local.scope() == Scope::Private;
                let more = if shared { SHARED } else { 0 };
                let through = self.peer.reach().filter_map(|peer| world.routes.get(&peer));
                let best = through.flatten().find(|via| {
                    via.local == *local && via.preference == preference && !via.diverted
                });
                usable.push(Via {
                    local: *local,
                    preference: preference.saturating_add(more),
                    device: best.and_then(|via| via.device),
                    diverted: false,
                });
            }
        }
        let ages: Vec<(Addr, bool)> = usable
            .iter()
            .map(|via| (via.local, world.age(via.local) != Age::Preferred))
            .collect();
        for via in &mut usable {
            let better = |(addr, aged): &(Addr, bool)| !aged && addr.family() == via.local.family();
            if ages.contains(&(via.local, true)) && ages.iter().any(better) {
                via.preference = via.preference.saturating_add(AGED);
            }
        }
        self.keep_relayed(&mut usable);
        usable.sort_by_key(|via| via.preference);
        usable
    }

    /// Whether this own address is deprecated and there is another one: the peer need not be told of it.
    pub(crate) fn is_spare(&self, addr: Addr, world: &World) -> bool {
        let better =
            |other: Addr| other.family() == addr.family() && world.age(other) == Age::Preferred;
        world.age(addr) != Age::Preferred
            && match self.peer.speaks(addr.family()) {
                true => self.usable.iter().any(|via| better(via.local)),
                false => world.real().iter().any(|other| better(*other)),
            }
    }

    /// Puts those addresses first that our best one reaches: of equal paths the kernel takes the first.
    pub(crate) fn order_active(&mut self, world: &World) {
        let usable = &self.usable;
        let missed = |peer: &Addr| {
            let best = usable
                .iter()
                .find(|via| via.local.family() == peer.family());
            best.is_some_and(|best| world.misses(best.local, *peer))
        };
        self.peer.order_active(missed);
    }

    /// Our addresses that the peer may know: those that it holds for active, then others that it was told of, then the rest
    /// by preference, so that the first ones are always the same.
    ///
    /// In a family in which the peer is reached, those with a route to it; in the other, all: of these, what it may be told.
    fn tellable(&self, world: &World) -> Vec<Addr> {
        let mut list: Vec<Addr> = Vec::new();
        let usable = self.usable.iter().map(|via| via.local);
        let quiet = world
            .real()
            .iter()
            .copied()
            .filter(|addr| !self.peer.speaks(addr.family()));
        for addr in usable.chain(self.diverted(world)).chain(quiet) {
            let known = list.contains(&addr) || self.is_behind(addr);
            let active = self.standing(addr) == Some(Standing::Active);
            let worth = active || !self.is_spare(addr, world);
            if !known && self.may_tell(addr, world) && worth {
                list.push(addr);
            }
        }
        list.sort_by_key(|addr| match self.standing(*addr) {
            Some(Standing::Active) => 0,
            Some(_) => 1,
            None => 2,
        });
        list
    }

    /// Our addresses as the peer should know them, as many as can be told, the most important ones first.
    pub(crate) fn list(&self, world: &World) -> Vec<Addr> {
        let mut list = self.tellable(world);
        list.truncate(MAX_ADVERTISED);
        list
    }

    /// Addresses that the peer was told of and should forget: those that cannot wait for the next message.
    pub(crate) fn lost(&self, world: &World) -> Vec<Advertised> {
        let list = self.tellable(world);
        let gone = self
            .advertised
            .iter()
            .filter(|advertised| !list.contains(&advertised.addr));
        gone.filter(|advertised| self.peer.speaks(advertised.addr.family()))
            .copied()
            .collect()
    }

    /// Where to send to from one of our addresses: the address last heard from, the other active ones, then those that
    /// may have become reachable; those to which there is no route from there come last.
    pub(crate) fn targets(&self, from: Addr, control: Control, world: &World) -> Vec<Endpoint> {
        let heard = self.peer.heard();
        let mut targets: Vec<Endpoint> = Vec::new();
        let known = heard.iter().chain(self.peer.active());
        let more = self
            .peer
            .unreachable()
            .iter()
            .filter(|_| control != Control::Hello || self.state == State::Up);
        let direct = |addr: &Addr| Endpoint::direct(*addr);
        let behind = self.peer.nat().endpoints_from(from);
        for to in known.map(direct).chain(behind).chain(more.map(direct)) {
            if to.addr.family() == from.family() && !targets.contains(&to) {
                targets.push(to);
            }
        }
        targets.sort_by_key(|to| world.misses(from, to.addr));
        targets.truncate(4);
        targets
    }

    /// The complete sets for the kernel.
    ///
    /// While an address is being proven, data stays with those that work: nobody knows yet whether the new network does.
    /// Where none works, it has the preference that the routes give it, also when nobody tries it yet: without it, what
    /// goes on unchanged now would be dropped for want of a path.
    pub(crate) fn record(&self, world: &World) -> Record {
        let mut local = Vec::new();
        for via in &self.usable {
            let nat = self.is_hidden(via.local);
            let unproven = !nat && self.standing(via.local) != Some(Standing::Active);
            let tried = self.prove.contains(&via.local)
                || self
                    .outstanding
                    .iter()
                    .any(|request| request.from == via.local);
            let family = via.local.family();
            let spare = self.proven().any(|addr| addr.family() == family);
            let idle = !tried && spare && self.state == State::Up;
            let awaits = self.awaits_router(via.local, world) || self.awaits_nat(via.local);
            if unproven && (idle || awaits) {
                continue;
            }
            local.push(Local {
                addr: via.local,
                preference: via.preference,
                unproven,
                nat,
                left: self.is_left(via.local),
                device: via.device,
            });
        }
        for addr in self.diverted(world) {
            local.push(Local {
                addr,
                preference: u16::MAX,
                unproven: false,
                nat: true,
                left: false,
                device: None,
            });
        }
        local.sort_by_key(|local| (local.unproven, local.preference));
        local.truncate(MAX_ADDRESSES);
        let nats = self.peer.nats();
        let claims = self.peer.unreachable().iter().copied();
        let unreachable = claims.filter(|addr| !nats.contains(addr)).collect();
        Record {
            state: self.state,
            active: self.peer.active().to_vec(),
            unvalidated: self.validation.unvalidated(&self.peer),
            nats,
            unreachable,
            local,
            expires: (self.state == State::Classic).then_some(self.classic_for),
        }
    }

    /// Tells the kernel what changed.
    pub(crate) fn publish(&mut self, world: &mut World) {
        let Entry::Id(id) = self.entry else {
            return;
        };
        // A host that is being asked stays as the module made it.
        if self.managed || self.state == State::New {
            return;
        }
        self.review_left(world);
        let record = self.record(world);
        if self.published.as_ref() != Some(&record) {
            self.published = Some(record.clone());
            let doubt = std::mem::take(&mut self.doubt);
            world
                .outputs
                .push_back(Output::Table(Change::Set { id, record, doubt }));
        }
    }

    /// Asks the kernel for an entry.
    pub(crate) fn make(&mut self, world: &mut World) {
        let record = self.record(world);
        self.published = Some(record.clone());
        world.outputs.push_back(Output::Table(Change::New {
            key: self.key,
            record,
            former: self.peer.alias().to_vec(),
        }));
    }

    /// Whether a new host can be greeted and is not.
    pub(crate) fn wants_greeting(&self) -> bool {
        let idle = self.state == State::New && self.outstanding.is_empty();
        idle && !self.managed && !self.usable.is_empty()
    }

    /// Asks for the routes to addresses that became active.
    pub(crate) fn ask(&self, world: &mut World) {
        for addr in self.peer.active() {
            if !world.routes.contains_key(addr) {
                world.outputs.push_back(Output::Ask(*addr));
            }
        }
        for addr in self.peer.nat().routes() {
            if !world.routes.contains_key(&addr) {
                world.waiting.push((addr, self.key));
                world.outputs.push_back(Output::Ask(addr));
            }
        }
    }

    /// The next moment at which something is to be done.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        let requests = self.outstanding.iter().map(|request| request.due);
        let others = self.retry_at.into_iter().chain(self.greet_at);
        let others = others
            .chain(self.validation.next())
            .chain(self.peer.next())
            .chain(self.lifetime.next())
            .chain(self.left.next())
            .chain(self.next_kept())
            .chain(self.next_relay());
        requests.chain(others).min()
    }
}
