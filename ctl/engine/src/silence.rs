// SPDX-License-Identifier: GPL-2.0
//! What is done when the kernel says that nothing comes back on a path: it is checked, and another one is used in its place.

use ihmp_core::addr::Addr;

use crate::host::Host;
use crate::limits::MAX_OTHERS;
use crate::note::Note;
use crate::probe::Purpose;
use crate::probing::{deactivate, gap, probe};
use crate::reconcile::{network_changed, reconcile};
use crate::suspicion::Ends;
use crate::world::World;

/// Something is sent from an own address to one of the peer, and nothing comes back. Nothing is done where there is no other path.
pub(crate) fn suspect(host: &mut Host, path: Ends, world: &mut World) {
    let (local, remote) = path;
    let known = is_path(host, path, world) && host.takes_part();
    let rested = host
        .validation()
        .suspicions()
        .may_begin(local.family(), world.now);
    if !known || !rested {
        return;
    }
    let others = others(host, path, world);
    if others.is_empty() || !world.budgets.check_path(world.now) {
        return;
    }
    world.note(Note::PathSilent {
        local,
        peer: remote,
    });
    let others_at = world.now.after(gap(host, world));
    let validation = host.validation_mut();
    validation.suspicions_mut().begin(path, others, others_at);
    probe(host, local, remote, Purpose::Path, world);
}

/// Whether packets can take the path, as far as is known.
fn is_path(host: &Host, (local, remote): Ends, world: &World) -> bool {
    let routed = local.family() == remote.family() && !world.routes.misses(local, remote);
    host.sources().has(local) && host.peer().is_active(remote) && routed
}

/// Other paths of the family: from another own address, and to another address of the peer. Those that the peer has confirmed come first.
fn others(host: &Host, (local, remote): Ends, world: &World) -> Vec<Ends> {
    let family = local.family();
    let proven = host.proven();
    let here = proven
        .filter(|addr| *addr != local)
        .map(|addr| (addr, remote));
    let there = host.peer().active().iter().filter(|addr| **addr != remote);
    let there = there.map(|addr| (local, *addr));
    let all = here.chain(there);
    let open = all.filter(|(from, to)| from.family() == family && to.family() == family);
    let open = open.filter(|path| is_path(host, *path, world));
    open.take(MAX_OTHERS).collect()
}

/// Probes other paths when it is time, and has dead addresses announced again.
pub(crate) fn due(host: &mut Host, world: &mut World) {
    let suspicions = host.validation_mut().suspicions_mut();
    for (from, to) in suspicions.take_others(world.now) {
        probe(host, from, to, Purpose::Path, world);
    }
    if !host.sources_mut().dead_mut().take_due(world.now).is_empty() {
        network_changed(host, world);
    }
}

/// A probe of a path was answered.
pub(crate) fn answered(host: &mut Host, path: Ends, world: &World) {
    let validation = host.validation_mut();
    if validation.suspicions_mut().answered(path, world.now) {
        validation.probes_mut().end_paths(path.0.family());
    }
}

/// No probe of a path was answered. If it is the suspected one, another one is used in its place. The active addresses that the peer had
/// before, if it has lost one by that.
pub(crate) fn failed(host: &mut Host, path: Ends, world: &mut World) -> Option<Vec<Addr>> {
    let validation = host.validation_mut();
    let next = validation.suspicions_mut().failed(path, world.now)?;
    validation.probes_mut().end_paths(path.0.family());
    let next = next?;
    let (local, remote) = path;
    world.note(Note::PathDead {
        local,
        peer: remote,
        by: next.0,
        to: next.1,
    });
    if next.0 != local {
        // As if it had gone: the peer is told, and flows go on from another one.
        host.sources_mut().dead_mut().add(local, world);
        reconcile(host, world);
        return None;
    }
    // It is not used until it answers there again. That says nothing of its honesty.
    host.validation_mut().lose(remote, local, world);
    Some(deactivate(host, remote, world))
}
