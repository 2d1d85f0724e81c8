// SPDX-License-Identifier: GPL-2.0
//! Hosts and their addresses.

use std::net::IpAddr;

use ihmp_netlink::{
    Attrs,
    Writer, //
};
use ihmp_uapi::{
    AddrAttr,
    Command,
    HostAttr, //
};

use super::{
    request::Request,
    value::{
        body,
        duration,
        known,
        millis,
        need,
        Result, //
    },
};
use crate::model::*;

fn write_addrs(out: &mut Writer, addrs: &[HostAddr]) {
    for one in addrs {
        let mut nest = Writer::default();
        nest.addr(AddrAttr::ADDRESS.0, one.addr);
        nest.u32(AddrAttr::SET.0, one.set.number());
        if one.preference != 0 {
            nest.u16(AddrAttr::PREFERENCE.0, one.preference);
        }
        if one.unvalidated {
            nest.flag(AddrAttr::UNVALIDATED.0);
        }
        if one.nat {
            nest.flag(AddrAttr::NAT.0);
        }
        if one.left {
            nest.flag(AddrAttr::LEFT.0);
        }
        if let Some(device) = one.device {
            nest.u32(AddrAttr::DEVICE.0, device);
        }
        out.nest(HostAttr::ADDR.0, &nest);
    }
}

/// `host-new` or `host-set`.
pub(crate) fn host_request(command: Command, host: &HostRequest) -> Request {
    let mut request = Request::new(command);
    let out = request.attrs();
    if let Some(id) = host.id {
        out.u32(HostAttr::ID.0, id);
    }
    if let Some(mode) = host.mode {
        out.u32(HostAttr::MODE.0, mode.number());
    }
    if let Some(state) = host.state {
        out.u32(HostAttr::STATE.0, state.number());
    }
    if let Some(scheduler) = host.scheduler {
        out.u32(HostAttr::SCHEDULER.0, scheduler.number());
    }
    if let Some(name) = &host.name {
        out.string(HostAttr::NAME.0, name);
    }
    for set in &host.clear {
        out.u32(HostAttr::CLEAR.0, set.number());
    }
    write_addrs(out, &host.addrs);
    if let Some(time) = host.expires_in {
        out.uint(HostAttr::EXPIRES_IN.0, millis(time));
    }
    if host.wake {
        out.flag(HostAttr::WAKE.0);
    }
    if host.wake_idle {
        out.flag(HostAttr::WAKE_IDLE.0);
    }
    if host.doubt {
        out.flag(HostAttr::DOUBT.0);
    }
    request
}

/// A command that needs just the host: `host-get`, `host-del`.
pub(crate) fn host_id(command: Command, id: u32) -> Request {
    let mut request = Request::new(command);
    request.attrs().u32(HostAttr::ID.0, id);
    request
}

/// `host-get` by one of the host's addresses.
pub(crate) fn host_address(addr: IpAddr) -> Request {
    let mut request = Request::new(Command::HOST_GET);
    request.attrs().addr(HostAttr::ADDRESS.0, addr);
    request
}

/// `addr-new` or `addr-del`.
pub(crate) fn host_addrs(command: Command, id: u32, addrs: &[HostAddr]) -> Request {
    let mut request = host_id(command, id);
    write_addrs(request.attrs(), addrs);
    request
}

/// The id in the reply to `host-new`, or in `host-del-ntf`.
pub(crate) fn read_id(message: &[u8]) -> Result<u32> {
    let mut id = None;
    for attr in body(message)? {
        let attr = attr?;
        if HostAttr(attr.number()) == HostAttr::ID {
            id = Some(attr.u32()?);
        }
    }
    need(id, "host id")
}

/// The id and the credit in `credit-ntf`.
pub(crate) fn read_credit(message: &[u8]) -> Result<(u32, u64)> {
    let (mut id, mut credit) = (None, None);
    for attr in body(message)? {
        let attr = attr?;
        match HostAttr(attr.number()) {
            HostAttr::ID => id = Some(attr.u32()?),
            HostAttr::CREDIT => credit = Some(attr.uint()?),
            _ => (),
        }
    }
    Ok((need(id, "host id")?, need(credit, "credit of a host")?))
}

fn read_addr(attrs: Attrs<'_>) -> Result<HostAddr> {
    let (mut addr, mut set, mut preference) = (None, None, 0);
    let (mut unvalidated, mut nat, mut left, mut device) = (false, false, false, None);
    for attr in attrs {
        let attr = attr?;
        match AddrAttr(attr.number()) {
            AddrAttr::ADDRESS => addr = Some(attr.addr()?),
            AddrAttr::SET => set = Some(known(attr, AddrSet::from_number)?),
            AddrAttr::PREFERENCE => preference = attr.u16()?,
            AddrAttr::UNVALIDATED => unvalidated = true,
            AddrAttr::NAT => nat = true,
            AddrAttr::LEFT => left = true,
            AddrAttr::DEVICE => device = Some(attr.u32()?),
            _ => (),
        }
    }
    Ok(HostAddr {
        addr: need(addr, "address")?,
        set: need(set, "set of an address")?,
        preference,
        unvalidated,
        nat,
        left,
        device,
    })
}

/// A host in a reply, or in `host-ntf`.
pub(crate) fn read_host(message: &[u8]) -> Result<Host> {
    let (mut id, mut state, mut mode, mut scheduler) = (None, None, None, None);
    let (mut flows, mut tx_packets, mut rx_packets, mut staying) = (None, None, None, 0);
    let (mut name, mut expires_in, mut local, mut remote, mut idle) =
        (None, None, None, None, None);
    let mut credit = None;
    let mut addrs = Vec::new();
    for attr in body(message)? {
        let attr = attr?;
        match HostAttr(attr.number()) {
            HostAttr::ID => id = Some(attr.u32()?),
            HostAttr::MODE => mode = Some(known(attr, Mode::from_number)?),
            HostAttr::STATE => state = Some(known(attr, HostState::from_number)?),
            HostAttr::SCHEDULER => scheduler = Some(known(attr, Scheduler::from_number)?),
            HostAttr::NAME => name = Some(attr.string()?.to_owned()),
            HostAttr::ADDR => addrs.push(read_addr(attr.nest())?),
            HostAttr::EXPIRES_IN => expires_in = Some(duration(attr)?),
            HostAttr::LOCAL => local = Some(attr.addr()?),
            HostAttr::REMOTE => remote = Some(attr.addr()?),
            HostAttr::FLOWS => flows = Some(attr.u32()?),
            HostAttr::TX_PACKETS => tx_packets = Some(attr.uint()?),
            HostAttr::RX_PACKETS => rx_packets = Some(attr.uint()?),
            HostAttr::IDLE => idle = Some(duration(attr)?),
            HostAttr::STAYING => staying = attr.u32()?,
            HostAttr::CREDIT => credit = Some(attr.uint()?),
            _ => (),
        }
    }
    Ok(Host {
        id: need(id, "host id")?,
        mode: need(mode, "mode of a host")?,
        state: need(state, "state of a host")?,
        scheduler,
        name,
        addrs,
        expires_in,
        local,
        remote,
        flows: need(flows, "flows of a host")?,
        tx_packets: need(tx_packets, "tx-packets of a host")?,
        rx_packets: need(rx_packets, "rx-packets of a host")?,
        idle,
        staying,
        credit,
    })
}
