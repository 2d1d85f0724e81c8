// SPDX-License-Identifier: GPL-2.0
//! A cookie before work: who greets while many do has to show first that it hears us, at the cost of one hash.
//!
//! As WireGuard's under load. The budgets that a greeting spends before its signature is verified can be spent by anybody who
//! forges sources. Where they are, the answer is a cookie: a hash over where the greeting came from, with a secret of ours.
//! Nothing is remembered of it. A greeting with a good cookie is from where it says, and has budgets of its own.

use ihmp_core::addr::Addr;
use ihmp_core::message::Options;
use ihmp_core::time::{Duration, Instant};
use sha2::{Digest, Sha256};

use crate::endpoint::Endpoint;

/// How long a cookie is good at least, and half of how long it is at most.
const PERIOD: Duration = Duration::from_secs(120);
/// The flag of a message that has a cookie for its last address: in a HELLO, or an ACK with IS.
pub(crate) const COOKIE: Options = Options::OLDADDR_UNREACHABLE;

/// What cookies are made with.
#[derive(Debug, Default)]
pub(crate) struct Baker {
    secret: Option<[u8; 32]>,
    /// Cookies that were sent, and greetings with a good one.
    counts: [u64; 2],
}

impl Baker {
    fn bake(secret: &[u8; 32], period: u64, endpoint: Endpoint, to: Addr) -> Addr {
        let port = endpoint.port.unwrap_or(0).to_be_bytes();
        let mut hash = Sha256::new();
        hash.update(secret);
        hash.update(period.to_be_bytes());
        for octets in [endpoint.addr.octets(), endpoint.own.octets(), to.octets()] {
            hash.update(octets);
        }
        hash.update(port);
        let hash: [u8; 32] = hash.finalize().into();
        let mut cookie = [0; 16];
        cookie.copy_from_slice(&hash[..16]);
        Addr::v6(cookie)
    }

    /// Whether cookies can be made.
    pub(crate) fn is_ready(&self) -> bool {
        self.secret.is_some()
    }

    /// They are made with the hash of this, which nobody can guess.
    pub(crate) fn prepare(&mut self, chances: [u64; 4]) {
        let mut hash = Sha256::new();
        for chance in chances {
            hash.update(chance.to_be_bytes());
        }
        self.secret = Some(hash.finalize().into());
    }

    /// A cookie to be sent there.
    pub(crate) fn cookie(&mut self, endpoint: Endpoint, to: Addr, now: Instant) -> Option<Addr> {
        let secret = self.secret.as_ref()?;
        let cookie = Self::bake(secret, period(now), endpoint, to);
        self.counts[0] += 1;
        Some(cookie)
    }

    /// Whether a greeting has a good one.
    pub(crate) fn takes(
        &mut self,
        cookie: Addr,
        endpoint: Endpoint,
        to: Addr,
        now: Instant,
    ) -> bool {
        let good = self.is_good(cookie, endpoint, to, now);
        self.counts[1] += u64::from(good);
        good
    }

    /// Cookies that were sent, and greetings with a good one.
    pub(crate) fn counts(&self) -> [u64; 2] {
        self.counts
    }

    /// Whether this is a cookie that was sent there, not long ago.
    fn is_good(&self, cookie: Addr, endpoint: Endpoint, to: Addr, now: Instant) -> bool {
        let Some(secret) = &self.secret else {
            return false;
        };
        let period = period(now);
        let periods = [period, period.wrapping_sub(1)];
        periods
            .into_iter()
            .any(|period| Self::bake(secret, period, endpoint, to) == cookie)
    }
}

fn period(now: Instant) -> u64 {
    now.since(Instant::ZERO).as_nanos() / PERIOD.as_nanos()
}
