// SPDX-License-Identifier: GPL-2.0
//! Log lines for what the engine notes. The names in a line are stable: `event=... name=value ...`.

use ihmp_core::time::Instant;
use ihmp_engine::{
    Engine,
    Note,
    Refusal, //
};

/// Most lines in a second about messages that were refused; the others are counted.
const REFUSALS: u32 = 10;

/// Writes log lines, and leaves out refusals beyond a number in each second.
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
            // These are usual, or not from an agent; they would only fill the log.
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

    /// The kernel has dropped so many datagrams so far, because the sockets had no room for them.
    pub(crate) fn set_dropped(&mut self, dropped: u64) {
        self.dropped = dropped;
    }

    /// The last lines.
    pub(crate) fn close(&self, engine: &Engine) {
        let [new, up, classic] = engine.counts();
        tracing::info!("event=stop new={new} up={up} classic={classic}");
        self.refusals(engine);
    }

    /// How many messages were refused or dropped, for each reason that occurred.
    pub(crate) fn counts(&self, engine: &Engine) -> Vec<(&'static str, u64)> {
        let others = [("not-received", self.dropped)];
        let counts = engine.refusals().into_iter().chain(others);
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// Writes how many messages were refused or dropped, by reason and in all.
    pub(crate) fn refusals(&self, engine: &Engine) {
        let mut sum = 0;
        for (reason, count) in self.counts(engine) {
            tracing::info!("event=refused-total reason={reason} count={count}");
            sum += count;
        }
        tracing::info!("event=refused-sum count={sum}");
    }
}
