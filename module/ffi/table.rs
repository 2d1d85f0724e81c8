// SPDX-License-Identifier: GPL-2.0

//! The tables of a namespace: hosts by id and by address, rows by flow and by wire tuple, port
//! mappings of NATs from both sides.
//!
//! C header: `shim/shim.h` (object.c)

use super::{
    net::Net,
    object::{
        Found,
        Owned,
        Payload,
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
    ffi::{
        c_int,
        c_void, //
    },
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

/// Finds an entry by the octets of its key.
type Find = unsafe extern "C" fn(*mut raw::ihmp_net, *const c_void) -> *mut c_void;
/// Puts a payload into a table, or takes it out.
type Change = unsafe extern "C" fn(*mut raw::ihmp_net, *mut c_void) -> c_int;

/// A table of a namespace.
///
/// # Safety
///
/// The functions are those of one table; `Key` has the length of its keys. Only this module puts entries in, they are
/// values of `Value`, and are freed no sooner than a grace period after they were taken out.
pub(crate) unsafe trait Table {
    /// What an entry is found by.
    type Key: AsRef<[u8]>;
    /// What is in it.
    type Value: Payload;
    /// Finds.
    const FIND: Find;
    /// Puts in; `EEXIST` when the key is taken.
    const INSERT: Change;
    /// Takes out; an error for all callers but the one that did it.
    const REMOVE: Change;
}

/// A table whose entries are in no other one.
pub(crate) trait Only: Table {}

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident: $key:ty => $value:ty, $find:ident, $insert:ident, $remove:ident;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        // SAFETY: The three are made by one `IHMP_TABLE` of object.c, for keys of this length at the place in `Value` that
        // `entry` asserts. Entries go through `Net::insert`, `row_insert` and `nat_insert` only.
        unsafe impl Table for $name {
            type Key = $key;
            type Value = $value;
            const FIND: Find = raw::$find;
            const INSERT: Change = raw::$insert;
            const REMOVE: Change = raw::$remove;
        }
    )*};
}

tables! {
    /// Foreign addresses and their hosts.
    Addrs: AddrKey => AddrNode, ihmp_addrs_find, ihmp_addrs_insert, ihmp_addrs_remove;
    /// Rows by the packets that go out.
    Flows: FlowBytes => Row, ihmp_flows_find, ihmp_flows_insert, ihmp_flows_remove;
    /// Rows by the packets that come in.
    Wires: WireBytes => Row, ihmp_wires_find, ihmp_wires_insert, ihmp_wires_remove;
    /// Port mappings by the packets that come from the NAT.
    SeenNats: SeenBytes => Nat, ihmp_seen_find, ihmp_seen_insert, ihmp_seen_remove;
    /// Port mappings by the packets that go to the NAT.
    MeantNats: MeantBytes => Nat, ihmp_meant_find, ihmp_meant_insert, ihmp_meant_remove;
    /// Addresses that are those of NATs.
    NatAddrs: AddrKey => Natted, ihmp_natted_find, ihmp_natted_insert, ihmp_natted_remove;
    /// Networks of hosts.
    Networks: AddrKey => Network, ihmp_networks_find, ihmp_networks_insert, ihmp_networks_remove;
}

impl Only for Addrs {}
impl Only for NatAddrs {}
impl Only for Networks {}

/// Where a payload begins.
fn payload<T: Payload>(found: Found<'_, T>) -> *mut c_void {
    found.as_ptr().cast()
}

impl Net {
    /// The entry of a table with this key.
    #[inline]
    pub(crate) fn find<'a, T: Table>(
        &self,
        key: &T::Key,
        guard: &'a Guard,
    ) -> Option<Found<'a, T::Value>> {
        // SAFETY: The key has the table's length, and what is in the table is as `Found` wants it, both by the trait.
        unsafe {
            let found = (T::FIND)(self.raw(), key.as_ref().as_ptr().cast());
            Found::from_raw(found.cast(), guard)
        }
    }

    /// Adds an entry. `Err(EEXIST)` when its key is taken.
    pub(crate) fn insert<T: Only>(&self, value: Owned<T::Value>) -> Result {
        let new = value.into_raw();
        // SAFETY: A live payload that has its key where the table looks for it.
        let err = unsafe { (T::INSERT)(self.raw(), new.as_ptr().cast()) };
        if err != 0 {
            // SAFETY: It was not published.
            drop(unsafe { Owned::from_raw(new) });
        }
        to_result(err)
    }

    /// Takes an entry out; it goes a grace period later. True for the one caller that did it.
    pub(crate) fn remove<T: Only>(&self, entry: Found<'_, T::Value>) -> bool {
        let old = payload(entry);
        // SAFETY: `old` is a payload that `entry` keeps, and only who took it out retires it.
        unsafe {
            let did = (T::REMOVE)(self.raw(), old) == 0;
            if did {
                raw::ihmp_object_retire(old);
            }
            did
        }
    }

    /// Adds a row to its host and to the tables; to the wire tuples only if `wired`. `Err(EEXIST)` when a key is taken.
    pub(crate) fn row_insert<'a>(
        &self,
        row: Owned<Row>,
        wired: bool,
        guard: &'a Guard,
    ) -> Result<Found<'a, Row>> {
        let host = row.host().as_ptr().cast();
        let new = row.into_raw();
        let raw_row = new.as_ptr().cast();
        // SAFETY: A live payload that begins with both keys (`Row` is `repr(C)`) and holds its
        // host. It is removed by whoever takes it out of the flow table, where it comes last; so
        // on failure nobody else removes it, and what readers may have seen is retired.
        unsafe {
            let err = raw::ihmp_row_link(host, raw_row);
            if err != 0 {
                drop(Owned::from_raw(new));
                return Err(Error::from_errno(err));
            }
            let mut err = 0;
            if wired {
                err = (Wires::INSERT)(self.raw(), raw_row);
            }
            if err == 0 {
                err = (Flows::INSERT)(self.raw(), raw_row);
                if err != 0 && wired {
                    (Wires::REMOVE)(self.raw(), raw_row);
                }
            }
            if err != 0 {
                raw::ihmp_row_unlink(host, raw_row);
                raw::ihmp_object_retire(raw_row);
                return Err(Error::from_errno(err));
            }
        }
        // SAFETY: Published above; the guard keeps it whoever removes it.
        unsafe { Found::from_raw(raw_row.cast(), guard) }.ok_or(EINVAL)
    }

    /// Takes a row out everywhere. True for the one caller that did it. `apart` as in [`Row`]: it may be put among the
    /// wire tuples meanwhile.
    pub(crate) fn row_remove(&self, row: Found<'_, Row>, apart: bool) -> bool {
        let old = payload(row);
        // SAFETY: `old` is a payload that `row` keeps; only the caller whose removal from the flow table
        // succeeds goes on, so it is unlinked and retired once. Its place among the wire tuples
        // may have been given to a newer row of the same socket; nobody puts it there after this.
        unsafe {
            if raw::ihmp_row_remove(self.raw(), old, apart) != 0 {
                return false;
            }
            raw::ihmp_row_unlink(row.host().as_ptr().cast(), old);
            raw::ihmp_object_retire(old);
        }
        true
    }

    /// Puts a row that is apart among the wire tuples. `Err(EEXIST)` when another one has them, `Err(ENOENT)` when the
    /// row is no longer in the tables.
    pub(crate) fn row_wire(&self, row: Found<'_, Row>) -> Result {
        // SAFETY: A payload that `row` keeps.
        to_result(unsafe { raw::ihmp_row_wire(self.raw(), payload(row)) })
    }

    /// Takes a row out of the wire tuples only: another row takes its place there.
    pub(crate) fn row_unwire(&self, row: Found<'_, Row>) {
        // SAFETY: A payload that `row` keeps; it stays in the flow table and is not freed.
        unsafe { (Wires::REMOVE)(self.raw(), payload(row)) };
    }

    /// Adds a port mapping to both tables and to its host; neither key may be there. The caller
    /// serialises changes of mappings.
    pub(crate) fn nat_insert(&self, nat: Owned<Nat>) -> Result {
        let host = nat.host().as_ptr().cast();
        let new = nat.into_raw();
        let raw_nat = new.as_ptr().cast();
        // SAFETY: A live payload that begins with both keys (`Nat` is `repr(C)`) and holds its
        // host. It is removed by whoever takes it out of the seen table, where it comes last; so on
        // failure nobody else removes it, and what readers may have seen is retired.
        unsafe {
            let err = raw::ihmp_nat_link(host, raw_nat);
            if err != 0 {
                drop(Owned::from_raw(new));
                return Err(Error::from_errno(err));
            }
            let mut err = (MeantNats::INSERT)(self.raw(), raw_nat);
            if err == 0 {
                err = (SeenNats::INSERT)(self.raw(), raw_nat);
                if err != 0 {
                    (MeantNats::REMOVE)(self.raw(), raw_nat);
                }
            }
            if err != 0 {
                raw::ihmp_nat_unlink(host, raw_nat);
                raw::ihmp_object_retire(raw_nat);
            }
            to_result(err)
        }
    }

    /// Takes a port mapping out everywhere. True for the one caller that did it.
    pub(crate) fn nat_remove(&self, nat: Found<'_, Nat>) -> bool {
        let old = payload(nat);
        // SAFETY: `old` is a payload that `nat` keeps; only the caller whose removal from the seen table succeeds goes on,
        // so it is unlinked and retired once.
        unsafe {
            if (SeenNats::REMOVE)(self.raw(), old) != 0 {
                return false;
            }
            (MeantNats::REMOVE)(self.raw(), old);
            raw::ihmp_nat_unlink(nat.host().as_ptr().cast(), old);
            raw::ihmp_object_retire(old);
        }
        true
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
    pub(crate) fn host<'a>(&self, id: u32, guard: &'a Guard) -> Option<Found<'a, Host>> {
        // SAFETY: Only `Host`s are linked, and they are freed a grace period after they were unlinked.
        unsafe { Found::from_raw(raw::ihmp_host_by_id(self.raw(), id).cast(), guard) }
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
    pub(crate) fn host_after<'a>(&self, id: &mut u32, guard: &'a Guard) -> Option<Found<'a, Host>> {
        // SAFETY: As for `host`.
        unsafe { Found::from_raw(raw::ihmp_host_next(self.raw(), id).cast(), guard) }
    }
}

/// The first row of a host after `index`, which becomes its index; zero to begin.
pub(crate) fn row_after<'a>(
    host: Found<'_, Host>,
    index: &mut u32,
    guard: &'a Guard,
) -> Option<Found<'a, Row>> {
    // SAFETY: A payload that `host` keeps; only `Row`s are linked, and they are freed a grace period after they were
    // unlinked.
    unsafe { Found::from_raw(raw::ihmp_row_next(payload(host), index).cast(), guard) }
}

/// The first port mapping of a host after `index`, which becomes its index; zero to begin.
pub(crate) fn nat_after<'a>(
    host: Found<'_, Host>,
    index: &mut u32,
    guard: &'a Guard,
) -> Option<Found<'a, Nat>> {
    // SAFETY: A payload that `host` keeps; only `Nat`s are linked, and they are freed a grace period after they were
    // unlinked.
    unsafe { Found::from_raw(raw::ihmp_nat_next(payload(host), index).cast(), guard) }
}
