// SPDX-License-Identifier: GPL-2.0
//! What the router makes of what passes.

use std::collections::{BTreeMap, HashMap, VecDeque};

use ihmp_core::addr::Addr;
use ihmp_core::grant::Grant;
use ihmp_core::message::{Control, Ed25519, Message, Options};
use ihmp_core::time::{Duration, Instant};
use ihmp_engine::{verify, Bucket, Moment, OwnKey, PublicKey, Stamps};

use crate::io::{Config, HostRoute, Input, Link, Note, Output, Passing, Reason, Verdict};
use crate::table::Table;

/// Requests to inside hosts whose answers can be verified; the oldest gives way.
const ASKED: usize = 4_096;
/// Sends of one request that an answer can be to.
const SENDS: usize = 4;
/// So much longer than was promised a route stays: answers take their time.
const SLACK: Duration = Duration::from_secs(5);
/// How long a host is left alone that does not hear what we answer.
const DEAF: Duration = Duration::from_secs(600);

/// A request to an inside host: its sender, the host, its number.
type Asked = (Addr, Addr, u16);

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

/// The signalling of a router.
#[derive(Debug)]
pub struct Router {
    config: Config,
    now: Instant,
    wall: u64,
    random: u64,
    key: Option<OwnKey>,
    stamps: Stamps,
    links: Vec<Link>,
    table: Table,
    /// Timestamps of requests to inside hosts.
    asked: HashMap<Asked, Vec<u64>>,
    asked_order: VecDeque<Asked>,
    verified: Bucket,
    waiting: Option<Waiting>,
    outputs: VecDeque<Output>,
    passed: BTreeMap<&'static str, u64>,
    granted: u64,
    rejected: u64,
}

impl Router {
    /// A router that knows nobody. Without a key it lets everything pass.
    pub fn new(config: Config) -> Router {
        Router {
            verified: Bucket::new(config.verified),
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
            Input::Timer => {
                while let Some((addr, peer)) = self.table.ended(self.now) {
                    if self.table.release(addr, peer) {
                        self.removed(addr, "expired");
                    }
                }
            }
        }
    }

    /// The next thing to do, in the order in which it was decided.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Timer`] is due; `None` for never.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.table.next_end()
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

    /// The timestamp that no message was later than, for a clean end.
    pub fn sent(&self) -> u64 {
        self.stamps.sent()
    }

    fn note(&mut self, note: Note) {
        self.outputs.push_back(Output::Note(note));
    }

    fn removed(&mut self, old: Addr, reason: &'static str) {
        self.outputs.push_back(Output::Remove(old));
        self.note(Note::Removed { old, reason });
    }

    fn inside(&self, addr: Addr) -> bool {
        self.config
            .inside
            .iter()
            .any(|prefix| prefix.contains(addr))
    }

    /// The network that an address belongs to: that with the longest prefix.
    fn link(&self, addr: Addr) -> Option<Link> {
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
        let verdict = match self.consider(passing) {
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
        if self.key.is_none() || (!to_inside && !from_inside) {
            return PASS;
        }
        let message = Message::parse(bytes).map_err(Reason::Malformed)?;
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
        let echoes = match message.control {
            Control::Ack => self.asked.get(&(to, from, message.seqno)).cloned(),
            Control::Hello if message.options.has(Options::INCORRECT_SEQNO) => None,
            _ => Some(vec![0]),
        };
        // It answers something that we have not seen.
        let Some(echoes) = echoes else {
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

    /// Remembers a request to an inside host, so that the answer can be verified.
    fn remember(&mut self, asked: Asked, stamp: u64) {
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
    fn authenticate(
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
    fn at_home(&mut self, addr: Addr, key: PublicKey, stamp: u64) -> Result<(), Reason> {
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

    /// A host has lost an address: nothing can be brought there any more, and the peer asks for it no longer.
    fn down(&mut self, gone: Addr, peer: Addr, key: &PublicKey) {
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
    fn moved(
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
    fn installed(&mut self, done: bool) {
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
        if let Some(reserved) = self.stamps.reserve(self.now, self.wall) {
            self.outputs.push_back(Output::Keep(reserved));
        }
        let stamp = self.stamps.next(self.now, self.wall, self.random);
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
