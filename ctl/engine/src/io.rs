// SPDX-License-Identifier: GPL-2.0
//! What goes into the machine and what comes out.

use std::fmt;

use ihmp_core::addr::Addr;
use ihmp_core::message::{Control, ParseError};
use ihmp_core::time::{Duration, Instant};

use crate::keys::{Fact, Keys, PublicKey};

/// A host within the engine; the kernel has its own number for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub(crate) u64);

/// What is known about the signalling ability of a host; as `host-state` of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is being asked.
    New,
    /// It takes part.
    Up,
    /// It does not answer.
    Classic,
}

/// An own address from which a peer can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via {
    /// The address.
    pub local: Addr,
    /// Lower is preferred.
    pub preference: u16,
}

/// The own addresses from which one peer address can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routes {
    /// The peer address.
    pub peer: Addr,
    /// Own addresses with a route to it.
    pub via: Vec<Via>,
}

/// An address of the `local` set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// The address.
    pub addr: Addr,
    /// Lower is preferred.
    pub preference: u16,
    /// The host has not acknowledged it yet.
    pub unproven: bool,
}

/// The complete sets of a host, for the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The state.
    pub state: State,
    /// Foreign addresses that are reachable.
    pub active: Vec<Addr>,
    /// Foreign addresses that may become reachable.
    pub unreachable: Vec<Addr>,
    /// Own addresses that the host can reach.
    pub local: Vec<Local>,
    /// When the kernel removes the entry; `None` for never.
    pub expires: Option<Duration>,
}

/// A host that the kernel has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelHost {
    /// The kernel's number.
    pub id: u32,
    /// The state.
    pub state: State,
    /// Whether the administrator made it: it has a name. The engine leaves such a host alone.
    pub managed: bool,
    /// Foreign addresses that are reachable.
    pub active: Vec<Addr>,
    /// Foreign addresses that may become reachable.
    pub unreachable: Vec<Addr>,
    /// Former foreign addresses.
    pub alias: Vec<Addr>,
    /// Own addresses that the host can reach.
    pub local: Vec<Local>,
    /// Local identifiers of its flows; wanted where a local address is unproven.
    pub identifiers: Vec<Addr>,
}

/// When an input is handled.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The time; it never goes back.
    pub now: Instant,
    /// Nanoseconds of the clock on the wall since 1970; it may jump.
    pub wall: u64,
    /// A fresh number that no peer can guess.
    pub random: u64,
}

/// What the world tells the engine.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// A datagram came.
    Message {
        /// Its source.
        from: Addr,
        /// Its destination.
        to: Addr,
        /// Its payload.
        bytes: &'a [u8],
    },
    /// The own addresses or the routes changed: a batch of events, as one new whole.
    Network {
        /// All usable own addresses.
        local: Vec<Addr>,
        /// Routes to every address that [`crate::Engine::peers`] names.
        routes: Vec<Routes>,
    },
    /// The answer to [`Output::Ask`].
    Routes(Routes),
    /// The module made a host in state new for a flow.
    Discovered {
        /// The kernel's number of the host.
        id: u32,
        /// Own address of the flow.
        local: Addr,
        /// Foreign address of the flow.
        remote: Addr,
    },
    /// All keys: before anything else, and when the administrator changed something.
    Keys(Keys),
    /// All hosts of the kernel, at the start and after events were lost.
    Kernel {
        /// The hosts.
        hosts: Vec<KernelHost>,
    },
    /// [`Change::New`] was carried out.
    Made {
        /// Which host.
        key: Key,
        /// The kernel's number of it.
        id: u32,
    },
    /// [`Change::New`] was refused.
    Refused {
        /// Which host.
        key: Key,
    },
    /// The kernel removed a host.
    Removed {
        /// The kernel's number of it.
        id: u32,
    },
    /// Our addresses and the lengths of the prefixes to which they connect us; before [`Input::Network`].
    Connected(Vec<(Addr, u8)>),
    /// The answer to [`Output::Look`].
    Traffic {
        /// The kernel's number of the host.
        id: u32,
        /// What passed.
        traffic: Traffic,
    },
    /// The time of [`crate::Engine::next_timeout`] has come.
    Timer,
}

/// What passed between a host and us since the kernel made it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Its flows now.
    pub flows: u32,
    /// Packets to it.
    pub sent: u64,
    /// Packets from it.
    pub received: u64,
    /// Time since the last one in either direction.
    pub idle: Duration,
}

/// What the engine wants done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send a datagram.
    Send {
        /// Its source.
        from: Addr,
        /// Its destination.
        to: Addr,
        /// Its payload.
        bytes: Vec<u8>,
    },
    /// Change the kernel's table.
    Table(Change),
    /// Find out from which own addresses this one can be reached: [`Input::Routes`].
    Ask(Addr),
    /// Packets to this former address of ours come by a router: accept them, and let packets with it for a source leave.
    Hold(Addr),
    /// They do not any more.
    Release(Addr),
    /// Find out what passed between us and the kernel's host with this number: [`Input::Traffic`].
    Look(u32),
    /// Write down what has to be known after a restart, before what follows is done.
    Keep(Fact),
    /// Something worth a line in the log.
    Note(Note),
}

/// A change of the kernel's host table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Make a host; answered by [`Input::Made`] or [`Input::Refused`].
    New {
        /// Which host.
        key: Key,
        /// Its sets.
        record: Record,
    },
    /// Replace the sets of a host.
    Set {
        /// The kernel's number of it.
        id: u32,
        /// Its sets.
        record: Record,
    },
    /// Remove a host.
    Del {
        /// The kernel's number of it.
        id: u32,
    },
}

/// Why a message was not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// It is not a message.
    Malformed(ParseError),
    /// Its source is not a unicast address that is valid beyond a link.
    NotUnicast,
    /// Its source is an own address.
    OwnAddress,
    /// Its destination is not a usable own address.
    NotOurs,
    /// Its payload lacks addresses, or has them in the wrong places.
    Payload,
    /// The source that the sender believes in is not the one it came from.
    NatDetected,
    /// This kind of message is not served.
    Unsupported(Control),
    /// It bears no signature.
    Unsigned,
    /// Its signature is of a kind that is not known.
    UnknownAlgorithm,
    /// Its signature is wrong.
    BadSignature,
    /// Its key is not listed.
    UnknownKey,
    /// Its key is not that of the host.
    WrongKey,
    /// Its key is ours.
    OwnKey,
    /// Its source is an address at which another key is listed.
    ReservedAddress,
    /// Its timestamp is not later than those seen before.
    Replayed,
    /// It answers a challenge that nobody awaits an answer to.
    LateAnswer,
    /// Its key is not known where it comes from: its sender has to show first that it hears us.
    Challenged,
    /// No host goes by the addresses in it.
    UnknownHost,
    /// The sequence number is not the expected one.
    Seqno,
    /// A newer message has overtaken it.
    Stale,
    /// Its source is an active address of another host.
    OtherHost,
    /// Its source has to be proven before it is used.
    Unproven,
    /// The administrator manages the host.
    Managed,
    /// Too many HELLOs, or too many signatures to verify.
    Rate,
    /// There are too many hosts.
    HostLimit,
    /// It acknowledges a request that was given up for a newer one.
    LateAck,
    /// It acknowledges nothing that was sent.
    UnexpectedAck,
}

impl Refusal {
    /// The name in logs and counters.
    pub const fn name(&self) -> &'static str {
        match self {
            Refusal::Malformed(error) => error.name(),
            Refusal::NotUnicast => "not-unicast",
            Refusal::OwnAddress => "own-address",
            Refusal::NotOurs => "not-ours",
            Refusal::Payload => "bad-payload",
            Refusal::NatDetected => "nat-detected",
            Refusal::Unsupported(_) => "unsupported",
            Refusal::Unsigned => "unsigned",
            Refusal::UnknownAlgorithm => "unknown-algorithm",
            Refusal::BadSignature => "bad-signature",
            Refusal::UnknownKey => "unknown-key",
            Refusal::WrongKey => "wrong-key",
            Refusal::OwnKey => "own-key",
            Refusal::ReservedAddress => "reserved-address",
            Refusal::Replayed => "replayed",
            Refusal::LateAnswer => "late-answer",
            Refusal::Challenged => "challenged",
            Refusal::UnknownHost => "unknown-host",
            Refusal::Seqno => "incorrect-seqno",
            Refusal::Stale => "stale",
            Refusal::OtherHost => "other-host",
            Refusal::Unproven => "unproven",
            Refusal::Managed => "managed",
            Refusal::Rate => "rate",
            Refusal::HostLimit => "host-limit",
            Refusal::LateAck => "late-ack",
            Refusal::UnexpectedAck => "unexpected-ack",
        }
    }
}

/// A line for the log; its text form is `event=... name=value ...` with stable names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A message was sent.
    Sent {
        /// Its kind.
        control: Control,
        /// Its number.
        seqno: u16,
        /// Its source.
        from: Addr,
        /// Its destination.
        to: Addr,
        /// 1 for the first send.
        attempt: u32,
    },
    /// A message was accepted.
    Received {
        /// Its kind.
        control: Control,
        /// Its number.
        seqno: u16,
        /// Its source.
        from: Addr,
        /// Its destination.
        to: Addr,
    },
    /// A message was not used.
    Refused {
        /// Why.
        reason: Refusal,
        /// Its source.
        from: Addr,
        /// Its destination.
        to: Addr,
    },
    /// A request was acknowledged.
    Acked {
        /// Its kind.
        control: Control,
        /// Its number.
        seqno: u16,
        /// Its source.
        from: Addr,
        /// Who acknowledged it.
        by: Addr,
        /// Time since it was first sent.
        after: Duration,
    },
    /// A request was not acknowledged by any address of the peer.
    Unanswered {
        /// Its kind.
        control: Control,
        /// Its number.
        seqno: u16,
        /// Its source.
        from: Addr,
        /// Where it was last sent to.
        to: Addr,
    },
    /// A request was given up because a newer state replaces it.
    Superseded {
        /// Its kind.
        control: Control,
        /// Its number.
        seqno: u16,
        /// Its source.
        from: Addr,
    },
    /// A host takes part.
    Up {
        /// Its address.
        peer: Addr,
    },
    /// A host does not take part.
    Classic {
        /// Its address.
        peer: Addr,
        /// Why.
        reason: &'static str,
    },
    /// No own address is left from which the host can be reached.
    Lost {
        /// Its address.
        peer: Addr,
    },
    /// A host was taken over from the kernel.
    Adopted {
        /// The kernel's number of it.
        id: u32,
        /// Its address.
        peer: Addr,
    },
    /// Two entries proved to be one host.
    Merged {
        /// An address of the one that stays.
        kept: Addr,
        /// An address of the other.
        gone: Addr,
    },
    /// A host is bound to a key.
    Bound {
        /// Its address.
        peer: Addr,
        /// The key.
        key: PublicKey,
    },
    /// A peer has a new key, by the word of the former one.
    Succeeded {
        /// The former key.
        former: PublicKey,
        /// The new key.
        key: PublicKey,
    },
    /// Another host answers at this address; it is taken off the host that had it.
    Mistaken {
        /// The address.
        peer: Addr,
    },
    /// A router brings what is sent to our old address to the new one; the peer is not told.
    Routed {
        /// The router.
        by: Addr,
        /// The new address.
        new: Addr,
        /// The old one.
        old: Addr,
    },
    /// A router does not: the peer is told.
    RouterDeclined {
        /// The router.
        by: Addr,
        /// The new address.
        new: Addr,
        /// The old one.
        old: Addr,
    },
    /// A router did, and does no longer, as far as can be seen: the peer is told.
    EndToEnd {
        /// The new address.
        new: Addr,
        /// The old one.
        old: Addr,
        /// Why.
        reason: &'static str,
    },
    /// A peer was asked at an address that it announced, and did not answer; the address is not used any more.
    Unproven {
        /// The address.
        peer: Addr,
    },
    /// The peer does not know our sequence number; it is greeted again.
    Resync {
        /// Its address.
        peer: Addr,
    },
    /// The kernel removed a host, or would not make it; or nobody needed it any more.
    Gone {
        /// Its address.
        peer: Addr,
        /// Why.
        reason: &'static str,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::Sent {
                control,
                seqno,
                from,
                to,
                attempt,
            } => {
                write!(f, "event=sent control={control} seqno={seqno} from={from} to={to} attempt={attempt}")
            }
            Note::Received {
                control,
                seqno,
                from,
                to,
            } => {
                write!(
                    f,
                    "event=received control={control} seqno={seqno} from={from} to={to}"
                )
            }
            Note::Refused { reason, from, to } => {
                write!(
                    f,
                    "event=refused reason={} from={from} to={to}",
                    reason.name()
                )
            }
            Note::Acked {
                control,
                seqno,
                from,
                by,
                after,
            } => write!(
                f,
                "event=acked control={control} seqno={seqno} from={from} by={by} after_us={}",
                after.as_micros()
            ),
            Note::Unanswered {
                control,
                seqno,
                from,
                to,
            } => {
                write!(
                    f,
                    "event=unanswered control={control} seqno={seqno} from={from} to={to}"
                )
            }
            Note::Superseded {
                control,
                seqno,
                from,
            } => {
                write!(
                    f,
                    "event=superseded control={control} seqno={seqno} from={from}"
                )
            }
            Note::Up { peer } => write!(f, "event=up peer={peer}"),
            Note::Classic { peer, reason } => {
                write!(f, "event=classic peer={peer} reason={reason}")
            }
            Note::Lost { peer } => write!(f, "event=lost peer={peer}"),
            Note::Adopted { id, peer } => write!(f, "event=adopted id={id} peer={peer}"),
            Note::Merged { kept, gone } => write!(f, "event=merged kept={kept} gone={gone}"),
            Note::Bound { peer, key } => {
                write!(f, "event=bound peer={peer} key={}", key.fingerprint())
            }
            Note::Succeeded { former, key } => write!(
                f,
                "event=succeeded former={} key={}",
                former.fingerprint(),
                key.fingerprint()
            ),
            Note::Routed { by, new, old } => {
                write!(f, "event=routed by={by} new={new} old={old}")
            }
            Note::RouterDeclined { by, new, old } => {
                write!(f, "event=router-declined by={by} new={new} old={old}")
            }
            Note::EndToEnd { new, old, reason } => {
                write!(f, "event=end-to-end new={new} old={old} reason={reason}")
            }
            Note::Mistaken { peer } => write!(f, "event=mistaken peer={peer}"),
            Note::Unproven { peer } => write!(f, "event=unproven peer={peer}"),
            Note::Resync { peer } => write!(f, "event=resync peer={peer}"),
            Note::Gone { peer, reason } => write!(f, "event=gone peer={peer} reason={reason}"),
        }
    }
}
