// SPDX-License-Identifier: GPL-2.0
//! A change of a peer's addresses, as it says: ADDR_UP, ADDR_DOWN, HANDOFF and what else announces one.

use ihmp_core::addr::Addr;
use ihmp_core::message::Control;
use ihmp_core::time::Instant;

use crate::advertised::Standing;
use crate::answering::{granted, incorrect_seqno};
use crate::host::Host;
use crate::io::{Key, Refusal, State};
use crate::merge::merge;
use crate::received::Received;
use crate::sender::sender;
use crate::seqno::Class;
use crate::table::Table;
use crate::world::World;

/// What a change announces.
struct Announced {
    /// Its source becomes active.
    proves: bool,
    /// An address that becomes unreachable.
    unreachable: Option<Addr>,
    /// The address that is gone.
    old: Option<Addr>,
    /// Addresses before the list of the others.
    fixed: usize,
}

impl Announced {
    /// Reads the fixed part of the payload of a request.
    fn new(received: &Received<'_>) -> Result<Announced, Refusal> {
        let at = |index: usize| {
            received
                .after(index)
                .first()
                .copied()
                .ok_or(Refusal::Payload)
        };
        let source = received.endpoint.own;
        let own = |addr: Addr| {
            if addr == source {
                Ok(())
            } else {
                Err(Refusal::Payload)
            }
        };
        let announced = match received.message.control {
            Control::AddrUp => {
                own(at(1)?)?;
                Announced {
                    proves: true,
                    unreachable: None,
                    old: None,
                    fixed: 2,
                }
            }
            Control::AddrUpUnreachable => Announced {
                proves: false,
                unreachable: Some(at(1)?),
                old: None,
                fixed: 2,
            },
            Control::AddrDown | Control::AddrDownUnreachable => Announced {
                proves: false,
                unreachable: None,
                old: Some(at(1)?),
                fixed: 2,
            },
            Control::Handoff => {
                own(at(1)?)?;
                Announced {
                    proves: true,
                    unreachable: None,
                    old: Some(at(2)?),
                    fixed: 3,
                }
            }
            Control::HandoffUnreachable => Announced {
                proves: false,
                unreachable: Some(at(1)?),
                old: Some(at(2)?),
                fixed: 3,
            },
            _ => return Err(Refusal::Payload),
        };
        if announced.unreachable == Some(source) || announced.old == Some(source) {
            return Err(Refusal::Payload);
        }
        Ok(announced)
    }
}

/// A host tells of a change. Here it is decided whether that is believed.
pub(crate) fn change(table: &mut Table, received: &Received<'_>) -> Result<(), Refusal> {
    let message = received.message;
    let announced = Announced::new(received)?;
    let key = changing_host(table, received, &announced)?;
    let Some(host) = table.get(key) else {
        return Err(Refusal::UnknownHost);
    };
    if host.is_managed() {
        return Err(Refusal::Managed);
    }
    let class = match host.state() {
        State::Up => host.session().window().classify(message.seqno),
        State::New | State::Classic => Class::Wrong,
    };
    if let Err((reason, asks)) = may_change(host, received, &announced, class, table.world.now) {
        if let Some((host, _)) = table.pair(key).filter(|_| reason == Refusal::Unvalidated) {
            host.peer_mut().nat_mut().hear_of(received);
        }
        if asks {
            incorrect_seqno(table, received, Some(key));
        }
        return Err(reason);
    }
    take(table, key, received, &announced, class)
}

/// Whether a change of this class is believed; else why not, and whether its sender is asked to show that it hears us.
fn may_change(
    host: &Host,
    received: &Received<'_>,
    announced: &Announced,
    class: Class,
    now: Instant,
) -> Result<(), (Refusal, bool)> {
    let Received {
        from,
        endpoint,
        to,
        signer,
        ..
    } = *received;
    let behind = endpoint.is_behind();
    let known = match behind {
        true => host.peer().is_there(endpoint, to),
        false => host.peer().is_at(from),
    };
    if behind && !known {
        // Anybody could have sent it on.
        return Err((Refusal::Unvalidated, true));
    }
    if class == Class::Wrong {
        return Err((Refusal::Seqno, true));
    }
    if class == Class::Old && !known {
        // What a later message overtook was signed before it. Else the sender is behind with its number.
        let newest = signer.is_some_and(|signer| host.trust().is_newest(&signer));
        return Err((Refusal::Stale, newest));
    }
    // Who does not announce its source must have been seen there before; it may be wrong about that.
    if !announced.proves && !known {
        return Err((Refusal::Payload, signer.is_some()));
    }
    // What the newest message named has a place.
    if class == Class::Old && !behind && !host.peer().has_room(from) {
        return Err((Refusal::AddressLimit, false));
    }
    if !behind && host.must_prove(received, now) {
        return Err((Refusal::Unvalidated, signer.is_some()));
    }
    Ok(())
}

/// Which host changes: the one that has the key, or that the Host ID, the source or the lost address name.
fn changing_host(
    table: &mut Table,
    received: &Received<'_>,
    announced: &Announced,
) -> Result<Key, Refusal> {
    let Received {
        from,
        message,
        signer,
        ..
    } = *received;
    let by_source = || table.active(from).or_else(|| table.named(from));
    let by_old = || announced.old.and_then(|old| table.named(old));
    let by_address = || table.named(message.host).or_else(by_source).or_else(by_old);
    let Some(key) = sender(table, received, by_address)? else {
        incorrect_seqno(table, received, None);
        return Err(Refusal::UnknownHost);
    };
    let taken = table.other_at(from, key);
    if let Some(other) = taken.filter(|_| !received.endpoint.is_behind()) {
        if signer.is_some() {
            // It has to show that it is there.
            incorrect_seqno(table, received, Some(key));
            return Err(Refusal::OtherHost);
        }
        take_stray(table, key, other, received)?;
    }
    Ok(key)
}

/// Takes a change that is believed.
fn take(
    table: &mut Table,
    key: Key,
    received: &Received<'_>,
    announced: &Announced,
    class: Class,
) -> Result<(), Refusal> {
    let Received {
        from,
        endpoint,
        to,
        message,
        signer,
        ..
    } = *received;
    table.world.received(received);
    let listed = received.listed(announced.fixed);
    let claims = table.claims(key, &listed);
    let unreachable = table.claims(key, announced.unreachable.as_slice());
    let Some((host, world)) = table.pair(key) else {
        return Err(Refusal::UnknownHost);
    };
    let before = host.peer().active().to_vec();
    if class == Class::New {
        host.session_mut().window_mut().accept(message.seqno);
        host.trust_mut().note_newest(signer);
        if message.control == Control::AddrUp {
            announces_again(host, message.seqno, to);
            came_back(host, from, world);
        }
        host.replace(endpoint, &listed, &unreachable.free);
        host.peer_mut().take_claims(&claims);
        host.peer_mut().take_claims(&unreachable);
    }
    host.heard_at(received, world);
    // It reaches us where we thought, or are just saying, that it could not: worth an announcement. What else is on
    // the way settles itself.
    let standing = host.advertised().standing(to);
    let unreachable = standing == Some(Standing::Unreachable) || host.reports(to);
    if unreachable && !host.sources().is_hidden(to) && !host.announcements().announces(to) {
        host.announcements_mut().announce(to);
        host.announcements_mut().end_report(to);
    }
    granted(table, key, received, &before);
    Ok(())
}

/// Data can overtake a move's lost announcement. Then the module discovers the mover as another host at its new
/// address. That entry becomes part of the host if the host said before that it has the address, or if it has
/// said nothing but the answer to our greeting; and the number of the announcement has to be right in any case.
fn take_stray(
    table: &mut Table,
    key: Key,
    other: Key,
    received: &Received<'_>,
) -> Result<(), Refusal> {
    let Received { from, message, .. } = *received;
    let (Some(host), Some(stray)) = (table.get(key), table.get(other)) else {
        return Err(Refusal::UnknownHost);
    };
    if !stray.trust().is_unbound() {
        return Err(Refusal::OtherHost);
    }
    let window = host.session().window();
    let known = host.state() == State::Up && window.classify(message.seqno) == Class::New;
    let alone = stray.peer().active() == [from] && stray.peer().alias().is_empty();
    let nothing_else = alone && stray.session().window().is_fresh();
    if known && (host.peer().claims(from) || nothing_else) {
        merge(table, key, other);
    }
    match table.active(from) {
        Some(owner) if owner != key => Err(Refusal::OtherHost),
        _ => Ok(()),
    }
}

/// The peer announces itself at `to` with this number. If that comes right after it greeted us as strangers, though we know
/// it, it has forgotten our other addresses: they are announced again. (A peer that greets a second address of a host that
/// it knows announces nothing after it.)
fn announces_again(host: &mut Host, seqno: u16, to: Addr) {
    if host.session_mut().take_strange(seqno) {
        let forgotten = host.advertised_mut().doubt_others(Some(to));
        host.announcements_mut().announce_all(forgotten);
    }
}

/// The peer says that an address came of which we thought that it was there. It was not, and what we sent is lost: our
/// sockets go on now, as after any gap.
pub(crate) fn came_back(host: &Host, addr: Addr, world: &mut World) {
    let mut there = host.peer().active().iter();
    let other = |other: &Addr| other.family() == addr.family() && *other != addr;
    if !there.any(other) && host.peer().is_active(addr) {
        host.listing().wake(false, world);
    }
}
