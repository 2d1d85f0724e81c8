// SPDX-License-Identifier: GPL-2.0
//! Tells the service manager that the loop goes round, if it wants to know (sd_watchdog_enabled(3)).

use ihmp_core::time::{
    Duration,
    Instant, //
};
use sd_notify::NotifyState;

/// When it is to be told next.
pub(crate) struct Watchdog {
    /// Half of the time after which the manager gives up; `None` when nobody asks.
    every: Option<Duration>,
    next: Instant,
}

impl Watchdog {
    pub(crate) fn new() -> Self {
        let mut micros = 0;
        let asked = sd_notify::watchdog_enabled(false, &mut micros) && micros > 1;
        Self {
            every: asked.then(|| Duration::from_micros(micros / 2)),
            next: Instant::ZERO,
        }
    }

    /// When [`Watchdog::pat`] has something to do.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.every.map(|_| self.next)
    }

    /// Called each time that the loop goes round.
    pub(crate) fn pat(&mut self, now: Instant) {
        if let Some(every) = self.every.filter(|_| self.next <= now) {
            self.next = now.after(every);
            // When it cannot be told, it will do what it thinks best.
            let _ = sd_notify::notify(false, &[NotifyState::Watchdog]);
        }
    }
}
