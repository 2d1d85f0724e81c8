// SPDX-License-Identifier: GPL-2.0
//! What happens to a machine: addresses, flows, time, keys, and what its kernel does.

use ihmp_core::addr::Addr;
use ihmp_core::time::Duration;

use super::{address, Chaos, NODES};

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

impl Chaos<'_> {
    pub(super) fn network(&mut self, at: usize) {
        let sent = self.nodes[at].network(self.now);
        self.fly(sent);
    }

    /// An address comes, or several at once.
    pub(super) fn gain(&mut self, at: usize) {
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
    pub(super) fn lose(&mut self, at: usize, replace: bool) {
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

    pub(super) fn flow(&mut self, at: usize) {
        let remote = self.anywhere();
        let family = |own: &&Addr| own.family() == remote.family();
        let Some(local) = self.nodes[at].local.iter().find(family).copied() else {
            return;
        };
        let sent = self.nodes[at].flow(local, remote, self.now);
        self.fly(sent);
    }

    /// Nothing comes back on a path of a host, which may have others or not, says the module.
    pub(super) fn silent(&mut self, at: usize) {
        let Some(id) = self.some_row(at) else {
            return;
        };
        let record = &self.nodes[at].table.rows[&id].record;
        let (here, there) = (self.octets.octet(), self.octets.octet());
        let locals: Vec<Addr> = record.local.iter().map(|local| local.addr).collect();
        let of =
            |list: &[Addr], which: u8| list.get(usize::from(which) % list.len().max(1)).copied();
        if let Some((local, remote)) = of(&locals, here).zip(of(&record.active, there)) {
            let sent = self.nodes[at].silent(id, local, remote, self.now);
            self.fly(sent);
        }
    }

    pub(super) fn time_passes(&mut self) {
        let span = SPANS[self.octets.below(SPANS.len())];
        self.now = self.now.after(span);
        for at in 0..NODES {
            let sent = self.nodes[at].timer(self.now);
            self.fly(sent);
        }
    }

    /// The time of a machine's next timer comes.
    pub(super) fn timer(&mut self, at: usize) {
        if let Some(next) = self.nodes[at].next_timeout() {
            self.now = self.now.max(next);
            let sent = self.nodes[at].timer(self.now);
            self.fly(sent);
        }
    }

    pub(super) fn some_row(&mut self, at: usize) -> Option<u32> {
        let rows = &self.nodes[at].table.rows;
        let which = self.octets.below(rows.len());
        rows.keys().nth(which).copied()
    }

    pub(super) fn removed(&mut self, at: usize) {
        if let Some(id) = self.some_row(at) {
            let sent = self.nodes[at].remove(id, self.now);
            self.fly(sent);
        }
    }

    /// Events were lost; the administrator may have named an entry.
    pub(super) fn kernel(&mut self, at: usize) {
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

    pub(super) fn keys(&mut self, at: usize) {
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
    pub(super) fn odd(&mut self, at: usize) {
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
}
