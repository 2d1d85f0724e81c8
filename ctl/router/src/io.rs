// SPDX-License-Identifier: GPL-2.0
//! What goes into the machine and what comes out.

use std::fmt;

use ihmp_core::addr::Addr;
use ihmp_core::entry::Lease;
use ihmp_core::message::{Control, ParseError};
use ihmp_core::policy::Prefix;
use ihmp_engine::{OwnKey, PublicKey, Rate};

/// What the administrator wants of a router.
#[derive(Clone, Debug)]
pub struct Config {
    /// Moves within these networks are served.
    pub inside: Vec<Prefix>,
    /// Moves from and to these are none of ours: peers are told of them.
    pub decline: Vec<Prefix>,
    /// Moves from and to these are not wanted: peers are not told of them, and their hosts hear why.
    pub reject: Vec<Prefix>,
    /// Seconds for which a host need not ask again; at least 1.
    pub lifetime: u16,
    /// Most host routes.
    pub max_routes: usize,
    /// Most addresses that are bound to a key.
    pub max_bound: usize,
    /// Signatures that are verified.
    pub verified: Rate,
    /// The machine is a NAT, and peers are told what it does; `None` when they are not.
    pub nat: Option<NatConfig>,
}

/// What the administrator wants of a NAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NatConfig {
    /// The port of IHMP, whose own mappings are of no use to anybody.
    pub port: u16,
    /// Seconds for which a mapping is told; at least 2. It is told again after half of it.
    pub lifetime: u16,
    /// Most pairs of a host and a peer.
    pub max_pairs: usize,
    /// Most mappings of one pair.
    pub max_leases: usize,
    /// Most mappings of all.
    pub max_all: usize,
    /// NAT_ENTRYs to all peers, and to one.
    pub sent: [Rate; 2],
}

impl Default for NatConfig {
    fn default() -> NatConfig {
        let rate = |per_second, burst| Rate { per_second, burst };
        NatConfig {
            port: ihmp_core::message::PORT,
            lifetime: 600,
            max_pairs: 4_096,
            max_leases: 1_024,
            max_all: 65_536,
            // A peer takes 20 a second from one network.
            sent: [rate(200, 400), rate(10, 20)],
        }
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            inside: Vec::new(),
            decline: Vec::new(),
            reject: Vec::new(),
            lifetime: 300,
            max_routes: 4_096,
            max_bound: 65_536,
            verified: Rate {
                per_second: 2_000,
                burst: 4_000,
            },
            nat: None,
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
    /// It has been here before, and now leaves: the machine's NAT exchanges its source, and has done so, or its destination.
    pub translated: bool,
    /// Its source.
    pub from: Addr,
    /// Its destination.
    pub to: Addr,
    /// Its payload.
    pub bytes: &'a [u8],
}

/// A host behind the NAT, and one outside with which it signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair {
    /// The address of the host inside.
    pub host: Addr,
    /// The address of the peer.
    pub peer: Addr,
}

/// A connection that the NAT gave another source; of the lease only the lifetime means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Translation {
    /// Whose it is.
    pub pair: Pair,
    /// The source that it has outside.
    pub nat: Addr,
    /// Its ports.
    pub lease: Lease,
}

/// What the NAT did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It has a connection more.
    New(Translation),
    /// It has forgotten one.
    Gone(Translation),
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
    /// A datagram to the router itself, from and to the port of IHMP.
    Heard {
        /// Its source.
        from: Addr,
        /// Its destination.
        to: Addr,
        /// Its payload.
        bytes: &'a [u8],
    },
    /// What the NAT did, in its order.
    Events(&'a [Event]),
    /// Some of it was lost.
    Overrun,
    /// The answer to [`Output::Look`]: all connections of these pairs; `None` when they cannot be had now.
    Seen(Option<&'a [Translation]>),
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
    /// It goes on with the flag that a NAT on the way knows IHMP: [`crate::mark`].
    Mark,
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
    /// Tell of connections to these addresses as they come and go; of none any more when there are none.
    Listen(Vec<Addr>),
    /// Look which connections of these pairs there are: [`Input::Seen`], before anything else.
    Look(Vec<Pair>),
    /// Write down that timestamps up to this one may be used, before what follows is done.
    Keep(u64),
    /// Something worth a line in the log.
    Note(Note),
}

/// Why a datagram passed that looked as if it were for the router, or was not used.
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
    /// The host that it names as its source is not where it came from.
    Source,
    /// There are too many pairs of hosts and peers.
    PairLimit,
    /// A pair has too many mappings.
    LeaseLimit,
    /// It answers nothing that was sent.
    UnexpectedAck,
    /// It answers what another one has answered.
    LateAck,
    /// A NAT has no other use for messages than answers.
    Unsupported,
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
            Reason::Source => "other-source",
            Reason::PairLimit => "pair-limit",
            Reason::LeaseLimit => "mapping-limit",
            Reason::UnexpectedAck => "unexpected-ack",
            Reason::LateAck => "late-ack",
            Reason::Unsupported => "unsupported",
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
    /// A move is none of ours, by the administrator's word or for want of room: the peer is told.
    Declined {
        /// The old address.
        old: Addr,
        /// The new one.
        new: Addr,
        /// The peer.
        peer: Addr,
    },
    /// A move is not wanted, by the administrator's word: the peer is not told.
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
    /// A message to us was not used, or a mapping.
    Refused {
        /// Why.
        reason: Reason,
        /// Its source.
        from: Addr,
        /// Its destination.
        to: Addr,
    },
    /// A peer is told of the mappings of a host from now on.
    Behind {
        /// Who with whom.
        pair: Pair,
        /// The address of the NAT.
        nat: Addr,
    },
    /// It is so no longer.
    Apart {
        /// Who with whom.
        pair: Pair,
        /// Why.
        reason: &'static str,
    },
    /// A NAT_ENTRY left.
    Sent {
        /// Its number.
        seqno: u16,
        /// Its source.
        from: Addr,
        /// Its destination.
        to: Addr,
        /// How often it did.
        attempt: u32,
        /// Mappings in it.
        count: usize,
    },
    /// A NAT_ENTRY was acknowledged.
    Acked {
        /// Its number.
        seqno: u16,
        /// Its source.
        from: Addr,
        /// Its destination.
        by: Addr,
        /// Microseconds since it left.
        after_us: u64,
    },
    /// Nobody acknowledged a NAT_ENTRY.
    Unanswered {
        /// Its number.
        seqno: u16,
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
            Note::Declined { old, new, peer } => {
                write!(f, "event=declined old={old} new={new} peer={peer}")
            }
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
            Note::Refused { reason, from, to } => {
                write!(
                    f,
                    "event=refused reason={} from={from} to={to}",
                    reason.name()
                )
            }
            Note::Behind { pair, nat } => write!(
                f,
                "event=behind addr={} nat={nat} peer={}",
                pair.host, pair.peer
            ),
            Note::Apart { pair, reason } => write!(
                f,
                "event=apart addr={} peer={} reason={reason}",
                pair.host, pair.peer
            ),
            Note::Sent {
                seqno,
                from,
                to,
                attempt,
                count,
            } => write!(
                f,
                "event=sent control=nat-entry seqno={seqno} from={from} to={to} attempt={attempt} count={count}"
            ),
            Note::Acked {
                seqno,
                from,
                by,
                after_us,
            } => write!(
                f,
                "event=acked control=nat-entry seqno={seqno} from={from} by={by} after_us={after_us}"
            ),
            Note::Unanswered { seqno, from, to } => write!(
                f,
                "event=unanswered control=nat-entry seqno={seqno} from={from} to={to}"
            ),
        }
    }
}
