// SPDX-License-Identifier: GPL-2.0
//! What a peer may be told of our addresses, and where to.
//!
//! A stranger is told none but the source, which it sees anyway. A peer with a key that has shown that it hears us is told
//! others, so that it can be found there, or find us: not those that the administrator keeps to himself; no private one,
//! unless it is in the same scope; and of a network with a stable and a temporary address (RFC 8981) only the kind by which
//! it knows us. What a peer knows is never taken back for one of these reasons.

use ihmp_core::addr::{Addr, Family, Scope};
use ihmp_core::message::Control;

use crate::advertised::{Advertised, Standing};
use crate::endpoint::Endpoint;
use crate::host::Host;
use crate::io::State;
use crate::limits::MAX_ADVERTISED;
use crate::prefix::is_connected;
use crate::routing;
use crate::world::World;

/// Whether the peer may be told of an own address.
pub(crate) fn may_tell(host: &Host, addr: Addr, world: &World) -> bool {
    let advertised = host.advertised();
    let within = addr.scope() != Scope::Private || shares_scope(host, addr.family(), world);
    let open = world.own.discretion().open.contains(&addr);
    advertised.is_known(addr) || (advertised.may_use(addr, world) && (within || open))
}

/// Whether the peer reaches a private address of ours without a NAT, says that it has one of its own, or is in a network to
/// which we are connected.
fn shares_scope(host: &Host, family: Family, world: &World) -> bool {
    let private = |addr: Addr| addr.family() == family && addr.scope() == Scope::Private;
    let mut advertised = host.advertised().iter();
    if advertised.any(|advertised| {
        let reached = advertised.standing == Standing::Active;
        let reached = reached && !host.sources().is_hidden(advertised.addr);
        private(advertised.addr) && reached
    }) {
        return true;
    }
    let near = |addr: Addr| {
        let mut ours = world.own.connected().iter();
        ours.any(|(here, len)| is_connected(*here, addr, *len))
    };
    let mut known = host.peer().has();
    known.any(|addr| private(addr) || (host.peer().is_active(addr) && near(addr)))
}

/// Our addresses that the peer may know: those that it holds for active, then others that it was told of, then the rest
/// by preference, so that the first ones are always the same.
///
/// In a family in which the peer is reached, those with a route to it; in the other, all: of these, what it may be told.
fn tellable(host: &Host, world: &World) -> Vec<Addr> {
    let mut list: Vec<Addr> = Vec::new();
    let quiet = world.own.real().iter().copied();
    let quiet = quiet.filter(|addr| !host.peer().speaks(addr.family()));
    let usable = host.sources().addrs();
    let others = routing::diverted(host, world).chain(routing::rejected(host, world));
    for addr in usable.chain(others).chain(quiet) {
        let known = list.contains(&addr) || host.is_behind(addr);
        let active = host.advertised().is_active(addr);
        let worth = active || !routing::is_spare(host, addr, world);
        if !known && may_tell(host, addr, world) && worth {
            list.push(addr);
        }
    }
    list.sort_by_key(|addr| match host.advertised().standing(*addr) {
        Some(Standing::Active) => 0,
        Some(_) => 1,
        None => 2,
    });
    list
}

/// Our addresses as the peer should know them, as many as can be told, the most important ones first.
pub(crate) fn list(host: &Host, world: &World) -> Vec<Addr> {
    let mut list = tellable(host, world);
    list.truncate(MAX_ADVERTISED);
    list
}

/// The same, with this source.
pub(crate) fn list_from(host: &Host, from: Addr, world: &World) -> Vec<Addr> {
    let mut list = list(host, world);
    if !list.contains(&from) {
        list.insert(0, from);
        list.truncate(MAX_ADVERTISED);
    }
    list
}

/// Whether the peer may be told of an address of ours, and was not.
pub(crate) fn has_untold(host: &Host, world: &World) -> bool {
    let list = list(host, world);
    list.iter().any(|addr| !host.advertised().is_known(*addr))
}

/// Addresses that the peer was told of and should forget: those that cannot wait for the next message.
pub(crate) fn lost(host: &Host, world: &World) -> Vec<Advertised> {
    let list = tellable(host, world);
    let advertised = host.advertised().iter();
    let gone = advertised.filter(|advertised| !list.contains(&advertised.addr));
    gone.filter(|advertised| host.peer().speaks(advertised.addr.family()))
        .collect()
}

/// Where to send to from one of our addresses: the address last heard from, the other active ones, then those that
/// may have become reachable; those to which there is no route from there come last.
pub(crate) fn targets(host: &Host, from: Addr, control: Control, world: &World) -> Vec<Endpoint> {
    let peer = host.peer();
    let heard = peer.heard();
    let mut targets: Vec<Endpoint> = Vec::new();
    let known = heard.iter().chain(peer.active());
    let all = control != Control::Hello || host.state() == State::Up;
    let more = peer.unreachable().iter().filter(|_| all);
    let direct = |addr: &Addr| Endpoint::direct(*addr);
    let behind = peer.nat().endpoints_from(from);
    for to in known.map(direct).chain(behind).chain(more.map(direct)) {
        if to.addr.family() == from.family() && !targets.contains(&to) {
            targets.push(to);
        }
    }
    targets.sort_by_key(|to| world.routes.misses(from, to.addr));
    targets.truncate(4);
    targets
}

/// The address from which a greeting is due that shows that we hear the peer, if that can be used.
pub(crate) fn answers_from(host: &Host) -> Option<Addr> {
    let from = host.sources().hidden().answers_from();
    from.filter(|from| host.sources().has(*from))
}

/// A usable address from which the peer hears us, though nothing else is of use there.
pub(crate) fn heard_from(host: &Host) -> Option<Addr> {
    let sources = host.sources();
    let mut usable = sources.addrs();
    usable.find(|addr| sources.is_hidden(*addr) && host.peer().speaks(addr.family()))
}
