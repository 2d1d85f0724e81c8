// SPDX-License-Identifier: GPL-2.0
//! Whether a message is what its key says.

use ihmp_core::addr::Addr;
use ihmp_core::message::{Control, Ed25519, Message, Options};
use ihmp_core::time::Instant;
use ihmp_engine::{verify, Bucket, PublicKey, Rate};

use crate::asked::{Asked, Request};
use crate::io::{Passing, Reason};
use crate::table::Table;

/// Verifies signatures, not too many of them.
#[derive(Debug)]
pub(crate) struct Verifier {
    budget: Bucket,
    asked: Asked,
}

impl Verifier {
    /// One that verifies so many signatures.
    pub(crate) fn new(rate: Rate) -> Verifier {
        Verifier {
            budget: Bucket::new(rate),
            asked: Asked::default(),
        }
    }

    /// Remembers a request to an inside host, so that the answer can be verified.
    pub(crate) fn remember(&mut self, request: Request, stamp: u64) {
        self.asked.remember(request, stamp);
    }

    /// What the signature of a message from an inside host may be over besides itself; `None` when that is not known.
    pub(crate) fn echoes(&self, host: Addr, to: Addr, message: &Message<'_>) -> Option<Vec<u64>> {
        match message.control {
            Control::Ack => self.asked.stamps((to, host, message.seqno)),
            Control::Hello if message.options.has(Options::INCORRECT_SEQNO) => None,
            _ => Some(vec![0]),
        }
    }

    /// Whether a signature over one of these echoes is right.
    pub(crate) fn verify(
        &mut self,
        now: Instant,
        bytes: &[u8],
        to: Addr,
        echoes: &[u64],
        block: &Ed25519<'_>,
    ) -> Result<(), Reason> {
        if !self.budget.take(now) {
            return Err(Reason::Rate);
        }
        if !echoes.iter().any(|echo| verify(bytes, to, *echo, block)) {
            return Err(Reason::BadSignature);
        }
        Ok(())
    }

    /// Whether a message is what its key says, and is no old one. The table knows it then.
    pub(crate) fn authenticate(
        &mut self,
        now: Instant,
        table: &mut Table,
        passing: &Passing<'_>,
        block: &Ed25519<'_>,
        echoes: &[u64],
    ) -> Result<(), Reason> {
        let key = PublicKey(*block.key);
        let former = block
            .succession
            .as_ref()
            .map(|word| PublicKey(*word.former));
        let former = former.filter(|former| table.floor(former) > 0);
        let floor = former.map_or(0, |former| table.floor(&former));
        if block.timestamp <= floor.max(table.floor(&key)) {
            return Err(Reason::Replayed);
        }
        self.verify(now, passing.bytes, passing.to, echoes, block)?;
        if let (Some(former), Some(word)) = (former, &block.succession) {
            if !former.is_succeeded(&key, word.signature) {
                return Err(Reason::BadSignature);
            }
            table.succeed(&former, key);
        }
        table.accept(&key, block.timestamp);
        Ok(())
    }
}
