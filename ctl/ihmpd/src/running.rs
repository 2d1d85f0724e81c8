// SPDX-License-Identifier: GPL-2.0
//! The configuration that runs.

use crate::{
    config::{
        Config,
        Source, //
    },
    log::Log,
};

/// The configuration that runs, where it is read again, and the log whose level it sets.
pub(crate) struct Running<'a> {
    source: &'a Source,
    config: &'a mut Config,
    log: &'a Log,
}

impl<'a> Running<'a> {
    /// Runs with this configuration, which was read from there.
    pub(crate) fn new(source: &'a Source, config: &'a mut Config, log: &'a Log) -> Self {
        Self {
            source,
            config,
            log,
        }
    }

    /// What runs.
    pub(crate) fn config(&self) -> &Config {
        self.config
    }

    /// Where it is read.
    pub(crate) fn source(&self) -> &Source {
        self.source
    }

    /// Goes on with another configuration, but for what only a restart changes; the one before.
    pub(crate) fn replace(&mut self, config: Config) -> Config {
        for key in config.needs_restart(self.config) {
            tracing::warn!("event=restart-needed key={key}");
        }
        let before = std::mem::replace(self.config, config);
        self.config.port = before.port;
        self.config.state_dir.clone_from(&before.state_dir);
        self.log.set(self.config.log);
        before
    }

    /// The same in router mode.
    pub(crate) fn replace_router(&mut self, config: Config) {
        let restart = config.router.needs_restart(&self.config.router);
        let before = self.replace(config);
        for key in restart {
            tracing::warn!("event=restart-needed key={key}");
        }
        self.config.router.queue = before.router.queue;
        self.config.router.nat = before.router.nat;
    }
}
