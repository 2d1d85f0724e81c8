// SPDX-License-Identifier: GPL-2.0
//! Which key speaks for which host.

use ihmp_core::addr::Addr;

use crate::follow::follow;
use crate::io::{Key, State};
use crate::keys::{Fact, Keys, PublicKey};
use crate::merge::merge;
use crate::note::Note;
use crate::received::Signer;
use crate::table::Table;

/// A peer has a new key, by the word of the former one.
pub(crate) fn succeed(table: &mut Table, former: PublicKey, key: PublicKey) {
    let world = &mut table.world;
    world.keyring.succeed(&former, key);
    world.keep(Some(Fact::Succeeded { former, key }));
    world.note(Note::Succeeded { former, key });
    if let Some(host) = table.unbind(&former) {
        table.bind(key, host);
        if let Some((host, _)) = table.pair(host) {
            host.trust_mut().set_key(Some(key));
        }
    }
}

/// From now on nobody else speaks for this host; nothing that was signed before counts any more.
pub(crate) fn bind(table: &mut Table, key: Key, signer: &Signer, from: Addr, to: Addr) {
    let Some((host, world)) = table.pair(key) else {
        return;
    };
    if host.trust().key() != Some(signer.key) {
        world.note(Note::Bound {
            peer: from,
            key: signer.key,
        });
    }
    let own = world.keyring.own().for_address(to).map(|own| own.public());
    let last = host.trust_mut().bind(signer.key, own);
    table.bind(signer.key, key);
    let floor = last.map_or(signer.stamp, |last| last.max(signer.stamp));
    table.learn(signer.key, floor, signer.stamp);
}

/// `from` is proven to be an address of `key`, and was held for one of `other`: what has no key yet becomes part of
/// `key`, what has another one loses the address. Where `key` has just `moved` there, its flows there are new.
pub(crate) fn hand_over(table: &mut Table, from: Addr, other: Key, key: Key, moved: bool) {
    if table.is_unbound(other) {
        merge(table, key, other);
    } else {
        mistaken(table, other, from, !moved);
    }
}

/// Somebody else answers at an address of this host; perhaps, where there is `doubt`, since it was last heard of.
pub(crate) fn mistaken(table: &mut Table, key: Key, addr: Addr, doubt: bool) {
    table.with(key, |host, world| {
        if host.is_managed() {
            return;
        }
        world.note(Note::Mistaken { peer: addr });
        let before = host.peer().active().to_vec();
        host.peer_mut().retire(addr);
        host.listing_mut().doubt(doubt);
        follow(host, &before, world);
    });
}

/// The administrator changed keys.
pub(crate) fn keys_changed(table: &mut Table, keys: Keys) {
    table.world.keyring.load(keys);
    let now = table.world.now;
    for key in table.keys() {
        let Some(host) = table.get(key) else {
            continue;
        };
        let ring = &table.world.keyring;
        let trust = host.trust();
        let own = trust.own().and_then(|own| ring.own().get(&own));
        let own = own.map(|own| own.public());
        let gone = trust.key().filter(|key| !ring.knows(key));
        if own == trust.own() && gone.is_none() {
            continue;
        }
        if let Some(gone) = gone {
            table.unbind(&gone);
        }
        table.with(key, |host, _| {
            if gone.is_some() {
                host.trust_mut().set_key(None);
            }
            host.trust_mut().set_own(own);
            if !host.is_managed() && host.state() == State::Up {
                host.session_mut().greet_at(now);
            }
        });
    }
}
