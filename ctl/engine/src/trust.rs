// SPDX-License-Identifier: GPL-2.0
//! By which key a host is believed.

use crate::keys::PublicKey;
use crate::received::Signer;

/// The keys of two hosts towards each other, and the newest that was said with the peer's.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    /// The peer's key: nobody else speaks for it.
    key: Option<PublicKey>,
    /// The own key that is used towards it.
    own: Option<PublicKey>,
    /// Who greeted from its address without having shown that it hears us, and the last timestamp of that.
    greeted_by: Option<(PublicKey, u64)>,
    /// The timestamp of the last request accepted, or HELLO that named all addresses; 0 for one that was not signed.
    newest: u64,
}

impl Trust {
    /// The peer's key.
    pub(crate) fn key(&self) -> Option<PublicKey> {
        self.key
    }

    /// The own key that is used towards it.
    pub(crate) fn own(&self) -> Option<PublicKey> {
        self.own
    }

    /// Whether it has no key yet.
    pub(crate) fn is_unbound(&self) -> bool {
        self.key.is_none()
    }

    /// From now on nobody else speaks for it. The last timestamp of its greetings that were not believed, if there were any.
    pub(crate) fn bind(&mut self, key: PublicKey, own: Option<PublicKey>) -> Option<u64> {
        self.key = Some(key);
        self.own = self.own.or(own);
        let before = self.greeted_by.take();
        before.filter(|(by, _)| *by == key).map(|(_, last)| last)
    }

    /// It greeted with this key, and has yet to show that it hears us.
    pub(crate) fn note_greeting(&mut self, signer: &Signer) {
        let last = self.greeted_by.filter(|(key, _)| *key == signer.key);
        let stamp = last.map_or(signer.stamp, |(_, last)| last.max(signer.stamp));
        self.greeted_by = Some((signer.key, stamp));
    }

    /// It has this key by the word of the former one; or none, since the administrator took it away.
    pub(crate) fn set_key(&mut self, key: Option<PublicKey>) {
        self.key = key;
    }

    /// This own key is used towards it.
    pub(crate) fn set_own(&mut self, own: Option<PublicKey>) {
        self.own = own;
    }

    /// Takes over what is known of the same peer under another entry.
    pub(crate) fn merge(&mut self, other: &Trust) {
        self.key = self.key.or(other.key);
        self.own = self.own.or(other.own);
    }

    /// What this one signed is the newest that the peer said; `None` if it was not signed.
    pub(crate) fn note_newest(&mut self, signer: Option<Signer>) {
        self.newest = signer.map_or(0, |signer| signer.stamp);
    }

    /// Whether something newer was said than what this one signed.
    pub(crate) fn is_overtaken(&self, signer: &Signer) -> bool {
        signer.stamp < self.newest
    }

    /// Whether what this one signed is newer than all that was said.
    pub(crate) fn is_newest(&self, signer: &Signer) -> bool {
        signer.stamp > self.newest
    }
}
