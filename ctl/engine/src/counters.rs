// SPDX-License-Identifier: GPL-2.0
//! How many messages were sent, and how many were not used.

use std::collections::{BTreeMap, HashMap};

use ihmp_core::message::Control;

use crate::io::Refusal;

/// What is counted.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Messages not used, by reason.
    refusals: HashMap<Refusal, u64>,
    /// All of them.
    refused: u64,
    /// Messages sent.
    sent: u64,
    /// Those of them that are probes, or answer one.
    probes: u64,
}

impl Counters {
    /// A message was not used.
    pub(crate) fn refuse(&mut self, reason: Refusal) {
        *self.refusals.entry(reason).or_insert(0) += 1;
        self.refused += 1;
    }

    /// How many were not used.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    /// How many were not used, by the name of the reason.
    pub(crate) fn refusals(&self) -> BTreeMap<&'static str, u64> {
        let mut refusals = BTreeMap::new();
        for (reason, count) in &self.refusals {
            *refusals.entry(reason.name()).or_insert(0) += count;
        }
        refusals
    }

    /// A message was sent.
    pub(crate) fn send(&mut self, control: Control) {
        self.sent += 1;
        self.note_probe(control);
    }

    /// A message is about to be sent that answers one of this kind.
    pub(crate) fn note_probe(&mut self, control: Control) {
        self.probes += u64::from(control == Control::PathProbe);
    }

    /// How many were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// How many were sent: probes and their answers apart from all others.
    pub(crate) fn sent_apart(&self) -> [u64; 2] {
        [self.sent - self.probes, self.probes]
    }
}
