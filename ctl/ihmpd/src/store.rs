// SPDX-License-Identifier: GPL-2.0
//! What outlives the agent: its keys, those of peers, the last timestamp.

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

/// The state folder, taken by this agent.
pub(crate) struct Store {
    state: State,
    journal: Journal,
    _lock: Lock,
    /// The last thing could not be written.
    failing: bool,
}

impl Store {
    /// Takes the folder; makes it at the first start.
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

    /// All that the folder says of keys; there is always one for all addresses.
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

    /// Writes for `ihmpctl agent` what the agent says of itself.
    pub(crate) fn answer(&self, text: &str) {
        if let Err(error) = self.state.answer(text) {
            tracing::error!("event=not-answered error=\"{error}\"");
        }
    }

    /// Writes something down. A full disk is no reason to let connections go; it is one for an error in the log, once.
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
