// SPDX-License-Identifier: GPL-2.0

//! The tables of a namespace: hosts by id and by address, rows by flow and by wire tuple, port
//! mappings of NATs from both sides.
//!
//! C header: `shim/shim.h` (object.c)

use super::{
    net::Net,
    object::{
        Owned,
        Shared, //
    },
    raw, //
};
use crate::{
    credit::Network,
    flow::Row,
    host::{
        AddrNode,
        Host, //
    },
    nat::{
        Nat,
        Natted, //
    }, //
};
use core::ptr::NonNull;
use kernel::{
    error::to_result,
    prelude::*,
    sync::rcu::Guard, //
};

/// Key of an address node: the address.
pub(crate) type AddrKey = [u8; raw::IHMP_ADDR_KEY as usize];
/// Key of a row: five identifiers.
pub(crate) type FlowBytes = [u8; raw::IHMP_FLOW_KEY as usize];
/// Second key of a row: host, protocol, wire ports.
pub(crate) type WireBytes = [u8; raw::IHMP_WIRE_KEY as usize];

/// Key of a port mapping: what comes from the NAT.
pub(crate) type SeenBytes = [u8; raw::IHMP_SEEN_KEY as usize];
/// Second key of a port mapping: what goes to the host.
pub(crate) type MeantBytes = [u8; raw::IHMP_MEANT_KEY as usize];

/// Turns what a table gave out into a reference.
///
/// # Safety
///
/// `payload` is null, or a value of type `T` from a table whose entries are freed a grace period
/// after they were taken out.
#[inline]
unsafe fn found<T>(payload: *mut kernel::ffi::c_void, _: &Guard) -> Option<&T> {
    // SAFETY: By the requirement, and the guard.
    unsafe { payload.cast::<T>().as_ref() }
}

impl Net {
    /// The node of a foreign address.
    #[inline]
    pub(crate) fn addr<'a>(&self, key: &AddrKey, guard: &'a Guard) -> Option<&'a AddrNode> {
        // SAFETY: The key has the table's length; only `AddrNode`s are inserted.
        unsafe {
            found(
                raw::ihmp_addr_lookup(self.raw(), key.as_ptr().cast()),
                guard,
            )
        }
    }

    /// Adds a node; its address must not be there yet.
    pub(crate) fn addr_insert(&self, node: Owned<AddrNode>) -> Result {
        let payload = node.into_raw();
        // SAFETY: A live payload that begins with the key (`AddrNode` is `repr(C)`).
        let err = unsafe { raw::ihmp_addr_insert(self.raw(), payload.as_ptr().cast()) };
        if err != 0 {
            // SAFETY: It was not published.
            drop(unsafe { Owned::from_raw(payload) });
        }
        to_result(err)
    }

    /// Takes a node out. The caller is the only one that removes this node.
    pub(crate) fn addr_remove(&self, node: &AddrNode) {
        let payload = core::ptr::from_ref(node).cast_mut().cast();
        // SAFETY: The node came from the table; removal and retirement happen once, because
        // changes of a host's addresses are serialised by the namespace's lock.
        unsafe {
            raw::ihmp_addr_remove(self.raw(), payload);
            raw::ihmp_object_retire(payload);
        }
    }

    /// The row of a packet that goes out.
    #[inline]
    pub(crate) fn row_by_flow<'a>(&self, key: &FlowBytes, guard: &'a Guard) -> Option<&'a Row> {
        // SAFETY: The key has the table's length; only `Row`s are inserted.
        unsafe {
            found(
                raw::ihmp_row_by_flow(self.raw(), key.as_ptr().cast()),
                guard,
            )
        }
    }

    /// The row of a packet that comes in.
    #[inline]
    pub(crate) fn row_by_wire<'a>(&self, key: &WireBytes, guard: &'a Guard) -> Option<&'a Row> {
        // SAFETY: The key has the table's length; only `Row`s are inserted.
        unsafe {
            found(
                raw::ihmp_row_by_wire(self.raw(), key.as_ptr().cast()),
                guard,
            )
        }
    }

    /// Adds a row to its host and to the tables; to the wire tuples only if `wired`. `Err(EEXIST)` when a key is taken.
    pub(crate) fn row_insert<'a>(
        &self,
        row: Owned<Row>,
        wired: bool,
        guard: &'a Guard,
    ) -> Result<&'a Row> {
        let host = row.host().as_ptr().cast();
        let payload = row.into_raw();
        let raw_row = payload.as_ptr().cast();
        // SAFETY: A live payload that begins with both keys (`Row` is `repr(C)`) and holds its
        // host. It is removed by whoever takes it out of the flow table, where it comes last; so
        // on failure nobody else removes it, and what readers may have seen is retired.
        unsafe {
            let err = raw::ihmp_row_link(host, raw_row);
            if err != 0 {
                drop(Owned::from_raw(payload));
                return Err(Error::from_errno(err));
            }
            let mut err = 0;
            if wired {
                err = raw::ihmp_row_insert_wire(self.raw(), raw_row);
            }
            if err == 0 {
                err = raw::ihmp_row_insert_flow(self.raw(), raw_row);
                if err != 0 && wired {
                    raw::ihmp_row_remove_wire(self.raw(), raw_row);
                }
            }
            if err != 0 {
                raw::ihmp_row_unlink(host, raw_row);
                raw::ihmp_object_retire(raw_row);
                return Err(Error::from_errno(err));
            }
        }
        // SAFETY: Published above; the guard keeps it whoever removes it.
        unsafe { found(raw_row, guard) }.ok_or(EINVAL)
    }

    /// Takes a row out everywhere. True for the one caller that did it. `apart` as in [`Row`]: it may be put among the
    /// wire tuples meanwhile.
    pub(crate) fn row_remove(&self, row: &Row, apart: bool) -> bool {
        let payload = core::ptr::from_ref(row).cast_mut().cast();
        // SAFETY: The row came from the table; only the caller whose removal from the flow table
        // succeeds goes on, so it is unlinked and retired once. Its place among the wire tuples
        // may have been given to a newer row of the same socket; nobody puts it there after this.
        unsafe {
            if raw::ihmp_row_remove(self.raw(), payload, apart) != 0 {
                return false;
            }
            raw::ihmp_row_unlink(row.host().as_ptr().cast(), payload);
            raw::ihmp_object_retire(payload);
        }
        true
    }

    /// Puts a row that is apart among the wire tuples. `Err(EEXIST)` when another one has them, `Err(ENOENT)` when the
    /// row is no longer in the tables.
    pub(crate) fn row_wire(&self, row: &Row) -> Result {
        let payload = core::ptr::from_ref(row).cast_mut().cast();
        // SAFETY: The row came from the table, and the caller's guard keeps it.
        to_result(unsafe { raw::ihmp_row_wire(self.raw(), payload) })
    }

    /// Takes a row out of the wire tuples only: another row takes its place there.
    pub(crate) fn row_unwire(&self, row: &Row) {
        let payload = core::ptr::from_ref(row).cast_mut().cast();
        // SAFETY: The row came from the table; it stays in the flow table and is not freed.
        unsafe { raw::ihmp_row_remove_wire(self.raw(), payload) };
    }

    /// The port mapping of a packet that comes from a NAT.
    pub(crate) fn nat_by_seen<'a>(&self, key: &SeenBytes, guard: &'a Guard) -> Option<&'a Nat> {
        // SAFETY: The key has the table's length; only `Nat`s are inserted.
        unsafe {
            found(
                raw::ihmp_nat_by_seen(self.raw(), key.as_ptr().cast()),
                guard,
            )
        }
    }

    /// The port mapping of a packet that goes to a NAT.
    pub(crate) fn nat_by_meant<'a>(&self, key: &MeantBytes, guard: &'a Guard) -> Option<&'a Nat> {
        // SAFETY: The key has the table's length; only `Nat`s are inserted.
        unsafe {
            found(
                raw::ihmp_nat_by_meant(self.raw(), key.as_ptr().cast()),
                guard,
            )
        }
    }

    /// Adds a port mapping to both tables and to its host; neither key may be there. The caller
    /// serialises changes of mappings.
    pub(crate) fn nat_insert(&self, nat: Owned<Nat>) -> Result {
        let host = nat.host().as_ptr().cast();
        let payload = nat.into_raw();
        let raw_nat = payload.as_ptr().cast();
        // SAFETY: A live payload that begins with both keys (`Nat` is `repr(C)`) and holds its
        // host. On failure what readers may have seen is retired, and the caller lets nobody else
        // remove it.
        unsafe {
            let err = raw::ihmp_nat_link(host, raw_nat);
            if err != 0 {
                drop(Owned::from_raw(payload));
                return Err(Error::from_errno(err));
            }
            let mut err = raw::ihmp_nat_insert_meant(self.raw(), raw_nat);
            if err == 0 {
                err = raw::ihmp_nat_insert_seen(self.raw(), raw_nat);
                if err != 0 {
                    raw::ihmp_nat_remove_meant(self.raw(), raw_nat);
                }
            }
            if err != 0 {
                raw::ihmp_nat_unlink(host, raw_nat);
                raw::ihmp_object_retire(raw_nat);
            }
            to_result(err)
        }
    }

    /// Takes a port mapping out everywhere. The caller is the only one that removes this one.
    pub(crate) fn nat_remove(&self, nat: &Nat) {
        let payload = core::ptr::from_ref(nat).cast_mut().cast();
        // SAFETY: It came from the tables; removal and retirement happen once, because changes of
        // mappings are serialised by the namespace's lock.
        unsafe {
            raw::ihmp_nat_remove_seen(self.raw(), payload);
            raw::ihmp_nat_remove_meant(self.raw(), payload);
            raw::ihmp_nat_unlink(nat.host().as_ptr().cast(), payload);
            raw::ihmp_object_retire(payload);
        }
    }

    /// The entry of an address that is a NAT's.
    pub(crate) fn natted<'a>(&self, key: &AddrKey, guard: &'a Guard) -> Option<&'a Natted> {
        // SAFETY: The key has the table's length; only `Natted`s are inserted.
        unsafe {
            found(
                raw::ihmp_natted_lookup(self.raw(), key.as_ptr().cast()),
                guard,
            )
        }
    }

    /// Adds the entry of an address that is not there yet.
    pub(crate) fn natted_insert(&self, natted: Owned<Natted>) -> Result {
        let payload = natted.into_raw();
        // SAFETY: A live payload that begins with the key (`Natted` is `repr(C)`).
        let err = unsafe { raw::ihmp_natted_insert(self.raw(), payload.as_ptr().cast()) };
        if err != 0 {
            // SAFETY: It was not published.
            drop(unsafe { Owned::from_raw(payload) });
        }
        to_result(err)
    }

    /// Takes the entry of an address out. The caller is the only one that removes it.
    pub(crate) fn natted_remove(&self, natted: &Natted) {
        let payload = core::ptr::from_ref(natted).cast_mut().cast();
        // SAFETY: It came from the table; removal and retirement happen once, because changes of
        // a host's addresses are serialised by the namespace's lock.
        unsafe {
            raw::ihmp_natted_remove(self.raw(), payload);
            raw::ihmp_object_retire(payload);
        }
    }

    /// The network with this key.
    pub(crate) fn network<'a>(&self, key: &AddrKey, guard: &'a Guard) -> Option<&'a Network> {
        // SAFETY: The key has the table's length; only `Network`s are inserted.
        unsafe {
            found(
                raw::ihmp_network_lookup(self.raw(), key.as_ptr().cast()),
                guard,
            )
        }
    }

    /// Adds a network that is not there yet.
    pub(crate) fn network_insert(&self, network: Owned<Network>) -> Result {
        let payload = network.into_raw();
        // SAFETY: A live payload that begins with the key (`Network` is `repr(C)`).
        let err = unsafe { raw::ihmp_network_insert(self.raw(), payload.as_ptr().cast()) };
        if err != 0 {
            // SAFETY: It was not published.
            drop(unsafe { Owned::from_raw(payload) });
        }
        to_result(err)
    }

    /// Takes a network out. The caller is the only one that removes it.
    pub(crate) fn network_remove(&self, network: &Network) {
        let payload = core::ptr::from_ref(network).cast_mut().cast();
        // SAFETY: It came from the table; removal and retirement happen once, because changes of
        // the networks of hosts are serialised by the namespace's lock.
        unsafe {
            raw::ihmp_network_remove(self.raw(), payload);
            raw::ihmp_object_retire(payload);
        }
    }

    /// Gives a host an id, from which it can be found.
    pub(crate) fn host_link(&self, host: &Shared<Host>) -> Result<u32> {
        let host = host.clone();
        let mut id = 0;
        // SAFETY: The table takes over the count of `host`.
        let err = unsafe { raw::ihmp_host_link(self.raw(), host.as_ptr().cast(), &mut id) };
        to_result(err)?;
        core::mem::forget(host);
        Ok(id)
    }

    /// The host with an id.
    pub(crate) fn host<'a>(&self, id: u32, guard: &'a Guard) -> Option<&'a Host> {
        // SAFETY: Only `Host`s are linked.
        unsafe { found(raw::ihmp_host_by_id(self.raw(), id), guard) }
    }

    /// Takes a host out of the ids. True for the one caller that did it.
    pub(crate) fn host_unlink(&self, id: u32) -> bool {
        // SAFETY: The function has no requirements.
        let payload = unsafe { raw::ihmp_host_unlink(self.raw(), id) };
        let Some(payload) = NonNull::new(payload) else {
            return false;
        };
        // SAFETY: This is the count that `host_link` gave to the table.
        unsafe { raw::ihmp_object_put(payload.as_ptr()) };
        true
    }

    /// The first host after `id`, which becomes its id; zero to begin.
    pub(crate) fn host_after<'a>(&self, id: &mut u32, guard: &'a Guard) -> Option<&'a Host> {
        // SAFETY: Only `Host`s are linked.
        unsafe { found(raw::ihmp_host_next(self.raw(), id), guard) }
    }
}

/// The first row of a host after `index`, which becomes its index; zero to begin.
pub(crate) fn row_after<'a>(host: &Host, index: &mut u32, guard: &'a Guard) -> Option<&'a Row> {
    let payload = core::ptr::from_ref(host).cast_mut().cast();
    // SAFETY: Hosts are only made by `Owned`, so there is a header; only `Row`s are linked.
    unsafe { found(raw::ihmp_row_next(payload, index), guard) }
}

/// The first port mapping of a host after `index`, which becomes its index; zero to begin.
pub(crate) fn nat_after<'a>(host: &Host, index: &mut u32, guard: &'a Guard) -> Option<&'a Nat> {
    let payload = core::ptr::from_ref(host).cast_mut().cast();
    // SAFETY: Hosts are only made by `Owned`, so there is a header; only `Nat`s are linked.
    unsafe { found(raw::ihmp_nat_next(payload, index), guard) }
}
