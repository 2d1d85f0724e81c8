// SPDX-License-Identifier: GPL-2.0
//! An ACK: what was asked has come to the peer.

use ihmp_core::addr::Addr;
use ihmp_core::message::{Control, Options};

use crate::advertised::Standing;
use crate::binding::{bind, hand_over, mistaken};
use crate::follow::resync;
use crate::host::Host;
use crate::io::{Key, Refusal, State};
use crate::merge::{fit, merge, merge_claimed};
use crate::note::Note;
use crate::peer::Claims;
use crate::probed;
use crate::received::Received;
use crate::reconcile::reconcile;
use crate::request::Request;
use crate::routing;
use crate::send::{self, greet_again};
use crate::table::Table;
use crate::world::World;

/// An ACK came.
pub(crate) fn ack(table: &mut Table, received: &Received<'_>) -> Result<(), Refusal> {
    let Received {
        from,
        endpoint,
        to,
        message,
        signer,
        ..
    } = *received;
    if let Some(key) = probed::probing(table, received) {
        return probed::answered(table, key, received);
    }
    let refused = message.options.has(Options::INCORRECT_SEQNO);
    let key = answering(table, received, refused)?;
    let Some(host) = table.get(key) else {
        return Err(Refusal::UnknownHost);
    };
    if host.is_managed() {
        return Err(Refusal::Managed);
    }
    let detected = message.options.has(Options::NAT_DETECTED);
    if detected && !refused && host.state() == State::New {
        return unwanted(table, key, received);
    }
    let mut same = None;
    match (host.trust().key(), &signer) {
        (Some(_), None) => return Err(Refusal::Unsigned),
        (Some(peer), Some(signer)) if peer != signer.key => {
            // What went there did not reach the host: another one is there.
            mistaken(table, key, from, true);
            return Err(Refusal::WrongKey);
        }
        (None, Some(signer)) if !refused => {
            same = table.bound(&signer.key);
            if same.is_some_and(|same| !fit(table, same, key)) {
                return leave_alone(table, key, received);
            }
            if same.is_none() {
                bind(table, key, signer, from, to);
            }
        }
        _ => (),
    }
    let taken = table.other_at(from, key);
    if let Some(other) = taken.filter(|_| !endpoint.is_behind()) {
        match signer {
            Some(_) if !refused && same.is_none() => hand_over(table, from, other, key, false),
            _ => return Err(Refusal::OtherHost),
        }
    }
    table.world.received(received);
    let claims = table.claims(key, received.after(1));
    let Some((host, world)) = table.pair(key) else {
        return Err(Refusal::UnknownHost);
    };
    if refused {
        is_refused(host, received, world);
        table.settle(key);
        return Ok(());
    }
    let Some(request) = host.take_answered(message.seqno, endpoint, to) else {
        return Err(Refusal::UnexpectedAck);
    };
    is_acknowledged(host, &request, received, world);
    if request.greets() {
        is_met(host, &request, received, &claims, same.is_some(), world);
    } else {
        host.session_mut().agreed();
    }
    takes_list(host, &request, received, world);
    if let Some(new) = request.contents().new.filter(|_| !request.greets()) {
        host.advertised_mut().set(new, Standing::Unreachable);
        host.announcements_mut().end_report(new);
    }
    routing::ask(host, world);
    reconcile(host, world);
    table.settle(key);
    match same {
        Some(same) => merge(table, same, key),
        None => merge_claimed(table, key),
    }
    Ok(())
}

/// Which host answers. It says that it does not know us, where that is `refused`: without a signature, to what was sent a while
/// ago.
fn answering(table: &Table, received: &Received<'_>, refused: bool) -> Result<Key, Refusal> {
    let Received {
        endpoint,
        to,
        message,
        signer,
        ..
    } = *received;
    let seqno = message.seqno;
    let answered = |request: &Request| request.is_answered(seqno, endpoint, to);
    let recent = |host: &Host| host.requests().is_recent(seqno);
    let unsigned = signer.is_none();
    let holds =
        |host: &&Host| host.open_requests().any(answered) || (unsigned && refused && recent(host));
    let name = signer.as_ref().map(|signer| &signer.key);
    let there = table.hosts_at(endpoint, name);
    if let Some(host) = there.iter().copied().find(holds) {
        return Ok(host.key());
    }
    Err(match there.into_iter().any(recent) {
        true => Refusal::LateAck,
        false => Refusal::UnexpectedAck,
    })
}

/// The peer does not know us, or not our number.
fn is_refused(host: &mut Host, received: &Received<'_>, world: &mut World) {
    let Received {
        endpoint,
        to,
        message,
        signer,
        ..
    } = *received;
    if let Some(signer) = signer {
        host.session_mut().challenge(to, endpoint, signer.stamp);
    }
    host.note_nat(received);
    let greeting =
        |request: &Request| request.greets() && request.is_answered(message.seqno, endpoint, to);
    let greeted = host.requests().out().iter().any(greeting);
    if signer.is_some() && greeted {
        host.session_mut().forgot(world.now);
        greet_again(host, message.seqno, endpoint, world);
    } else {
        host.sources_mut().hidden_mut().owe_answer(received);
        resync(host, world);
    }
}

/// The peer is where it answered from, and knows the address that the request was from.
fn is_acknowledged(host: &mut Host, request: &Request, received: &Received<'_>, world: &mut World) {
    let Received {
        from,
        endpoint,
        message,
        ..
    } = *received;
    let round_trip = request.acknowledged(from, world);
    host.requests_mut().measured(round_trip);
    if endpoint.is_behind() {
        host.peer_mut().nat_mut().heard(received);
    } else {
        // It may have moved on since it sent this.
        if !host.peer().has_left(from) {
            host.peer_mut().hear(from);
            host.peer_mut().activate(from);
        }
        host.validation_mut().validate(from);
    }
    host.note_nat(received);
    host.sources_mut().hidden_mut().keep(received, world);
    host.announcements_mut().restart(&world.limits);
    let detected = message.options.has(Options::NAT_DETECTED);
    let doubtful = is_doubtful(host, request.from());
    host.acknowledged(request.from(), detected);
    host.announcements_mut().withdraw(request.from());
    if doubtful {
        announce_anew(host, request.from(), world);
    }
    for addr in &request.contents().list {
        host.advertised_mut().mention(*addr);
    }
}

/// Whether the peer was told that an address of ours does not work, or is being told so, because a router said that it had
/// taken out what the peer has answered.
fn is_doubtful(host: &Host, addr: Addr) -> bool {
    let unreachable = host.advertised().standing(addr) == Some(Standing::Unreachable);
    host.sources().rejected().is_disproved(addr) && (unreachable || host.reports(addr))
}

/// Announces an address once more: the peer may have heard of it before it was told that it does not work.
fn announce_anew(host: &mut Host, addr: Addr, world: &mut World) {
    host.end_report(addr, world);
    host.advertised_mut().set(addr, Standing::Maybe);
    host.announcements_mut().announce(addr);
}

/// The peer answers a greeting. It is the `same` as under another entry, or not.
fn is_met(
    host: &mut Host,
    request: &Request,
    received: &Received<'_>,
    claims: &Claims,
    same: bool,
    world: &mut World,
) {
    // What it has said of its addresses since it was greeted counts more than an answer that may be older.
    let overtaken = match &received.signer {
        Some(signer) => host.trust().is_overtaken(signer),
        None => host.session().window().is_followed(request.seqno()),
    };
    let session = host.session_mut();
    session.window_mut().learn_again(request.seqno());
    session.meet(world.now);
    session.greeted();
    if !overtaken {
        host.peer_mut().take_claims(claims);
    }
    // Who has another entry is told by the numbers of that.
    let owes = host.advertised().owes_list() || !request.contents().complete;
    host.advertised_mut().owe_list(!same && owes);
    if host.state() != State::Up {
        host.set_state(State::Up);
        world.note(Note::Up {
            peer: received.from,
        });
    }
}

/// The peer knows our addresses as this request lists them, if no later one did.
fn takes_list(host: &mut Host, request: &Request, received: &Received<'_>, world: &mut World) {
    let contents = request.contents();
    let replaces = contents.complete && (!request.greets() || received.signer.is_some());
    if !replaces || !host.requests().is_newest_list(contents.seqno) {
        return;
    }
    if request.greets() && leaves_by(host, request) {
        // It does not know since when we have left an address. So it believes only of the flows that it hears from elsewhere
        // that they are ours: each is heard now.
        host.listing().wake(true, world);
    }
    // What it confirmed while the list was on the way is told again.
    let mut unnamed = host.advertised().unnamed(&contents.list);
    unnamed.retain(|addr| host.sources().has(*addr));
    host.announcements_mut().announce_all(unnamed);
    let out: Vec<_> = host.requests().out().iter().map(Request::from).collect();
    let said = |addr| out.contains(&addr);
    host.advertised_mut().replace(&contents.list, said);
}

/// Whether the peer gives up an address of ours by the list of this request.
fn leaves_by(host: &Host, request: &Request) -> bool {
    let mut advertised = host.advertised().iter();
    advertised.any(|advertised| {
        let known = matches!(advertised.standing, Standing::Active | Standing::Maybe);
        let listed = request.contents().list.contains(&advertised.addr);
        known && !listed && !host.sources().has(advertised.addr)
    })
}

/// A host is found under one more address than it can have: what goes there is left as it is.
fn leave_alone(table: &mut Table, key: Key, received: &Received<'_>) -> Result<(), Refusal> {
    table.world.received(received);
    let peer = received.from;
    table.with(key, |host, world| {
        host.leave_classic(peer, "address-limit", world);
    });
    Err(Refusal::AddressLimit)
}

/// A new host says that it hears us from behind a NAT. What began there cannot be moved: when it has heard as much,
/// it is left alone.
fn unwanted(table: &mut Table, key: Key, received: &Received<'_>) -> Result<(), Refusal> {
    let Received {
        from,
        endpoint,
        to,
        message,
        ..
    } = *received;
    table.world.received(received);
    let Some((host, world)) = table.pair(key) else {
        return Err(Refusal::UnknownHost);
    };
    let knows = host.sources().hidden().forces();
    let Some(request) = host.take_answered(message.seqno, endpoint, to) else {
        return Err(Refusal::UnexpectedAck);
    };
    let round_trip = request.acknowledged(from, world);
    host.requests_mut().measured(round_trip);
    host.note_nat(received);
    if knows {
        host.leave_classic(from, "nat", world);
        host.sources_mut().hidden_mut().leave_classic(to);
    } else {
        send::request(host, world, Control::Hello, to, None, None);
    }
    table.settle(key);
    Ok(())
}
