// SPDX-License-Identifier: GPL-2.0
//! Hears of changes, and does not listen for a while when there are too many of them.

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
    /// `None` during a rest.
    watch: Option<Watch>,
    /// When the rest ends.
    back_at: Option<Instant>,
    /// Something has changed, or may have, that was not looked at yet.
    wants: bool,
    pace: Pace,
}

impl Monitor {
    /// One that does not listen yet.
    pub(crate) fn new(groups: Groups) -> Self {
        Self {
            groups,
            watch: None,
            back_at: Some(Instant::ZERO),
            wants: false,
            pace: Pace::new(),
        }
    }

    /// When it is to be listened to again; `None` while it is.
    pub(crate) fn back_at(&self) -> Option<Instant> {
        self.back_at
    }

    /// Listens again if the rest is over; true when it just began: then everything may have changed.
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

    /// When to look at what has changed; `None` if nothing has.
    pub(crate) fn look_at(&self, now: Instant) -> Option<Instant> {
        self.wants.then(|| self.pace.ready_at(now))
    }

    /// There was a look, at so many lists and routes. It counts as this one's if it wanted it.
    pub(crate) fn looked(&mut self, now: Instant, lists: u32, routes: u32) {
        if std::mem::take(&mut self.wants) {
            self.pace.charge(now, lists, routes);
        }
    }

    /// Takes what is there. When it is too much, what is left is thrown away unread.
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
