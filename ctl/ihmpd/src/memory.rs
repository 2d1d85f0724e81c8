// SPDX-License-Identifier: GPL-2.0
//! What the NAT of this machine remembers, for router mode: the kernel's connection tracking.

use std::{
    fs,
    net::IpAddr,
    os::fd::RawFd, //
};

use anyhow::Context;
use ihmp_core::{
    addr::Addr,
    entry::Lease, //
};
use ihmp_network::conntrack::{
    self,
    Conntrack, //
};
use ihmp_router::{
    Event,
    Pair,
    Translation, //
};

use crate::io::kernel::{
    addr,
    ip, //
};

/// Events that are read at a time.
const BATCH: usize = 256;
/// Whether the kernel tells of connections at all; 0 for never.
const EVENTS: &str = "/proc/sys/net/netfilter/nf_conntrack_events";

/// What happened since the last time.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// In the order in which it did.
    pub(crate) events: Vec<Event>,
    /// Some was lost.
    pub(crate) overrun: bool,
    /// There is more.
    pub(crate) more: bool,
}

/// Asks the kernel, and listens to it.
pub(crate) struct Memory {
    conntrack: Conntrack,
    /// Somebody has to wait for this descriptor from now on.
    fresh: Option<RawFd>,
}

impl Memory {
    pub(crate) fn open() -> anyhow::Result<Self> {
        let conntrack = Conntrack::open().context("connection tracking, which NAT needs")?;
        // It may not be visible to us; then nobody can say.
        if fs::read_to_string(EVENTS).is_ok_and(|text| text.trim() == "0") {
            tracing::warn!("event=no-conntrack-events");
        }
        Ok(Self {
            conntrack,
            fresh: None,
        })
    }

    /// A descriptor that is to be waited for and was not before.
    pub(crate) fn fresh(&mut self) -> Option<RawFd> {
        self.fresh.take()
    }

    /// Listens to connections to these addresses.
    pub(crate) fn listen(&mut self, peers: &[Addr]) {
        let peers: Vec<IpAddr> = peers.iter().copied().map(ip).collect();
        match self.conntrack.listen(&peers) {
            Ok(true) => self.fresh = self.conntrack.watched(),
            Ok(false) => (),
            // What is there is looked for all the same, now and then.
            Err(error) => tracing::warn!("event=conntrack-failed error=\"{error}\""),
        }
    }

    /// All connections of these pairs, if they can be had.
    pub(crate) fn look(&mut self, pairs: &[Pair]) -> Option<Vec<Translation>> {
        let wanted = pairs.iter().map(|pair| (ip(pair.host), ip(pair.peer)));
        match self.conntrack.translations(&wanted.collect::<Vec<_>>()) {
            Ok(found) => Some(found.iter().map(translation).collect()),
            Err(error) => {
                tracing::warn!("event=conntrack-failed error=\"{error}\"");
                None
            }
        }
    }

    /// What happened.
    pub(crate) fn news(&mut self) -> anyhow::Result<News> {
        let conntrack::Events {
            list,
            overrun,
            more,
        } = self.conntrack.events(BATCH)?;
        let events = list.iter().map(|event| match event {
            conntrack::Event::New(of) => Event::New(translation(of)),
            conntrack::Event::Gone(of) => Event::Gone(translation(of)),
        });
        Ok(News {
            events: events.collect(),
            overrun,
            more,
        })
    }
}

fn translation(of: &conntrack::Translation) -> Translation {
    Translation {
        pair: Pair {
            host: addr(of.source),
            peer: addr(of.destination),
        },
        nat: addr(of.nat),
        lease: Lease {
            proto: of.proto,
            nat_port: of.nat_port,
            port: of.source_port,
            peer_port: of.destination_port,
            lifetime: 0,
        },
    }
}
