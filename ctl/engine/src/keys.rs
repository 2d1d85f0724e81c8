// SPDX-License-Identifier: GPL-2.0
//! Keys: own ones that sign, and those of peers that are believed.
//!
//! The cryptography is that of ed25519-dalek; here is only who signs with what, and whom to believe.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use ihmp_core::addr::Addr;
use ihmp_core::message::{
    put_signature, signed, successor, Ed25519, Message, Succession, MAX_LEN, MAX_SIGNED,
    SUCCESSION_LEN,
};
use ihmp_core::policy::Prefix;
use sha2::{Digest, Sha256};

/// A public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// The GUID: SHA-256 of the 32 octets of the key.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(Sha256::digest(self.0).into())
    }

    /// Whether this is a signature by the key; strict (RFC 8032, and no key of small order).
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let signature = Signature::from_bytes(signature);
        VerifyingKey::from_bytes(&self.0)
            .is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
    }

    /// Whether it names `new` its successor by this signature.
    pub fn is_succeeded(&self, new: &PublicKey, signature: &[u8; 64]) -> bool {
        self.verifies(&successor(&new.0), signature)
    }
}

/// 64 hexadecimal digits.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoKey;

impl FromStr for PublicKey {
    type Err = NoKey;

    fn from_str(text: &str) -> Result<PublicKey, NoKey> {
        let mut key = [0; 32];
        if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(NoKey);
        }
        for (octet, at) in key.iter_mut().zip((0..64).step_by(2)) {
            let digits = text.get(at..at + 2).ok_or(NoKey)?;
            *octet = u8::from_str_radix(digits, 16).map_err(|_| NoKey)?;
        }
        // Octets that are no point of the curve sign nothing.
        match VerifyingKey::from_bytes(&key) {
            Ok(point) if !point.is_weak() => Ok(PublicKey(key)),
            _ => Err(NoKey),
        }
    }
}

/// The name of a key: what its owner tells others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 32]);

/// `sha256:` and 64 hexadecimal digits.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The word of a former key for the one that took its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Former {
    /// The former key.
    pub key: PublicKey,
    /// Its signature.
    pub signature: [u8; 64],
}

/// An own key. Its secret is wiped from memory when it is dropped, and is in no output.
#[derive(Clone)]
pub struct OwnKey {
    secret: SigningKey,
    /// The own addresses that it is for; empty for all that no other key is for.
    pub scope: Vec<Prefix>,
    /// The key before it.
    pub former: Option<Former>,
}

impl OwnKey {
    /// The key that grows from 32 random octets.
    pub fn new(seed: &[u8; 32], scope: Vec<Prefix>) -> OwnKey {
        OwnKey {
            secret: SigningKey::from_bytes(seed),
            scope,
            former: None,
        }
    }

    /// Its public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.secret.verifying_key().to_bytes())
    }

    /// What it says of its successor.
    pub fn endorse(&self, new: &PublicKey) -> Former {
        Former {
            key: self.public(),
            signature: self.secret.sign(&successor(&new.0)).to_bytes(),
        }
    }

    /// The octets of a message to this address, signed; `echo` is the timestamp of what it answers, or zero.
    pub fn seal(&self, message: &Message<'_>, to: Addr, stamp: u64, echo: u64) -> Vec<u8> {
        let public = self.public();
        let succession = self.former.as_ref().map(|former| Succession {
            former: &former.key.0,
            signature: &former.signature,
        });
        let write = || {
            let mut body = [0; SUCCESSION_LEN];
            let block = Ed25519::unsigned(stamp, &public.0, succession, &mut body)?;
            let signature = Some(block);
            let mut buffer = [0; MAX_LEN];
            let mut octets = Message {
                signature,
                ..*message
            }
            .emit(&mut buffer)?
            .to_vec();
            let mut out = [0; MAX_SIGNED];
            let over = signed(&octets, to, echo, &mut out)?;
            put_signature(&mut octets, &self.secret.sign(over).to_bytes())?;
            Ok::<_, ihmp_core::message::NoRoom>(octets)
        };
        // INVARIANT: the buffers hold the longest message.
        write().unwrap_or_default()
    }
}

impl fmt::Debug for OwnKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnKey")
            .field("public", &self.public())
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// Whom to believe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// The key by which a host is first known, and after that no other.
    #[default]
    FirstUse,
    /// Keys that the administrator listed.
    RequireKnown,
    /// As [`Policy::FirstUse`], and where a key is remembered no other is believed until the administrator accepts it.
    Pin,
    /// As [`Policy::FirstUse`], and messages without a signature from hosts that never sent one with it.
    Unsigned,
}

/// What is known of a peer's key, from an earlier run or from the administrator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownKey {
    /// The administrator listed it.
    pub pinned: bool,
    /// It is that of a router: it answers moves in the place of peers, and speaks for no host.
    pub router: bool,
    /// Addresses at which only this key is believed; of a router, those within which it is. Listed keys only.
    pub scope: Vec<Prefix>,
    /// No message with a timestamp up to this one is believed.
    pub floor: u64,
    /// The own key that was used towards it.
    pub own: Option<PublicKey>,
    /// Where the host was.
    pub at: Vec<Addr>,
    /// Addresses at which the administrator accepted it after another one.
    pub accepted: Vec<Addr>,
}

/// Another key has shown that it is where one is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Where.
    pub at: Addr,
    /// The key that is remembered.
    pub former: PublicKey,
    /// The other one.
    pub key: PublicKey,
    /// It is remembered in the place of the former one from now on; else it is refused.
    pub believed: bool,
}

/// All keys: at the start, and when the administrator changed something.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// Own keys, the one for all addresses among them.
    pub own: Vec<OwnKey>,
    /// Own messages bear later timestamps than this.
    pub sent: u64,
    /// Keys of peers.
    pub known: Vec<(PublicKey, KnownKey)>,
}

/// Something to be remembered over a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Own messages may bear timestamps up to this one.
    Sent(u64),
    /// Messages with this key and a timestamp up to this one were believed.
    Heard {
        /// The key.
        key: PublicKey,
        /// The timestamp.
        floor: u64,
    },
    /// The host with this key is at these addresses.
    At {
        /// The key.
        key: PublicKey,
        /// The own key that is used towards it.
        own: PublicKey,
        /// The addresses.
        at: Vec<Addr>,
    },
    /// A key took the place of another one.
    Succeeded {
        /// The former key.
        former: PublicKey,
        /// The new key.
        key: PublicKey,
    },
    /// Another key is where one was remembered.
    Changed(Changed),
    /// There are too many keys: this one is given up.
    Forgotten(PublicKey),
}

/// Verifies a signed message; `echo` is the timestamp of what it answers.
pub fn verify(bytes: &[u8], to: Addr, echo: u64, block: &Ed25519<'_>) -> bool {
    let mut out = [0; MAX_SIGNED];
    let over = signed(bytes, to, echo, &mut out);
    over.is_ok_and(|over| PublicKey(*block.key).verifies(over, block.signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032 section 7.1, test 1.
    const SEED: [u8; 32] = [
        0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c,
        0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae,
        0x7f, 0x60,
    ];
    const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

    #[test]
    fn keys_and_fingerprints_as_text() {
        let own = OwnKey::new(&SEED, Vec::new());
        assert_eq!(own.public().to_string(), PUBLIC);
        assert_eq!(PUBLIC.parse(), Ok(own.public()));
        // sha256sum of the 32 octets.
        assert_eq!(
            own.public().fingerprint().to_string(),
            "sha256:21fe31dfa154a261626bf854046fd2271b7bed4b6abe45aa58877ef47f9721b9"
        );
        for text in ["", "d7", &PUBLIC[1..], &PUBLIC.replace('d', "g")] {
            assert_eq!(text.parse::<PublicKey>(), Err(NoKey), "{text}");
        }
        // The neutral element: everything is signed by it.
        let weak = format!("01{}", "00".repeat(31));
        assert_eq!(weak.parse::<PublicKey>(), Err(NoKey));
        // Not a point.
        let none = format!("02{}", "00".repeat(31));
        assert_eq!(none.parse::<PublicKey>(), Err(NoKey));
    }

    #[test]
    fn secret_is_in_no_output() {
        let own = OwnKey::new(&SEED, Vec::new());
        let text = format!(
            "{own:?} {:?}",
            Keys {
                own: vec![own.clone()],
                ..Keys::default()
            }
        );
        let seed = PublicKey(SEED).to_string();
        let list = format!("{SEED:?}");
        assert!(text.contains(PUBLIC) && !text.contains(&seed));
        assert!(!text.contains(list.trim_matches(['[', ']'])));
    }

    #[test]
    fn succession_is_for_one_key() {
        let (old, new) = (OwnKey::new(&[1; 32], vec![]), OwnKey::new(&[2; 32], vec![]));
        let former = old.endorse(&new.public());
        assert!(old.public().is_succeeded(&new.public(), &former.signature));
        assert!(!new.public().is_succeeded(&old.public(), &former.signature));
        let other = OwnKey::new(&[3; 32], vec![]).public();
        assert!(!old.public().is_succeeded(&other, &former.signature));
    }
}
