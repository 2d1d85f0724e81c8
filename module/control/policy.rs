// SPDX-License-Identifier: GPL-2.0

//! The discovery policy.

use super::{
    address,
    no_memory, //
};
use crate::{
    ffi::genl::{
        Dump,
        Request, //
    },
    netns::Netns,
    policy::{
        PolicyTable,
        Rule,
        MAX_RULES, //
    },
    uapi::{
        Command,
        PolicyAttr, //
    }, //
};
use ihmp_core::policy::{
    Action,
    Prefix,
    PrefixError, //
};
use kernel::{
    prelude::*,
    sync::rcu, //
};

fn prefix(request: &Request<'_>) -> Result<Prefix> {
    let addr = address(request, request.need(PolicyAttr::ADDRESS.0)?)?;
    let len = request.need(PolicyAttr::PREFIX_LEN.0)?;
    Prefix::new(addr, len.u32() as u8).map_err(|error| match error {
        PrefixError::HostBits => request.refuse(
            request.attr(PolicyAttr::ADDRESS.0),
            EINVAL,
            format_args!("bits after the prefix are not zero"),
        ),
        PrefixError::TooLong | PrefixError::Syntax => request.refuse(
            Some(len),
            EINVAL,
            format_args!("the prefix is longer than the address"),
        ),
    })
}

/// Puts these rules in the place of those that were there.
fn publish(netns: &Netns, request: &Request<'_>, lists: &[&[Rule]]) -> Result {
    let table = PolicyTable::new(lists).map_err(|_| no_memory(request))?;
    netns.policy.replace(table);
    Ok(())
}

/// The rules without one, and whether it was there. The copy goes with the command, so it is not charged to who gives that.
fn rules_without(netns: &Netns, prefix: Prefix) -> Result<(KVec<Rule>, bool)> {
    // Only the holder of the configuration lock replaces the table; an allocation may sleep, so
    // the rules are counted and copied in turns.
    let count = netns.policy.read(&rcu::read_lock()).items().len();
    let mut copy = KVec::with_capacity(count, GFP_KERNEL)?;
    let guard = rcu::read_lock();
    let table = netns.policy.read(&guard);
    for rule in table.items().iter().filter(|rule| rule.0 != prefix) {
        // There is room.
        copy.push(*rule, GFP_ATOMIC)?;
    }
    let found = copy.len() != count;
    Ok((copy, found))
}

/// `policy-new`
pub(crate) fn new(netns: &Netns, request: &Request<'_>) -> Result {
    let prefix = prefix(request)?;
    let attr = request.need(PolicyAttr::ACTION.0)?;
    let action = Action::from_number(attr.u32())
        .ok_or_else(|| request.refuse(Some(attr), EINVAL, format_args!("no such action")))?;
    let _config = netns.lock();
    let (rules, _) = rules_without(netns, prefix).map_err(|_| no_memory(request))?;
    if rules.len() >= MAX_RULES {
        return Err(request.refuse(
            None,
            ENOSPC,
            format_args!("there are {MAX_RULES} prefixes, no more fit"),
        ));
    }
    publish(netns, request, &[&rules, &[(prefix, action)]])
}

/// `policy-del`
pub(crate) fn del(netns: &Netns, request: &Request<'_>) -> Result {
    let prefix = prefix(request)?;
    let _config = netns.lock();
    let (rules, found) = rules_without(netns, prefix).map_err(|_| no_memory(request))?;
    if !found {
        return Err(request.refuse(
            request.attr(PolicyAttr::ADDRESS.0),
            ENOENT,
            format_args!("there is no policy for {prefix}"),
        ));
    }
    publish(netns, request, &[&rules])
}

/// `policy-flush`
pub(crate) fn flush(netns: &Netns, request: &Request<'_>) -> Result {
    let _config = netns.lock();
    publish(netns, request, &[])
}

/// `policy-get`
pub(crate) fn dump(netns: &Netns, dump: &mut Dump<'_>) -> Result {
    let guard = rcu::read_lock();
    let table = netns.policy.read(&guard);
    let done = dump.position()[0];
    for (prefix, action) in table.items().iter().skip(done as usize) {
        let written = dump.object(Command::POLICY_GET.0, |message| {
            message.addr(PolicyAttr::ADDRESS.0, prefix.addr)?;
            message.u8(PolicyAttr::PREFIX_LEN.0, prefix.len)?;
            message.u32(PolicyAttr::ACTION.0, *action as u32)
        })?;
        if !written {
            break;
        }
        dump.position()[0] += 1;
    }
    Ok(())
}
