// SPDX-License-Identifier: GPL-2.0
//! A netlink socket that receives what the kernel multicasts, through a filter.
//!
//! It stands on nix: neli's socket is not `AsFd`, so what neli does not know itself cannot be set on it, such as
//! `SO_ATTACH_FILTER` and `SO_RCVBUFFORCE`.

use std::{
    io,
    os::fd::{
        AsFd,
        AsRawFd,
        OwnedFd,
        RawFd, //
    },
};

use nix::{
    errno::Errno,
    sys::socket::{
        bind,
        recv,
        setsockopt,
        socket,
        sockopt,
        AddressFamily,
        MsgFlags,
        NetlinkAddr,
        SockFlag,
        SockProtocol,
        SockType, //
    },
};

use crate::{
    bpf::Program,
    error::Error,
    message::HEADER,
    socket::Protocol, //
};

/// Room for messages that nobody has fetched yet, in octets.
const BACKLOG: usize = 1 << 20;
/// The longest message; what is longer is cut.
const BUFFER: usize = 32_768;

/// What there is to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// A message; the kernel does not put several events of a group into one datagram.
    Message {
        /// Its type.
        kind: u16,
        /// What follows its header; nothing when it was cut.
        body: &'a [u8],
    },
    /// Messages were lost.
    Overrun,
    /// Nothing at the moment.
    Nothing,
}

/// A socket that listens to multicast groups, in the network namespace of the thread that opened it.
pub struct Listener {
    fd: OwnedFd,
    buffer: Vec<u8>,
}

impl Listener {
    /// Listens to these groups, a bit for each, as far as the program lets their messages through.
    pub fn open(protocol: Protocol, groups: u32, program: &Program) -> Result<Self, Error> {
        let protocol = match protocol {
            Protocol::Route => SockProtocol::NetlinkRoute,
            Protocol::Netfilter => SockProtocol::NetlinkNetFilter,
            Protocol::Generic => SockProtocol::NetlinkGeneric,
        };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol).map_err(failed)?;
        force_receive_buffer(&fd, BACKLOG)?;
        let listener = Self {
            fd,
            buffer: vec![0; BUFFER],
        };
        // Before it hears anything.
        listener.set_program(program)?;
        bind(listener.fd.as_raw_fd(), &NetlinkAddr::new(0, groups)).map_err(failed)?;
        Ok(listener)
    }

    /// Attaches this program in place of the one before.
    pub fn set_program(&self, program: &Program) -> Result<(), Error> {
        Ok(program.attach(&self.fd)?)
    }

    /// What there is to hear, without waiting.
    pub fn hear(&mut self) -> Result<Heard<'_>, Error> {
        let fd = self.fd.as_raw_fd();
        loop {
            match recv(fd, &mut self.buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(len) => {
                    let (kind, body) = split(self.buffer.get(..len).unwrap_or_default());
                    return Ok(Heard::Message { kind, body });
                }
                Err(Errno::EAGAIN) => return Ok(Heard::Nothing),
                Err(Errno::EINTR) => (),
                Err(Errno::ENOBUFS) => return Ok(Heard::Overrun),
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
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

fn failed(error: Errno) -> Error {
    io::Error::from(error).into()
}

/// Room for messages that nobody has fetched yet, in octets: as much as was asked for, if this process may (CAP_NET_ADMIN), or what
/// `net.core.rmem_max` allows.
fn force_receive_buffer(fd: &impl AsFd, octets: usize) -> Result<(), Error> {
    let set = match setsockopt(fd, sockopt::RcvBufForce, &octets) {
        Err(Errno::EPERM) => setsockopt(fd, sockopt::RcvBuf, &octets),
        result => result,
    };
    set.map_err(failed)
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
