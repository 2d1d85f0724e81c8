// SPDX-License-Identifier: GPL-2.0
//! Messages that were forwarded and have not left the machine.

use std::collections::VecDeque;

use ihmp_core::addr::Addr;

/// Messages that may not have left yet: as many as the queue holds.
const MOST: usize = 1_024;

/// The messages, oldest first: host, peer, timestamp.
#[derive(Debug, Default)]
pub(super) struct Crossing(VecDeque<(Addr, Addr, u64)>);

impl Crossing {
    /// A message was forwarded.
    pub(super) fn came(&mut self, host: Addr, peer: Addr, stamp: u64) {
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back((host, peer, stamp));
    }

    /// A message leaves; whether it was forwarded before.
    pub(super) fn left(&mut self, host: Addr, peer: Addr, stamp: u64) -> bool {
        let mut messages = self.0.iter();
        let at = messages.position(|one| *one == (host, peer, stamp));
        at.and_then(|at| self.0.remove(at)).is_some()
    }
}
