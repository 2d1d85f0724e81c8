// SPDX-License-Identifier: GPL-2.0
//! Errors of the kernel that say how things are: what is to be made is there, or what is to be removed is not.
//!
//! C header: `asm-generic/errno-base.h`

/// There is no such rule or route.
pub(crate) const ENOENT: i32 = 2;
/// There is no such route.
pub(crate) const ESRCH: i32 = 3;
/// It is there already.
pub(crate) const EEXIST: i32 = 17;
/// There is no such device.
pub(crate) const ENODEV: i32 = 19;
