// SPDX-License-Identifier: GPL-2.0
//! What the kernel has: hosts that the module discovered, that it made for us, and that it had before.

use std::collections::BTreeSet;

use ihmp_core::addr::Addr;
use ihmp_core::time::Duration;

use crate::follow::reply;
use crate::host::Host;
use crate::io::{Change, KernelHost, Key, Output, Record, Refusal, State};
use crate::listing::Entry;
use crate::merge::merge_claimed;
use crate::note::Note;
use crate::publish::{publish, record};
use crate::reconcile::{begins_at, reconcile};
use crate::room;
use crate::routing;
use crate::serve::routes_known;
use crate::table::Table;
use crate::world::World;

impl KernelHost {
    /// What the engine would have said for the kernel to have this; how long a classic host stays is not looked at.
    fn record(self, classic_for: Duration) -> Record {
        Record {
            state: self.state,
            active: self.active,
            unvalidated: self.unvalidated,
            nats: self.nats,
            unreachable: self.unreachable,
            local: self.local,
            expires: (self.state == State::Classic).then_some(classic_for),
        }
    }
}

fn delete(world: &mut World, id: u32) {
    world.outputs.push_back(Output::Table(Change::Del { id }));
}

/// The module made a host for a flow.
pub(crate) fn discovered(table: &mut Table, id: u32, local: Addr, remote: Addr) {
    if let Some(key) = table.of_id(id) {
        table.with(key, |host, world| begins_at(host, local, world));
        return;
    }
    if table.world.off || table.active(remote).is_some() {
        // It was on its way, or it became known in another way in the meantime.
        delete(&mut table.world, id);
        return;
    }
    if !room::has(table, None) {
        table.world.refuse(Refusal::HostLimit, remote, local);
        return;
    }
    let key = table.insert(Entry::Id(id), State::New);
    let ours = table.world.own.has(local);
    table.with(key, |host, world| {
        host.peer_mut().activate(remote);
        host.advertised_mut().begin(local);
        if ours {
            routing::ask(host, world);
        } else {
            host.leave_classic(remote, "local-address-ignored", world);
        }
    });
    // Another host may have been there: then nothing is to be asked.
    if ours && table.world.routes.has(remote) {
        routes_known(table, key);
    }
}

/// The kernel made a host.
pub(crate) fn made(table: &mut Table, key: Key, id: u32) {
    if table.get(key).is_none() || table.of_id(id).is_some() {
        delete(&mut table.world, id);
        table.remove(key, "taken");
        return;
    }
    table.made(key, id);
    table.with(key, |host, world| {
        host.listing_mut().made(id);
        publish(host, world);
        reply(host, world);
        reconcile(host, world);
    });
    merge_claimed(table, key);
}

/// The kernel removed a host.
pub(crate) fn removed(table: &mut Table, id: u32) {
    if let Some(key) = table.of_id(id) {
        table.remove(key, "removed");
    }
}

/// Whether the kernel's host is left alone: it is the administrator's, or the machine is off and nothing of it has moved.
/// Who is spoken with stays so, unless the machine is switched off `now`.
fn leaves_alone(table: &Table, known: &KernelHost, now: bool) -> bool {
    let host = table.of_id(known.id).and_then(|key| table.get(key));
    // A router keeps an address for our flows: they are at home by its help.
    let served = host.is_some_and(|host| match now {
        true => !host.relays().is_empty(),
        false => !host.is_managed(),
    });
    known.managed || (table.world.off && !known.moved && !served)
}

/// Brings the hosts into line with all that the kernel has; the machine may have been `switched` off just now.
pub(crate) fn take(table: &mut Table, hosts: Vec<KernelHost>, switched: bool) {
    let ids: BTreeSet<u32> = hosts.iter().map(|host| host.id).collect();
    for key in table.keys() {
        let id = table.get(key).and_then(|host| host.listing().id());
        if id.is_some_and(|id| !ids.contains(&id)) {
            table.remove(key, "removed");
        }
    }
    // Whose addresses are all gone is found by one that it had, if nobody else has that.
    let (there, gone): (Vec<_>, Vec<_>) =
        hosts.into_iter().partition(|host| !host.active.is_empty());
    for known in there.into_iter().chain(gone) {
        let alone = leaves_alone(table, &known, switched);
        let key = table.of_id(known.id);
        match key.and_then(|key| table.pair(key)) {
            // Only what differs is written: what is written is heard of again, and with thousands of hosts that
            // may be more than is heard.
            Some((host, _)) if host.is_managed() == alone => {
                let key = host.key();
                let record = known.record(host.listing().classic_for());
                host.listing_mut().note(record);
                table.settle(key);
            }
            // The administrator took it over, or gave it back: nothing of before goes on.
            _ => {
                if let Some(key) = key {
                    table.forget(key);
                }
                adopt(table, known, alone);
            }
        }
    }
}

/// The kernel's entry of a host changed. What the administrator names is not ours from now on, and what is given back is.
pub(crate) fn changed(table: &mut Table, known: KernelHost) {
    let key = table.of_id(known.id);
    let host = key.and_then(|key| table.get(key));
    let managed = host.is_some_and(Host::is_managed);
    let alone = leaves_alone(table, &known, false);
    if managed == alone {
        return;
    }
    if let Some(key) = key {
        table.forget(key);
    }
    adopt(table, known, alone);
}

/// Takes over a host that the kernel has and the engine does not know; one that is left `alone` only by its names.
fn adopt(table: &mut Table, known: KernelHost, alone: bool) {
    if known.state == State::New && !known.managed {
        if let (Some(local), Some(remote)) = (known.local.first(), known.active.first()) {
            discovered(table, known.id, local.addr, *remote);
        }
        return;
    }
    if table.len() >= table.world.limits.hosts.most {
        return;
    }
    let mut taken = known.active.clone();
    taken.retain(|addr| table.active(*addr).is_some());
    let key = table.insert(Entry::Id(known.id), known.state);
    // Whether it came or was called is not known any more.
    if let Some(first) = known.active.first().filter(|_| !alone) {
        table.count_share(key, *first);
    }
    // A host at no address is known by its former addresses, and by those where it did not answer: its key was seen there.
    let names = match known.active.is_empty() {
        true => [&known.alias[..], &known.unvalidated].concat(),
        false => known.active.clone(),
    };
    let stored = table.world.keyring.at(&names);
    let stored = stored.filter(|(peer, _)| !alone && table.bound(peer).is_none());
    if let Some((peer, _)) = stored {
        table.bind(peer, key);
    }
    table.with(key, |host, world| {
        host.trust_mut().set_key(stored.map(|(peer, _)| peer));
        host.trust_mut().set_own(stored.and_then(|(_, own)| own));
        host.listing_mut().manage(alone);
        host.peer_mut().adopt(&known, &taken);
        host.advertised_mut().adopt(&known);
        host.sources_mut().adopt(&known);
        if host.takes_part() {
            resume(host, &known, world);
        }
    });
}

/// Goes on with a host that an agent before this one had.
fn resume(host: &mut Host, known: &KernelHost, world: &mut World) {
    // What was not validated is not.
    let anchor = host.advertised().anchor();
    let local = anchor.unwrap_or(Addr::UNSPECIFIED);
    for addr in &known.unvalidated {
        if host.peer().is_active(*addr) {
            host.try_out(*addr, local, world);
        } else if host.peer().is_at(*addr) {
            host.validation_mut().ask_again(*addr, local, world);
        }
    }
    // Their announcements were on the way when the agent ended.
    let unvalidated = known.local.iter().filter(|local| local.unvalidated);
    let unvalidated = unvalidated.map(|local| local.addr);
    host.announcements_mut().announce_all(unvalidated);
    if host.peer().active().is_empty() {
        // It did not answer where it said it was. Whoever asked it there is no more.
        host.ask_everywhere(local, world);
    }
    let at = world.now.after(world.jitter(world.limits.hosts.adopt));
    host.session_mut().greet_at(at);
    let record = record(host, world);
    host.listing_mut().note(record);
    world.note(Note::Adopted {
        id: known.id,
        peer: host.name(),
    });
    routing::ask(host, world);
}
