// SPDX-License-Identifier: GPL-2.0
//! Signals, read as events from a descriptor.

use std::os::fd::{
    AsFd,
    AsRawFd,
    RawFd, //
};

use anyhow::Context;
use nix::{
    poll::{
        poll,
        PollFd,
        PollFlags, //
    },
    sys::{
        signal::{
            self,
            SigSet, //
        },
        signalfd::{
            SfdFlags,
            SignalFd, //
        },
    },
};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// To end (SIGTERM, SIGINT).
    End,
    /// To read configuration and keys again (SIGHUP).
    Reload,
    /// To write its status for `ihmpctl agent` (SIGUSR1).
    Answer,
}

const SIGNALS: [(signal::Signal, Signal); 4] = [
    (signal::Signal::SIGTERM, Signal::End),
    (signal::Signal::SIGINT, Signal::End),
    (signal::Signal::SIGHUP, Signal::Reload),
    (signal::Signal::SIGUSR1, Signal::Answer),
];

/// A descriptor that is readable when one of these signals has come.
pub(crate) struct Signals(SignalFd);

impl Signals {
    /// Blocks these signals, so that they are only read here.
    pub(crate) fn block() -> anyhow::Result<Self> {
        let mut set = SigSet::empty();
        for (signal, _) in SIGNALS {
            set.add(signal);
        }
        set.thread_block()?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let fd = SignalFd::with_flags(&set, flags).context("signalfd")?;
        Ok(Self(fd))
    }

    /// The next one that has come.
    pub(crate) fn next(&self) -> nix::Result<Option<Signal>> {
        while let Some(came) = self.0.read_signal()? {
            let number = i32::try_from(came.ssi_signo);
            let found = SIGNALS.iter().find(|(own, _)| number == Ok(*own as i32));
            if let Some((_, signal)) = found {
                return Ok(Some(*signal));
            }
        }
        Ok(None)
    }

    /// The same, after so many milliseconds at most.
    pub(crate) fn wait(&self, millis: u16) -> nix::Result<Option<Signal>> {
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, millis) {
            Ok(ready) if ready > 0 => self.next(),
            _ => Ok(None),
        }
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
