// SPDX-License-Identifier: GPL-2.0
//! The nftables table of a router agent: it puts forwarded datagrams into a queue.
//!
//! With `translated` there is a second chain, behind the machine's source NAT. As they leave, it queues those datagrams once more whose
//! source or destination the NAT has replaced (`ct status snat`).
//!
//! The table belongs to the socket that made it (`NFT_TABLE_F_OWNER`): the kernel removes it when the socket is closed, even if the agent
//! was killed. Its rules have `bypass`: if nobody listens to the queue, datagrams are forwarded.
//!
//! C headers: linux/netfilter/nfnetlink.h, nf_tables.h

use std::io;

use ihmp_netlink::{
    Error,
    Flags,
    Protocol,
    Socket,
    Writer, //
};

use crate::errno::EEXIST;

/// Name of the table.
const NAME: &str = "ihmp_router";
const FORWARD: &str = "forward";
const TRANSLATED: &str = "translated";

const SUBSYS_NFTABLES: u16 = 10 << 8;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const NFPROTO_UNSPEC: u8 = 0;
const NFPROTO_INET: u8 = 1;

// enum nf_tables_msg_types and attributes
const NEWTABLE: u16 = SUBSYS_NFTABLES;
const NEWCHAIN: u16 = SUBSYS_NFTABLES | 3;
const NEWRULE: u16 = SUBSYS_NFTABLES | 6;
const TABLE_F_OWNER: u32 = 2;
const NF_ACCEPT: u32 = 1;
const NF_INET_FORWARD: u32 = 2;
pub(crate) const NF_INET_POST_ROUTING: u32 = 4;
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

/// The table, for as long as this value is there.
pub(crate) struct Table {
    _owner: Socket,
}

impl Table {
    /// Makes a table whose chains queue UDP from and to a port; if `translated`, what source NAT exchanges once more behind it.
    pub(crate) fn make(port: u16, queue: u16, translated: bool) -> Result<Self, Error> {
        let mut owner = Socket::open(Protocol::Netfilter)?;
        match owner.batch(messages(port, queue, translated)) {
            Ok(()) => Ok(Self { _owner: owner }),
            Err(error) if error.errno() == Some(EEXIST) => {
                let what = format!("the nftables table {NAME} is there: another router agent runs");
                Err(io::Error::other(what).into())
            }
            Err(error) => Err(error),
        }
    }
}

/// `struct nfgenmsg`, then attributes.
pub(crate) fn message(family: u8, resource: u16, attrs: &Writer) -> Vec<u8> {
    let [high, low] = resource.to_be_bytes();
    attrs.behind(&[family, 0, high, low])
}

/// A number in network byte order, as all subsystems of nfnetlink have it.
pub(crate) fn number(attrs: &mut Writer, attr: u16, value: u32) {
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
    chain.string(1, NAME);
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
    rule.string(1, NAME);
    rule.string(2, name);
    rule.nest(4, &list);
    rule
}

/// What makes the table.
fn messages(port: u16, queue: u16, translated: bool) -> Vec<(u16, Flags, Vec<u8>)> {
    let mut table = Writer::default();
    table.string(1, NAME);
    number(&mut table, 2, TABLE_F_OWNER);

    let new = Flags::CREATE | Flags::ACK;
    let batch = message(NFPROTO_UNSPEC, SUBSYS_NFTABLES >> 8, &Writer::default());
    let mut messages = vec![
        (BATCH_BEGIN, Flags::empty(), batch.clone()),
        (
            NEWTABLE,
            new | Flags::EXCL,
            message(NFPROTO_INET, 0, &table),
        ),
    ];
    let mut add = |chain: Writer, rule: Writer| {
        messages.push((NEWCHAIN, new, message(NFPROTO_INET, 0, &chain)));
        messages.push((
            NEWRULE,
            new | Flags::APPEND,
            message(NFPROTO_INET, 0, &rule),
        ));
    };
    let [high, low] = port.to_be_bytes();
    let mut list = Writer::default();
    udp(&mut list, 0, &[high, low, high, low]);
    add(
        chain(FORWARD, NF_INET_FORWARD, 0),
        rule(FORWARD, queue, list),
    );
    if translated {
        // The source port may be one that a NAT gave.
        let mut list = Writer::default();
        udp(&mut list, 2, &[high, low]);
        source_nat(&mut list);
        add(
            chain(TRANSLATED, NF_INET_POST_ROUTING, BEHIND_NAT),
            rule(TRANSLATED, queue, list),
        );
    }
    messages.push((BATCH_END, Flags::empty(), batch));
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_batch_has_a_begin_and_an_end() {
        let kinds = |translated| -> Vec<u16> {
            let messages = messages(61_453, 1, translated);
            messages.iter().map(|(kind, ..)| *kind).collect()
        };
        let chain = [NEWCHAIN, NEWRULE];
        let around = |inner: &[u16]| [&[BATCH_BEGIN, NEWTABLE], inner, &[BATCH_END]].concat();
        assert_eq!(kinds(false), around(&chain));
        assert_eq!(kinds(true), around(&[chain, chain].concat()));
    }
}
