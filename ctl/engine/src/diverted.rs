// SPDX-License-Identifier: GPL-2.0
//! Own addresses from which packets leave by a device that does not count, such as a tunnel.
//!
//! They are no locators: what is meant for a tunnel does not go beside it, and nothing of ours goes into it. But flows that
//! are at home there go on as they would without us, and the peer is told nothing of it.

use ihmp_core::addr::Addr;

use crate::host::Host;
use crate::world::World;

impl Host {
    /// Whether packets from this own address leave for the peer by a device that does not count.
    pub(crate) fn is_diverted(&self, addr: Addr, world: &World) -> bool {
        let mut routes = self.peer.reach().filter_map(|peer| world.routes.get(&peer));
        let diverted = routes.any(|via| via.iter().any(|via| via.local == addr && via.diverted));
        diverted && world.is_real(addr) && !self.is_usable(addr)
    }

    /// Those of them that the peer knows.
    pub(crate) fn diverted<'a>(&'a self, world: &'a World) -> impl Iterator<Item = Addr> + 'a {
        let advertised = self.advertised.iter().map(|advertised| advertised.addr);
        advertised.filter(|addr| self.is_diverted(*addr, world))
    }
}
