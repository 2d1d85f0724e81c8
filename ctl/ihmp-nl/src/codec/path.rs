// SPDX-License-Identifier: GPL-2.0
//! Paths.

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

pub(super) fn read_path_change(message: &[u8]) -> Result<Event> {
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
    let (host_id, cause) = (
        need(host_id, "host id of a path")?,
        need(cause, "cause of a change")?,
    );
    Ok(Event::PathChanged {
        host_id,
        local,
        remote,
        cause,
    })
}

pub(super) fn read_silence(message: &[u8]) -> Result<Event> {
    let (mut host_id, mut local, mut remote) = (None, None, None);
    for attr in body(message)? {
        let attr = attr?;
        match PathAttr(attr.number()) {
            PathAttr::HOST_ID => host_id = Some(attr.u32()?),
            PathAttr::LOCAL => local = Some(attr.addr()?),
            PathAttr::REMOTE => remote = Some(attr.addr()?),
            _ => (),
        }
    }
    Ok(Event::PathSilent {
        host_id: need(host_id, "host id of a path")?,
        local: need(local, "local locator of a path")?,
        remote: need(remote, "remote locator of a path")?,
    })
}
