// SPDX-License-Identifier: GPL-2.0
//! Which messages of rtnetlink reach a watch: a program that the kernel runs for each of them, so that what happens to
//! devices that do not count, and to routes that lead to no peer, wakes nobody.
//!
//! It errs on one side only: what it cannot tell, it lets through.
//!
//! C headers: linux/filter.h (`SKF_AD_NLATTR`), linux/rtnetlink.h

use std::net::IpAddr;

use socket2::SockFilter;

use crate::{
    rtnl::{
        AF_BRIDGE,
        AF_INET,
        AF_INET6,
        DEVICE,
        FRA_PRIORITY,
        IFLA_IFNAME,
        IFLA_INFO_KIND,
        IFLA_LINKINFO,
        PROTOCOL,
        RTA_DST,
        RTA_OIF,
        RTM_DELADDR,
        RTM_DELLINK,
        RTM_DELROUTE,
        RTM_DELRULE,
        RTM_NEWADDR,
        RTM_NEWLINK,
        RTM_NEWROUTE,
        RTM_NEWRULE,
        RTN_BLACKHOLE,
        RTN_LOCAL,
        RTN_THROW,
        RTN_UNICAST,
        RULE_PREFERENCE, //
    },
    watch::Counted,
};

/// Most devices and most peers that a program tells apart; with more of them it lets the messages through.
const MOST: usize = 128;
/// A program has at most this many instructions (`BPF_MAXINSNS`).
const LONGEST: usize = 4096;

/// What is to be let through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Kinds of devices that do not count unless their names say so.
    pub kinds: &'static [&'static str],
    /// Name patterns of devices that count, whatever else is said here; `*` stands for any characters.
    pub include: Vec<String>,
    /// Name patterns of devices that do not.
    pub ignore: Vec<String>,
    /// If not empty, name patterns of the only devices that count.
    pub only: Vec<String>,
    /// Devices that count now.
    pub counted: Counted,
    /// Addresses to which routes matter.
    pub peers: Vec<IpAddr>,
}

// linux/bpf_common.h, linux/filter.h
const LD_W_ABS: u16 = 0x20;
const LD_H_ABS: u16 = 0x28;
const LD_B_ABS: u16 = 0x30;
const LD_W_IND: u16 = 0x40;
const LD_B_IND: u16 = 0x50;
const LD_IMM: u16 = 0x00;
const LD_MEM: u16 = 0x60;
const LDX_IMM: u16 = 0x01;
const LDX_MEM: u16 = 0x61;
const ST: u16 = 0x02;
const ALU_ADD_K: u16 = 0x04;
const ALU_NEG: u16 = 0x84;
const ALU_LSH_X: u16 = 0x6c;
const ALU_AND_X: u16 = 0x5c;
const ALU_XOR_K: u16 = 0xa4;
const JA: u16 = 0x05;
const JEQ_K: u16 = 0x15;
const JGT_K: u16 = 0x25;
const JGE_K: u16 = 0x35;
const RET_K: u16 = 0x06;
const TAX: u16 = 0x07;
/// `SKF_AD_OFF + SKF_AD_NLATTR`: where the first attribute of type X is, counted from A on; 0 for nowhere.
const NLATTR: u32 = 0xffff_f00c;
/// `SKF_AD_OFF + SKF_AD_NLATTR_NEST`: the same within the attribute that begins at A.
const NLATTR_NEST: u32 = 0xffff_f010;

/// Octets of the netlink header; all that follows counts from there.
const HEAD: u32 = 16;
/// `struct ifinfomsg` and `struct ifaddrmsg`: the device.
const INDEX: u32 = HEAD + 4;
/// `struct ifinfomsg`
const LINK_FAMILY: u32 = HEAD;
/// `struct rtmsg`
const RT_FAMILY: u32 = HEAD;
const RT_DST_LEN: u32 = HEAD + 1;
const RT_PROTOCOL: u32 = HEAD + 5;
const RT_TYPE: u32 = HEAD + 7;
/// Where attributes begin.
const LINK_ATTRS: u32 = HEAD + 16;
const ROUTE_ATTRS: u32 = HEAD + 12;
const RULE_ATTRS: u32 = HEAD + 12;
/// Octets of an attribute's header.
const ATTR: u32 = 4;

/// Words of scratch memory: the destination of a route and its mask.
const DST: u32 = 0;
const MASK: u32 = 2;

/// An instruction: what to do, how many to skip if so and if not, and with what.
#[derive(Clone, Copy)]
struct Op {
    code: u16,
    yes: u8,
    no: u8,
    k: u32,
}

/// A piece of program.
#[derive(Default)]
struct Code(Vec<Op>);

impl Code {
    fn jump(&mut self, code: u16, k: u32, yes: u8, no: u8) {
        self.0.push(Op { code, yes, no, k });
    }

    fn put(&mut self, code: u16, k: u32) {
        self.jump(code, k, 0, 0);
    }

    fn pass(&mut self) {
        self.put(RET_K, u32::MAX);
    }

    fn drop(&mut self) {
        self.put(RET_K, 0);
    }

    /// `inner`, if A is `k`.
    fn when(&mut self, k: u32, inner: &Self) {
        self.jump(JEQ_K, k, 1, 0);
        self.put(JA, inner.len());
        self.append(inner);
    }

    fn append(&mut self, inner: &Self) {
        self.0.extend_from_slice(&inner.0);
    }

    fn len(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// A becomes where the first attribute of this type is, or 0.
    fn attr(&mut self, from: u32, number: u16) {
        self.put(LDX_IMM, number.into());
        self.put(LD_IMM, from);
        self.put(LD_B_ABS, NLATTR);
    }

    /// Lets the message through if the device in A counts.
    fn pass_counted(&mut self, counted: &Counted) {
        for index in counted.iter() {
            self.jump(JEQ_K, u32::from_be_bytes(index.to_ne_bytes()), 0, 1);
            self.pass();
        }
    }

    /// `found` is the last that is done if the name at X matches.
    fn name(&mut self, simple: Simple<'_>, found: impl FnOnce(&mut Self)) {
        let mut octets = simple.head.to_vec();
        // No octet beyond the name's end is looked at: the one before it has matched.
        octets.extend((!simple.open).then_some(0));
        let mut left = octets.len();
        for (at, octet) in (ATTR..).zip(octets) {
            left -= 1;
            self.put(LD_B_IND, at);
            // A name has at most 15 octets.
            let skip = u8::try_from(2 * left + 1).unwrap_or(u8::MAX);
            self.jump(JEQ_K, octet.into(), 0, skip);
        }
        found(self);
    }

    /// Drops the message if the device is of one of these kinds, and lets it through if not.
    fn kinds(&mut self, kinds: &[&str]) {
        self.attr(LINK_ATTRS, IFLA_LINKINFO);
        self.jump(JEQ_K, 0, 0, 1);
        self.pass();
        self.put(LDX_IMM, IFLA_INFO_KIND.into());
        self.put(LD_B_ABS, NLATTR_NEST);
        self.jump(JEQ_K, 0, 0, 1);
        self.pass();
        self.put(TAX, 0);
        for kind in kinds {
            let kind = Simple {
                head: kind.as_bytes(),
                open: false,
            };
            self.name(kind, Self::drop);
        }
        self.pass();
    }

    /// The mask of word `number` of a prefix whose length is that of the route.
    fn mask(&mut self, number: u32) {
        let (from, to) = (32 * number, 32 * (number + 1));
        self.put(LD_B_ABS, RT_DST_LEN);
        self.jump(JGT_K, from, 0, 7);
        self.jump(JGE_K, to, 8, 0);
        // A part of the word: ones shifted to the left by what is missing.
        self.put(ALU_NEG, 0);
        self.put(ALU_ADD_K, to);
        self.put(TAX, 0);
        self.put(LD_IMM, u32::MAX);
        self.put(ALU_LSH_X, 0);
        self.put(JA, 3);
        // Nothing of it.
        self.put(LD_IMM, 0);
        self.put(JA, 1);
        // All of it.
        self.put(LD_IMM, u32::MAX);
        self.put(ST, MASK + number);
    }
}

/// A pattern without a `*`, or with one at its end.
#[derive(Clone, Copy)]
struct Simple<'a> {
    head: &'a [u8],
    open: bool,
}

fn simple(pattern: &str) -> Option<Simple<'_>> {
    let head = pattern.strip_suffix('*').unwrap_or(pattern);
    (!head.contains('*') && head.len() < 16).then_some(Simple {
        head: head.as_bytes(),
        open: head.len() < pattern.len(),
    })
}

/// A rule, unless it is ours and comes.
fn rule() -> Code {
    let mut code = Code::default();
    let gone = u16::from_be_bytes(RTM_DELRULE.to_ne_bytes());
    code.jump(JEQ_K, gone.into(), 0, 1);
    code.pass();
    code.attr(RULE_ATTRS, FRA_PRIORITY);
    code.jump(JEQ_K, 0, 0, 1);
    code.pass();
    code.put(TAX, 0);
    code.put(LD_W_IND, ATTR);
    let preference = u32::from_be_bytes(RULE_PREFERENCE.to_ne_bytes());
    code.jump(JEQ_K, preference, 1, 0);
    code.pass();
    code.drop();
    code
}

impl Filter {
    /// One more peer; true when that changes the filter.
    pub fn add_peer(&mut self, peer: IpAddr) -> bool {
        let new = self.peers.len() <= MOST && !self.peers.contains(&peer);
        self.peers.extend(new.then_some(peer));
        new
    }

    /// All peers; true when that changes the filter.
    pub fn set_peers(&mut self, mut peers: Vec<IpAddr>) -> bool {
        peers.sort_unstable();
        peers.dedup();
        // One too many is enough to say that there are too many.
        peers.truncate(MOST + 1);
        let before = std::mem::replace(&mut self.peers, peers);
        let many = self.peers.len() > MOST && before.len() > MOST;
        !many && before != self.peers
    }

    /// The program; one that lets everything through when there is too much to tell apart.
    pub(crate) fn program(&self) -> Vec<SockFilter> {
        let mut code = Code::default();
        let (link, address, route) = (self.link(), self.address(), self.route());
        code.put(LD_H_ABS, 4);
        for (one, other, inner) in [
            (RTM_NEWLINK, RTM_DELLINK, &link),
            (RTM_NEWADDR, RTM_DELADDR, &address),
            (RTM_NEWROUTE, RTM_DELROUTE, &route),
            (RTM_NEWRULE, RTM_DELRULE, &rule()),
        ] {
            code.jump(JEQ_K, u16::from_be_bytes(one.to_ne_bytes()).into(), 2, 0);
            code.when(u16::from_be_bytes(other.to_ne_bytes()).into(), inner);
        }
        code.pass();
        if code.0.len() > LONGEST {
            code.0.clear();
            code.pass();
        }
        let ops = code.0.iter();
        ops.map(|op| SockFilter::new(op.code, op.yes, op.no, op.k))
            .collect()
    }

    /// A device that counts, or whose name may.
    fn link(&self) -> Code {
        let mut code = Code::default();
        if self.counted.len() > MOST {
            code.pass();
            return code;
        }
        // What a bridge says of its port.
        code.put(LD_B_ABS, LINK_FAMILY);
        code.jump(JEQ_K, AF_BRIDGE.into(), 0, 1);
        code.drop();
        code.put(LD_W_ABS, INDEX);
        code.pass_counted(&self.counted);
        code.attr(LINK_ATTRS, IFLA_IFNAME);
        code.jump(JEQ_K, 0, 0, 1);
        code.pass();
        code.put(TAX, 0);
        let own = Simple {
            head: DEVICE.as_bytes(),
            open: false,
        };
        code.name(own, Code::pass);
        for pattern in &self.include {
            match simple(pattern) {
                Some(pattern) => code.name(pattern, Code::pass),
                // Any device may match.
                None => code.pass(),
            }
        }
        for pattern in self.ignore.iter().filter_map(|pattern| simple(pattern)) {
            code.name(pattern, Code::drop);
        }
        let only: Option<Vec<_>> = self.only.iter().map(|pattern| simple(pattern)).collect();
        match only {
            Some(only) if !only.is_empty() => {
                for pattern in only {
                    code.name(pattern, Code::pass);
                }
                code.drop();
            }
            Some(_) => code.kinds(self.kinds),
            None => code.pass(),
        }
        code
    }

    /// An address of a device that counts.
    fn address(&self) -> Code {
        let mut code = Code::default();
        if self.counted.len() > MOST {
            code.pass();
            return code;
        }
        code.put(LD_W_ABS, INDEX);
        code.pass_counted(&self.counted);
        code.drop();
        code
    }

    /// A route that leads to a peer, by whatever device: what does not count may take the place of what does. And the one
    /// that an address has, of a device that counts.
    fn route(&self) -> Code {
        let mut code = Code::default();
        let mut local = Code::default();
        local.attr(ROUTE_ATTRS, RTA_OIF);
        if self.counted.len() <= MOST {
            local.put(TAX, 0);
            local.put(LD_W_IND, ATTR);
            local.pass_counted(&self.counted);
            local.drop();
        }
        local.pass();

        code.put(LD_B_ABS, RT_TYPE);
        code.when(RTN_LOCAL.into(), &local);
        // Where packets are sent, and where the kernel says that none can be.
        code.jump(JEQ_K, RTN_UNICAST.into(), 3, 0);
        code.jump(JGE_K, RTN_BLACKHOLE.into(), 0, 1);
        code.jump(JGT_K, RTN_THROW.into(), 0, 1);
        code.drop();
        // Ours, which nobody but us should remove.
        code.put(LD_B_ABS, RT_PROTOCOL);
        code.jump(JEQ_K, PROTOCOL.into(), 0, 4);
        code.put(LD_H_ABS, 4);
        let gone = u16::from_be_bytes(RTM_DELROUTE.to_ne_bytes());
        code.jump(JEQ_K, gone.into(), 0, 1);
        code.pass();
        code.drop();
        code.put(LD_B_ABS, RT_DST_LEN);
        code.jump(JEQ_K, 0, 0, 1);
        code.pass();
        let (v4, v6) = (self.leads(AF_INET, 1), self.leads(AF_INET6, 2));
        code.put(LD_B_ABS, RT_FAMILY);
        code.when(AF_INET.into(), &v4);
        code.when(AF_INET6.into(), &v6);
        code.drop();
        code
    }

    /// A route whose destination has a peer in it, as far as the first words tell.
    fn leads(&self, family: u8, words: u32) -> Code {
        let mut code = Code::default();
        code.attr(ROUTE_ATTRS, RTA_DST);
        code.jump(JEQ_K, 0, 0, 1);
        code.pass();
        code.put(TAX, 0);
        if family == AF_INET6 {
            // Within a link, and to groups, which each device has.
            code.put(LD_B_IND, ATTR);
            code.jump(JGE_K, 0xfe, 0, 1);
            code.drop();
        }
        if self.peers.len() > MOST {
            code.pass();
            return code;
        }
        for word in 0..words {
            code.put(LD_W_IND, ATTR + 4 * word);
            code.put(ST, DST + word);
        }
        for word in 0..words {
            code.mask(word);
        }
        for peer in &self.peers {
            let (of, octets) = match peer {
                IpAddr::V4(peer) => (AF_INET, peer.octets().to_vec()),
                IpAddr::V6(peer) => (AF_INET6, peer.octets().to_vec()),
            };
            if of != family {
                continue;
            }
            let mut left = u8::try_from(words).unwrap_or(u8::MAX);
            for (word, octets) in (0..words).zip(octets.chunks_exact(4)) {
                left -= 1;
                let value = octets
                    .first_chunk()
                    .map_or(0, |octets| u32::from_be_bytes(*octets));
                code.put(LD_MEM, DST + word);
                code.put(ALU_XOR_K, value);
                code.put(LDX_MEM, MASK + word);
                code.put(ALU_AND_X, 0);
                code.jump(JEQ_K, 0, 0, 5 * left + 1);
            }
            code.pass();
        }
        code.drop();
        code
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use socket2::SockRef;

    use super::*;
    use crate::attrs::Writer;

    /// What the kernel lets through, of messages that are sent to a socket with this program.
    struct Bench {
        from: UnixDatagram,
        to: UnixDatagram,
    }

    impl Bench {
        fn new(filter: &Filter) -> Self {
            let (from, to) = UnixDatagram::pair().unwrap();
            let program = filter.program();
            assert!((11..LONGEST).contains(&program.len()), "{}", program.len());
            SockRef::from(&to).attach_filter(&program).unwrap();
            to.set_nonblocking(true).unwrap();
            Self { from, to }
        }

        fn passes(&self, kind: u16, header: &[u8], attrs: &Writer) -> bool {
            let len = 16 + header.len() + attrs.0.len();
            let mut message = u32::try_from(len).unwrap().to_ne_bytes().to_vec();
            message.extend(kind.to_ne_bytes());
            message.resize(16, 0);
            message.extend(header);
            message.extend(&attrs.0);
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
        Filter {
            kinds: &["veth", "wireguard"],
            include: vec!["in*".into()],
            ignore: vec!["veth*".into(), "tun".into(), "b*r".into()],
            only: Vec::new(),
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
        filter.only = vec!["eth*".into()];
        assert!(Bench::new(&filter).device(9, "eth0", Some("veth")));
        filter.only.clear();
        filter.include.push("a*b".into());
        assert!(Bench::new(&filter).device(9, "eth0", Some("veth")));
    }

    #[test]
    fn what_is_ours() {
        let mut filter = filter();
        filter.ignore = vec!["*".into()];
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
        filter.only = vec!["eth*".into(), "veth1".into(), "lan0".into()];
        let bench = Bench::new(&filter);
        assert!(bench.link(9, "eth0") && bench.link(9, "lan0"));
        assert!(!bench.link(9, "wlan0") && !bench.link(9, "lan01") && !bench.link(9, "veth1"));
        filter.only.push("a*b".into());
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
}
