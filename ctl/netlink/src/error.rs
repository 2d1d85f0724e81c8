// SPDX-License-Identifier: GPL-2.0
//! What can go wrong between a program and the kernel.

use std::{
    fmt,
    io, //
};

use crate::attrs::Malformed;

/// linux/errno.h: the kernel had messages for a socket, and its buffer no room.
const ENOBUFS: i32 = 105;

/// Why a request failed, or nothing could be received.
#[derive(Debug)]
pub enum Error {
    /// The kernel refused the request.
    Refused(Refusal),
    /// The socket failed.
    Io(io::Error),
    /// What was asked for changed each time while the kernel listed it.
    Changing,
    /// The kernel sent something that is not allowed.
    Protocol(String),
}

/// What the kernel says about a request that it refused: an error number, and what an extended acknowledgement adds.
///
/// Offsets are those of an attribute's header in the payload of the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    errno: i32,
    message: Option<String>,
    attr: Option<usize>,
    missing: Option<(u16, Option<usize>)>,
}

impl Refusal {
    /// An error number, positive, and no more.
    pub fn new(errno: i32) -> Self {
        Self {
            errno,
            ..Self::default()
        }
    }

    /// With the kernel's own words, if it has any.
    #[must_use]
    pub fn with_message(self, message: Option<String>) -> Self {
        Self { message, ..self }
    }

    /// With the offset of the attribute that is at fault, if one is.
    #[must_use]
    pub fn with_attr(self, attr: Option<usize>) -> Self {
        Self { attr, ..self }
    }

    /// With the number of an attribute that is missing, if one is, and the offset of the nest that it belongs to, if it is not at the
    /// top.
    #[must_use]
    pub fn with_missing(self, missing: Option<(u16, Option<usize>)>) -> Self {
        Self { missing, ..self }
    }

    /// The error number, positive.
    pub fn errno(&self) -> i32 {
        self.errno
    }

    /// The kernel's own words.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// Where the attribute is that is at fault.
    pub fn attr(&self) -> Option<usize> {
        self.attr
    }

    /// The number of an attribute that is missing, and where the nest is that it belongs to, if it is not at the top.
    pub fn missing(&self) -> Option<(u16, Option<usize>)> {
        self.missing
    }
}

impl Error {
    /// The error number, where there is one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Refused(refusal) => Some(refusal.errno),
            Self::Io(error) => error.raw_os_error(),
            Self::Changing | Self::Protocol(_) => None,
        }
    }

    /// Whether the kernel had messages for this socket and no room for them. It queues no others until all that are queued are received.
    pub fn overrun(&self) -> bool {
        matches!(self, Self::Io(error) if error.raw_os_error() == Some(ENOBUFS))
    }

    /// Whether there is nothing to receive at the moment.
    pub fn would_block(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => {
                let error = io::Error::from_raw_os_error(refusal.errno);
                write!(f, "netlink: {error}")
            }
            Self::Io(error) => write!(f, "netlink: {error}"),
            Self::Changing => {
                f.write_str("netlink: what is to be listed changes all the time; try again")
            }
            Self::Protocol(what) => write!(f, "netlink: unexpected answer of the kernel: {what}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Refused(_) | Self::Changing | Self::Protocol(_) => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Malformed> for Error {
    fn from(error: Malformed) -> Self {
        Self::Protocol(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_numbers() {
        let refused = Error::Refused(Refusal::new(17));
        assert_eq!(refused.to_string(), "netlink: File exists (os error 17)");
        assert_eq!(refused.errno(), Some(17));
        let failed = Error::Io(io::Error::from_raw_os_error(11));
        assert!(failed.would_block() && !refused.would_block());
        let overrun = Error::Io(io::Error::from_raw_os_error(105));
        assert!(overrun.overrun() && !failed.overrun());
        // This is what the kernel answered, and nothing was lost.
        assert!(!Error::Refused(Refusal::new(105)).overrun());
        assert_eq!((failed.errno(), Error::Changing.errno()), (Some(11), None));
    }
}
