// SPDX-License-Identifier: GPL-2.0
//! What the machine's NAT did: connections whose source it exchanges, asked for and heard of.
//!
//! Only what began inside is told, from where it came to where it went; what a rule lets in from outside is not.
//! An entry that was there before anybody listened may end without a word (`net.netfilter.nf_conntrack_events` is 2 by
//! default), so who wants to know has to ask now and then.
//!
//! C headers: linux/netfilter/nfnetlink_conntrack.h

use std::{
    io,
    net::IpAddr,
    os::fd::{
        AsRawFd,
        OwnedFd,
        RawFd, //
    },
};

use neli::consts::{
    nl::NlmF,
    socket::NlFamily, //
};
use nix::{
    errno::Errno,
    sys::socket::{
        bind,
        recv,
        socket,
        AddressFamily,
        MsgFlags,
        NetlinkAddr,
        SockFlag,
        SockProtocol,
        SockType, //
    },
};
use socket2::{
    SockFilter,
    SockRef, //
};

use crate::{
    attrs::{
        Attrs,
        Writer, //
    },
    error::Error,
    socket::{
        force_receive_buffer,
        Socket,
        HEADER, //
    },
};

const SUBSYS: u16 = 1 << 8;
// enum cntl_msg_types
const NEW: u16 = SUBSYS;
const GET: u16 = SUBSYS | 1;
const DELETE: u16 = SUBSYS | 2;
const GET_STATS: u16 = SUBSYS | 5;
/// NFNLGRP_CONNTRACK_NEW is group 1, NFNLGRP_CONNTRACK_DESTROY 3.
const GROUPS: u32 = 1 | (1 << 2);

// enum ctattr_*
const TUPLE_ORIG: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const FILTER: u16 = 25;
const FILTER_ORIG_FLAGS: u16 = 1;
/// Source and destination address are those of the tuple (CTA_FILTER_F_CTA_IP_*).
const BY_ADDRESSES: u32 = 3;
const TUPLE_IP: u16 = 1;
const TUPLE_PROTO: u16 = 2;
const IP_V4_SRC: u16 = 1;
const IP_V4_DST: u16 = 2;
const IP_V6_SRC: u16 = 3;
const IP_V6_DST: u16 = 4;
const PROTO_NUM: u16 = 1;
const PROTO_SRC_PORT: u16 = 2;
const PROTO_DST_PORT: u16 = 3;
const PROTO_ICMP_ID: u16 = 4;
const PROTO_ICMP_TYPE: u16 = 5;
const PROTO_ICMPV6_ID: u16 = 7;
const PROTO_ICMPV6_TYPE: u16 = 8;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// Octets of `struct nfgenmsg`.
const NFGENMSG: usize = 4;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const ECHO: u8 = 8;
const ECHO_V6: u8 = 128;
/// Protocols with ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
const PORTS: [u8; 5] = [6, 17, 33, 132, 136];

/// Room for events that nobody has fetched yet, in octets.
const BACKLOG: usize = 1 << 20;
/// The longest event by far.
const BUFFER: usize = 8_192;
/// Most pairs of addresses for which the table is gone through one by one; for more, once for all.
const ONE_BY_ONE: usize = 4;
/// Most destinations that a filter tells apart.
const MOST: usize = 64;

/// A connection that the NAT gave another source. Ports are in host byte order; of an exchange of echoes the
/// identifiers are the ports of the source, and the other is 0. Protocols without ports have 0 everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Translation {
    /// Upper-layer protocol.
    pub proto: u8,
    /// The source that it has inside.
    pub source: IpAddr,
    /// Its port.
    pub source_port: u16,
    /// The destination.
    pub destination: IpAddr,
    /// Its port.
    pub destination_port: u16,
    /// The source that it has outside.
    pub nat: IpAddr,
    /// Its port.
    pub nat_port: u16,
}

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A connection was made.
    New(Translation),
    /// One ended.
    Gone(Translation),
}

/// What happened since the last time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// In the order in which it did.
    pub list: Vec<Event>,
    /// Some was lost.
    pub overrun: bool,
    /// There is more to read.
    pub more: bool,
}

/// Asks, and listens when told to.
pub struct Conntrack {
    socket: Socket,
    watch: Option<OwnedFd>,
    buffer: Vec<u8>,
}

impl Conntrack {
    /// Asks the kernel whether it has connection tracking; it may load a module now.
    pub fn open() -> Result<Self, Error> {
        let mut socket = Socket::open_family(NlFamily::Netfilter)?;
        socket.order(GET_STATS, NlmF::empty(), request(0, &Writer::default()))?;
        Ok(Self {
            socket,
            watch: None,
            buffer: vec![0; BUFFER],
        })
    }

    /// Listens to connections to these addresses from now on; to nothing when there are none. True when there is another
    /// descriptor to wait for.
    pub fn listen(&mut self, destinations: &[IpAddr]) -> Result<bool, Error> {
        if destinations.is_empty() {
            self.watch = None;
            return Ok(false);
        }
        let filter = program(destinations);
        if let Some(watch) = &self.watch {
            SockRef::from(watch).attach_filter(&filter)?;
            return Ok(false);
        }
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let protocol = SockProtocol::NetlinkNetFilter;
        let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol).map_err(failed)?;
        force_receive_buffer(&fd, BACKLOG)?;
        SockRef::from(&fd).attach_filter(&filter)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, GROUPS)).map_err(failed)?;
        self.watch = Some(fd);
        Ok(true)
    }

    /// The descriptor to wait for, while it listens.
    pub fn watched(&self) -> Option<RawFd> {
        self.watch.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// What happened, without waiting, at most so many events.
    pub fn events(&mut self, most: usize) -> Result<Events, Error> {
        let mut events = Events::default();
        let Some(watch) = &self.watch else {
            return Ok(events);
        };
        for _ in 0..most {
            match recv(watch.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(len) => {
                    let message = self.buffer.get(..len).unwrap_or_default();
                    events.list.extend(event(message));
                }
                Err(Errno::EAGAIN) => return Ok(events),
                Err(Errno::EINTR) => (),
                Err(Errno::ENOBUFS) => events.overrun = true,
                Err(error) => return Err(failed(error)),
            }
        }
        events.more = true;
        Ok(events)
    }

    /// All connections from and to these pairs of addresses, source and destination, that have another source outside.
    pub fn translations(&mut self, pairs: &[(IpAddr, IpAddr)]) -> Result<Vec<Translation>, Error> {
        let mut found = Vec::new();
        let wanted: std::collections::BTreeSet<_> = pairs.iter().copied().collect();
        let mut take = |translation: Translation| {
            if wanted.contains(&(translation.source, translation.destination)) {
                found.push(translation);
            }
        };
        if pairs.len() <= ONE_BY_ONE {
            for (source, destination) in &wanted {
                // A kernel before 5.8 does not know the filter, and tells everything.
                self.dump(*source, &by_addresses(*source, *destination), &mut take)?;
            }
        } else {
            for family in [IpAddr::is_ipv4, IpAddr::is_ipv6] {
                if let Some((source, _)) = wanted.iter().find(|(source, _)| family(source)) {
                    self.dump(*source, &Writer::default(), &mut take)?;
                }
            }
        }
        Ok(found)
    }

    /// Connections of the family of an address.
    fn dump(
        &mut self,
        of: IpAddr,
        attrs: &Writer,
        take: &mut impl FnMut(Translation),
    ) -> Result<(), Error> {
        let payload = request(family_of(of), attrs);
        let found = self.socket.dump(GET, &payload, |bytes| Ok(read(bytes)))?;
        found.into_iter().for_each(take);
        Ok(())
    }
}

fn failed(error: Errno) -> Error {
    io::Error::from(error).into()
}

fn family_of(addr: IpAddr) -> u8 {
    match addr {
        IpAddr::V4(_) => AF_INET,
        IpAddr::V6(_) => AF_INET6,
    }
}

fn request(family: u8, attrs: &Writer) -> Vec<u8> {
    [&[family, 0, 0, 0][..], attrs.0.as_slice()].concat()
}

/// What asks for the connections between two addresses only.
fn by_addresses(source: IpAddr, destination: IpAddr) -> Writer {
    let (src, dst) = match source {
        IpAddr::V4(_) => (IP_V4_SRC, IP_V4_DST),
        IpAddr::V6(_) => (IP_V6_SRC, IP_V6_DST),
    };
    let mut ip = Writer::default();
    ip.addr(src, source);
    ip.addr(dst, destination);
    let mut tuple = Writer::default();
    tuple.nest(TUPLE_IP, &ip);
    let mut filter = Writer::default();
    filter.u32(FILTER_ORIG_FLAGS, BY_ADDRESSES);
    let mut attrs = Writer::default();
    attrs.nest(TUPLE_ORIG, &tuple);
    attrs.nest(FILTER, &filter);
    attrs
}

/// An event from its message; the kernel puts one into each.
fn event(message: &[u8]) -> Option<Event> {
    let kind = u16::from_ne_bytes([*message.get(4)?, *message.get(5)?]);
    let translation = read(message.get(HEADER..)?)?;
    match kind {
        NEW => Some(Event::New(translation)),
        DELETE => Some(Event::Gone(translation)),
        _ => None,
    }
}

/// One direction of a connection.
#[derive(Clone, Copy)]
struct Tuple {
    proto: u8,
    src: IpAddr,
    dst: IpAddr,
    sport: u16,
    dport: u16,
}

/// A connection with another source outside; anything else is nothing.
fn read(bytes: &[u8]) -> Option<Translation> {
    let (mut original, mut reply) = (None, None);
    for attr in Attrs::new(bytes.get(NFGENMSG..)?) {
        let attr = attr.ok()?;
        match attr.number {
            TUPLE_ORIG => original = tuple(attr.nest()),
            TUPLE_REPLY => reply = tuple(attr.nest()),
            _ => (),
        }
    }
    let (original, reply) = (original?, reply?);
    let nat = original.src != reply.dst && original.dst == reply.src;
    nat.then_some(Translation {
        proto: original.proto,
        source: original.src,
        source_port: original.sport,
        destination: original.dst,
        destination_port: original.dport,
        nat: reply.dst,
        nat_port: reply.dport,
    })
}

fn tuple(attrs: Attrs<'_>) -> Option<Tuple> {
    let (mut src, mut dst, mut proto) = (None, None, None);
    let (mut sport, mut dport, mut id, mut kind) = (0, 0, 0, 0);
    for attr in attrs {
        let attr = attr.ok()?;
        for inner in attr.nest() {
            let inner = inner.ok()?;
            match (attr.number, inner.number) {
                (TUPLE_IP, IP_V4_SRC | IP_V6_SRC) => src = Some(inner.addr().ok()?),
                (TUPLE_IP, IP_V4_DST | IP_V6_DST) => dst = Some(inner.addr().ok()?),
                (TUPLE_PROTO, PROTO_NUM) => proto = Some(inner.u8().ok()?),
                (TUPLE_PROTO, PROTO_SRC_PORT) => sport = u16::from_be(inner.u16().ok()?),
                (TUPLE_PROTO, PROTO_DST_PORT) => dport = u16::from_be(inner.u16().ok()?),
                (TUPLE_PROTO, PROTO_ICMP_ID | PROTO_ICMPV6_ID) => {
                    id = u16::from_be(inner.u16().ok()?)
                }
                (TUPLE_PROTO, PROTO_ICMP_TYPE | PROTO_ICMPV6_TYPE) => kind = inner.u8().ok()?,
                _ => (),
            }
        }
    }
    let proto = proto?;
    (sport, dport) = match proto {
        // A request's identifier is that of its source; the reply's type is that of an answer, the identifier the NAT's.
        ICMP if kind == ECHO => (id, 0),
        ICMP if kind == 0 => (0, id),
        ICMPV6 if kind == ECHO_V6 => (id, 0),
        ICMPV6 if kind == ECHO_V6 + 1 => (0, id),
        ICMP | ICMPV6 => return None,
        proto if PORTS.contains(&proto) => (sport, dport),
        _ => (0, 0),
    };
    Some(Tuple {
        proto,
        src: src?,
        dst: dst?,
        sport,
        dport,
    })
}

// linux/bpf_common.h
const LD_W_ABS: u16 = 0x20;
const LD_B_ABS: u16 = 0x30;
const JEQ_K: u16 = 0x15;
const RET_K: u16 = 0x06;
/// Where an event has its family, and where the destination of its first tuple, which is that of the original direction:
/// header, nfgenmsg, and the headers of CTA_TUPLE_ORIG, CTA_TUPLE_IP and of the addresses.
const FAMILY_AT: u32 = 16;
const V4_AT: u32 = 16 + 4 + 4 + 4 + 8 + 4;
const V6_AT: u32 = 16 + 4 + 4 + 4 + 20 + 4;

/// Lets events through of connections to these addresses; all of them when these are too many.
fn program(destinations: &[IpAddr]) -> Vec<SockFilter> {
    let pass = || SockFilter::new(RET_K, 0, 0, u32::MAX);
    if destinations.len() > MOST {
        return vec![pass()];
    }
    let mut ops = Vec::new();
    for destination in destinations {
        let (at, octets) = match destination {
            IpAddr::V4(addr) => (V4_AT, addr.octets().to_vec()),
            IpAddr::V6(addr) => (V6_AT, addr.octets().to_vec()),
        };
        let words = octets.chunks_exact(4).zip((at..).step_by(4));
        // What is left of this destination, its `pass` among it, is skipped when something differs.
        let mut left = u8::try_from(octets.len() / 2 + 1).unwrap_or(u8::MAX);
        ops.push(SockFilter::new(LD_B_ABS, 0, 0, FAMILY_AT));
        let family = family_of(*destination).into();
        ops.push(SockFilter::new(JEQ_K, 0, left, family));
        for (word, offset) in words {
            left -= 2;
            let word = word
                .iter()
                .fold(0, |word, octet| (word << 8) | u32::from(*octet));
            ops.push(SockFilter::new(LD_W_ABS, 0, 0, offset));
            ops.push(SockFilter::new(JEQ_K, 0, left, word));
        }
        ops.push(pass());
    }
    ops.push(SockFilter::new(RET_K, 0, 0, 0));
    ops
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// A tuple as the kernel writes it.
    fn nest(src: &str, dst: &str, proto: u8, values: &[(u16, u16)]) -> Writer {
        let six = ip(src).is_ipv6();
        let mut addrs = Writer::default();
        addrs.addr(if six { IP_V6_SRC } else { IP_V4_SRC }, ip(src));
        addrs.addr(if six { IP_V6_DST } else { IP_V4_DST }, ip(dst));
        let mut protos = Writer::default();
        protos.u8(PROTO_NUM, proto);
        for (attr, value) in values {
            match *attr {
                PROTO_ICMP_TYPE | PROTO_ICMPV6_TYPE => protos.u8(*attr, *value as u8),
                _ => protos.u16(*attr, value.to_be()),
            }
        }
        let mut tuple = Writer::default();
        tuple.nest(TUPLE_IP, &addrs);
        tuple.nest(TUPLE_PROTO, &protos);
        tuple
    }

    fn message(kind: u16, family: u8, original: &Writer, reply: &Writer) -> Vec<u8> {
        let mut attrs = Writer::default();
        attrs.nest(TUPLE_ORIG, original);
        attrs.nest(TUPLE_REPLY, reply);
        let body = request(family, &attrs);
        let len = u32::try_from(HEADER + body.len()).unwrap();
        let mut bytes = len.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.resize(HEADER, 0);
        [bytes, body].concat()
    }

    const P: &str = "192.168.1.7";
    const N: &str = "203.0.113.2";
    const C: &str = "203.0.113.10";

    fn tcp(src: &str, dst: &str, sport: u16, dport: u16) -> Writer {
        nest(
            src,
            dst,
            6,
            &[(PROTO_SRC_PORT, sport), (PROTO_DST_PORT, dport)],
        )
    }

    #[test]
    fn a_translation_is_read() {
        let expected = Translation {
            proto: 6,
            source: ip(P),
            source_port: 40_000,
            destination: ip(C),
            destination_port: 22,
            nat: ip(N),
            nat_port: 20_001,
        };
        let (original, reply) = (tcp(P, C, 40_000, 22), tcp(C, N, 22, 20_001));
        let new = message(NEW, AF_INET, &original, &reply);
        assert_eq!(event(&new), Some(Event::New(expected)));
        let gone = message(DELETE, AF_INET, &original, &reply);
        assert_eq!(event(&gone), Some(Event::Gone(expected)));
        for cut in 0..new.len() {
            let _ = event(&new[..cut]);
        }
        // Another destination, or no NAT.
        for reply in [tcp("198.51.100.9", N, 22, 20_001), tcp(C, P, 22, 40_000)] {
            assert_eq!(event(&message(NEW, AF_INET, &original, &reply)), None);
        }
    }

    #[test]
    fn an_echo_has_identifiers() {
        let (p, n, c) = ("2001:db8:2::10", "2001:db8:3::2", "2001:db8:3::10");
        let six = |src, dst, kind, id| {
            let values = [(PROTO_ICMPV6_ID, id), (PROTO_ICMPV6_TYPE, kind)];
            nest(src, dst, ICMPV6, &values)
        };
        let new = message(NEW, AF_INET6, &six(p, c, 128, 7), &six(c, n, 129, 9));
        let Some(Event::New(found)) = event(&new) else {
            panic!("no event");
        };
        assert_eq!((found.source_port, found.destination_port), (7, 0));
        assert_eq!(found.nat_port, 9);
        // A question of another kind is none of ours.
        let other = message(NEW, AF_INET6, &six(p, c, 139, 7), &six(c, n, 140, 9));
        assert_eq!(event(&other), None);
    }

    /// Whether the kernel lets a message through to a socket with the filter for these destinations.
    fn passes(destinations: &[IpAddr], message: &[u8]) -> bool {
        let (from, to) = UnixDatagram::pair().unwrap();
        SockRef::from(&to)
            .attach_filter(&program(destinations))
            .unwrap();
        to.set_nonblocking(true).unwrap();
        from.send(message).unwrap();
        to.recv(&mut [0; BUFFER]).is_ok()
    }

    #[test]
    fn the_filter_knows_destinations() {
        let (p6, n6, c6) = ("2001:db8:2::10", "2001:db8:3::2", "2001:db8:3::10");
        let four = message(NEW, AF_INET, &tcp(P, C, 1, 2), &tcp(C, N, 2, 1));
        let six = message(NEW, AF_INET6, &tcp(p6, c6, 1, 2), &tcp(c6, n6, 2, 1));
        let lets = |list: &[&str]| {
            let list: Vec<IpAddr> = list.iter().map(|text| ip(text)).collect();
            (passes(&list, &four), passes(&list, &six))
        };
        assert_eq!(lets(&["192.0.2.1", C]), (true, false));
        assert_eq!(lets(&["2001:db8:3::11", c6, "2001:db8::1"]), (false, true));
        assert_eq!(lets(&[P, p6, "2001:db8:3::11"]), (false, false));
        assert_eq!(lets(&[c6, C]), (true, true));
        assert_eq!(lets(&[P; MOST + 1]), (true, true));
    }
}
