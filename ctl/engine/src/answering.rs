// SPDX-License-Identifier: GPL-2.0
//! Answers to messages: that what was said holds, or that its sender has to show first that it hears us.

use ihmp_core::addr::Addr;
use ihmp_core::message::{Control, Options};

use crate::follow::follow;
use crate::io::Key;
use crate::publish::publish;
use crate::received::Received;
use crate::routing;
use crate::table::Table;

/// What a host said holds now: it is told so, and what follows from where it is gets done. `before` are the active
/// addresses that it had.
pub(crate) fn granted(table: &mut Table, key: Key, received: &Received<'_>, before: &[Addr]) {
    table.with(key, |host, world| {
        routing::ask(host, world);
        publish(host, world);
        world.answer(received, host.trust().own(), Options::NONE);
        follow(host, before, world);
    });
}

/// Tells a sender that its number is not the expected one, now and then.
pub(crate) fn incorrect_seqno(table: &mut Table, received: &Received<'_>, key: Option<Key>) {
    if let Some((host, world)) = key.and_then(|key| table.pair(key)) {
        if !host.session_mut().may_refuse(world.now) {
            return;
        }
    }
    if table.world.budgets.refusal(table.world.now) {
        demand(table, received, key);
    }
}

/// Sends an ACK with IS: what comes next has to show that its sender hears it.
pub(crate) fn demand(table: &mut Table, received: &Received<'_>, key: Option<Key>) {
    let host = key.and_then(|key| table.get(key));
    let own = host.and_then(|host| host.trust().own());
    let world = &mut table.world;
    let stamp = world.answer(received, own, Options::INCORRECT_SEQNO);
    if let Some(signer) = &received.signer {
        let pair = (signer.key, received.endpoint, received.to);
        let control = received.message.control;
        let moved = matches!(control, Control::Handoff | Control::AddrUp);
        world.keyring.challenge(pair, stamp, moved, world.now);
    }
}
