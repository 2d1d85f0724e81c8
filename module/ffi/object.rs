// SPDX-License-Identifier: GPL-2.0

//! Values that readers find under RCU.
//!
//! A value lives behind a C header in one allocation. It is built ([`Owned`]), then published in a
//! [`Slot`] or a table, and freed a grace period after it was taken out again.
//!
//! C header: `shim/shim.h` (object.c)

use super::raw;
use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    ops::{
        Deref,
        DerefMut, //
    },
    ptr::NonNull, //
};
use kernel::{
    ffi::c_void,
    prelude::*,
    sync::rcu::Guard, //
};

/// A type that may live under RCU.
///
/// # Safety
///
/// `KIND` is the number for which `entry::ihmp_rs_drop` drops a value of this very type, and `at` gives the
/// pointer to the whole of it.
pub(super) unsafe trait PayloadKind {
    /// The number of the type in `enum ihmp_kind`.
    const KIND: u32;

    /// The pointer to the value that begins here.
    ///
    /// # Safety
    ///
    /// `payload` is where an initialised value of the type begins.
    unsafe fn at(payload: *mut c_void) -> *mut Self;
}

/// A type that may live under RCU; the fence decides which do.
#[expect(private_bounds, reason = "only the fence may say that a type is one")]
pub(crate) trait Payload: PayloadKind + Send + Sync {}

impl<T: PayloadKind + Send + Sync + ?Sized> Payload for T {}

/// A type whose values live as long as somebody counts them. What is in a table or a slot otherwise goes with that, whoever counts it.
///
/// # Safety
///
/// A value is retired only when the last count goes.
pub(crate) unsafe trait Counted: Payload + Sized {}

/// A value with as many items behind it as it needs, in one allocation.
///
/// # Invariants
///
/// `len` is how many items there are.
#[repr(C)]
pub(crate) struct Trail<H, T: ?Sized> {
    len: usize,
    head: H,
    items: T,
}

impl<H, I> Trail<H, [I]> {
    /// The items.
    #[inline]
    pub(crate) fn items(&self) -> &[I] {
        &self.items
    }

    /// Octets of a value with so many items; `None` when there are too many.
    fn size(len: usize) -> Option<usize> {
        let items = len.checked_mul(size_of::<I>())?;
        let end = core::mem::offset_of!(Trail<H, [I; 0]>, items).checked_add(items)?;
        end.checked_next_multiple_of(align_of::<Trail<H, [I; 0]>>())
    }

    /// The pointer to a value with so many items, of which the first octet is here.
    fn with_len(payload: *mut c_void, len: usize) -> *mut Self {
        core::ptr::slice_from_raw_parts_mut(payload.cast::<()>(), len) as *mut Self
    }

    /// The pointer to the value that begins here.
    ///
    /// # Safety
    ///
    /// `payload` is where an initialised value of the type begins.
    pub(super) unsafe fn whole(payload: *mut c_void) -> *mut Self {
        // SAFETY: By the requirement; the value begins with its length (`repr(C)`).
        let len = unsafe { *payload.cast::<usize>() };
        Self::with_len(payload, len)
    }
}

impl<H, I> Deref for Trail<H, [I]> {
    type Target = H;

    #[inline]
    fn deref(&self) -> &H {
        &self.head
    }
}

impl<H, I> DerefMut for Trail<H, [I]> {
    fn deref_mut(&mut self) -> &mut H {
        &mut self.head
    }
}

/// Initialises with a copy of `from`, which may be too big for the stack.
pub(crate) fn copy_of<T: Copy>(from: &T) -> impl Init<T> + '_ {
    // SAFETY: The slot has the size of `T` and is initialised completely, and nothing is dropped
    // or pinned by a copy.
    unsafe {
        pin_init::init_from_closure(move |slot: *mut T| {
            core::ptr::copy_nonoverlapping(from, slot, 1);
            Ok(())
        })
    }
}

/// A value that nobody else can see yet.
///
/// # Invariants
///
/// The pointer is to an initialised value made by `ihmp_object_alloc`, and is the only one.
pub(crate) struct Owned<T: Payload + ?Sized>(NonNull<T>);

// SAFETY: `T` is `Send`, and the pointer is the only one to the value.
unsafe impl<T: Payload + ?Sized> Send for Owned<T> {}

/// How memory is asked for; `atomic` when the caller may not sleep.
fn memory_for(atomic: bool) -> u32 {
    match atomic {
        true => raw::ihmp_memory_IHMP_MEMORY_PACKET,
        false => raw::ihmp_memory_IHMP_MEMORY_COMMAND,
    }
}

/// Memory for a value that is not there yet.
///
/// # Invariants
///
/// The pointer is to memory made by `ihmp_object_alloc` for a `T`, and is the only one.
pub(crate) struct Room<T: Payload>(NonNull<T>);

impl<T: Payload> Room<T> {
    /// `atomic` when the caller may not sleep. That may go beyond the limit of the memory cgroup to which it is charged.
    pub(crate) fn new(atomic: bool) -> Result<Self> {
        Self::alloc(memory_for(atomic))
    }

    /// For a caller that may not sleep: fails at the limit of the cgroup.
    pub(crate) fn within_limit() -> Result<Self> {
        Self::alloc(raw::ihmp_memory_IHMP_MEMORY_WITHIN)
    }

    fn alloc(memory: u32) -> Result<Self> {
        // SAFETY: The function has no requirements.
        let room = unsafe { raw::ihmp_object_alloc(T::KIND, size_of::<T>() as u64, memory) };
        // INVARIANT: Just made.
        NonNull::new(room.cast::<T>()).map(Self).ok_or(ENOMEM)
    }

    /// Makes the value, in place.
    pub(crate) fn fill(self, value: impl Init<T>) -> Owned<T> {
        const { assert!(align_of::<T>() <= 8) };
        let payload = self.0;
        core::mem::forget(self);
        // SAFETY: By the invariant the memory has the size of `T`; it is aligned to 8. The error cannot be.
        let Ok(()) = unsafe { value.__init(payload.as_ptr()) };
        // INVARIANT: Just initialised, and nobody else knows it.
        Owned(payload)
    }
}

impl<T: Payload> Drop for Room<T> {
    fn drop(&mut self) {
        // SAFETY: By the invariant this is the only pointer, and nothing has to be dropped.
        unsafe { raw::ihmp_object_free(self.0.as_ptr().cast()) }
    }
}

impl<T: Payload> Owned<T> {
    /// Makes a value in memory of its own, in place; `atomic` when the caller may not sleep.
    pub(crate) fn new(value: impl Init<T>, atomic: bool) -> Result<Self> {
        Ok(Room::new(atomic)?.fill(value))
    }
}

impl<H, I: Copy> Owned<Trail<H, [I]>>
where
    Trail<H, [I]>: Payload,
{
    /// Makes a value with the items of all lists behind it, one list after the other; `atomic` when the
    /// caller may not sleep.
    pub(crate) fn with_items(head: H, lists: &[&[I]], atomic: bool) -> Result<Self> {
        type Whole<H, I> = Trail<H, [I]>;
        const { assert!(align_of::<Trail<H, [I; 0]>>() <= 8) };
        let len = lists.iter().map(|list| list.len()).sum();
        let size = Whole::<H, I>::size(len).ok_or(EINVAL)?;
        // SAFETY: The function has no requirements.
        let memory =
            unsafe { raw::ihmp_object_alloc(Whole::<H, I>::KIND, size as u64, memory_for(atomic)) };
        let memory = NonNull::new(memory).ok_or(ENOMEM)?;
        let payload = Whole::<H, I>::with_len(memory.as_ptr(), len);
        // SAFETY: The memory has room for a value with so many items, and is aligned to 8; each of its
        // fields is written once, the items list by list.
        unsafe {
            (&raw mut (*payload).len).write(len);
            (&raw mut (*payload).head).write(head);
            let mut to = (&raw mut (*payload).items).cast::<I>();
            for list in lists {
                core::ptr::copy_nonoverlapping(list.as_ptr(), to, list.len());
                to = to.add(list.len());
            }
        }
        // INVARIANT: Just initialised, `len` items with it, and nobody else knows it.
        NonNull::new(payload).map(Self).ok_or(ENOMEM)
    }
}

impl<T: Payload + ?Sized> Owned<T> {
    /// The value, to be changed before it is published.
    pub(crate) fn edit(&mut self) -> &mut T {
        // SAFETY: By the invariant this is the only pointer.
        unsafe { self.0.as_mut() }
    }

    /// Gives the value up to whoever is told the pointer.
    pub(super) fn into_raw(self) -> NonNull<T> {
        let payload = self.0;
        core::mem::forget(self);
        payload
    }

    /// Takes the value back.
    ///
    /// # Safety
    ///
    /// The pointer came from `into_raw` and nobody else uses it any more.
    pub(super) unsafe fn from_raw(payload: NonNull<T>) -> Self {
        // INVARIANT: By the requirement of the function.
        Self(payload)
    }
}

impl<T: Counted> Owned<T> {
    /// Lets others share the value.
    pub(crate) fn share(self) -> Shared<T> {
        // INVARIANT: The header's count is one, it passes to the new value.
        Shared(self.into_raw())
    }
}

impl<T: Payload + ?Sized> Deref for Owned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: By the invariant the value is initialised.
        unsafe { self.0.as_ref() }
    }
}

impl<T: Payload + ?Sized> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: By the invariant this is the only pointer; nothing is used afterwards.
        unsafe {
            self.0.drop_in_place();
            raw::ihmp_object_free(self.0.as_ptr().cast());
        }
    }
}

/// A value that was found under RCU.
///
/// # Invariants
///
/// The value was made by [`Owned`], so there is a header in front of it, and it is not freed during `'a`.
pub(crate) struct Found<'a, T: Payload>(&'a T);

impl<'a, T: Payload> Found<'a, T> {
    /// What a table gave out.
    ///
    /// # Safety
    ///
    /// `payload` is null, or a value made by [`Owned`] that is freed a grace period after it could last be found.
    #[inline]
    pub(super) unsafe fn from_raw(payload: *mut T, _: &'a Guard) -> Option<Self> {
        // SAFETY: By the requirement, and the guard.
        // INVARIANT: Likewise.
        unsafe { payload.as_ref() }.map(Self)
    }

    /// The value.
    #[inline]
    pub(crate) fn get(self) -> &'a T {
        self.0
    }

    /// Whether both are the same value.
    pub(crate) fn is(self, other: Found<'_, T>) -> bool {
        core::ptr::eq(self.0, other.0)
    }

    /// One more reference to the value; none when it is going.
    pub(crate) fn share(self) -> Option<Shared<T>>
    where
        T: Counted,
    {
        let payload = NonNull::from(self.0);
        // SAFETY: By the invariant there is a header, and it is not freed now.
        if unsafe { raw::ihmp_object_get(payload.as_ptr().cast()) } {
            // INVARIANT: One count was just taken.
            Some(Shared(payload))
        } else {
            None
        }
    }

    pub(super) fn as_ptr(self) -> *mut T {
        core::ptr::from_ref(self.0).cast_mut()
    }
}

impl<T: Payload> Clone for Found<'_, T> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Payload> Copy for Found<'_, T> {}

impl<T: Payload> Deref for Found<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.0
    }
}

/// A counted reference to a value; the value goes a grace period after the last one.
///
/// # Invariants
///
/// Owns one count in the header.
pub(crate) struct Shared<T: Counted>(NonNull<T>);

// SAFETY: `T` is `Send` and `Sync`, and the count is atomic.
unsafe impl<T: Counted> Send for Shared<T> {}
// SAFETY: As above.
unsafe impl<T: Counted> Sync for Shared<T> {}

impl<T: Counted> Shared<T> {
    /// The value; it stays for a grace period even when this reference goes.
    #[inline]
    pub(crate) fn under<'a>(&self, _: &'a Guard) -> Found<'a, T> {
        // SAFETY: The value is freed a grace period after the last reference, and the guard is held
        // now, while `self` has one.
        // INVARIANT: Likewise; `Shared` is made of `Owned`.
        Found(unsafe { &*self.0.as_ptr() })
    }

    /// The value, for as long as this reference is borrowed.
    #[inline]
    pub(crate) fn found(&self) -> Found<'_, T> {
        // SAFETY: The count keeps the value.
        // INVARIANT: Likewise; `Shared` is made of `Owned`.
        Found(unsafe { self.0.as_ref() })
    }

    pub(super) fn as_ptr(&self) -> *mut T {
        self.0.as_ptr()
    }
}

impl<T: Counted> Clone for Shared<T> {
    fn clone(&self) -> Self {
        // SAFETY: `self` holds a count, so the object is alive and the count cannot be zero.
        unsafe { raw::ihmp_object_get(self.0.as_ptr().cast()) };
        // INVARIANT: One count was just taken.
        Self(self.0)
    }
}

impl<T: Counted> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: The count keeps the value.
        unsafe { self.0.as_ref() }
    }
}

impl<T: Counted> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: The count is given back, and not used again.
        unsafe { raw::ihmp_object_put(self.0.as_ptr().cast()) }
    }
}

/// A place for one value that is replaced as a whole.
///
/// # Invariants
///
/// The pointer is null, or to a value made by [`Owned`] that is freed only a grace period after it
/// was taken out.
pub(crate) struct Slot<T: Payload + ?Sized> {
    value: UnsafeCell<*mut c_void>,
    owns: PhantomData<NonNull<T>>,
}

// SAFETY: Readers hold RCU, writers exchange the pointer atomically, and `T` is `Send + Sync`.
unsafe impl<T: Payload + ?Sized> Send for Slot<T> {}
// SAFETY: As above.
unsafe impl<T: Payload + ?Sized> Sync for Slot<T> {}

impl<T: Payload + ?Sized> Slot<T> {
    /// A slot with a value in it.
    pub(crate) fn new(value: Owned<T>) -> Self {
        // INVARIANT: The pointer comes from `Owned`.
        Self {
            value: UnsafeCell::new(value.into_raw().as_ptr().cast()),
            owns: PhantomData,
        }
    }

    /// The value of the moment.
    #[inline]
    pub(crate) fn read<'a>(&self, _: &'a Guard) -> &'a T {
        // SAFETY: By the invariant a value begins where the pointer leads, valid for as long as the guard;
        // it is never null before `drop`.
        unsafe { &*T::at(raw::ihmp_deref(self.value.get())) }
    }

    /// Puts another value in; readers of the old one keep it until they are done.
    pub(crate) fn replace(&self, value: Owned<T>) {
        // SAFETY: The slot's pointer is exchanged atomically; the old value is no longer
        // reachable from here and came from `Owned`.
        unsafe {
            let old = raw::ihmp_publish(self.value.get(), value.into_raw().as_ptr().cast());
            raw::ihmp_object_retire(old);
        }
    }
}

impl<T: Payload + ?Sized> Drop for Slot<T> {
    fn drop(&mut self) {
        // SAFETY: As in `replace`; the slot itself is unreachable now.
        unsafe { raw::ihmp_object_retire(*self.value.get()) }
    }
}
