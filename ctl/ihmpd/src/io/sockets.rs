// SPDX-License-Identifier: GPL-2.0
//! The sockets of both families at the port of IHMP.

use std::{
    net::{
        IpAddr,
        SocketAddr, //
    },
    os::fd::{
        AsRawFd,
        RawFd, //
    },
};

use crate::{
    io::udp::{
        Datagram,
        Udp, //
    },
    own::Device,
};

/// A socket of IPv4, and one of IPv6 where there is IPv6.
pub(crate) struct Sockets {
    v4: Udp,
    v6: Option<Udp>,
}

impl Sockets {
    /// Binds both to a port. If there can be no IPv6 socket, `without` is called with the reason.
    pub(crate) fn open(port: u16, without: impl FnOnce(anyhow::Error)) -> anyhow::Result<Self> {
        Ok(Self {
            v4: Udp::v4(port)?,
            v6: Udp::v6(port).map_err(without).ok(),
        })
    }

    fn iter(&self) -> impl Iterator<Item = &Udp> {
        [Some(&self.v4), self.v6.as_ref()].into_iter().flatten()
    }

    /// The descriptors to wait for.
    pub(crate) fn fds(&self) -> impl Iterator<Item = RawFd> + '_ {
        self.iter().map(AsRawFd::as_raw_fd)
    }

    /// The next datagrams of both; empty when there are none.
    pub(crate) fn receive(&mut self) -> nix::Result<Vec<Datagram>> {
        let mut datagrams = self.v4.receive()?;
        if let Some(udp) = &mut self.v6 {
            datagrams.extend(udp.receive()?);
        }
        Ok(datagrams)
    }

    /// How many datagrams the kernel dropped, for instance because there was no room.
    pub(crate) fn dropped(&self) -> anyhow::Result<u64> {
        self.iter().map(Udp::dropped).sum()
    }

    /// Sends from one of our addresses; by this device, if one is given. A datagram that cannot be sent counts as lost: the engine repeats
    /// it.
    pub(crate) fn send(&self, from: IpAddr, to: SocketAddr, device: Option<&Device>, bytes: &[u8]) {
        let udp = if from.is_ipv4() {
            Some(&self.v4)
        } else {
            self.v6.as_ref()
        };
        let Some(udp) = udp else { return };
        if let Err(error) = udp.send(from, to, device, bytes) {
            let to = to.ip();
            tracing::info!("event=send-failed from={from} to={to} error=\"{error}\"");
        }
    }
}
