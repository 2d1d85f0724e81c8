// SPDX-License-Identifier: GPL-2.0
//! Greetings from behind a NAT.

use ihmp_core::addr::Addr;
use ihmp_core::message::{Addresses, Options};

use crate::answering::demand;
use crate::io::{Key, Refusal, State};
use crate::received::{Received, Signer};
use crate::table::Table;
use crate::world::Answer;

/// Which host greets with this key from behind a NAT: its `own`, if it is there. Else it has to show first that it hears us.
pub(crate) fn greeting_host(
    table: &mut Table,
    received: &Received<'_>,
    signer: &Signer,
    own: Option<Key>,
) -> Result<Option<Key>, Refusal> {
    let Received { endpoint, to, .. } = *received;
    let host = own.and_then(|own| table.pair(own));
    let host = host.map(|(host, _)| host);
    let known = host
        .as_ref()
        .is_some_and(|host| host.peer().is_there(endpoint, to));
    if signer.proven || known {
        return Ok(own);
    }
    if let Some(host) = host {
        host.peer_mut().nat_mut().hear_of(received);
    }
    table.world.received(received);
    demand(table, received, own);
    Err(Refusal::Challenged)
}

/// Somebody greets from behind a NAT, and is there. What discovery found at the NAT's address is not asked. True when
/// that is all: he is not known, and cannot be reached where he is.
pub(crate) fn begins(table: &mut Table, received: &Received<'_>, found: Option<Key>) -> bool {
    let options = received.message.options;
    let legacy = received.detected() != Options::NONE;
    let forced = legacy && options.has(Options::NAT_FORCED);
    if forced || (!legacy && found.is_none()) {
        let reason = if forced { "nat-forced" } else { "nat" };
        leave_classic(table, received.from, reason);
    }
    if !legacy || found.is_some() {
        return false;
    }
    let world = &mut table.world;
    world.received(received);
    let Received {
        endpoint,
        to,
        message,
        ..
    } = *received;
    let answer = Answer {
        echo: received.signer.map(|signer| signer.stamp),
        own: None,
    };
    let addresses = Addresses::of(&[to]).unwrap_or(Addresses::EMPTY);
    let (seqno, options) = (message.seqno, received.detected());
    world.acknowledge(to, endpoint, seqno, options, addresses, answer);
    true
}

/// A host that is still being asked is a NAT, or what is behind it.
fn leave_classic(table: &mut Table, nat: Addr, reason: &'static str) {
    let Some(key) = table.active(nat).filter(|key| table.is_unbound(*key)) else {
        return;
    };
    table.with(key, |host, world| {
        if !host.is_managed() && host.state() == State::New {
            host.leave_classic(nat, reason, world);
        }
    });
}
