// SPDX-License-Identifier: GPL-2.0
//! The status that `ihmpctl agent` shows: a line for each figure, with name and value; ihmpd.rst lists them.

use std::fmt::Write;

use ihmp_engine::Engine;
use ihmp_router::Router;

use crate::{
    config::Config,
    journal::Journal, //
};

/// Figures of the loop itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own {
    /// Since it began to serve.
    pub(crate) seconds: u64,
    /// New flows take part.
    pub(crate) enabled: bool,
}

/// All lines.
pub(crate) fn text(config: &Config, engine: &Engine, journal: &Journal, own: Own) -> String {
    let [new, up, classic] = engine.counts();
    let [challenges, keys] = engine.key_counts();
    let counts = journal.counts(engine);
    let sum: u64 = counts.iter().map(|(_, count)| count).sum();
    let mut text = String::new();
    let mut line = |name: &str, value: &dyn std::fmt::Display| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name} {value}");
    };
    line("version", &env!("CARGO_PKG_VERSION"));
    line("pid", &std::process::id());
    line("uptime", &own.seconds);
    line("port", &config.port);
    line("enabled", &if own.enabled { "on" } else { "off" });
    line("mode", &config.security.mode.name());
    // One word: no entry of the list has a blank in it.
    let tell = match config.interfaces.tell.is_empty() {
        true => "all".to_owned(),
        false => config.interfaces.tell.join(","),
    };
    line("tell", &tell);
    line("hosts-new", &new);
    line("hosts-up", &up);
    line("hosts-classic", &classic);
    line("keys", &keys);
    line("challenges", &challenges);
    for (name, value) in engine.limits() {
        line(name, &value);
    }
    let [messages, probes] = engine.sent();
    line("messages", &messages);
    line("probes", &probes);
    let rejected = engine.rejected();
    line("rejected", &rejected.len());
    for (addr, hosts) in rejected {
        line(&format!("rejected {addr}"), &hosts);
    }
    line("refused", &sum);
    for (reason, count) in counts {
        line(&format!("refused {reason}"), &count);
    }
    text
}

/// All lines of an agent in router mode.
pub(crate) fn router_text(config: &Config, router: &Router, seconds: u64) -> String {
    let [granted, declined, rejected] = router.moves();
    let [bound, routes] = router.sizes();
    let sum: u64 = router.passed().values().sum();
    let mut text = String::new();
    let mut line = |name: &str, value: &dyn std::fmt::Display| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name} {value}");
    };
    line("version", &env!("CARGO_PKG_VERSION"));
    line("pid", &std::process::id());
    line("uptime", &seconds);
    line("port", &config.port);
    line("mode", &"router");
    line("bound", &bound);
    line("routes", &routes);
    line("granted", &granted);
    line("declined", &declined);
    line("rejected", &rejected);
    if let Some([pairs, mappings, entries]) = router.nat_sizes() {
        line("nat-pairs", &pairs);
        line("nat-mappings", &mappings);
        line("nat-entries", &entries);
    }
    line("refused", &sum);
    for (reason, count) in router.passed() {
        line(&format!("refused {reason}"), count);
    }
    text
}
