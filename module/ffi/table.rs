// SPDX-License-Identifier: GPL-2.0

//! The tables of a namespace: what has a number there, what is found by a key, and what is linked to something else.
//!
//! Which types are in them is said in `entry`, by the traits here: whoever holds a value of such a type may put it into its
//! tables, and what is found there is one.
//!
//! C header: `shim/shim.h` (object.c)

use super::{
    net::Net,
    object::{
        Counted,
        Found,
        Owned,
        Payload,
        Shared, //
    },
    raw, //
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

/// Octets that lie where C may read them as numbers of 32 bits, as it does to hash a key.
#[repr(C, align(4))]
#[derive(Clone, Copy)]
pub(super) struct Aligned<K>(pub(super) K);

impl<K: AsRef<[u8]>> Aligned<K> {
    /// Where they begin.
    pub(super) fn as_ptr(&self) -> *const u8 {
        self.0.as_ref().as_ptr()
    }
}

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
pub(super) type Find = unsafe extern "C" fn(*mut raw::ihmp_net, *const c_void) -> *mut c_void;
/// Puts a payload into a table, or takes it out.
pub(super) type Change = unsafe extern "C" fn(*mut raw::ihmp_net, *mut c_void) -> c_int;
/// Puts a payload in the place of another one with the same key.
pub(super) type Replace =
    unsafe extern "C" fn(*mut raw::ihmp_net, *mut c_void, *mut c_void) -> c_int;
/// Puts a payload into two tables, and takes those out that have its keys.
pub(super) type Exchange = unsafe extern "C" fn(
    *mut raw::ihmp_net,
    *mut c_void,
    *mut *mut c_void,
    *mut *mut c_void,
) -> c_int;
/// Takes a payload out of two tables.
pub(super) type Remove = unsafe extern "C" fn(*mut raw::ihmp_net, *mut c_void, bool) -> c_int;
/// Links the second payload to the first one.
pub(super) type Link = unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int;
/// Unlinks the second payload from the first one.
pub(super) type Unlink = unsafe extern "C" fn(*mut c_void, *mut c_void);
/// The first payload after an index that is linked to this one.
pub(super) type Next = unsafe extern "C" fn(*mut c_void, *mut u32) -> *mut c_void;

/// A table of a namespace.
///
/// # Safety
///
/// The functions are those of one table; `Key` has the length of its keys, and a value of `Value` has its key where the table
/// looks for it. No other type says that it is in this table.
pub(crate) unsafe trait Table {
    /// What an entry is found by.
    type Key: AsRef<[u8]> + Copy;
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
///
/// # Safety
///
/// That is so, and they are linked to nothing.
pub(crate) unsafe trait Only: Table {}

/// A table in which an entry may take the place of another one with its key, for which no memory is needed.
///
/// # Safety
///
/// The function is that of the table.
pub(crate) unsafe trait Replaced: Table {
    /// Replaces; an error when the old one is not there.
    const REPLACE: Replace;
}

/// What is in two tables, and linked to an owner that it holds.
///
/// # Safety
///
/// The functions are those of these two tables, and of one kind of link. No other type says that it is linked so. What a value says of
/// itself is the same for as long as it lives.
pub(crate) unsafe trait Paired: Payload + Sized {
    /// The table in which a value is as long as it is anywhere: it comes there last, and leaves it first.
    type First: Table<Value = Self>;
    /// The other one.
    type Second: Table<Value = Self>;
    /// What a value is linked to.
    type Owner: Counted;
    /// Links a value to its owner.
    const LINK: Link;
    /// Unlinks it.
    const UNLINK: Unlink;
    /// Finds the values of an owner.
    const NEXT: Next;
    /// Takes a value, which may be apart, out of both tables; an error for all callers but the one that did it.
    const REMOVE: Remove;

    /// The owner.
    fn owner(&self) -> &Shared<Self::Owner>;

    /// Whether the value comes to the second table later, if it does.
    fn is_apart(&self) -> bool {
        false
    }
}

/// What may take the place of those that have its keys.
///
/// # Safety
///
/// The function is that of its two tables, and none of these values is ever apart.
pub(crate) unsafe trait Exchanged: Paired {
    /// Puts a value into both tables, in the place of those with its keys, which are out of both then: at most two, and different ones. An
    /// error when there is no memory; then nothing has changed.
    const EXCHANGE: Exchange;
}

/// What may come to its second table later than to the first one.
///
/// # Safety
///
/// The function is that of the second table.
pub(crate) unsafe trait Apart: Paired {
    /// Puts a value that is apart into the second table, if it is in the first one.
    const JOIN: Change;
}

/// What has a number in a namespace, by which it is found.
///
/// # Safety
///
/// No other type is.
pub(crate) unsafe trait Numbered: Counted {}

/// A value that was put into two tables, and those that had its keys there.
pub(crate) type Placed<'a, T> = (Found<'a, T>, [Option<Found<'a, T>>; 2]);

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
        let key = Aligned(*key);
        // SAFETY: The key has the table's length by the trait, and is aligned. What is in the table was put there by `insert` or `insert_pair`, so it is
        // a `Value` made by `Owned`, and is freed a grace period after it was taken out.
        unsafe {
            let found = (T::FIND)(self.raw(), key.as_ptr().cast());
            Found::from_raw(found.cast(), guard)
        }
    }

    /// Adds an entry. `Err(EEXIST)` when its key is taken.
    pub(crate) fn insert<T: Only>(&self, value: Owned<T::Value>) -> Result {
        let new = value.into_raw();
        // SAFETY: A live payload that has its key where the table looks for it, by the trait.
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

    /// Puts an entry in the place of another one with the same key, which goes a grace period later. False when that is not there any
    /// more; then neither is the new one.
    pub(crate) fn exchange<T: Only + Replaced>(
        &self,
        old: Found<'_, T::Value>,
        value: Owned<T::Value>,
    ) -> bool {
        let old = payload(old);
        let new = value.into_raw();
        // SAFETY: `old` is a payload that `Found` keeps, and only who took it out retires it. The new one is a live payload that has its
        // key where the table looks for it, by the trait; on failure it was not published.
        unsafe {
            let did = (T::REPLACE)(self.raw(), old, new.as_ptr().cast()) == 0;
            match did {
                true => raw::ihmp_object_retire(old),
                false => drop(Owned::from_raw(new)),
            }
            did
        }
    }

    /// Links a value to its owner and adds it to both tables; to the first one only if it is apart. `Err(EEXIST)` when a key is taken.
    pub(crate) fn insert_pair<'a, T: Paired>(
        &self,
        value: Owned<T>,
        guard: &'a Guard,
    ) -> Result<Found<'a, T>> {
        let (owner, both) = (value.owner().as_ptr().cast(), !value.is_apart());
        let new = value.into_raw();
        let raw_new = new.as_ptr().cast();
        // SAFETY: A live payload that has both keys where the tables look for them, by the trait, and holds its owner. It is removed by
        // whoever takes it out of the first table, where it comes last; so on failure nobody else removes it, and what readers may
        // have seen is retired.
        unsafe {
            let err = (T::LINK)(owner, raw_new);
            if err != 0 {
                drop(Owned::from_raw(new));
                return Err(Error::from_errno(err));
            }
            let mut err = 0;
            if both {
                err = (T::Second::INSERT)(self.raw(), raw_new);
            }
            if err == 0 {
                err = (T::First::INSERT)(self.raw(), raw_new);
                if err != 0 && both {
                    (T::Second::REMOVE)(self.raw(), raw_new);
                }
            }
            if err != 0 {
                (T::UNLINK)(owner, raw_new);
                raw::ihmp_object_retire(raw_new);
                return Err(Error::from_errno(err));
            }
        }
        // SAFETY: Published above; the guard keeps it whoever removes it.
        unsafe { Found::from_raw(raw_new.cast(), guard) }.ok_or(EINVAL)
    }

    /// Links a value to its owner and puts it into both tables, in the place of those that have its keys there. They are out of both tables
    /// then, and are given back. `Err` when there is no memory; then nothing has changed.
    pub(crate) fn exchange_pair<'a, T: Exchanged>(
        &self,
        value: Owned<T>,
        guard: &'a Guard,
    ) -> Result<Placed<'a, T>> {
        let owner = value.owner().as_ptr().cast();
        let new = value.into_raw();
        let raw_new = new.as_ptr().cast();
        let (mut first, mut second) = (core::ptr::null_mut(), core::ptr::null_mut());
        // SAFETY: A live payload that has both keys where the tables look for them, by the trait, and holds its owner. On failure nobody
        // can remove it, and what readers may have seen is retired. What it replaces is out of both tables by this call alone.
        unsafe {
            let err = (T::LINK)(owner, raw_new);
            if err != 0 {
                drop(Owned::from_raw(new));
                return Err(Error::from_errno(err));
            }
            let err = (T::EXCHANGE)(self.raw(), raw_new, &mut first, &mut second);
            if err != 0 {
                (T::UNLINK)(owner, raw_new);
                raw::ihmp_object_retire(raw_new);
                return Err(Error::from_errno(err));
            }
        }
        let found = |old: *mut c_void| {
            // SAFETY: It is null, or was in the tables, so it is a `T` made by `Owned`; the guard keeps it, although it is retired below.
            unsafe { Found::<T>::from_raw(old.cast(), guard) }
        };
        let old = [found(first), found(second)];
        for old in old.into_iter().flatten() {
            // SAFETY: Taken out above, so it is unlinked and retired here only.
            unsafe {
                (T::UNLINK)(old.get().owner().as_ptr().cast(), payload(old));
                raw::ihmp_object_retire(payload(old));
            }
        }
        // SAFETY: Published above; the guard keeps it whoever removes it.
        let new = unsafe { Found::from_raw(raw_new.cast(), guard) };
        Ok((new.ok_or(EINVAL)?, old))
    }

    /// Takes a value out of both tables, and from its owner. True for the one caller that did it.
    pub(crate) fn remove_pair<T: Paired>(&self, value: Found<'_, T>) -> bool {
        let old = payload(value);
        // SAFETY: `old` is a payload that `value` keeps; only the caller whose removal from the first table succeeds goes on, so it is
        // unlinked and retired once. Its place in the second one may have been given to a newer value; nobody puts it there after this.
        unsafe {
            if (T::REMOVE)(self.raw(), old, value.is_apart()) != 0 {
                return false;
            }
            (T::UNLINK)(value.owner().as_ptr().cast(), old);
            raw::ihmp_object_retire(old);
        }
        true
    }

    /// Puts a value that is apart into the second table. `Err(EEXIST)` when another one has its key there, `Err(ENOENT)` when the
    /// value is no longer in the first one.
    pub(crate) fn join_second<T: Apart>(&self, value: Found<'_, T>) -> Result {
        // SAFETY: A payload that `value` keeps.
        to_result(unsafe { (T::JOIN)(self.raw(), payload(value)) })
    }

    /// Takes a value out of the second table only: another one takes its place there.
    pub(crate) fn leave_second<T: Paired>(&self, value: Found<'_, T>) {
        // SAFETY: A payload that `value` keeps; it stays in the first table and is not freed.
        unsafe { (T::Second::REMOVE)(self.raw(), payload(value)) };
    }

    /// Sets a number aside for a value, by which nobody finds it yet.
    pub(crate) fn reserve_number(&self) -> Result<Reserved<'_>> {
        let mut number = 0;
        // SAFETY: By the invariant of `Net`.
        to_result(unsafe { raw::ihmp_host_reserve(self.raw(), &mut number) })?;
        // INVARIANT: Just reserved.
        Ok(Reserved { net: self, number })
    }

    /// The value with a number.
    pub(crate) fn numbered<'a, T: Numbered>(
        &self,
        number: u32,
        guard: &'a Guard,
    ) -> Option<Found<'a, T>> {
        // SAFETY: Only values of `T` have numbers, by the trait, and they are freed a grace period after they have lost them.
        unsafe { Found::from_raw(raw::ihmp_host_by_id(self.raw(), number).cast(), guard) }
    }

    /// Takes a number back. True for the one caller that did it.
    pub(crate) fn unnumber(&self, number: u32) -> bool {
        // SAFETY: The function has no requirements.
        let payload = unsafe { raw::ihmp_host_unlink(self.raw(), number) };
        let Some(payload) = NonNull::new(payload) else {
            return false;
        };
        // SAFETY: This is the count that `number` gave to the table.
        unsafe { raw::ihmp_object_put(payload.as_ptr()) };
        true
    }

    /// The first value with a number after this one, which becomes its number; zero to begin.
    pub(crate) fn numbered_after<'a, T: Numbered>(
        &self,
        number: &mut u32,
        guard: &'a Guard,
    ) -> Option<Found<'a, T>> {
        // SAFETY: As for `numbered`.
        unsafe { Found::from_raw(raw::ihmp_host_next(self.raw(), number).cast(), guard) }
    }
}

/// A number that is set aside for a value. It is given back when it is dropped.
///
/// # Invariants
///
/// The number is reserved in the namespace, and by nobody else.
pub(crate) struct Reserved<'a> {
    net: &'a Net,
    number: u32,
}

impl Reserved<'_> {
    /// The number.
    pub(crate) fn get(&self) -> u32 {
        self.number
    }

    /// Gives it to a value, which is found by it from now on.
    pub(crate) fn give<T: Numbered>(self, value: &Shared<T>) {
        let value = value.clone();
        // SAFETY: The number is reserved, and the table takes over the count of `value`.
        unsafe { raw::ihmp_host_link(self.net.raw(), value.as_ptr().cast(), self.number) };
        core::mem::forget(value);
        core::mem::forget(self);
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        // SAFETY: By the invariant there is no value under the number.
        unsafe { raw::ihmp_host_unlink(self.net.raw(), self.number) };
    }
}

/// The first value of an owner after `index`, which becomes its index; zero to begin.
pub(crate) fn linked_after<'a, T: Paired>(
    owner: Found<'_, T::Owner>,
    index: &mut u32,
    guard: &'a Guard,
) -> Option<Found<'a, T>> {
    // SAFETY: A payload that `owner` keeps; only values of `T` are linked so, by the trait, and they are freed a grace period after they
    // were unlinked.
    unsafe { Found::from_raw((T::NEXT)(payload(owner), index).cast(), guard) }
}
