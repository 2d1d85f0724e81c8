// SPDX-License-Identifier: GPL-2.0
//! What can go wrong between a program and the module.

use std::{
    fmt,
    io, //
};

/// linux/errno.h
const EPERM: i32 = 1;

/// What to do where there is no module.
const NO_MODULE: &str = "ihmp: the kernel module is not loaded; load it by \"modprobe ihmp\". If there is none for this kernel, as after an \
    upgrade, build it (\"make module\"); with Secure Boot it has to be signed with a key that this machine trusts";

/// Why a request failed.
#[derive(Debug)]
pub enum Error {
    /// The kernel has no family `ihmp`: the module is not loaded, or has been unloaded.
    NoModule,
    /// The kernel refused the request.
    Kernel {
        /// Positive error number.
        errno: i32,
        /// The kernel's own words, if it had any.
        message: Option<String>,
        /// Name of the attribute that was at fault, `a.b` for `b` nested in `a`.
        attr: Option<String>,
    },
    /// The netlink socket failed, or what it brought cannot be used.
    Netlink(ihmp_netlink::Error),
}

impl Error {
    /// The error number, where there is one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Kernel { errno, .. } => Some(*errno),
            Self::Netlink(error) => error.errno(),
            Self::NoModule => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoModule => f.write_str(NO_MODULE),
            Self::Kernel {
                errno,
                message,
                attr,
            } => {
                f.write_str("ihmp: ")?;
                match message {
                    // The kernel's macro for modules puts the module's name in front.
                    Some(message) => {
                        f.write_str(message.strip_prefix("ihmp: ").unwrap_or(message))?
                    }
                    None if *errno == EPERM => f.write_str(
                        "not permitted: this takes CAP_NET_ADMIN in the network namespace; try it as root",
                    )?,
                    None => f.write_str(&describe(*errno))?,
                }
                match attr {
                    Some(attr) => write!(f, " ({attr})"),
                    None => Ok(()),
                }
            }
            Self::Netlink(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Netlink(error) => error.source(),
            Self::NoModule | Self::Kernel { .. } => None,
        }
    }
}

impl From<ihmp_netlink::Error> for Error {
    fn from(error: ihmp_netlink::Error) -> Self {
        Self::Netlink(error)
    }
}

/// The system's text for an error number, without the number that std adds.
fn describe(errno: i32) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let kernel = |message: Option<&str>, attr: Option<&str>| {
            Error::Kernel {
                errno: 22,
                message: message.map(str::to_owned),
                attr: attr.map(str::to_owned),
            }
            .to_string()
        };
        assert_eq!(kernel(None, None), "ihmp: Invalid argument");
        let refused = Error::Kernel {
            errno: EPERM,
            message: None,
            attr: None,
        };
        assert!(refused.to_string().contains("takes CAP_NET_ADMIN"));
        assert_eq!(
            kernel(Some("no such host"), Some("id")),
            "ihmp: no such host (id)"
        );
        assert_eq!(
            kernel(Some("ihmp: no such host"), None),
            "ihmp: no such host"
        );
        assert_eq!(Error::NoModule.to_string(), NO_MODULE);
    }
}
