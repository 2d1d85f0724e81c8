// SPDX-License-Identifier: GPL-2.0
//! A cookie before work: who greets while many do has to show first that it hears us, at the cost of one hash.
//!
//! As WireGuard's under load. The budgets that a greeting spends before its signature is verified can be spent by anybody who
//! forges sources. Where they are, the answer is a cookie: a hash over where the greeting came from, with a secret of ours.
//! Nothing is remembered of it. A greeting with a good cookie is from where it says, and has budgets of its own.

use ihmp_core::addr::Addr;
use ihmp_core::message::{Addresses, Control, Options};
use ihmp_core::time::{Duration, Instant};
use sha2::{Digest, Sha256};

use crate::endpoint::Endpoint;
use crate::engine::Engine;
use crate::io::Refusal;
use crate::received::Received;
use crate::request::Request;
use crate::world::{Answer, World};

/// How long a cookie is good at least, and half of how long it is at most.
const PERIOD: Duration = Duration::from_secs(120);
/// The flag of a message that has a cookie for its last address: in a HELLO, or an ACK with IS.
pub(crate) const COOKIE: Options = Options::OLDADDR_UNREACHABLE;

/// What cookies are made with.
#[derive(Debug, Default)]
pub(crate) struct Baker {
    secret: Option<[u8; 32]>,
    /// Cookies that were sent, and greetings with a good one.
    pub(crate) counts: [u64; 2],
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

impl World {
    /// Whether a greeting by a key that is not known may be looked at; else it is answered with a cookie.
    pub(crate) fn admits_greeting(&mut self, received: &Received<'_>) -> Result<bool, Refusal> {
        let Received {
            from, endpoint, to, ..
        } = *received;
        let now = self.now;
        let good = |cookie| self.baker.is_good(cookie, endpoint, to, now);
        if received.cookie.is_some_and(good) {
            self.baker.counts[1] += 1;
            // It is from there indeed, so nobody else can spend this.
            return match self.proven_prefix.take(from, now) {
                true => Ok(true),
                false => Err(Refusal::Rate),
            };
        }
        if self.hello_prefix.take(from, now) && self.keyring.strangers.ready_at(now) <= now {
            return Ok(false);
        }
        self.send_cookie(received);
        Err(Refusal::Rate)
    }

    fn send_cookie(&mut self, received: &Received<'_>) {
        let Received {
            endpoint,
            to,
            message,
            ..
        } = *received;
        if self.baker.secret.is_none() {
            let mut hash = Sha256::new();
            for _ in 0..4 {
                hash.update(self.chance().to_be_bytes());
            }
            self.baker.secret = Some(hash.finalize().into());
        }
        let Some(secret) = &self.baker.secret else {
            return;
        };
        let cookie = Baker::bake(secret, period(self.now), endpoint, to);
        self.baker.counts[0] += 1;
        let options = Options::INCORRECT_SEQNO
            .with(COOKIE)
            .with(received.detected());
        let addresses = Addresses::of(&[to, cookie]).unwrap_or(Addresses::EMPTY);
        let answer = Answer::default();
        self.acknowledge(to, endpoint, message.seqno, options, addresses, answer);
    }
}

impl Engine {
    /// Whether this is a cookie: an ACK with IS and without a signature, which nobody else would believe.
    pub(crate) fn is_cookie(received: &Received<'_>) -> bool {
        let message = &received.message;
        let options = message.options;
        let is = options.has(COOKIE) && options.has(Options::INCORRECT_SEQNO);
        message.control == Control::Ack && message.signature.is_none() && is
    }

    /// The greeting that it answers goes there again, with the cookie.
    pub(crate) fn take_cookie(&mut self, received: &Received<'_>) -> Result<(), Refusal> {
        let Received {
            endpoint,
            to,
            message,
            ..
        } = *received;
        let cookie = received.after(1).first().copied().ok_or(Refusal::Payload)?;
        let answered = |request: &Request| {
            let greeting = request.control == Control::Hello && request.seqno == message.seqno;
            greeting && request.from == to && request.tried.contains(&endpoint)
        };
        let hosts = self.hosts_at(endpoint, None).into_iter();
        let mut greeting = hosts.filter(|host| host.outstanding.iter().any(answered));
        let key = greeting.next().map(|host| host.key);
        let key = key.ok_or(Refusal::UnexpectedAck)?;
        self.received(received);
        self.with(key, |host, world| {
            let requests = host.outstanding.iter_mut();
            if let Some(request) = requests.into_iter().find(|request| answered(request)) {
                request.cookie = Some((endpoint, cookie));
            }
            host.send_again(message.seqno, endpoint, world);
        });
        Ok(())
    }
}
