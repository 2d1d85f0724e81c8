// SPDX-License-Identifier: GPL-2.0
//! `ihmpctl key`: own keys and those of peers, in the folder of the agent.

use std::{
    fs,
    path::{
        Path,
        PathBuf, //
    },
};

use ihmp_core::policy::Prefix;
use ihmp_engine::{
    Changed,
    Fact,
    PublicKey, //
};
use ihmp_keys::{
    Own,
    Record,
    Seed,
    State,
    DEFAULT, //
};

use super::{
    failure::Failure,
    verb::{
        Object,
        Verb,
        ADD,
        DEL,
        SHOW, //
    },
};
use crate::{
    render::Output,
    words::{
        Result,
        Usage,
        Words, //
    },
};

pub(super) const OBJECT: Object<Action> = Object {
    name: "key",
    verbs: &[
        Verb {
            names: SHOW,
            syntax: "",
            parse: |_| Ok(Action::Show),
        },
        Verb {
            names: ADD,
            syntax: "KEY [router] [name NAME] [at PREFIX]...",
            parse: add,
        },
        Verb {
            names: DEL,
            syntax: "KEY|FINGERPRINT|NAME",
            parse: |words| {
                let key = words.need("a key, fingerprint or name")?.to_owned();
                Ok(Action::Del(key))
            },
        },
        Verb {
            names: &["accept"],
            syntax: "ADDR|NAME [KEY|FINGERPRINT]",
            parse: |words| {
                let place = words.need("an address or a name")?.to_owned();
                let key = words.take().map(ToOwned::to_owned);
                Ok(Action::Accept { place, key })
            },
        },
        Verb {
            names: &["set-local"],
            syntax: "all|PREFIX... [from FILE]",
            parse: set_local,
        },
        Verb {
            names: &["rotate"],
            syntax: "[NAME]",
            parse: |words| {
                let name = words.take().unwrap_or(DEFAULT).to_owned();
                Ok(Action::Rotate(name))
            },
        },
    ],
    notes: "

KEY: 64 hexadecimal digits
FINGERPRINT: sha256: and 64 hexadecimal digits
PREFIX: ADDR[/LENGTH]

Works on the folder of the agent (--state DIR) and tells a running agent.",
};

/// What to do with keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Show,
    Add {
        key: PublicKey,
        router: bool,
        name: Option<String>,
        scope: Vec<Prefix>,
    },
    Del(String),
    Accept {
        place: String,
        key: Option<String>,
    },
    SetLocal {
        scope: Vec<Prefix>,
        from: Option<PathBuf>,
    },
    Rotate(String),
}

fn refuse(text: impl Into<String>) -> Failure {
    Failure::State(text.into())
}

fn random() -> std::result::Result<Seed, Failure> {
    Seed::random().map_err(|error| refuse(format!("no random numbers: {error}")))
}

impl Action {
    pub(super) fn run(self, dir: &Path, out: &mut Output<'_>) -> std::result::Result<(), Failure> {
        let state = State::open(dir)?;
        match self {
            Self::Show => {
                return Ok(out.keys(&state.own()?, &state.known()?)?);
            }
            Self::Add {
                key,
                router,
                name,
                scope,
            } => {
                let peers = state.known()?.peers;
                let taken = |(other, peer): (&PublicKey, &ihmp_keys::Peer)| {
                    *other != key && name.is_some() && peer.name == name
                };
                if peers.iter().any(taken) {
                    return Err(refuse("another key has that name"));
                }
                state.append(&[Record::Pin {
                    key,
                    router,
                    scope,
                    name,
                }])?;
            }
            Self::Del(text) => del(&state, &text)?,
            Self::Accept { place, key } => {
                for key in accept(&state, &place, key.as_deref())? {
                    out.fingerprint(&key)?;
                }
            }
            Self::SetLocal { scope, from } => {
                let public = local(&state, &scope, from.as_deref())?;
                out.fingerprint(&public)?;
            }
            Self::Rotate(name) => {
                let own = state.own()?.into_iter().find(|own| own.name == name);
                let own = own.ok_or_else(|| refuse(format!("no own key is called \"{name}\"")))?;
                let seed = random()?;
                let former = own.key.endorse(&seed.key(Vec::new()).public());
                let public = state.set_own(&name, &seed, &own.key.scope, Some(former))?;
                out.fingerprint(&public)?;
            }
        }
        state.tell_agent()?;
        Ok(())
    }
}

/// Removes a peer's key, or an own key that is for some addresses only.
fn del(state: &State, text: &str) -> std::result::Result<(), Failure> {
    let peers = state.known()?.peers;
    let is = |key: &PublicKey, name: Option<&str>| {
        key.to_string() == text || key.fingerprint().to_string() == text || name == Some(text)
    };
    let peer = peers
        .iter()
        .find(|(key, peer)| is(key, peer.name.as_deref()));
    if let Some((key, _)) = peer {
        return Ok(state.append(&[Record::Fact(Fact::Forgotten(*key))])?);
    }
    let own = state.own()?;
    match own
        .iter()
        .find(|own| is(&own.key.public(), Some(&own.name)))
    {
        Some(own) if own.name == DEFAULT => {
            Err(refuse("the key for all addresses cannot be removed"))
        }
        Some(own) => Ok(state.remove_own(&own.name)?),
        None => Err(refuse(format!("no key \"{text}\" is known"))),
    }
}

/// Accepts the key that was used last at an address, or at the addresses of the key with a name, in place of the key that is remembered
/// there. If that one was listed, its name and addresses go to the new one.
fn accept(
    state: &State,
    place: &str,
    key: Option<&str>,
) -> std::result::Result<Vec<PublicKey>, Failure> {
    let known = state.known()?;
    let name = |key: &PublicKey| known.peers.get(key).and_then(|peer| peer.name.as_deref());
    let is = |changed: &&Changed| {
        let other = changed.key;
        let wanted = key.is_none_or(|text| {
            other.to_string() == text || other.fingerprint().to_string() == text
        });
        let there = changed.at.to_string() == place || name(&changed.former) == Some(place);
        wanted && there
    };
    let changes: Vec<&Changed> = known.changes.values().filter(is).collect();
    if changes.is_empty() {
        return Err(refuse(format!("no other key was seen at \"{place}\"")));
    }
    let mut records = Vec::new();
    for changed in &changes {
        records.push(Record::Accept {
            key: changed.key,
            at: changed.at,
        });
        let former = known.peers.get(&changed.former);
        if let Some(former) = former.filter(|former| former.known.pinned) {
            records.push(Record::Pin {
                key: changed.key,
                router: former.known.router,
                scope: former.known.scope.clone(),
                name: former.name.clone(),
            });
            records.push(Record::Fact(Fact::Forgotten(changed.former)));
        }
    }
    state.append(&records)?;
    let mut keys: Vec<PublicKey> = changes.iter().map(|changed| changed.key).collect();
    keys.dedup();
    Ok(keys)
}

/// Makes a key, or takes one from a file, for all addresses or for some.
fn local(
    state: &State,
    scope: &[Prefix],
    from: Option<&Path>,
) -> std::result::Result<PublicKey, Failure> {
    let seed = match from {
        None => random()?,
        Some(path) => {
            let text = fs::read_to_string(path)
                .map_err(|error| refuse(format!("{}: {error}", path.display())))?;
            let text = zeroize::Zeroizing::new(text);
            let seed = Seed::parse(text.trim());
            seed.ok_or_else(|| refuse("the file has not 64 hexadecimal digits"))?
        }
    };
    if scope.is_empty() {
        return Ok(state.set_own(DEFAULT, &seed, scope, None)?);
    }
    let own = state.own()?;
    let taken = |own: &&Own| own.key.scope.iter().any(|prefix| scope.contains(prefix));
    if let Some(own) = own.iter().find(taken) {
        return Err(refuse(format!(
            "there is a key for that already: {}",
            own.name
        )));
    }
    let fingerprint = seed.key(Vec::new()).public().fingerprint().to_string();
    let name: String = fingerprint.chars().skip("sha256:".len()).take(16).collect();
    Ok(state.set_own(&name, &seed, scope, None)?)
}

fn key(words: &mut Words<'_>) -> Result<PublicKey> {
    let word = words.need("a key")?;
    word.parse()
        .map_err(|_| Usage(format!("\"{word}\" is not a key")))
}

fn prefix(words: &mut Words<'_>) -> Result<Prefix> {
    let word = words.need("a prefix")?;
    word.parse()
        .map_err(|error| Usage(format!("\"{word}\" is not a prefix: {error}")))
}

fn add(words: &mut Words<'_>) -> Result<Action> {
    let key = key(words)?;
    let (mut router, mut name, mut scope) = (false, None, Vec::new());
    while words.peek().is_some() {
        if words.keyword("name") {
            let word = words.need("a name")?;
            let good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            if word.len() > 64 || !word.chars().all(good) {
                return Err(Usage(format!("\"{word}\" is not a name for a key")));
            }
            name = Some(word.to_owned());
        } else if words.keyword("router") {
            router = true;
        } else if words.keyword("at") {
            scope.push(prefix(words)?);
        } else {
            words.end()?;
        }
    }
    Ok(Action::Add {
        key,
        router,
        name,
        scope,
    })
}

fn set_local(words: &mut Words<'_>) -> Result<Action> {
    let (mut scope, mut from) = (Vec::new(), None);
    if !words.keyword("all") {
        scope.push(prefix(words)?);
    }
    while words.peek().is_some() {
        if words.keyword("from") {
            from = Some(words.need("a file")?.into());
            words.end()?;
        } else if scope.is_empty() {
            words.end()?;
        } else {
            scope.push(prefix(words)?);
        }
    }
    Ok(Action::SetLocal { scope, from })
}
