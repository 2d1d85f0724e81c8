// SPDX-License-Identifier: GPL-2.0
//! What goes into the machine and what comes out.

use ihmp_core::addr::Addr;
use ihmp_core::message::ParseError;
use ihmp_core::nat::Mapping;
use ihmp_core::time::{Duration, Instant};

use crate::discretion::Discretion;
use crate::keys::{Fact, Keys};
use crate::note::Note;

/// A host within the engine; the kernel has its own number for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

/// What an own address is good for (RFC 4862 section 5.5.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Age {
    /// For everything.
    #[default]
    Preferred,
    /// It is deprecated: for what began there, and for the rest where there is no other.
    Deprecated,
    /// It is a temporary address and deprecated, since another one takes its turn (RFC 8981): what began there stays.
    Rotated,
}

/// An own address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Own {
    /// The address.
    pub addr: Addr,
    /// What it is good for.
    pub age: Age,
}

impl From<Addr> for Own {
    fn from(addr: Addr) -> Self {
        let age = Age::Preferred;
        Own { addr, age }
    }
}

/// An own address from which a peer can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via {
    /// The address.
    pub local: Addr,
    /// Lower is preferred.
    pub preference: u16,
    /// Index of the device by which packets from there leave; `None` when it is not known.
    pub device: Option<u32>,
    /// That device does not count: the address is no locator.
    pub diverted: bool,
}

impl Via {
    /// By a device that is not known.
    pub const fn new(local: Addr, preference: u16) -> Self {
        Via {
            local,
            preference,
            device: None,
            diverted: false,
        }
    }
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
    pub unvalidated: bool,
    /// The host sees a NAT in front of it that knows nothing of IHMP: flows that begin there are nobody's business.
    pub nat: bool,
    /// Flows that are older than this mark use another address.
    pub left: bool,
    /// Index of the device by which packets from there leave; `None` for the one that has it.
    pub device: Option<u32>,
}

impl Local {
    /// A proven address that is preferred.
    pub const fn new(addr: Addr) -> Self {
        Local {
            addr,
            preference: 0,
            unvalidated: false,
            nat: false,
            left: false,
            device: None,
        }
    }
}

/// The complete sets of a host, for the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The state.
    pub state: State,
    /// Foreign addresses that are reachable.
    pub active: Vec<Addr>,
    /// Those of them at which the host has not shown that it hears us, where the kernel bounds what is sent; and unreachable ones
    /// where it was asked and did not answer, which the kernel only remembers.
    pub unvalidated: Vec<Addr>,
    /// Addresses of NATs in front of it that tell of their port mappings; active for flows that have one.
    pub nats: Vec<Addr>,
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
    /// Whether flows of it have moved, or may; those are served also while the machine is off.
    pub moved: bool,
    /// Foreign addresses that are reachable.
    pub active: Vec<Addr>,
    /// Those of them, and of the unreachable ones, at which the host has not shown that it hears us.
    pub unvalidated: Vec<Addr>,
    /// Addresses of NATs in front of it.
    pub nats: Vec<Addr>,
    /// Foreign addresses that may become reachable.
    pub unreachable: Vec<Addr>,
    /// Former foreign addresses.
    pub alias: Vec<Addr>,
    /// Own addresses that the host can reach.
    pub local: Vec<Local>,
    /// Local identifiers of its flows; wanted where a local address is unvalidated.
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
        /// Its source port, if it is not that of IHMP.
        port: Option<u16>,
        /// Its destination.
        to: Addr,
        /// Its payload.
        bytes: &'a [u8],
    },
    /// The own addresses or the routes changed: a batch of events, as one new whole.
    Network {
        /// All usable own addresses.
        local: Vec<Own>,
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
    /// The administrator switched the machine on, or off; it is on at first.
    Switch {
        /// Whether it is on.
        on: bool,
        /// All hosts of the kernel, as after that.
        hosts: Vec<KernelHost>,
    },
    /// The kernel's entry of a host changed, by us or by the administrator.
    Changed(KernelHost),
    /// The kernel removed a host.
    Removed {
        /// The kernel's number of it.
        id: u32,
    },
    /// Our addresses and the lengths of the prefixes to which they connect us; before [`Input::Network`].
    Connected(Vec<(Addr, u8)>),
    /// Which of our addresses are told to whom; before [`Input::Network`].
    Discretion(Discretion),
    /// On one of the host's flows something was sent for a while and nothing came back; the host has other paths.
    Silent {
        /// The kernel's number of the host.
        id: u32,
        /// The own address from which it was sent.
        local: Addr,
        /// The address of the host.
        remote: Addr,
    },
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
    /// Octets that may still be sent where the host has not shown that it hears us; `None` when that is not known.
    pub credit: Option<u64>,
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
        /// Its destination port, if it is not that of IHMP.
        port: Option<u16>,
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
        /// Addresses that it had, by its key: connections there that nobody has a part in may be its own.
        former: Vec<Addr>,
    },
    /// Replace the sets of a host.
    Set {
        /// The kernel's number of it.
        id: u32,
        /// Its sets.
        record: Record,
        /// Addresses that it had and has no more may have been somebody else's for a while.
        doubt: bool,
    },
    /// A host was away and is where it was, or did not know where we are: its sockets go on now.
    Wake {
        /// The kernel's number of it.
        id: u32,
        /// It may not know since when we are elsewhere: sockets that have been idle for long are heard as well.
        idle: bool,
    },
    /// Remove a host.
    Del {
        /// The kernel's number of it.
        id: u32,
    },
    /// A NAT in front of a host gave a port to a flow, for so long.
    Map {
        /// The kernel's number of the host.
        id: u32,
        /// The ports.
        mapping: Mapping,
        /// Until the NAT says so again.
        lifetime: Duration,
    },
    /// It has no longer.
    Unmap {
        /// The kernel's number of the host.
        id: u32,
        /// The ports.
        mapping: Mapping,
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
    /// The source that the sender believes in is not the one it came from, where that cannot be.
    NatDetected,
    /// Its source port is not that of IHMP, and no NAT changed it.
    SourcePort,
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
    /// Another key is remembered where it comes from, and the administrator wants to be asked.
    ChangedKey,
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
    Unvalidated,
    /// The administrator manages the host.
    Managed,
    /// The machine is switched off, and no flow with the sender has moved.
    Off,
    /// Too many HELLOs, or too many signatures to verify.
    Rate,
    /// There are too many hosts.
    HostLimit,
    /// The two know each other by as many addresses as can be told already.
    AddressLimit,
    /// There are too many port mappings of the host; those that are left over were not used.
    MappingLimit,
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
            Refusal::SourcePort => "source-port",
            Refusal::Unsigned => "unsigned",
            Refusal::UnknownAlgorithm => "unknown-algorithm",
            Refusal::BadSignature => "bad-signature",
            Refusal::UnknownKey => "unknown-key",
            Refusal::WrongKey => "wrong-key",
            Refusal::ChangedKey => "changed-key",
            Refusal::OwnKey => "own-key",
            Refusal::ReservedAddress => "reserved-address",
            Refusal::Replayed => "replayed",
            Refusal::LateAnswer => "late-answer",
            Refusal::Challenged => "challenged",
            Refusal::UnknownHost => "unknown-host",
            Refusal::Seqno => "incorrect-seqno",
            Refusal::Stale => "stale",
            Refusal::OtherHost => "other-host",
            Refusal::Unvalidated => "unvalidated",
            Refusal::Managed => "managed",
            Refusal::Off => "off",
            Refusal::Rate => "rate",
            Refusal::HostLimit => "host-limit",
            Refusal::AddressLimit => "address-limit",
            Refusal::MappingLimit => "mapping-limit",
            Refusal::LateAck => "late-ack",
            Refusal::UnexpectedAck => "unexpected-ack",
        }
    }
}
