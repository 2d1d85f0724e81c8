// SPDX-License-Identifier: GPL-2.0
//! The networks to which the router is connected, and those whose moves it serves.

use ihmp_core::addr::Addr;
use ihmp_core::policy::Prefix;

use crate::io::{HostRoute, Link};

/// Where addresses belong.
#[derive(Debug)]
pub(crate) struct Networks {
    inside: Vec<Prefix>,
    links: Vec<Link>,
}

impl Networks {
    /// Serves moves within these prefixes; it is not connected yet.
    pub(crate) fn new(inside: Vec<Prefix>) -> Networks {
        Networks {
            inside,
            links: Vec::new(),
        }
    }

    /// Serves moves within these prefixes from now on.
    pub(crate) fn set_inside(&mut self, inside: Vec<Prefix>) {
        self.inside = inside;
    }

    /// Is connected to these networks now.
    pub(crate) fn set_links(&mut self, links: Vec<Link>) {
        self.links = links;
    }

    /// Whether moves from and to an address are served.
    pub(crate) fn is_inside(&self, addr: Addr) -> bool {
        self.inside.iter().any(|prefix| prefix.contains(addr))
    }

    /// The network that an address belongs to: that with the longest prefix.
    pub(crate) fn link(&self, addr: Addr) -> Option<Link> {
        let links = self.links.iter().filter(|link| link.prefix.contains(addr));
        links.max_by_key(|link| link.prefix.len).copied()
    }

    /// Whether the next hop of a route is still where it leads.
    pub(crate) fn has_next_hop(&self, route: &HostRoute) -> bool {
        let link = self.link(route.via);
        link.is_some_and(|link| link.device == route.device)
    }
}
