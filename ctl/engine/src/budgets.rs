// SPDX-License-Identifier: GPL-2.0
//! How much of what is heard, sent and answered, for all hosts together and for networks.

use ihmp_core::addr::Addr;
use ihmp_core::time::Instant;

use crate::bucket::{Bucket, Prefixes};
use crate::cookie::Baker;
use crate::limits::{Limits, PATH_CHECKS};

/// The budgets that hosts share. Each verb takes a token, and says whether there was one.
#[derive(Debug)]
pub(crate) struct Budgets {
    /// HELLOs sent to hosts that may not take part.
    hello_out: Bucket,
    /// Hosts that are told of a change of our addresses.
    moves: Bucket,
    /// HELLOs of unknown hosts.
    hello_in: Bucket,
    hello_prefix: Prefixes,
    /// The same of those that have shown that they are from there.
    proven_prefix: Prefixes,
    /// Hosts that came, by network.
    arrivals: Prefixes,
    /// ACKs with IS.
    wrong: Bucket,
    entries: Bucket,
    entry_prefix: Prefixes,
    /// Paths that are checked because nothing comes back.
    paths: Bucket,
    /// Cookies for who greets while there are too many.
    baker: Baker,
}

impl Budgets {
    pub(crate) fn new(limits: &Limits) -> Budgets {
        Budgets {
            hello_out: Bucket::new(limits.greetings.sent),
            moves: Bucket::new(limits.hosts.told),
            hello_in: Bucket::new(limits.greetings.taken),
            hello_prefix: Prefixes::new(limits.greetings.prefix),
            proven_prefix: Prefixes::new(limits.greetings.prefix),
            arrivals: Prefixes::new(limits.greetings.prefix),
            wrong: Bucket::new(limits.challenges.all),
            entries: Bucket::new(limits.nats.entries),
            entry_prefix: Prefixes::new(limits.nats.prefix),
            paths: Bucket::new(PATH_CHECKS),
            baker: Baker::default(),
        }
    }

    /// A host that may not take part is greeted.
    pub(crate) fn greet(&mut self, now: Instant) -> bool {
        self.hello_out.take(now)
    }

    /// When the next one can be.
    pub(crate) fn greet_at(&self, now: Instant) -> Instant {
        self.hello_out.ready_at(now)
    }

    /// A host is told of a change of our addresses.
    pub(crate) fn tell(&mut self, now: Instant) -> bool {
        self.moves.take(now)
    }

    /// When the next one can be.
    pub(crate) fn tell_at(&self, now: Instant) -> Instant {
        self.moves.ready_at(now)
    }

    /// A greeting came from there.
    pub(crate) fn greeting(&mut self, from: Addr, now: Instant) -> bool {
        self.hello_prefix.take(from, now)
    }

    /// A greeting with a good cookie came from there.
    pub(crate) fn proven_greeting(&mut self, from: Addr, now: Instant) -> bool {
        self.proven_prefix.take(from, now)
    }

    /// A host that is not known greets from there.
    pub(crate) fn newcomer(&mut self, from: Addr, now: Instant) -> bool {
        self.arrivals.take(from, now) && self.hello_in.take(now)
    }

    /// A NAT tells of port mappings.
    pub(crate) fn entry(&mut self, from: Addr, now: Instant) -> bool {
        self.entry_prefix.take(from, now) && self.entries.take(now)
    }

    /// Somebody is told that his number is wrong.
    pub(crate) fn refusal(&mut self, now: Instant) -> bool {
        self.wrong.take(now)
    }

    /// A path is checked because nothing comes back.
    pub(crate) fn check_path(&mut self, now: Instant) -> bool {
        self.paths.take(now)
    }

    /// What makes cookies.
    pub(crate) fn baker(&self) -> &Baker {
        &self.baker
    }

    /// The same, to make some.
    pub(crate) fn baker_mut(&mut self) -> &mut Baker {
        &mut self.baker
    }

    /// For figures: newcomers, refusals, greetings.
    pub(crate) fn buckets(&self) -> [&Bucket; 3] {
        [&self.hello_in, &self.wrong, &self.hello_out]
    }
}
