// SPDX-License-Identifier: GPL-2.0
//! What is known of peers' keys: a journal, so that a message that is believed costs one short write.
//!
//! ```text
//! pin KEY [at PREFIX]... [name NAME]      the administrator listed it
//! router KEY [at PREFIX]... [name NAME]   the same for the key of a router
//! at KEY OWN [ADDR]...                    the host is at these addresses, and we use that own key towards it
//! heard KEY NANOSECONDS                   messages with timestamps up to this one were believed
//! succeeded FORMER KEY                    a new key took the place of a former one
//! forget KEY
//! ```

use std::{
    collections::BTreeMap,
    fmt,
    fs::{
        self,
        File, //
    },
    io::{
        self,
        Write, //
    },
    os::unix::fs::MetadataExt,
    path::PathBuf,
};

use ihmp_core::policy::Prefix;
use ihmp_engine::{
    Fact,
    KnownKey,
    PublicKey, //
};
use nix::fcntl::{
    Flock,
    FlockArg, //
};

use crate::{
    private,
    replace,
    At,
    Error,
    Result,
    State, //
};

/// Records beyond which the journal is written anew, and per peer.
const LONG: usize = 4_096;

/// What is known of a peer's key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// What the engine has to know.
    pub known: KnownKey,
    /// What the administrator calls it.
    pub name: Option<String>,
}

/// A line of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The administrator listed a key.
    Pin {
        /// The key.
        key: PublicKey,
        /// It is that of a router.
        router: bool,
        /// Addresses at which only this key is believed; of a router, those within which it is.
        scope: Vec<Prefix>,
        /// What it is called.
        name: Option<String>,
    },
    /// What the engine wants to be remembered, but timestamps of own messages.
    Fact(Fact),
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pin {
                key,
                router,
                scope,
                name,
            } => {
                let verb = if *router { "router" } else { "pin" };
                write!(f, "{verb} {key}")?;
                scope
                    .iter()
                    .try_for_each(|prefix| write!(f, " at {prefix}"))?;
                name.iter().try_for_each(|name| write!(f, " name {name}"))
            }
            Self::Fact(Fact::At { key, own, at }) => {
                write!(f, "at {key} {own}")?;
                at.iter().try_for_each(|addr| write!(f, " {addr}"))
            }
            Self::Fact(Fact::Heard { key, floor }) => write!(f, "heard {key} {floor}"),
            Self::Fact(Fact::Succeeded { former, key }) => write!(f, "succeeded {former} {key}"),
            Self::Fact(Fact::Forgotten(key)) => write!(f, "forget {key}"),
            Self::Fact(Fact::Sent(_)) => write!(f, "#"),
        }
    }
}

/// A record from its line; `None` when it is none.
fn parse(line: &str) -> Option<Record> {
    let words: Vec<&str> = line.split(' ').collect();
    let (verb, rest) = words.split_first()?;
    let (key, rest) = rest.split_first()?;
    let key: PublicKey = key.parse().ok()?;
    Some(match (*verb, rest) {
        (verb @ ("pin" | "router"), mut rest) => {
            let (mut scope, mut name) = (Vec::new(), None);
            while let Some((pair, more)) = rest.split_first_chunk::<2>() {
                match pair {
                    ["at", prefix] => scope.push(prefix.parse().ok()?),
                    ["name", text] => name = Some((*text).to_owned()),
                    _ => return None,
                }
                rest = more;
            }
            rest.is_empty().then_some(Record::Pin {
                key,
                router: verb == "router",
                scope,
                name,
            })?
        }
        ("at", [own, at @ ..]) => Record::Fact(Fact::At {
            key,
            own: own.parse().ok()?,
            at: at
                .iter()
                .map(|addr| addr.parse().ok())
                .collect::<Option<_>>()?,
        }),
        ("heard", [floor]) => Record::Fact(Fact::Heard {
            key,
            floor: floor.parse().ok()?,
        }),
        ("succeeded", [new]) => Record::Fact(Fact::Succeeded {
            former: key,
            key: new.parse().ok()?,
        }),
        ("forget", []) => Record::Fact(Fact::Forgotten(key)),
        _ => return None,
    })
}

/// What the records come to.
fn replay(peers: &mut BTreeMap<PublicKey, Peer>, record: Record) {
    match record {
        Record::Pin {
            key,
            router,
            scope,
            name,
        } => {
            let peer = peers.entry(key).or_default();
            (peer.known.pinned, peer.known.router) = (true, router);
            (peer.known.scope, peer.name) = (scope, name);
        }
        Record::Fact(Fact::At { key, own, at }) => {
            let known = &mut peers.entry(key).or_default().known;
            (known.own, known.at) = (Some(own), at);
        }
        Record::Fact(Fact::Heard { key, floor }) => {
            let known = &mut peers.entry(key).or_default().known;
            known.floor = known.floor.max(floor);
        }
        Record::Fact(Fact::Succeeded { former, key }) => {
            let mut peer = peers.remove(&former).unwrap_or_default();
            peer.known.floor = 0;
            peers.insert(key, peer);
        }
        Record::Fact(Fact::Forgotten(key)) => drop(peers.remove(&key)),
        Record::Fact(Fact::Sent(_)) => (),
    }
}

/// The records that say what is known of a peer.
fn records(key: PublicKey, peer: &Peer) -> impl Iterator<Item = Record> {
    let known = peer.known.clone();
    let pin = known.pinned.then_some(Record::Pin {
        key,
        router: known.router,
        scope: known.scope,
        name: peer.name.clone(),
    });
    let at = known.at;
    let located = known.own.map(|own| Record::Fact(Fact::At { key, own, at }));
    let floor = known.floor;
    let heard = (floor > 0).then_some(Record::Fact(Fact::Heard { key, floor }));
    pin.into_iter().chain(located).chain(heard)
}

impl State {
    /// All that is known of peers' keys, and how many lines of the journal are not understood.
    pub fn peers(&self) -> Result<(BTreeMap<PublicKey, Peer>, usize)> {
        let path = self.path("peers");
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            text => text.at(&path)?,
        };
        let mut peers = BTreeMap::new();
        let mut bad = 0;
        for line in String::from_utf8_lossy(&text)
            .lines()
            .filter(|line| !line.is_empty())
        {
            match parse(line) {
                Some(record) => replay(&mut peers, record),
                None => bad += 1,
            }
        }
        Ok((peers, bad))
    }

    /// Appends records, as somebody who is not the agent.
    pub fn append(&self, records: &[Record]) -> Result<()> {
        let path = self.path("peers");
        loop {
            let file = private().append(true).create(true).open(&path).at(&path)?;
            let mut file = Flock::lock(file, FlockArg::LockExclusive)
                .map_err(|(_, error)| Error::new(&path, error.desc()))?;
            // The agent may have replaced it in the meantime.
            let now = fs::metadata(&path).at(&path)?;
            if now.ino() == file.metadata().at(&path)?.ino() {
                return write(&mut file, records).at(&path);
            }
        }
    }
}

fn write(file: &mut File, records: &[Record]) -> io::Result<()> {
    file.write_all(lines(records).as_bytes())
}

/// Records, one a line.
fn lines<'a>(records: impl IntoIterator<Item = &'a Record>) -> String {
    let mut lines = String::new();
    for record in records {
        lines += &record.to_string();
        lines.push('\n');
    }
    lines
}

/// The agent's hand on the journal.
#[derive(Debug)]
pub struct Journal {
    state: State,
    path: PathBuf,
    file: File,
    left: usize,
}

impl Journal {
    /// Reads the journal and writes it anew, short; what it came to, and how many lines were not understood.
    pub fn open(state: &State) -> Result<(Self, BTreeMap<PublicKey, Peer>, usize)> {
        let path = state.path("peers");
        let (file, peers, bad) = shorten(state)?;
        let journal = Self {
            state: state.clone(),
            path,
            file,
            left: LONG + 4 * peers.len(),
        };
        Ok((journal, peers, bad))
    }

    /// Appends a record. It is not forced to the disk: it outlives the agent, but may not outlive the machine, and with
    /// the machine all connections end.
    pub fn keep(&mut self, fact: Fact) -> Result<()> {
        write(&mut self.file, &[Record::Fact(fact)]).at(&self.path)?;
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            let (file, peers, _) = shorten(&self.state)?;
            (self.file, self.left) = (file, LONG + 4 * peers.len());
        }
        Ok(())
    }
}

/// Writes the journal anew.
fn shorten(state: &State) -> Result<(File, BTreeMap<PublicKey, Peer>, usize)> {
    let path = state.path("peers");
    let open = || private().append(true).create(true).open(&path).at(&path);
    let _held = Flock::lock(open()?, FlockArg::LockExclusive)
        .map_err(|(_, error)| Error::new(&path, error.desc()))?;
    let (peers, bad) = state.peers()?;
    let records: Vec<Record> = peers
        .iter()
        .flat_map(|(key, peer)| records(*key, peer))
        .collect();
    replace(&path, lines(&records).as_bytes())?;
    Ok((open()?, peers, bad))
}
