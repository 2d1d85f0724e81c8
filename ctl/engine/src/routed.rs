// SPDX-License-Identifier: GPL-2.0
//! A ROUTER_ACK: a router answers a move in the place of a peer, or rejects it.

use ihmp_core::addr::Addr;
use ihmp_core::grant::{Grant, Terms};
use ihmp_core::message::Ed25519;
use ihmp_core::time::Duration;

use crate::advertised::Standing;
use crate::endpoint::Endpoint;
use crate::forged::Sort;
use crate::host::Host;
use crate::io::{Key, Refusal};
use crate::keys::{verify, PublicKey};
use crate::note::Note;
use crate::received::Received;
use crate::reconcile::reconcile;
use crate::rejected::Rejection;
use crate::table::Table;
use crate::world::World;

/// A router answers in the place of a peer, or rejects a move.
pub(crate) fn router_ack(
    table: &mut Table,
    received: &Received<'_>,
    bytes: &[u8],
) -> Result<(), Refusal> {
    let Received {
        from, to, message, ..
    } = *received;
    let grant = Grant::read(&message.addresses).filter(|grant| grant.new == to);
    let grant = grant.ok_or(Refusal::Payload)?;
    let signature = message.signature.ok_or(Refusal::Unsigned)?;
    let block = signature.ed25519().ok_or(Refusal::UnknownAlgorithm)?;
    let router = PublicKey(*block.key);
    may_grant(table, &grant, &router, block.timestamp)?;
    let there = Endpoint::direct(grant.peer);
    let key = asking_host(table, received, there)?;
    let now = table.world.now;
    let ring = &mut table.world.keyring;
    if !ring.may_verify(&router, Sort::Answer, now) {
        return Err(Refusal::Rate);
    }
    if !is_genuine(table, key, received, there, bytes, &block) {
        let ring = &mut table.world.keyring;
        ring.forged(&router, Sort::Answer, now);
        return Err(Refusal::BadSignature);
    }
    let fact = table.world.keyring.accept(&router, block.timestamp);
    table.world.keep(fact);
    let Some(host) = table.get(key) else {
        return Err(Refusal::UnknownHost);
    };
    if host.is_managed() {
        return Err(Refusal::Managed);
    }
    // What the peer does not have cannot be kept for it. Of a rejection it is of no interest.
    let standing = host.advertised().standing(grant.old);
    let unknown = standing.is_none_or(|standing| standing == Standing::Unreachable);
    if unknown && !matches!(grant.terms, Terms::Rejected(_)) {
        return Err(Refusal::Payload);
    }
    let doubted = host.sources().rejected().is_doubted(&router, grant.new);
    table.world.received(received);
    let seqno = message.seqno;
    table.with(key, |host, world| match grant.terms {
        Terms::Rejected(seconds) if !doubted => {
            rejected(host, received, &grant, seconds, router, world);
        }
        Terms::Declined | Terms::Rejected(_) => declined(host, seqno, from, &grant, world),
        Terms::Granted(seconds) => {
            relayed(host, received, &grant, seconds, router, world);
        }
    });
    Ok(())
}

/// Whether this key may answer for these addresses at all.
fn may_grant(table: &Table, grant: &Grant, router: &PublicKey, stamp: u64) -> Result<(), Refusal> {
    let ring = &table.world.keyring;
    if ring.own().has(router) {
        return Err(Refusal::OwnKey);
    }
    let serves = |addr: &Addr| ring.serves(router, *addr);
    if !ring.is_router(router) {
        return Err(Refusal::UnknownKey);
    }
    if ![grant.new, grant.old].iter().all(serves) {
        return Err(Refusal::ReservedAddress);
    }
    if !ring.is_fresh(router, stamp) {
        return Err(Refusal::Replayed);
    }
    Ok(())
}

/// Which host was told of the move that a router answers.
fn asking_host(table: &Table, received: &Received<'_>, there: Endpoint) -> Result<Key, Refusal> {
    let seqno = received.message.seqno;
    let asked = |host: &&Host| {
        let mut out = host.requests().out().iter();
        out.any(|request| {
            request.contents().moves() && request.is_answered(seqno, there, received.to)
        })
    };
    if let Some(host) = table.known(there.addr).find(asked) {
        return Ok(host.key());
    }
    let mut known = table.known(there.addr);
    Err(match known.any(|host| host.requests().is_recent(seqno)) {
        true => Refusal::LateAck,
        false => Refusal::UnexpectedAck,
    })
}

/// Whether the signature covers a timestamp with which that move was sent.
fn is_genuine(
    table: &Table,
    key: Key,
    received: &Received<'_>,
    there: Endpoint,
    bytes: &[u8],
    block: &Ed25519<'_>,
) -> bool {
    let (to, seqno) = (received.to, received.message.seqno);
    let out = table.get(key).map(|host| host.requests().out());
    let mut out = out.unwrap_or_default().iter();
    let request =
        out.find(|request| request.contents().moves() && request.is_answered(seqno, there, to));
    request.is_some_and(|request| {
        let mut stamps = request.stamps_to(there);
        stamps.any(|stamp| verify(bytes, to, stamp, block))
    })
}

/// The router has let the request pass.
fn declined(host: &mut Host, seqno: u16, by: Addr, grant: &Grant, world: &mut World) {
    let (new, old) = (grant.new, grant.old);
    let requests = host.requests_mut();
    for request in requests.find_mut(|request| request.seqno() == seqno && request.from() == new) {
        request.decline();
    }
    world.note(Note::RouterDeclined { by, new, old });
}

/// The router has taken the request.
fn relayed(
    host: &mut Host,
    received: &Received<'_>,
    grant: &Grant,
    seconds: u16,
    router: PublicKey,
    world: &mut World,
) {
    let (new, old, by) = (grant.new, grant.old, received.from);
    let request = host.requests_mut().take_from(received.message.seqno, new);
    let pause = host.requests().time_out(world);
    let relays = host.relays_mut();
    if relays.grant(grant, seconds, router, request, pause, world) {
        world.note(Note::Routed { by, new, old });
    }
    // It has not heard that the one is gone, nor that the other has come.
    host.advertised_mut().relayed(old, new);
    let announcements = host.announcements_mut();
    announcements.withdraw(new);
    announcements.end_report(new);
    announcements.restart(&world.limits);
    reconcile(host, world);
}

/// The router has taken the request out, so the peer does not hear of it: the new address is not used towards the peer, which is
/// told of it from another one.
fn rejected(
    host: &mut Host,
    received: &Received<'_>,
    grant: &Grant,
    seconds: u16,
    router: PublicKey,
    world: &mut World,
) {
    let (new, old, by) = (grant.new, grant.old, received.from);
    let request = host.requests_mut().take_from(received.message.seqno, new);
    world.note(Note::RouterRejected {
        by,
        new,
        old,
        seconds,
    });
    // What the router kept for us goes elsewhere from now on.
    host.relays_mut().end_to(new, world);
    let announcements = host.announcements_mut();
    announcements.withdraw(new);
    announcements.restart(&world.limits);
    // Otherwise the peer has heard of it in another way.
    if !host.advertised().is_active(new) {
        host.advertised_mut().rejected(new);
        let until = world
            .now
            .after(world.jitter(Duration::from_secs(seconds.into())));
        host.sources_mut().rejected_mut().add(Rejection {
            new,
            router,
            request,
            until,
        });
    }
    reconcile(host, world);
}
