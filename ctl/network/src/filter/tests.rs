// SPDX-License-Identifier: GPL-2.0
//! What the kernel lets through, of messages as it sends them.

use std::os::unix::net::UnixDatagram;

use ihmp_netlink::{
    Writer,
    HEADER, //
};

use super::*;

/// What the kernel lets through, of messages that are sent to a socket with this program.
struct Bench {
    from: UnixDatagram,
    to: UnixDatagram,
}

impl Bench {
    fn new(filter: &Filter) -> Self {
        let (from, to) = UnixDatagram::pair().unwrap();
        let program = filter.program();
        // Not the one that lets everything through.
        assert!(program.instructions() > 10);
        program.attach(&to).unwrap();
        to.set_nonblocking(true).unwrap();
        Self { from, to }
    }

    fn passes(&self, kind: u16, header: &[u8], attrs: &Writer) -> bool {
        let body = attrs.behind(header);
        let len = u32::try_from(HEADER + body.len()).unwrap();
        let mut message = len.to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.resize(HEADER, 0);
        message.extend(body);
        self.from.send(&message).unwrap();
        self.to.recv(&mut [0; 512]).is_ok()
    }

    fn link(&self, index: u32, name: &str) -> bool {
        self.device(index, name, None)
    }

    fn device(&self, index: u32, name: &str, kind: Option<&str>) -> bool {
        let mut header = [0; 16];
        header[4..8].copy_from_slice(&index.to_ne_bytes());
        let mut attrs = Writer::default();
        attrs.string(IFLA_IFNAME, name);
        if let Some(kind) = kind {
            let mut inner = Writer::default();
            inner.string(IFLA_INFO_KIND, kind);
            attrs.nest(IFLA_LINKINFO, &inner);
        }
        let new = self.passes(RTM_NEWLINK, &header, &attrs);
        assert_eq!(new, self.passes(RTM_DELLINK, &header, &attrs));
        new
    }

    fn address(&self, index: u32) -> bool {
        let mut header = [0; 8];
        header[4..8].copy_from_slice(&index.to_ne_bytes());
        let attrs = Writer::default();
        let new = self.passes(RTM_NEWADDR, &header, &attrs);
        assert_eq!(new, self.passes(RTM_DELADDR, &header, &attrs));
        new
    }

    fn route(&self, kind: u8, protocol: u8, prefix: &str, device: Option<u32>) -> bool {
        let (dst, len) = prefix.split_once('/').unwrap();
        let dst: IpAddr = dst.parse().unwrap();
        let family = if dst.is_ipv4() { AF_INET } else { AF_INET6 };
        let mut header = [0; 12];
        header[0] = family;
        header[1] = len.parse().unwrap();
        header[5] = protocol;
        header[7] = kind;
        let mut attrs = Writer::default();
        attrs.u32(15, 254);
        if header[1] > 0 {
            attrs.addr(RTA_DST, dst);
        }
        if let Some(device) = device {
            attrs.u32(RTA_OIF, device);
        }
        let new = self.passes(RTM_NEWROUTE, &header, &attrs);
        let gone = self.passes(RTM_DELROUTE, &header, &attrs);
        let ours = protocol == PROTOCOL && kind == RTN_UNICAST;
        assert_eq!(gone, new || ours);
        new
    }

    fn unicast(&self, prefix: &str) -> bool {
        self.route(RTN_UNICAST, 4, prefix, Some(3))
    }
}

fn filter() -> Filter {
    let names = Names {
        kinds: &["veth", "wireguard"],
        include: vec!["in*".into()],
        ignore: vec!["veth*".into(), "tun".into(), "b*r".into()],
        only: Vec::new(),
    };
    Filter {
        names,
        counted: [3, 0x0102_0304].into_iter().collect(),
        peers: ["192.0.2.7", "203.0.113.129", "2001:db8:1:2::7"]
            .map(|peer| peer.parse().unwrap())
            .to_vec(),
    }
}

#[test]
fn devices_by_number_and_name() {
    let bench = Bench::new(&filter());
    assert!(bench.link(9, "eth0"));
    assert!(!bench.link(9, "veth0") && !bench.link(9, "veth"));
    assert!(bench.link(9, "vet") && bench.link(9, "wveth0"));
    assert!(!bench.link(9, "tun") && bench.link(9, "tun0") && bench.link(9, "tu"));
    // That is left to who can tell.
    assert!(bench.link(9, "bar"));
    // It counted until now.
    assert!(bench.link(3, "veth0") && bench.link(0x0102_0304, "veth0"));
    assert!(!bench.link(0x0403_0201, "veth0"));
    assert!(bench.passes(RTM_NEWLINK, &[0; 16], &Writer::default()));
}

#[test]
fn devices_by_kind() {
    let bench = Bench::new(&filter());
    assert!(!bench.device(9, "eth0", Some("veth")) && !bench.device(9, "a", Some("wireguard")));
    assert!(bench.device(9, "eth0", Some("vlan")) && bench.device(9, "eth0", Some("vet")));
    assert!(bench.device(9, "eth0", Some("veth1")) && bench.device(9, "eth0", None));
    // A name says more, and so does having counted until now.
    assert!(bench.device(9, "in0", Some("veth")) && bench.device(3, "eth0", Some("veth")));
    assert!(!bench.device(9, "veth0", Some("vlan")));
    let mut filter = filter();
    filter.names.only = vec!["eth*".into()];
    assert!(Bench::new(&filter).device(9, "eth0", Some("veth")));
    filter.names.only.clear();
    filter.names.include.push("a*b".into());
    assert!(Bench::new(&filter).device(9, "eth0", Some("veth")));
}

#[test]
fn what_is_ours() {
    let mut filter = filter();
    filter.names.ignore = vec!["*".into()];
    let bench = Bench::new(&filter);
    assert!(bench.device(9, "ihmp0", Some("dummy")) && !bench.link(9, "ihmp1"));
    for (preference, passes) in [
        (RULE_PREFERENCE, false),
        (32_766, true),
        (0x409c_0000, true),
    ] {
        let mut attrs = Writer::default();
        attrs.u32(15, 254);
        attrs.u32(FRA_PRIORITY, preference);
        assert!(bench.passes(RTM_DELRULE, &[2; 12], &attrs));
        assert_eq!(bench.passes(RTM_NEWRULE, &[2; 12], &attrs), passes);
    }
    assert!(bench.passes(RTM_NEWRULE, &[2; 12], &Writer::default()));
    // A bridge speaks of its port.
    let mut header = [0; 16];
    header[0] = AF_BRIDGE;
    header[4..8].copy_from_slice(&3_u32.to_ne_bytes());
    assert!(!bench.passes(RTM_NEWLINK, &header, &Writer::default()));
}

#[test]
fn the_only_devices() {
    let mut filter = filter();
    filter.names.only = vec!["eth*".into(), "veth1".into(), "lan0".into()];
    let bench = Bench::new(&filter);
    assert!(bench.link(9, "eth0") && bench.link(9, "lan0"));
    assert!(!bench.link(9, "wlan0") && !bench.link(9, "lan01") && !bench.link(9, "veth1"));
    filter.names.only.push("a*b".into());
    let bench = Bench::new(&filter);
    assert!(bench.link(9, "wlan0") && !bench.link(9, "veth1"));
}

#[test]
fn addresses_by_device() {
    let bench = Bench::new(&filter());
    assert!(bench.address(3) && bench.address(0x0102_0304));
    assert!(!bench.address(4) && !bench.address(0));
}

#[test]
fn routes_that_lead_to_a_peer() {
    let bench = Bench::new(&filter());
    for prefix in [
        "0.0.0.0/0",
        "::/0",
        "192.0.2.7/32",
        "192.0.2.6/31",
        "192.0.2.0/24",
        "128.0.0.0/1",
        "203.0.113.128/25",
        "2001:db8:1:2::/64",
        "2001:db8:1:2::/63",
        "2001:db8::/32",
        "2001:db8::/33",
        "2000::/3",
        "2001:db8:1:2::7/128",
    ] {
        assert!(bench.unicast(prefix), "{prefix}");
    }
    for prefix in [
        "192.0.2.6/32",
        "192.0.2.8/29",
        "10.0.0.0/8",
        "0.0.0.0/1",
        "203.0.113.0/25",
        "2001:db8:1:3::/64",
        "2001:db9::/32",
        "2001:db8:8000::/33",
        "fe80::/10",
        "ff00::/8",
    ] {
        assert!(!bench.unicast(prefix), "{prefix}");
    }
}

#[test]
fn routes_by_kind_device_and_maker() {
    let bench = Bench::new(&filter());
    assert!(bench.route(RTN_UNICAST, 2, "192.0.2.0/24", Some(0x0102_0304)));
    // A tunnel, for instance.
    assert!(bench.route(RTN_UNICAST, 2, "192.0.2.0/24", Some(4)));
    assert!(bench.route(RTN_UNICAST, 2, "0.0.0.0/0", Some(4)));
    assert!(!bench.route(RTN_UNICAST, 2, "10.0.0.0/8", Some(4)));
    // By several devices; by none.
    assert!(bench.route(RTN_UNICAST, 4, "192.0.2.0/24", None));
    for kind in RTN_BLACKHOLE..=RTN_THROW {
        assert!(bench.route(kind, 4, "192.0.2.0/24", None));
        assert!(!bench.route(kind, 4, "10.0.0.0/8", None));
    }
    // Our own; broadcast and multicast.
    assert!(!bench.route(RTN_UNICAST, PROTOCOL, "192.0.2.7/32", Some(3)));
    assert!(!bench.route(3, 2, "192.0.2.7/32", Some(3)));
    assert!(!bench.route(5, 2, "192.0.2.7/32", Some(3)));
    assert!(!bench.route(10, 2, "192.0.2.7/32", Some(3)));
    // An address that the kernel accepts now.
    assert!(bench.route(RTN_LOCAL, 2, "10.0.0.1/32", Some(3)));
    assert!(!bench.route(RTN_LOCAL, 2, "10.0.0.1/32", Some(4)));
}

#[test]
fn peers_come_and_go() {
    let peer = |n: u32| IpAddr::from((0x0a00_0000 + n).to_be_bytes());
    let mut filter = Filter::default();
    assert!(filter.add_peer(peer(2)) && !filter.add_peer(peer(2)));
    assert!(filter.set_peers(vec![peer(3), peer(1), peer(3)]));
    assert!(!filter.set_peers(vec![peer(1), peer(3)]));
    assert!(filter.set_peers((0..500).map(peer).collect()));
    assert!(!filter.set_peers((7..700).map(peer).collect()));
    assert!(!filter.add_peer(peer(9_999)));
    assert!(filter.set_peers(Vec::new()));
}

#[test]
fn with_too_many_to_tell_apart_more_passes() {
    let mut many = filter();
    many.peers = (0..200).map(|n| IpAddr::from([10, 1, 0, n])).collect();
    let bench = Bench::new(&many);
    assert!(bench.unicast("192.0.2.7/32"));
    assert!(bench.route(RTN_UNICAST, 4, "192.0.2.7/32", Some(4)));
    assert!(!bench.unicast("fe80::/64") && !bench.unicast("ff00::/8"));
    many.counted = (1..200).collect();
    let bench = Bench::new(&many);
    assert!(bench.address(1_000) && bench.link(1_000, "veth0"));
    assert!(bench.route(RTN_UNICAST, 4, "192.0.2.7/32", Some(1_000)));
    // As many as can be told apart.
    let mut most = filter();
    most.counted = (1..=128).collect();
    most.peers = (0..64).map(|n| IpAddr::from([10, 1, 0, n])).collect();
    let six = (0..64).map(|n| IpAddr::from([0x2001, 0xdb8, 7, n, 0, 0, 0, 1]));
    most.peers.extend(six);
    let bench = Bench::new(&most);
    assert!(bench.address(1) && bench.address(128) && !bench.address(129));
    assert!(bench.unicast("10.1.0.63/32") && !bench.unicast("10.1.0.64/32"));
    assert!(bench.unicast("2001:db8:7:3f::/64") && !bench.unicast("2001:db8:7:40::/64"));
    assert!(bench.route(RTN_UNICAST, 4, "10.1.0.63/32", Some(128)));
    assert!(bench.route(RTN_LOCAL, 4, "10.1.0.63/32", Some(128)));
    assert!(!bench.route(RTN_LOCAL, 4, "10.1.0.63/32", Some(129)));
}
