// SPDX-License-Identifier: GPL-2.0
//! Time and random numbers. No other file of the agent reads a clock or asks for random numbers.

use std::time;

use ihmp_core::time::{
    Duration,
    Instant, //
};
use ihmp_engine::Moment;
use nix::time::{
    clock_gettime,
    ClockId, //
};

/// A clock that begins with the agent, and numbers that nobody can guess.
pub(crate) struct Clock {
    start: time::Instant,
    chance: Chance,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            start: time::Instant::now(),
            chance: Chance::default(),
        }
    }

    /// Nanoseconds since the start.
    pub(crate) fn now(&self) -> Instant {
        Instant::from_nanos(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// Whole seconds since the start.
    pub(crate) fn seconds(&self) -> u64 {
        self.now().as_nanos() / 1_000_000_000
    }

    /// The time, and a random number, for an input that is handled now.
    pub(crate) fn moment(&mut self) -> anyhow::Result<Moment> {
        Ok(Moment {
            now: self.now(),
            wall: wall(),
            random: self.chance.next()?,
        })
    }
}

/// Nanoseconds since 1970 by the system's clock.
fn wall() -> u64 {
    let since = time::SystemTime::now().duration_since(time::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}

/// The processor's time that the agent has used (clock_gettime(2)); the loop is its only thread.
pub(crate) fn used() -> nix::Result<Duration> {
    let used: time::Duration = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into();
    Ok(Duration::from_nanos(
        u64::try_from(used.as_nanos()).unwrap_or(u64::MAX),
    ))
}

/// Numbers that nobody can guess; the kernel is asked for many at a time.
#[derive(Default)]
struct Chance(Vec<u8>);

impl Chance {
    /// Octets that are asked for at once: the kernel gives so many without a pause (getrandom(2)).
    const AT_ONCE: usize = 256;

    /// The next number; none is given twice.
    fn next(&mut self) -> anyhow::Result<u64> {
        loop {
            if let Some(number) = self.0.last_chunk::<8>().copied() {
                self.0.truncate(self.0.len() - 8);
                return Ok(u64::from_ne_bytes(number));
            }
            self.0.resize(Self::AT_ONCE, 0);
            getrandom::fill(&mut self.0)?;
        }
    }
}
