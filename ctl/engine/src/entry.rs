// SPDX-License-Identifier: GPL-2.0
//! NAT_ENTRY: a NAT tells which port it gave to which flow of a host behind it ([DIME-IFIP] section V-D, Fig. 9).
//!
//! A NAT speaks for its address and for nothing else: it has to hear what is sent there, and the host has to be behind it
//! by its own word. What it then says is about flows that pass it anyway.

use ihmp_core::addr::Addr;
use ihmp_core::entry::{Entry, Lease};
use ihmp_core::message::{Addresses, Options};
use ihmp_core::time::Duration;

use crate::answering::demand;
use crate::claim::{verify, Claim};
use crate::forged::Sort;
use crate::host::Host;
use crate::io::{Change, Key, Output, Refusal, State};
use crate::keys::{Policy, PublicKey};
use crate::received::{Received, Signer};
use crate::table::Table;
use crate::world::{Answer, World};

/// A NAT tells of port mappings.
pub(crate) fn nat_entry(
    table: &mut Table,
    received: &Received<'_>,
    bytes: &[u8],
) -> Result<(), Refusal> {
    let Received {
        from, to, message, ..
    } = *received;
    let entry = Entry::read(&message.addresses).filter(|_| message.host == from);
    let entry = entry.ok_or(Refusal::Payload)?;
    let now = table.world.now;
    let rated = table.world.budgets.entry(from, now);
    if !rated {
        return Err(Refusal::Rate);
    }
    let ring = &table.world.keyring;
    let claim = Claim::new(ring, &message)?;
    let (key, stamp, name) = (claim.key, claim.stamp, claim.name());
    let router = ring.is_router(&name);
    if ring.policy() == Policy::RequireKnown && !router {
        return Err(Refusal::UnknownKey);
    }
    let foreign = match router && ring.knows(&name) {
        true => !ring.serves(&name, from),
        false => ring.reserves(from, Some(&name)),
    };
    if foreign {
        return Err(Refusal::ReservedAddress);
    }
    if !ring.is_fresh(&name, stamp) {
        return Err(Refusal::Replayed);
    }
    let (host, id) = mapped_host(table, &entry)?;
    let there = table.bound(&name).and_then(|host| table.get(host));
    let hears = there
        .is_some_and(|host| host.validation().is_validated(from) && host.peer().is_active(from));
    let who = (key, received.endpoint, to);
    let answers = message.options.has(Options::INCORRECT_SEQNO);
    let echo = match answers {
        true => {
            let awaited = ring.challenged(&who, now);
            awaited.ok_or(Refusal::LateAnswer)?.stamp
        }
        false => 0,
    };
    let sort = if answers { Sort::Answer } else { Sort::There };
    let heard = ring.knows(&name) && table.world.nats.is_heard(name, from);
    verify(table, &claim, received, bytes, &[echo], sort)?;
    let fact = table.world.keyring.accept(&key, stamp);
    table.world.keep(fact);
    if !(answers || heard || router || hears) {
        let signer = Signer {
            key,
            stamp,
            proven: false,
            moved: false,
        };
        let signed = Received {
            signer: Some(signer),
            ..*received
        };
        demand(table, &signed, None);
        return Err(Refusal::Challenged);
    }
    if answers {
        table.world.keyring.answered(&who);
    }
    // The key has shown that it hears us at the NAT: no message of it is believed twice.
    table.world.nats.heard(key, from);
    table.learn(key, stamp, stamp);
    table.world.received(received);
    let mut left = false;
    if let Some((host, world)) = table.pair(host) {
        for lease in entry.leases() {
            left |= !map(host, id, entry.nat, &lease, world);
        }
    }
    let answer = Answer {
        echo: Some(stamp),
        own: None,
    };
    let world = &mut table.world;
    let addresses = Addresses::of(&[to]).unwrap_or(Addresses::EMPTY);
    let (endpoint, seqno) = (received.endpoint, message.seqno);
    world.acknowledge(to, endpoint, seqno, Options::NONE, addresses, answer);
    if left {
        return Err(Refusal::MappingLimit);
    }
    Ok(())
}

/// The host that is behind the NAT by its own word, and the kernel's number of it.
fn mapped_host(table: &Table, entry: &Entry) -> Result<(Key, u32), Refusal> {
    let key = table.bound(&PublicKey(entry.key));
    let key = key.ok_or(Refusal::UnknownHost)?;
    let host = table.get(key).ok_or(Refusal::UnknownHost)?;
    if host.is_managed() {
        return Err(Refusal::Managed);
    }
    let nat = host.peer().nat();
    let behind = host.state() == State::Up && nat.says_behind(entry.nat, entry.host);
    match host.listing().id() {
        Some(id) if behind => Ok((key, id)),
        _ => Err(Refusal::UnknownHost),
    }
}

/// Tells the kernel of a mapping; false when there are too many.
fn map(host: &mut Host, id: u32, nat: Addr, lease: &Lease, world: &mut World) -> bool {
    let mapping = lease.mapping(nat);
    let mapped = host.peer_mut().nat_mut().mapped_mut();
    if lease.lifetime == 0 {
        mapped.remove(&mapping);
        let change = Change::Unmap { id, mapping };
        world.outputs.push_back(Output::Table(change));
        return true;
    }
    let lifetime = Duration::from_secs(lease.lifetime.into());
    let taken = mapped.take(mapping, world.now.after(lifetime), world.now);
    if taken {
        let change = Change::Map {
            id,
            mapping,
            lifetime,
        };
        world.outputs.push_back(Output::Table(change));
    }
    taken
}
