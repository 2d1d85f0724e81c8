// SPDX-License-Identifier: GPL-2.0
//! From which own addresses a peer can be reached, by the routes.
//!
//! From some, packets leave by a device that does not count, such as a tunnel. They are no locators: what is meant for a
//! tunnel does not go beside it, and nothing of ours goes into it. But flows that are at home there go on as they would
//! without us, and the peer is told nothing of it.

use ihmp_core::addr::{Addr, Family, Scope};

use crate::host::Host;
use crate::io::{Age, Output, Via};
use crate::world::World;

/// What is added to the preference of an own address that works in a shared network only.
const SHARED: u16 = 20;
/// What is added to that of a deprecated one where there is another.
const AGED: u16 = 40;

/// Whether the routes to all addresses in use are known.
pub(crate) fn is_routed(host: &Host, world: &World) -> bool {
    let mut reach = host.peer().reach();
    reach.all(|addr| world.routes.has(addr))
}

/// Asks for the routes to addresses that became active.
pub(crate) fn ask(host: &Host, world: &mut World) {
    for addr in host.peer().active() {
        if !world.routes.has(*addr) {
            world.outputs.push_back(Output::Ask(*addr));
        }
    }
    for addr in host.peer().nat().routes() {
        if !world.routes.has(addr) {
            world.routes.wait(addr, host.key());
            world.outputs.push_back(Output::Ask(addr));
        }
    }
}

/// Own addresses from which an active address of the peer can be reached, best first. To where a router does not let us move
/// is none of them.
pub(crate) fn find(host: &Host, world: &World) -> Vec<Via> {
    let (peer, advertised) = (host.peer(), host.advertised());
    let mut usable: Vec<Via> = Vec::new();
    let rejected = host.sources().rejected();
    let ours = world.own.real().iter();
    let ours = ours.filter(|local| advertised.may_use(**local, world) && !rejected.has(**local));
    for local in ours {
        let routes = peer.reach().filter_map(|peer| world.routes.of(peer));
        let mine = routes.flatten();
        let mine = mine.filter(|via| via.local == *local && !via.diverted);
        if let Some(preference) = mine.map(|via| via.preference).min() {
            // What reaches only some of its addresses, in a network that we share, is good for nothing else.
            let mut active = peer.active().iter();
            let partial = active.any(|peer| world.routes.misses(*local, *peer));
            let shared = partial && local.scope() == Scope::Private;
            let more = if shared { SHARED } else { 0 };
            let through = peer.reach().filter_map(|peer| world.routes.of(peer));
            let best = through
                .flatten()
                .find(|via| via.local == *local && via.preference == preference && !via.diverted);
            usable.push(Via {
                local: *local,
                preference: preference.saturating_add(more),
                device: best.and_then(|via| via.device),
                diverted: false,
            });
        }
    }
    let ages: Vec<(Addr, bool)> = usable
        .iter()
        .map(|via| (via.local, world.own.age(via.local) != Age::Preferred))
        .collect();
    for via in &mut usable {
        let better = |(addr, aged): &(Addr, bool)| !aged && addr.family() == via.local.family();
        if ages.contains(&(via.local, true)) && ages.iter().any(better) {
            via.preference = via.preference.saturating_add(AGED);
        }
    }
    // Where nothing works there is nothing to prefer.
    let dead = |via: &Via| host.sources().dead().has(via.local);
    for family in [Family::V4, Family::V6] {
        let of = |via: &Via| via.local.family() == family;
        if usable.iter().any(|via| of(via) && !dead(via)) {
            usable.retain(|via| !of(via) || !dead(via));
        }
    }
    host.relays().keep(&mut usable, advertised);
    usable.sort_by_key(|via| via.preference);
    usable
}

/// Whether this own address is deprecated and there is another one: the peer need not be told of it.
pub(crate) fn is_spare(host: &Host, addr: Addr, world: &World) -> bool {
    let better =
        |other: Addr| other.family() == addr.family() && world.own.age(other) == Age::Preferred;
    world.own.age(addr) != Age::Preferred
        && match host.peer().speaks(addr.family()) {
            true => host.sources().addrs().any(better),
            false => world.own.real().iter().any(|other| better(*other)),
        }
}

/// Whether packets from this own address leave for the peer by a device that does not count.
fn is_diverted(host: &Host, addr: Addr, world: &World) -> bool {
    let mut routes = host.peer().reach().filter_map(|peer| world.routes.of(peer));
    let diverted = routes.any(|via| via.iter().any(|via| via.local == addr && via.diverted));
    diverted && world.own.is_real(addr) && !host.sources().has(addr)
}

/// Those of them that the peer knows.
pub(crate) fn diverted<'a>(host: &'a Host, world: &'a World) -> impl Iterator<Item = Addr> + 'a {
    let advertised = host.advertised().iter().map(|advertised| advertised.addr);
    advertised.filter(|addr| is_diverted(host, *addr, world))
}

/// Own addresses to which a router does not let us move: the peer can be told of them, and not reached from there.
pub(crate) fn rejected<'a>(host: &'a Host, world: &'a World) -> impl Iterator<Item = Addr> + 'a {
    let rejected = host.sources().rejected().addrs();
    rejected.filter(|addr| world.own.is_real(*addr))
}
