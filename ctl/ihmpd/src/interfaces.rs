// SPDX-License-Identifier: GPL-2.0
//! Which of this machine's devices and addresses count.

use std::collections::HashMap;

use ihmp_engine::Age;
use ihmp_network::{
    is_global,
    Address,
    Link,
    Names,
    DEVICE, //
};

use crate::{
    config::Interfaces,
    own::{
        Device,
        Own, //
    },
    pattern::any,
};

/// Kinds of devices that lead through another network, or to nothing outside of this machine.
const KINDS: &[&str] = &[
    "amt",
    "bareudp",
    "can",
    "dummy",
    "erspan",
    "geneve",
    "gre",
    "gretap",
    "gtp",
    "ifb",
    "ip6erspan",
    "ip6gre",
    "ip6gretap",
    "ip6tnl",
    "ipip",
    "ipvtap",
    "macvtap",
    "netkit",
    "nlmon",
    "ovpn",
    "ppp",
    "sit",
    "tun",
    "vcan",
    "veth",
    "vsockmon",
    "vti",
    "vti6",
    "vxcan",
    "vxlan",
    "wireguard",
    "xfrm",
];

// linux/if_arp.h
const ARPHRD_PPP: u16 = 512;
const ARPHRD_NONE: u16 = 0xfffe;

/// Whether a device is a tunnel, or leads to nothing but this machine.
fn is_inner(link: &Link) -> bool {
    match link.kind.as_deref() {
        Some(kind) => KINDS.contains(&kind),
        // A modem that speaks IP has the same link type, but has hardware.
        None => !link.hardware && matches!(link.link_type, ARPHRD_PPP | ARPHRD_NONE),
    }
}

/// Whether a device may count, by its own name, kind and type; `counts` also looks at the ports of a bridge.
pub(crate) fn may_count(config: &Interfaces, link: &Link) -> bool {
    if link.name == DEVICE {
        return false;
    }
    if any(&config.include, &link.name) {
        return true;
    }
    let named = any(&config.only, &link.name);
    let wanted = named || (config.only.is_empty() && !link.loopback && !is_inner(link));
    wanted && !any(&config.ignore, &link.name)
}

/// The same rules, for the socket filter of the rtnetlink monitors.
pub(crate) fn names(config: &Interfaces) -> Names {
    Names {
        kinds: KINDS,
        include: config.include.clone(),
        ignore: config.ignore.clone(),
        only: config.only.clone(),
    }
}

/// Whether a device counts. A bridge does if one of its ports leads outside of this machine.
pub(crate) fn counts(config: &Interfaces, link: &Link, links: &[Link]) -> bool {
    if !may_count(config, link) {
        return false;
    }
    let named = any(&config.include, &link.name) || any(&config.only, &link.name);
    let outer = |port: &Link| {
        let included = any(&config.include, &port.name);
        port.master == Some(link.index) && (included || !is_inner(port))
    };
    named || link.kind.as_deref() != Some("bridge") || links.iter().any(outer)
}

/// The addresses that can be used now, of the devices that count.
pub(crate) fn usable(links: &[Link], vrfs: &[u32], addrs: &[Address]) -> Vec<Own> {
    let up = links.iter().filter(|link| link.up);
    let up: HashMap<u32, &Link> = up.map(|link| (link.index, link)).collect();
    let mut usable: Vec<Own> = Vec::new();
    for address in addrs {
        let Some(link) = up.get(&address.index) else {
            continue;
        };
        let new = usable.iter().all(|own| own.addr != address.addr);
        if address.usable && is_global(address.addr) && new {
            let inner = link.loopback || link.kind.as_deref() == Some("dummy");
            usable.push(Own {
                addr: address.addr,
                age: match (address.deprecated, address.temporary) {
                    (false, _) => Age::Preferred,
                    (true, false) => Age::Deprecated,
                    (true, true) => Age::Rotated,
                },
                device: (!inner).then(|| Device {
                    index: link.index,
                    name: link.name.clone(),
                    vrf: link.master.filter(|master| vrfs.contains(master)),
                }),
            });
        }
    }
    usable
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, name: &str, kind: Option<&str>) -> Link {
        Link {
            index,
            name: name.into(),
            kind: kind.map(String::from),
            up: true,
            loopback: name == "lo",
            link_type: 1,
            master: None,
            hardware: kind.is_none(),
        }
    }

    fn addr(index: u32, addr: &str) -> Address {
        Address {
            index,
            addr: addr.parse().unwrap(),
            prefix_len: 24,
            usable: true,
            deprecated: false,
            temporary: false,
        }
    }

    fn names(config: &Interfaces, links: &[Link]) -> Vec<String> {
        let counted = links.iter().filter(|link| counts(config, link, links));
        counted.map(|link| link.name.clone()).collect()
    }

    #[test]
    fn tunnels_are_known_by_kind() {
        let config = Interfaces::default();
        let inner = [
            ("lo", None),
            ("nordlynx", Some("wireguard")),
            ("proton0", Some("tun")),
            ("ztabcdef", Some("tun")),
            ("ipsec0", Some("xfrm")),
            ("uplink", Some("ppp")),
            ("eth7", Some("veth")),
            ("kube-ipvs0", Some("dummy")),
            ("ihmp0", None),
        ];
        for (name, kind) in inner {
            assert_eq!(names(&config, &[link(2, name, kind)]), [""; 0], "{name}");
        }
        let outer = [
            ("eth0", None),
            ("wg0", None),
            ("bond0", Some("bond")),
            ("eth0.7", Some("vlan")),
            ("wwan0", Some("wwan")),
        ];
        for (name, kind) in outer {
            assert_eq!(names(&config, &[link(2, name, kind)]), [name]);
        }
        // Without a kind: a line of pppd, a tunnel, and a modem that speaks IP.
        let bare = |link_type, hardware| Link {
            link_type,
            hardware,
            ..link(2, "x", None)
        };
        for (device, expected) in [
            (bare(ARPHRD_PPP, false), false),
            (bare(ARPHRD_NONE, false), false),
            (bare(ARPHRD_NONE, true), true),
            (bare(1, false), true),
        ] {
            assert_eq!(counts(&config, &device, &[]), expected, "{device:?}");
        }
    }

    #[test]
    fn a_bridge_is_what_its_ports_are() {
        let config = Interfaces::default();
        let mut links = vec![
            link(2, "br-lan", Some("bridge")),
            link(3, "vnet0", Some("tun")),
            link(4, "vethab", Some("veth")),
        ];
        assert_eq!(names(&config, &links), [""; 0]);
        (links[1].master, links[2].master) = (Some(2), Some(2));
        assert_eq!(names(&config, &links), [""; 0]);
        // Of an event it is not known yet.
        assert!(may_count(&config, &links[0]));
        links.push(Link {
            master: Some(2),
            ..link(5, "eth0", None)
        });
        assert_eq!(names(&config, &links), ["br-lan", "eth0"]);
        links.push(link(6, "docker0", Some("bridge")));
        links[3].master = Some(6);
        assert_eq!(names(&config, &links), ["eth0"]);
    }

    #[test]
    fn names_say_more_than_kinds() {
        let links = [
            link(1, "lo", None),
            link(2, "ppp0", Some("ppp")),
            link(3, "eth0", None),
            link(4, "wg0", Some("wireguard")),
        ];
        let config = |include: &[&str], only: &[&str], ignore: &[&str]| {
            let list = |texts: &[&str]| texts.iter().map(|text| (*text).into()).collect();
            Interfaces {
                include: list(include),
                only: list(only),
                ignore: list(ignore),
                tell: Vec::new(),
            }
        };
        assert_eq!(
            names(&config(&["ppp*"], &[], &[]), &links),
            ["ppp0", "eth0"]
        );
        assert_eq!(names(&config(&["lo"], &["eth*"], &["*"]), &links), ["lo"]);
        assert_eq!(
            names(&config(&[], &["wg0", "eth0"], &["eth*"]), &links),
            ["wg0"]
        );
        assert_eq!(names(&config(&[], &[], &["eth0"]), &links), [""; 0]);
    }

    #[test]
    fn addresses_of_devices_that_are_up() {
        let mut links = vec![
            link(1, "lo", None),
            link(2, "eth0", None),
            link(3, "wlan0", None),
            link(4, "service", Some("dummy")),
        ];
        links[2].up = false;
        links[1].master = Some(9);
        let addrs = [
            addr(1, "127.0.0.1"),
            addr(1, "192.0.2.77"),
            addr(2, "192.0.2.1"),
            addr(2, "fe80::1"),
            addr(3, "198.51.100.1"),
            Address {
                deprecated: true,
                ..addr(4, "203.0.113.1")
            },
            Address {
                deprecated: true,
                temporary: true,
                ..addr(2, "2001:db8::1")
            },
            addr(5, "172.17.0.1"),
        ];
        let device = Device {
            index: 2,
            name: "eth0".into(),
            vrf: Some(9),
        };
        let own = |text: &str, age, device: Option<&Device>| Own {
            addr: text.parse().unwrap(),
            age,
            device: device.cloned(),
        };
        let expected = [
            own("192.0.2.77", Age::Preferred, None),
            own("192.0.2.1", Age::Preferred, Some(&device)),
            own("203.0.113.1", Age::Deprecated, None),
            own("2001:db8::1", Age::Rotated, Some(&device)),
        ];
        assert_eq!(usable(&links, &[9], &addrs), expected);
        let none = usable(&links, &[8], &addrs);
        assert_eq!(none[1].device.as_ref().unwrap().vrf, None);
    }
}
