// SPDX-License-Identifier: GPL-2.0
//! Events of the module as a stream.

use std::{
    collections::VecDeque,
    os::fd::{
        AsRawFd,
        RawFd, //
    },
};

use ihmp_netlink::{
    Family,
    Protocol,
    Socket,
    Wait, //
};
use ihmp_uapi::{
    FAMILY_NAME,
    MCGRP_EVENTS, //
};

use crate::{
    codec,
    error::Error,
    event::Event,
    family::resolve, //
};

/// Room for events that nobody has fetched yet, in octets.
const BACKLOG: usize = 1 << 20;

/// A subscription to the module's events, in the network namespace where it was made.
///
/// Subscribe before you dump, so that no change is missed in between. The file descriptor is readable when there is an event.
pub struct Events {
    socket: Socket,
    controller: Family,
    family: Family,
    pending: VecDeque<Event>,
}

impl Events {
    /// Joins the group of events.
    pub fn subscribe() -> Result<Self, Error> {
        let mut socket = Socket::open(Protocol::Generic)?;
        let controller = resolve(&mut socket, Family::CONTROLLER)?;
        let family = resolve(&mut socket, FAMILY_NAME)?;
        socket.force_receive_buffer(BACKLOG)?;
        socket.join(controller.group("notify")?)?;
        socket.join(family.group(MCGRP_EVENTS)?)?;
        Ok(Self {
            socket,
            controller,
            family,
            pending: VecDeque::new(),
        })
    }

    /// The next event; `None` when there is none at the moment.
    ///
    /// `Error::NoModule`, here and from `wait`, says that the module was unloaded; when it is loaded again, and the caller still listens, the
    /// next event is `Event::Resync`.
    // An iterator could not tell "nothing now" from "nothing ever again".
    #[expect(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Event>, Error> {
        self.fetch(Wait::No)
    }

    /// The next event; waits until there is one.
    pub fn wait(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.fetch(Wait::Yes)? {
                return Ok(event);
            }
        }
    }

    fn fetch(&mut self, wait: Wait) -> Result<Option<Event>, Error> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Ok(Some(event));
            }
            match self.receive(wait) {
                Ok(()) => (),
                Err(Error::Netlink(error)) if error.would_block() => return Ok(None),
                Err(Error::Netlink(error)) if error.overrun() => {
                    self.discard()?;
                    return Ok(Some(Event::Resync));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Throws away what is still queued: it is older than the dump that the caller makes next, and the kernel queues nothing until the
    /// queue is empty.
    fn discard(&mut self) -> Result<(), Error> {
        loop {
            match self.socket.receive(Wait::No) {
                Ok(_) => (),
                Err(error) if error.overrun() => (),
                Err(error) if error.would_block() => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes one buffer of messages from the socket to the queue.
    fn receive(&mut self, wait: Wait) -> Result<(), Error> {
        for message in self.socket.receive(wait)? {
            let Some(object) = message.object() else {
                continue;
            };
            if message.kind() == self.family.id() {
                let event = codec::read_event(object).map_err(ihmp_netlink::Error::from)?;
                self.pending.extend(event);
            } else if message.kind() == self.controller.id() {
                self.family_changed(object)?;
            }
        }
        Ok(())
    }

    /// A family came or went.
    fn family_changed(&mut self, message: &[u8]) -> Result<(), Error> {
        let changed = Family::changed(message).map_err(ihmp_netlink::Error::from)?;
        let Some((family, there)) = changed.filter(|(family, _)| family.name() == FAMILY_NAME)
        else {
            return Ok(());
        };
        if !there {
            return Err(Error::NoModule);
        }
        self.socket.join(family.group(MCGRP_EVENTS)?)?;
        self.family = family;
        self.pending.push_back(Event::Resync);
        Ok(())
    }
}

impl AsRawFd for Events {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}
