// SPDX-License-Identifier: GPL-2.0
//! A foreign host: the parts of what is known of it, each of which has an owner.

use ihmp_core::addr::Addr;
use ihmp_core::time::{Duration, Instant};

use crate::advertised::{Advertisement, Standing};
use crate::announcements::Announcements;
use crate::endpoint::Endpoint;
use crate::io::{Key, State};
use crate::limits::MAX_ADVERTISED;
use crate::listing::{Entry, Listing};
use crate::note::Note;
use crate::peer::Peer;
use crate::received::Received;
use crate::relay::Relays;
use crate::request::Request;
use crate::requests::Requests;
use crate::session::Session;
use crate::sources::Sources;
use crate::trust::Trust;
use crate::validation::Validation;
use crate::world::World;

/// A foreign host.
#[derive(Debug)]
pub(crate) struct Host {
    key: Key,
    state: State,
    /// The kernel's entry of it.
    listing: Listing,
    /// By which key it is believed.
    trust: Trust,
    /// Its addresses.
    peer: Peer,
    /// At which of them it has shown that it hears us.
    validation: Validation,
    /// What it was told of our addresses.
    advertised: Advertisement,
    /// Own addresses from which it can be reached.
    sources: Sources,
    /// What it is to be told.
    announcements: Announcements,
    /// What is on the way to it.
    requests: Requests,
    /// How it and we know each other.
    session: Session,
    /// Old addresses that routers keep for us.
    relays: Relays,
}

impl Host {
    pub(crate) fn new(key: Key, entry: Entry, state: State, world: &mut World) -> Host {
        let limits = world.limits;
        Host {
            key,
            state,
            listing: Listing::new(entry, &limits),
            trust: Trust::default(),
            peer: Peer::default(),
            validation: Validation::new(&limits),
            advertised: Advertisement::default(),
            sources: Sources::default(),
            announcements: Announcements::new(&limits),
            requests: Requests::new(world.seqno()),
            session: Session::new(&limits),
            relays: Relays::default(),
        }
    }

    /// Its key in the engine.
    pub(crate) fn key(&self) -> Key {
        self.key
    }

    /// What is known about its signalling ability.
    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// It is found to take part, or not.
    pub(crate) fn set_state(&mut self, state: State) {
        self.state = state;
    }

    /// The kernel's entry of it.
    pub(crate) fn listing(&self) -> &Listing {
        &self.listing
    }

    /// The same, to change it.
    pub(crate) fn listing_mut(&mut self) -> &mut Listing {
        &mut self.listing
    }

    /// By which key it is believed.
    pub(crate) fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The same, to change it.
    pub(crate) fn trust_mut(&mut self) -> &mut Trust {
        &mut self.trust
    }

    /// Its addresses.
    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The same, to change them.
    pub(crate) fn peer_mut(&mut self) -> &mut Peer {
        &mut self.peer
    }

    /// At which of its addresses it has shown that it hears us.
    pub(crate) fn validation(&self) -> &Validation {
        &self.validation
    }

    /// The same, to change it.
    pub(crate) fn validation_mut(&mut self) -> &mut Validation {
        &mut self.validation
    }

    /// What it was told of our addresses.
    pub(crate) fn advertised(&self) -> &Advertisement {
        &self.advertised
    }

    /// The same, to change it.
    pub(crate) fn advertised_mut(&mut self) -> &mut Advertisement {
        &mut self.advertised
    }

    /// Own addresses from which it can be reached.
    pub(crate) fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The same, to change them.
    pub(crate) fn sources_mut(&mut self) -> &mut Sources {
        &mut self.sources
    }

    /// What it is to be told.
    pub(crate) fn announcements(&self) -> &Announcements {
        &self.announcements
    }

    /// The same, to change it.
    pub(crate) fn announcements_mut(&mut self) -> &mut Announcements {
        &mut self.announcements
    }

    /// What is on the way to it.
    pub(crate) fn requests(&self) -> &Requests {
        &self.requests
    }

    /// The same, to change it.
    pub(crate) fn requests_mut(&mut self) -> &mut Requests {
        &mut self.requests
    }

    /// How it and we know each other.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// The same, to change it.
    pub(crate) fn session_mut(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Old addresses that routers keep for us.
    pub(crate) fn relays(&self) -> &Relays {
        &self.relays
    }

    /// The same, to change them.
    pub(crate) fn relays_mut(&mut self) -> &mut Relays {
        &mut self.relays
    }

    /// An address to name the host by in the log.
    pub(crate) fn name(&self) -> Addr {
        let heard = self.peer.heard();
        let name = heard.or(self.peer.reach().next());
        name.unwrap_or(Addr::UNSPECIFIED)
    }

    /// Whether the administrator manages it.
    pub(crate) fn is_managed(&self) -> bool {
        self.listing.is_managed()
    }

    /// Whether it takes part, and is not the administrator's.
    pub(crate) fn takes_part(&self) -> bool {
        self.state == State::Up && !self.is_managed()
    }

    /// Whether it has a key, or has shown that it hears us: then it is no stranger.
    pub(crate) fn is_met(&self) -> bool {
        !self.trust.is_unbound() || self.validation.has_any()
    }

    /// Usable addresses that the peer confirmed, best first.
    pub(crate) fn proven(&self) -> impl Iterator<Item = Addr> + '_ {
        self.sources.proven(&self.advertised)
    }

    /// Whether the peer knows us by as many addresses as a message can name, and not by this one: by more, each message would
    /// take some away.
    pub(crate) fn is_told_enough(&self, addr: Addr) -> bool {
        !self.advertised.is_active(addr) && self.proven().count() >= MAX_ADVERTISED
    }

    /// Whether this is an address that only a router knows of: not to be told to the peer.
    pub(crate) fn is_behind(&self, addr: Addr) -> bool {
        self.relays.brings_to(addr) && !self.advertised.is_known(addr)
    }

    /// The requests that an ACK may answer: those on their way, and those that a router answered, or rejected.
    pub(crate) fn open_requests(&self) -> impl Iterator<Item = &Request> + '_ {
        let out = self.requests.out().iter();
        let rejected = self.sources.rejected().requests();
        out.chain(self.relays.requests()).chain(rejected)
    }

    /// Takes the one of them that an ACK with this number, from there to here, answers.
    pub(crate) fn take_answered(&mut self, seqno: u16, by: Endpoint, to: Addr) -> Option<Request> {
        let answered = self.requests.take_answered(seqno, by, to);
        let relays = &mut self.relays;
        let answered = answered.or_else(|| relays.take_answered(seqno, by, to));
        let rejected = self.sources.rejected_mut();
        answered.or_else(|| rejected.take_answered(seqno, by, to))
    }

    /// Whether the peer is being told that one of our addresses does not work, or will be.
    pub(crate) fn reports(&self, addr: Addr) -> bool {
        self.requests.reports(addr) || self.announcements.reports(addr)
    }

    /// The peer is not told any more that one of our addresses does not work.
    pub(crate) fn end_report(&mut self, addr: Addr, world: &mut World) {
        self.announcements.end_report(addr);
        let reports = |request: &Request| request.contents().new == Some(addr);
        self.requests.drop(world, reports);
    }

    /// The peer says which addresses it has, besides the source.
    pub(crate) fn restate(&mut self, source: Endpoint, listed: &[Addr]) {
        self.peer.restate(source, listed);
        self.validation.restated(source);
    }

    /// The peer's addresses are its source and the listed ones, no others.
    pub(crate) fn replace(&mut self, source: Endpoint, listed: &[Addr], unreachable: &[Addr]) {
        self.peer.replace(source, listed, unreachable);
        self.validation.restated(source);
    }

    /// The peer was heard.
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

    /// The peer was seen to send from there, to `local`, which proves nothing.
    pub(crate) fn try_out(&mut self, addr: Addr, local: Addr, world: &mut World) {
        if !self.is_managed() {
            self.validation.try_out(addr, local, world);
        }
    }

    /// Whether a message from there, where it has not been proven, has to wait for the proof.
    pub(crate) fn must_prove(&self, received: &Received<'_>, now: Instant) -> bool {
        let copied = self.peer.nat().was_copied(received);
        let keyed = !self.trust.is_unbound();
        self.validation
            .must_prove(received.from, keyed, copied, now)
    }

    /// Takes what an ACK says of a NAT in front of us.
    pub(crate) fn note_nat(&mut self, received: &Received<'_>) {
        let new = self.state == State::New;
        self.sources.hidden_mut().note(received, new);
    }

    /// The peer acknowledged what was sent from this address of ours. It `detected` a NAT in front of it, or none.
    pub(crate) fn acknowledged(&mut self, addr: Addr, detected: bool) {
        if detected {
            self.advertised.set(addr, Standing::Unreachable);
            return;
        }
        self.sources.hidden_mut().show(addr);
        self.advertised.confirm(addr);
    }

    /// Puts those addresses of the peer first that our best one reaches.
    pub(crate) fn order_active(&mut self, world: &World) {
        let usable = self.sources.usable();
        self.peer.order_active(|peer| {
            let mut usable = usable.iter();
            let best = usable.find(|via| via.local.family() == peer.family());
            best.is_some_and(|best| world.routes.misses(best.local, *peer))
        });
    }

    /// Gives up requests from addresses that cannot be used any more.
    pub(crate) fn drop_unusable(&mut self, world: &mut World) {
        let sources = &self.sources;
        let gone = |request: &Request| !sources.has(request.from());
        self.requests.drop(world, gone);
    }

    /// The addresses of the peer changed, or ours: what is asked about them.
    pub(crate) fn review_validation(&mut self, world: &World) {
        let takes_part = self.takes_part();
        self.validation.review(&self.peer, takes_part, world);
    }

    /// Own addresses from which it could not be reached, and which it has confirmed since, with the time for which that was so.
    pub(crate) fn review_dead(&mut self, world: &World) -> Vec<(Addr, Duration)> {
        let advertised = &self.advertised;
        let dead = self.sources.dead_mut();
        let ours = |addr| world.own.has(addr);
        dead.review(ours, |addr| advertised.is_active(addr), world.now)
    }

    /// Takes note of which own addresses came, went and were deprecated since the kernel was told.
    pub(crate) fn review_left(&mut self, world: &World) {
        let before = self.listing.published();
        self.sources.review_left(before, &self.advertised, world);
    }

    /// Nothing came back from an own address that was announced.
    pub(crate) fn retry_awaited(&mut self, addr: Addr, world: &mut World) {
        self.sources.retry(addr, &self.advertised, world);
    }

    /// Has own addresses announced again when it is time.
    pub(crate) fn awaited_due(&mut self, world: &World) {
        let due = self.sources.due(&self.advertised, world);
        self.announcements.announce_all(due);
    }

    /// Ends relays that have lost their ground; the new addresses of those whose router is not believed any more.
    pub(crate) fn review_relays(&mut self, world: &mut World) -> Vec<Addr> {
        self.relays.review(&mut self.advertised, world)
    }

    /// Ends rejections that have lost their ground, and those whose time is over: it is tried again.
    pub(crate) fn review_rejected(&mut self, world: &World) {
        let rejected = self.sources.rejected_mut();
        let mut ended = rejected.expire(world.now);
        ended.extend(rejected.review(&self.advertised, world));
        self.announcements.announce_all(ended);
    }

    /// Starts what begins now and ends what is over.
    pub(crate) fn review_lifetime(&mut self, world: &World) {
        let now = world.now;
        self.peer.expire(now, now.after(world.limits.hosts.alias));
        let up = self.state == State::Up;
        self.listing.review_lifetime(up, world);
    }

    /// The peer is at no address that we know of: it is asked at each that it said it has. `local` is our address that it knows.
    pub(crate) fn ask_everywhere(&mut self, local: Addr, world: &mut World) {
        if self.validation.ask_everywhere(&self.peer, local, world) {
            self.announcements.part();
        }
    }

    /// It is left alone for a while.
    pub(crate) fn leave_classic(&mut self, peer: Addr, reason: &'static str, world: &mut World) {
        self.requests.drop(world, |_| true);
        self.state = State::Classic;
        world.note(Note::Classic { peer, reason });
    }

    /// Whether a new host can be greeted and is not.
    pub(crate) fn wants_greeting(&self) -> bool {
        let idle = self.state == State::New && self.requests.is_empty();
        idle && !self.is_managed() && !self.sources.is_empty()
    }

    /// Takes over what is known of the same peer under another entry.
    pub(crate) fn merge(&mut self, mut other: Host) {
        self.peer.merge(&other.peer);
        self.validation.merge(&other.validation);
        // What the peer was told before it forgot us is announced again.
        let mut forgotten = Vec::new();
        if other.session.was_forgotten(&self.session) {
            forgotten = other.advertised.forget();
        } else if self.session.was_forgotten(&other.session) {
            forgotten = self.advertised.forget();
            self.advertised.take_names(&other.advertised);
            self.requests.go_on_at(other.requests.next_seqno());
        }
        self.advertised.merge(&other.advertised);
        self.announcements.announce_all(forgotten);
        let window = self.session.window_mut();
        window.merge(other.session.window());
        self.state = State::Up;
        self.sources.merge(&other.sources);
        self.requests.merge(other.requests);
    }

    /// The next moment at which something is to be done.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        let parts = [
            self.requests.next(),
            self.announcements.next(),
            self.session.next(),
            self.validation.next(),
            self.peer.next(),
            self.listing.next(),
            self.sources.next(),
            self.relays.next(),
        ];
        parts.into_iter().flatten().min()
    }
}
