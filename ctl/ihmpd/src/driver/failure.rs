// SPDX-License-Identifier: GPL-2.0
//! Why the loop could not do something.

use nix::errno::Errno;

/// Why something could not be done.
#[derive(Debug)]
pub(super) enum Failure {
    /// The module is gone. That ends the loop.
    NoModule,
    /// What was to be read from the kernel changed each time while it was read. The loop tries again.
    Changing,
    /// Anything else. That ends the loop.
    Other(anyhow::Error),
}

impl From<ihmp_nl::Error> for Failure {
    fn from(error: ihmp_nl::Error) -> Self {
        match error {
            ihmp_nl::Error::NoModule => Self::NoModule,
            ihmp_nl::Error::Netlink(error) => error.into(),
            error => Self::Other(anyhow::anyhow!("{error}")),
        }
    }
}

impl From<ihmp_network::Error> for Failure {
    fn from(error: ihmp_network::Error) -> Self {
        match error {
            ihmp_network::Error::Changing => Self::Changing,
            error => Self::Other(anyhow::anyhow!("{error}")),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast_ref() {
            Some(ihmp_network::Error::Changing) => Self::Changing,
            _ => Self::Other(error),
        }
    }
}

impl From<Errno> for Failure {
    fn from(error: Errno) -> Self {
        Self::Other(error.into())
    }
}
