// SPDX-License-Identifier: GPL-2.0
//! The socket filter of a monitor of rtnetlink. The kernel runs it for each message, so that changes of devices that do not count, and of
//! routes that lead to no peer, do not wake the agent.
//!
//! A message for which it cannot decide is let through.
//!
//! C headers: linux/filter.h (`SKF_AD_NLATTR`), linux/rtnetlink.h

use std::net::IpAddr;

use ihmp_netlink::{
    Code,
    Program, //
};

use crate::{
    counted::Counted,
    ours::{
        DEVICE,
        PROTOCOL,
        RULE_PREFERENCE, //
    },
    rtnetlink::{
        AF_BRIDGE,
        AF_INET,
        AF_INET6,
        FRA_PRIORITY,
        IFLA_IFNAME,
        IFLA_INFO_KIND,
        IFLA_LINKINFO,
        RTA_DST,
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

/// Most devices and most peers that a program checks; with more of them it lets all messages about them through.
const MOST: usize = 128;

/// Octets of the netlink header; all that follows counts from there.
const HEAD: u32 = 16;
/// `struct ifinfomsg` and `struct ifaddrmsg`: the device.
const INDEX: u32 = HEAD + 4;
/// `struct ifinfomsg`
const LINK_FAMILY: u32 = HEAD;
/// `struct rtmsg`
const RT_FAMILY: u32 = HEAD;
const RT_DST_LEN: u32 = HEAD + 1;
const RT_PROTOCOL: u32 = HEAD + 5;
const RT_TYPE: u32 = HEAD + 7;
/// Where attributes begin.
const LINK_ATTRS: u32 = HEAD + 16;
const ROUTE_ATTRS: u32 = HEAD + 12;
const RULE_ATTRS: u32 = HEAD + 12;
/// Octets of an attribute's header.
const ATTR: u32 = 4;

/// Words of scratch memory: the destination of a route and its mask.
const DST: u32 = 0;
const MASK: u32 = 2;

/// Which devices count by what they are called and what they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Kinds of devices that do not count unless their names say so.
    pub kinds: &'static [&'static str],
    /// Name patterns of devices that count, whatever else is said here; `*` stands for any characters.
    pub include: Vec<String>,
    /// Name patterns of devices that do not.
    pub ignore: Vec<String>,
    /// If not empty, name patterns of the only devices that count.
    pub only: Vec<String>,
}

/// What the filter lets through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    names: Names,
    /// Devices that count now.
    counted: Counted,
    /// Addresses to which routes matter.
    peers: Vec<IpAddr>,
}

/// A pattern without a `*`, or with one at its end.
#[derive(Clone, Copy)]
struct Simple<'a> {
    head: &'a [u8],
    open: bool,
}

fn simple(pattern: &str) -> Option<Simple<'_>> {
    let head = pattern.strip_suffix('*').unwrap_or(pattern);
    (!head.contains('*') && head.len() < 16).then_some(Simple {
        head: head.as_bytes(),
        open: head.len() < pattern.len(),
    })
}

/// Lets the message through if the device in A counts.
fn pass_counted(code: &mut Code, counted: &Counted) {
    for index in counted.iter() {
        code.if_equal(u32::from_be_bytes(index.to_ne_bytes()), 0, 1);
        code.pass();
    }
}

/// Appends code that compares the name at X, and goes on with what `found` appends if it matches.
fn name(code: &mut Code, simple: Simple<'_>, found: impl FnOnce(&mut Code)) {
    let mut octets = simple.head.to_vec();
    // The comparison never goes beyond the end of the name: it stops at the first octet that differs.
    octets.extend((!simple.open).then_some(0));
    let mut left = octets.len();
    for (at, octet) in (ATTR..).zip(octets) {
        left -= 1;
        code.octet_behind_x(at);
        // A name has at most 15 octets.
        let skip = u8::try_from(2 * left + 1).unwrap_or(u8::MAX);
        code.if_equal(octet.into(), 0, skip);
    }
    found(code);
}

/// Drops the message if the device is of one of these kinds, and lets it through if not.
fn kinds(code: &mut Code, kinds: &[&str]) {
    code.attr(LINK_ATTRS, IFLA_LINKINFO);
    code.if_equal(0, 0, 1);
    code.pass();
    code.nested_attr(IFLA_INFO_KIND);
    code.if_equal(0, 0, 1);
    code.pass();
    code.x_from_a();
    for kind in kinds {
        let kind = Simple {
            head: kind.as_bytes(),
            open: false,
        };
        name(code, kind, Code::discard);
    }
    code.pass();
}

/// The mask of word `number` of a prefix whose length is that of the route.
fn mask(code: &mut Code, number: u32) {
    let (from, to) = (32 * number, 32 * (number + 1));
    code.octet(RT_DST_LEN);
    code.if_greater(from, 0, 7);
    code.if_at_least(to, 8, 0);
    // A part of the word: ones shifted to the left by what is missing.
    code.negate();
    code.add(to);
    code.x_from_a();
    code.number(u32::MAX);
    code.shift_left_by_x();
    code.skip(3);
    // Nothing of it.
    code.number(0);
    code.skip(1);
    // All of it.
    code.number(u32::MAX);
    code.store(MASK + number);
}

/// Lets a message about a rule through, except that our own rule was added.
fn rule() -> Code {
    let mut code = Code::default();
    let gone = u16::from_be_bytes(RTM_DELRULE.to_ne_bytes());
    code.if_equal(gone.into(), 0, 1);
    code.pass();
    code.attr(RULE_ATTRS, FRA_PRIORITY);
    code.if_equal(0, 0, 1);
    code.pass();
    code.x_from_a();
    code.word_behind_x(ATTR);
    let preference = u32::from_be_bytes(RULE_PREFERENCE.to_ne_bytes());
    code.if_equal(preference, 1, 0);
    code.pass();
    code.discard();
    code
}

impl Filter {
    /// A filter for devices with these names. No device counts yet, and there are no peers.
    pub fn new(names: Names) -> Self {
        Self {
            names,
            ..Self::default()
        }
    }

    /// Replaces the names.
    pub fn set_names(&mut self, names: Names) {
        self.names = names;
    }

    /// Replaces the devices that count; true if that changes the filter.
    pub fn set_counted(&mut self, counted: &Counted) -> bool {
        let changed = self.counted != *counted;
        if changed {
            self.counted.clone_from(counted);
        }
        changed
    }

    /// Adds a peer; true if that changes the filter.
    pub fn add_peer(&mut self, peer: IpAddr) -> bool {
        let new = self.peers.len() <= MOST && !self.peers.contains(&peer);
        self.peers.extend(new.then_some(peer));
        new
    }

    /// Replaces all peers; true if that changes the filter.
    pub fn set_peers(&mut self, mut peers: Vec<IpAddr>) -> bool {
        peers.sort_unstable();
        peers.dedup();
        // One too many is enough to say that there are too many.
        peers.truncate(MOST + 1);
        let before = std::mem::replace(&mut self.peers, peers);
        let many = self.peers.len() > MOST && before.len() > MOST;
        !many && before != self.peers
    }

    /// The program; one that lets everything through when there is too much to tell apart.
    pub(crate) fn program(&self) -> Program {
        let mut code = Code::default();
        let (link, address, route) = (self.link(), self.address(), self.route());
        code.half(4);
        for (one, other, inner) in [
            (RTM_NEWLINK, RTM_DELLINK, &link),
            (RTM_NEWADDR, RTM_DELADDR, &address),
            (RTM_NEWROUTE, RTM_DELROUTE, &route),
            (RTM_NEWRULE, RTM_DELRULE, &rule()),
        ] {
            code.if_equal(u16::from_be_bytes(one.to_ne_bytes()).into(), 2, 0);
            code.when(u16::from_be_bytes(other.to_ne_bytes()).into(), inner);
        }
        code.pass();
        code.program()
    }

    /// Lets a message through about a device that counts, or may count by its name and kind.
    fn link(&self) -> Code {
        let mut code = Code::default();
        if self.counted.len() > MOST {
            code.pass();
            return code;
        }
        // From the bridge, about its port.
        code.octet(LINK_FAMILY);
        code.if_equal(AF_BRIDGE.into(), 0, 1);
        code.discard();
        code.word(INDEX);
        pass_counted(&mut code, &self.counted);
        code.attr(LINK_ATTRS, IFLA_IFNAME);
        code.if_equal(0, 0, 1);
        code.pass();
        code.x_from_a();
        let own = Simple {
            head: DEVICE.as_bytes(),
            open: false,
        };
        name(&mut code, own, Code::pass);
        for pattern in &self.names.include {
            match simple(pattern) {
                Some(pattern) => name(&mut code, pattern, Code::pass),
                // Any device may match.
                None => code.pass(),
            }
        }
        for pattern in self
            .names
            .ignore
            .iter()
            .filter_map(|pattern| simple(pattern))
        {
            name(&mut code, pattern, Code::discard);
        }
        let only: Option<Vec<_>> = self
            .names
            .only
            .iter()
            .map(|pattern| simple(pattern))
            .collect();
        match only {
            Some(only) if !only.is_empty() => {
                for pattern in only {
                    name(&mut code, pattern, Code::pass);
                }
                code.discard();
            }
            Some(_) => kinds(&mut code, self.names.kinds),
            None => code.pass(),
        }
        code
    }

    /// Lets a message through about an address of a device that counts.
    fn address(&self) -> Code {
        let mut code = Code::default();
        if self.counted.len() > MOST {
            code.pass();
            return code;
        }
        code.word(INDEX);
        pass_counted(&mut code, &self.counted);
        code.discard();
        code
    }

    /// A route that leads to a peer, by whatever device: what does not count may take the place of what does. And the one
    /// that an address has, of a device that counts.
    fn route(&self) -> Code {
        let mut code = Code::default();
        let mut local = Code::default();
        local.attr(ROUTE_ATTRS, RTA_OIF);
        if self.counted.len() <= MOST {
            local.x_from_a();
            local.word_behind_x(ATTR);
            pass_counted(&mut local, &self.counted);
            local.discard();
        }
        local.pass();

        code.octet(RT_TYPE);
        code.when(RTN_LOCAL.into(), &local);
        // Where packets are sent, and where the kernel says that none can be.
        code.if_equal(RTN_UNICAST.into(), 3, 0);
        code.if_at_least(RTN_BLACKHOLE.into(), 0, 1);
        code.if_greater(RTN_THROW.into(), 0, 1);
        code.discard();
        // Our own route: only that it was removed matters.
        code.octet(RT_PROTOCOL);
        code.if_equal(PROTOCOL.into(), 0, 4);
        code.half(4);
        let gone = u16::from_be_bytes(RTM_DELROUTE.to_ne_bytes());
        code.if_equal(gone.into(), 0, 1);
        code.pass();
        code.discard();
        code.octet(RT_DST_LEN);
        code.if_equal(0, 0, 1);
        code.pass();
        let (v4, v6) = (self.leads(AF_INET, 1), self.leads(AF_INET6, 2));
        code.octet(RT_FAMILY);
        code.when(AF_INET.into(), &v4);
        code.when(AF_INET6.into(), &v6);
        code.discard();
        code
    }

    /// A route whose destination has a peer in it, as far as the first words tell.
    fn leads(&self, family: u8, words: u32) -> Code {
        let mut code = Code::default();
        code.attr(ROUTE_ATTRS, RTA_DST);
        code.if_equal(0, 0, 1);
        code.pass();
        code.x_from_a();
        if family == AF_INET6 {
            // Within a link, and to groups, which each device has.
            code.octet_behind_x(ATTR);
            code.if_at_least(0xfe, 0, 1);
            code.discard();
        }
        if self.peers.len() > MOST {
            code.pass();
            return code;
        }
        for word in 0..words {
            code.word_behind_x(ATTR + 4 * word);
            code.store(DST + word);
        }
        for word in 0..words {
            mask(&mut code, word);
        }
        for peer in &self.peers {
            let (of, octets) = match peer {
                IpAddr::V4(peer) => (AF_INET, peer.octets().to_vec()),
                IpAddr::V6(peer) => (AF_INET6, peer.octets().to_vec()),
            };
            if of != family {
                continue;
            }
            let mut left = u8::try_from(words).unwrap_or(u8::MAX);
            for (word, octets) in (0..words).zip(octets.chunks_exact(4)) {
                left -= 1;
                let value = octets
                    .first_chunk()
                    .map_or(0, |octets| u32::from_be_bytes(*octets));
                code.load(DST + word);
                code.xor(value);
                code.load_x(MASK + word);
                code.and_x();
                code.if_equal(0, 0, 5 * left + 1);
            }
            code.pass();
        }
        code.discard();
        code
    }
}

#[cfg(test)]
mod tests;
