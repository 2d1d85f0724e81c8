// SPDX-License-Identifier: GPL-2.0

//! Discovery: a flow to an unknown address makes a host entry and asks the agent about it.
//!
//! TCP counts when it is established and UDP when the socket is connected; of other flows the third
//! packet does, so that a single question to a name server asks nobody. A flow that the other end opened asks nobody, unless
//! the policy for its address says so: see [`crate::opener`].

use crate::{
    ffi::{
        charge::charged,
        object::Found,
        sock::Sock, //
    },
    host::{
        AddrNode,
        Addrs,
        Host, //
    },
    netns::Netns,
    notify,
    stats::Counter,
    uapi::HostState,
    view::{
        Said,
        View, //
    },
};
use ihmp_core::{
    addr::Addr,
    packet::{
        Packet,
        TCP,
        UDP, //
    },
    policy::Action,
    sets::{
        Entry,
        Lists,
        Role, //
    },
    verdict::Reason, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::Relaxed,
        rcu::Guard, //
    },
};

/// Milliseconds after which an entry that nobody answered for goes.
const UNANSWERED_MS: u64 = 60_000;

/// Decides about a flow to an address that no host has; gives the host that was made for it.
#[inline(never)]
pub(crate) fn consider<'a>(
    netns: &Netns,
    packet: &Packet,
    sock: &Sock<'_>,
    guard: &'a Guard,
) -> Option<Found<'a, Host>> {
    let addr = packet.tuple.dst;
    if !netns.params.discovers() || !sock.is_user() {
        return None;
    }
    let asks = match netns.policy.read(guard).action(addr) {
        Action::Auto => netns.asking.openers.speak(&packet.tuple, sock),
        // A completed TCP handshake proves the peer is there; a datagram's source may be forged.
        Action::AutoIn => {
            packet.tuple.proto == TCP || netns.asking.openers.speak(&packet.tuple, sock)
        }
        Action::Known | Action::Never => false,
    };
    if !asks || !worth_asking(netns, packet, sock) {
        return None;
    }
    if netns.hosts.load(Relaxed) >= netns.params.max_hosts.load(Relaxed) {
        netns.limit_reached(Reason::HostLimit);
        return None;
    }
    if !netns.asking.is_within_rate() {
        netns.refuse(Reason::DiscoverLimit);
        return None;
    }
    let made = charged(Some(sock), || make(netns, addr, packet.tuple.src));
    if made.is_err_and(|error| error != EEXIST) {
        netns.refuse(Reason::NoMemory);
        return None;
    }
    let host = netns.named(addr, guard)?.host(guard);
    if made.is_ok() {
        netns.count(Counter::Discovered);
        notify::discover(netns, host.id(), packet);
    }
    Some(host)
}

fn worth_asking(netns: &Netns, packet: &Packet, sock: &Sock<'_>) -> bool {
    match packet.tuple.proto {
        TCP => sock.established(),
        UDP if sock.established() => true,
        _ => netns.asking.sight(&packet.tuple),
    }
}

/// A flow begins at an own address that its host was not told of: the agent may tell it.
#[cold]
pub(crate) fn untold(netns: &Netns, host: &Host, packet: &Packet, sock: &Sock<'_>) {
    if netns.params.discovers() && sock.is_user() && netns.asking.is_within_rate() {
        notify::discover(netns, host.id(), packet);
    }
}

/// Makes the entry; `EEXIST` when another CPU was faster.
fn make(netns: &Netns, addr: Addr, local: Addr) -> Result {
    let remote = [Entry::new(addr)];
    let own = [Entry::new(local)];
    // A packet may leave before it has a source; the agent fills the set.
    let own = if local.translatable() { &own[..] } else { &[] };
    let lists = Lists([&remote, &[], own, &[]]);
    let view = View::new(Said::new(HostState::New), lists, &[], None, true)?;
    let host = Host::new(view, true)?;
    host.set_expiry(Some(UNANSWERED_MS));
    let number = netns.net.reserve_number()?;
    host.set_id(number.get());
    let node = AddrNode::new(addr, Role::Active, host.clone(), true)?;
    netns.net.insert::<Addrs>(node)?;
    // A command changes and removes what has its number, so the host has its address by then.
    netns.host_publish(&host, number);
    Ok(())
}
