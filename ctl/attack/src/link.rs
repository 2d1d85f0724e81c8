// SPDX-License-Identifier: GPL-2.0
//! Sends frames on a link: many with one system call, at a given rate.

use std::io::IoSlice;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use anyhow::Context;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    sendmmsg, socket, AddressFamily, LinkAddr, MsgFlags, MultiHeaders, SockFlag, SockType,
};
use nix::time::{clock_gettime, ClockId};

/// Most frames that one system call takes.
const BATCH: usize = 64;

/// A packet socket, and the interface that it sends by.
pub(crate) struct Link {
    fd: OwnedFd,
    device: LinkAddr,
    batch: Vec<Vec<u8>>,
    /// Frames in a second; 0 for as fast as it goes.
    rate: u64,
    begun: Duration,
    sent: u64,
}

fn clock() -> anyhow::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_MONOTONIC)?.into())
}

impl Link {
    pub(crate) fn open(name: &str, rate: u64) -> anyhow::Result<Link> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Packet, SockType::Raw, flags, None)?;
        let mut links = getifaddrs()?.filter(|entry| entry.interface_name == name);
        let device = links.find_map(|entry| entry.address?.as_link_addr().copied());
        Ok(Link {
            fd,
            device: device.with_context(|| format!("there is no interface {name}"))?,
            batch: Vec::new(),
            rate,
            begun: clock()?,
            sent: 0,
        })
    }

    /// Sends a frame, when there are enough of them and it is time.
    pub(crate) fn send(&mut self, frame: Vec<u8>) -> anyhow::Result<()> {
        self.batch.push(frame);
        if self.batch.len() == BATCH {
            self.flush()?;
        }
        Ok(())
    }

    /// Sends what is left.
    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        let slices: Vec<[IoSlice<'_>; 1]> = self
            .batch
            .iter()
            .map(|frame| [IoSlice::new(frame)])
            .collect();
        let to = vec![Some(self.device); slices.len()];
        let mut heads = MultiHeaders::preallocate(slices.len(), None);
        let fd = self.fd.as_raw_fd();
        sendmmsg(fd, &mut heads, &slices, to, [], MsgFlags::empty())?;
        drop(slices);
        self.sent += self.batch.len() as u64;
        self.batch.clear();
        if let Some(span) = (self.sent * 1_000_000_000).checked_div(self.rate) {
            let due = self.begun + Duration::from_nanos(span);
            std::thread::sleep(due.saturating_sub(clock()?));
        }
        Ok(())
    }
}
