// SPDX-License-Identifier: GPL-2.0
//! A monitor of rtnetlink that is closed for a while when more changes come than the agent should read.

use std::os::fd::AsRawFd;

use anyhow::Context;
use ihmp_core::time::Instant;
use ihmp_network::{
    Changes,
    Counted,
    Filter,
    Groups,
    Link,
    Watch, //
};
use mio::{
    unix::SourceFd,
    Interest,
    Registry,
    Token, //
};

use crate::pace::{
    Pace,
    FLOOD, //
};

/// One kind of changes.
pub(crate) struct Monitor {
    groups: Groups,
    /// `None` while it is closed.
    watch: Option<Watch>,
    /// When it is to be opened; `None` while it is open.
    back_at: Option<Instant>,
    /// Something may have changed that was not read from the kernel since.
    wants: bool,
    pace: Pace,
}

impl Monitor {
    /// A monitor that is not open yet.
    pub(crate) fn new(groups: Groups) -> Self {
        Self {
            groups,
            watch: None,
            back_at: Some(Instant::ZERO),
            wants: false,
            pace: Pace::new(),
        }
    }

    /// When it is to be opened; `None` while it is open.
    pub(crate) fn back_at(&self) -> Option<Instant> {
        self.back_at
    }

    /// Opens it if it is closed and the pause is over. True if it was opened: then everything may have changed.
    pub(crate) fn resume(
        &mut self,
        now: Instant,
        filter: &Filter,
        registry: &Registry,
        token: Token,
    ) -> anyhow::Result<bool> {
        if self.back_at.is_none_or(|at| at > now) {
            return Ok(false);
        }
        let watch = Watch::subscribe(self.groups, filter).context("rtnetlink")?;
        registry
            .register(&mut SourceFd(&watch.as_raw_fd()), token, Interest::READABLE)
            .context("epoll")?;
        self.watch = Some(watch);
        self.back_at = None;
        self.wants = true;
        self.pace.resumed(now);
        Ok(true)
    }

    /// Attaches this filter.
    pub(crate) fn set_filter(&self, filter: &Filter) -> anyhow::Result<()> {
        match &self.watch {
            Some(watch) => watch.set_filter(filter).context("SO_ATTACH_FILTER"),
            None => Ok(()),
        }
    }

    /// When to read what has changed; `None` if nothing has.
    pub(crate) fn look_at(&self, now: Instant) -> Option<Instant> {
        self.wants.then(|| self.pace.ready_at(now))
    }

    /// What has changed was read, with so many requests for lists and for routes. They count for this monitor if it had reported a change.
    pub(crate) fn looked(&mut self, now: Instant, lists: u32, routes: u32) {
        if std::mem::take(&mut self.wants) {
            self.pace.charge(now, lists, routes);
        }
    }

    /// Reads what has come. If that is too much, the monitor is closed, and what is left is never read.
    pub(crate) fn drain(
        &mut self,
        now: Instant,
        counted: &mut Counted,
        counts: impl Fn(&Link) -> bool,
    ) -> anyhow::Result<Changes> {
        let Some(watch) = &mut self.watch else {
            return Ok(Changes::default());
        };
        let mut changes = watch.drain(FLOOD, counted, counts).context("rtnetlink")?;
        self.wants |= changes.any();
        changes.more |= self.pace.hear(now, changes.seen);
        if changes.more {
            self.watch = None;
            self.back_at = Some(self.pace.flooded(now));
        }
        Ok(changes)
    }
}
