// SPDX-License-Identifier: GPL-2.0
//! Looks up families of generic netlink.

use ihmp_netlink::{
    Family,
    Socket, //
};

use crate::error::Error;

/// linux/errno.h: there is no such family, or object.
pub(crate) const ENOENT: i32 = 2;

/// The family of this name; if the kernel does not have it, the module is not loaded.
pub(crate) fn resolve(socket: &mut Socket, name: &str) -> Result<Family, Error> {
    match Family::resolve(socket, name) {
        Err(error) if error.errno() == Some(ENOENT) => Err(Error::NoModule),
        result => Ok(result?),
    }
}
