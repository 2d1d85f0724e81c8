// SPDX-License-Identifier: GPL-2.0
//! What the machine's NAT did: connections whose source it exchanges, asked for and heard of.
//!
//! Only what began inside is told, from where it came to where it went; what a rule lets in from outside is not.
//! An entry that was there before anybody listened may end without a word (`net.netfilter.nf_conntrack_events` is 2 by
//! default), so who wants to know has to ask now and then.
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

/// Most pairs of addresses for which the table is gone through one by one; for more, once for all.
const ONE_BY_ONE: usize = 4;

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
    listener: Option<Listener>,
}

impl Conntrack {
    /// Asks the kernel whether it has connection tracking; it may load a module now.
    pub fn open() -> Result<Self, Error> {
        let mut socket = Socket::open(Protocol::Netfilter)?;
        let payload = request(0, &Writer::default());
        socket.order(GET_STATS, Flags::empty(), payload)?;
        Ok(Self {
            socket,
            listener: None,
        })
    }

    /// Listens to connections to these addresses from now on; to nothing when there are none. True when there is another
    /// descriptor to wait for.
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

    /// What happened, without waiting, at most so many events.
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

    /// All connections from and to these pairs of addresses, source and destination, that have another source outside.
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
