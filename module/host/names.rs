// SPDX-License-Identifier: GPL-2.0

//! The addresses by which hosts are found: a node in the table for each foreign address of a host, current or former.

use super::{
    node::{
        AddrNode,
        Addrs, //
    },
    Host, //
};
use crate::{
    ffi::object::Shared,
    netns::Netns,
    view::Draft, //
};
use ihmp_core::{
    addr::Addr,
    sets::{
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

impl Netns {
    /// Sees to it that there is a node for each address by which the lists name a host: all of them, or a conflict and none. False
    /// when there is nothing to do; mostly the addresses stay as they are, and so does all that names the host. If it is true,
    /// [`Self::names_sync`] follows.
    pub(super) fn names_add(
        &self,
        host: &Shared<Host>,
        lists: Lists<'_>,
        draft: &mut Draft,
    ) -> Result<bool, Conflict> {
        let guard = rcu::read_lock();
        if host.view.read(&guard).lists().names().eq(lists.names()) {
            return Ok(false);
        }
        self.names_check(host, lists, &guard)?;
        drop(guard);
        self.names_yield(host, lists, draft)?;
        self.nodes_add(host, lists)?;
        Ok(true)
    }

    /// Fails if another host has one of the addresses, and not only had it.
    fn names_check(&self, host: &Host, lists: Lists<'_>, guard: &Guard) -> Result<(), Conflict> {
        for (addr, _) in lists.names() {
            let Some(node) = self.net.find::<Addrs>(&addr.octets(), guard) else {
                continue;
            };
            let owner = node.host(guard);
            if owner.id() != host.id() && node.role() != Role::Alias {
                return Err(Conflict::Taken(addr, owner.id()));
            }
        }
        Ok(())
    }

    /// Another host's former address is this one's address now.
    fn names_yield(
        &self,
        host: &Host,
        lists: Lists<'_>,
        draft: &mut Draft,
    ) -> Result<(), Conflict> {
        for (addr, _) in lists.names() {
            let guard = rcu::read_lock();
            let Some(node) = self.net.find::<Addrs>(&addr.octets(), &guard) else {
                continue;
            };
            let owner = node.host(&guard);
            if owner.id() == host.id() {
                continue;
            }
            let Some(owner) = owner.share() else {
                continue;
            };
            let before = owner.view.read(&guard);
            let since = before
                .lists()
                .lookup(Role::Alias, addr)
                .map(|alias| alias.mark);
            draft.load(before);
            draft.sets.remove(Role::Alias, addr);
            let view = draft.view(before).map_err(|_| Conflict::Memory)?;
            owner.view.replace(view);
            self.name_remove(&owner, addr, &guard);
            drop(guard);
            // What began there since is this host's; its next packet says so.
            self.each_row(&owner, |row, _| {
                let younger = since.is_some_and(|since| row.seen.is_younger(since));
                let recent = row.began_before_move(&owner) && !row.seen.roams_there();
                let younger = row.plain || younger || recent;
                if younger && row.key().faddr == addr {
                    self.flow_close(row);
                }
            });
        }
        Ok(())
    }

    /// Makes the nodes of addresses that have none.
    fn nodes_add(&self, host: &Shared<Host>, lists: Lists<'_>) -> Result<(), Conflict> {
        for (addr, _) in lists.names() {
            let guard = rcu::read_lock();
            if let Some(node) = self.net.find::<Addrs>(&addr.octets(), &guard) {
                let owner = node.host(&guard).id();
                if owner != host.id() {
                    // Discovered between the check and now.
                    self.names_sync(host, lists, &guard);
                    return Err(Conflict::Taken(addr, owner));
                }
                continue;
            }
            drop(guard);
            // Until the view is there the address only names the host.
            let added = AddrNode::new(addr, Role::Alias, host.clone(), false)
                .and_then(|node| self.net.insert::<Addrs>(node));
            if added.is_err() {
                self.names_sync(host, lists, &rcu::read_lock());
                return Err(Conflict::Memory);
            }
        }
        Ok(())
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
    pub(crate) fn name_remove(&self, host: &Host, addr: Addr, guard: &Guard) {
        let node = self.net.find::<Addrs>(&addr.octets(), guard);
        if let Some(node) = node.filter(|node| node.host(guard).id() == host.id()) {
            self.net.remove::<Addrs>(node);
        }
    }
}
