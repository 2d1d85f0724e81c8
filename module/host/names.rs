// SPDX-License-Identifier: GPL-2.0

//! The addresses by which hosts are found: a node in the table for each foreign address of a host, current or former.

use super::{
    difference::PathChanges,
    node::{
        AddrNode,
        Addrs, //
    },
    Host, //
};
use crate::{
    ffi::object::{
        Found,
        Owned,
        Shared, //
    },
    netns::Netns,
    notify,
    view::{
        Draft,
        View, //
    }, //
};
use ihmp_core::{
    addr::Addr,
    sets::{
        Entry,
        Lists,
        Role, //
    },
};
use kernel::{
    prelude::*,
    sync::rcu::{
        self,
        Guard, //
    },
};

/// Why an address cannot be given to a host.
pub(crate) enum Conflict {
    /// Another host has it.
    Taken(Addr, u32),
    /// There is no memory.
    Memory,
}

/// A former address of another host, which is about to be this one's.
struct Taken {
    addr: Addr,
    owner: Shared<Host>,
    /// What the other host has said of it.
    alias: Option<Entry>,
    /// Takes the place of its node.
    node: Owned<AddrNode>,
    /// The view of the other host without all addresses that it loses; with the first one of these.
    view: Option<Owned<View>>,
}

/// What is ready for new addresses of a host: the nodes of those that nobody had are there, not published yet.
pub(super) struct Names(KVec<Taken>);

impl Netns {
    /// The node of an address by which a host is found.
    #[inline]
    pub(crate) fn named<'a>(&self, addr: Addr, guard: &'a Guard) -> Option<Found<'a, AddrNode>> {
        let node = self.net.find::<Addrs>(&addr.octets(), guard);
        node.filter(|node| node.is_published())
    }

    /// Makes a node for each address by which the lists name a host, and all that is needed to take over the former addresses of other
    /// hosts, or fails and leaves everything as it was. `None` when the addresses and their roles stay as they are, as mostly.
    /// Otherwise the caller takes the addresses over with [`Self::names_take`] and publishes the nodes with [`Self::names_sync`], or
    /// gives up with the latter alone.
    pub(super) fn names_add(
        &self,
        host: &Shared<Host>,
        lists: Lists<'_>,
        draft: &mut Draft,
    ) -> Result<Option<Names>, Conflict> {
        let guard = rcu::read_lock();
        if host.view.read(&guard).lists().names().eq(lists.names()) {
            return Ok(None);
        }
        let taken = self.names_check(host, lists, &guard)?;
        drop(guard);
        let names = self.names_prepare(host, lists, draft, taken);
        if names.is_err() {
            self.names_sync(host, lists, &rcu::read_lock());
        }
        names.map(Some)
    }

    /// How many of the addresses are former ones of other hosts. Fails if another host has one of them now.
    fn names_check(&self, host: &Host, lists: Lists<'_>, guard: &Guard) -> Result<usize, Conflict> {
        let mut taken = 0;
        for (addr, _) in lists.names() {
            let Some(node) = self.net.find::<Addrs>(&addr.octets(), guard) else {
                continue;
            };
            let owner = node.host(guard);
            if owner.id() == host.id() {
                continue;
            }
            if node.role() != Role::Alias {
                return Err(Conflict::Taken(addr, owner.id()));
            }
            taken += 1;
        }
        Ok(taken)
    }

    fn names_prepare(
        &self,
        host: &Shared<Host>,
        lists: Lists<'_>,
        draft: &mut Draft,
        taken: usize,
    ) -> Result<Names, Conflict> {
        // It goes again with the command, which is why it is not charged.
        let mut names = KVec::with_capacity(taken, GFP_KERNEL).map_err(|_| Conflict::Memory)?;
        for (addr, _) in lists.names() {
            let guard = rcu::read_lock();
            let owner = self
                .net
                .find::<Addrs>(&addr.octets(), &guard)
                .map(|node| node.host(&guard));
            match owner {
                Some(owner) if owner.id() == host.id() => (),
                Some(owner) => {
                    let owner = owner.share().ok_or(Conflict::Taken(addr, owner.id()))?;
                    drop(guard);
                    let taken = self.name_prepare(host, owner, addr, lists, draft, &names)?;
                    names
                        .push(taken, GFP_KERNEL)
                        .map_err(|_| Conflict::Memory)?;
                }
                None => {
                    drop(guard);
                    self.node_add(host, addr)?;
                }
            }
        }
        Ok(Names(names))
    }

    /// Prepares that a former address of `owner` becomes one of `host`, beside the addresses that are prepared already.
    fn name_prepare(
        &self,
        host: &Shared<Host>,
        owner: Shared<Host>,
        addr: Addr,
        lists: Lists<'_>,
        draft: &mut Draft,
        names: &[Taken],
    ) -> Result<Taken, Conflict> {
        let node = AddrNode::unpublished(addr, host.clone()).map_err(|_| Conflict::Memory)?;
        let guard = rcu::read_lock();
        let before = owner.view.read(&guard);
        let alias = before.lists().lookup(Role::Alias, addr).copied();
        let view = match names.iter().any(|other| other.owner.id() == owner.id()) {
            true => None,
            false => {
                draft.load(before);
                for (addr, _) in lists.names() {
                    draft.sets.remove(Role::Alias, addr);
                }
                Some(draft.view(before).map_err(|_| Conflict::Memory)?)
            }
        };
        drop(guard);
        Ok(Taken {
            addr,
            owner,
            alias,
            node,
            view,
        })
    }

    /// Adds the node of an address that has none.
    fn node_add(&self, host: &Shared<Host>, addr: Addr) -> Result<(), Conflict> {
        let node = AddrNode::unpublished(addr, host.clone()).map_err(|_| Conflict::Memory)?;
        match self.net.insert::<Addrs>(node) {
            Ok(()) => Ok(()),
            Err(EEXIST) => {
                // Discovered since it was looked for.
                let guard = rcu::read_lock();
                let node = self.net.find::<Addrs>(&addr.octets(), &guard);
                let owner = node.map_or(0, |node| node.host(&guard).id());
                Err(Conflict::Taken(addr, owner))
            }
            Err(_) => Err(Conflict::Memory),
        }
    }

    /// Takes the former addresses of other hosts over. Nothing fails here.
    pub(super) fn names_take(&self, names: Names) {
        for taken in names.0 {
            let Taken {
                addr,
                owner,
                alias,
                node,
                view,
            } = taken;
            let guard = rcu::read_lock();
            let loses = view.is_some();
            if let Some(view) = view {
                owner.view.replace(view);
            }
            // It is there: who discovers hosts only adds nodes, and others hold the lock.
            if let Some(old) = self.net.find::<Addrs>(&addr.octets(), &guard) {
                self.net.exchange::<Addrs>(old, node);
            }
            drop(guard);
            // Flows to this address that began after the owner had left it belong to the new host.
            self.each_row(&owner, |row, _| {
                let younger = alias.is_some_and(|alias| row.seen.is_younger(alias.mark));
                let recent = row.began_before_move(&owner) && !row.seen.roams_there();
                if (row.plain || younger || recent) && row.key().faddr == addr {
                    self.flow_close(row);
                }
            });
            if loses {
                notify::host(self, &owner, &PathChanges::default());
            }
        }
    }

    /// Gives the nodes of a host the roles that its view has, and removes those of `old` that it
    /// has not.
    pub(super) fn names_sync(&self, host: &Host, old: Lists<'_>, guard: &Guard) {
        let lists = host.view.read(guard).lists();
        for (addr, _) in Iterator::chain(old.names(), lists.names()) {
            let Some(node) = self.net.find::<Addrs>(&addr.octets(), guard) else {
                continue;
            };
            if node.host(guard).id() != host.id() {
                continue;
            }
            match lists.name_role(addr) {
                Some(role) => node.set_role(role),
                None => {
                    self.net.remove::<Addrs>(node);
                }
            }
        }
    }

    /// Removes the nodes of a host that is going.
    pub(super) fn names_remove(&self, host: &Host, lists: Lists<'_>, guard: &Guard) {
        for (addr, _) in lists.names() {
            self.name_remove(host, addr, guard);
        }
    }

    /// Removes the node of an address, if it is that of this host.
    fn name_remove(&self, host: &Host, addr: Addr, guard: &Guard) {
        let node = self.net.find::<Addrs>(&addr.octets(), guard);
        if let Some(node) = node.filter(|node| node.host(guard).id() == host.id()) {
            self.net.remove::<Addrs>(node);
        }
    }
}
