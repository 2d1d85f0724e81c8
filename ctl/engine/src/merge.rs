// SPDX-License-Identifier: GPL-2.0
//! Two entries that prove to be one host, found under two of its addresses.

use std::collections::BTreeSet;

use ihmp_core::addr::Addr;
use ihmp_core::message::MAX_ADDRESSES;

use crate::host::Host;
use crate::io::Key;
use crate::note::Note;
use crate::reconcile::reconcile;
use crate::routing;
use crate::table::Table;

/// Whether `other` claims an address of `key`.
fn is_claimed_back(table: &Table, key: Key, other: Key) -> bool {
    let (Some(host), Some(other)) = (table.get(key), table.get(other)) else {
        return false;
    };
    let mut active = host.peer().active().iter();
    active.any(|addr| other.peer().claims(*addr))
}

/// Merges a host with those that it claims an active address of, and that claim one of its own.
pub(crate) fn merge_claimed(table: &mut Table, key: Key) {
    let Some(host) = table.get(key) else {
        return;
    };
    let peer = host.peer();
    let claims = peer.unreachable().iter().chain(peer.contested());
    let claimed: BTreeSet<Key> = claims.filter_map(|addr| table.active(*addr)).collect();
    for other in claimed {
        // Where keys speak, claims say nothing.
        let unsigned = table.is_unbound(key) && table.is_unbound(other);
        if other != key && unsigned && is_claimed_back(table, key, other) {
            merge(table, key.min(other), key.max(other));
        }
    }
}

/// Whether the addresses of two entries have room in one.
pub(crate) fn fit(table: &Table, kept: Key, gone: Key) -> bool {
    let (Some(host), Some(other)) = (table.get(kept), table.get(gone)) else {
        return true;
    };
    let active = host.peer().active();
    let more = |addr: &&Addr| !active.contains(addr);
    active.len() + other.peer().active().iter().filter(more).count() <= MAX_ADDRESSES
}

/// Makes one host of two entries.
pub(crate) fn merge(table: &mut Table, kept: Key, gone: Key) {
    let is_busy = |host: &Host| host.is_managed() || host.listing().id().is_none();
    let busy = |key: Key| table.get(key).is_none_or(is_busy);
    let apart = !table.is_unbound(kept) && !table.is_unbound(gone);
    if busy(kept) || busy(gone) || apart || !fit(table, kept, gone) {
        return;
    }
    let Some(other) = table.forget(gone) else {
        return;
    };
    other.listing().delete(&mut table.world);
    if let Some(peer) = other.trust().key() {
        table.bind(peer, kept);
    }
    table.with(kept, |host, world| {
        host.trust_mut().merge(other.trust());
        world.note(Note::Merged {
            kept: host.name(),
            gone: other.name(),
        });
        host.merge(other);
        routing::ask(host, world);
        reconcile(host, world);
    });
}
