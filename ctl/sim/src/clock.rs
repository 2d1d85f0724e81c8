// SPDX-License-Identifier: GPL-2.0
//! The processor's time that this program has used. No other file of the simulation reads a clock.

use nix::time::{clock_gettime, ClockId};

/// Nanoseconds that the program has computed so far.
pub(crate) fn spent() -> u64 {
    let spent = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID);
    spent.map_or(0, |spent| {
        let [seconds, nanoseconds] =
            [spent.tv_sec(), spent.tv_nsec()].map(|part| u64::try_from(part).unwrap_or(0));
        seconds * 1_000_000_000 + nanoseconds
    })
}
