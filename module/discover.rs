// SPDX-License-Identifier: GPL-2.0

//! Discovery: a flow to an unknown address makes a host entry and asks the agent about it.
//!
//! TCP counts when it is established and UDP when the socket is connected; of other flows the third
//! packet does, so that a single question to a name server asks nobody. A flow that the other end opened asks nobody, unless
//! the policy for its address says so: see [`crate::opener`].

use crate::{
    ffi::{
        charge::Charge,
        clock,
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
    opener::Openers,
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
        atomic::{
            Atomic,
            Full,
            Relaxed, //
        },
        rcu::Guard, //
    },
};

/// Packets to an address, without a connection, before it is asked about.
const SIGHTINGS_NEEDED: u32 = 3;
/// Requests a second.
const RATE: u32 = 100;
/// Milliseconds after which an entry that nobody answered for goes.
const UNANSWERED_MS: u64 = 60_000;

/// Counters of packets towards unknown addresses.
const SIGHTINGS: usize = 256;

/// What is known of flows to unknown addresses.
pub(crate) struct Asking {
    pub(crate) openers: Openers,
    /// Packets to addresses; one counter for several addresses.
    sightings: [Atomic<u32>; SIGHTINGS],
    /// The second in which requests were last made, and how many.
    second: Atomic<u64>,
    count: Atomic<u32>,
}

impl Asking {
    /// No flows were seen. Fails without memory.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            openers: Openers::new()?,
            sightings: [const { Atomic::new(0) }; SIGHTINGS],
            second: Atomic::new(0),
            count: Atomic::new(0),
        })
    }

    /// Forgets what was seen of addresses.
    pub(crate) fn forget(&self) {
        for sighting in &self.sightings {
            sighting.store(0, Relaxed);
        }
    }
}

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
    let asks = match netns.action(addr, guard) {
        Action::Auto => netns.asking.openers.speak(&packet.tuple, sock),
        // Who has shaken hands is there; a datagram may have come in the name of somebody else.
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
    if !within_rate(netns) {
        netns.refuse(Reason::DiscoverLimit);
        return None;
    }
    let charge = Charge::to(sock);
    let made = make(netns, addr, packet.tuple.src, guard);
    drop(charge);
    if made.is_err_and(|error| error != EEXIST) {
        netns.refuse(Reason::NoMemory);
        return None;
    }
    let host = netns.net.find::<Addrs>(&addr.octets(), guard)?.host(guard);
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
        _ => {
            let tuple = &packet.tuple;
            let [high, low] = tuple.sport.to_be_bytes();
            let octets = Iterator::chain(tuple.dst.octets().into_iter(), [high, low]);
            let sum = octets.fold(0_usize, |sum, octet| {
                sum.wrapping_mul(31).wrapping_add(octet.into())
            });
            let sighting = &netns.asking.sightings[sum % SIGHTINGS];
            let enough = sighting.fetch_add(1, Relaxed) + 1 >= SIGHTINGS_NEEDED;
            if enough {
                sighting.store(0, Relaxed);
            }
            enough
        }
    }
}

/// A flow begins at an own address that its host was not told of: the agent may tell it.
#[cold]
pub(crate) fn untold(netns: &Netns, host: &Host, packet: &Packet, sock: &Sock<'_>) {
    if netns.params.discovers() && sock.is_user() && within_rate(netns) {
        notify::discover(netns, host.id(), packet);
    }
}

fn within_rate(netns: &Netns) -> bool {
    let second = clock::to_ms(clock::jiffies()) / 1000;
    if netns.asking.second.xchg(second, Relaxed) != second {
        netns.asking.count.store(0, Relaxed);
    }
    netns.asking.count.fetch_add(1, Relaxed) < RATE
}

/// Makes the entry; `EEXIST` when another CPU was faster.
fn make(netns: &Netns, addr: Addr, local: Addr, guard: &Guard) -> Result {
    let remote = [Entry::new(addr)];
    let own = [Entry::new(local)];
    // A packet may leave before it has a source; the agent fills the set.
    let own = if local.translatable() { &own[..] } else { &[] };
    let lists = Lists([&remote, &[], own, &[]]);
    let view = View::new(Said::new(HostState::New), lists, &[], None, true)?;
    let host = Host::new(view, true)?;
    host.set_expiry(Some(UNANSWERED_MS));
    netns.host_number(&host)?;
    let added = AddrNode::new(addr, Role::Active, host.clone(), true)
        .and_then(|node| netns.net.insert::<Addrs>(node));
    if let Err(error) = added {
        // Unless a command has meanwhile.
        netns.host_take_out(&host);
        return Err(error);
    }
    // Removed by a command between the two: then the address must not stay behind.
    // Pairs with the exchange in `host_take_out`, as in `flow_add`.
    if host.gone.cmpxchg(false, false, Full).is_err() {
        netns.name_remove(&host, addr, guard);
    }
    Ok(())
}
