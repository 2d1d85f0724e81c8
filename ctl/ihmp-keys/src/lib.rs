// SPDX-License-Identifier: GPL-2.0
//! The state folder: own keys, what is known of peers' keys, and the last timestamp, as files.
//!
//! ```text
//! lock        held by the agent while it runs; its process
//! copied/NAME a private key that came with a copy of another machine
//! machine     which machine the own keys belong to
//! own/NAME    a private key, and what it is for; "default" is there always
//! peers       a journal, a record a line, appended to by the agent and by ihmpctl
//! timestamp   own messages had no later one
//! ```
//!
//! The folder has the mode 0700 and the files 0600; a private key that others can read is refused. Files are replaced
//! as a whole, by renaming, or appended to.

#![forbid(unsafe_code)]

mod journal;
mod known;
mod machine;
mod own;

use std::{
    fmt,
    fs::{
        self,
        DirBuilder,
        File,
        OpenOptions, //
    },
    io::{
        self,
        Read,
        Write, //
    },
    os::unix::fs::{
        DirBuilderExt,
        OpenOptionsExt,
        PermissionsExt, //
    },
    path::{
        Path,
        PathBuf, //
    },
    thread,
    time::Duration,
};

use nix::{
    fcntl::{
        Flock,
        FlockArg, //
    },
    sys::signal::{
        kill,
        Signal, //
    },
    unistd::Pid,
};

pub use crate::{
    journal::{
        Journal,
        Record, //
    },
    known::{
        Known,
        Peer, //
    },
    machine::MACHINE_ID,
    own::{
        Own,
        Seed,
        DEFAULT, //
    },
};

/// Where the folder is unless told.
pub const DEFAULT_PATH: &str = "/var/lib/ihmp";

/// What the agent says of itself, when it is asked.
const STATUS: &str = "status";
/// How often, and how long each time, an answer of the agent is waited for.
const ANSWER_TRIES: u32 = 500;
const ANSWER_PAUSE: Duration = Duration::from_millis(10);

/// What is wrong with the folder; the text names the file.
#[derive(Debug)]
pub struct Error {
    path: PathBuf,
    what: String,
}

impl Error {
    fn new(path: &Path, what: impl fmt::Display) -> Self {
        Self {
            path: path.to_owned(),
            what: what.to_string(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.what)
    }
}

impl std::error::Error for Error {}

/// Result of an operation on files.
pub type Result<T> = std::result::Result<T, Error>;

/// Says which file an I/O error is about.
trait At<T> {
    fn at(self, path: &Path) -> Result<T>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, path: &Path) -> Result<T> {
        self.map_err(|error| Error::new(path, error))
    }
}

/// The folder.
#[derive(Clone, Debug)]
pub struct State {
    dir: PathBuf,
}

/// The agent's lock on the folder: no other agent signs with these keys.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held, not used")] Flock<File>);

impl State {
    /// Makes the folder if it is not there.
    pub fn open(dir: &Path) -> Result<Self> {
        let state = Self {
            dir: dir.to_owned(),
        };
        let own = state.path("own");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&own)
            .at(&own)?;
        for dir in [dir, &own] {
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).at(dir)?;
        }
        Ok(state)
    }

    /// An existing folder, to read it.
    pub fn at(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Locks the folder for an agent.
    pub fn lock(&self) -> Result<Lock> {
        let path = self.path("lock");
        let file = private()
            .create(true)
            .truncate(false)
            .open(&path)
            .at(&path)?;
        let mut held = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|_| Error::new(&path, "another agent uses this folder"))?;
        held.set_len(0).at(&path)?;
        writeln!(held, "{}", std::process::id()).at(&path)?;
        Ok(Lock(held))
    }

    /// Tells the agent that something changed; false when none runs.
    pub fn tell_agent(&self) -> Result<bool> {
        self.signal_agent(Signal::SIGHUP)
    }

    /// Asks the agent for its status, which is lines of words; `None` if no agent runs.
    pub fn ask_agent(&self) -> Result<Option<String>> {
        let path = self.path(STATUS);
        // A file that is there after this is the answer.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).at(&path);
            }
            _ => (),
        }
        if !self.signal_agent(Signal::SIGUSR1)? {
            return Ok(None);
        }
        for _ in 0..ANSWER_TRIES {
            match fs::read_to_string(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    thread::sleep(ANSWER_PAUSE);
                }
                text => return text.map(Some).at(&path),
            }
        }
        Err(Error::new(&path, "the agent does not answer"))
    }

    /// Writes what [`State::ask_agent`] reads.
    pub fn answer(&self, text: &str) -> Result<()> {
        let path = self.path(STATUS);
        let new = self.path("status.new");
        let write = || {
            let mut file = private().create(true).truncate(true).open(&new)?;
            file.write_all(text.as_bytes())?;
            fs::rename(&new, &path)
        };
        write().at(&path)
    }

    fn signal_agent(&self, signal: Signal) -> Result<bool> {
        let path = self.path("lock");
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            file => file.at(&path)?,
        };
        let mut text = String::new();
        file.read_to_string(&mut text).at(&path)?;
        // The agent that has the lock has written its process number there.
        if Flock::lock(file, FlockArg::LockSharedNonblock).is_ok() {
            return Ok(false);
        }
        let pid = text.trim().parse().ok().filter(|pid| *pid > 0);
        let pid = pid.ok_or_else(|| Error::new(&path, "names no process"))?;
        kill(Pid::from_raw(pid), signal).map_err(|error| Error::new(&path, error.desc()))?;
        Ok(true)
    }

    /// The latest timestamp that own messages may have had.
    pub fn sent(&self) -> Result<u64> {
        let path = self.path("timestamp");
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            text => {
                let text = text.at(&path)?;
                let number = text.trim().parse();
                number.map_err(|_| Error::new(&path, "is not a number of nanoseconds"))
            }
        }
    }

    /// Writes a timestamp; it is on the disk when this returns.
    pub fn set_sent(&self, sent: u64) -> Result<()> {
        replace(&self.path("timestamp"), format!("{sent}\n").as_bytes())
    }
}

/// Options to make files that nobody else may read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

/// Replaces a file as a whole: after a crash either the old one or the new one is there.
fn replace(path: &Path, octets: &[u8]) -> Result<()> {
    let next = path.with_extension("new");
    let mut file = private()
        .create(true)
        .truncate(true)
        .open(&next)
        .at(&next)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))
        .at(&next)?;
    file.write_all(octets).at(&next)?;
    file.sync_all().at(&next)?;
    fs::rename(&next, path).at(path)?;
    let dir = path.parent().unwrap_or(Path::new("/"));
    File::open(dir).and_then(|dir| dir.sync_all()).at(dir)
}

#[cfg(test)]
mod tests;
