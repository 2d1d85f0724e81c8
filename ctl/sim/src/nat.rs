// SPDX-License-Identifier: GPL-2.0
//! NATs of the model network: they replace addresses and ports, and let answers in.

use std::collections::BTreeMap;

use ihmp_core::addr::Addr;
use ihmp_core::message::Options;

/// The port of IHMP, which is named `None` in what the engines are told.
const IHMP: Option<u16> = None;

/// A NAT.
#[derive(Clone, Debug)]
pub struct Nat {
    /// Its address outside.
    pub outside: Addr,
    /// Addresses behind it, and the machines that have them.
    pub inside: BTreeMap<Addr, usize>,
    /// It knows IHMP: it sets NS.
    pub aware: bool,
    /// The next port that it gives.
    pub next: u16,
    /// What it remembers: a port for each pair of an address inside and one outside.
    pub ports: BTreeMap<(Addr, Addr), u16>,
}

impl Nat {
    /// A NAT in front of one address.
    pub fn new(outside: Addr, inside: Addr, machine: usize, aware: bool) -> Nat {
        Nat {
            outside,
            inside: BTreeMap::from([(inside, machine)]),
            aware,
            next: 20_000,
            ports: BTreeMap::new(),
        }
    }

    /// It forgets its ports, and begins with others.
    pub fn forget(&mut self) {
        self.ports.clear();
        self.next += 1_000;
    }

    fn mark(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        if self.aware {
            if let Some(options) = bytes.get_mut(1) {
                *options |= Options::NAT_SUPPORTED.bits();
            }
        }
        bytes
    }
}

/// A datagram after all NATs on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Its source.
    pub from: Addr,
    /// Its source port.
    pub port: Option<u16>,
    /// Its destination.
    pub to: Addr,
    /// The machine that it is for, when that is behind a NAT.
    pub inside: Option<usize>,
    /// Its payload.
    pub bytes: Vec<u8>,
}

/// Lets a datagram of a machine pass the NATs between it and where it goes; `None` when one drops it.
pub fn pass(
    nats: &mut [Nat],
    (machine, from): (usize, Addr),
    (to, port): (Addr, Option<u16>),
    bytes: Vec<u8>,
) -> Option<Passed> {
    let mut passed = Passed {
        from,
        port: IHMP,
        to,
        inside: None,
        bytes,
    };
    let leaves = |nat: &&mut Nat| nat.inside.get(&from) == Some(&machine);
    if let Some(nat) = nats.iter_mut().find(leaves) {
        if let Some(there) = nat.inside.get(&to) {
            passed.inside = Some(*there);
            return Some(passed);
        }
        let next = nat.next;
        let given = *nat.ports.entry((from, to)).or_insert(next);
        nat.next += u16::from(given == next);
        passed.bytes = nat.mark(passed.bytes);
        (passed.from, passed.port) = (nat.outside, Some(given));
    }
    if port.is_none() && nats.iter().any(|nat| nat.inside.contains_key(&to)) {
        return None;
    }
    if let Some(port) = port {
        let nat = nats.iter().find(|nat| nat.outside == to)?;
        let given =
            |(pair, given): &(&(Addr, Addr), &u16)| pair.1 == passed.from && **given == port;
        let ((inside, _), _) = nat.ports.iter().find(given)?;
        passed.bytes = nat.mark(passed.bytes);
        passed.inside = Some(*nat.inside.get(inside)?);
        passed.to = *inside;
    }
    Some(passed)
}
