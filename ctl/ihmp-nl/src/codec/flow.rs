// SPDX-License-Identifier: GPL-2.0
//! Flows, and the discovery of them.

use ihmp_uapi::{
    Command,
    FlowAttr, //
};

use super::{
    request::Request,
    value::{
        body,
        duration,
        need,
        Result, //
    },
};
use crate::{
    event::Event,
    model::*, //
};

/// `flow-get` of all flows, or `flow-flush`.
pub(crate) fn flows(command: Command, host: Option<u32>) -> Request {
    let mut request = Request::new(command);
    if let Some(id) = host {
        request.attrs().u32(FlowAttr::HOST_ID.0, id);
    }
    request
}

/// `flow-get` of one flow, or `flow-del`.
pub(crate) fn flow_key(command: Command, key: &FlowKey) -> Request {
    let mut request = Request::new(command);
    let out = request.attrs();
    out.u8(FlowAttr::PROTO.0, key.proto);
    out.addr(FlowAttr::LOCAL.0, key.local);
    out.addr(FlowAttr::REMOTE.0, key.remote);
    out.u16(FlowAttr::LOCAL_PORT.0, key.local_port);
    out.u16(FlowAttr::REMOTE_PORT.0, key.remote_port);
    request
}

/// A flow in a reply.
pub(crate) fn read_flow(message: &[u8]) -> Result<Flow> {
    let (mut host_id, mut proto, mut local, mut remote) = (None, None, None, None);
    let (mut local_port, mut remote_port, mut wire_port, mut idle) = (None, None, None, None);
    let mut host_port = None;
    for attr in body(message)? {
        let attr = attr?;
        match FlowAttr(attr.number()) {
            FlowAttr::HOST_ID => host_id = Some(attr.u32()?),
            FlowAttr::PROTO => proto = Some(attr.u8()?),
            FlowAttr::LOCAL => local = Some(attr.addr()?),
            FlowAttr::REMOTE => remote = Some(attr.addr()?),
            FlowAttr::LOCAL_PORT => local_port = Some(attr.u16()?),
            FlowAttr::REMOTE_PORT => remote_port = Some(attr.u16()?),
            FlowAttr::WIRE_PORT => wire_port = Some(attr.u16()?),
            FlowAttr::HOST_PORT => host_port = Some(attr.u16()?),
            FlowAttr::IDLE => idle = Some(duration(attr)?),
            _ => (),
        }
    }
    Ok(Flow {
        host_id: need(host_id, "host id of a flow")?,
        proto: need(proto, "protocol of a flow")?,
        local: need(local, "local identifier of a flow")?,
        remote: need(remote, "foreign identifier of a flow")?,
        local_port: need(local_port, "local port of a flow")?,
        remote_port: need(remote_port, "foreign port of a flow")?,
        wire_port,
        host_port,
        idle,
    })
}

pub(super) fn read_discovery(message: &[u8]) -> Result<Event> {
    let (mut host_id, mut proto, mut local, mut remote) = (None, None, None, None);
    for attr in body(message)? {
        let attr = attr?;
        match FlowAttr(attr.number()) {
            FlowAttr::HOST_ID => host_id = Some(attr.u32()?),
            FlowAttr::PROTO => proto = Some(attr.u8()?),
            FlowAttr::LOCAL => local = Some(attr.addr()?),
            FlowAttr::REMOTE => remote = Some(attr.addr()?),
            _ => (),
        }
    }
    Ok(Event::Discover {
        host_id: need(host_id, "host id of a discovery")?,
        proto: need(proto, "protocol of a discovery")?,
        local: need(local, "local address of a discovery")?,
        remote: need(remote, "foreign address of a discovery")?,
    })
}
