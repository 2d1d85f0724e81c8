// SPDX-License-Identifier: GPL-2.0
//! Forwarded datagrams of one port, which wait for a verdict: an nftables table of our own, and the netfilter queue in which they wait.
//!
//! The queue is fail-open: datagrams that it has no room for are forwarded without a verdict.
//!
//! C headers: linux/netfilter/nfnetlink.h, nfnetlink_queue.h

use std::os::fd::{
    AsRawFd,
    RawFd, //
};

use ihmp_netlink::{
    Attrs,
    Error,
    Flags,
    Protocol,
    Socket,
    Wait,
    Writer, //
};

use crate::nftables::{
    message,
    number,
    Table,
    NF_INET_POST_ROUTING, //
};

const SUBSYS_QUEUE: u16 = 3 << 8;

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

/// Octets of a packet that are copied: more than the longest message with its headers.
const COPIED: u32 = 2_048;
/// Packets that wait at most.
const WAITING: u32 = 1_024;
/// Room for them in the socket, in octets: that many of the longest, and what the kernel adds to each.
const BACKLOG: usize = 4 << 20;

/// A packet that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Its number in the queue.
    pub id: u32,
    /// The device by which it came.
    pub device: u32,
    /// It was queued behind the source NAT.
    pub translated: bool,
    /// What it is, from its network header on.
    pub bytes: Vec<u8>,
}

/// The packets that wait.
pub struct Queue {
    queue: Socket,
    number: u16,
    _table: Table,
}

impl Queue {
    /// Queues forwarded UDP datagrams from and to this port, in the network namespace of the thread; if `translated`, those
    /// of source NAT once more behind it.
    pub fn open(port: u16, queue: u16, translated: bool) -> Result<Self, Error> {
        // The queue is bound before the table is made: no datagram waits for a queue that nobody reads.
        let mut socket = Socket::open(Protocol::Netfilter)?;
        socket.force_receive_buffer(BACKLOG)?;
        let mut bind = Writer::default();
        bind.bytes(CFG_CMD, &[CFG_CMD_BIND, 0, 0, 0]);
        socket.order(MSG_CONFIG, Flags::empty(), message(0, queue, &bind))?;
        let mut params = Writer::default();
        let mut copy = COPIED.to_be_bytes().to_vec();
        copy.push(COPY_PACKET);
        params.bytes(CFG_PARAMS, &copy);
        number(&mut params, CFG_QUEUE_MAXLEN, WAITING);
        number(&mut params, CFG_MASK, F_FAIL_OPEN);
        number(&mut params, CFG_FLAGS, F_FAIL_OPEN);
        socket.order(MSG_CONFIG, Flags::empty(), message(0, queue, &params))?;

        let table = Table::make(port, queue, translated)?;
        Ok(Self {
            queue: socket,
            number: queue,
            _table: table,
        })
    }

    /// The packets that have come; empty if there are none.
    pub fn receive(&mut self) -> Result<Vec<Packet>, Error> {
        let messages = loop {
            match self.queue.receive(Wait::No) {
                Ok(messages) => break messages,
                Err(error) if error.would_block() => return Ok(vec![]),
                // Packets that there was no room for have gone on. Those that are queued are still here, and the kernel queues no
                // others until they are received.
                Err(error) if error.overrun() => (),
                Err(error) => return Err(error),
            }
        };
        let mut packets = Vec::new();
        for message in &messages {
            let Some(object) = message.object() else {
                continue;
            };
            if message.kind() == MSG_PACKET {
                packets.extend(read(object)?);
            }
        }
        Ok(packets)
    }

    /// Forwards a packet, or drops it.
    pub fn verdict(&mut self, id: u32, pass: bool) -> Result<(), Error> {
        self.settle(id, if pass { NF_ACCEPT } else { NF_DROP }, None)
    }

    /// Forwards these octets, from the network header on, in place of a packet; the packet as it is, if it was too long to be copied whole.
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
        self.queue.send(MSG_VERDICT, Flags::empty(), payload)
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
        match attr.number() {
            // struct nfqnl_msg_packet_hdr: the number first, the hook last.
            A_PACKET_HDR => {
                id = attr
                    .payload()
                    .first_chunk()
                    .map(|id| u32::from_be_bytes(*id));
                let hook = attr.payload().get(6).copied();
                translated = hook.map(u32::from) == Some(NF_INET_POST_ROUTING);
            }
            A_INDEV => device = u32::from_be(attr.u32()?),
            A_PAYLOAD => packet = attr.payload().to_vec(),
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
}
