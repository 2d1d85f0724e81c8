// SPDX-License-Identifier: GPL-2.0

//! The commands of the family: one function each, from a request to a change, a reply or a refusal
//! that says why.

pub(crate) mod addr;
pub(crate) mod flow;
pub(crate) mod host;
pub(crate) mod nat;
pub(crate) mod param;
pub(crate) mod path;
pub(crate) mod policy;
pub(crate) mod stats;

use crate::{
    ffi::{
        genl::{
            Attr,
            Dump,
            Request, //
        },
        object::{
            Found,
            Shared, //
        }, //
    },
    host::Host,
    netns::Netns, //
};
use ihmp_core::addr::Addr;
use kernel::{
    prelude::*,
    sync::rcu, //
};

/// The address in an attribute of 4 or 16 octets.
fn address(request: &Request<'_>, attr: Attr<'_>) -> Result<Addr> {
    Addr::from_wire(attr.bytes()).ok_or_else(|| {
        request.refuse(
            Some(attr),
            EINVAL,
            format_args!("an address has 4 or 16 octets, and IPv4 is not mapped into IPv6"),
        )
    })
}

/// There is no memory for what is asked, or the memory cgroup of who asks has none left.
fn no_memory(request: &Request<'_>) -> Error {
    request.refuse(None, ENOMEM, format_args!("there is no memory"))
}

/// The host whose id is in an attribute.
fn host_of(netns: &Netns, request: &Request<'_>, attr: Attr<'_>) -> Result<Shared<Host>> {
    let id = attr.u32();
    netns
        .host(id)
        .ok_or_else(|| request.refuse(Some(attr), ENOENT, format_args!("there is no host {id}")))
}

/// Dumps what the hosts have, one host after the other, or what the wanted one has. `one` dumps what a host has at an index,
/// and moves the index on: `None` when there is nothing more, false when there is no room.
fn dump_of_hosts(
    netns: &Netns,
    dump: &mut Dump<'_>,
    wanted: Option<u32>,
    one: impl Fn(&mut Dump<'_>, Found<'_, Host>, &mut u32, &rcu::Guard) -> Result<Option<bool>>,
) -> Result {
    let guard = rcu::read_lock();
    // Hosts up to here are done, and what the next one has up to this index.
    let [mut id, mut index] = *dump.position();
    let mut next = id as u32;
    while let Some(host) = netns.net.numbered_after::<Host>(&mut next, &guard) {
        if wanted.is_none_or(|wanted| wanted == host.id()) {
            let mut at = index as u32;
            while let Some(there_is_room) = one(dump, host, &mut at, &guard)? {
                if !there_is_room {
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
