// SPDX-License-Identifier: GPL-2.0
//! Time and chance; nothing else of the agent asks for either.

use std::time;

use ihmp_core::time::Instant;

/// A clock that begins with the agent.
pub(crate) struct Clock(time::Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(time::Instant::now())
    }

    /// Nanoseconds since the start.
    pub(crate) fn now(&self) -> Instant {
        Instant::from_nanos(u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

/// Nanoseconds of the clock on the wall since 1970.
pub(crate) fn wall() -> u64 {
    let since = time::SystemTime::now().duration_since(time::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}

/// A number that nobody can guess.
pub(crate) fn random() -> anyhow::Result<u64> {
    Ok(getrandom::u64()?)
}
