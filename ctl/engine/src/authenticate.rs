// SPDX-License-Identifier: GPL-2.0
//! Who vouches for a message: what is cheap is asked first, the signature last.

use ihmp_core::addr::Addr;
use ihmp_core::message::{Control, Message, Options};

use crate::admission::admits;
use crate::answering::incorrect_seqno;
use crate::claim::{verify, Claim};
use crate::endpoint::Endpoint;
use crate::forged::Sort;
use crate::host::Host;
use crate::io::Refusal;
use crate::keys::{Policy, PublicKey};
use crate::received::{Received, Signer};
use crate::seqno::Class;
use crate::table::Table;

/// Decides whether a message may be used at all; `None` for one without a signature that may.
pub(crate) fn authenticate(
    table: &mut Table,
    received: &Received<'_>,
    bytes: &[u8],
) -> Result<Option<Signer>, Refusal> {
    let Received {
        endpoint,
        to,
        message,
        ..
    } = *received;
    let now = table.world.now;
    if message.signature.is_none() {
        return admit_unsigned(table, received).map(|()| None);
    }
    let ring = &table.world.keyring;
    let claim = Claim::new(ring, &message)?;
    let (key, stamp, name) = (claim.key, claim.stamp, claim.name());
    if ring.is_router(&name) {
        return Err(Refusal::WrongKey);
    }
    if !ring.admits(&name) {
        return Err(Refusal::UnknownKey);
    }
    if ring.reserves(endpoint.own, Some(&name)) {
        return Err(Refusal::ReservedAddress);
    }
    if !ring.is_fresh(&name, stamp) {
        return Err(Refusal::Replayed);
    }
    let host = table.bound(&name).and_then(|host| table.get(host));
    // Where it is without a NAT, there is none: somebody has copied its message.
    let direct = |host: &Host| host.validation().is_validated(endpoint.own);
    if endpoint.is_behind() && host.is_some_and(direct) {
        return Err(Refusal::NatDetected);
    }
    let there = |host: &Host| host.peer().is_there(endpoint, to);
    let settled = !endpoint.is_behind() || host.is_some_and(there);
    let answers = message.options.has(Options::INCORRECT_SEQNO);
    let who = (key, endpoint, to);
    let (echoes, proven, moved) = match message.control {
        Control::Ack => (awaited(table, received, &name)?, true, false),
        Control::Hello if answers => {
            let awaited = ring.challenged(&who, now).ok_or(Refusal::LateAnswer)?;
            (vec![awaited.stamp], true, awaited.moved)
        }
        _ => (vec![0], false, false),
    };
    let greets = message.control == Control::Hello && !proven;
    if greets && !ring.may_greet(&name, now) {
        return Err(Refusal::Rate);
    }
    let stranger = greets && !ring.knows(&name);
    let sort = match proven {
        true => Sort::Answer,
        false => sort_of(host, endpoint, to, &message),
    };
    // What costs nothing was asked before. From here on, who forges sources could spend what others need.
    let sort = match stranger && admits(&mut table.world, received)? {
        true => Sort::Answer,
        false => sort,
    };
    verify(table, &claim, received, bytes, &echoes, sort)?;
    let signer = Signer {
        key,
        stamp,
        proven,
        moved,
    };
    remember(table, received, &signer)?;
    if greets {
        // There was a token: what was forged in its name took none.
        table.world.keyring.greeted(&key, now);
    }
    believe(table, received, &signer, settled);
    Ok(Some(signer))
}

/// Whether a message without a signature may be used.
fn admit_unsigned(table: &mut Table, received: &Received<'_>) -> Result<(), Refusal> {
    let own = received.endpoint.own;
    let ring = &table.world.keyring;
    let may = ring.policy() == Policy::Unsigned && !ring.reserves(own, None);
    if !may || ring.remembered(own).is_some() {
        return Err(Refusal::Unsigned);
    }
    let greets = received.message.control == Control::Hello;
    let now = table.world.now;
    let rated = !greets || table.world.budgets.greeting(received.from, now);
    rated.then_some(()).ok_or(Refusal::Rate)
}

/// A signed message is believed: it is not believed again. `settled` says that the peer has shown that it is where it came from.
fn believe(table: &mut Table, received: &Received<'_>, signer: &Signer, settled: bool) {
    let key = signer.key;
    let mut stamps = Vec::new();
    if signer.proven {
        let who = (key, received.endpoint, received.to);
        table.world.keyring.answered(&who);
        // What had to wait for this is not believed any more.
        let host = table.bound(&key).and_then(|host| table.get(host));
        stamps = host
            .map(|host| host.peer().nat().claimed_stamps())
            .unwrap_or_default();
    }
    // From an unknown NAT it may be a copy, and the message itself is yet to come.
    if settled || signer.proven {
        stamps.push(signer.stamp);
    }
    for stamp in stamps {
        let fact = table.world.keyring.accept(&key, stamp);
        table.world.keep(fact);
    }
}

/// The sort of a request in the name of this host, from there to this address of ours.
fn sort_of(host: Option<&Host>, from: Endpoint, to: Addr, message: &Message<'_>) -> Sort {
    let numbered = !matches!(message.control, Control::Hello | Control::PathProbe);
    let expected = |host: &Host| {
        let window = host.session().window();
        window.classify(message.seqno) != Class::Wrong
    };
    match host {
        Some(host) if numbered && expected(host) => Sort::Expected,
        Some(host) if host.peer().is_there(from, to) => Sort::There,
        _ => Sort::Other,
    }
}

/// What is known of the keys at the source of a message: another one than that which is remembered there is worth a
/// warning once it has shown that it hears us, and is not believed at all where the administrator wants to be asked.
fn remember(table: &mut Table, received: &Received<'_>, signer: &Signer) -> Result<(), Refusal> {
    let (at, now) = (received.from, table.world.now);
    let ring = &mut table.world.keyring;
    let former = ring.remembered(at).filter(|former| *former != signer.key);
    if former.is_none() || received.endpoint.is_behind() {
        return Ok(());
    }
    if signer.proven {
        let (believed, said) = ring.changed(at, signer.key, now);
        table.world.key_changed(said);
        return believed.then_some(()).ok_or(Refusal::ChangedKey);
    }
    if ring.policy() != Policy::Pin {
        return Ok(());
    }
    let signed = Received {
        signer: Some(*signer),
        ..*received
    };
    let host = table.bound(&signer.key);
    incorrect_seqno(table, &signed, host);
    Err(Refusal::ChangedKey)
}

/// The timestamps of the request that this ACK says it answers.
fn awaited(table: &Table, received: &Received<'_>, name: &PublicKey) -> Result<Vec<u64>, Refusal> {
    let Received {
        from,
        endpoint,
        to,
        message,
        ..
    } = *received;
    let seqno = message.seqno;
    let there = table.hosts_at(endpoint, Some(name));
    let open = there.iter().flat_map(|host| host.open_requests());
    let answered = open.filter(|request| request.seqno() == seqno && request.from() == to);
    let mut echoes: Vec<u64> = answered
        .flat_map(|request| request.stamps_to(endpoint))
        .collect();
    let direct = there.iter().filter(|_| !endpoint.is_behind());
    let probes = direct.map(|host| host.validation().probes());
    echoes.extend(probes.flat_map(|probes| probes.stamps(seqno, from, to)));
    if !echoes.is_empty() {
        return Ok(echoes);
    }
    let mut hosts = there.into_iter();
    Err(match hosts.any(|host| host.requests().is_recent(seqno)) {
        true => Refusal::LateAck,
        false => Refusal::UnexpectedAck,
    })
}
