// SPDX-License-Identifier: GPL-2.0

//! Paths of hosts.

use super::dump_of_hosts;
use crate::{
    ffi::genl::Dump,
    host::Host,
    netns::Netns,
    uapi::{
        Command,
        PathAttr, //
    },
    view::View, //
};
use ihmp_core::paths::Path;
use kernel::prelude::*;

/// `path-get`
pub(crate) fn dump(netns: &Netns, dump: &mut Dump<'_>) -> Result {
    let wanted = dump.attr(PathAttr::HOST_ID.0).map(|attr| attr.u32());
    dump_of_hosts(netns, dump, wanted, |dump, host, at, guard| {
        let view = host.view.read(guard);
        let Some(path) = view.get(*at as usize) else {
            return Ok(None);
        };
        *at += 1;
        one(dump, &host, view, &path).map(Some)
    })
}

fn one(dump: &mut Dump<'_>, host: &Host, view: &View, path: &Path) -> Result<bool> {
    let active = view.path(path.local.family()) == Some(*path);
    dump.object(Command::PATH_GET.0, |message| {
        message.u32(PathAttr::HOST_ID.0, host.id())?;
        message.addr(PathAttr::LOCAL.0, path.local)?;
        message.addr(PathAttr::REMOTE.0, path.remote)?;
        message.u32(PathAttr::PREFERENCE.0, path.preference)?;
        message.flag(PathAttr::ACTIVE.0, active)?;
        message.flag(PathAttr::UNPROVEN.0, path.unproven)
    })
}
