// SPDX-License-Identifier: GPL-2.0
//! A PATH_PROBE that came, and the answer to one of ours.

use ihmp_core::message::Options;

use crate::answering::{granted, incorrect_seqno};
use crate::binding::mistaken;
use crate::follow::{follow, resync};
use crate::host::Host;
use crate::io::{Key, Refusal, State};
use crate::received::Received;
use crate::routing;
use crate::sender::sender;
use crate::silence;
use crate::table::Table;

/// A probe came: whether we hear it there.
pub(crate) fn probed(table: &mut Table, received: &Received<'_>) -> Result<(), Refusal> {
    let Received {
        from, to, message, ..
    } = *received;
    let by_address = || table.named(message.host).or_else(|| table.active(from));
    let found = sender(table, received, by_address)?;
    let up = |key: &Key| {
        let host = table.get(*key);
        host.is_some_and(|host| host.state() == State::Up)
    };
    let Some(key) = found.filter(up) else {
        incorrect_seqno(table, received, None);
        return Err(Refusal::UnknownHost);
    };
    let behind = received.endpoint.is_behind();
    if !behind && table.other_at(from, key).is_some() {
        incorrect_seqno(table, received, Some(key));
        return Err(Refusal::OtherHost);
    }
    let Some((host, world)) = table.pair(key) else {
        return Err(Refusal::UnknownHost);
    };
    if host.is_managed() {
        return Err(Refusal::Managed);
    }
    // Probes have no order among the other messages: this one may be of before it left.
    if host.peer().has_left(from) && !behind {
        return Err(Refusal::Stale);
    }
    let must = match behind {
        true => !host.peer().is_there(received.endpoint, to),
        false => host.must_prove(received, world.now),
    };
    if must {
        host.peer_mut().nat_mut().hear_of(received);
        incorrect_seqno(table, received, Some(key));
        return Err(Refusal::Unvalidated);
    }
    if !behind && !host.peer().has_room(from) {
        return Err(Refusal::AddressLimit);
    }
    world.received(received);
    let before = host.peer().active().to_vec();
    if behind {
        host.peer_mut().nat_mut().heard(received);
    } else {
        host.peer_mut().activate(from);
        host.try_out(from, to, world);
    }
    // It looks for us where it does not know us yet: our announcement from there settles it for both, and its
    // answer to that proves where it is.
    if !host.advertised().is_active(to) && !host.sources().is_hidden(to) {
        host.announcements_mut().announce(to);
    }
    granted(table, key, received, &before);
    Ok(())
}

/// The host with a probe that this ACK answers.
pub(crate) fn probing(table: &Table, received: &Received<'_>) -> Option<Key> {
    let Received {
        from,
        endpoint,
        to,
        message,
        ..
    } = *received;
    if endpoint.is_behind() {
        return None;
    }
    let answered = |host: &&Host| {
        let probes = host.validation().probes();
        probes.is_answered(message.seqno, from, to)
    };
    table.known(from).find(answered).map(Host::key)
}

/// A probe was answered.
pub(crate) fn answered(
    table: &mut Table,
    key: Key,
    received: &Received<'_>,
) -> Result<(), Refusal> {
    let Received {
        from,
        to,
        message,
        signer,
        ..
    } = *received;
    let Some((host, world)) = table.pair(key) else {
        return Err(Refusal::UnknownHost);
    };
    if host.is_managed() {
        return Err(Refusal::Managed);
    }
    match (host.trust().key(), &signer) {
        (Some(_), None) => return Err(Refusal::Unsigned),
        (Some(peer), Some(signer)) if peer != signer.key => {
            // Somebody else is there, and it said that it was.
            host.validation_mut().distrust(world);
            mistaken(table, key, from, true);
            return Err(Refusal::WrongKey);
        }
        _ => (),
    }
    if table.other_at(from, key).is_some() {
        return Err(Refusal::OtherHost);
    }
    table.world.received(received);
    let Some((host, world)) = table.pair(key) else {
        return Err(Refusal::UnknownHost);
    };
    let probes = host.validation_mut().probes_mut();
    let Some(probe) = probes.take_answered(message.seqno, from, to) else {
        return Err(Refusal::UnexpectedAck);
    };
    let round_trip = probe.answered(world);
    if let Some(path) = probe.path() {
        silence::answered(host, path, world);
    }
    host.requests_mut().measured(round_trip);
    let before = host.peer().active().to_vec();
    host.validation_mut().validate(from);
    host.note_nat(received);
    host.sources_mut().hidden_mut().keep(received, world);
    if message.options.has(Options::INCORRECT_SEQNO) {
        // It is there, and knows nothing of us.
        if let Some(signer) = signer {
            let session = host.session_mut();
            session.challenge(to, received.endpoint, signer.stamp);
            host.sources_mut().hidden_mut().owe_answer(received);
            resync(host, world);
        }
    } else {
        // It may have moved on since it sent this.
        if !host.peer().has_left(from) {
            host.peer_mut().activate(from);
        }
        if !host.advertised().is_active(to) && !host.sources().is_hidden(to) {
            host.advertised_mut().confirm(to);
        }
    }
    routing::ask(host, world);
    follow(host, &before, world);
    table.settle(key);
    Ok(())
}
