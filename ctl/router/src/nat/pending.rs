// SPDX-License-Identifier: GPL-2.0
//! NAT_ENTRYs that are out, and those that were acknowledged of late.

use std::collections::{HashMap, VecDeque};

use ihmp_core::addr::Addr;

use crate::io::{Pair, Reason};

/// Requests whose late answers are told from unexpected ones.
const DONE: usize = 256;

/// A request: NAT, peer, number.
pub(super) type Number = (Addr, Addr, u16);

/// Requests by their numbers.
#[derive(Debug, Default)]
pub(super) struct Pending {
    out: HashMap<Number, Pair>,
    done: VecDeque<Number>,
    last: Option<u16>,
    acknowledged: u64,
}

impl Pending {
    /// A number that no request has that is out.
    pub(super) fn next(&mut self, nat: Addr, peer: Addr, random: u64) -> u16 {
        let mut next = self.last.map_or(random as u16, |last| last.wrapping_add(1));
        while self.out.contains_key(&(nat, peer, next)) {
            next = next.wrapping_add(1);
        }
        self.last = Some(next);
        next
    }

    /// The request of a pair is out.
    pub(super) fn sent(&mut self, number: Number, pair: Pair) {
        self.out.insert(number, pair);
    }

    /// The pair whose request this is, or why there is none.
    pub(super) fn pair(&self, number: Number) -> Result<Pair, Reason> {
        let late = self.done.contains(&number);
        let none = if late {
            Reason::LateAck
        } else {
            Reason::UnexpectedAck
        };
        self.out.get(&number).copied().ok_or(none)
    }

    /// No answer is waited for any more.
    pub(super) fn forget(&mut self, number: Number) {
        self.out.remove(&number);
    }

    /// A request was acknowledged.
    pub(super) fn is_done(&mut self, number: Number) {
        self.forget(number);
        if self.done.len() >= DONE {
            self.done.pop_front();
        }
        self.done.push_back(number);
        self.acknowledged += 1;
    }

    /// How many were acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }
}
