// SPDX-License-Identifier: GPL-2.0
//! Connections whose source the machine's NAT replaces: reads them from connection tracking, and receives their beginning and end.
//!
//! Only connections that began inside are reported, and not those that a rule lets in from outside. For an entry that was there before
//! anybody listened, the kernel may report no end (`net.netfilter.nf_conntrack_events` is 2 by default), so the table has to be read
//! now and then.
//!
//! C headers: linux/netfilter/nfnetlink_conntrack.h

use std::{
    collections::BTreeSet,
    net::IpAddr,
    os::fd::{
        AsRawFd,
        RawFd, //
    },
};

use ihmp_netlink::{
    Error,
    Flags,
    Heard,
    Listener,
    Protocol,
    Socket,
    Writer, //
};

mod filter;
mod message;

use crate::rtnetlink::family_of;
use message::{
    by_addresses,
    read,
    request, //
};

const SUBSYS: u16 = 1 << 8;
// enum cntl_msg_types
const NEW: u16 = SUBSYS;
const GET: u16 = SUBSYS | 1;
const DELETE: u16 = SUBSYS | 2;
const GET_STATS: u16 = SUBSYS | 5;
/// NFNLGRP_CONNTRACK_NEW is group 1, NFNLGRP_CONNTRACK_DESTROY 3.
const GROUPS: u32 = 1 | (1 << 2);

/// For so many pairs of addresses at most, one dump is made for each pair. For more of them, the whole table is dumped once.
const ONE_BY_ONE: usize = 4;

/// A connection whose source the NAT replaces. Ports are in host byte order. For ICMP echoes, the identifier stands for the port of the
/// source, and the port of the destination is 0. Protocols without ports have 0 everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Translation {
    /// Upper-layer protocol.
    pub proto: u8,
    /// Its source address before the NAT.
    pub source: IpAddr,
    /// Its port.
    pub source_port: u16,
    /// The destination.
    pub destination: IpAddr,
    /// Its port.
    pub destination_port: u16,
    /// Its source address behind the NAT.
    pub nat: IpAddr,
    /// Its port.
    pub nat_port: u16,
}

/// A change of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A connection was made.
    New(Translation),
    /// One ended.
    Gone(Translation),
}

/// The changes since the last time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// In the order in which they happened.
    pub list: Vec<Event>,
    /// Events were lost.
    pub overrun: bool,
    /// There is more to read.
    pub more: bool,
}

/// A socket for requests, and a monitor while there is something to listen to.
pub struct Conntrack {
    socket: Socket,
    listener: Option<Listener>,
}

impl Conntrack {
    /// Fails if the kernel has no connection tracking; this may load its module.
    pub fn open() -> Result<Self, Error> {
        let mut socket = Socket::open(Protocol::Netfilter)?;
        let payload = request(0, &Writer::default());
        socket.order(GET_STATS, Flags::empty(), payload)?;
        Ok(Self {
            socket,
            listener: None,
        })
    }

    /// Receives events of connections to these addresses from now on, and none if there are no addresses. True if there is a new descriptor
    /// to wait for.
    pub fn listen(&mut self, destinations: &[IpAddr]) -> Result<bool, Error> {
        if destinations.is_empty() {
            self.listener = None;
            return Ok(false);
        }
        let program = filter::program(destinations);
        if let Some(listener) = &self.listener {
            listener.set_program(&program)?;
            return Ok(false);
        }
        self.listener = Some(Listener::open(Protocol::Netfilter, GROUPS, &program)?);
        Ok(true)
    }

    /// The descriptor to wait for, while it listens.
    pub fn watched(&self) -> Option<RawFd> {
        self.listener.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// The events that have come, without waiting, and no more than `most`.
    pub fn events(&mut self, most: usize) -> Result<Events, Error> {
        let mut events = Events::default();
        let Some(listener) = &mut self.listener else {
            return Ok(events);
        };
        for _ in 0..most {
            match listener.hear()? {
                Heard::Message { kind, body } => events.list.extend(event(kind, body)),
                Heard::Overrun { .. } => events.overrun = true,
                Heard::Nothing => return Ok(events),
            }
        }
        events.more = true;
        Ok(events)
    }

    /// All connections between these pairs of addresses (source, destination) whose source the NAT replaces.
    pub fn translations(&mut self, pairs: &[(IpAddr, IpAddr)]) -> Result<Vec<Translation>, Error> {
        let mut found = Vec::new();
        let wanted: BTreeSet<_> = pairs.iter().copied().collect();
        let mut take = |translation: Translation| {
            if wanted.contains(&(translation.source, translation.destination)) {
                found.push(translation);
            }
        };
        if pairs.len() <= ONE_BY_ONE {
            for (source, destination) in &wanted {
                // A kernel before 5.8 does not know the filter, and dumps everything: `take` checks again.
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

    /// Dumps the connections of the family of an address.
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

/// An event from its message.
fn event(kind: u16, body: &[u8]) -> Option<Event> {
    let translation = read(body)?;
    match kind {
        NEW => Some(Event::New(translation)),
        DELETE => Some(Event::Gone(translation)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
