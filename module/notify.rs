// SPDX-License-Identifier: GPL-2.0

//! Events of a namespace. Lost events are legal: a dump tells the same.

use crate::{
    attrs,
    ffi::genl::{
        event,
        events, //
    },
    host::{
        Host,
        PathChanges, //
    },
    nat::Nat,
    netns::Netns,
    uapi::{
        Command,
        FlowAttr,
        HostAttr,
        LimitAttr,
        PathAttr,
        PathCause, //
    },
};
use ihmp_core::{
    addr::Addr,
    packet::Packet,
    paths::Path,
    verdict::Reason, //
};
use kernel::sync::rcu;

/// Octets of the attributes of a small event, and of a host beside its addresses.
const SMALL: usize = 256;
/// Octets of the attributes of a change of paths.
const PATH: usize = 64;
/// Octets of an address of a host: a nest with its attributes.
const PER_ADDRESS: usize = 64;

/// A host was made or changed, and perhaps its paths: all of it in one piece. Called by the holder of the configuration
/// lock, so the host's view is still the same when it is written down.
pub(crate) fn host(netns: &Netns, host: &Host, changes: &PathChanges) {
    let addresses = host.view.read(&rcu::read_lock()).lists().len();
    let changes = changes.iter().flatten();
    let paths = changes.clone().count();
    let room = SMALL + addresses * PER_ADDRESS + paths * PATH;
    events(&netns.net, paths as u32 + 1, room, |events| {
        for (path, cause) in changes {
            events.add(Command::PATH_NTF.0, |message| {
                attrs::path_change(message, host.id(), path.as_ref(), *cause)
            });
        }
        events.add(Command::HOST_NTF.0, |message| {
            attrs::host(netns, message, host)
        });
    });
}

/// A host was removed.
pub(crate) fn host_deleted(netns: &Netns, id: u32) {
    event(&netns.net, Command::HOST_DEL_NTF.0, SMALL, |message| {
        message.u32(HostAttr::ID.0, id)
    });
}

/// The credit of a host runs out; sent once for each set of addresses that it has.
pub(crate) fn credit(netns: &Netns, id: u32, left: u64) {
    event(&netns.net, Command::CREDIT_NTF.0, SMALL, |message| {
        message.u32(HostAttr::ID.0, id)?;
        message.uint(HostAttr::CREDIT.0, left)
    });
}

/// The path of a host changed.
pub(crate) fn path(netns: &Netns, id: u32, path: Option<&Path>, cause: PathCause) {
    event(&netns.net, Command::PATH_NTF.0, PATH, |message| {
        attrs::path_change(message, id, path, cause)
    });
}

/// Something was sent for a while between these addresses, and nothing came back, while the host has other paths.
pub(crate) fn silent(netns: &Netns, id: u32, local: Addr, remote: Addr) {
    event(&netns.net, Command::SILENT_NTF.0, PATH, |message| {
        message.u32(PathAttr::HOST_ID.0, id)?;
        message.addr(PathAttr::LOCAL.0, local)?;
        message.addr(PathAttr::REMOTE.0, remote)
    });
}

/// A flow to an unknown address was seen.
pub(crate) fn discover(netns: &Netns, id: u32, packet: &Packet) {
    event(&netns.net, Command::DISCOVER_NTF.0, SMALL, |message| {
        message.u32(FlowAttr::HOST_ID.0, id)?;
        message.u8(FlowAttr::PROTO.0, packet.tuple.proto)?;
        message.addr(FlowAttr::LOCAL.0, packet.tuple.src)?;
        message.addr(FlowAttr::REMOTE.0, packet.tuple.dst)
    });
}

/// A limit was reached.
pub(crate) fn limit(netns: &Netns, reason: Reason) {
    event(&netns.net, Command::LIMIT_NTF.0, SMALL, |message| {
        message.u32(LimitAttr::REASON.0, reason.number())?;
        message.uint(LimitAttr::PACKETS.0, netns.refused(reason))
    });
}

/// A port mapping of a NAT was added or changed.
pub(crate) fn nat(netns: &Netns, nat: &Nat) {
    event(&netns.net, Command::NAT_NTF.0, SMALL, |message| {
        attrs::nat(message, nat)
    });
}

/// Settings were changed.
pub(crate) fn params(netns: &Netns) {
    event(&netns.net, Command::PARAM_NTF.0, SMALL, |message| {
        attrs::params(message, &netns.params)
    });
}

/// A port mapping of a NAT was removed.
pub(crate) fn nat_deleted(netns: &Netns, nat: &Nat) {
    event(&netns.net, Command::NAT_DEL_NTF.0, SMALL, |message| {
        attrs::nat_name(message, nat)
    });
}
