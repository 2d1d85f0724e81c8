// SPDX-License-Identifier: GPL-2.0
//! Three machines, the network between them, and an attacker who sees all datagrams and can send any.

mod liars;
mod machines;
mod network;
mod stranger;

use std::collections::BTreeSet;

use ihmp_core::addr::Addr;
use ihmp_core::time::Instant;
use ihmp_engine::{Limits, OwnKey, Policy};

use ihmp_sim::nat::Nat;

use crate::node::{Datagram, Node};
use crate::octets::Octets;

/// Machines.
const NODES: usize = 3;
/// Most operations: the octets that decide them may be many more.
const STEPS: usize = 2_000;

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
            4 | 5 => self.flow(at),
            6 => self.silent(at),
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
}
