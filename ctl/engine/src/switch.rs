// SPDX-License-Identifier: GPL-2.0
//! What is said while the administrator has switched this machine off.
//!
//! Flows that have moved go on, so their hosts are spoken with as ever, until the machine is on again: what they were told of
//! our addresses has to stay true. All others are left alone, as the administrator's own are: nothing is sent to them, and
//! nothing of them is used or answered. When the machine is switched on again, they are taken over as after a restart.

use ihmp_core::message::Control;

use crate::claim::Claim;
use crate::io::{KernelHost, Key, State};
use crate::kernel::take;
use crate::received::Received;
use crate::table::Table;

/// The administrator switched the machine on, or off. Who is being asked whether it takes part is not asked any more: its
/// next packet makes it anew.
pub(crate) fn switch(table: &mut Table, on: bool, hosts: Vec<KernelHost>) {
    table.world.off = !on;
    let keys = if on { Vec::new() } else { table.keys() };
    for key in keys {
        let asked = table.get(key).is_some_and(|host| {
            let asked = host.state() == State::New && !host.is_managed();
            asked && host.listing().id().is_some()
        });
        if asked {
            table.delete(key, "off");
        }
    }
    take(table, hosts, true);
}

/// Whether a message may be looked at: always, or, while the machine is off, when it is of a host with which it
/// speaks. Routers and NATs are looked at elsewhere: they are heard only about such a host.
pub(crate) fn may_speak(table: &Table, received: &Received<'_>) -> bool {
    let Received { from, message, .. } = received;
    if !table.world.off || is_by_others(message.control) {
        return true;
    }
    let serves = |key: Key| table.get(key).is_some_and(|host| !host.is_managed());
    let there = table.active(*from).filter(|key| serves(*key));
    match Claim::new(&table.world.keyring, message) {
        Ok(claim) => match table.bound(&claim.name()) {
            Some(key) => serves(key),
            None => there.is_some_and(|key| table.is_unbound(key)),
        },
        Err(_) => there.or(table.named(message.host)).is_some_and(serves),
    }
}

/// Whether it is said by a router, or a NAT.
fn is_by_others(control: Control) -> bool {
    matches!(control, Control::RouterAck | Control::NatEntry)
}
