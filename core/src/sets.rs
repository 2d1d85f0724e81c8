// SPDX-License-Identifier: GPL-2.0
//! The address sets of a host.

use crate::addr::Addr;

/// Most addresses in one set.
pub const MAX_ADDRS: usize = 16;

/// How many roles there are.
pub const ROLES: usize = 4;

/// One address of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The address.
    pub addr: Addr,
    /// Lower is preferred.
    pub preference: u16,
    /// A local address that the host has not acknowledged yet, or one of the host at which it has not shown that it hears us
    /// ([`crate::credit`]).
    pub unvalidated: bool,
    /// An active address that is that of a NAT in front of the host, and perhaps of others. A local address behind one
    /// that gives no port mappings: no locator, flows that begin there are left alone.
    pub nat: bool,
    /// A number of the namespace, of what happened to the address:
    ///
    /// - local: when it was left; flows that are older use another one. 0 when it was not.
    /// - active: when it was last said to be the host's.
    /// - alias, unreachable: up to when it was the host's; younger flows to it belong to whoever has it now.
    pub mark: u64,
    /// A local address: index of the device by which packets leave from it, or 0 for the one that has it.
    pub device: u32,
}

impl Entry {
    /// In [`Entry::mark`]: it happens now, and has no number yet.
    pub const NOW: u64 = u64::MAX;

    /// An entry with preference 0, validated, not left, and not behind a NAT.
    #[inline]
    pub const fn new(addr: Addr) -> Entry {
        Entry {
            addr,
            preference: 0,
            unvalidated: false,
            nat: false,
            mark: 0,
            device: 0,
        }
    }
}

/// Role of an address in a host entry; numbers as `addr-set` of the contract.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Foreign address that is reachable; may be a remote locator.
    Active = 0,
    /// Foreign address that may become reachable; never used for data.
    Unreachable = 1,
    /// Own address that the host can reach; may be a local locator.
    Local = 2,
    /// Former address of the host; names it in flows that know it by this address.
    Alias = 3,
}

impl Role {
    /// All roles, in the order of their numbers.
    pub const ALL: [Role; ROLES] = [Role::Active, Role::Unreachable, Role::Local, Role::Alias];

    /// The role with this number.
    #[inline]
    pub const fn from_number(number: u32) -> Option<Role> {
        match number {
            0 => Some(Role::Active),
            1 => Some(Role::Unreachable),
            2 => Some(Role::Local),
            3 => Some(Role::Alias),
            _ => None,
        }
    }

    /// Whether addresses in this role belong to the other host. An address has at most one foreign role.
    #[inline]
    pub const fn is_foreign(self) -> bool {
        !matches!(self, Role::Local)
    }
}

/// Why an address was not taken into a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetError {
    /// The set has [`MAX_ADDRS`] addresses.
    Full,
    /// The address is not one that packets may be rewritten to ([`Addr::translatable`]).
    NotUnicast,
}

/// One set, in the order of insertion.
#[derive(Clone, Copy, Debug)]
struct List {
    len: usize,
    entries: [Entry; MAX_ADDRS],
}

/// The addresses of one host by role, wherever they are kept: a list for each role, in the order of their numbers.
#[derive(Clone, Copy, Debug)]
pub struct Lists<'a>(pub [&'a [Entry]; ROLES]);

/// The addresses of one host by role, with room for as many as there may be; about 2.1 KB, so pass it by reference and
/// change it in place.
///
/// # Invariants
///
/// An address is in at most one of the foreign roles, and at most once in each role.
#[derive(Clone, Copy, Debug)]
pub struct Sets {
    lists: [List; ROLES],
}

impl List {
    const EMPTY: List = List {
        len: 0,
        entries: [Entry::new(Addr::UNSPECIFIED); MAX_ADDRS],
    };

    fn as_mut_slice(&mut self) -> &mut [Entry] {
        self.entries.get_mut(..self.len).unwrap_or_default()
    }

    #[inline]
    fn as_slice(&self) -> &[Entry] {
        self.entries.get(..self.len).unwrap_or(&[])
    }

    fn find(&self, addr: Addr) -> Option<usize> {
        self.as_slice().iter().position(|entry| entry.addr == addr)
    }

    /// Replaces the entry with the same address or appends; false when full.
    fn put(&mut self, entry: Entry) -> bool {
        let at = self.find(entry.addr).unwrap_or(self.len);
        let Some(slot) = self.entries.get_mut(at) else {
            return false;
        };
        *slot = entry;
        if at == self.len {
            self.len = self.len.wrapping_add(1);
        }
        true
    }

    fn remove_at(&mut self, at: usize) {
        if let Some(tail) = self.entries.get_mut(at..self.len) {
            if !tail.is_empty() {
                tail.rotate_left(1);
                self.len = self.len.wrapping_sub(1);
            }
        }
    }

    fn remove(&mut self, addr: Addr) -> bool {
        match self.find(addr) {
            Some(at) => {
                self.remove_at(at);
                true
            }
            None => false,
        }
    }
}

impl<'a> Lists<'a> {
    /// No addresses.
    pub const EMPTY: Lists<'static> = Lists([&[]; ROLES]);

    /// How many addresses there are, in all roles.
    #[inline]
    pub fn len(&self) -> usize {
        let lens = self.0.iter().map(|list| list.len());
        lens.fold(0, usize::wrapping_add)
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The addresses in a role, in the order of insertion.
    #[inline]
    pub fn list(&self, role: Role) -> &'a [Entry] {
        let [active, unreachable, local, alias] = self.0;
        match role {
            Role::Active => active,
            Role::Unreachable => unreachable,
            Role::Local => local,
            Role::Alias => alias,
        }
    }

    /// The entry of an address in a role.
    #[inline]
    pub fn lookup(&self, role: Role, addr: Addr) -> Option<&'a Entry> {
        self.list(role).iter().find(|entry| entry.addr == addr)
    }

    /// The foreign role of an address.
    pub fn role_of(&self, addr: Addr) -> Option<Role> {
        Role::ALL
            .into_iter()
            .find(|&role| role.is_foreign() && self.lookup(role, addr).is_some())
    }

    /// The role in which an address names the host. That of a NAT does not, nor does a claim.
    pub fn name_role(&self, addr: Addr) -> Option<Role> {
        match self.lookup(Role::Active, addr) {
            Some(entry) => (!entry.nat).then_some(Role::Active),
            None => self.lookup(Role::Alias, addr).map(|_| Role::Alias),
        }
    }

    /// The foreign addresses by which a host is found, with their roles ([`Lists::name_role`]). An unreachable address is a
    /// claim: whoever is there may be a host of its own. The address of a NAT may be that of several, and of the NAT itself.
    #[inline]
    pub fn names(&self) -> impl Iterator<Item = (Addr, Role)> + 'a {
        let of = |role, list: &'a [Entry]| {
            let list = list.iter().filter(|entry| !entry.nat);
            list.map(move |entry| (entry.addr, role))
        };
        Iterator::chain(
            of(Role::Active, self.list(Role::Active)),
            of(Role::Alias, self.list(Role::Alias)),
        )
    }
}

impl<'a> From<&'a Sets> for Lists<'a> {
    #[inline]
    fn from(sets: &'a Sets) -> Lists<'a> {
        sets.lists()
    }
}

impl Default for Sets {
    #[inline]
    fn default() -> Sets {
        Sets::new()
    }
}

impl Sets {
    /// Sets without addresses.
    #[inline]
    pub const fn new() -> Sets {
        Sets {
            lists: [List::EMPTY; ROLES],
        }
    }

    #[inline]
    fn of(&self, role: Role) -> &List {
        let [active, unreachable, local, alias] = &self.lists;
        match role {
            Role::Active => active,
            Role::Unreachable => unreachable,
            Role::Local => local,
            Role::Alias => alias,
        }
    }

    #[inline]
    fn of_mut(&mut self, role: Role) -> &mut List {
        let [active, unreachable, local, alias] = &mut self.lists;
        match role {
            Role::Active => active,
            Role::Unreachable => unreachable,
            Role::Local => local,
            Role::Alias => alias,
        }
    }

    /// The lists, to be read.
    #[inline]
    pub fn lists(&self) -> Lists<'_> {
        let [active, unreachable, local, alias] = &self.lists;
        Lists([active, unreachable, local, alias].map(List::as_slice))
    }

    /// Becomes the same as `other`, of which a list has at most [`MAX_ADDRS`] addresses. Only what is used is written: most
    /// sets have few addresses.
    pub fn copy_from(&mut self, other: Lists<'_>) {
        for (to, from) in self.lists.iter_mut().zip(other.0) {
            to.len = 0;
            if let Some(room) = to.entries.get_mut(..from.len()) {
                room.copy_from_slice(from);
                to.len = from.len();
            }
        }
    }

    /// The addresses in a role, in the order of insertion.
    #[inline]
    pub fn list(&self, role: Role) -> &[Entry] {
        self.of(role).as_slice()
    }

    /// The addresses in a role, to be changed in place but for the addresses themselves.
    pub fn list_mut(&mut self, role: Role) -> &mut [Entry] {
        self.of_mut(role).as_mut_slice()
    }

    /// The entry of an address in a role.
    #[inline]
    pub fn lookup(&self, role: Role, addr: Addr) -> Option<&Entry> {
        self.list(role).iter().find(|entry| entry.addr == addr)
    }

    /// Takes an address into a role: replaces its entry if it is there, else appends. An address that had another
    /// foreign role leaves that one. Nothing changes on error.
    pub fn insert(&mut self, role: Role, entry: Entry) -> Result<(), SetError> {
        if !entry.addr.translatable() {
            return Err(SetError::NotUnicast);
        }
        if !self.of_mut(role).put(entry) {
            return Err(SetError::Full);
        }
        if role.is_foreign() {
            for other in Role::ALL {
                if other != role && other.is_foreign() {
                    self.of_mut(other).remove(entry.addr);
                }
            }
        }
        Ok(())
    }

    /// Removes an address from a role; false when it was not there.
    pub fn remove(&mut self, role: Role, addr: Addr) -> bool {
        self.of_mut(role).remove(addr)
    }

    /// Empties a role.
    #[inline]
    pub fn clear(&mut self, role: Role) {
        self.of_mut(role).len = 0;
    }

    /// The foreign role of an address.
    pub fn role_of(&self, addr: Addr) -> Option<Role> {
        self.lists().role_of(addr)
    }

    /// The role in which an address names the host, as [`Lists::name_role`].
    pub fn name_role(&self, addr: Addr) -> Option<Role> {
        self.lists().name_role(addr)
    }

    /// Makes an active or unreachable address an alias, in place of the oldest alias when there is no room. False when
    /// the address was neither. The address of a NAT is forgotten: it names no host.
    pub fn retire(&mut self, addr: Addr) -> bool {
        if self
            .lookup(Role::Active, addr)
            .is_some_and(|entry| entry.nat)
        {
            return self.of_mut(Role::Active).remove(addr);
        }
        if !self.of_mut(Role::Active).remove(addr) && !self.of_mut(Role::Unreachable).remove(addr) {
            return false;
        }
        let aliases = self.of_mut(Role::Alias);
        if aliases.len >= MAX_ADDRS {
            aliases.remove_at(0);
        }
        aliases.put(Entry::new(addr))
    }

    /// Makes `entries` the whole of a role. Active and unreachable addresses that are left out become aliases if
    /// `retire`, as by [`Sets::retire`], and are forgotten otherwise. On error the sets are half changed.
    pub fn replace(&mut self, role: Role, entries: &[Entry], retire: bool) -> Result<(), SetError> {
        let retire = retire && matches!(role, Role::Active | Role::Unreachable);
        let mut at = 0_usize;
        while let Some(&Entry { addr, .. }) = self.list(role).get(at) {
            if entries.iter().any(|entry| entry.addr == addr) {
                at = at.wrapping_add(1);
            } else if !(retire && self.retire(addr)) {
                self.of_mut(role).remove_at(at);
            }
        }
        for entry in entries {
            self.insert(role, *entry)?;
        }
        Ok(())
    }
}
