// SPDX-License-Identifier: GPL-2.0
//! UDP datagrams for each of which the local address is chosen, or known.
//!
//! C headers: linux/in.h (`IP_PKTINFO`), RFC 3542 section 6 (`IPV6_PKTINFO`); proc_pid_net(5) for /proc/net/udp

use std::{
    ffi::OsString,
    fs::{
        self,
        File, //
    },
    io::{
        IoSlice,
        IoSliceMut, //
    },
    net::{
        IpAddr,
        Ipv4Addr,
        Ipv6Addr,
        SocketAddr,
        SocketAddrV4,
        SocketAddrV6, //
    },
    os::{
        fd::{
            AsRawFd,
            OwnedFd,
            RawFd, //
        },
        unix::fs::MetadataExt,
    },
};

use anyhow::Context;
use nix::{
    errno::Errno,
    libc,
    sys::socket::{
        bind,
        connect,
        recvmmsg,
        sendmsg,
        sendto,
        setsockopt,
        socket,
        sockopt,
        AddressFamily,
        ControlMessage,
        ControlMessageOwned,
        MsgFlags,
        MultiHeaders,
        SockFlag,
        SockType,
        SockaddrIn,
        SockaddrIn6,
        SockaddrLike,
        SockaddrStorage, //
    },
};

use crate::own::Device;

/// The longest datagram that is read as a whole; a message has at most 480 octets.
const LONGEST: usize = 2048;
/// Datagrams that are taken with one system call.
pub(crate) const BATCH: usize = 16;

/// The discard port (RFC 863): nothing is expected from it.
const NOBODY: u16 = 9;

/// A datagram that came in.
pub(crate) struct Datagram {
    pub(crate) from: SocketAddr,
    pub(crate) to: IpAddr,
    pub(crate) bytes: Vec<u8>,
}

/// One socket of one family, bound to the port of IHMP.
pub(crate) struct Udp {
    fd: OwnedFd,
    port: u16,
    /// Where datagrams are put.
    room: Vec<u8>,
    /// The kernel's list of the sockets of this family, this one among them.
    list: &'static str,
}

impl Udp {
    pub(crate) fn v4(port: u16) -> anyhow::Result<Self> {
        let fd = open(AddressFamily::Inet)?;
        setsockopt(&fd, sockopt::Ipv4PacketInfo, &true)?;
        let addr = SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port));
        bind(fd.as_raw_fd(), &addr).with_context(|| format!("UDP port {port} of IPv4"))?;
        Ok(Self::new(fd, port, "/proc/self/net/udp"))
    }

    pub(crate) fn v6(port: u16) -> anyhow::Result<Self> {
        let fd = open(AddressFamily::Inet6)?;
        setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
        // The sockets of `send_v6_by` share this port. A second agent fails at the IPv4 socket, which shares its port with nobody.
        setsockopt(&fd, sockopt::ReuseAddr, &true)?;
        setsockopt(&fd, sockopt::Ipv6RecvPacketInfo, &true)?;
        let addr = SockaddrIn6::from(SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0));
        bind(fd.as_raw_fd(), &addr).with_context(|| format!("UDP port {port} of IPv6"))?;
        Ok(Self::new(fd, port, "/proc/self/net/udp6"))
    }

    fn new(fd: OwnedFd, port: u16, list: &'static str) -> Self {
        let room = vec![0; BATCH * LONGEST];
        Self {
            fd,
            port,
            room,
            list,
        }
    }

    /// How many datagrams the kernel dropped since the socket was made, for want of room or for a wrong checksum
    /// (`sk_drops`).
    pub(crate) fn dropped(&self) -> anyhow::Result<u64> {
        let inode = File::from(self.fd.try_clone()?).metadata()?.ino();
        let text = fs::read_to_string(self.list).context(self.list)?;
        let dropped = drops_of(&text, inode);
        dropped.with_context(|| format!("{}: no socket {inode}", self.list))
    }

    /// The next datagrams, [`BATCH`] at most; none when there are none.
    pub(crate) fn receive(&mut self) -> nix::Result<Vec<Datagram>> {
        loop {
            match self.take() {
                Err(Errno::EAGAIN) => return Ok(Vec::new()),
                // The error of an earlier datagram that was sent, such as an ICMP error. The engine notices that no answer comes.
                Err(
                    Errno::EINTR
                    | Errno::ECONNREFUSED
                    | Errno::EHOSTUNREACH
                    | Errno::ENETUNREACH
                    | Errno::EMSGSIZE,
                ) => (),
                result => return result,
            }
        }
    }

    fn take(&mut self) -> nix::Result<Vec<Datagram>> {
        let slots = self.room.chunks_exact_mut(LONGEST);
        let mut slots: Vec<_> = slots.map(|slot| [IoSliceMut::new(slot)]).collect();
        let space = nix::cmsg_space!(libc::in6_pktinfo, libc::in_pktinfo);
        let mut heads = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, Some(space));
        let fd = self.fd.as_raw_fd();
        let flags = MsgFlags::MSG_DONTWAIT;
        let mut datagrams = Vec::new();
        for message in recvmmsg(fd, &mut heads, slots.iter_mut(), flags, None)? {
            let to = message.cmsgs()?.find_map(destination);
            let from = message.address.as_ref().and_then(source);
            if let (Some(from), Some(to)) = (from, to) {
                let bytes = message.iovs().flatten().copied().collect();
                datagrams.push(Datagram { from, to, bytes });
            }
        }
        Ok(datagrams)
    }

    /// Sends from one of our addresses; by this device, if one is given.
    pub(crate) fn send(
        &self,
        from: IpAddr,
        to: SocketAddr,
        device: Option<&Device>,
        bytes: &[u8],
    ) -> nix::Result<()> {
        match (from, to) {
            (IpAddr::V4(from), SocketAddr::V4(to)) => {
                self.send_v4(from, to, device.map_or(0, |device| device.index), bytes)
            }
            (IpAddr::V6(from), SocketAddr::V6(to)) => match device {
                Some(device) => self.send_v6_by(from, to, device, bytes),
                None => self.send_v6(from, to, bytes),
            },
            _ => Err(Errno::EAFNOSUPPORT),
        }
    }

    fn send_v4(
        &self,
        from: Ipv4Addr,
        to: SocketAddrV4,
        device: u32,
        bytes: &[u8],
    ) -> nix::Result<()> {
        let info = libc::in_pktinfo {
            ipi_ifindex: libc::c_int::try_from(device).map_err(|_| Errno::ENODEV)?,
            ipi_spec_dst: libc::in_addr {
                s_addr: u32::from_ne_bytes(from.octets()),
            },
            ipi_addr: libc::in_addr { s_addr: 0 },
        };
        let control = [ControlMessage::Ipv4PacketInfo(&info)];
        let to = SockaddrIn::from(to);
        self.send_with(&control, &to, bytes)
    }

    fn send_v6(&self, from: Ipv6Addr, to: SocketAddrV6, bytes: &[u8]) -> nix::Result<()> {
        let info = libc::in6_pktinfo {
            ipi6_addr: libc::in6_addr {
                s6_addr: from.octets(),
            },
            ipi6_ifindex: 0,
        };
        let control = [ControlMessage::Ipv6PacketInfo(&info)];
        let to = SockaddrIn6::from(to);
        self.send_with(&control, &to, bytes)
    }

    fn send_with(
        &self,
        control: &[ControlMessage<'_>],
        to: &impl SockaddrLike,
        bytes: &[u8],
    ) -> nix::Result<()> {
        let iov = [IoSlice::new(bytes)];
        let fd = self.fd.as_raw_fd();
        sendmsg(fd, &iov, control, MsgFlags::MSG_DONTWAIT, Some(to))?;
        Ok(())
    }

    /// For IPv6, the device in the packet information is only a preference if a source is given as well: the kernel would take a better
    /// default route by a device without a carrier. So this sends by a socket that is bound to the device.
    fn send_v6_by(
        &self,
        from: Ipv6Addr,
        to: SocketAddrV6,
        device: &Device,
        bytes: &[u8],
    ) -> nix::Result<()> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Inet6, SockType::Datagram, flags, None)?;
        setsockopt(&fd, sockopt::BindToDevice, &OsString::from(&device.name))?;
        setsockopt(&fd, sockopt::ReuseAddr, &true)?;
        let from = SockaddrIn6::from(SocketAddrV6::new(from, self.port, 0, 0));
        bind(fd.as_raw_fd(), &from)?;
        // Connected to the discard port, so that a fast answer goes to the agent's own socket and not to this one.
        let nobody = SockaddrIn6::from(SocketAddrV6::new(*to.ip(), NOBODY, 0, 0));
        connect(fd.as_raw_fd(), &nobody)?;
        sendto(
            fd.as_raw_fd(),
            bytes,
            &SockaddrIn6::from(to),
            MsgFlags::MSG_DONTWAIT,
        )?;
        Ok(())
    }
}

/// The last column of the line of a socket in /proc/net/udp or udp6; its tenth is the inode.
fn drops_of(list: &str, inode: u64) -> Option<u64> {
    let inode = inode.to_string();
    let mut lines = list.lines();
    let line = lines.find(|line| line.split_whitespace().nth(9) == Some(&inode))?;
    line.split_whitespace().last()?.parse().ok()
}

fn open(family: AddressFamily) -> anyhow::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    socket(family, SockType::Datagram, flags, None).context("a UDP socket")
}

fn destination(message: ControlMessageOwned) -> Option<IpAddr> {
    match message {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes()).into())
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => {
            Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into())
        }
        _ => None,
    }
}

fn source(addr: &SockaddrStorage) -> Option<SocketAddr> {
    addr.as_sockaddr_in()
        .map(|addr| SocketAddrV4::from(*addr).into())
        .or_else(|| {
            addr.as_sockaddr_in6()
                .map(|addr| SocketAddrV6::from(*addr).into())
        })
}

impl AsRawFd for Udp {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_addresses_are_known() {
        let port = 61_999;
        let mut udp = Udp::v4(port).unwrap();
        let (from, to) = ("127.0.0.2".parse().unwrap(), "127.0.0.3".parse().unwrap());
        for text in [b"first", b"other"] {
            udp.send(from, SocketAddr::new(to, port), None, text)
                .unwrap();
        }
        let datagrams = udp.receive().unwrap();
        assert_eq!(datagrams.len(), 2);
        for (datagram, text) in datagrams.iter().zip([b"first", b"other"]) {
            assert_eq!(datagram.from, SocketAddr::new(from, port));
            assert_eq!(datagram.to, to);
            assert_eq!(datagram.bytes, text);
        }
        assert!(udp.receive().unwrap().is_empty());
    }

    #[test]
    fn what_comes_while_a_datagram_is_sent_by_a_device_is_received() {
        let port = 61_997;
        let mut udp = Udp::v6(port).unwrap();
        let lo = Device {
            index: 1,
            name: "lo".into(),
            vrf: None,
        };
        let here = IpAddr::from(Ipv6Addr::LOCALHOST);
        // A datagram to this machine itself is delivered before the socket that sends it is closed. A machine may have no IPv6.
        let to = SocketAddr::new(here, port);
        match udp.send(here, to, Some(&lo), b"first") {
            Err(Errno::EADDRNOTAVAIL) => return,
            sent => sent.unwrap(),
        }
        let datagrams = udp.receive().unwrap();
        assert_eq!(datagrams.len(), 1);
        assert_eq!(datagrams[0].from, SocketAddr::new(here, port));
    }

    #[test]
    fn what_there_is_no_room_for_is_counted() {
        let mut udp = Udp::v4(61_998).unwrap();
        let (from, to) = (
            "127.0.0.2".parse().unwrap(),
            "127.0.0.3:61998".parse().unwrap(),
        );
        let sent = 20_000;
        for _ in 0..sent {
            udp.send(from, to, None, &[0; 300]).unwrap();
        }
        let mut received = 0;
        loop {
            let datagrams = udp.receive().unwrap();
            if datagrams.is_empty() {
                break;
            }
            assert!(datagrams.len() <= BATCH);
            received += datagrams.len() as u64;
        }
        assert!(received < sent);
        assert_eq!(udp.dropped().unwrap(), sent - received);
    }

    #[test]
    fn a_socket_is_found_by_its_inode() {
        let list = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
 1028: 00000000:F00D 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000000000000000 12
";
        assert_eq!(drops_of(list, 4711), Some(12));
        assert_eq!(drops_of(list, 471), None);
    }
}
