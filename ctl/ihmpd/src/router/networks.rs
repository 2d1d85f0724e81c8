// SPDX-License-Identifier: GPL-2.0
//! The networks to which a router is connected, as they are and as they change.

use std::os::fd::{
    AsRawFd,
    RawFd, //
};

use ihmp_core::{
    addr::Addr,
    policy::Prefix, //
};
use ihmp_network::{
    is_global,
    Address,
    Counted,
    Error,
    Filter,
    Groups,
    Rtnl,
    Watch, //
};
use ihmp_router::Link;

use crate::{
    io::kernel::addr,
    pace::FLOOD, //
};

/// Hears of changes, and looks at what there is.
pub(super) struct Networks {
    rtnl: Rtnl,
    watch: Watch,
    counted: Counted,
    /// They are to be looked at.
    stale: bool,
}

impl Networks {
    /// Listens; nothing is known yet.
    pub(super) fn open() -> anyhow::Result<Self> {
        Ok(Self {
            watch: Watch::subscribe(Groups::Addresses, &Filter::default())?,
            rtnl: Rtnl::connect()?,
            counted: Counted::default(),
            stale: true,
        })
    }

    /// The descriptor to wait for.
    pub(super) fn fd(&self) -> RawFd {
        self.watch.as_raw_fd()
    }

    /// Whether they are to be looked at.
    pub(super) fn is_stale(&self) -> bool {
        self.stale
    }

    /// Hears of changes; true when there is more to hear.
    pub(super) fn hear(&mut self) -> anyhow::Result<bool> {
        let changes = self.watch.drain(FLOOD, &mut self.counted, |_| true)?;
        self.stale |= changes.links || changes.addresses || changes.overrun;
        Ok(changes.more)
    }

    /// The networks of now; `None` when they changed while they were listed.
    pub(super) fn look(&mut self) -> anyhow::Result<Option<Vec<Link>>> {
        match self.list() {
            Ok(links) => {
                self.stale = false;
                Ok(Some(links))
            }
            Err(Error::Changing) => {
                self.stale = true;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn list(&mut self) -> Result<Vec<Link>, Error> {
        let links = self.rtnl.links()?;
        self.counted = Counted::of(&links, |_| true);
        let mut filter = Filter::default();
        filter.set_counted(&self.counted);
        self.watch.set_filter(&filter)?;
        let up = |index| {
            links
                .iter()
                .any(|link| link.index == index && link.up && !link.loopback)
        };
        let mut addresses = Vec::new();
        for link in &links {
            addresses.extend(self.rtnl.addresses(link.index)?);
        }
        let own = addresses.iter().filter(|entry| {
            entry.usable && !entry.deprecated && is_global(entry.addr) && up(entry.index)
        });
        Ok(own.filter_map(link).collect())
    }
}

/// The network that an address of ours is in.
fn link(entry: &Address) -> Option<Link> {
    let own = addr(entry.addr);
    let skipped: u32 = if own.is_v4() { 96 } else { 0 };
    let kept = skipped.saturating_add(entry.prefix_len.into());
    let hosts = u128::MAX.checked_shr(kept).unwrap_or(0);
    let network = u128::from_be_bytes(own.octets()) & !hosts;
    Some(Link {
        own,
        prefix: Prefix::new(Addr::v6(network.to_be_bytes()), entry.prefix_len).ok()?,
        device: entry.index,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_of_an_address() {
        let entry = |text: &str, prefix_len| Address {
            index: 3,
            addr: text.parse().unwrap(),
            prefix_len,
            usable: true,
            deprecated: false,
            temporary: false,
        };
        let prefix = |text, len| link(&entry(text, len)).unwrap().prefix.to_string();
        assert_eq!(prefix("192.0.2.77", 25), "192.0.2.0/25");
        assert_eq!(prefix("192.0.2.77", 32), "192.0.2.77/32");
        assert_eq!(prefix("2001:db8:1:2::3", 64), "2001:db8:1:2::/64");
    }
}
