// SPDX-License-Identifier: GPL-2.0
//! Notifications for the service manager, if there is one (sd_notify(3), sd_watchdog_enabled(3)). Errors are ignored: the agent works
//! without it.

use ihmp_core::time::{
    Duration,
    Instant, //
};
use sd_notify::NotifyState;

/// Tells it that the agent is ready, at first or after a reload.
pub(crate) fn ready() {
    let _ = sd_notify::notify(false, &[NotifyState::Ready]);
}

/// Tells it that the configuration is being read again.
pub(crate) fn reloading() {
    let _ = NotifyState::monotonic_usec_now()
        .and_then(|now| sd_notify::notify(false, &[NotifyState::Reloading, now]));
}

/// Tells it that the agent ends.
pub(crate) fn stopping() {
    let _ = sd_notify::notify(false, &[NotifyState::Stopping]);
}

/// Tells the manager again and again that the loop does not hang.
pub(crate) struct Watchdog {
    /// Half of the time after which the manager would restart the agent; `None` if it does not watch it.
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

    /// Called in each round of the loop; notifies the manager if it is time.
    pub(crate) fn pat(&mut self, now: Instant) {
        if let Some(every) = self.every.filter(|_| self.next <= now) {
            self.next = now.after(every);
            let _ = sd_notify::notify(false, &[NotifyState::Watchdog]);
        }
    }
}
