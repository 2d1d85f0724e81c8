// SPDX-License-Identifier: GPL-2.0

//! Paths of hosts.

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
use kernel::{
    prelude::*,
    sync::rcu, //
};

/// `path-get`
pub(crate) fn dump(netns: &Netns, dump: &mut Dump<'_>) -> Result {
    let wanted = dump.attr(PathAttr::HOST_ID.0).map(|attr| attr.u32());
    let guard = rcu::read_lock();
    // Hosts up to here are done, and so many paths of the next one.
    let [mut id, mut done] = *dump.position();
    let mut next = id as u32;
    while let Some(host) = netns.net.host_after(&mut next, &guard) {
        if wanted.is_none_or(|wanted| wanted == host.id()) {
            let view = host.view.read(&guard);
            for path in (done as usize..view.paths()).filter_map(|at| view.get(at)) {
                if !one(dump, host, view, &path)? {
                    *dump.position() = [id, done];
                    return Ok(());
                }
                done += 1;
            }
        }
        id = next.into();
        done = 0;
    }
    *dump.position() = [id, done];
    Ok(())
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
