// SPDX-License-Identifier: GPL-2.0
//! The objects of the family as plain values: uapi/ihmp.yaml says what each field means.

use std::{
    fmt,
    net::IpAddr,
    time::Duration, //
};

pub use ihmp_uapi::{
    AddrSet,
    Effect,
    HostState,
    Mode,
    PathCause,
    PolicyAction,
    Scheduler,
    DEFAULT_PORT,
    MAX_ADDRS,
    NAME_MAX, //
};

/// Why a packet was refused; a number, because a later module may know more reasons than this library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason(pub u32);

impl Reason {
    /// The name in the spec; `None` for a reason that this library does not know.
    pub fn name(self) -> Option<&'static str> {
        ihmp_uapi::Reason::from_number(self.0).map(ihmp_uapi::Reason::name)
    }
}

impl From<ihmp_uapi::Reason> for Reason {
    fn from(reason: ihmp_uapi::Reason) -> Self {
        Self(reason.number())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => f.pad(&format!("reason-{}", self.0)),
        }
    }
}

/// One address of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HostAddr {
    /// The address.
    pub addr: IpAddr,
    /// Its role.
    pub set: AddrSet,
    /// Lower is preferred.
    pub preference: u16,
    /// A local address that the host has not acknowledged yet, or an address of the host that is not validated. What is sent to an active
    /// address that is not validated is taken from the host's credit.
    pub unvalidated: bool,
    /// An active address that belongs to a NAT in front of the host. Only flows with a [`Nat`] use it.
    pub nat: bool,
    /// Flows that began before this flag was set use another address.
    pub left: bool,
    /// Device by which packets leave from a local address; `None` for the one that has it.
    pub device: Option<u32>,
}

impl HostAddr {
    /// An address with preference 0.
    pub const fn new(set: AddrSet, addr: IpAddr) -> Self {
        Self {
            addr,
            set,
            preference: 0,
            unvalidated: false,
            nat: false,
            left: false,
            device: None,
        }
    }

    /// A reachable address of the host.
    pub const fn active(addr: IpAddr) -> Self {
        Self::new(AddrSet::Active, addr)
    }

    /// One of our addresses.
    pub const fn local(addr: IpAddr) -> Self {
        Self::new(AddrSet::Local, addr)
    }
}

/// A foreign host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Index given by the module.
    pub id: u32,
    /// How its packets are rewritten.
    pub mode: Mode,
    /// What is known about its signalling.
    pub state: HostState,
    /// How its path is chosen; `None` for the namespace's default.
    pub scheduler: Option<Scheduler>,
    /// Administrator's name.
    pub name: Option<String>,
    /// All addresses, of every set.
    pub addrs: Vec<HostAddr>,
    /// Time until the entry is removed; `None` for never.
    pub expires_in: Option<Duration>,
    /// Local locator of the path in use.
    pub local: Option<IpAddr>,
    /// Remote locator of the path in use.
    pub remote: Option<IpAddr>,
    /// Flows of the host.
    pub flows: u32,
    /// Packets to the host.
    pub tx_packets: u64,
    /// Packets from the host.
    pub rx_packets: u64,
    /// Time since the last packet.
    pub idle: Option<Duration>,
    /// Flows that do not move, because the namespace was switched off.
    pub staying: u32,
    /// Octets that may still be sent to unvalidated addresses; `None` when the module does not say.
    pub credit: Option<u64>,
}

/// What `host_new` and `host_set` ask for; what is absent stays as it is, or gets its default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostRequest {
    /// The host to change; not for `host_new`.
    pub id: Option<u32>,
    /// How its packets are rewritten; only for `host_new`.
    pub mode: Option<Mode>,
    /// What is known about its signalling.
    pub state: Option<HostState>,
    /// How its path is chosen.
    pub scheduler: Option<Scheduler>,
    /// Administrator's name.
    pub name: Option<String>,
    /// Addresses; in `host_set` they replace the sets that occur among them.
    pub addrs: Vec<HostAddr>,
    /// Sets to empty first; only for `host_set`.
    pub clear: Vec<AddrSet>,
    /// Time until the entry is removed, in steps of a millisecond.
    pub expires_in: Option<Duration>,
    /// The host was away: the TCP sockets of its flows go on now; only for `host_set`.
    pub wake: bool,
    /// With `wake`: TCP sockets that have been idle for long send an acknowledgement as well.
    pub wake_idle: bool,
    /// The active addresses that this request removes may have belonged to another host for a while.
    pub doubt: bool,
}

/// A pair of locators of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// Host of the path.
    pub host_id: u32,
    /// Local locator.
    pub local: IpAddr,
    /// Remote locator.
    pub remote: IpAddr,
    /// Sum of the preferences of both; lower is preferred.
    pub preference: u32,
    /// The path is in use.
    pub active: bool,
    /// The local locator has not been acknowledged yet.
    pub unvalidated: bool,
}

/// The key of a flow: the five-tuple that its socket has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// IP protocol number.
    pub proto: u8,
    /// Local identifier.
    pub local: IpAddr,
    /// Foreign identifier.
    pub remote: IpAddr,
    /// Local port, or the identifier of an ICMP echo.
    pub local_port: u16,
    /// Foreign port.
    pub remote_port: u16,
}

/// A flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Host at the other end.
    pub host_id: u32,
    /// IP protocol number.
    pub proto: u8,
    /// Local identifier.
    pub local: IpAddr,
    /// Foreign identifier.
    pub remote: IpAddr,
    /// Local port, or the identifier of an ICMP echo.
    pub local_port: u16,
    /// Foreign port.
    pub remote_port: u16,
    /// Local port on the wire, where it differs.
    pub wire_port: Option<u16>,
    /// Port of the host itself, where `remote_port` is that of a NAT.
    pub host_port: Option<u16>,
    /// Time since the last packet.
    pub idle: Option<Duration>,
}

impl Flow {
    /// Its key.
    pub const fn key(&self) -> FlowKey {
        FlowKey {
            proto: self.proto,
            local: self.local,
            remote: self.remote,
            local_port: self.local_port,
            remote_port: self.remote_port,
        }
    }
}

/// The key of a port mapping of a NAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NatKey {
    /// IP protocol number.
    pub proto: u8,
    /// Address of the NAT.
    pub addr: IpAddr,
    /// Port of the NAT, or the identifier of the host's ICMP echoes behind it.
    pub nat_port: u16,
    /// Our port on the wire, or the identifier of our ICMP echoes.
    pub local_port: u16,
}

/// One port mapping of a NAT in front of a host, for one flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nat {
    /// Host behind the NAT.
    pub host_id: u32,
    /// IP protocol number.
    pub proto: u8,
    /// Address of the NAT.
    pub addr: IpAddr,
    /// Port of the NAT, or the identifier of the host's ICMP echoes behind it.
    pub nat_port: u16,
    /// Port of the host, or the identifier of its ICMP echoes before the NAT.
    pub port: u16,
    /// Our port on the wire, or the identifier of our ICMP echoes.
    pub local_port: u16,
    /// Time until the mapping is removed, in steps of a millisecond; `None` for never.
    pub expires_in: Option<Duration>,
}

impl Nat {
    /// Its key.
    pub const fn key(&self) -> NatKey {
        NatKey {
            proto: self.proto,
            addr: self.addr,
            nat_port: self.nat_port,
            local_port: self.local_port,
        }
    }
}

/// What is done for unknown addresses under a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Address of the prefix.
    pub addr: IpAddr,
    /// Its length in bits.
    pub prefix_len: u8,
    /// What is done.
    pub action: PolicyAction,
}

/// Settings of the network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    /// Flows to unknown addresses are looked at.
    pub discovery: bool,
    /// UDP port of IHMP.
    pub port: u16,
    /// Most host entries.
    pub max_hosts: u32,
    /// Most flows.
    pub max_flows: u32,
    /// Seconds until an idle flow without a connected socket is removed.
    pub udp_timeout: u32,
    /// Milliseconds that packets wait for an announced move.
    pub hold_time: u32,
    /// Seconds without a path after which sockets get EHOSTUNREACH; 0 for never.
    pub path_timeout: u32,
    /// Most port mappings of NATs.
    pub max_nats: u32,
    /// New flows take part; false while the namespace is off.
    pub enabled: bool,
    /// Scheduler of hosts that name none.
    pub scheduler: Scheduler,
    /// Version of the module.
    pub version: String,
}

/// What `param_set` asks for; what is absent stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParamRequest {
    /// Flows to unknown addresses are looked at.
    pub discovery: Option<bool>,
    /// UDP port of IHMP.
    pub port: Option<u16>,
    /// Most host entries.
    pub max_hosts: Option<u32>,
    /// Most flows.
    pub max_flows: Option<u32>,
    /// Seconds until an idle flow without a connected socket is removed.
    pub udp_timeout: Option<u32>,
    /// Milliseconds that packets wait for an announced move.
    pub hold_time: Option<u32>,
    /// Seconds without a path after which sockets get EHOSTUNREACH; 0 for never.
    pub path_timeout: Option<u32>,
    /// Most port mappings of NATs.
    pub max_nats: Option<u32>,
    /// New flows take part; false switches the namespace off.
    pub enabled: Option<bool>,
    /// Scheduler of hosts that name none.
    pub scheduler: Option<Scheduler>,
}

/// How often one reason applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// The reason.
    pub reason: Reason,
    /// What became of the packets.
    pub effect: Effect,
    /// How many packets.
    pub packets: u64,
}

/// Counters of the network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Host entries now.
    pub hosts: u32,
    /// Flows now.
    pub flows: u32,
    /// Netfilter hooks registered now.
    pub hooks: u32,
    /// Packets rewritten on the way out.
    pub out_translated: u64,
    /// Packets of known flows that needed no change on the way out.
    pub out_unchanged: u64,
    /// Packets rewritten on the way in.
    pub in_translated: u64,
    /// Packets of known flows that needed no change on the way in.
    pub in_unchanged: u64,
    /// ICMP errors translated on the way out.
    pub icmp_out: u64,
    /// ICMP errors translated on the way in.
    pub icmp_in: u64,
    /// Flows with another port on the wire.
    pub port_mapped: u64,
    /// TCP sockets woken because a path came back.
    pub tcp_woken: u64,
    /// Discovery requests sent.
    pub discovered: u64,
    /// Flows made.
    pub flows_made: u64,
    /// Flows removed because they were gone or idle.
    pub flows_expired: u64,
    /// Sockets that got EHOSTUNREACH because their host had no path.
    pub unreachable: u64,
    /// Port mappings of NATs now.
    pub nats: u32,
    /// One for each reason.
    pub counters: Vec<Counter>,
}

impl Stats {
    /// How many packets a reason applied to.
    pub fn packets(&self, reason: impl Into<Reason>) -> u64 {
        let reason = reason.into();
        self.counters
            .iter()
            .find(|counter| counter.reason == reason)
            .map_or(0, |counter| counter.packets)
    }
}
