// SPDX-License-Identifier: GPL-2.0
//! Port mappings of NATs.

use ihmp_uapi::{
    Command,
    NatAttr, //
};

use super::{
    request::Request,
    value::{
        body,
        duration,
        millis,
        need,
        Result, //
    },
};
use crate::model::*;

/// `nat-get` of all mappings, or `nat-flush`.
pub(crate) fn nats(command: Command, host: Option<u32>) -> Request {
    let mut request = Request::new(command);
    if let Some(id) = host {
        request.attrs().u32(NatAttr::HOST_ID.0, id);
    }
    request
}

/// `nat-get` of one mapping, or `nat-del`.
pub(crate) fn nat_key(command: Command, host: Option<u32>, key: &NatKey) -> Request {
    let mut request = nats(command, host);
    let out = request.attrs();
    out.u8(NatAttr::PROTO.0, key.proto);
    out.addr(NatAttr::ADDRESS.0, key.addr);
    out.u16(NatAttr::NAT_PORT.0, key.nat_port);
    out.u16(NatAttr::LOCAL_PORT.0, key.local_port);
    request
}

/// `nat-new`.
pub(crate) fn nat_new(nat: &Nat) -> Request {
    let mut request = nat_key(Command::NAT_NEW, Some(nat.host_id), &nat.key());
    let out = request.attrs();
    out.u16(NatAttr::PORT.0, nat.port);
    if let Some(time) = nat.expires_in {
        out.uint(NatAttr::EXPIRES_IN.0, millis(time));
    }
    request
}

/// A mapping in a reply or an event.
pub(crate) fn read_nat(message: &[u8]) -> Result<Nat> {
    let (mut host_id, mut proto, mut addr, mut expires_in) = (None, None, None, None);
    let (mut nat_port, mut port, mut local_port) = (None, None, None);
    for attr in body(message)? {
        let attr = attr?;
        match NatAttr(attr.number()) {
            NatAttr::HOST_ID => host_id = Some(attr.u32()?),
            NatAttr::PROTO => proto = Some(attr.u8()?),
            NatAttr::ADDRESS => addr = Some(attr.addr()?),
            NatAttr::NAT_PORT => nat_port = Some(attr.u16()?),
            NatAttr::PORT => port = Some(attr.u16()?),
            NatAttr::LOCAL_PORT => local_port = Some(attr.u16()?),
            NatAttr::EXPIRES_IN => expires_in = Some(duration(attr)?),
            _ => (),
        }
    }
    Ok(Nat {
        host_id: need(host_id, "host id of a mapping")?,
        proto: need(proto, "protocol of a mapping")?,
        addr: need(addr, "address of a mapping")?,
        nat_port: need(nat_port, "NAT's port of a mapping")?,
        port: need(port, "host's port of a mapping")?,
        local_port: need(local_port, "local port of a mapping")?,
        expires_in,
    })
}
