// SPDX-License-Identifier: GPL-2.0

//! Port mappings of NATs.

use super::{
    address,
    dump_of_hosts,
    host_of,
    no_memory, //
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
    nat::{
        Nat,
        Refusal,
        SeenNats, //
    },
    netns::Netns,
    uapi::{
        Command,
        NatAttr, //
    },
};
use ihmp_core::nat::{
    Mapping,
    MappingError,
    Seen, //
};
use kernel::{
    prelude::*,
    sync::rcu, //
};

fn port(request: &Request<'_>, kind: NatAttr) -> u16 {
    request.attr(kind.0).map_or(0, |attr| attr.u32() as u16)
}

/// The four names of a mapping.
fn seen(request: &Request<'_>) -> Result<Seen> {
    Ok(Seen {
        proto: request.need(NatAttr::PROTO.0)?.u32() as u8,
        addr: address(request, request.need(NatAttr::ADDRESS.0)?)?,
        nat_port: port(request, NatAttr::NAT_PORT),
        local_port: port(request, NatAttr::LOCAL_PORT),
    })
}

fn not_there(request: &Request<'_>) -> Error {
    request.refuse(None, ENOENT, format_args!("there is no such port mapping"))
}

/// `nat-get`
pub(crate) fn get(netns: &Netns, request: &Request<'_>) -> Result {
    let seen = seen(request)?;
    let reply = request.reply()?;
    let guard = rcu::read_lock();
    let nat = netns
        .net
        .find::<SeenNats>(&seen.bytes(), &guard)
        .ok_or_else(|| not_there(request))?;
    reply.send(|message| attrs::nat(message, &nat))
}

/// `nat-get`, all of them
pub(crate) fn dump(netns: &Netns, dump: &mut Dump<'_>) -> Result {
    let wanted = dump.attr(NatAttr::HOST_ID.0).map(|attr| attr.u32());
    dump_of_hosts(netns, dump, wanted, |dump, host, at, guard| {
        linked_after::<Nat>(host, at, guard)
            .map(|nat| dump.object(Command::NAT_GET.0, |message| attrs::nat(message, &nat)))
            .transpose()
    })
}

/// `nat-new`
pub(crate) fn new(netns: &Netns, request: &Request<'_>) -> Result {
    let id = request.need(NatAttr::HOST_ID.0)?;
    let seen = seen(request)?;
    let mapping = Mapping {
        proto: seen.proto,
        addr: seen.addr,
        nat_port: seen.nat_port,
        port: port(request, NatAttr::PORT),
        local_port: seen.local_port,
    };
    mapping.check().map_err(|error| {
        let attr = match error {
            MappingError::NotUnicast => NatAttr::ADDRESS,
            MappingError::OtherFamily | MappingError::Ports => NatAttr::PROTO,
        };
        request.refuse(request.attr(attr.0), EINVAL, format_args!("{error}"))
    })?;
    let expires_in = request.attr(NatAttr::EXPIRES_IN.0).map(|attr| attr.uint());
    let config = netns.lock();
    let host = host_of(netns, request, id)?;
    netns
        .nat_set(&host, mapping, expires_in, &config)
        .map_err(|refusal| match refusal {
            Refusal::Full(most) => request.refuse(
                None,
                ENOSPC,
                format_args!("there are {most} port mappings, as many as max-nats allows"),
            ),
            Refusal::Memory => no_memory(request),
        })
}

/// `nat-del`
pub(crate) fn del(netns: &Netns, request: &Request<'_>) -> Result {
    let seen = seen(request)?;
    let host = request.attr(NatAttr::HOST_ID.0).map(|attr| attr.u32());
    let config = netns.lock();
    if netns.nat_remove(seen, host, &config) {
        Ok(())
    } else {
        Err(not_there(request))
    }
}

/// `nat-flush`
pub(crate) fn flush(netns: &Netns, request: &Request<'_>) -> Result {
    let config = netns.lock();
    match request.attr(NatAttr::HOST_ID.0) {
        Some(attr) => netns.nats_flush(&host_of(netns, request, attr)?, &config),
        None => netns.each_host(|host| netns.nats_flush(host, &config)),
    }
    Ok(())
}
