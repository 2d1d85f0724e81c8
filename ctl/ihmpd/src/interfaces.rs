// SPDX-License-Identifier: GPL-2.0
//! Which of this machine's addresses are told to peers.

use std::{
    collections::HashMap,
    net::IpAddr, //
};

use ihmp_nl::rtnl::{
    is_global,
    Address,
    Link, //
};

use crate::config::Interfaces;

/// Whether a name matches a pattern; `*` stands for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => match name.strip_prefix(head) {
            None => false,
            Some(name) => (0..=name.len())
                .filter_map(|at| name.get(at..))
                .any(|tail| matches(rest, tail)),
        },
    }
}

/// Whether a device with this name counts.
pub(crate) fn counts(config: &Interfaces, name: &str) -> bool {
    let any = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, name));
    (config.only.is_empty() || any(&config.only)) && !any(&config.ignore)
}

fn is_wanted(config: &Interfaces, link: &Link) -> bool {
    link.up && !link.loopback && counts(config, &link.name)
}

/// A network device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) index: u32,
    pub(crate) name: String,
}

/// An own address that can be used now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Own {
    pub(crate) addr: IpAddr,
    /// The device that has it, and by which packets from it leave; none for a dummy, where they leave by any.
    pub(crate) device: Option<Device>,
}

/// The addresses that can be used now.
pub(crate) fn usable(config: &Interfaces, links: &[Link], addrs: &[Address]) -> Vec<Own> {
    let wanted = links.iter().filter(|link| is_wanted(config, link));
    let wanted: HashMap<u32, &Link> = wanted.map(|link| (link.index, link)).collect();
    let mut usable: Vec<Own> = Vec::new();
    for address in addrs {
        let Some(link) = wanted.get(&address.index) else {
            continue;
        };
        let new = usable.iter().all(|own| own.addr != address.addr);
        if address.usable && is_global(address.addr) && new {
            let dummy = link.kind.as_deref() == Some("dummy");
            usable.push(Own {
                addr: address.addr,
                device: (!dummy).then(|| Device {
                    index: link.index,
                    name: link.name.clone(),
                }),
            });
        }
    }
    usable
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, name: &str, up: bool) -> Link {
        Link {
            index,
            name: name.into(),
            kind: None,
            up,
            loopback: name == "lo",
        }
    }

    fn addr(index: u32, addr: &str) -> Address {
        Address {
            index,
            addr: addr.parse().unwrap(),
            prefix_len: 24,
            usable: true,
        }
    }

    #[test]
    fn patterns() {
        assert!(matches("veth*", "veth0"));
        assert!(matches("veth*", "veth"));
        assert!(!matches("veth*", "eth0"));
        assert!(matches("*", ""));
        assert!(matches("br-*x", "br-0x0x"));
        assert!(!matches("br-*x", "br-0y"));
    }

    #[test]
    fn containers_and_dead_links_are_left_out() {
        let links = [
            link(1, "lo", true),
            link(2, "eth0", true),
            link(3, "wlan0", false),
            link(4, "docker0", true),
            link(5, "ihmp0", true),
        ];
        let addrs = [
            addr(1, "127.0.0.1"),
            addr(2, "192.0.2.1"),
            addr(2, "fe80::1"),
            addr(3, "198.51.100.1"),
            addr(4, "172.17.0.1"),
            addr(5, "203.0.113.1"),
        ];
        let found = usable(&Interfaces::default(), &links, &addrs);
        let own = Own {
            addr: "192.0.2.1".parse().unwrap(),
            device: Some(Device {
                index: 2,
                name: "eth0".into(),
            }),
        };
        assert_eq!(found, [own]);
    }
}
