// SPDX-License-Identifier: GPL-2.0
//! The state folder: own keys, keys of peers, the last timestamp. It outlives the agent.

use std::path::Path;

use ihmp_engine::{
    Fact,
    Keys, //
};
use ihmp_keys::{
    Journal,
    Lock,
    State,
    MACHINE_ID, //
};

/// The state folder, locked by this agent.
pub(crate) struct Store {
    state: State,
    journal: Journal,
    _lock: Lock,
    /// The last attempt to write failed.
    failing: bool,
}

impl Store {
    /// Locks the folder; makes it at the first start.
    pub(crate) fn open(dir: &Path) -> anyhow::Result<Self> {
        let state = State::open(dir)?;
        let lock = state.lock()?;
        if state.claim(Path::new(MACHINE_ID))? {
            tracing::warn!("event=key-copied");
        }
        let (journal, known) = Journal::open(&state)?;
        if known.bad > 0 {
            tracing::warn!("event=bad-records count={}", known.bad);
        }
        Ok(Self {
            state,
            journal,
            _lock: lock,
            failing: false,
        })
    }

    /// All keys in the folder; there is always one for all addresses.
    pub(crate) fn keys(&self) -> anyhow::Result<Keys> {
        if self.state.ensure_default()? {
            tracing::info!("event=key-made");
        }
        let own = self.state.own()?;
        for own in &own {
            let fingerprint = own.key.public().fingerprint();
            tracing::info!("event=key name={} fingerprint={fingerprint}", own.name);
        }
        let known = self.state.known()?.peers.into_iter();
        let known = known.map(|(key, peer)| (key, peer.known));
        Ok(Keys {
            own: own.into_iter().map(|own| own.key).collect(),
            sent: self.state.sent()?,
            known: known.collect(),
        })
    }

    /// Writes the agent's status for `ihmpctl agent`.
    pub(crate) fn answer(&self, text: &str) {
        if let Err(error) = self.state.answer(text) {
            tracing::error!("event=not-answered error=\"{error}\"");
        }
    }

    /// Writes a fact into the folder. If that fails, because the disk is full for instance, the agent logs an error, once, and goes on.
    pub(crate) fn keep(&mut self, fact: Fact) {
        let kept = match fact {
            Fact::Sent(sent) => self.state.set_sent(sent),
            fact => self.journal.keep(fact),
        };
        match kept {
            Ok(()) => self.failing = false,
            Err(error) if !std::mem::replace(&mut self.failing, true) => {
                tracing::error!("event=not-kept error=\"{error}\"");
            }
            Err(_) => (),
        }
    }
}
