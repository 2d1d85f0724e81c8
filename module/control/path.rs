// SPDX-License-Identifier: GPL-2.0

//! Paths of hosts.

use super::dump_of_hosts;
use crate::{
    attrs,
    ffi::genl::{
        Dump,
        Message, //
    },
    netns::Netns,
    uapi::{
        Command,
        PathAttr, //
    }, //
};
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
        let write = |message: &mut Message| attrs::path(message, host.id(), view, &path);
        dump.object(Command::PATH_GET.0, write).map(Some)
    })
}
