// SPDX-License-Identifier: GPL-2.0
//! What is done for hosts when its time has come.

use ihmp_core::time::Instant;

use crate::follow;
use crate::host::Host;
use crate::io::{Key, Routes, State, Traffic};
use crate::note::Note;
use crate::reconcile::{self, reconcile};
use crate::room;
use crate::send;
use crate::silence;
use crate::suspicion::Ends;
use crate::table::Table;
use crate::world::World;

/// When the next thing is to be done for a host; `None` for never.
pub(crate) fn next(table: &Table) -> Option<Instant> {
    let world = &table.world;
    let queued = table.first_queued().is_some() && !table.is_busy();
    let queue = queued.then(|| world.budgets.greet_at(world.now));
    let untold = table.has_untold();
    let untold = untold.then(|| world.budgets.tell_at(world.now));
    let others = queue.into_iter().chain(untold);
    others.chain(table.next_timer()).min()
}

/// Wakes the hosts whose time has come.
pub(crate) fn timer(table: &mut Table) {
    let now = table.world.now;
    for key in table.take_due(now) {
        let mut greet = false;
        table.with(key, |host, world| greet = wake(host, world));
        if greet {
            table.enqueue(key);
        }
    }
}

/// Does what is due for a host; whether it is to be greeted.
fn wake(host: &mut Host, world: &mut World) -> bool {
    let greet = host.session_mut().take_greeting(world.now);
    host.announcements_mut().expire(world.now);
    send::send_due(host, world);
    follow::probe_due(host, world);
    host.listing_mut().look_due(world);
    follow::relays_due(host, world);
    follow::keep_due(host, world);
    host.awaited_due(world);
    host.review_rejected(world);
    reconcile(host, world);
    greet
}

/// Lets hosts know of a change of our addresses, as fast as the network can be expected to carry the messages.
pub(crate) fn serve_untold(table: &mut Table) {
    let now = table.world.now;
    while table.world.budgets.tell_at(now) <= now {
        let Some(key) = table.next_untold() else {
            return;
        };
        let sent = table.world.counters.sent();
        table.with(key, reconcile::network_changed);
        release(table, key);
        // Who needs not be told costs nothing.
        if table.world.counters.sent() != sent {
            let _ = table.world.budgets.tell(now);
        }
    }
}

/// Forgets a host that was left classic because of where we were.
fn release(table: &mut Table, key: Key) {
    let released = |host: &Host| {
        let hidden = host.sources().hidden();
        host.state() == State::Classic && hidden.is_released(&table.world)
    };
    if table.get(key).is_some_and(released) {
        table.delete(key, "network-changed");
    }
}

/// Greets the hosts whose turn it is.
pub(crate) fn serve_queue(table: &mut Table) {
    while let Some(key) = table.first_queued() {
        let waits = |host: &Host| host.wants_greeting() || host.session().needs_hello();
        if !table.get(key).is_some_and(waits) {
            table.dequeue();
            continue;
        }
        if table.is_busy() || !table.world.budgets.greet(table.world.now) {
            return;
        }
        table.dequeue();
        table.with(key, reconcile::greet);
    }
}

/// The answer to a question about the routes to an address came.
pub(crate) fn routes(table: &mut Table, routes: Routes) {
    let key = table.active(routes.peer);
    let due = table.world.routes.set(routes);
    for key in key.into_iter().chain(due) {
        routes_known(table, key);
    }
}

/// The routes to a host are known.
pub(crate) fn routes_known(table: &mut Table, key: Key) {
    table.with(key, |host, world| {
        if host.session().needs_hello() {
            reconcile::network_changed(host, world);
        } else {
            reconcile(host, world);
        }
    });
    table.with(key, |host, world| {
        if host.state() == State::New && host.sources().is_empty() {
            host.set_state(State::Classic);
            host.listing_mut()
                .leave_for(world.limits.requests.retry_first);
            world.note(Note::Classic {
                peer: host.name(),
                reason: "no-route",
            });
        }
    });
}

/// The kernel says that nothing comes back on a path.
pub(crate) fn silent(table: &mut Table, id: u32, path: Ends) {
    if let Some(key) = table.of_id(id) {
        table.with(key, |host, world| {
            silence::suspect(host, path, world);
            follow::probe_due(host, world);
        });
    }
}

/// What the kernel says about a host.
pub(crate) fn looked(table: &mut Table, id: u32, traffic: Traffic) {
    let Some(key) = table.of_id(id) else {
        return;
    };
    if room::make(table, key, traffic) {
        return;
    }
    let mut over = false;
    table.with(key, |host, world| {
        let up = host.state() == State::Up;
        over = host.listing_mut().is_over(traffic, up, world);
        follow::looked(host, traffic, world);
    });
    if over {
        table.delete(key, "unused");
    }
}
