// SPDX-License-Identifier: GPL-2.0
//! A HELLO: who greets, and what is answered.

use ihmp_core::addr::Addr;
use ihmp_core::message::{Options, MAX_ADDRESSES};

use crate::answering::demand;
use crate::behind;
use crate::binding::{bind, hand_over};
use crate::change::came_back;
use crate::follow::{follow, reply};
use crate::host::Host;
use crate::io::{Key, Refusal, State, Via};
use crate::keys::PublicKey;
use crate::listing::Entry;
use crate::merge::{merge, merge_claimed};
use crate::note::Note;
use crate::publish::{make, publish};
use crate::received::{Received, Signer};
use crate::request::Request;
use crate::room;
use crate::routing;
use crate::seqno::AHEAD;
use crate::session::Reply;
use crate::table::Table;
use crate::world::{Answer, World};

/// A host greets.
pub(crate) fn hello(table: &mut Table, received: &Received<'_>) -> Result<(), Refusal> {
    let signer = &received.signer;
    let found = match signer {
        None => greeting_host(table, received),
        Some(signer) => match greeting_key(table, received, signer)? {
            Greets::Host(found) => found,
            Greets::Later => return Ok(()),
        },
    };
    if received.endpoint.is_behind() && behind::begins(table, received, found) {
        return Ok(());
    }
    let bound = |key| !table.is_unbound(key);
    let source = || table.active(received.from);
    if signer.is_none() && (found.is_some_and(bound) || source().is_some_and(bound)) {
        return Err(Refusal::Unsigned);
    }
    if let Some(host) = found.and_then(|key| table.get(key)) {
        if host.is_managed() {
            return Err(Refusal::Managed);
        }
        if host.is_told_enough(received.to) {
            // Not answered, it leaves alone what it has with us there.
            return Err(Refusal::AddressLimit);
        }
    }
    let key = match found {
        Some(key) => key,
        None => newcomer(table, received)?,
    };
    take_source(table, key, received)?;
    admit(table, key, received)?;
    take(table, key, received, found.is_none());
    table.settle(key);
    merge_claimed(table, key);
    Ok(())
}

/// Which host greets without a key: the one that has the source, or that the Host ID names, or that claimed the source before
/// and is claimed by it now.
fn greeting_host(table: &Table, received: &Received<'_>) -> Option<Key> {
    let Received { from, message, .. } = received;
    let by_source = table.active(*from);
    let by_id = if message.host == *from {
        None
    } else {
        table.named(message.host)
    };
    let named = |host: &&Host| {
        let mut others = received.after(1).iter();
        others.any(|addr| host.peer().is_active(*addr))
    };
    match (by_source, by_id) {
        (Some(source), Some(id)) if source != id => {
            // Two entries, and one host when each names the other; else the source counts.
            let other = table.get(id);
            let same = other.filter(|host| host.peer().claims(*from));
            Some(same.filter(named).map_or(source, |_| id))
        }
        (Some(source), _) => Some(source),
        (None, Some(id)) => Some(id),
        (None, None) => {
            let mut known = table.known(*from);
            let same = known.find(|host| host.peer().claims(*from) && named(host));
            same.map(Host::key)
        }
    }
}

/// Who greets with a key.
enum Greets {
    /// This host, or one that is not known yet.
    Host(Option<Key>),
    /// It has been asked already to show that it hears us.
    Later,
}

/// Which host greets with this key. A key that is not known, or at an address of another host, is believed only after
/// it has shown that it hears what is sent there.
fn greeting_key(
    table: &mut Table,
    received: &Received<'_>,
    signer: &Signer,
) -> Result<Greets, Refusal> {
    let Received {
        from,
        endpoint,
        to,
        message,
        ..
    } = *received;
    let own = table.bound(&signer.key);
    if endpoint.is_behind() {
        let found = behind::greeting_host(table, received, signer, own);
        return found.map(Greets::Host);
    }
    let at = table.active(from);
    let free = at.filter(|at| table.is_unbound(*at));
    // Who is bound may move to where nobody else is: a greeting says no more than a hand-off.
    let now = table.world.now;
    let own_host = own.and_then(|own| table.get(own));
    let may = own_host.is_some_and(|host| !host.must_prove(received, now));
    let moved = may && (at.is_none() || own == at);
    if signer.proven || moved {
        return Ok(Greets::Host(own.or(free)));
    }
    table.world.received(received);
    let ours = |request: &Request| {
        let sent = request.stamps_to(endpoint).next().is_some();
        request.greets() && request.from() == to && sent
    };
    let greeted = |host: &Host| host.requests().out().iter().any(ours);
    let host = free.and_then(|free| table.pair(free));
    if let Some((host, world)) = host.filter(|(host, _)| greeted(host)) {
        // Its answer to ours will show it.
        host.session_mut().window_mut().learn(message.seqno);
        host.trust_mut().note_greeting(signer);
        owe_reply(host, received, Options::NONE);
        reply(host, world);
        return Ok(Greets::Later);
    }
    demand(table, received, own);
    Err(Refusal::Challenged)
}

/// A greeting is to be answered.
fn owe_reply(host: &mut Host, received: &Received<'_>, options: Options) {
    let echo = received.signer.map(|signer| signer.stamp);
    let own = host.trust().own();
    host.session_mut().owe(Reply {
        from: received.to,
        to: received.endpoint,
        options,
        seqno: received.message.seqno,
        asked: received.octets,
        answer: Answer { echo, own },
    });
}

/// A host that is not known greets: a new one, if there is room.
fn newcomer(table: &mut Table, received: &Received<'_>) -> Result<Key, Refusal> {
    let from = received.from;
    let world = &mut table.world;
    if !world.budgets.newcomer(from, world.now) {
        return Err(Refusal::Rate);
    }
    // Without a signature, anybody could have it said: nobody has to go for that.
    let full = table.len() >= table.world.limits.hosts.most;
    let room = match received.signer {
        Some(_) => room::has(table, Some(from)),
        None => !full,
    };
    if !room {
        return Err(Refusal::HostLimit);
    }
    let key = table.insert(Entry::Asked, State::Up);
    table.count_share(key, from);
    Ok(key)
}

/// The source of a greeting is the host's, and no other's.
fn take_source(table: &mut Table, key: Key, received: &Received<'_>) -> Result<(), Refusal> {
    let from = received.from;
    let taken = table.other_at(from, key);
    let Some(other) = taken.filter(|_| !received.endpoint.is_behind()) else {
        return Ok(());
    };
    match &received.signer {
        Some(signer) => hand_over(table, from, other, key, signer.moved),
        None => merge(table, key, other),
    }
    match table.other_at(from, key) {
        Some(_) => Err(Refusal::OtherHost),
        None => Ok(()),
    }
}

/// Whether a greeting names all addresses of its sender, and is believed.
fn restates(received: &Received<'_>) -> bool {
    received.signer.is_some() && received.is_complete()
}

/// Whether a greeting of this host is taken; then the host has its key.
fn admit(table: &mut Table, key: Key, received: &Received<'_>) -> Result<(), Refusal> {
    let Received {
        from,
        endpoint,
        to,
        message,
        signer,
        ..
    } = *received;
    let Some(host) = table.get(key) else {
        return Err(Refusal::UnknownHost);
    };
    // A later one has overtaken it, and may have named other addresses. If it is still wanted, it is signed again.
    let overtaken = signer.is_some_and(|signer| host.trust().is_overtaken(&signer));
    if host.session().window().is_stale(message.seqno) || overtaken {
        return Err(Refusal::Stale);
    }
    // One that names all its addresses makes room for its source.
    if !restates(received) && !endpoint.is_behind() && !host.peer().has_room(from) {
        return Err(Refusal::AddressLimit);
    }
    if let Some(signer) = &signer {
        bind(table, key, signer, from, to);
    }
    Ok(())
}

/// Where a host was that is not in the table any more, by its key, and is not now: nobody else is known to be, or to have been, there.
fn seen_before(table: &Table, key: &PublicKey, from: Addr, listed: &[Addr]) -> Vec<Addr> {
    let mut seen = table.world.keyring.seen(key);
    let elsewhere = |addr: &Addr| {
        let named = *addr == from || listed.contains(addr);
        !named && table.known(*addr).next().is_none() && !table.world.own.has(*addr)
    };
    seen.retain(elsewhere);
    seen.truncate(MAX_ADDRESSES);
    seen
}

/// Takes a greeting of a host, which is `new` or known.
fn take(table: &mut Table, key: Key, received: &Received<'_>, new: bool) {
    let Received {
        from, to, signer, ..
    } = *received;
    table.world.received(received);
    let listed = received.listed(1);
    let claims = table.claims(key, &listed);
    let former = match &signer {
        Some(signer) if new => seen_before(table, &signer.key, from, &listed),
        _ => Vec::new(),
    };
    let Some((host, world)) = table.pair(key) else {
        return;
    };
    let before = host.peer().active().to_vec();
    // An agent that was away does not know what it said before: by its key, only what it says now holds. One to which
    // we are strangers says nothing of it.
    if restates(received) {
        host.trust_mut().note_newest(signer);
        host.restate(received.endpoint, &listed);
        // Since when it has others is not said, unless it has just announced that.
        let moved = signer.is_some_and(|signer| signer.moved);
        let doubt = host.peer().active() != before && !moved;
        host.listing_mut().doubt(doubt);
    }
    host.heard_at(received, world);
    host.peer_mut().take_claims(&claims);
    take_number(host, received, new, &before, world);
    if host.state() != State::Up || new {
        host.set_state(State::Up);
        host.session_mut().meet(world.now);
        world.note(Note::Up { peer: from });
    }
    // While a hand-off to that address is out, this says that the peer found us there, not that it knows who we are.
    let announcing = |request: &Request| request.from() == to && request.contents().moves();
    let announcing = host.requests().out().iter().any(announcing);
    if !announcing && !host.sources().is_hidden(to) {
        host.advertised_mut().confirm(to);
    }
    host.sources_mut().add(Via::new(to, 0));
    routing::ask(host, world);
    owe_reply(host, received, received.detected());
    if new {
        host.peer_mut().had(former);
        make(host, world);
    } else {
        publish(host, world);
        reply(host, world);
        follow(host, &before, world);
    }
}

/// Takes the number of a greeting that is no copy: both ends go on from there. `before` are the active addresses that the host
/// had.
fn take_number(
    host: &mut Host,
    received: &Received<'_>,
    new: bool,
    before: &[Addr],
    world: &mut World,
) {
    let seqno = received.message.seqno;
    let up = host.state() == State::Up;
    let session = host.session_mut();
    // This agent was started anew and has not greeted the peer. The one before it may have sent requests after an earlier
    // copy of this HELLO: the peer would take our next ones, with the same numbers, for copies of those.
    let resumed = session.needs_hello() && up && session.window().is_fresh();
    if !session.window_mut().greet(seqno) {
        return;
    }
    session.window_mut().learn(seqno);
    let stranger = received.signer.is_some() && !restates(received) && !new;
    session.note_strange(stranger.then_some(seqno));
    // Its agent was started anew, perhaps while it was away.
    if !new && up && host.peer().active() == before {
        came_back(host, received.from, world);
    }
    // The sender may know nothing of our counter; it knows this number.
    if !host.requests().is_empty() {
        return;
    }
    let ahead = host.requests().next_seqno().wrapping_sub(seqno);
    // By chance it is shortly before that of our last request, which the peer may have taken to follow it.
    if up && (2..=AHEAD + 1).contains(&ahead) {
        host.requests_mut().go_on_at(world.seqno());
        host.session_mut().greet_at(world.now);
    } else {
        host.requests_mut().go_on_at(seqno.wrapping_add(1));
        if !resumed {
            host.session_mut().greeted();
        }
    }
}
