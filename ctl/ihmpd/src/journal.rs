// SPDX-License-Identifier: GPL-2.0
//! What is worth a line in the log. The text of a line has stable names: `event=... name=value ...`.

use ihmp_core::time::Instant;
use ihmp_engine::{
    Engine,
    Note,
    Refusal, //
};

/// Lines about messages that were not used, in a second; the others are counted.
const REFUSALS: u32 = 10;

/// Writes lines, not too many of them.
#[derive(Default)]
pub(crate) struct Journal {
    second: u64,
    lines: u32,
    left_out: u64,
    dropped: u64,
}

impl Journal {
    /// A line for what the engine noted.
    pub(crate) fn write(&mut self, note: &Note, now: Instant) {
        match note {
            Note::Sent { .. }
            | Note::Received { .. }
            | Note::Acked { .. }
            | Note::PathSilent { .. }
            | Note::LeftOut { .. } => {
                tracing::debug!("{note}");
            }
            // Nothing is wrong with those, or they were not sent by an agent.
            Note::Refused {
                reason: Refusal::LateAck | Refusal::Challenged | Refusal::SourcePort | Refusal::Off,
                ..
            } => tracing::debug!("{note}"),
            Note::Refused { .. } if !self.may(now) => self.left_out += 1,
            Note::Refused { .. }
            | Note::Unanswered { .. }
            | Note::Unvalidated { .. }
            | Note::RouterRejected { .. }
            | Note::PathDead { .. }
            | Note::KeyChanged(_) => {
                tracing::warn!("{note}")
            }
            _ => tracing::info!("{note}"),
        }
    }

    /// Whether another line about a refusal may be written in this second.
    fn may(&mut self, now: Instant) -> bool {
        let second = now.as_nanos() / 1_000_000_000;
        if second != self.second {
            if self.left_out > 0 {
                tracing::warn!("event=refused-more count={}", self.left_out);
            }
            *self = Self {
                second,
                dropped: self.dropped,
                ..Self::default()
            };
        }
        self.lines += 1;
        self.lines <= REFUSALS
    }

    /// So many datagrams the kernel has dropped, because the sockets had no room for them.
    pub(crate) fn set_dropped(&mut self, dropped: u64) {
        self.dropped = dropped;
    }

    /// The last lines.
    pub(crate) fn close(&self, engine: &Engine) {
        let [new, up, classic] = engine.counts();
        tracing::info!("event=stop new={new} up={up} classic={classic}");
        self.refusals(engine);
    }

    /// Messages that were not used, by reason; none is zero.
    pub(crate) fn counts(&self, engine: &Engine) -> Vec<(&'static str, u64)> {
        let others = [("not-received", self.dropped)];
        let counts = engine.refusals().into_iter().chain(others);
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// What was counted.
    pub(crate) fn refusals(&self, engine: &Engine) {
        let mut sum = 0;
        for (reason, count) in self.counts(engine) {
            tracing::info!("event=refused-total reason={reason} count={count}");
            sum += count;
        }
        tracing::info!("event=refused-sum count={sum}");
    }
}
