// SPDX-License-Identifier: GPL-2.0
//! Forged messages in the name of a key that is known: how many of them are verified.
//!
//! They are counted apart by what can be told of a message before its signature is verified. Who knows no more than the
//! key and the addresses of a host can so keep neither its answers nor its moves from being heard.

use ihmp_core::time::Instant;

use crate::bucket::Bucket;
use crate::limits::Rate;

/// What a message seems to be: what is harder to forge comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// It answers what was sent there.
    Answer,
    /// A request with an expected number.
    Expected,
    /// From an address at which the host is.
    There,
    /// Anything else.
    Other,
}

/// Those in the name of one key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forged {
    answers: Bucket,
    expected: Bucket,
    there: Bucket,
    others: Bucket,
}

impl Forged {
    /// None yet; at most `rate` of each sort are verified.
    pub(crate) fn new(rate: Rate) -> Forged {
        let bucket = Bucket::new(rate);
        Forged {
            answers: bucket,
            expected: bucket,
            there: bucket,
            others: bucket,
        }
    }

    /// Whether another message of this sort may be verified.
    pub(crate) fn may_be(&self, sort: Sort, now: Instant) -> bool {
        let bucket = match sort {
            Sort::Answer => &self.answers,
            Sort::Expected => &self.expected,
            Sort::There => &self.there,
            Sort::Other => &self.others,
        };
        bucket.ready_at(now) <= now
    }

    /// One of this sort was forged.
    pub(crate) fn count(&mut self, sort: Sort, now: Instant) {
        let bucket = match sort {
            Sort::Answer => &mut self.answers,
            Sort::Expected => &mut self.expected,
            Sort::There => &mut self.there,
            Sort::Other => &mut self.others,
        };
        // There was room for it.
        let _ = bucket.take(now);
    }
}
