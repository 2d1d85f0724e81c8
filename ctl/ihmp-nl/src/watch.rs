// SPDX-License-Identifier: GPL-2.0
//! Hears of changes of links, addresses and routes.
//!
//! C headers: linux/rtnetlink.h

use std::{
    collections::BTreeSet,
    io,
    os::fd::{
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
        socket,
        AddressFamily,
        MsgFlags,
        NetlinkAddr,
        SockFlag,
        SockProtocol,
        SockType, //
    },
};
use socket2::SockRef;

use crate::{
    attrs::Attrs,
    error::Error,
    filter::Filter,
    rtnl::{
        octet,
        read_link,
        word,
        Link,
        AF_BRIDGE,
        DEVICE,
        FRA_PRIORITY,
        PROTOCOL,
        RTA_OIF,
        RTM_DELADDR,
        RTM_DELLINK,
        RTM_DELROUTE,
        RTM_DELRULE,
        RTM_NEWADDR,
        RTM_NEWLINK,
        RTM_NEWROUTE,
        RTM_NEWRULE,
        RTN_BLACKHOLE,
        RTN_LOCAL,
        RTN_THROW,
        RTN_UNICAST,
        RULE_PREFERENCE, //
    },
    socket::{
        force_receive_buffer,
        HEADER, //
    },
};

// RTMGRP_*
const GROUP_LINK: u32 = 1;
const GROUP_IPV4_IFADDR: u32 = 0x10;
const GROUP_IPV4_ROUTE: u32 = 0x40;
const GROUP_IPV4_RULE: u32 = 0x80;
const GROUP_IPV6_IFADDR: u32 = 0x100;
const GROUP_IPV6_ROUTE: u32 = 0x400;
const GROUP_IPV6_RULE: u32 = 1 << 18;

/// Room for messages that nobody has fetched yet, in octets.
const BACKLOG: usize = 1 << 20;
/// The longest message; what is longer is looked at.
const BUFFER: usize = 32_768;

/// What a watch listens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Groups {
    /// Devices, addresses and rules.
    Addresses,
    /// Routes; apart, because there may be more of them than anybody should read.
    Routes,
}

/// What has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// A device.
    pub links: bool,
    /// An address.
    pub addresses: bool,
    /// A route.
    pub routes: bool,
    /// Our own device, or a rule or route of ours is gone.
    pub ours: bool,
    /// Events were lost: everything may have changed.
    pub overrun: bool,
    /// Messages that were read.
    pub seen: usize,
    /// There is more to read.
    pub more: bool,
}

impl Changes {
    /// Whether anything changed that matters to an agent.
    pub fn any(&self) -> bool {
        self.links || self.addresses || self.routes || self.ours || self.overrun
    }
}

/// The devices that count, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted(BTreeSet<u32>);

impl Counted {
    /// Those of a list with which `counts` agrees.
    pub fn of(links: &[Link], counts: impl Fn(&Link) -> bool) -> Self {
        let counted = links.iter().filter(|link| counts(link));
        counted.map(|link| link.index).collect()
    }

    /// Their numbers, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the device with this number is one of them.
    pub fn has(&self, index: u32) -> bool {
        self.0.contains(&index)
    }

    /// Takes note of a device that is there, or was; whether it counts, or did under another name.
    fn note(&mut self, index: u32, counts: bool, there: bool) -> bool {
        let before = if counts && there {
            !self.0.insert(index)
        } else {
            self.0.remove(&index)
        };
        before || counts
    }
}

impl FromIterator<u32> for Counted {
    fn from_iter<I: IntoIterator<Item = u32>>(indexes: I) -> Self {
        Self(indexes.into_iter().collect())
    }
}

/// A socket that hears of changes, in the network namespace of the thread that made it.
pub struct Watch {
    fd: OwnedFd,
    buffer: Vec<u8>,
}

impl Watch {
    /// Opens a monitor of these groups that has the filter attached.
    pub fn subscribe(groups: Groups, filter: &Filter) -> Result<Self, Error> {
        let groups = match groups {
            Groups::Addresses => {
                let rules = GROUP_IPV4_RULE | GROUP_IPV6_RULE;
                GROUP_LINK | GROUP_IPV4_IFADDR | GROUP_IPV6_IFADDR | rules
            }
            Groups::Routes => GROUP_IPV4_ROUTE | GROUP_IPV6_ROUTE,
        };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let protocol = SockProtocol::NetlinkRoute;
        let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol).map_err(failed)?;
        force_receive_buffer(&fd, BACKLOG)?;
        let watch = Self {
            fd,
            buffer: vec![0; BUFFER],
        };
        watch.set_filter(filter)?;
        bind(watch.fd.as_raw_fd(), &NetlinkAddr::new(0, groups)).map_err(failed)?;
        Ok(watch)
    }

    /// Attaches this filter in place of the one before.
    pub fn set_filter(&self, filter: &Filter) -> Result<(), Error> {
        Ok(SockRef::from(&self.fd).attach_filter(&filter.program())?)
    }

    /// Reads what is there, without waiting, but no more than `most` messages. What happens to devices that do not
    /// count is no change; `counts` says of a device whether it may.
    pub fn drain(
        &mut self,
        most: usize,
        counted: &mut Counted,
        counts: impl Fn(&Link) -> bool,
    ) -> Result<Changes, Error> {
        let mut changes = Changes::default();
        while changes.seen < most {
            changes.seen += 1;
            match recv(
                self.fd.as_raw_fd(),
                &mut self.buffer,
                MsgFlags::MSG_DONTWAIT,
            ) {
                Ok(len) => {
                    let message = self.buffer.get(..len).unwrap_or_default();
                    note(&mut changes, message, counted, &counts);
                }
                Err(Errno::EAGAIN) => {
                    changes.seen -= 1;
                    return Ok(changes);
                }
                Err(Errno::EINTR) => changes.seen -= 1,
                Err(Errno::ENOBUFS) => changes.overrun = true,
                Err(error) => return Err(failed(error)),
            }
        }
        changes.more = true;
        Ok(changes)
    }
}

fn failed(error: Errno) -> Error {
    io::Error::from(error).into()
}

/// One message; the kernel does not put several events of a group into one.
fn note(
    changes: &mut Changes,
    message: &[u8],
    counted: &mut Counted,
    counts: impl Fn(&Link) -> bool,
) {
    let kind = u16::from_ne_bytes([octet(message, 4), octet(message, 5)]);
    let body = message
        .get(HEADER..word(message, 0) as usize)
        .unwrap_or_default();
    match kind {
        // What a bridge says of its port.
        RTM_NEWLINK | RTM_DELLINK if octet(body, 0) == AF_BRIDGE => (),
        RTM_NEWLINK | RTM_DELLINK => {
            // What cannot be read is looked at.
            let Ok(link) = read_link(body) else {
                changes.links = true;
                return;
            };
            if link.name == DEVICE {
                changes.ours |= kind == RTM_DELLINK || !link.up;
                return;
            }
            changes.links |= counted.note(link.index, counts(&link), kind == RTM_NEWLINK);
        }
        RTM_NEWRULE | RTM_DELRULE => {
            let mut attrs = Attrs::new(body.get(12..).unwrap_or_default()).filter_map(Result::ok);
            let preference = attrs.find(|attr| attr.number == FRA_PRIORITY);
            match preference.and_then(|attr| attr.u32().ok()) {
                Some(RULE_PREFERENCE) => changes.ours |= kind == RTM_DELRULE,
                // It may lead to other routes.
                _ => changes.routes = true,
            }
        }
        RTM_NEWROUTE | RTM_DELROUTE if octet(body, 5) == PROTOCOL => {
            changes.ours |= kind == RTM_DELROUTE;
        }
        RTM_NEWADDR | RTM_DELADDR => changes.addresses |= counted.has(word(body, 4)),
        RTM_NEWROUTE | RTM_DELROUTE => {
            let attrs = Attrs::new(body.get(12..).unwrap_or_default());
            let device = attrs
                .filter_map(Result::ok)
                .find(|attr| attr.number == RTA_OIF)
                .and_then(|attr| attr.u32().ok());
            let counts = device.is_none_or(|device| counted.has(device));
            match octet(body, 7) {
                // It comes with an address.
                RTN_LOCAL => changes.addresses |= counts,
                RTN_UNICAST | RTN_BLACKHOLE..=RTN_THROW => changes.routes = true,
                _ => (),
            }
        }
        _ => (),
    }
}

impl AsRawFd for Watch {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attrs::Writer;

    #[test]
    fn a_device_counts_by_the_name_that_it_has_or_had() {
        let mut counted = Counted::default();
        assert!(!counted.note(7, false, true) && !counted.note(7, false, false));
        assert!(counted.note(3, true, true) && counted.note(3, true, true));
        // It is renamed, and renamed again: only the first time matters.
        assert!(counted.note(3, false, true) && !counted.note(3, false, true));
        assert!(counted.note(3, true, true) && counted.note(3, true, false));
        assert_eq!(counted, Counted::default());
    }

    #[test]
    fn nothing_happens() {
        for groups in [Groups::Addresses, Groups::Routes] {
            let mut watch = Watch::subscribe(groups, &Filter::default()).unwrap();
            watch.set_filter(&Filter::default()).unwrap();
            let only: Filter = Filter {
                only: vec!["no-such-device".into()],
                ..Filter::default()
            };
            watch.set_filter(&only).unwrap();
            let changes = watch.drain(9, &mut Counted::default(), |_| false).unwrap();
            assert!(!changes.any() && !changes.more);
        }
    }

    #[test]
    fn what_is_ours_and_goes_is_noticed() {
        let seen = |kind: u16, header: &[u8], attrs: &Writer| {
            let len = HEADER + header.len() + attrs.0.len();
            let mut message = u32::try_from(len).unwrap().to_ne_bytes().to_vec();
            message.extend(kind.to_ne_bytes());
            message.resize(HEADER, 0);
            message.extend(header);
            message.extend(&attrs.0);
            let mut changes = Changes::default();
            note(&mut changes, &message, &mut Counted::default(), |_| true);
            changes
        };
        let ours = Changes {
            ours: true,
            ..Changes::default()
        };
        let routes = Changes {
            routes: true,
            ..Changes::default()
        };
        for (preference, gone, new) in [
            (RULE_PREFERENCE, ours, Changes::default()),
            (32_766, routes, routes),
        ] {
            let mut attrs = Writer::default();
            attrs.u32(FRA_PRIORITY, preference);
            assert_eq!(seen(RTM_DELRULE, &[2; 12], &attrs), gone);
            assert_eq!(seen(RTM_NEWRULE, &[2; 12], &attrs), new);
        }
        let mut route = [0; 12];
        (route[5], route[7]) = (PROTOCOL, RTN_UNICAST);
        let none = Writer::default();
        assert_eq!(seen(RTM_DELROUTE, &route, &none), ours);
        assert_eq!(seen(RTM_NEWROUTE, &route, &none), Changes::default());
        let mut name = Writer::default();
        name.string(3, DEVICE);
        let mut link = [0; 16];
        assert_eq!(seen(RTM_DELLINK, &link, &name), ours);
        assert_eq!(seen(RTM_NEWLINK, &link, &name), ours);
        link[8..12].copy_from_slice(&0x1_0001_u32.to_ne_bytes());
        assert_eq!(seen(RTM_NEWLINK, &link, &name), Changes::default());
        link[0] = AF_BRIDGE;
        assert_eq!(seen(RTM_NEWLINK, &link, &none), Changes::default());
    }

    #[test]
    fn a_message_that_is_cut_is_looked_at() {
        let mut changes = Changes::default();
        let mut message = 100_u32.to_ne_bytes().to_vec();
        message.extend(RTM_NEWLINK.to_ne_bytes());
        message.resize(60, 0xff);
        note(&mut changes, &message, &mut Counted::default(), |_| true);
        assert!(changes.links);
    }
}
