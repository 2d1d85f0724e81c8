// SPDX-License-Identifier: GPL-2.0
//! Forwarded datagrams of one port, held by the kernel until somebody has looked at them: an nftables table of our own
//! that hands them over, and the netfilter queue that they wait in.
//!
//! With `translated` there is a second chain, behind the source NAT of the machine: it hands over those once more whose
//! source or destination that NAT exchanges (`ct status snat`), as they leave.
//!
//! The table belongs to the socket that made it (`NFT_TABLE_F_OWNER`): the kernel removes it when the socket goes,
//! however that happens. Its rule has `bypass` and the queue is fail-open: where nobody listens, or not fast enough, what
//! is forwarded goes on.
//!
//! C headers: linux/netfilter/nfnetlink.h, nfnetlink_queue.h, nf_tables.h

use std::{
    io,
    os::fd::{
        AsRawFd,
        RawFd, //
    },
};

use neli::{
    consts::{
        nl::NlmF,
        socket::NlFamily, //
    },
    nl::NlPayload, //
};

use crate::{
    attrs::{
        Attrs,
        Writer, //
    },
    error::Error,
    socket::{
        Socket,
        Wait, //
    },
};

/// Name of the table.
pub const TABLE: &str = "ihmp_router";
const CHAIN: &str = "forward";
const TRANSLATED: &str = "translated";

const SUBSYS_QUEUE: u16 = 3 << 8;
const SUBSYS_NFTABLES: u16 = 10 << 8;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const NFPROTO_UNSPEC: u8 = 0;
const NFPROTO_INET: u8 = 1;

// enum nfqnl_msg_types
const MSG_PACKET: u16 = SUBSYS_QUEUE;
const MSG_VERDICT: u16 = SUBSYS_QUEUE | 1;
const MSG_CONFIG: u16 = SUBSYS_QUEUE | 2;
const CFG_CMD: u16 = 1;
const CFG_CMD_BIND: u8 = 1;
const CFG_PARAMS: u16 = 2;
const CFG_QUEUE_MAXLEN: u16 = 3;
const CFG_MASK: u16 = 4;
const CFG_FLAGS: u16 = 5;
const F_FAIL_OPEN: u32 = 1;
const COPY_PACKET: u8 = 2;
const A_PACKET_HDR: u16 = 1;
const A_VERDICT_HDR: u16 = 2;
const A_INDEV: u16 = 5;
const A_PAYLOAD: u16 = 10;
const NF_DROP: u32 = 0;
const NF_ACCEPT: u32 = 1;

// enum nf_tables_msg_types and attributes
const NEWTABLE: u16 = SUBSYS_NFTABLES;
const NEWCHAIN: u16 = SUBSYS_NFTABLES | 3;
const NEWRULE: u16 = SUBSYS_NFTABLES | 6;
const TABLE_F_OWNER: u32 = 2;
const NF_INET_FORWARD: u32 = 2;
const NF_INET_POST_ROUTING: u32 = 4;
/// The first place behind source NAT (NF_IP_PRI_NAT_SRC is 100).
const BEHIND_NAT: u32 = 101;
const META_L4PROTO: u32 = 16;
const PAYLOAD_TRANSPORT: u32 = 2;
const REGISTER: u32 = 1;
const CMP_EQ: u32 = 0;
const CMP_NEQ: u32 = 1;
const CT_STATUS: u32 = 2;
/// IPS_SRC_NAT, of enum ip_conntrack_status.
const SRC_NAT: u32 = 1 << 4;
const QUEUE_BYPASS: u16 = 1;
const UDP: u8 = 17;

/// Octets of a packet that are copied: more than the longest message with its headers.
const COPIED: u32 = 2_048;
/// Packets that wait at most.
const WAITING: u32 = 1_024;
const EEXIST: i32 = 17;
const ENOBUFS: i32 = 105;

/// A packet that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Its number.
    pub id: u32,
    /// The device by which it came.
    pub device: u32,
    /// It comes from behind the source NAT.
    pub translated: bool,
    /// What it is, from its network header on.
    pub bytes: Vec<u8>,
}

/// The packets that wait.
pub struct Queue {
    queue: Socket,
    number: u16,
    /// Holds the table.
    _table: Socket,
}

/// `struct nfgenmsg`, then attributes.
fn message(family: u8, resource: u16, attrs: &Writer) -> Vec<u8> {
    let [high, low] = resource.to_be_bytes();
    [&[family, 0, high, low][..], attrs.0.as_slice()].concat()
}

/// A number in network byte order, as all of these subsystems want it.
fn number(attrs: &mut Writer, attr: u16, value: u32) {
    attrs.bytes(attr, &value.to_be_bytes());
}

/// An expression of a rule.
fn expression(list: &mut Writer, name: &str, data: &Writer) {
    let mut expression = Writer::default();
    expression.string(1, name);
    expression.nest(2, data);
    list.nest(1, &expression);
}

/// Compares the register with these octets.
fn compare(list: &mut Writer, how: u32, octets: &[u8]) {
    let mut value = Writer::default();
    value.bytes(1, octets);
    let mut data = Writer::default();
    number(&mut data, 1, REGISTER);
    number(&mut data, 2, how);
    data.nest(3, &value);
    expression(list, "cmp", &data);
}

/// The packet is UDP, and these octets of its header are such.
fn udp(list: &mut Writer, offset: u32, octets: &[u8]) {
    let mut meta = Writer::default();
    number(&mut meta, 1, REGISTER);
    number(&mut meta, 2, META_L4PROTO);
    expression(list, "meta", &meta);
    compare(list, CMP_EQ, &[UDP]);
    let mut ports = Writer::default();
    number(&mut ports, 1, REGISTER);
    number(&mut ports, 2, PAYLOAD_TRANSPORT);
    number(&mut ports, 3, offset);
    number(
        &mut ports,
        4,
        u32::try_from(octets.len()).unwrap_or(u32::MAX),
    );
    expression(list, "payload", &ports);
    compare(list, CMP_EQ, octets);
}

/// The connection has a source NAT: `ct status & snat != 0`, in the kernel's own byte order.
fn source_nat(list: &mut Writer) {
    let mut status = Writer::default();
    number(&mut status, 1, REGISTER);
    number(&mut status, 2, CT_STATUS);
    expression(list, "ct", &status);
    let (mut mask, mut none) = (Writer::default(), Writer::default());
    mask.bytes(1, &SRC_NAT.to_ne_bytes());
    none.bytes(1, &[0; 4]);
    let mut bits = Writer::default();
    number(&mut bits, 1, REGISTER);
    number(&mut bits, 2, REGISTER);
    number(&mut bits, 3, 4);
    bits.nest(4, &mask);
    bits.nest(5, &none);
    expression(list, "bitwise", &bits);
    compare(list, CMP_NEQ, &[0; 4]);
}

/// A chain at a hook.
fn chain(name: &str, hook_number: u32, priority: u32) -> Writer {
    let mut hook = Writer::default();
    number(&mut hook, 1, hook_number);
    number(&mut hook, 2, priority);
    let mut chain = Writer::default();
    chain.string(1, TABLE);
    chain.string(3, name);
    chain.nest(4, &hook);
    number(&mut chain, 5, NF_ACCEPT);
    chain.string(7, "filter");
    chain
}

/// A rule that queues what its expressions match.
fn rule(name: &str, queue: u16, mut list: Writer) -> Writer {
    let mut to = Writer::default();
    to.bytes(1, &queue.to_be_bytes());
    to.bytes(2, &1u16.to_be_bytes());
    to.bytes(3, &QUEUE_BYPASS.to_be_bytes());
    expression(&mut list, "queue", &to);
    let mut rule = Writer::default();
    rule.string(1, TABLE);
    rule.string(2, name);
    rule.nest(4, &list);
    rule
}

/// What makes a table whose chains queue UDP from and to a port.
fn table(port: u16, queue: u16, translated: bool) -> Vec<(u16, NlmF, Vec<u8>)> {
    let mut table = Writer::default();
    table.string(1, TABLE);
    number(&mut table, 2, TABLE_F_OWNER);

    let new = NlmF::CREATE | NlmF::ACK;
    let batch = message(NFPROTO_UNSPEC, SUBSYS_NFTABLES >> 8, &Writer::default());
    let mut messages = vec![
        (BATCH_BEGIN, NlmF::empty(), batch.clone()),
        (NEWTABLE, new | NlmF::EXCL, message(NFPROTO_INET, 0, &table)),
    ];
    let mut add = |chain: Writer, rule: Writer| {
        messages.push((NEWCHAIN, new, message(NFPROTO_INET, 0, &chain)));
        messages.push((NEWRULE, new | NlmF::APPEND, message(NFPROTO_INET, 0, &rule)));
    };
    let [high, low] = port.to_be_bytes();
    let mut list = Writer::default();
    udp(&mut list, 0, &[high, low, high, low]);
    add(chain(CHAIN, NF_INET_FORWARD, 0), rule(CHAIN, queue, list));
    if translated {
        // The port from which it comes may be the NAT's.
        let mut list = Writer::default();
        udp(&mut list, 2, &[high, low]);
        source_nat(&mut list);
        add(
            chain(TRANSLATED, NF_INET_POST_ROUTING, BEHIND_NAT),
            rule(TRANSLATED, queue, list),
        );
    }
    messages.push((BATCH_END, NlmF::empty(), batch));
    messages
}

impl Queue {
    /// Queues forwarded UDP datagrams from and to this port, in the network namespace of the thread; if `translated`, those
    /// of source NAT once more behind it.
    pub fn open(port: u16, queue: u16, translated: bool) -> Result<Self, Error> {
        // Who listens comes first: then nothing waits for nobody.
        let mut socket = Socket::open_family(NlFamily::Netfilter)?;
        socket.set_receive_buffer(4 << 20)?;
        let mut bind = Writer::default();
        bind.bytes(CFG_CMD, &[CFG_CMD_BIND, 0, 0, 0]);
        socket.order(MSG_CONFIG, NlmF::empty(), message(0, queue, &bind))?;
        let mut params = Writer::default();
        let mut copy = COPIED.to_be_bytes().to_vec();
        copy.push(COPY_PACKET);
        params.bytes(CFG_PARAMS, &copy);
        number(&mut params, CFG_QUEUE_MAXLEN, WAITING);
        number(&mut params, CFG_MASK, F_FAIL_OPEN);
        number(&mut params, CFG_FLAGS, F_FAIL_OPEN);
        socket.order(MSG_CONFIG, NlmF::empty(), message(0, queue, &params))?;

        let mut owner = Socket::open_family(NlFamily::Netfilter)?;
        owner
            .batch(table(port, queue, translated))
            .map_err(|error| match error {
                Error::Io(error) if error.raw_os_error() == Some(EEXIST) => {
                    let what =
                        format!("the nftables table {TABLE} is there: another router agent runs");
                    io::Error::other(what).into()
                }
                error => error,
            })?;
        Ok(Self {
            queue: socket,
            number: queue,
            _table: owner,
        })
    }

    /// The packets that have come; none when there are none now.
    pub fn receive(&mut self) -> Result<Vec<Packet>, Error> {
        let messages = match self.queue.receive(Wait::No) {
            Ok(messages) => messages,
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(vec![])
            }
            // Too many at a time: those have gone on.
            Err(Error::Io(error)) if error.raw_os_error() == Some(ENOBUFS) => return Ok(vec![]),
            Err(error) => return Err(error),
        };
        let mut packets = Vec::new();
        for message in &messages {
            let NlPayload::Payload(payload) = message.nl_payload() else {
                continue;
            };
            if *message.nl_type() == MSG_PACKET {
                packets.extend(read(payload.as_ref())?);
            }
        }
        Ok(packets)
    }

    /// Lets a packet go on, or not.
    pub fn verdict(&mut self, id: u32, pass: bool) -> Result<(), Error> {
        self.settle(id, if pass { NF_ACCEPT } else { NF_DROP }, None)
    }

    /// Lets a packet go on as these octets, from its network header on; as it is if not all of it was here.
    pub fn replace(&mut self, id: u32, bytes: &[u8]) -> Result<(), Error> {
        let whole = bytes.len() < COPIED as usize;
        self.settle(id, NF_ACCEPT, whole.then_some(bytes))
    }

    fn settle(&mut self, id: u32, verdict: u32, bytes: Option<&[u8]>) -> Result<(), Error> {
        let mut attrs = Writer::default();
        let octets = [verdict.to_be_bytes(), id.to_be_bytes()].concat();
        attrs.bytes(A_VERDICT_HDR, &octets);
        if let Some(bytes) = bytes {
            attrs.bytes(A_PAYLOAD, bytes);
        }
        let payload = message(0, self.number, &attrs);
        self.queue.send(MSG_VERDICT, NlmF::empty(), payload)?;
        Ok(())
    }
}

impl AsRawFd for Queue {
    fn as_raw_fd(&self) -> RawFd {
        self.queue.as_raw_fd()
    }
}

/// A packet from its message; `struct nfgenmsg` is 4 octets.
fn read(bytes: &[u8]) -> Result<Option<Packet>, Error> {
    let (mut id, mut device, mut packet) = (None, 0, Vec::new());
    let mut translated = false;
    for attr in Attrs::new(bytes.get(4..).unwrap_or_default()) {
        let attr = attr?;
        match attr.number {
            // struct nfqnl_msg_packet_hdr: the number first, the hook last.
            A_PACKET_HDR => {
                id = attr.payload.first_chunk().map(|id| u32::from_be_bytes(*id));
                let hook = attr.payload.get(6).copied();
                translated = hook.map(u32::from) == Some(NF_INET_POST_ROUTING);
            }
            A_INDEV => device = u32::from_be(attr.u32()?),
            A_PAYLOAD => packet = attr.payload.to_vec(),
            _ => (),
        }
    }
    Ok(id.map(|id| Packet {
        id,
        device,
        translated,
        bytes: packet,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_read() {
        for (hook, translated) in [(2, false), (4, true)] {
            let mut attrs = Writer::default();
            attrs.bytes(A_PACKET_HDR, &[0, 0, 0, 7, 8, 0, hook]);
            number(&mut attrs, A_INDEV, 3);
            attrs.bytes(A_PAYLOAD, b"packet");
            let packet = Packet {
                id: 7,
                device: 3,
                translated,
                bytes: b"packet".to_vec(),
            };
            assert_eq!(read(&message(2, 9, &attrs)).unwrap(), Some(packet));
        }
        assert_eq!(read(&[2, 0, 0, 9]).unwrap(), None);
        assert!(read(&[2, 0, 0, 9, 1]).is_err());
    }

    #[test]
    fn the_batch_has_a_begin_and_an_end() {
        let kinds = |translated| -> Vec<u16> {
            let table = table(61_453, 1, translated);
            table.iter().map(|(kind, ..)| *kind).collect()
        };
        let chain = [NEWCHAIN, NEWRULE];
        let around = |inner: &[u16]| [&[BATCH_BEGIN, NEWTABLE], inner, &[BATCH_END]].concat();
        assert_eq!(kinds(false), around(&chain));
        assert_eq!(kinds(true), around(&[chain, chain].concat()));
    }
}
