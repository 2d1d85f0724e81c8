// SPDX-License-Identifier: GPL-2.0
//! A netlink socket that sends and receives octets; what they mean, the files above it know.
//!
//! It stands on netlink-sys. neli's socket is not `AsFd`, so what neli does not know itself cannot be set on it, such as
//! `SO_RCVBUFFORCE` and `SO_ATTACH_FILTER`.

use std::{
    io,
    os::fd::{
        AsFd,
        AsRawFd,
        BorrowedFd,
        RawFd, //
    },
};

use netlink_sys::{
    protocols::{
        NETLINK_GENERIC,
        NETLINK_NETFILTER,
        NETLINK_ROUTE, //
    },
    SocketAddr, //
};
use nix::{
    errno::Errno,
    sys::socket::{
        setsockopt,
        sockopt,
        MsgFlags, //
    },
};

/// Which part of the kernel a socket speaks with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Devices, addresses, routes and rules (rtnetlink).
    Route,
    /// Connection tracking, nftables and packet queues (nfnetlink).
    Netfilter,
    /// The families of generic netlink.
    Generic,
}

/// Whether to wait when there is nothing to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Until there is something.
    Yes,
    /// Not at all; [`Error::would_block`](crate::Error::would_block) says that there was nothing.
    No,
}

/// An open socket, in the network namespace of the thread that opened it.
pub(crate) struct Descriptor(netlink_sys::Socket);

impl Descriptor {
    /// Opens a socket that is in no multicast group.
    pub(crate) fn open(protocol: Protocol) -> io::Result<Self> {
        let protocol = match protocol {
            Protocol::Route => NETLINK_ROUTE,
            Protocol::Netfilter => NETLINK_NETFILTER,
            Protocol::Generic => NETLINK_GENERIC,
        };
        Ok(Self(netlink_sys::Socket::new(protocol)?))
    }

    /// Gives the socket its address and these multicast groups, a bit for each of the first 32.
    pub(crate) fn bind(&mut self, groups: u32) -> io::Result<()> {
        self.0.bind(&SocketAddr::new(0, groups))
    }

    /// Joins a multicast group.
    pub(crate) fn join(&self, group: u32) -> io::Result<()> {
        self.0.add_membership(group)
    }

    /// Asks for extended acknowledgements (`NETLINK_EXT_ACK`).
    pub(crate) fn explain(&self) -> io::Result<()> {
        self.0.set_ext_ack(true)
    }

    /// Asks for dumps of what a request says, and for a refusal of what it should not say (`NETLINK_GET_STRICT_CHK`).
    pub(crate) fn be_strict(&self) -> io::Result<()> {
        self.0.set_netlink_get_strict_chk(true)
    }

    /// Makes room for so many octets of messages that nobody has fetched yet, whatever `net.core.rmem_max` says. Where this process
    /// may not (CAP_NET_ADMIN), it gets what that allows.
    pub(crate) fn force_receive_buffer(&self, octets: usize) -> io::Result<()> {
        let set = match setsockopt(self, sockopt::RcvBufForce, &octets) {
            Err(Errno::EPERM) => setsockopt(self, sockopt::RcvBuf, &octets),
            result => result,
        };
        Ok(set?)
    }

    /// Sends these octets to the kernel.
    pub(crate) fn send(&self, octets: &[u8]) -> io::Result<()> {
        self.0.send(octets, 0).map(drop)
    }

    /// Takes a datagram into the buffer; returns how many octets of the buffer it fills.
    pub(crate) fn receive(&self, mut buffer: &mut [u8], wait: Wait) -> io::Result<usize> {
        let flags = match wait {
            Wait::Yes => MsgFlags::empty(),
            Wait::No => MsgFlags::MSG_DONTWAIT,
        };
        loop {
            match self.0.recv(&mut buffer, flags.bits()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                result => return result,
            }
        }
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::getsockopt;

    use super::*;

    #[test]
    fn a_buffer_may_be_larger_than_others_get() {
        let descriptor = Descriptor::open(Protocol::Generic).unwrap();
        let size = || getsockopt(&descriptor, sockopt::RcvBuf).unwrap();
        let plain = size();
        descriptor.force_receive_buffer(8 << 20).unwrap();
        // The kernel doubles what is asked for.
        let forced = size();
        assert!(forced > plain);
        setsockopt(&descriptor, sockopt::RcvBuf, &(8 << 20)).unwrap();
        let allowed = size();
        // Who may not force it has what everybody gets.
        assert!(
            forced == 16 << 20 || forced == allowed,
            "{forced} {allowed}"
        );
    }
}
