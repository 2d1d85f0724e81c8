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
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    prelude::*,
    sync::rcu::Guard, //
};

/// A type that may live under RCU.
///
/// # Safety
///
/// `KIND` is the number for which `entry::ihmp_rs_drop` drops a value of this very type.
pub(super) unsafe trait PayloadKind {
    /// The number of the type in `enum ihmp_kind`.
    const KIND: u32;
}

/// A type that may live under RCU; the fence decides which do.
#[expect(private_bounds, reason = "only the fence may say that a type is one")]
pub(crate) trait Payload: PayloadKind + Send + Sync {}

impl<T: PayloadKind + Send + Sync> Payload for T {}

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
pub(crate) struct Owned<T: Payload>(NonNull<T>);

// SAFETY: `T` is `Send`, and the pointer is the only one to the value.
unsafe impl<T: Payload> Send for Owned<T> {}

impl<T: Payload> Owned<T> {
    /// Makes a value in memory of its own, in place; `atomic` when the caller may not sleep.
    pub(crate) fn new(value: impl Init<T>, atomic: bool) -> Result<Self> {
        // SAFETY: The function has no requirements.
        let memory = unsafe { raw::ihmp_object_alloc(T::KIND, size_of::<T>() as u64, atomic) };
        let payload = NonNull::new(memory.cast::<T>()).ok_or(ENOMEM)?;
        const { assert!(align_of::<T>() <= 8) };
        // SAFETY: The memory has the size of `T` and is aligned to 8; the error cannot be.
        let Ok(()) = unsafe { value.__init(payload.as_ptr()) };
        // INVARIANT: Just initialised, and nobody else knows it.
        Ok(Self(payload))
    }

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

    /// Lets others share the value.
    pub(crate) fn share(self) -> Shared<T> {
        // INVARIANT: The header's count is one, it passes to the new value.
        Shared(self.into_raw())
    }
}

impl<T: Payload> Deref for Owned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: By the invariant the value is initialised.
        unsafe { self.0.as_ref() }
    }
}

impl<T: Payload> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: By the invariant this is the only pointer; nothing is used afterwards.
        unsafe {
            self.0.drop_in_place();
            raw::ihmp_object_free(self.0.as_ptr().cast());
        }
    }
}

/// A counted reference to a value; the value goes a grace period after the last one.
///
/// # Invariants
///
/// Owns one count in the header.
pub(crate) struct Shared<T: Payload>(NonNull<T>);

// SAFETY: `T` is `Send` and `Sync`, and the count is atomic.
unsafe impl<T: Payload> Send for Shared<T> {}
// SAFETY: As above.
unsafe impl<T: Payload> Sync for Shared<T> {}

impl<T: Payload> Shared<T> {
    /// One more reference to a value that was found under RCU; none when it is going.
    pub(crate) fn try_from_ref(value: &T, _: &Guard) -> Option<Self> {
        let payload = NonNull::from(value);
        // SAFETY: Values of this type are only made by `Owned`, so there is a header, and the
        // guard keeps it.
        if unsafe { raw::ihmp_object_get(payload.as_ptr().cast()) } {
            // INVARIANT: One count was just taken.
            Some(Self(payload))
        } else {
            None
        }
    }

    /// The value; it stays for a grace period even when this reference goes.
    pub(crate) fn under<'a>(&self, _: &'a Guard) -> &'a T {
        // SAFETY: The value is freed a grace period after the last reference, and the guard is held
        // now, while `self` has one.
        unsafe { &*self.0.as_ptr() }
    }

    pub(super) fn as_ptr(&self) -> *mut T {
        self.0.as_ptr()
    }
}

impl<T: Payload> Clone for Shared<T> {
    fn clone(&self) -> Self {
        // SAFETY: `self` holds a count, so the object is alive and the count cannot be zero.
        unsafe { raw::ihmp_object_get(self.0.as_ptr().cast()) };
        // INVARIANT: One count was just taken.
        Self(self.0)
    }
}

impl<T: Payload> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: The count keeps the value.
        unsafe { self.0.as_ref() }
    }
}

impl<T: Payload> Drop for Shared<T> {
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
pub(crate) struct Slot<T: Payload> {
    value: UnsafeCell<*mut kernel::ffi::c_void>,
    owns: PhantomData<T>,
}

// SAFETY: Readers hold RCU, writers exchange the pointer atomically, and `T` is `Send + Sync`.
unsafe impl<T: Payload> Send for Slot<T> {}
// SAFETY: As above.
unsafe impl<T: Payload> Sync for Slot<T> {}

impl<T: Payload> Slot<T> {
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
        // SAFETY: By the invariant the pointer is valid for as long as the guard; it is never
        // null before `drop`.
        unsafe { &*raw::ihmp_deref(self.value.get()).cast::<T>() }
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

impl<T: Payload> Drop for Slot<T> {
    fn drop(&mut self) {
        // SAFETY: As in `replace`; the slot itself is unreachable now.
        unsafe { raw::ihmp_object_retire(*self.value.get()) }
    }
}
