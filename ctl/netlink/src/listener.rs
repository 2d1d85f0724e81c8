// SPDX-License-Identifier: GPL-2.0
//! A netlink socket that receives what the kernel multicasts, through a filter.

use std::os::fd::{
    AsRawFd,
    RawFd, //
};

use crate::{
    bpf::Program,
    descriptor::{
        Descriptor,
        Protocol,
        Wait, //
    },
    error::Error,
    message::HEADER, //
};

/// Room for messages that nobody has fetched yet, in octets.
const BACKLOG: usize = 1 << 20;
/// The longest message; what is longer is cut.
const BUFFER: usize = 32_768;

/// What was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// A message. There is one in each datagram: the kernel does not put several events of a group into one.
    Message {
        /// Its type.
        kind: u16,
        /// What follows its header; empty if the message was longer than the buffer.
        body: &'a [u8],
    },
    /// Messages were lost, because the receive buffer was full. Those that were still queued were thrown away: the kernel queues no others
    /// until the queue is empty, and does not report that it drops them. So no change is missed by who asks for everything after this.
    Overrun {
        /// How many messages were thrown away.
        discarded: usize,
    },
    /// There is no message at the moment.
    Nothing,
}

/// A socket that listens to multicast groups, in the network namespace of the thread that opened it.
pub struct Listener {
    inner: Descriptor,
    buffer: Vec<u8>,
}

impl Listener {
    /// Opens a socket in these multicast groups, a bit for each. It receives the messages that the program lets through.
    pub fn open(protocol: Protocol, groups: u32, program: &Program) -> Result<Self, Error> {
        let mut inner = Descriptor::open(protocol)?;
        inner.force_receive_buffer(BACKLOG)?;
        // Before the socket is in a group: no message comes past the filter.
        program.attach(&inner)?;
        inner.bind(groups)?;
        Ok(Self {
            inner,
            buffer: vec![0; BUFFER],
        })
    }

    /// Attaches this program in place of the one before.
    pub fn set_program(&self, program: &Program) -> Result<(), Error> {
        Ok(program.attach(&self.inner)?)
    }

    /// The next message, without waiting.
    pub fn hear(&mut self) -> Result<Heard<'_>, Error> {
        match self.receive() {
            Ok(len) => {
                let (kind, body) = split(self.buffer.get(..len).unwrap_or_default());
                Ok(Heard::Message { kind, body })
            }
            Err(error) if error.would_block() => Ok(Heard::Nothing),
            Err(error) if error.overrun() => Ok(Heard::Overrun {
                discarded: self.discard()?,
            }),
            Err(error) => Err(error),
        }
    }

    fn receive(&mut self) -> Result<usize, Error> {
        Ok(self.inner.receive(&mut self.buffer, Wait::No)?)
    }

    /// Throws away all messages that are queued; returns how many there were.
    fn discard(&mut self) -> Result<usize, Error> {
        let mut discarded = 0;
        loop {
            match self.receive() {
                Ok(_) => discarded += 1,
                Err(error) if error.overrun() => (),
                Err(error) if error.would_block() => return Ok(discarded),
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.inner.as_raw_fd()
    }
}

/// The type of a message, and what follows its header.
fn split(message: &[u8]) -> (u16, &[u8]) {
    let len = message
        .first_chunk()
        .map_or(0, |octets| u32::from_ne_bytes(*octets)) as usize;
    let kind = message.get(4..).and_then(|rest| rest.first_chunk());
    (
        kind.map_or(0, |octets| u16::from_ne_bytes(*octets)),
        message.get(HEADER..len).unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bpf::Code,
        message::tests::frame,
        socket::Flags, //
    };

    #[test]
    fn nothing_is_heard() {
        let mut code = Code::default();
        code.discard();
        let program = code.program();
        for protocol in [Protocol::Route, Protocol::Netfilter, Protocol::Generic] {
            let mut listener = Listener::open(protocol, 1, &program).unwrap();
            listener.set_program(&program).unwrap();
            assert_eq!(listener.hear().unwrap(), Heard::Nothing);
        }
    }

    #[test]
    fn what_is_queued_at_an_overrun_is_thrown_away() {
        let mut code = Code::default();
        code.pass();
        let mut listener = Listener::open(Protocol::Route, 0, &code.program()).unwrap();
        // Answers come to a listener as messages do: RTM_GETLINK of the first device.
        let mut header = [0; 16];
        header[4] = 1;
        let request = frame(18, Flags::REQUEST, &header);
        let ask = |listener: &Listener| listener.inner.send(&request).unwrap();
        let heard = |listener: &mut Listener| match listener.hear().unwrap() {
            Heard::Message { kind, .. } => Some(kind),
            Heard::Nothing => None,
            Heard::Overrun { .. } => panic!("an overrun"),
        };
        ask(&listener);
        assert_eq!(heard(&mut listener), Some(16));
        assert_eq!(heard(&mut listener), None);
        listener.inner.force_receive_buffer(1).unwrap();
        for _ in 0..1_000 {
            ask(&listener);
        }
        match listener.hear().unwrap() {
            Heard::Overrun { discarded } => assert!((1..1_000).contains(&discarded)),
            other => panic!("{other:?}"),
        }
        assert_eq!(heard(&mut listener), None);
        ask(&listener);
        assert_eq!(heard(&mut listener), Some(16));
    }

    #[test]
    fn a_message_that_was_cut_has_no_body() {
        let message = frame(24, Flags::empty(), &[1, 2, 3, 4]);
        assert_eq!(split(&message), (24, &[1, 2, 3, 4][..]));
        for len in 0..message.len() {
            let (kind, body) = split(&message[..len]);
            assert_eq!(kind, if len < 6 { 0 } else { 24 });
            assert_eq!(body, [0; 0]);
        }
        // Its length is less than that of a header.
        assert_eq!(split(&[3, 0, 0, 0, 24, 0, 0, 0]).1, [0; 0]);
    }
}
