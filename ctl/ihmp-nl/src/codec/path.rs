// SPDX-License-Identifier: GPL-2.0
//! Paths.

use std::net::IpAddr;

use ihmp_uapi::{
    Command,
    PathAttr, //
};

use super::{
    request::Request,
    value::{
        body,
        known,
        need,
        Result, //
    },
};
use crate::{
    event::Event,
    model::*, //
};

/// `path-get`.
pub(crate) fn path_get(host: Option<u32>) -> Request {
    let mut request = Request::new(Command::PATH_GET);
    if let Some(id) = host {
        request.attrs().u32(PathAttr::HOST_ID.0, id);
    }
    request
}

/// A path in a reply.
pub(crate) fn read_path(message: &[u8]) -> Result<Path> {
    let (mut host_id, mut local, mut remote, mut preference) = (None, None, None, None);
    let (mut active, mut unvalidated) = (false, false);
    for attr in body(message)? {
        let attr = attr?;
        match PathAttr(attr.number()) {
            PathAttr::HOST_ID => host_id = Some(attr.u32()?),
            PathAttr::LOCAL => local = Some(attr.addr()?),
            PathAttr::REMOTE => remote = Some(attr.addr()?),
            PathAttr::PREFERENCE => preference = Some(attr.u32()?),
            PathAttr::ACTIVE => active = true,
            PathAttr::UNVALIDATED => unvalidated = true,
            _ => (),
        }
    }
    Ok(Path {
        host_id: need(host_id, "host id of a path")?,
        local: need(local, "local locator of a path")?,
        remote: need(remote, "remote locator of a path")?,
        preference: need(preference, "preference of a path")?,
        active,
        unvalidated,
    })
}

/// What an event says of a path.
struct Told {
    host_id: u32,
    local: Option<IpAddr>,
    remote: Option<IpAddr>,
    cause: Option<PathCause>,
}

fn told(message: &[u8]) -> Result<Told> {
    let (mut host_id, mut local, mut remote, mut cause) = (None, None, None, None);
    for attr in body(message)? {
        let attr = attr?;
        match PathAttr(attr.number()) {
            PathAttr::HOST_ID => host_id = Some(attr.u32()?),
            PathAttr::LOCAL => local = Some(attr.addr()?),
            PathAttr::REMOTE => remote = Some(attr.addr()?),
            PathAttr::CAUSE => cause = Some(known(attr, PathCause::from_number)?),
            _ => (),
        }
    }
    Ok(Told {
        host_id: need(host_id, "host id of a path")?,
        local,
        remote,
        cause,
    })
}

pub(super) fn read_path_change(message: &[u8]) -> Result<Event> {
    let told = told(message)?;
    Ok(Event::PathChanged {
        host_id: told.host_id,
        local: told.local,
        remote: told.remote,
        cause: need(told.cause, "cause of a change")?,
    })
}

pub(super) fn read_silence(message: &[u8]) -> Result<Event> {
    let told = told(message)?;
    Ok(Event::PathSilent {
        host_id: told.host_id,
        local: need(told.local, "local locator of a path")?,
        remote: need(told.remote, "remote locator of a path")?,
    })
}
