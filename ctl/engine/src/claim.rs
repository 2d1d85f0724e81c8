// SPDX-License-Identifier: GPL-2.0
//! By which key a message claims to be, and whether it is.

use ihmp_core::message::{Ed25519, Message};

use crate::engine::Engine;
use crate::forged::Sort;
use crate::io::Refusal;
use crate::keys::{verify, PublicKey};
use crate::received::Received;

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

impl Claim<'_> {
    /// The key by which the signer is known until the signature is verified.
    pub(crate) fn name(&self) -> PublicKey {
        self.former.unwrap_or(self.key)
    }

    fn is_genuine(&self, received: &Received<'_>, bytes: &[u8], echoes: &[u64]) -> bool {
        let is_succeeded = |former: PublicKey| {
            let word = self.block.succession;
            word.is_some_and(|word| former.is_succeeded(&self.key, word.signature))
        };
        let covers = |echo: &u64| verify(bytes, received.to, *echo, &self.block);
        echoes.iter().any(covers) && self.former.is_none_or(is_succeeded)
    }
}

impl Engine {
    /// By whom the message claims to be: a key that is not our own.
    pub(crate) fn claim<'a>(&self, message: &Message<'a>) -> Result<Claim<'a>, Refusal> {
        let ring = &self.world.keyring;
        let signature = message.signature.ok_or(Refusal::Unsigned)?;
        let block = signature.ed25519().ok_or(Refusal::UnknownAlgorithm)?;
        let key = PublicKey(*block.key);
        if ring.own.iter().any(|own| own.public() == key) {
            return Err(Refusal::OwnKey);
        }
        let former = block.succession.map(|word| PublicKey(*word.former));
        let former = former
            .filter(|former| !ring.peers.contains_key(&key) && ring.peers.contains_key(former));
        Ok(Claim {
            key,
            stamp: block.timestamp,
            former,
            block,
        })
    }

    /// Verifies the claim, which answers one of these timestamps, as long as there were few forgeries of its sort. A key
    /// takes over from its former one.
    pub(crate) fn verify(
        &mut self,
        claim: &Claim<'_>,
        received: &Received<'_>,
        bytes: &[u8],
        echoes: &[u64],
        sort: Sort,
    ) -> Result<(), Refusal> {
        let now = self.world.now;
        let ring = &mut self.world.keyring;
        let name = claim.name();
        let allowed = match ring.peers.get(&name) {
            Some(peer) => peer.forged.may_be(sort, now),
            None if sort == Sort::Answer => ring.answers.take(now),
            None => ring.strangers.take(now),
        };
        if !allowed {
            return Err(Refusal::Rate);
        }
        if !claim.is_genuine(received, bytes, echoes) {
            if let Some(peer) = ring.peers.get_mut(&name) {
                peer.forged.count(sort, now);
            }
            return Err(Refusal::BadSignature);
        }
        if let Some(former) = claim.former {
            self.succeed(former, claim.key);
        }
        Ok(())
    }
}
