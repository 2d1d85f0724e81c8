// SPDX-License-Identifier: GPL-2.0
//! A router's routes to hosts that have moved within its networks.

use std::net::IpAddr;

use ihmp_core::addr::Addr;
use ihmp_network::{
    host_route,
    Error,
    Rtnl, //
};
use ihmp_router::HostRoute;

use crate::io::kernel::ip;

/// The routes that are there.
pub(super) struct Routes {
    rtnl: Rtnl,
    /// Addresses that have a route of ours.
    routed: Vec<IpAddr>,
}

impl Routes {
    /// There are none; what an earlier agent has left is removed.
    pub(super) fn open() -> Result<Self, Error> {
        let mut rtnl = Rtnl::connect()?;
        for left in host_route::list(&mut rtnl)? {
            host_route::del(&mut rtnl, left)?;
            tracing::info!("event=removed old={left} reason=left-over");
        }
        Ok(Self {
            rtnl,
            routed: Vec::new(),
        })
    }

    /// Makes a route; false when it cannot be made.
    pub(super) fn install(&mut self, route: HostRoute) -> bool {
        let (to, via) = (ip(route.to), ip(route.via));
        let ours = self.routed.contains(&to);
        match host_route::add(&mut self.rtnl, to, via, route.device, ours) {
            Ok(()) => {
                if !ours {
                    self.routed.push(to);
                }
                true
            }
            Err(error) => {
                tracing::warn!("event=route-failed addr={to} via={via} error=\"{error}\"");
                false
            }
        }
    }

    /// Removes the route to an address.
    pub(super) fn remove(&mut self, old: Addr) {
        let to = ip(old);
        self.routed.retain(|other| *other != to);
        self.delete(to);
    }

    /// Removes all of them.
    pub(super) fn clear(&mut self) {
        for to in std::mem::take(&mut self.routed) {
            self.delete(to);
        }
    }

    fn delete(&mut self, to: IpAddr) {
        if let Err(error) = host_route::del(&mut self.rtnl, to) {
            tracing::warn!("event=route-failed addr={to} error=\"{error}\"");
        }
    }
}
