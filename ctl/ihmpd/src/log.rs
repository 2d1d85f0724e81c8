// SPDX-License-Identifier: GPL-2.0
//! The log: lines of a level and above go to standard error.

use tracing_subscriber::{
    filter::LevelFilter,
    fmt,
    layer::SubscriberExt,
    reload,
    util::SubscriberInitExt,
    Registry, //
};

use crate::config::Level;

/// The log, as long as the program runs.
pub(crate) struct Log(reload::Handle<LevelFilter, Registry>);

fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    }
}

impl Log {
    /// Lines of this level and above go to standard error.
    pub(crate) fn start(level: Level) -> Self {
        let (filter, handle) = reload::Layer::new(filter(level));
        let lines = fmt::layer()
            .with_writer(std::io::stderr)
            .with_target(false)
            .with_ansi(false)
            .without_time();
        tracing_subscriber::registry()
            .with(filter)
            .with(lines)
            .init();
        Self(handle)
    }

    /// From now on, lines of this level and above are written.
    pub(crate) fn set(&self, level: Level) {
        // This fails only after the subscriber was dropped, and then there is no log.
        let _ = self.0.modify(|old| *old = filter(level));
    }
}
