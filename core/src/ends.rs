// SPDX-License-Identifier: GPL-2.0
//! Where the ends of a flow are.
//!
//! An end is at *home* while packets of the flow carry its identifier, and *away* while they carry a locator of the host's
//! path instead. A flow begins at home. An end leaves when its identifier cannot be used any more, or was left by a move;
//! what happens to addresses has numbers, so that only flows leave which are older than that.

use crate::addr::Addr;
use crate::sets::{Lists, Role};

/// Where this machine's end of a flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Local {
    /// At home; the identifier is at this place of the local addresses.
    Home(usize),
    /// On the host's path, since a move left the identifier, which is still at this place.
    Left(usize),
    /// On the host's path: the identifier is no local address any more.
    Away,
    /// The identifier was never told to the host: the flow is not translated.
    Untold,
}

impl Local {
    /// Whether packets carry a locator of the host's path.
    #[inline]
    pub fn is_away(self) -> bool {
        matches!(self, Local::Left(_) | Local::Away)
    }
}

/// Where the other host's end of a flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// At home.
    Home,
    /// On the host's path.
    Away,
}

/// This machine's end of a flow that was `born` at this number; `known` says that the identifier is, or was, among the
/// local addresses. An address behind a NAT that gives no mappings is no locator: what begins there is not translated.
#[inline]
pub fn local(lists: &Lists<'_>, addr: Addr, born: u64, known: bool) -> Local {
    let mut locals = (0_usize..).zip(lists.list(Role::Local));
    match locals.find(|(_, entry)| entry.addr == addr) {
        Some((_, entry)) if entry.nat => Local::Untold,
        Some((at, entry)) if entry.mark != 0 && born < entry.mark => Local::Left(at),
        Some((at, _)) => Local::Home(at),
        None if known => Local::Away,
        None => Local::Untold,
    }
}

/// The host's end of a flow that was `since` this number known to be at its foreign identifier: since it began, or since
/// a packet came from there; 0 when it was heard from another address of the host after that. `left` gives the number by
/// which the host left the active address at a place, or 0.
#[inline]
pub fn foreign(lists: &Lists<'_>, addr: Addr, since: u64, left: impl Fn(usize) -> u64) -> Foreign {
    let mut active = (0_usize..).zip(lists.list(Role::Active));
    let gone = match active.find(|(_, entry)| entry.addr == addr) {
        Some((at, _)) => left(at),
        None => {
            let former = lists.lookup(Role::Alias, addr);
            let former = former.or_else(|| lists.lookup(Role::Unreachable, addr));
            former.map_or(u64::MAX, |entry| entry.mark)
        }
    };
    match since < gone {
        true => Foreign::Away,
        false => Foreign::Home,
    }
}
