// SPDX-License-Identifier: GPL-2.0
//! What the router wants done, in the order in which it was decided, and the signing of what it sends.

use std::collections::{BTreeMap, VecDeque};

use ihmp_core::addr::Addr;
use ihmp_core::message::Message;
use ihmp_engine::{Moment, OwnKey, Stamps};

use crate::io::{Note, Output, Reason};

/// Outputs that nobody has asked for yet, the router's key and its timestamps, and counters of what was not used.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    outputs: VecDeque<Output>,
    key: Option<OwnKey>,
    stamps: Stamps,
    passed: BTreeMap<&'static str, u64>,
}

impl Outbox {
    /// Signs with this key from now on, later than this timestamp.
    pub(crate) fn set_key(&mut self, key: OwnKey, sent: u64) {
        self.stamps.go_on(sent);
        self.key = Some(key);
    }

    /// Whether there is a key to sign with.
    pub(crate) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// The timestamp that no message was later than.
    pub(crate) fn sent(&self) -> u64 {
        self.stamps.sent()
    }

    /// A timestamp for an own message. It may have to be written down first.
    pub(crate) fn stamp(&mut self, at: Moment) -> u64 {
        if let Some(reserved) = self.stamps.reserve(at.now, at.wall) {
            self.outputs.push_back(Output::Keep(reserved));
        }
        self.stamps.next(at.now, at.wall, at.random)
    }

    /// A message as the octets that are sent; `None` without a key.
    pub(crate) fn seal(
        &self,
        message: &Message<'_>,
        to: Addr,
        stamp: u64,
        echo: u64,
    ) -> Option<Vec<u8>> {
        let key = self.key.as_ref()?;
        Some(key.seal(message, to, stamp, echo))
    }

    /// Wants this done next.
    pub(crate) fn push(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    /// Wants a line in the log.
    pub(crate) fn note(&mut self, note: Note) {
        self.push(Output::Note(note));
    }

    /// Wants the route to an address removed.
    pub(crate) fn remove(&mut self, old: Addr, reason: &'static str) {
        self.push(Output::Remove(old));
        self.note(Note::Removed { old, reason });
    }

    /// Counts a datagram that passes and looked as if it were for us.
    pub(crate) fn passed(&mut self, reason: Reason, from: Addr, to: Addr) {
        self.count(reason);
        self.note(Note::Passed { reason, from, to });
    }

    /// Counts a message to us that was not used, or a mapping.
    pub(crate) fn refused(&mut self, reason: Reason, from: Addr, to: Addr) {
        self.count(reason);
        self.note(Note::Refused { reason, from, to });
    }

    fn count(&mut self, reason: Reason) {
        *self.passed.entry(reason.name()).or_insert(0) += 1;
    }

    /// What was counted, by the name of the reason.
    pub(crate) fn counts(&self) -> &BTreeMap<&'static str, u64> {
        &self.passed
    }

    /// The next thing to do.
    pub(crate) fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}
