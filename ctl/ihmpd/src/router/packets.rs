// SPDX-License-Identifier: GPL-2.0
//! The datagrams that are shown to a router, and what becomes of them.

use std::os::fd::{
    AsRawFd,
    RawFd, //
};

use ihmp_network::{
    queue::{
        Packet,
        Queue, //
    },
    Error,
};
use ihmp_router::{
    mark,
    Verdict, //
};

/// The queue, and the packet that is looked at.
pub(super) struct Packets {
    queue: Queue,
    packet: Vec<u8>,
}

impl Packets {
    /// Queues datagrams of this port; of a NAT, once more as they leave.
    pub(super) fn open(port: u16, queue: u16, nat: bool) -> Result<Self, Error> {
        Ok(Self {
            queue: Queue::open(port, queue, nat)?,
            packet: Vec::new(),
        })
    }

    /// The descriptor to wait for.
    pub(super) fn fd(&self) -> RawFd {
        self.queue.as_raw_fd()
    }

    /// The packets that have come; none when there are none now.
    pub(super) fn receive(&mut self) -> Result<Vec<Packet>, Error> {
        self.queue.receive()
    }

    /// This packet is looked at now.
    pub(super) fn show(&mut self, packet: &Packet) {
        self.packet.clone_from(&packet.bytes);
    }

    /// Lets go of a packet; a mark is put on the one that was shown last.
    pub(super) fn settle(&mut self, id: u32, verdict: Verdict) -> Result<(), Error> {
        match verdict {
            Verdict::Mark if mark(&mut self.packet) => self.queue.replace(id, &self.packet),
            Verdict::Mark | Verdict::Pass => self.queue.verdict(id, true),
            Verdict::Take => self.queue.verdict(id, false),
        }
    }
}
