// SPDX-License-Identifier: GPL-2.0
//! Requests to inside hosts: the answer to one is signed over its timestamp.

use std::collections::{HashMap, VecDeque};

use ihmp_core::addr::Addr;

/// Requests whose answers can be verified; the oldest gives way.
const ASKED: usize = 4_096;
/// Sends of one request that an answer can be to.
const SENDS: usize = 4;

/// A request to an inside host: its sender, the host, its number.
pub(crate) type Request = (Addr, Addr, u16);

/// Timestamps of requests to inside hosts.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    stamps: HashMap<Request, Vec<u64>>,
    order: VecDeque<Request>,
}

impl Asked {
    /// Remembers a request that was sent with this timestamp.
    pub(crate) fn remember(&mut self, request: Request, stamp: u64) {
        if let Some(stamps) = self.stamps.get_mut(&request) {
            if stamps.len() >= SENDS {
                stamps.remove(0);
            }
            stamps.push(stamp);
            return;
        }
        if self.order.len() >= ASKED {
            if let Some(oldest) = self.order.pop_front() {
                self.stamps.remove(&oldest);
            }
        }
        self.stamps.insert(request, vec![stamp]);
        self.order.push_back(request);
    }

    /// The timestamps with which a request was sent; `None` when it was not seen.
    pub(crate) fn stamps(&self, request: Request) -> Option<Vec<u64>> {
        self.stamps.get(&request).cloned()
    }
}
