// SPDX-License-Identifier: GPL-2.0
//! Own keys: one file each.
//!
//! ```text
//! seed 64 hexadecimal digits
//! scope 192.0.2.0/24
//! former 64 hexadecimal digits: the key before it, 128: its signature
//! ```

use std::{
    fmt::Write,
    fs::{
        self,
        File, //
    },
    io::{
        self,
        Read, //
    },
    os::unix::fs::PermissionsExt,
    path::Path,
};

use ihmp_core::policy::Prefix;
use ihmp_engine::{
    Former,
    OwnKey,
    PublicKey, //
};
use zeroize::Zeroizing;

use crate::{
    replace,
    At,
    Error,
    Result,
    State, //
};

/// The name of the key for all addresses that no other one is for.
pub const DEFAULT: &str = "default";

/// The seed of a private key; wiped when it is dropped.
pub struct Seed(Zeroizing<[u8; 32]>);

impl Seed {
    /// A new one.
    pub fn random() -> io::Result<Self> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed)?;
        Ok(Self(seed))
    }

    /// A seed from 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut seed = Zeroizing::new([0; 32]);
        octets(text, &mut *seed)?;
        Some(Self(seed))
    }

    /// The key.
    pub fn key(&self, scope: Vec<Prefix>) -> OwnKey {
        OwnKey::new(&self.0, scope)
    }
}

/// An own key and the name of its file.
#[derive(Clone, Debug)]
pub struct Own {
    /// The name.
    pub name: String,
    /// The key.
    pub key: OwnKey,
}

/// Fills `into` from hexadecimal digits.
fn octets(text: &str, into: &mut [u8]) -> Option<()> {
    if text.len() != 2 * into.len() || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (octet, at) in into.iter_mut().zip((0..text.len()).step_by(2)) {
        *octet = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(())
}

/// A prefix, or an address alone.
fn prefix(text: &str) -> Option<Prefix> {
    text.parse().ok()
}

/// The text of a file, if nobody else can read it.
fn secret(path: &Path) -> Result<Zeroizing<String>> {
    let mut file = File::open(path).at(path)?;
    let mode = file.metadata().at(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(Error::new(
            path,
            "others can read this private key: its mode must be 0600",
        ));
    }
    // Long enough from the beginning: a buffer that grows leaves copies of the seed behind.
    let mut text = Zeroizing::new(String::with_capacity(64 * 1024));
    file.by_ref()
        .take(64 * 1024)
        .read_to_string(&mut text)
        .at(path)?;
    Ok(text)
}

fn parse(path: &Path) -> Result<OwnKey> {
    let text = secret(path)?;
    let mut seed = None;
    let mut scope = Vec::new();
    let mut former = None;
    for (number, line) in (1..).zip(text.lines()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let good = match words.as_slice() {
            [] => Some(()),
            [first, ..] if first.starts_with('#') => Some(()),
            ["seed", text] => Seed::parse(text).map(|found| seed = Some(found)),
            ["scope", text] => prefix(text).map(|found| scope.push(found)),
            ["former", key, text] => key.parse().ok().and_then(|key| {
                let mut signature = [0; 64];
                octets(text, &mut signature)?;
                former = Some(Former { key, signature });
                Some(())
            }),
            _ => None,
        };
        // The error does not quote the line, which may hold the seed.
        good.ok_or_else(|| Error::new(path, format!("line {number} is not understood")))?;
    }
    let seed = seed.ok_or_else(|| Error::new(path, "has no seed"))?;
    let mut key = seed.key(scope);
    key.former = former;
    Ok(key)
}

impl State {
    /// All own keys.
    pub fn own(&self) -> Result<Vec<Own>> {
        let dir = self.path("own");
        let mut keys = Vec::new();
        for entry in fs::read_dir(&dir).at(&dir)? {
            let path = entry.at(&dir)?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if let Some(name) = name.filter(|name| !name.contains('.')) {
                keys.push(Own {
                    name: name.to_owned(),
                    key: parse(&path)?,
                });
            }
        }
        keys.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(keys)
    }

    /// Makes the key for all addresses, unless it is there; true when it was made.
    pub fn ensure_default(&self) -> Result<bool> {
        let path = self.path("own").join(DEFAULT);
        if path.try_exists().at(&path)? {
            return Ok(false);
        }
        let seed = Seed::random().at(&path)?;
        self.set_own(DEFAULT, &seed, &[], None)?;
        Ok(true)
    }

    /// Writes an own key.
    pub fn set_own(
        &self,
        name: &str,
        seed: &Seed,
        scope: &[Prefix],
        former: Option<Former>,
    ) -> Result<PublicKey> {
        let mut text = Zeroizing::new(String::with_capacity(64 * 1024));
        text.push_str("# A private key of ihmp: keep it to yourself.\nseed ");
        for octet in &*seed.0 {
            // Writing to a string cannot fail.
            let _ = write!(text, "{octet:02x}");
        }
        text.push('\n');
        for prefix in scope {
            let _ = writeln!(text, "scope {prefix}");
        }
        if let Some(former) = former {
            let _ = write!(text, "former {} ", former.key);
            for octet in former.signature {
                let _ = write!(text, "{octet:02x}");
            }
            text.push('\n');
        }
        replace(&self.path("own").join(name), text.as_bytes())?;
        Ok(seed.key(Vec::new()).public())
    }

    /// Removes an own key.
    pub fn remove_own(&self, name: &str) -> Result<()> {
        let path = self.path("own").join(name);
        fs::remove_file(&path).at(&path)
    }
}
