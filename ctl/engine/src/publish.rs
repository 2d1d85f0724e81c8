// SPDX-License-Identifier: GPL-2.0
//! What the kernel is told of a host.

use ihmp_core::addr::{Addr, Scope};
use ihmp_core::message::MAX_ADDRESSES;

use crate::host::Host;
use crate::io::{Local, Record, State};
use crate::request::Request;
use crate::routing;
use crate::world::World;

/// Whether there will be a NAT in front of this address: a private one, and neither the peer's are nor the one by which
/// it knows us. Until the peer has said what it sees, nothing else leaves from there: what has no port mapping yet, or
/// never gets one, would be answered by a reset.
fn awaits_nat(host: &Host, addr: Addr) -> bool {
    let theirs = host.peer().reach();
    let theirs = theirs.filter(|peer| peer.family() == addr.family());
    let mut theirs = theirs.peekable();
    let private = |addr: Addr| addr.scope() == Scope::Private;
    let anchor = host.advertised().anchor();
    host.state() == State::Up
        && private(addr)
        && anchor.is_some_and(|anchor| !private(anchor))
        && theirs.peek().is_some()
        && !theirs.any(private)
}

/// Whether a router may answer in the peer's place to what was sent from there: until somebody has answered, nothing
/// else leaves from there. Where the peer has not heard of the move, it would be a stranger's.
fn awaits_router(host: &Host, addr: Addr, world: &World) -> bool {
    let out = |request: &Request| request.from() == addr && request.awaits_router();
    world.keyring.is_routed(addr)
        && !host.advertised().is_active(addr)
        && host.requests().out().iter().any(out)
}

/// The complete sets for the kernel.
///
/// While an address is being proven, data stays with those that work: nobody knows yet whether the new network does.
/// Where none works, it has the preference that the routes give it, also when nobody tries it yet: without it, what
/// goes on unchanged now would be dropped for want of a path.
pub(crate) fn record(host: &Host, world: &World) -> Record {
    let (sources, advertised) = (host.sources(), host.advertised());
    let mut local = Vec::new();
    for via in sources.usable() {
        let nat = sources.is_hidden(via.local);
        let unvalidated = !nat && !advertised.is_active(via.local);
        let tried =
            host.announcements().announces(via.local) || host.requests().is_out_from(via.local);
        let family = via.local.family();
        let spare = host.proven().any(|addr| addr.family() == family);
        let idle = !tried && spare && host.state() == State::Up;
        let awaits = awaits_router(host, via.local, world) || awaits_nat(host, via.local);
        if unvalidated && (idle || awaits) {
            continue;
        }
        local.push(Local {
            addr: via.local,
            preference: via.preference,
            unvalidated,
            nat,
            left: sources.is_left(via.local, advertised),
            device: via.device,
        });
    }
    for addr in routing::diverted(host, world) {
        local.push(Local {
            addr,
            preference: u16::MAX,
            unvalidated: false,
            nat: true,
            left: false,
            device: None,
        });
    }
    local.sort_by_key(|local| (local.unvalidated, local.preference));
    local.truncate(MAX_ADDRESSES);
    let peer = host.peer();
    let nats = peer.nats();
    let claims = peer.unreachable().iter().copied();
    let unreachable = claims.filter(|addr| !nats.contains(addr)).collect();
    let classic = host.state() == State::Classic;
    Record {
        state: host.state(),
        active: peer.active().to_vec(),
        unvalidated: host.validation().unvalidated(peer),
        nats,
        unreachable,
        local,
        expires: classic.then(|| host.listing().classic_for()),
    }
}

/// Tells the kernel what changed.
pub(crate) fn publish(host: &mut Host, world: &mut World) {
    // A host that is being asked stays as the module made it.
    if host.listing().id().is_none() || host.is_managed() || host.state() == State::New {
        return;
    }
    host.review_left(world);
    let record = record(host, world);
    host.listing_mut().publish(record, world);
}

/// Asks the kernel for an entry.
pub(crate) fn make(host: &mut Host, world: &mut World) {
    let (key, former) = (host.key(), host.peer().alias().to_vec());
    let record = record(host, world);
    host.listing_mut().ask(key, record, former, world);
}
