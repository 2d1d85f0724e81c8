// SPDX-License-Identifier: GPL-2.0
//! A monitor of rtnetlink: receives changes of links, addresses and routes.
//!
//! C headers: linux/rtnetlink.h

use std::os::fd::{
    AsRawFd,
    RawFd, //
};

use ihmp_netlink::{
    Attrs,
    Error,
    Heard,
    Listener,
    Protocol, //
};

use crate::{
    counted::Counted,
    filter::Filter,
    link::Link,
    ours::{
        DEVICE,
        PROTOCOL,
        RULE_PREFERENCE, //
    },
    rtnetlink::{
        octet,
        word,
        AF_BRIDGE,
        FRA_PRIORITY,
        ROUTE_HEADER,
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
        RTN_UNICAST, //
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

/// The multicast groups of a monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Groups {
    /// Devices, addresses and rules.
    Addresses,
    /// Routes. They have a monitor of their own, because there may be so many changes that it has to be closed for a while.
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
    /// Messages that were read, or thrown away.
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

/// A monitor, in the network namespace of the thread that opened it.
pub struct Watch {
    listener: Listener,
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
        let listener = Listener::open(Protocol::Route, groups, &filter.program())?;
        Ok(Self { listener })
    }

    /// Attaches this filter in place of the one before.
    pub fn set_filter(&self, filter: &Filter) -> Result<(), Error> {
        self.listener.set_program(&filter.program())
    }

    /// Reads the messages that have come, without waiting, and no more than `most`. Changes of devices that do not count are left out;
    /// `counts` says of a device whether it may count.
    pub fn drain(
        &mut self,
        most: usize,
        counted: &mut Counted,
        counts: impl Fn(&Link) -> bool,
    ) -> Result<Changes, Error> {
        let mut changes = Changes::default();
        while changes.seen < most {
            match self.listener.hear()? {
                Heard::Message { kind, body } => note(&mut changes, kind, body, counted, &counts),
                Heard::Overrun { discarded } => {
                    changes.overrun = true;
                    changes.seen += discarded;
                }
                Heard::Nothing => return Ok(changes),
            }
            changes.seen += 1;
        }
        changes.more = true;
        Ok(changes)
    }
}

/// Takes note of one message.
fn note(
    changes: &mut Changes,
    kind: u16,
    body: &[u8],
    counted: &mut Counted,
    counts: impl Fn(&Link) -> bool,
) {
    match kind {
        // From the bridge, about its port; the port's own message has another family.
        RTM_NEWLINK | RTM_DELLINK if octet(body, 0) == AF_BRIDGE => (),
        RTM_NEWLINK | RTM_DELLINK => {
            // A message that cannot be parsed may be about a device that counts.
            let Ok(link) = Link::read(body) else {
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
            let mut attrs =
                Attrs::new(body.get(ROUTE_HEADER..).unwrap_or_default()).filter_map(Result::ok);
            let preference = attrs.find(|attr| attr.number() == FRA_PRIORITY);
            match preference.and_then(|attr| attr.u32().ok()) {
                Some(RULE_PREFERENCE) => changes.ours |= kind == RTM_DELRULE,
                // A rule of somebody else: other routes may be used now.
                _ => changes.routes = true,
            }
        }
        RTM_NEWROUTE | RTM_DELROUTE if octet(body, 5) == PROTOCOL => {
            changes.ours |= kind == RTM_DELROUTE;
        }
        RTM_NEWADDR | RTM_DELADDR => changes.addresses |= counted.has(word(body, 4)),
        RTM_NEWROUTE | RTM_DELROUTE => {
            let attrs = Attrs::new(body.get(ROUTE_HEADER..).unwrap_or_default());
            let device = attrs
                .filter_map(Result::ok)
                .find(|attr| attr.number() == RTA_OIF)
                .and_then(|attr| attr.u32().ok());
            let counts = device.is_none_or(|device| counted.has(device));
            match octet(body, 7) {
                // The kernel adds this route when it begins to accept packets for an address.
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
        self.listener.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use ihmp_netlink::Writer;

    use super::*;
    use crate::filter::Names;

    #[test]
    fn nothing_happens() {
        for groups in [Groups::Addresses, Groups::Routes] {
            let mut watch = Watch::subscribe(groups, &Filter::default()).unwrap();
            watch.set_filter(&Filter::default()).unwrap();
            let only = Names {
                only: vec!["no-such-device".into()],
                ..Names::default()
            };
            watch.set_filter(&Filter::new(only)).unwrap();
            let changes = watch.drain(9, &mut Counted::default(), |_| false).unwrap();
            assert!(!changes.any() && !changes.more);
        }
    }

    #[test]
    fn what_is_ours_and_goes_is_noticed() {
        let seen = |kind: u16, header: &[u8], attrs: &Writer| {
            let body = attrs.behind(header);
            let mut changes = Changes::default();
            note(&mut changes, kind, &body, &mut Counted::default(), |_| true);
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
        let body: &[u8] = &[];
        note(
            &mut changes,
            RTM_NEWLINK,
            body,
            &mut Counted::default(),
            |_| true,
        );
        assert!(changes.links);
    }
}
