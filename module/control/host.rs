// SPDX-License-Identifier: GPL-2.0

//! Hosts: get, make, change, remove.

use super::{
    addr::{
        insert,
        parse, //
    },
    address,
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
        object::Shared, //
    },
    host::{
        Conflict,
        Host,
        PathChanges, //
    },
    netns::{
        Config,
        Netns, //
    },
    notify,
    uapi::{
        Command,
        HostAttr,
        HostState,
        Scheduler, //
    },
    view::{
        Draft,
        Name,
        Said, //
    },
};
use ihmp_core::{
    addr::Addr,
    policy::Action,
    sets::{
        Entry,
        Lists,
        Role,
        Sets, //
    },
    verdict::Reason, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::Relaxed,
        rcu, //
    },
};

/// The host that the request names by id.
pub(super) fn find(netns: &Netns, request: &Request<'_>) -> Result<Shared<Host>> {
    host_of(netns, request, request.need(HostAttr::ID.0)?)
}

/// Lets `edit` change a draft of what is known, and publishes it: all of it or nothing. The second argument of
/// `edit`, which may not sleep, is what was known before. Listeners are told by the caller.
pub(super) fn change(
    netns: &Netns,
    request: &Request<'_>,
    host: &Shared<Host>,
    config: &mut Config,
    edit: impl FnOnce(&mut Draft, Lists<'_>) -> Result,
) -> Result<PathChanges> {
    let guard = rcu::read_lock();
    let before = host.view.read(&guard);
    config.draft.load(before);
    edit(&mut config.draft, before.lists())?;
    drop(guard);
    refuse_never(netns, request, config.draft.sets.lists())?;
    netns
        .host_change(host, config)
        .map_err(|conflict| refuse_conflict(request, conflict))
}

fn refuse_conflict(request: &Request<'_>, conflict: Conflict) -> Error {
    match conflict {
        Conflict::Taken(addr, id) => request.refuse(
            request.attr(HostAttr::ADDR.0),
            EEXIST,
            format_args!("{addr} belongs to host {id}"),
        ),
        Conflict::Memory => no_memory(request),
    }
}

/// The policy may forbid hosts under a prefix.
fn refuse_never(netns: &Netns, request: &Request<'_>, lists: Lists<'_>) -> Result {
    let guard = rcu::read_lock();
    let policy = netns.policy.read(&guard);
    for role in [Role::Active, Role::Unreachable] {
        for entry in lists.list(role) {
            let addr: Addr = entry.addr;
            if policy.action(addr) == Action::Never {
                return Err(request.refuse(
                    request.attr(HostAttr::ADDR.0),
                    EPERM,
                    format_args!("the policy forbids hosts at {addr}"),
                ));
            }
        }
    }
    Ok(())
}

/// Applies the attributes that are not addresses.
fn apply(request: &Request<'_>, said: &mut Said) -> Result {
    if let Some(attr) = request.attr(HostAttr::STATE.0) {
        said.state = HostState::from_number(attr.u32())
            .ok_or_else(|| request.refuse(Some(attr), EINVAL, format_args!("no such state")))?;
    }
    if let Some(attr) = request.attr(HostAttr::SCHEDULER.0) {
        let scheduler = Scheduler::from_number(attr.u32())
            .ok_or_else(|| request.refuse(Some(attr), EINVAL, format_args!("no such scheduler")))?;
        said.scheduler = Some(scheduler);
    }
    if let Some(attr) = request.attr(HostAttr::NAME.0) {
        if core::str::from_utf8(Name::new(attr.bytes()).as_bytes()).is_err() {
            return Err(request.refuse(Some(attr), EINVAL, format_args!("a name is UTF-8")));
        }
        said.name = Name::new(attr.bytes());
    }
    Ok(())
}

/// `host-new`
pub(crate) fn new(netns: &Netns, request: &Request<'_>) -> Result {
    let mut config = netns.lock();
    let most = netns.params.max_hosts.load(Relaxed);
    if netns.hosts.load(Relaxed) >= most {
        netns.limit_reached(Reason::HostLimit);
        return Err(request.refuse(
            None,
            ENOSPC,
            format_args!("there are {most} hosts, as many as max-hosts allows"),
        ));
    }
    let draft = &mut config.draft;
    draft.clear(Said::new(HostState::Up));
    apply(request, &mut draft.said)?;
    for nest in request.attrs(HostAttr::ADDR.0) {
        let (role, entry) = parse(request, nest)?;
        insert(request, nest, &mut draft.sets, role, entry)?;
    }
    refuse_never(netns, request, draft.sets.lists())?;
    let expires_in = request.attr(HostAttr::EXPIRES_IN.0).map(|attr| attr.uint());
    let reply = request.reply()?;
    // First, since a host that goes again has taken addresses over from others.
    netns.net.set_hooks(true).map_err(|error| {
        request.refuse(
            None,
            error,
            format_args!("the netfilter hooks cannot be registered"),
        )
    })?;
    let added = netns.host_add(expires_in, &mut config);
    // What it wants is there, or goes: that cannot fail.
    netns.update_hooks(&config)?;
    let (host, changes) = added.map_err(|conflict| refuse_conflict(request, conflict))?;
    let id = host.id();
    if let Err(error) = reply.send(|message| message.u32(HostAttr::ID.0, id)) {
        // Whoever asked does not know the number.
        netns.host_remove(&host, &config);
        netns.update_hooks(&config)?;
        return Err(request.refuse(
            None,
            error,
            format_args!("there is no room for the answer in the socket"),
        ));
    }
    notify::host(netns, &host, &changes);
    Ok(())
}

/// `host-set`
pub(crate) fn set(netns: &Netns, request: &Request<'_>) -> Result {
    let mut config = netns.lock();
    let host = find(netns, request)?;
    let expires = request.attr(HostAttr::EXPIRES_IN.0).map(|attr| attr.uint());
    let up = request
        .attr(HostAttr::STATE.0)
        .is_some_and(|attr| attr.u32() == HostState::Up.number());
    let changes = change(netns, request, &host, &mut config, |draft, before| {
        apply(request, &mut draft.said)?;
        let mut named = [false; Role::ALL.len()];
        for attr in request.attrs(HostAttr::CLEAR.0) {
            let role = Role::from_number(attr.u32())
                .ok_or_else(|| request.refuse(Some(attr), EINVAL, format_args!("no such set")))?;
            named[role as usize] = true;
            draft.sets.clear(role);
        }
        for nest in request.attrs(HostAttr::ADDR.0) {
            let (role, entry) = parse(request, nest)?;
            // What a set had goes when the first address for it comes.
            if !core::mem::replace(&mut named[role as usize], true) {
                draft.sets.clear(role);
            }
            insert(request, nest, &mut draft.sets, role, entry)?;
        }
        if !named[Role::Alias as usize] {
            keep_names(before, &mut draft.sets);
        }
        let wake = request.attr(HostAttr::WAKE.0);
        if wake.is_some() && draft.said.state != HostState::Up {
            return Err(request.refuse(
                wake,
                EINVAL,
                format_args!("only a host that is up is woken"),
            ));
        }
        let idle = request.attr(HostAttr::WAKE_IDLE.0);
        if idle.is_some() && wake.is_none() {
            return Err(request.refuse(idle, EINVAL, format_args!("wake-idle goes with wake")));
        }
        draft.wake = wake.is_some();
        draft.idle = idle.is_some();
        draft.doubt = request.attr(HostAttr::DOUBT.0).is_some();
        Ok(())
    })?;
    if expires.is_some() || up {
        host.set_expiry(expires);
    }
    notify::host(netns, &host, &changes);
    Ok(())
}

/// Foreign addresses that are in no set any more become aliases: flows may know the host by them. Those
/// of NATs name no host.
fn keep_names(before: Lists<'_>, sets: &mut Sets) {
    for role in [Role::Active, Role::Unreachable] {
        for entry in before.list(role) {
            if entry.nat || sets.role_of(entry.addr).is_some() {
                continue;
            }
            let oldest = sets.list(Role::Alias).first().map(|entry| entry.addr);
            let entry = Entry {
                unvalidated: false,
                ..*entry
            };
            if sets.insert(Role::Alias, entry).is_err() {
                if let Some(oldest) = oldest {
                    sets.remove(Role::Alias, oldest);
                }
                // There is room now, and the address was in a set before.
                let _ = sets.insert(Role::Alias, entry);
            }
        }
    }
}

/// `host-del`
pub(crate) fn del(netns: &Netns, request: &Request<'_>) -> Result {
    let config = netns.lock();
    let host = find(netns, request)?;
    netns.host_remove(&host, &config);
    netns.update_hooks(&config)
}

/// `host-flush`
pub(crate) fn flush(netns: &Netns, _: &Request<'_>) -> Result {
    let config = netns.lock();
    netns.flush(&config);
    netns.update_hooks(&config)
}

/// `host-get`
pub(crate) fn get(netns: &Netns, request: &Request<'_>) -> Result {
    let host = match request.attr(HostAttr::ADDRESS.0) {
        Some(attr) => {
            let addr = address(request, attr)?;
            let guard = rcu::read_lock();
            netns
                .named(addr, &guard)
                .and_then(|node| node.host(&guard).share())
                .ok_or_else(|| {
                    request.refuse(Some(attr), ENOENT, format_args!("no host has {addr}"))
                })?
        }
        None => find(netns, request)?,
    };
    request
        .reply()?
        .send(|message| attrs::host(netns, message, &host))
}

/// `host-get`, all of them
pub(crate) fn dump(netns: &Netns, dump: &mut Dump<'_>) -> Result {
    let guard = rcu::read_lock();
    let mut id = dump.position()[0] as u32;
    while let Some(host) = netns.net.numbered_after::<Host>(&mut id, &guard) {
        if !dump.object(Command::HOST_GET.0, |message| {
            attrs::host(netns, message, &host)
        })? {
            break;
        }
        dump.position()[0] = id.into();
    }
    Ok(())
}
