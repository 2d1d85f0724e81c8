// SPDX-License-Identifier: GPL-2.0
//! Names of devices.

use nix::net::if_::if_indextoname;

/// The name of a device; its index, if it has gone.
pub(super) fn device_name(index: u32) -> String {
    let name = if_indextoname(index).map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|_| index.to_string())
}
