// SPDX-License-Identifier: GPL-2.0
//! The configuration in use.

use crate::{
    config::{
        Config,
        Source, //
    },
    log::Log,
};

/// The configuration in use, the source from which it is read again, and the log whose level it sets.
pub(crate) struct Running<'a> {
    source: &'a Source,
    config: &'a mut Config,
    log: &'a Log,
}

impl<'a> Running<'a> {
    /// Uses this configuration, which was read from that source.
    pub(crate) fn new(source: &'a Source, config: &'a mut Config, log: &'a Log) -> Self {
        Self {
            source,
            config,
            log,
        }
    }

    /// The configuration in use.
    pub(crate) fn config(&self) -> &Config {
        self.config
    }

    /// Where it was read.
    pub(crate) fn source(&self) -> &Source {
        self.source
    }

    /// Replaces the configuration, except for the settings that need a restart. Returns the former one.
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
