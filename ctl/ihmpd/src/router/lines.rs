// SPDX-License-Identifier: GPL-2.0
//! Lines of a router in the log, not too many of them.

use ihmp_router::{
    Note,
    Reason, //
};

/// Lines about datagrams that passed or were not used, in a second; the others are counted.
const MOST: u32 = 10;

/// How many lines there were in this second.
#[derive(Debug, Default)]
pub(super) struct Lines {
    second: u64,
    count: u32,
}

impl Lines {
    /// A line for what the router noted in this second.
    pub(super) fn write(&mut self, note: &Note, second: u64) {
        match note {
            Note::Sent { .. } | Note::Acked { .. } => return tracing::debug!("{note}"),
            Note::Unanswered { .. } => return tracing::warn!("{note}"),
            // Peers greet a NAT, since what comes from there might be a host's.
            Note::Refused {
                reason: Reason::Unsupported | Reason::LateAck,
                ..
            } => return tracing::debug!("{note}"),
            Note::Passed { .. } | Note::Refused { .. } => (),
            _ => return tracing::info!("{note}"),
        }
        if second != self.second {
            (self.second, self.count) = (second, 0);
        }
        self.count += 1;
        if self.count <= MOST {
            tracing::warn!("{note}");
        }
    }
}
