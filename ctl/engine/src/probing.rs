// SPDX-License-Identifier: GPL-2.0
//! Asking a peer whether it hears us at an address, and giving up those where it does not.

use ihmp_core::addr::Addr;
use ihmp_core::time::Duration;

use crate::host::Host;
use crate::note::Note;
use crate::probe::{Probe, Purpose};
use crate::publish::publish;
use crate::world::World;

/// Begins what is due.
pub(crate) fn begin(host: &mut Host, world: &mut World) {
    host.review_validation(world);
    if !host.takes_part() {
        host.validation_mut().clear();
        return;
    }
    if host.validation_mut().take_looks(world.now) {
        host.listing().look(world);
    }
    for addr in host.validation().due(world.now) {
        ask_there(host, addr, world);
    }
    if host.validation().probes().is_seek_due(world) {
        let sought = host.validation().next_sought(host.peer(), world);
        if let Some((here, there)) = sought {
            host.validation_mut()
                .probes_mut()
                .note_sought((here, there));
            probe(host, here, there, Purpose::Validation, world);
        }
    }
}

/// Probes an unvalidated address, from where it was announced to, or from another address that reaches it.
fn ask_there(host: &mut Host, addr: Addr, world: &mut World) {
    let reaches = |local: Addr| {
        let reaches = local.family() == addr.family() && !world.routes.misses(local, addr);
        reaches && world.own.has(local)
    };
    // From where it knows us, if that can be: what it did not know becomes one more of our addresses to it.
    let mut others = world.own.all().iter().copied();
    let mut others = others.by_ref().filter(|local| reaches(*local)).peekable();
    let first = others.peek().copied();
    let known = others.find(|local| host.advertised().is_active(*local));
    let other = known.or(first);
    let from = host.validation_mut().begin(addr, reaches, other, world);
    if let Some(from) = from {
        probe(host, from, addr, Purpose::Validation, world);
    }
}

/// The time between two sends of a probe of a path: half of a time-out, which is one and a half round trips.
pub(crate) fn gap(host: &Host, world: &World) -> Duration {
    let time_out = host.requests().time_out(world);
    Duration::from_nanos(time_out.as_nanos() / 2)
}

/// Probes an address.
pub(crate) fn probe(host: &mut Host, from: Addr, to: Addr, purpose: Purpose, world: &mut World) {
    let time_out = match purpose {
        Purpose::Path => gap(host, world),
        Purpose::Validation | Purpose::Mapping => host.requests().time_out(world),
    };
    let probes = host.validation_mut().probes_mut();
    probes.begin(from, to, purpose, time_out, world);
}

/// Sends a probe.
pub(crate) fn send(host: &Host, probe: &mut Probe, world: &mut World) {
    let anchor = host.advertised().anchor();
    let own = host.trust().own();
    probe.send(anchor.unwrap_or(probe.from()), own, world);
}

/// Nobody answered there; the address, if it is to be given up. The agent of the peer may be gone while its connections go on,
/// and that the kernel sees.
pub(crate) fn unanswered(host: &mut Host, probe: &Probe, world: &mut World) -> Option<Addr> {
    if host.listing().id().is_some() {
        let alone = host.peer().reach().eq([probe.to()]);
        let again = world
            .now
            .after(world.jitter(world.limits.requests.retry_first));
        let asked = probe.asked().filter(|_| alone);
        let validation = host.validation_mut();
        if asked.is_some_and(|to| validation.doubt(to, again, world.now)) {
            host.listing().look(world);
            return None;
        }
    }
    probe.unanswered(world);
    probe.asked()
}

/// An address of the peer is not used until it has shown that it hears us there; the active addresses that it had before, if that
/// was one of them.
pub(crate) fn give_up(host: &mut Host, addr: Addr, world: &mut World) -> Option<Vec<Addr>> {
    if !host.validation_mut().fail(addr, world) || !host.peer().is_active(addr) {
        return None;
    }
    world.note(Note::Unvalidated { peer: addr });
    Some(deactivate(host, addr, world))
}

/// An address of the peer is not used any more; the active addresses that it had before.
pub(crate) fn deactivate(host: &mut Host, addr: Addr, world: &mut World) -> Vec<Addr> {
    let before = host.peer().active().to_vec();
    host.peer_mut().deactivate(addr);
    publish(host, world);
    before
}
