// SPDX-License-Identifier: GPL-2.0
//! What the service manager is told, if it wants to know (sd_notify(3), sd_watchdog_enabled(3)). When it cannot be told, it
//! will do what it thinks best.

use ihmp_core::time::{
    Duration,
    Instant, //
};
use sd_notify::NotifyState;

/// Everything is in place; or is again, after a reload.
pub(crate) fn ready() {
    let _ = sd_notify::notify(false, &[NotifyState::Ready]);
}

/// The configuration is read again.
pub(crate) fn reloading() {
    let _ = NotifyState::monotonic_usec_now()
        .and_then(|now| sd_notify::notify(false, &[NotifyState::Reloading, now]));
}

/// The end has begun.
pub(crate) fn stopping() {
    let _ = sd_notify::notify(false, &[NotifyState::Stopping]);
}

/// Says that the loop goes round.
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
            let _ = sd_notify::notify(false, &[NotifyState::Watchdog]);
        }
    }
}
