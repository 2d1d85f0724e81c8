// SPDX-License-Identifier: GPL-2.0
//! Three machines, the network between them, and somebody who sees and sends whatever he likes.

use std::collections::BTreeSet;

use ihmp_core::addr::Addr;
use ihmp_core::entry::{Entry, Lease};
use ihmp_core::message::{Addresses, Control, Ed25519, Message, Options, SUCCESSION_LEN};
use ihmp_core::time::{Duration, Instant};
use ihmp_engine::{Limits, OwnKey, Policy};

use ihmp_sim::nat::{self, Nat};

use crate::node::{Datagram, Node};
use crate::octets::Octets;

/// Machines.
const NODES: usize = 3;
/// Most datagrams on the way, and most that are remembered.
const FLIGHTS: usize = 64;
/// Most operations: the octets that decide them may be many more.
const STEPS: usize = 2_000;
/// Most own addresses of a machine at a time.
const LOCAL: usize = 20;

/// Spans of time that mean something to the engine.
const SPANS: [Duration; 12] = [
    Duration::from_nanos(1),
    Duration::from_millis(1),
    Duration::from_millis(30),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(61),
    Duration::from_secs(601),
    Duration::from_secs(86_400),
];

/// The world.
struct Chaos<'a> {
    octets: Octets<'a>,
    now: Instant,
    nodes: Vec<Node>,
    /// On the way.
    flights: Vec<Datagram>,
    /// Arrived, by the machine.
    arrived: Vec<(usize, Datagram)>,
    /// How many addresses were given out, by the machine.
    given: [u8; NODES],
    /// The stranger's own key.
    stranger: OwnKey,
    nats: Vec<Nat>,
    /// Copies that came from another source: that, the receiver, and the source that the sender believes in.
    copies: BTreeSet<(Addr, Addr, Addr)>,
    /// Those whose answers the stranger brought to the sender: he does what a NAT does.
    relays: BTreeSet<(Addr, Addr, Addr)>,
}

/// A datagram that no NAT has seen.
fn datagram(from: Addr, to: Addr, bytes: Vec<u8>) -> Datagram {
    Datagram {
        from,
        source: None,
        to,
        port: None,
        inside: None,
        bytes,
    }
}

/// The first address in a message: the source that its sender believes in.
fn believed(bytes: &[u8]) -> Option<Addr> {
    let message = Message::parse(bytes).ok()?;
    message.addresses.as_slice().first().copied()
}

/// A number of an address of a machine; every third is of IPv6.
fn address(node: usize, number: u8) -> Addr {
    let node = u8::try_from(node).unwrap_or(u8::MAX);
    if number % 3 == 2 {
        let mut octets = [0; 16];
        octets[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        (octets[5], octets[15]) = (node, number);
        Addr::v6(octets)
    } else {
        Addr::v4([10, node, 0, number])
    }
}

/// Runs operations that the octets name on engines; panics when something does not hold that has to.
///
/// No operation makes an engine panic, or break the rules of the module's table; it has no more hosts, keys and memory
/// than its limits; it sends no address more than three times what came from there, unless its own traffic goes there or
/// somebody is there indeed; nobody without its key changes anything about a host.
pub fn engine(octets: &[u8]) {
    let mut octets = Octets::new(octets);
    let policy = match octets.below(4) {
        0 => Policy::FirstUse,
        1 => Policy::Pin,
        2 => Policy::RequireKnown,
        _ => Policy::Unsigned,
    };
    let mut limits = Limits::default();
    limits.hosts.most = 1 + octets.below(8);
    limits.hosts.pending = 1 + octets.below(4);
    let node = |number| Node::new(number, limits, policy);
    let mut chaos = Chaos {
        octets,
        now: Instant::from_nanos(1),
        nodes: (1..4).map(node).collect(),
        flights: vec![],
        arrived: vec![],
        given: [0; NODES],
        stranger: OwnKey::new(&[200; 32], vec![]),
        nats: vec![],
        copies: BTreeSet::new(),
        relays: BTreeSet::new(),
    };
    for at in 0..NODES {
        let sent = chaos.nodes[at].rekey(chaos.now);
        chaos.fly(sent);
        chaos.gain(at);
    }
    for _ in 0..STEPS {
        if chaos.octets.is_empty() {
            break;
        }
        chaos.step();
    }
    for node in &chaos.nodes {
        node.check_memory();
    }
}

impl Chaos<'_> {
    fn step(&mut self) {
        let kind = self.octets.octet();
        let at = usize::from(kind >> 5) % NODES;
        match kind % 32 {
            0 => self.gain(at),
            1 => self.lose(at, false),
            2 | 3 => self.lose(at, true),
            4..=6 => self.flow(at),
            7..=15 => self.deliver(),
            16 => drop(self.take()),
            17 => self.twice(),
            18 | 19 => self.changed(),
            20 => self.again(),
            21 => self.elsewhere(),
            22 => self.made_up(),
            23 => self.noise(at),
            24 => self.time_passes(),
            25 | 26 => self.timer(at),
            27 => self.removed(at),
            28 => {
                let sent = self.nodes[at].restart(self.now);
                self.fly(sent);
            }
            29 => self.kernel(at),
            30 => self.keys(at),
            _ => self.odd(at),
        }
    }

    fn fly(&mut self, sent: Vec<Datagram>) {
        for datagram in sent {
            let passed = self.pass(datagram);
            self.flights.extend(passed);
        }
        let extra = self.flights.len().saturating_sub(FLIGHTS);
        self.flights.drain(..extra);
    }

    /// A datagram leaves a machine: through the NATs between it and where it goes.
    fn pass(&mut self, datagram: Datagram) -> Option<Datagram> {
        let Datagram {
            from,
            to,
            port,
            bytes,
            ..
        } = datagram;
        let at = self.owner(from).unwrap_or(NODES);
        let passed = nat::pass(&mut self.nats, (at, from), (to, port), bytes)?;
        Some(Datagram {
            from: passed.from,
            source: passed.port,
            to: passed.to,
            port: None,
            inside: passed.inside,
            bytes: passed.bytes,
        })
    }

    /// A machine goes behind a NAT at one of its addresses, or comes out, or the NAT forgets its ports. Its address is that of
    /// another machine, or nobody's.
    fn behind(&mut self, at: usize) {
        let which = self.octets.below(self.nodes[at].local.len());
        let Some(own) = self.nodes[at].local.get(which).copied() else {
            return;
        };
        let has = |nat: &Nat| nat.inside.contains_key(&own);
        let found = self.nats.iter().position(has);
        match (found, self.octets.octet() % 4) {
            (Some(found), 0) => self.nats[found].forget(),
            (Some(found), 1) => self.nats[found].aware = !self.nats[found].aware,
            (Some(found), _) => drop(self.nats.remove(found)),
            (None, kind) => {
                let outside = self.anywhere();
                let free = self.owner(outside) != Some(at);
                if free && outside.family() == own.family() {
                    self.nats.push(Nat::new(outside, own, at, kind % 2 == 0));
                }
            }
        }
    }

    /// A machine tells of port mappings as if it were a NAT; perhaps it is one.
    fn entry(&mut self, at: usize) {
        let which = self.octets.below(self.nats.len());
        let Some(nat) = self.nats.get(which) else {
            return;
        };
        let Some((inside, machine)) = nat.inside.first_key_value() else {
            return;
        };
        let (nat, inside, machine) = (nat.outside, *inside, *machine);
        let lease = Lease {
            proto: 17,
            nat_port: self.octets.word().max(1),
            port: self.octets.word().max(1),
            peer_port: self.octets.word().max(1),
            lifetime: self.octets.word() % 3,
        };
        let key = self.nodes[machine].public();
        let to = self.anywhere();
        let Some(entry) = Entry::new(nat, inside, key.0, &[lease]) else {
            return;
        };
        let message = Message {
            control: Control::NatEntry,
            options: Options::NONE,
            seqno: 1,
            signature: None,
            host: nat,
            addresses: entry.addresses(),
        };
        let bytes = self.nodes[at].seal(&message, to, self.now);
        if self.owner(to) != Some(at) && nat.family() == to.family() {
            self.arrive(datagram(nat, to, bytes));
        }
    }

    fn network(&mut self, at: usize) {
        let sent = self.nodes[at].network(self.now);
        self.fly(sent);
    }

    /// An address comes, or several at once.
    fn gain(&mut self, at: usize) {
        let count = match self.octets.octet() {
            few @ 0..=31 => usize::from(few),
            _ => 1,
        };
        for _ in 0..count {
            let number = self.given[at];
            self.given[at] = number.wrapping_add(1);
            let addr = address(at, number);
            let node = &mut self.nodes[at];
            if node.local.len() < LOCAL && !node.local.contains(&addr) {
                node.local.push(addr);
            }
        }
        self.network(at);
    }

    /// An address goes; at the same time another one may come.
    fn lose(&mut self, at: usize, replace: bool) {
        let which = self.octets.below(self.nodes[at].local.len());
        if which < self.nodes[at].local.len() {
            self.nodes[at].local.remove(which);
        }
        if replace {
            self.gain(at);
        } else {
            self.network(at);
        }
    }

    /// An address that somebody has, had, or that nobody ever has.
    fn anywhere(&mut self) -> Addr {
        match self.octets.octet() {
            all @ 0..=95 => address(usize::from(all) % NODES, self.octets.octet()),
            all @ 96..=223 => {
                let node = &self.nodes[usize::from(all) % NODES];
                let which = self.octets.below(node.local.len());
                let own = node.local.get(which).copied();
                own.unwrap_or(address(NODES, all))
            }
            all => address(NODES, all),
        }
    }

    fn flow(&mut self, at: usize) {
        let remote = self.anywhere();
        let family = |own: &&Addr| own.family() == remote.family();
        let Some(local) = self.nodes[at].local.iter().find(family).copied() else {
            return;
        };
        let sent = self.nodes[at].flow(local, remote, self.now);
        self.fly(sent);
    }

    /// A datagram off the network, any of them.
    fn take(&mut self) -> Option<Datagram> {
        if self.flights.is_empty() {
            return None;
        }
        // Mostly the oldest one.
        let which = match self.octets.octet() {
            all @ 0..=63 => usize::from(all) % self.flights.len(),
            _ => 0,
        };
        Some(self.flights.remove(which))
    }

    fn owner(&self, of: Addr) -> Option<usize> {
        self.nodes.iter().position(|node| node.local.contains(&of))
    }

    fn deliver(&mut self) {
        if let Some(datagram) = self.take() {
            self.arrive(datagram);
        }
    }

    fn arrive(&mut self, datagram: Datagram) {
        if let Some(at) = datagram.inside.or_else(|| self.owner(datagram.to)) {
            let sent = self.nodes[at].receive(&datagram, true, self.now);
            self.fly(sent);
            self.arrived.push((at, datagram));
            let extra = self.arrived.len().saturating_sub(FLIGHTS);
            self.arrived.drain(..extra);
        }
    }

    fn twice(&mut self) {
        if let Some(datagram) = self.take() {
            self.arrive(datagram.clone());
            self.arrive(datagram);
        }
    }

    /// Gives a machine what nobody sent.
    fn forge(&mut self, datagram: &Datagram) {
        let Some(at) = self.owner(datagram.to) else {
            return;
        };
        let signed = datagram
            .bytes
            .get(1)
            .is_some_and(|bits| bits & Options::SIGNED.bits() != 0);
        let sent = if self.nodes[at].believes_unsigned() && !signed {
            self.nodes[at].receive(datagram, true, self.now)
        } else {
            self.nodes[at].receive_forged(datagram, self.now)
        };
        self.fly(sent);
    }

    /// A message is changed on the way.
    fn changed(&mut self) {
        let Some(mut datagram) = self.take() else {
            return;
        };
        let length = datagram.bytes.len();
        if self.octets.octet() % 8 == 0 {
            datagram
                .bytes
                .truncate(usize::from(self.octets.word()) % length.max(1));
        } else {
            let place = usize::from(self.octets.word()) % length.max(1);
            let bit = 1 << self.octets.below(8);
            // NS is nobody's word.
            if (place, bit) == (1, 0x80) {
                return;
            }
            datagram.bytes[place] ^= bit;
        }
        self.forge(&datagram);
    }

    /// A message comes once more.
    fn again(&mut self) {
        let which = self.octets.below(self.arrived.len());
        if let Some((at, datagram)) = self.arrived.get(which).cloned() {
            let signed = datagram.bytes[1] & Options::SIGNED.bits() != 0;
            if signed && self.owner(datagram.to) == Some(at) {
                self.forge(&datagram);
            }
        }
    }

    /// A message is sent on to somebody else, or from another source.
    fn elsewhere(&mut self) {
        let Some(mut datagram) = self.take() else {
            return;
        };
        let addr = self.anywhere();
        let end = if self.octets.octet() % 2 == 0 {
            &mut datagram.from
        } else {
            &mut datagram.to
        };
        if *end != addr && end.family() == addr.family() {
            let before = std::mem::replace(end, addr);
            if self.is_relayed(&datagram, before) {
                self.arrive(datagram);
            } else {
                // Two addresses of one machine are two receivers, too.
                self.forge(&datagram);
            }
        }
    }

    /// Whether the stranger does what a NAT does: he sends what a machine says from his own address, and brings it the
    /// answers. Then what he sends on is what somebody said. `before` is the source or destination that it had.
    fn is_relayed(&mut self, datagram: &Datagram, before: Addr) -> bool {
        let Some(own) = believed(&datagram.bytes) else {
            return false;
        };
        let answered = (before, datagram.from, datagram.to);
        if self.copies.contains(&answered) {
            self.relays.insert(answered);
            return true;
        }
        let copy = (datagram.from, datagram.to, own);
        if datagram.from != own {
            self.copies.insert(copy);
        }
        self.relays.contains(&copy)
    }

    /// A message without a signature, or one that is signed by the stranger or in the name of somebody.
    fn made_up(&mut self) {
        let (from, to, host) = (self.anywhere(), self.anywhere(), self.anywhere());
        let mut addresses = Addresses::EMPTY;
        let first = if self.octets.octet() % 4 == 0 {
            self.anywhere()
        } else {
            from
        };
        let _ = addresses.push(first);
        for _ in 0..self.octets.below(18) {
            let _ = addresses.push(self.anywhere());
        }
        let control = Control::ALL[self.octets.below(Control::ALL.len())];
        let options = Options::from_bits(self.octets.octet() & 0xfc).unwrap_or(Options::NONE);
        // A number that was seen, or near it.
        let seen = self.arrived.last().map_or(0, |(_, datagram)| {
            u16::from_be_bytes([datagram.bytes[2], datagram.bytes[3]])
        });
        let seqno = seen.wrapping_add(u16::from(self.octets.octet() % 4));
        let mut message = Message {
            control,
            options: options.without(Options::SIGNED),
            seqno,
            signature: None,
            host,
            addresses,
        };
        let stamp = 1_700_000_000_000_000_000 + (u64::from(self.octets.word()) << 36);
        let mut body = [0; SUCCESSION_LEN];
        let named = self.nodes[usize::from(seqno) % NODES].public();
        let bytes = match self.octets.octet() % 3 {
            0 => {
                let mut buffer = [0; 1024];
                message.emit(&mut buffer).unwrap_or_default().to_vec()
            }
            1 => self.stranger.seal(&message, to, stamp, 0),
            _ => {
                message.signature = Ed25519::unsigned(stamp, &named.0, None, &mut body).ok();
                let mut buffer = [0; 1024];
                message.emit(&mut buffer).unwrap_or_default().to_vec()
            }
        };
        if from.family() == to.family() && self.owner(from).is_none() {
            self.forge(&datagram(from, to, bytes));
        }
    }

    /// Octets that mean nothing.
    fn noise(&mut self, at: usize) {
        let from = self.anywhere();
        let length = self.octets.below(64);
        let bytes = self.octets.slice(length).to_vec();
        let family = |own: &&Addr| own.family() == from.family();
        if let Some(to) = self.nodes[at].local.iter().find(family).copied() {
            self.forge(&datagram(from, to, bytes));
        }
    }

    fn time_passes(&mut self) {
        let span = SPANS[self.octets.below(SPANS.len())];
        self.now = self.now.after(span);
        for at in 0..NODES {
            let sent = self.nodes[at].timer(self.now);
            self.fly(sent);
        }
    }

    /// The time of a machine's next timer comes.
    fn timer(&mut self, at: usize) {
        if let Some(next) = self.nodes[at].next_timeout() {
            self.now = self.now.max(next);
            let sent = self.nodes[at].timer(self.now);
            self.fly(sent);
        }
    }

    fn some_row(&mut self, at: usize) -> Option<u32> {
        let rows = &self.nodes[at].table.rows;
        let which = self.octets.below(rows.len());
        rows.keys().nth(which).copied()
    }

    fn removed(&mut self, at: usize) {
        if let Some(id) = self.some_row(at) {
            let sent = self.nodes[at].remove(id, self.now);
            self.fly(sent);
        }
    }

    /// Events were lost; the administrator may have named an entry.
    fn kernel(&mut self, at: usize) {
        if self.octets.octet() % 4 == 0 {
            if let Some(id) = self.some_row(at) {
                if let Some(row) = self.nodes[at].table.rows.get_mut(&id) {
                    row.managed = !row.managed;
                }
            }
        }
        let sent = self.nodes[at].resync(self.now);
        self.fly(sent);
    }

    fn keys(&mut self, at: usize) {
        let number = self.octets.octet();
        let sent = if number < 16 {
            self.nodes[at].rekey(self.now)
        } else {
            // The stranger has one of those numbers; and no two machines are one.
            let number = 16 + (number % 48) * 3 + u8::try_from(at).unwrap_or(0);
            self.nodes[at].rotate(number, self.now)
        };
        self.fly(sent);
    }

    /// Routes, clocks, a full kernel, and a message that is signed well but makes no sense.
    fn odd(&mut self, at: usize) {
        match self.octets.octet() % 8 {
            0 => {
                let peer = self.anywhere();
                let unrouted = &mut self.nodes[at].unrouted;
                if !unrouted.remove(&peer) {
                    unrouted.insert(peer);
                }
                self.network(at);
            }
            1 => {
                let jump = u64::from(self.octets.word()) << 30;
                let ahead = &mut self.nodes[at].ahead;
                *ahead = if jump % 3 == 0 {
                    0
                } else {
                    ahead.saturating_add(jump)
                };
            }
            2 => self.nodes[at].full = !self.nodes[at].full,
            3..=5 => self.behind(at),
            6 => self.entry(at),
            _ => self.nonsense(at),
        }
    }

    /// A host with a key says what no agent would: it may spoil its own entry, and no other.
    fn nonsense(&mut self, at: usize) {
        let to = self.anywhere();
        let family = |own: &&Addr| own.family() == to.family();
        let Some(from) = self.nodes[at].local.iter().find(family).copied() else {
            return;
        };
        let mut addresses = Addresses::EMPTY;
        let _ = addresses.push(from);
        for _ in 0..self.octets.below(16) {
            let _ = addresses.push(self.anywhere());
        }
        let message = Message {
            control: Control::ALL[self.octets.below(Control::ALL.len())],
            options: Options::from_bits(self.octets.octet() & 0xf8).unwrap_or(Options::NONE),
            seqno: self.octets.word(),
            signature: None,
            host: from,
            addresses,
        };
        let bytes = self.nodes[at].seal(&message, to, self.now);
        if self.owner(to) != Some(at) {
            if let Some(passed) = self.pass(datagram(from, to, bytes)) {
                self.arrive(passed);
            }
        }
    }
}
