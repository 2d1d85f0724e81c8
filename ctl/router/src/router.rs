// SPDX-License-Identifier: GPL-2.0
//! What the router makes of what passes.

use std::collections::{BTreeMap, HashMap, VecDeque};

use ihmp_core::addr::Addr;
use ihmp_core::message::{Control, Ed25519, Message, Options};
use ihmp_core::time::Instant;
use ihmp_engine::{verify, Bucket, Moment, OwnKey, PublicKey, Stamps};

use crate::io::{Config, HostRoute, Input, Link, Note, Output, Passing, Reason, Verdict};
use crate::moves::Waiting;
use crate::nat::Nat;
use crate::table::Table;

/// Requests to inside hosts whose answers can be verified; the oldest gives way.
const ASKED: usize = 4_096;
/// Sends of one request that an answer can be to.
const SENDS: usize = 4;
/// A request to an inside host: its sender, the host, its number.
type Asked = (Addr, Addr, u16);

/// The signalling of a router.
#[derive(Debug)]
pub struct Router {
    pub(crate) config: Config,
    pub(crate) now: Instant,
    pub(crate) wall: u64,
    pub(crate) random: u64,
    pub(crate) key: Option<OwnKey>,
    pub(crate) stamps: Stamps,
    pub(crate) links: Vec<Link>,
    pub(crate) table: Table,
    /// Timestamps of requests to inside hosts.
    asked: HashMap<Asked, Vec<u64>>,
    asked_order: VecDeque<Asked>,
    pub(crate) verified: Bucket,
    pub(crate) waiting: Option<Waiting>,
    pub(crate) outputs: VecDeque<Output>,
    pub(crate) passed: BTreeMap<&'static str, u64>,
    pub(crate) granted: u64,
    pub(crate) rejected: u64,
    pub(crate) nat: Option<Nat>,
}

impl Router {
    /// A router that knows nobody. Without a key it lets everything pass.
    pub fn new(config: Config) -> Router {
        Router {
            verified: Bucket::new(config.verified),
            nat: config.nat.map(Nat::new),
            config,
            now: Instant::ZERO,
            wall: 0,
            random: 0,
            key: None,
            stamps: Stamps::default(),
            links: Vec::new(),
            table: Table::default(),
            asked: HashMap::new(),
            asked_order: VecDeque::new(),
            waiting: None,
            outputs: VecDeque::new(),
            passed: BTreeMap::new(),
            granted: 0,
            rejected: 0,
        }
    }

    /// Goes on with other networks and bounds; whether it serves a NAT stays. What was granted goes on until it ends.
    pub fn configure(&mut self, config: Config) {
        let nat = self.config.nat;
        self.config = Config { nat, ..config };
    }

    /// Takes an input.
    pub fn handle(&mut self, moment: Moment, input: Input<'_>) {
        self.now = self.now.max(moment.now);
        (self.wall, self.random) = (moment.wall, moment.random);
        match input {
            Input::Key(key, sent) => {
                self.stamps.go_on(sent);
                self.key = Some(*key);
            }
            Input::Links(links) => self.connected(links),
            Input::Passing(passing) => self.passing(&passing),
            Input::Installed(done) => self.installed(done),
            Input::Heard { from, to, bytes } => self.heard(from, to, bytes),
            Input::Events(events) => self.events(events),
            Input::Overrun => self.overrun(),
            Input::Seen(all) => self.seen(all),
            Input::Timer => {
                while let Some((addr, peer)) = self.table.ended(self.now) {
                    if self.table.release(addr, peer) {
                        self.removed(addr, "expired");
                    }
                }
                self.wake();
            }
        }
        self.look();
    }

    /// The next thing to do, in the order in which it was decided.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Timer`] is due; `None` for never.
    pub fn next_timeout(&self) -> Option<Instant> {
        let nat = self.nat.as_ref().and_then(Nat::next_timeout);
        self.table.next_end().into_iter().chain(nat).min()
    }

    /// How many datagrams passed that looked as if they were for us, by the name of the reason.
    pub fn passed(&self) -> &BTreeMap<&'static str, u64> {
        &self.passed
    }

    /// How many moves were granted, and rejected.
    pub fn moves(&self) -> [u64; 2] {
        [self.granted, self.rejected]
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
        self.stamps.sent()
    }

    pub(crate) fn note(&mut self, note: Note) {
        self.outputs.push_back(Output::Note(note));
    }

    /// Counts what was not used.
    pub(crate) fn refused(&mut self, reason: Reason, from: Addr, to: Addr) {
        *self.passed.entry(reason.name()).or_insert(0) += 1;
        self.note(Note::Refused { reason, from, to });
    }

    /// A timestamp for an own message.
    pub(crate) fn stamp(&mut self) -> u64 {
        if let Some(reserved) = self.stamps.reserve(self.now, self.wall) {
            self.outputs.push_back(Output::Keep(reserved));
        }
        self.stamps.next(self.now, self.wall, self.random)
    }

    pub(crate) fn removed(&mut self, old: Addr, reason: &'static str) {
        self.outputs.push_back(Output::Remove(old));
        self.note(Note::Removed { old, reason });
    }

    pub(crate) fn inside(&self, addr: Addr) -> bool {
        self.config
            .inside
            .iter()
            .any(|prefix| prefix.contains(addr))
    }

    /// The network that an address belongs to: that with the longest prefix.
    pub(crate) fn link(&self, addr: Addr) -> Option<Link> {
        let links = self.links.iter().filter(|link| link.prefix.contains(addr));
        links.max_by_key(|link| link.prefix.len).copied()
    }

    /// The networks changed: what has no next hop there any more ends.
    fn connected(&mut self, links: Vec<Link>) {
        self.links = links;
        let stays = |route: &HostRoute| {
            let link = self.link(route.via);
            link.is_some_and(|link| link.device == route.device)
        };
        let gone: Vec<Addr> = self
            .table
            .routes()
            .filter(|(route, _)| !stays(route))
            .map(|(route, _)| route.to)
            .collect();
        for addr in gone {
            self.table.home(addr);
            self.removed(addr, "link");
        }
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
                *self.passed.entry(reason.name()).or_insert(0) += 1;
                self.note(Note::Passed { reason, from, to });
                Verdict::Pass
            }
        };
        self.outputs.push_back(Output::Verdict { id, verdict });
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
        let (to_inside, from_inside) = (self.inside(to), self.inside(from));
        let parsed = Message::parse(bytes);
        if let (Some(_), Ok(message)) = (&self.nat, &parsed) {
            self.crossing(passing, message);
        }
        if self.key.is_none() || (!to_inside && !from_inside) {
            return PASS;
        }
        let message = parsed.map_err(Reason::Malformed)?;
        let signature = message.signature.as_ref();
        let block = signature.and_then(|signature| signature.ed25519());
        if to_inside {
            if let Some(block) = &block {
                self.remember((from, to, message.seqno), block.timestamp);
            }
        }
        let Some(link) = self.link(from).filter(|_| from_inside) else {
            return PASS;
        };
        let bound = self.table.get(from);
        let away = bound.and_then(|bound| bound.away.as_ref());
        if link.device != device {
            // A host that is away speaks from its old address as well.
            return match away {
                Some(away) if away.route.device == device => PASS,
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
        let known = bound.is_some_and(|bound| bound.key == key);
        if known && away.is_none() && !tells {
            self.table.touch(from);
            return PASS;
        }
        // It answers something that we have not seen.
        let Some(echoes) = self.echoes(from, to, &message) else {
            return PASS;
        };
        self.authenticate(passing, &block, &echoes)?;
        self.at_home(from, key, block.timestamp)?;
        match message.control {
            Control::AddrDown | Control::AddrDownUnreachable => {
                if let Some(gone) = message.addresses.as_slice().get(1) {
                    self.down(*gone, to, &key);
                }
                PASS
            }
            Control::AddrUp | Control::Handoff => {
                self.moved(passing, &message, link, &key, block.timestamp)
            }
            _ => PASS,
        }
    }

    /// What the signature of a message from an inside host may be over besides itself; `None` when that is not known.
    pub(crate) fn echoes(&self, host: Addr, to: Addr, message: &Message<'_>) -> Option<Vec<u64>> {
        match message.control {
            Control::Ack => self.asked.get(&(to, host, message.seqno)).cloned(),
            Control::Hello if message.options.has(Options::INCORRECT_SEQNO) => None,
            _ => Some(vec![0]),
        }
    }

    /// Remembers a request to an inside host, so that the answer can be verified.
    pub(crate) fn remember(&mut self, asked: Asked, stamp: u64) {
        if let Some(stamps) = self.asked.get_mut(&asked) {
            if stamps.len() >= SENDS {
                stamps.remove(0);
            }
            stamps.push(stamp);
            return;
        }
        if self.asked_order.len() >= ASKED {
            if let Some(oldest) = self.asked_order.pop_front() {
                self.asked.remove(&oldest);
            }
        }
        self.asked.insert(asked, vec![stamp]);
        self.asked_order.push_back(asked);
    }

    /// Whether a message is what its key says, and is no old one.
    pub(crate) fn authenticate(
        &mut self,
        passing: &Passing<'_>,
        block: &Ed25519<'_>,
        echoes: &[u64],
    ) -> Result<(), Reason> {
        let key = PublicKey(*block.key);
        let former = block
            .succession
            .as_ref()
            .map(|word| PublicKey(*word.former));
        let former = former.filter(|former| self.table.floor(former) > 0);
        let floor = former.map_or(0, |former| self.table.floor(&former));
        if block.timestamp <= floor.max(self.table.floor(&key)) {
            return Err(Reason::Replayed);
        }
        if !self.verified.take(self.now) {
            return Err(Reason::Rate);
        }
        let (bytes, to) = (passing.bytes, passing.to);
        if !echoes.iter().any(|echo| verify(bytes, to, *echo, block)) {
            return Err(Reason::BadSignature);
        }
        if let (Some(former), Some(word)) = (former, &block.succession) {
            if !former.is_succeeded(&key, word.signature) {
                return Err(Reason::BadSignature);
            }
            self.table.succeed(&former, key);
        }
        self.table.accept(&key, block.timestamp);
        Ok(())
    }

    /// The host with this key is at an address, by the device to which that belongs.
    pub(crate) fn at_home(&mut self, addr: Addr, key: PublicKey, stamp: u64) -> Result<(), Reason> {
        match self.table.get(addr) {
            Some(bound) if bound.key == key => {
                if self.table.home(addr) {
                    self.removed(addr, "home");
                }
                self.table.touch(addr);
            }
            // As long as it is kept for its host, nobody else has it.
            Some(bound) if bound.away.is_some() => return Err(Reason::OtherKey),
            _ => {
                if self.table.bind(addr, key, stamp, self.config.max_bound) {
                    self.note(Note::Bound { addr, key });
                }
            }
        }
        Ok(())
    }
}
