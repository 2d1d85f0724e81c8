// SPDX-License-Identifier: GPL-2.0
//! The world outside: clock, datagrams, and the kernel's tables.

pub(crate) mod clock;
pub(crate) mod fallback;
pub(crate) mod held;
pub(crate) mod kernel;
pub(crate) mod monitor;
pub(crate) mod sockets;
pub(crate) mod udp;
