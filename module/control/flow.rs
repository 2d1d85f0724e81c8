// SPDX-License-Identifier: GPL-2.0

//! Rows of the socket table.

use super::{
    address,
    dump_of_hosts,
    host_of, //
};
use crate::{
    attrs,
    ffi::{
        genl::{
            Dump,
            Request, //
        },
        table::linked_after, //
    },
    flow::{
        Flows,
        Row, //
    },
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
        .find::<Flows>(&key.bytes(), &guard)
        .ok_or_else(|| not_there(request))?;
    reply.send(|message| attrs::flow(message, &row))
}

/// `flow-get`, all of them
pub(crate) fn dump(netns: &Netns, dump: &mut Dump<'_>) -> Result {
    let wanted = dump.attr(FlowAttr::HOST_ID.0).map(|attr| attr.u32());
    dump_of_hosts(netns, dump, wanted, |dump, host, at, guard| {
        linked_after::<Row>(host, at, guard)
            .map(|row| dump.object(Command::FLOW_GET.0, |message| attrs::flow(message, &row)))
            .transpose()
    })
}

/// `flow-del`
pub(crate) fn del(netns: &Netns, request: &Request<'_>) -> Result {
    let key = key(request)?;
    let guard = rcu::read_lock();
    match netns.net.find::<Flows>(&key.bytes(), &guard) {
        Some(row) if netns.flow_close(row) => Ok(()),
        _ => Err(not_there(request)),
    }
}

/// `flow-flush`
pub(crate) fn flush(netns: &Netns, request: &Request<'_>) -> Result {
    if let Some(attr) = request.attr(FlowAttr::HOST_ID.0) {
        netns.flows_remove(&host_of(netns, request, attr)?);
        return Ok(());
    }
    netns.each_host(|host| netns.flows_remove(host));
    Ok(())
}
