// SPDX-License-Identifier: GPL-2.0
//! NAT ([DIME-IFIP] section V-D, Fig. 9): messages that pass the machine's NAT are marked, and show who is behind it and
//! with whom it signals; peers are told of the mappings of those hosts.
//!
//! A message is looked at twice. As it is forwarded, its source is the host's own: that is noted. As it leaves, the NAT has
//! exchanged the source, and the host is the one that it names; only if it was noted, it is that host that sent it.

mod crossing;
mod exchange;
mod handling;
mod looks;
mod mappings;
mod peers;
mod pending;
mod places;
mod request;
mod teller;
mod timers;

use std::collections::{BTreeMap, BTreeSet};

use ihmp_core::addr::Addr;
use ihmp_core::entry::Lease;
use ihmp_core::message::{Control, Message, Options};
use ihmp_core::time::{Duration, Instant};
use ihmp_engine::{Moment, PublicKey};

use crate::io::{Event, NatConfig, Note, Output, Pair, Passing, Reason, Translation, Verdict};
use crate::networks::Networks;
use crate::outbox::Outbox;
use crate::table::Table;
use crate::verifier::Verifier;
use crossing::Crossing;
use exchange::Exchange;
pub(crate) use handling::Handling;
use looks::Looks;
use mappings::Mappings;
use peers::Peers;
use pending::Pending;
use request::{name_of, Cause};
use teller::Teller;
use timers::Timers;

/// How long a pair is remembered after the last message, and how long when the peer has not answered yet.
const REMEMBERED: Duration = Duration::from_secs(600);
const UNHEARD: Duration = Duration::from_secs(30);

/// What a host behind the NAT has said to a peer, as the peer sees it.
#[derive(Clone, Copy, Debug)]
struct Said {
    pair: Pair,
    /// The address of the NAT from which it comes.
    outside: Addr,
    key: PublicKey,
    /// Whom a host greets may not take part; to whom it says anything else does.
    greets: bool,
}

/// The NAT's side of all pairs of a host behind it and a peer.
///
/// # Invariants
///
/// `timers` has each pair. `peers` has the peers of live pairs. `pending` has the requests that are out.
#[derive(Debug)]
pub(crate) struct Nat {
    /// Seconds for which a mapping is told.
    lifetime: u16,
    mappings: Mappings,
    timers: Timers,
    peers: Peers,
    pending: Pending,
    looks: Looks,
    crossing: Crossing,
}

impl Nat {
    /// A NAT behind which nobody is yet.
    pub(crate) fn new(config: NatConfig) -> Nat {
        Nat {
            lifetime: config.lifetime.max(2),
            mappings: Mappings::new(config),
            timers: Timers::default(),
            peers: Peers::new(config.sent),
            pending: Pending::default(),
            looks: Looks::default(),
            crossing: Crossing::default(),
        }
    }

    /// When something is due.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let wake = self.timers.next();
        wake.into_iter().chain(self.looks.next()).min()
    }

    /// How many pairs and mappings there are, and how many NAT_ENTRYs were acknowledged.
    pub(crate) fn sizes(&self) -> [u64; 3] {
        let [pairs, leases] = self.mappings.sizes();
        [pairs, leases, self.pending.acknowledged()]
    }

    /// Takes note of a message on its way through, by the device to which its source belongs.
    pub(crate) fn crossing(
        &mut self,
        networks: &Networks,
        table: &Table,
        passing: &Passing<'_>,
        message: &Message<'_>,
    ) {
        let Passing {
            device, from, to, ..
        } = *passing;
        let signature = message.signature.as_ref();
        let Some(block) = signature.and_then(|signature| signature.ed25519()) else {
            return;
        };
        let away = || table.route(from).map(|route| route.device);
        let link = networks.link(from);
        let by = link.is_none_or(|link| link.device == device) || away() == Some(device);
        if by && message.addresses.as_slice().first() == Some(&from) {
            self.crossing.came(from, to, block.timestamp);
        }
    }

    /// What is done with a message that leaves and passes the NAT.
    pub(crate) fn translated(
        &mut self,
        at: Moment,
        table: &mut Table,
        verifier: &mut Verifier,
        outbox: &mut Outbox,
        passing: &Passing<'_>,
    ) -> Result<Verdict, Reason> {
        let Passing {
            from, to, bytes, ..
        } = *passing;
        let message = Message::parse(bytes).map_err(Reason::Malformed)?;
        let signature = message.signature.as_ref();
        let block = signature.and_then(|signature| signature.ed25519());
        let host = *message
            .addresses
            .as_slice()
            .first()
            .ok_or(Reason::Payload)?;
        let greets =
            message.control == Control::Hello && !message.options.has(Options::INCORRECT_SEQNO);
        if host == from {
            // It comes in: the peer has exchanged nothing.
            if let Some(block) = &block {
                verifier.remember((from, to, message.seqno), block.timestamp);
            }
            let asks =
                message.control == Control::Ack && message.options.has(Options::INCORRECT_SEQNO);
            let pair = Pair {
                host: to,
                peer: from,
            };
            if !asks {
                let handling = &mut Handling::new(at, table, outbox);
                self.peer_spoke(handling, pair, greets);
            }
            return Ok(Verdict::Mark);
        }
        let block = block.ok_or(Reason::Unsigned)?;
        if !self.crossing.left(host, to, block.timestamp) {
            return Err(Reason::Source);
        }
        let key = PublicKey(*block.key);
        if table.key(host) == Some(key) {
            table.touch(host);
        } else {
            // What answers something that we have not seen cannot be verified; the next one can.
            let Some(echoes) = verifier.echoes(host, to, &message) else {
                return Ok(Verdict::Mark);
            };
            verifier.authenticate(at.now, table, passing, &block, &echoes)?;
            table.at_home(outbox, host, key, block.timestamp)?;
        }
        let said = Said {
            pair: Pair { host, peer: to },
            outside: from,
            key,
            greets,
        };
        self.host_spoke(&mut Handling::new(at, table, outbox), said)?;
        Ok(Verdict::Mark)
    }

    /// A host behind the NAT has said something to a peer.
    fn host_spoke(&mut self, handling: &mut Handling<'_>, said: Said) -> Result<(), Reason> {
        let now = handling.now();
        let Said { pair, outside, .. } = said;
        let before = self.mappings.get(pair).map(Exchange::nat);
        match before {
            None => {
                if !self.mappings.add(pair, outside) {
                    return Err(Reason::PairLimit);
                }
                self.timers.set(pair, now);
            }
            Some(before) if before != outside => {
                self.clear(pair, outside);
                self.looks.want(pair);
            }
            Some(_) => (),
        }
        let Some(exchange) = self.mappings.get_mut(pair) else {
            return Ok(());
        };
        let live = exchange.is_live();
        // Another key is another host, to the peer as well.
        let other = exchange.set_key(said.key);
        let remembered = if live || !said.greets {
            REMEMBERED
        } else {
            UNHEARD
        };
        exchange.keep_until(now.after(remembered));
        if !live && !said.greets {
            self.begin(handling, pair);
        } else if live && (said.greets || other) {
            self.looks.want(pair);
        }
        self.advance(handling, pair);
        Ok(())
    }

    /// A peer has said something to a host behind the NAT, other than that it does not know it.
    fn peer_spoke(&mut self, handling: &mut Handling<'_>, pair: Pair, greets: bool) {
        let Some(exchange) = self.mappings.get_mut(pair) else {
            return;
        };
        exchange.keep_until(handling.now().after(REMEMBERED));
        exchange.resume();
        if !exchange.is_live() {
            self.begin(handling, pair);
        } else if greets {
            self.looks.want(pair);
        } else if exchange.again(Cause::Word) {
            self.teller(handling).send(pair, Cause::Word);
        }
        self.advance(handling, pair);
    }

    /// A peer is told of a host's mappings from now on.
    fn begin(&mut self, handling: &mut Handling<'_>, pair: Pair) {
        let Some(exchange) = self.mappings.get_mut(pair) else {
            return;
        };
        exchange.begin();
        let nat = exchange.nat();
        self.looks.want(pair);
        if self.peers.join(pair.peer) {
            self.listen(handling);
        }
        handling.outbox().note(Note::Behind { pair, nat });
    }

    /// A pair is forgotten.
    fn end(&mut self, handling: &mut Handling<'_>, pair: Pair, reason: &'static str) {
        let Some(nat) = self.mappings.get(pair).map(Exchange::nat) else {
            return;
        };
        self.clear(pair, nat);
        let live = self.mappings.remove(pair);
        self.timers.remove(pair);
        self.looks.forget(pair);
        if !live {
            return;
        }
        if self.peers.leave(pair.peer) {
            self.listen(handling);
        }
        handling.outbox().note(Note::Apart { pair, reason });
    }

    /// Everything of a pair that depends on the address of the NAT is forgotten.
    fn clear(&mut self, pair: Pair, nat: Addr) {
        if let Some(request) = self.mappings.clear(pair, nat) {
            self.pending.forget(request);
        }
    }

    /// Says to which addresses connections matter.
    fn listen(&mut self, handling: &mut Handling<'_>) {
        if let Some(peers) = self.peers.listen() {
            handling.outbox().push(Output::Listen(peers));
        }
    }

    /// What the NAT did: all of it first, then it is told, so that what came together is told together.
    pub(crate) fn events(&mut self, handling: &mut Handling<'_>, events: &[Event]) {
        let mut touched = BTreeSet::new();
        for event in events {
            let (Event::New(translation) | Event::Gone(translation)) = event;
            touched.insert(translation.pair);
            if let Some(reason) = self.mappings.apply(*event, false) {
                not_kept(handling, translation, reason);
            }
        }
        for pair in touched {
            self.advance(handling, pair);
        }
    }

    /// Some of what it did was lost.
    pub(crate) fn overrun(&mut self) {
        for pair in self.mappings.live() {
            self.looks.want_changes(pair);
        }
    }

    /// Asks the NAT, when it is time.
    pub(crate) fn look(&mut self, handling: &mut Handling<'_>) {
        if let Some(pairs) = self.looks.ask(handling.now()) {
            handling.outbox().push(Output::Look(pairs));
        }
    }

    /// What the NAT has; `None` when that cannot be had now.
    pub(crate) fn seen(&mut self, handling: &mut Handling<'_>, all: Option<&[Translation]>) {
        let now = handling.now();
        let Some(pairs) = self.looks.answered(now) else {
            return;
        };
        let Some(all) = all else {
            return self.looks.again(pairs);
        };
        let half = Duration::from_secs(u64::from(self.lifetime) / 2);
        let mut there: BTreeMap<Pair, BTreeSet<Lease>> = BTreeMap::new();
        let mut refused = Vec::new();
        for translation in all {
            let Some(again) = pairs.get(&translation.pair) else {
                continue;
            };
            let name = name_of(translation.lease);
            there.entry(translation.pair).or_default().insert(name);
            if let Some(reason) = self.mappings.apply(Event::New(*translation), *again) {
                refused.push((translation, reason));
            }
        }
        for (pair, again) in &pairs {
            if let Some(exchange) = self.mappings.get_mut(*pair).filter(|_| *again) {
                exchange.look_at(now.after(half));
            }
            let none = BTreeSet::new();
            let there = there.get(pair).unwrap_or(&none);
            self.mappings.keep_only(*pair, there);
        }
        for (translation, reason) in refused {
            not_kept(handling, translation, reason);
        }
        for pair in pairs.into_keys() {
            self.advance(handling, pair);
        }
    }

    /// All pairs whose time has come.
    pub(crate) fn wake(&mut self, handling: &mut Handling<'_>) {
        while let Some(pair) = self.timers.due(handling.now()) {
            self.advance(handling, pair);
        }
    }

    /// A datagram to the router itself.
    pub(crate) fn heard(
        &mut self,
        handling: &mut Handling<'_>,
        verifier: &mut Verifier,
        from: Addr,
        to: Addr,
        bytes: &[u8],
    ) {
        match self.teller(handling).heard(verifier, from, to, bytes) {
            Ok(pair) => self.advance(handling, pair),
            Err(reason) => handling.outbox().refused(reason, from, to),
        }
    }

    /// Does for a pair what is due, and finds out when it is to be looked at again.
    fn advance(&mut self, handling: &mut Handling<'_>, pair: Pair) {
        let now = handling.now();
        let Some(exchange) = self.mappings.get_mut(pair) else {
            return self.timers.remove(pair);
        };
        if exchange.until() <= now {
            return self.end(handling, pair, "expired");
        }
        if !handling.is_bound(pair.host) {
            return self.end(handling, pair, "unbound");
        }
        if exchange.is_live() && exchange.looks_at() <= now {
            exchange.look_at(Instant::MAX);
            self.looks.want(pair);
        }
        self.teller(handling).advance(pair);
    }

    /// Who tells the peers.
    fn teller<'a, 'b>(&'a mut self, handling: &'a mut Handling<'b>) -> Teller<'a, 'b> {
        Teller {
            lifetime: self.lifetime,
            mappings: &mut self.mappings,
            timers: &mut self.timers,
            peers: &mut self.peers,
            pending: &mut self.pending,
            handling,
        }
    }
}

/// A mapping cannot be kept.
fn not_kept(handling: &mut Handling<'_>, translation: &Translation, reason: Reason) {
    let Pair { host, peer } = translation.pair;
    handling.outbox().refused(reason, host, peer);
}
