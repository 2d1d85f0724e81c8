// SPDX-License-Identifier: GPL-2.0
//! By which key a message claims to be, and whether it is.

use ihmp_core::message::{Ed25519, Message};

use crate::binding::succeed;
use crate::forged::Sort;
use crate::io::Refusal;
use crate::keyring::Keyring;
use crate::keys::{verify as is_signed, PublicKey};
use crate::received::Received;
use crate::table::Table;

/// A signature that nobody has looked at yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim<'a> {
    pub(crate) key: PublicKey,
    /// Nanoseconds, strictly increasing per key.
    pub(crate) stamp: u64,
    /// The known key whose place this unknown one takes.
    former: Option<PublicKey>,
    block: Ed25519<'a>,
}

impl<'a> Claim<'a> {
    /// By whom the message claims to be: a key that is not our own.
    pub(crate) fn new(ring: &Keyring, message: &Message<'a>) -> Result<Claim<'a>, Refusal> {
        let signature = message.signature.ok_or(Refusal::Unsigned)?;
        let block = signature.ed25519().ok_or(Refusal::UnknownAlgorithm)?;
        let key = PublicKey(*block.key);
        if ring.own().has(&key) {
            return Err(Refusal::OwnKey);
        }
        let former = block.succession.map(|word| PublicKey(*word.former));
        let former = former.filter(|former| !ring.knows(&key) && ring.knows(former));
        Ok(Claim {
            key,
            stamp: block.timestamp,
            former,
            block,
        })
    }

    /// The key by which the signer is known until the signature is verified.
    pub(crate) fn name(&self) -> PublicKey {
        self.former.unwrap_or(self.key)
    }

    fn is_genuine(&self, received: &Received<'_>, bytes: &[u8], echoes: &[u64]) -> bool {
        let is_succeeded = |former: PublicKey| {
            let word = self.block.succession;
            word.is_some_and(|word| former.is_succeeded(&self.key, word.signature))
        };
        let covers = |echo: &u64| is_signed(bytes, received.to, *echo, &self.block);
        echoes.iter().any(covers) && self.former.is_none_or(is_succeeded)
    }
}

/// Verifies the claim, which answers one of these timestamps, as long as there were few forgeries of its sort. A key
/// takes over from its former one.
pub(crate) fn verify(
    table: &mut Table,
    claim: &Claim<'_>,
    received: &Received<'_>,
    bytes: &[u8],
    echoes: &[u64],
    sort: Sort,
) -> Result<(), Refusal> {
    let now = table.world.now;
    let ring = &mut table.world.keyring;
    let name = claim.name();
    if !ring.may_verify(&name, sort, now) {
        return Err(Refusal::Rate);
    }
    if !claim.is_genuine(received, bytes, echoes) {
        ring.forged(&name, sort, now);
        return Err(Refusal::BadSignature);
    }
    if let Some(former) = claim.former {
        succeed(table, former, claim.key);
    }
    Ok(())
}
