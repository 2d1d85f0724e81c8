// SPDX-License-Identifier: GPL-2.0
//! Own addresses, and the devices that have them.

use std::net::IpAddr;

use ihmp_engine::Age;

/// A network device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) index: u32,
    pub(crate) name: String,
    /// The VRF that it is a part of.
    pub(crate) vrf: Option<u32>,
}

/// An own address that can be used now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Own {
    pub(crate) addr: IpAddr,
    pub(crate) age: Age,
    /// The device that has it, by which packets from it leave. `None` if a loopback or a dummy has it: then they leave by any device.
    pub(crate) device: Option<Device>,
}
