// SPDX-License-Identifier: GPL-2.0
//! What follows from where a peer is, from what it does not know of us, and from what the kernel says passed.

use ihmp_core::addr::Addr;
use ihmp_core::message::{Addresses, Control, ADDRESS_LEN};

use crate::advertised::Standing;
use crate::host::Host;
use crate::io::Traffic;
use crate::limits::AMPLIFICATION;
use crate::note::Note;
use crate::probe::Purpose;
use crate::reconcile::reconcile;
use crate::world::World;
use crate::{probing, send, silence, telling};

/// The peer was heard: what it did not acknowledge where it was may go to where it is. `before` are the active addresses that it
/// had.
pub(crate) fn follow(host: &mut Host, before: &[Addr], world: &mut World) {
    if host.peer().active() != before {
        host.announcements_mut().resume();
        send::retarget(host, world);
    }
    reconcile(host, world);
}

/// The peer said that our number is wrong: greet it, then repeat what it did not take.
pub(crate) fn resync(host: &mut Host, world: &mut World) {
    // What came of the first refusal is on its way.
    if host.session().needs_hello() && host.requests().greets() {
        return;
    }
    world.note(Note::Resync { peer: host.name() });
    let often = host.session_mut().resynced() > 3;
    host.session_mut().need_hello();
    for request in host.requests_mut().take() {
        let from = request.from();
        host.advertised_mut().set(from, Standing::Maybe);
        host.announcements_mut().announce(from);
    }
    if often {
        host.announcements_mut().pause(world);
    }
    reconcile(host, world);
}

/// Sends the ACKs that the host waits for: with all our addresses, as far as the HELLO's length allows; to a stranger,
/// with none but the source.
pub(crate) fn reply(host: &mut Host, world: &mut World) {
    for reply in host.session_mut().take_replies() {
        let least = world.ack_length(reply.from, reply.answer);
        let room = (reply.asked * AMPLIFICATION).saturating_sub(least) / ADDRESS_LEN;
        let mut addresses = Addresses::EMPTY;
        let mut left = addresses.push(reply.from);
        let met = host.is_met();
        let mut list = match met {
            true => telling::list(host, world),
            false => Vec::new(),
        };
        host.advertised_mut().owe_list(!met);
        list.retain(|addr| *addr != reply.from);
        for addr in list.into_iter().take(room.saturating_sub(1)) {
            left = left && addresses.push(addr);
            host.advertised_mut().mention(addr);
        }
        let (from, to, seqno) = (reply.from, reply.to, reply.seqno);
        world.acknowledge(from, to, seqno, reply.options, addresses, reply.answer);
    }
}

/// An address of the peer is not used until it has shown that it hears us there.
fn give_up(host: &mut Host, addr: Addr, world: &mut World) {
    if let Some(before) = probing::give_up(host, addr, world) {
        follow(host, &before, world);
    }
}

/// Looks, asks, asks again, and gives up.
pub(crate) fn probe_due(host: &mut Host, world: &mut World) {
    probing::begin(host, world);
    silence::due(host, world);
    let mut failed = Vec::new();
    for mut probe in host.validation_mut().probes_mut().take() {
        if probe.is_due(world.now) && probe.is_over() {
            failed.extend(probe.path());
            if let Some(addr) = probing::unanswered(host, &probe, world) {
                give_up(host, addr, world);
            }
            continue;
        }
        if probe.is_due(world.now) {
            probing::send(host, &mut probe, world);
        }
        host.validation_mut().probes_mut().put(probe);
    }
    for path in failed {
        if let Some(before) = silence::failed(host, path, world) {
            follow(host, &before, world);
        }
    }
    host.review_validation(world);
}

/// What the kernel says of the peer's addresses, of relays, and of ports that NATs keep for us.
pub(crate) fn looked(host: &mut Host, traffic: Traffic, world: &mut World) {
    if let Some(addr) = host.validation_mut().judge(traffic, world) {
        give_up(host, addr, world);
    }
    host.validation_mut().look(traffic, world);
    probe_due(host, world);
    relays_looked(host, traffic, world);
    keep_looked(host, traffic, world);
    probe_due(host, world);
}

/// Whether the peer is heard through routers: when something was sent, and nothing has come for two time-outs, it is told of the
/// new address.
fn relays_looked(host: &mut Host, traffic: Traffic, world: &mut World) {
    let time_out = host.requests().time_out(world);
    let silent = host.relays_mut().looked(traffic, time_out, world.now);
    for new in &silent {
        send::end_to_end(host, *new, "silent", world);
    }
    if !silent.is_empty() {
        reconcile(host, world);
    }
}

/// Asks routers again, ends what was not renewed, and looks whether the peer is still heard.
pub(crate) fn relays_due(host: &mut Host, world: &mut World) {
    let due = host.relays_mut().due(world.now);
    host.announcements_mut().announce_all(due.renew);
    for new in due.over {
        send::end_to_end(host, new, "expired", world);
    }
    if due.look {
        host.listing().look(world);
    }
}

/// Asks the kernel whether there is still anything to keep ports for.
pub(crate) fn keep_due(host: &mut Host, world: &mut World) {
    if host.sources_mut().hidden_mut().take_due(world) {
        host.listing().look(world);
    }
}

/// The result of the traffic query that `keep_due` started.
fn keep_looked(host: &mut Host, traffic: Traffic, world: &mut World) {
    let asked = host.sources_mut().hidden_mut().take_asked();
    if traffic.flows == 0 || !host.takes_part() {
        return;
    }
    for from in asked {
        let to = telling::targets(host, from, Control::PathProbe, world);
        let to = to.iter().find(|to| host.peer().is_active(to.own));
        let may = host.validation().probes().may_begin(world);
        if let Some(to) = to.filter(|_| may) {
            probing::probe(host, from, to.own, Purpose::Mapping, world);
        }
    }
}
