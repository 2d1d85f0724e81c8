// SPDX-License-Identifier: GPL-2.0

//! Rows of the socket table.

use super::address;
use crate::{
    ffi::{
        clock,
        genl::{
            Dump,
            Message,
            Request, //
        },
        table::row_after, //
    },
    flow::Row,
    netns::Netns,
    uapi::{
        Command,
        FlowAttr, //
    }, //
};
use ihmp_core::flow::FlowKey;
use kernel::{
    prelude::*,
    sync::rcu, //
};

/// The five identifiers that a request names.
fn key(request: &Request<'_>) -> Result<FlowKey> {
    let port = |kind: u16| request.attr(kind).map_or(0, |attr| attr.u32() as u16);
    let key = FlowKey {
        proto: request.need(FlowAttr::PROTO.0)?.u32() as u8,
        laddr: address(request, request.need(FlowAttr::LOCAL.0)?)?,
        faddr: address(request, request.need(FlowAttr::REMOTE.0)?)?,
        lport: port(FlowAttr::LOCAL_PORT.0),
        fport: port(FlowAttr::REMOTE_PORT.0),
    };
    if key.laddr.family() == key.faddr.family() {
        Ok(key)
    } else {
        Err(request.refuse(
            request.attr(FlowAttr::REMOTE.0),
            EINVAL,
            format_args!("both addresses of a flow have one family"),
        ))
    }
}

fn not_there(request: &Request<'_>) -> Error {
    request.refuse(None, ENOENT, format_args!("there is no such flow"))
}

/// `flow-get`
pub(crate) fn get(netns: &Netns, request: &Request<'_>) -> Result {
    let key = key(request)?;
    let reply = request.reply()?;
    let guard = rcu::read_lock();
    let row = netns
        .net
        .row_by_flow(&key.bytes(), &guard)
        .ok_or_else(|| not_there(request))?;
    reply.send(|message| fill(message, row))
}

/// `flow-get`, all of them
pub(crate) fn dump(netns: &Netns, dump: &mut Dump<'_>) -> Result {
    let wanted = dump.attr(FlowAttr::HOST_ID.0).map(|attr| attr.u32());
    let guard = rcu::read_lock();
    // Hosts up to here are done, and rows of the next one up to this index.
    let [mut id, mut index] = *dump.position();
    let mut next = id as u32;
    while let Some(host) = netns.net.host_after(&mut next, &guard) {
        if wanted.is_none_or(|wanted| wanted == host.id()) {
            let mut at = index as u32;
            while let Some(row) = row_after(host, &mut at, &guard) {
                if !dump.object(Command::FLOW_GET.0, |message| fill(message, row))? {
                    *dump.position() = [id, index];
                    return Ok(());
                }
                index = at.into();
            }
        }
        id = next.into();
        index = 0;
    }
    *dump.position() = [id, index];
    Ok(())
}

/// `flow-del`
pub(crate) fn del(netns: &Netns, request: &Request<'_>) -> Result {
    let key = key(request)?;
    let guard = rcu::read_lock();
    match netns.net.row_by_flow(&key.bytes(), &guard) {
        Some(row) if netns.flow_close(row) => Ok(()),
        _ => Err(not_there(request)),
    }
}

/// `flow-flush`
pub(crate) fn flush(netns: &Netns, request: &Request<'_>) -> Result {
    if let Some(attr) = request.attr(FlowAttr::HOST_ID.0) {
        let id = attr.u32();
        let host = netns.host(id).ok_or_else(|| {
            request.refuse(Some(attr), ENOENT, format_args!("there is no host {id}"))
        })?;
        netns.flows_remove(&host);
        return Ok(());
    }
    netns.each_host(|host| netns.flows_remove(host));
    Ok(())
}

fn fill(message: &mut Message, row: &Row) -> Result {
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
    message.uint(FlowAttr::IDLE.0, clock::to_ms(row.idle(clock::jiffies())))
}
