// SPDX-License-Identifier: GPL-2.0
//! What goes into the machine and what comes out.

use std::fmt;

use ihmp_core::addr::Addr;
use ihmp_core::message::{Control, ParseError};
use ihmp_core::policy::Prefix;
use ihmp_engine::{OwnKey, PublicKey, Rate};

/// What the administrator wants of a router.
#[derive(Clone, Debug)]
pub struct Config {
    /// Moves within these networks are served.
    pub inside: Vec<Prefix>,
    /// Moves from and to these are not, and their hosts are told so.
    pub reject: Vec<Prefix>,
    /// Seconds for which a host need not ask again; at least 1.
    pub lifetime: u16,
    /// Most host routes.
    pub max_routes: usize,
    /// Most addresses that are bound to a key.
    pub max_bound: usize,
    /// Signatures that are verified.
    pub verified: Rate,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            inside: Vec::new(),
            reject: Vec::new(),
            lifetime: 300,
            max_routes: 4_096,
            max_bound: 65_536,
            verified: Rate {
                per_second: 2_000,
                burst: 4_000,
            },
        }
    }
}

/// A network to which a device connects the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The router's address there.
    pub own: Addr,
    /// The network.
    pub prefix: Prefix,
    /// The device's number.
    pub device: u32,
}

/// A datagram from and to the port of IHMP, on its way through.
#[derive(Clone, Copy, Debug)]
pub struct Passing<'a> {
    /// The name of it in [`Output::Verdict`].
    pub id: u32,
    /// The device by which it came.
    pub device: u32,
    /// Its source.
    pub from: Addr,
    /// Its destination.
    pub to: Addr,
    /// Its payload.
    pub bytes: &'a [u8],
}

/// A route to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostRoute {
    /// The address.
    pub to: Addr,
    /// The next hop: the address at which its host is now.
    pub via: Addr,
    /// The device of the next hop.
    pub device: u32,
}

/// What the world tells the router.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// Its key, and the timestamp that no message with it was later than.
    Key(Box<OwnKey>, u64),
    /// All networks to which it is connected.
    Links(Vec<Link>),
    /// A datagram.
    Passing(Passing<'a>),
    /// The answer to [`Output::Install`]: whether the route is there.
    Installed(bool),
    /// The time of [`crate::Router::next_timeout`] has come.
    Timer,
}

/// What is done with a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on as it is.
    Pass,
    /// It goes no further.
    Take,
}

/// What the router wants done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Let go of a datagram.
    Verdict {
        /// Which one.
        id: u32,
        /// What is done with it.
        verdict: Verdict,
    },
    /// Send a datagram from and to the port of IHMP.
    Send {
        /// Its source.
        from: Addr,
        /// Its destination.
        to: Addr,
        /// Its payload.
        bytes: Vec<u8>,
    },
    /// Make a route, or replace the router's own to the same address: [`Input::Installed`], before anything else.
    Install(HostRoute),
    /// Remove the router's route to this address.
    Remove(Addr),
    /// Write down that timestamps up to this one may be used, before what follows is done.
    Keep(u64),
    /// Something worth a line in the log.
    Note(Note),
}

/// Why a datagram passed that looked as if it were for the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is not a message.
    Malformed(ParseError),
    /// Its payload is not that of a move.
    Payload,
    /// It has no signature that is understood.
    Unsigned,
    /// Its signature is wrong.
    BadSignature,
    /// Its timestamp is not later than the last one.
    Replayed,
    /// Its source is an inside address, and it came by another device.
    WrongDevice,
    /// The old address is bound to no key: the host was not heard there.
    Unbound,
    /// The address is bound to another key.
    OtherKey,
    /// The peer reaches the old address without the router.
    OnLink,
    /// The host asks again for what it was answered: it does not hear the router, or does not believe it.
    NotHeard,
    /// Too many signatures to verify.
    Rate,
    /// There are too many routes.
    RouteLimit,
    /// The route could not be made.
    RouteFailed,
}

impl Reason {
    /// The name in logs and counters.
    pub const fn name(&self) -> &'static str {
        match self {
            Reason::Malformed(error) => error.name(),
            Reason::Payload => "bad-payload",
            Reason::Unsigned => "unsigned",
            Reason::BadSignature => "bad-signature",
            Reason::Replayed => "replayed",
            Reason::WrongDevice => "wrong-device",
            Reason::Unbound => "unbound",
            Reason::OtherKey => "other-key",
            Reason::OnLink => "on-link",
            Reason::NotHeard => "not-heard",
            Reason::Rate => "rate",
            Reason::RouteLimit => "route-limit",
            Reason::RouteFailed => "route-failed",
        }
    }
}

/// A line for the log; its text form is `event=... name=value ...` with stable names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// An address is bound to a key.
    Bound {
        /// The address.
        addr: Addr,
        /// The key.
        key: PublicKey,
    },
    /// A move was answered in the peer's place.
    Granted {
        /// The old address.
        old: Addr,
        /// The new one.
        new: Addr,
        /// The peer.
        peer: Addr,
        /// What was asked.
        control: Control,
    },
    /// A move is none of ours, by the administrator's word or for want of room.
    Rejected {
        /// The old address.
        old: Addr,
        /// The new one.
        new: Addr,
        /// The peer.
        peer: Addr,
    },
    /// A route was removed.
    Removed {
        /// The address that it led to.
        old: Addr,
        /// Why.
        reason: &'static str,
    },
    /// A datagram was let go that looked as if it were for us.
    Passed {
        /// Why.
        reason: Reason,
        /// Its source.
        from: Addr,
        /// Its destination.
        to: Addr,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::Bound { addr, key } => {
                write!(f, "event=bound addr={addr} key={}", key.fingerprint())
            }
            Note::Granted {
                old,
                new,
                peer,
                control,
            } => write!(
                f,
                "event=granted control={control} old={old} new={new} peer={peer}"
            ),
            Note::Rejected { old, new, peer } => {
                write!(f, "event=rejected old={old} new={new} peer={peer}")
            }
            Note::Removed { old, reason } => write!(f, "event=removed old={old} reason={reason}"),
            Note::Passed { reason, from, to } => {
                write!(
                    f,
                    "event=passed reason={} from={from} to={to}",
                    reason.name()
                )
            }
        }
    }
}
