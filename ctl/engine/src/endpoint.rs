// SPDX-License-Identifier: GPL-2.0
//! Where somebody is spoken to: a NAT may stand between.

use ihmp_core::addr::Addr;

/// Where messages of somebody come from, and go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Endpoint {
    /// The address on the network.
    pub(crate) addr: Addr,
    /// The port there, if it is not that of IHMP.
    pub(crate) port: Option<u16>,
    /// The address that he has: another one when it is behind a NAT.
    pub(crate) own: Addr,
}

impl Endpoint {
    /// An address without a NAT.
    pub(crate) const fn direct(addr: Addr) -> Endpoint {
        Endpoint {
            addr,
            port: None,
            own: addr,
        }
    }

    /// Whether there is a NAT in front of it.
    pub(crate) fn is_behind(&self) -> bool {
        self.addr != self.own
    }
}
