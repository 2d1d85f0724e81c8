// SPDX-License-Identifier: GPL-2.0

//! Addresses of a host: add, change, remove.

use super::{
    address,
    host::{
        change,
        find, //
    }, //
};
use crate::{
    ffi::genl::{
        Attr,
        Request, //
    },
    netns::Netns,
    notify,
    uapi::{
        AddrAttr,
        HostAttr, //
    }, //
};
use ihmp_core::{
    addr::Addr,
    sets::{
        Entry,
        Role,
        SetError,
        Sets, //
    },
};
use kernel::prelude::*;

/// One address of a request, with the role that it shall have.
pub(super) fn parse(request: &Request<'_>, nest: Attr<'_>) -> Result<(Role, Entry)> {
    let missing =
        |what: &str| request.refuse(Some(nest), EINVAL, format_args!("an addr needs {what}"));
    let addr = nest
        .nested(AddrAttr::ADDRESS.0)
        .ok_or_else(|| missing("an address"))?;
    let set = nest
        .nested(AddrAttr::SET.0)
        .ok_or_else(|| missing("a set"))?;
    let role = Role::from_number(set.u32())
        .ok_or_else(|| request.refuse(Some(set), EINVAL, format_args!("there is no such set")))?;
    let unvalidated = nest.nested(AddrAttr::UNVALIDATED.0);
    let nat = nest.nested(AddrAttr::NAT.0);
    if let Some(flag) = nat.filter(|_| !matches!(role, Role::Active | Role::Local)) {
        return Err(request.refuse(
            Some(flag),
            EINVAL,
            format_args!("only an active or a local address can be behind a NAT"),
        ));
    }
    let left = nest.nested(AddrAttr::LEFT.0);
    let device = nest.nested(AddrAttr::DEVICE.0);
    for attr in [left, device].into_iter().flatten() {
        if role != Role::Local {
            return Err(request.refuse(
                Some(attr),
                EINVAL,
                format_args!("only a local address is left, or has a device"),
            ));
        }
    }
    // That the host has an active address is said now.
    let mark = match role {
        Role::Active => Entry::NOW,
        _ => left.map_or(0, |_| Entry::NOW),
    };
    let entry = Entry {
        addr: address(request, addr)?,
        preference: nest
            .nested(AddrAttr::PREFERENCE.0)
            .map_or(0, |preference| preference.u32() as u16),
        unvalidated: unvalidated.is_some(),
        nat: nat.is_some(),
        mark,
        device: device.map_or(0, |device| device.u32()),
    };
    Ok((role, entry))
}

/// Takes an address into a set, or says why it cannot be there.
pub(super) fn insert(
    request: &Request<'_>,
    nest: Attr<'_>,
    sets: &mut Sets,
    role: Role,
    entry: Entry,
) -> Result {
    sets.insert(role, entry).map_err(|error| {
        let addr = entry.addr;
        match error {
            SetError::Full => request.refuse(
                Some(nest),
                ENOSPC,
                format_args!("a set has at most 16 addresses"),
            ),
            SetError::NotUnicast => request.refuse(
                Some(nest),
                EINVAL,
                format_args!("{addr} is not an address to be translated"),
            ),
        }
    })
}

fn missing_address(request: &Request<'_>, nest: Attr<'_>, addr: Addr) -> Error {
    request.refuse(
        Some(nest),
        ENOENT,
        format_args!("the host does not have {addr} in this set"),
    )
}

/// `addr-new`
pub(crate) fn new(netns: &Netns, request: &Request<'_>) -> Result {
    request.need(HostAttr::ADDR.0)?;
    let mut config = netns.lock();
    let host = find(netns, request)?;
    let changes = change(netns, request, &host, &mut config, |draft, _| {
        for nest in request.attrs(HostAttr::ADDR.0) {
            let (role, entry) = parse(request, nest)?;
            insert(request, nest, &mut draft.sets, role, entry)?;
        }
        Ok(())
    })?;
    notify::host(netns, &host, &changes);
    Ok(())
}

/// `addr-del`
pub(crate) fn del(netns: &Netns, request: &Request<'_>) -> Result {
    request.need(HostAttr::ADDR.0)?;
    let mut config = netns.lock();
    let host = find(netns, request)?;
    let changes = change(netns, request, &host, &mut config, |draft, _| {
        for nest in request.attrs(HostAttr::ADDR.0) {
            let (role, entry) = parse(request, nest)?;
            if draft.sets.lookup(role, entry.addr).is_none() {
                return Err(missing_address(request, nest, entry.addr));
            }
            // Flows may know the host by this address.
            if !(matches!(role, Role::Active | Role::Unreachable) && draft.sets.retire(entry.addr))
            {
                draft.sets.remove(role, entry.addr);
            }
        }
        Ok(())
    })?;
    notify::host(netns, &host, &changes);
    Ok(())
}
