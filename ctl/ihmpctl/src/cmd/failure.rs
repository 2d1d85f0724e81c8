// SPDX-License-Identifier: GPL-2.0
//! Why a command failed.

use std::io;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    Kernel(ihmp_nl::Error),
    /// An error in the folder with the keys, or no agent runs there.
    State(String),
    Output(io::Error),
}

impl From<ihmp_nl::Error> for Failure {
    fn from(error: ihmp_nl::Error) -> Self {
        Self::Kernel(error)
    }
}

impl From<ihmp_keys::Error> for Failure {
    fn from(error: ihmp_keys::Error) -> Self {
        Self::State(error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}
