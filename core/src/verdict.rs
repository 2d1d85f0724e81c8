// SPDX-License-Identifier: GPL-2.0
//! Reasons why packets are refused; names and numbers as `reason` and `effect` of the contract.

/// What a reason does to the packet.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// The packet is dropped.
    Drop = 0,
    /// The packet passes without being translated.
    Pass = 1,
    /// The packet waits.
    Delay = 2,
}

/// Why a packet was refused, or was passed without being translated.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The host of the flow has no path at the moment.
    NoPath = 0,
    /// The path has no route out of this machine, or a policy of IPsec forbids it.
    NoRoute = 1,
    /// The headers could not be made writable.
    NotWritable = 2,
    /// A flow or a host could not be allocated.
    NoMemory = 3,
    /// The table of flows is full.
    FlowLimit = 4,
    /// The table of hosts is full.
    HostLimit = 5,
    /// The headers of the packet do not parse.
    Malformed = 6,
    /// A reset or an ICMP error came while the local locator was not yet acknowledged.
    UnvalidatedReset = 7,
    /// From an address at which its host announced to be, which is not applied yet.
    Held = 8,
    /// There was no room among the packets that wait for an announced move.
    HoldOverflow = 9,
    /// No free port for a flow that collides with another on the wire.
    PortExhausted = 10,
    /// The source address is neither local nor the identifier of a flow.
    ForeignSource = 11,
    /// An ICMP error quotes a packet of a host, but of no flow.
    IcmpNoFlow = 12,
    /// Discovery requests came faster than allowed; this one was not reported.
    DiscoverLimit = 13,
    /// A router says that a locator of a host cannot be reached. The host was heard on the flow in the last 10 s, and may be
    /// leaving.
    PathUnreachable = 14,
    /// The host is behind a NAT, and no port mapping of it is known for the flow.
    NatUnmapped = 15,
    /// The table of NAT mappings is full.
    NatLimit = 16,
    /// The local address of the path is no longer this machine's, and nothing else has been said yet.
    LocalGone = 17,
    /// From where a host was before it moved, and nothing here would answer it but with a reset or an error.
    Late = 18,
    /// An older flow of the host has the same addresses and ports on the wire.
    SameWire = 19,
    /// The namespace is off, and the flow stays between its own addresses, while the host goes on elsewhere.
    Stays = 20,
    /// The host has not shown that it is at the address, and has no credit left.
    NoCredit = 21,
    /// A policy of IPsec refuses the packet as it came in, before it was translated.
    Ipsec = 22,
    /// The host has its share of the table of flows.
    HostFlowLimit = 23,
    /// Datagrams went one way only, and another flow has the place of their row, since the table or the share of the host was full.
    FlowEvicted = 24,
    /// The packet waited, or was to wait, for an announced move, and its device or its route went away, or conntrack refused it.
    HeldLost = 25,
}

impl Reason {
    /// How many reasons there are.
    pub const COUNT: usize = Reason::ALL.len();

    /// All reasons, in the order of their numbers.
    pub const ALL: [Reason; 26] = [
        Reason::NoPath,
        Reason::NoRoute,
        Reason::NotWritable,
        Reason::NoMemory,
        Reason::FlowLimit,
        Reason::HostLimit,
        Reason::Malformed,
        Reason::UnvalidatedReset,
        Reason::Held,
        Reason::HoldOverflow,
        Reason::PortExhausted,
        Reason::ForeignSource,
        Reason::IcmpNoFlow,
        Reason::DiscoverLimit,
        Reason::PathUnreachable,
        Reason::NatUnmapped,
        Reason::NatLimit,
        Reason::LocalGone,
        Reason::Late,
        Reason::SameWire,
        Reason::Stays,
        Reason::NoCredit,
        Reason::Ipsec,
        Reason::HostFlowLimit,
        Reason::FlowEvicted,
        Reason::HeldLost,
    ];

    /// The number in the contract.
    #[inline]
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The number as an index of [`Reason::ALL`], for arrays of counters.
    #[inline]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// What becomes of the packet.
    #[inline]
    pub const fn effect(self) -> Effect {
        match self {
            Reason::NoPath
            | Reason::NoRoute
            | Reason::NotWritable
            | Reason::UnvalidatedReset
            | Reason::PortExhausted
            | Reason::ForeignSource
            | Reason::PathUnreachable
            | Reason::NatUnmapped
            | Reason::LocalGone
            | Reason::Late
            | Reason::SameWire
            | Reason::Stays
            | Reason::NoCredit
            | Reason::Ipsec
            | Reason::HeldLost => Effect::Drop,
            Reason::NoMemory
            | Reason::FlowLimit
            | Reason::HostLimit
            | Reason::Malformed
            | Reason::HoldOverflow
            | Reason::IcmpNoFlow
            | Reason::DiscoverLimit
            | Reason::NatLimit
            | Reason::HostFlowLimit
            | Reason::FlowEvicted => Effect::Pass,
            Reason::Held => Effect::Delay,
        }
    }
}
