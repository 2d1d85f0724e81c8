// SPDX-License-Identifier: GPL-2.0
//! What is known of peers' keys, as a journal: for each message that is believed, one short line is appended.
//!
//! ```text
//! pin KEY [at PREFIX]... [name NAME]      the administrator listed it
//! router KEY [at PREFIX]... [name NAME]   the same for the key of a router
//! at KEY OWN [ADDR]...                    the host is at these addresses, and we use that own key towards it
//! heard KEY NANOSECONDS                   messages with timestamps up to this one were believed
//! succeeded FORMER KEY                    a new key took the place of a former one
//! accept KEY ADDR                         the administrator accepted it there, after another one
//! changed KEY FORMER ADDR                 it was there after another one, and was believed
//! refused KEY FORMER ADDR                 it was there after another one, and was not believed
//! forget KEY
//! ```

use std::{
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

use ihmp_core::{
    addr::Addr,
    policy::Prefix, //
};
use ihmp_engine::{
    Changed,
    Fact,
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
    Known,
    Result,
    State, //
};

/// Records beyond which the journal is written anew, and per peer.
const LONG: usize = 4_096;

/// A line of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The administrator listed a key.
    Pin {
        /// The key.
        key: PublicKey,
        /// It is a router's key.
        router: bool,
        /// Addresses at which only this key is believed; for a router, the networks within which its key is believed.
        scope: Vec<Prefix>,
        /// The administrator's name for it.
        name: Option<String>,
    },
    /// The administrator accepted a key in the place of another one.
    Accept {
        /// The key.
        key: PublicKey,
        /// Where.
        at: Addr,
    },
    /// A fact that the engine wants to be remembered; timestamps of own messages have a file of their own.
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
            Self::Accept { key, at } => write!(f, "accept {key} {at}"),
            Self::Fact(Fact::Changed(changed)) => {
                let verb = if changed.believed {
                    "changed"
                } else {
                    "refused"
                };
                write!(
                    f,
                    "{verb} {} {} {}",
                    changed.key, changed.former, changed.at
                )
            }
            Self::Fact(Fact::Forgotten(key)) => write!(f, "forget {key}"),
            Self::Fact(Fact::Sent(_)) => write!(f, "#"),
        }
    }
}

/// A record from its line; `None` if the line is not understood.
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
        ("accept", [at]) => Record::Accept {
            key,
            at: at.parse().ok()?,
        },
        (verb @ ("changed" | "refused"), [former, at]) => Record::Fact(Fact::Changed(Changed {
            at: at.parse().ok()?,
            former: former.parse().ok()?,
            key,
            believed: verb == "changed",
        })),
        ("forget", []) => Record::Fact(Fact::Forgotten(key)),
        _ => return None,
    })
}

impl State {
    /// All that is known of peers' keys.
    pub fn known(&self) -> Result<Known> {
        let path = self.path("peers");
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            text => text.at(&path)?,
        };
        let mut known = Known::default();
        for line in String::from_utf8_lossy(&text)
            .lines()
            .filter(|line| !line.is_empty())
        {
            match parse(line) {
                Some(record) => known.replay(record),
                None => known.bad += 1,
            }
        }
        Ok(known)
    }

    /// Appends records, for a program that is not the agent.
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

/// The journal as the agent has it open.
#[derive(Debug)]
pub struct Journal {
    state: State,
    path: PathBuf,
    file: File,
    left: usize,
}

impl Journal {
    /// Reads the journal, and writes it anew with as few records as possible; returns what is known.
    pub fn open(state: &State) -> Result<(Self, Known)> {
        let path = state.path("peers");
        let (file, known) = shorten(state)?;
        let journal = Self {
            state: state.clone(),
            path,
            file,
            left: LONG + 4 * known.peers.len(),
        };
        Ok((journal, known))
    }

    /// Appends a record, without fsync(): it outlives the agent, but may be lost if the machine crashes. All connections end then, too.
    pub fn keep(&mut self, fact: Fact) -> Result<()> {
        write(&mut self.file, &[Record::Fact(fact)]).at(&self.path)?;
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            let (file, known) = shorten(&self.state)?;
            (self.file, self.left) = (file, LONG + 4 * known.peers.len());
        }
        Ok(())
    }
}

/// Writes the journal anew.
fn shorten(state: &State) -> Result<(File, Known)> {
    let path = state.path("peers");
    let open = || private().append(true).create(true).open(&path).at(&path);
    let _held = Flock::lock(open()?, FlockArg::LockExclusive)
        .map_err(|(_, error)| Error::new(&path, error.desc()))?;
    let known = state.known()?;
    replace(&path, lines(&known.records()).as_bytes())?;
    Ok((open()?, known))
}
