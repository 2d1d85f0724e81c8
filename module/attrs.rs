// SPDX-License-Identifier: GPL-2.0

//! Writes hosts, paths, flows, mappings and settings as netlink attributes: in replies, dumps and events alike.

use crate::{
    ffi::{
        clock,
        genl::Message, //
    },
    flow::Row,
    host::Host,
    nat::Nat,
    netns::Netns,
    param::Params,
    uapi::{
        AddrAttr,
        FlowAttr,
        HostAttr,
        Mode,
        NatAttr,
        ParamAttr,
        PathAttr,
        PathCause, //
    },
    view::View, //
};
use ihmp_core::{
    paths::Path,
    sets::{
        Entry,
        Role, //
    },
};
use kernel::{
    prelude::*,
    sync::{
        atomic::Relaxed,
        rcu, //
    },
};

/// Version of the module.
const VERSION: &[u8] = b"0.1.0";

/// Puts a host into a message.
pub(crate) fn host(netns: &Netns, message: &mut Message, host: &Host) -> Result {
    let guard = rcu::read_lock();
    let view = host.view.read(&guard);
    message.u32(HostAttr::ID.0, host.id())?;
    message.u32(HostAttr::MODE.0, Mode::StackTrans.number())?;
    message.u32(HostAttr::STATE.0, view.state().number())?;
    if let Some(scheduler) = view.said.scheduler {
        message.u32(HostAttr::SCHEDULER.0, scheduler.number())?;
    }
    if !view.said.name.as_bytes().is_empty() {
        message.string(HostAttr::NAME.0, view.said.name.as_bytes())?;
    }
    for role in Role::ALL {
        for entry in view.list(role) {
            message.nest(HostAttr::ADDR.0, |message| addr(message, role, entry))?;
        }
    }
    if let Some(ms) = host.expires_in() {
        message.uint(HostAttr::EXPIRES_IN.0, ms)?;
    }
    if let Some(path) = view.any_path() {
        message.addr(HostAttr::LOCAL.0, path.local)?;
        message.addr(HostAttr::REMOTE.0, path.remote)?;
    }
    message.u32(HostAttr::FLOWS.0, host.rows.count())?;
    message.uint(HostAttr::TX_PACKETS.0, host.traffic.tx())?;
    message.uint(HostAttr::RX_PACKETS.0, host.traffic.rx())?;
    message.uint(
        HostAttr::IDLE.0,
        clock::to_ms(host.traffic.idle(clock::jiffies())),
    )?;
    match host.staying.count() {
        0 => (),
        staying => message.u32(HostAttr::STAYING.0, staying)?,
    }
    message.uint(HostAttr::CREDIT.0, netns.credit(host, view, &guard))
}

fn addr(message: &mut Message, role: Role, entry: &Entry) -> Result {
    message.addr(AddrAttr::ADDRESS.0, entry.addr)?;
    message.u32(AddrAttr::SET.0, role as u32)?;
    message.u16(AddrAttr::PREFERENCE.0, entry.preference)?;
    message.flag(AddrAttr::UNVALIDATED.0, entry.unvalidated)?;
    message.flag(AddrAttr::NAT.0, entry.nat)?;
    message.flag(AddrAttr::LEFT.0, role == Role::Local && entry.mark != 0)?;
    match entry.device {
        0 => Ok(()),
        device => message.u32(AddrAttr::DEVICE.0, device),
    }
}

/// Puts one of the paths of a host into a message.
pub(crate) fn path(message: &mut Message, id: u32, view: &View, path: &Path) -> Result {
    message.u32(PathAttr::HOST_ID.0, id)?;
    message.addr(PathAttr::LOCAL.0, path.local)?;
    message.addr(PathAttr::REMOTE.0, path.remote)?;
    message.u32(PathAttr::PREFERENCE.0, path.preference)?;
    message.flag(
        PathAttr::ACTIVE.0,
        view.path(path.local.family()) == Some(*path),
    )?;
    message.flag(PathAttr::UNVALIDATED.0, path.unvalidated)
}

/// Puts the path of a host, or that it has none, into a message, and why that changed.
pub(crate) fn path_change(
    message: &mut Message,
    id: u32,
    path: Option<&Path>,
    cause: PathCause,
) -> Result {
    message.u32(PathAttr::HOST_ID.0, id)?;
    if let Some(path) = path {
        message.addr(PathAttr::LOCAL.0, path.local)?;
        message.addr(PathAttr::REMOTE.0, path.remote)?;
    }
    message.u32(PathAttr::CAUSE.0, cause.number())
}

/// Puts a flow into a message.
pub(crate) fn flow(message: &mut Message, row: &Row) -> Result {
    let key = row.key();
    message.u32(FlowAttr::HOST_ID.0, row.host().id())?;
    message.u8(FlowAttr::PROTO.0, key.proto)?;
    message.addr(FlowAttr::LOCAL.0, key.laddr)?;
    message.addr(FlowAttr::REMOTE.0, key.faddr)?;
    message.u16(FlowAttr::LOCAL_PORT.0, key.lport)?;
    message.u16(FlowAttr::REMOTE_PORT.0, key.fport)?;
    if row.wire_port != key.lport {
        message.u16(FlowAttr::WIRE_PORT.0, row.wire_port)?;
    }
    if row.host_port != key.fport {
        message.u16(FlowAttr::HOST_PORT.0, row.host_port)?;
    }
    message.uint(
        FlowAttr::IDLE.0,
        clock::to_ms(row.seen.idle(clock::jiffies())),
    )
}

/// Puts what names a mapping, and its host and port, into a message.
pub(crate) fn nat_name(message: &mut Message, nat: &Nat) -> Result {
    message.u32(NatAttr::HOST_ID.0, nat.host().id())?;
    message.u8(NatAttr::PROTO.0, nat.mapping.proto)?;
    message.addr(NatAttr::ADDRESS.0, nat.mapping.addr)?;
    message.u16(NatAttr::NAT_PORT.0, nat.mapping.nat_port)?;
    message.u16(NatAttr::PORT.0, nat.mapping.port)?;
    message.u16(NatAttr::LOCAL_PORT.0, nat.mapping.local_port)
}

/// Puts a mapping into a message.
pub(crate) fn nat(message: &mut Message, nat: &Nat) -> Result {
    nat_name(message, nat)?;
    match nat.expires_in() {
        Some(ms) => message.uint(NatAttr::EXPIRES_IN.0, ms),
        None => Ok(()),
    }
}

/// Puts the settings into a message.
pub(crate) fn params(message: &mut Message, params: &Params) -> Result {
    message.u32(ParamAttr::DISCOVERY.0, params.discovery.load(Relaxed))?;
    message.u16(ParamAttr::PORT.0, params.port.load(Relaxed) as u16)?;
    message.u32(ParamAttr::MAX_HOSTS.0, params.max_hosts.load(Relaxed))?;
    message.u32(ParamAttr::MAX_FLOWS.0, params.max_flows.load(Relaxed))?;
    message.u32(ParamAttr::UDP_TIMEOUT.0, params.udp_timeout.load(Relaxed))?;
    message.u32(ParamAttr::HOLD_TIME.0, params.hold_time.load(Relaxed))?;
    message.u32(ParamAttr::SCHEDULER.0, params.scheduler.load(Relaxed))?;
    message.string(ParamAttr::VERSION.0, VERSION)?;
    message.u32(ParamAttr::PATH_TIMEOUT.0, params.path_timeout.load(Relaxed))?;
    message.u32(ParamAttr::MAX_NATS.0, params.max_nats.load(Relaxed))?;
    message.u32(ParamAttr::ENABLED.0, params.enabled.load(Relaxed))
}
