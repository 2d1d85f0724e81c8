// SPDX-License-Identifier: GPL-2.0
//! What the module tells.

use std::net::IpAddr;

use crate::model::*;

/// Something that happened in the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A host was made or changed; this is what it is now.
    HostChanged(Host),
    /// A host was removed.
    HostDeleted(u32),
    /// The path of a host changed.
    PathChanged {
        /// The host.
        host_id: u32,
        /// Local locator, if there is a path.
        local: Option<IpAddr>,
        /// Remote locator, if there is a path.
        remote: Option<IpAddr>,
        /// Why it changed.
        cause: PathCause,
    },
    /// On a flow of a host that has several paths something was sent for a while, and nothing came back.
    PathSilent {
        /// The host.
        host_id: u32,
        /// The own address.
        local: IpAddr,
        /// The address of the host.
        remote: IpAddr,
    },
    /// A flow to an unknown address was seen, and a host made for it in state new.
    Discover {
        /// The new host.
        host_id: u32,
        /// IP protocol number of the flow.
        proto: u8,
        /// Local address of the flow.
        local: IpAddr,
        /// Foreign address of the flow.
        remote: IpAddr,
    },
    /// A limit was reached.
    Limit {
        /// Which.
        reason: Reason,
        /// How many packets met it.
        packets: u64,
    },
    /// A host whose flows go to an address at which it has not shown that it is there has little credit left.
    CreditLow {
        /// The host.
        host_id: u32,
        /// Octets that are left.
        credit: u64,
    },
    /// A port mapping of a NAT was added or changed; this is what it is now.
    NatChanged(Nat),
    /// A port mapping was removed; those of a host that is removed go without a word.
    NatDeleted(Nat),
    /// Settings were changed; these are all of them now.
    ParamsChanged(Params),
    /// Events were lost: what is known must be asked for again. All later events are newer than this.
    Resync,
}
