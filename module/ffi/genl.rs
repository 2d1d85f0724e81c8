// SPDX-License-Identifier: GPL-2.0

//! Requests, replies, dumps and events of the family.
//!
//! A half-built message is a value of its own: dropping it cancels it, sending it consumes it.
//!
//! C header: `shim/shim.h` (genl.c), include/net/genetlink.h

use super::{
    net::Net,
    raw, //
};
use core::{
    fmt::Write,
    marker::PhantomData,
    ptr::NonNull, //
};
use ihmp_core::addr::Addr;
use kernel::{
    error::to_result,
    prelude::*, //
};

/// An attribute of a request; its length was checked against the policy.
///
/// # Invariants
///
/// The pointer is valid for `'a`.
#[derive(Clone, Copy)]
pub(crate) struct Attr<'a>(NonNull<raw::nlattr>, PhantomData<&'a ()>);

impl<'a> Attr<'a> {
    /// # Safety
    ///
    /// `attr` is null or valid for `'a`.
    unsafe fn from_raw(attr: *const raw::nlattr) -> Option<Self> {
        // INVARIANT: By the requirement.
        NonNull::new(attr.cast_mut()).map(|attr| Self(attr, PhantomData))
    }

    /// The payload.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        // SAFETY: By the invariant; the payload has the length that the attribute says.
        unsafe {
            core::slice::from_raw_parts(
                raw::ihmp_attr_data(self.0.as_ptr()),
                raw::ihmp_attr_len(self.0.as_ptr()) as usize,
            )
        }
    }

    /// The number in an attribute of 1, 2, 4 or 8 octets.
    pub(crate) fn uint(&self) -> u64 {
        // SAFETY: By the invariant; the policy lets only such lengths through.
        unsafe { raw::ihmp_attr_uint(self.0.as_ptr()) }
    }

    /// The number in an attribute of at most 4 octets.
    pub(crate) fn u32(&self) -> u32 {
        self.uint() as u32
    }

    /// An attribute inside this nest.
    pub(crate) fn nested(&self, kind: u16) -> Option<Attr<'a>> {
        // SAFETY: By the invariant; the policy checked the nest.
        unsafe { Attr::from_raw(raw::ihmp_nest_attr(self.0.as_ptr(), kind.into())) }
    }
}

/// The request of a command.
///
/// # Invariants
///
/// The pointer is valid for `'a`.
pub(crate) struct Request<'a>(NonNull<raw::genl_info>, PhantomData<&'a ()>);

/// Text of an error, cut where netlink cuts it.
struct Text {
    octets: [u8; 80],
    len: usize,
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for (to, from) in self.octets[self.len..].iter_mut().zip(text.bytes()) {
            *to = from;
            self.len += 1;
        }
        Ok(())
    }
}

impl<'a> Request<'a> {
    /// # Safety
    ///
    /// The pointer is what the family's handler got, and `'a` ends with it.
    pub(super) unsafe fn from_raw(info: NonNull<raw::genl_info>) -> Self {
        // INVARIANT: By the requirement.
        Self(info, PhantomData)
    }

    /// An attribute.
    pub(crate) fn attr(&self, kind: u16) -> Option<Attr<'a>> {
        // SAFETY: By the invariant; `kind` is an attribute of the command's set.
        unsafe { Attr::from_raw(raw::ihmp_info_attr(self.0.as_ptr(), kind.into())) }
    }

    /// All attributes of a kind, in order.
    pub(crate) fn attrs(&self, kind: u16) -> impl Iterator<Item = Attr<'a>> + '_ {
        let mut last: *const raw::nlattr = core::ptr::null();
        core::iter::from_fn(move || {
            // SAFETY: By the invariant; `last` is null or an attribute of this message.
            let next = unsafe { raw::ihmp_info_next(self.0.as_ptr(), last, kind.into()) };
            last = next;
            // SAFETY: Null or an attribute of this message.
            unsafe { Attr::from_raw(next) }
        })
        .fuse()
    }

    /// An attribute that must be there.
    pub(crate) fn need(&self, kind: u16) -> Result<Attr<'a>> {
        self.attr(kind).ok_or_else(|| {
            // SAFETY: By the invariant.
            unsafe { raw::ihmp_info_missing(self.0.as_ptr(), kind.into()) };
            self.refuse(None, EINVAL, format_args!("an attribute is missing"))
        })
    }

    /// Says why the request is refused, and points at the attribute.
    pub(crate) fn refuse(
        &self,
        attr: Option<Attr<'_>>,
        error: Error,
        why: core::fmt::Arguments<'_>,
    ) -> Error {
        let mut text = Text {
            octets: [0; 80],
            len: 0,
        };
        // Cannot fail: what does not fit is cut.
        let _ = text.write_fmt(why);
        let attr = attr.map_or(core::ptr::null(), |attr| attr.0.as_ptr().cast_const());
        // SAFETY: By the invariant; C copies the text.
        unsafe {
            raw::ihmp_info_error(self.0.as_ptr(), attr, text.octets.as_ptr(), text.len as u64)
        };
        error
    }

    /// Begins the reply.
    pub(crate) fn reply(&self) -> Result<Reply<'_>> {
        let mut header = core::ptr::null_mut();
        // SAFETY: By the invariant.
        let msg = unsafe { raw::ihmp_reply_new(self.0.as_ptr(), &mut header) };
        let msg = NonNull::new(msg).ok_or_else(|| {
            self.refuse(
                None,
                ENOMEM,
                format_args!("there is no memory for the answer"),
            )
        })?;
        Ok(Reply {
            message: Message { msg, header },
            info: self.0,
            of: PhantomData,
        })
    }
}

/// A message that is being built.
///
/// # Invariants
///
/// The pointer is valid; `header` is null or lies in the message.
pub(crate) struct Message {
    msg: NonNull<raw::sk_buff>,
    header: *mut kernel::ffi::c_void,
}

impl Message {
    fn put(&mut self, kind: u16, data: &[u8]) -> Result {
        // SAFETY: By the invariant; the data has the length.
        to_result(unsafe {
            raw::ihmp_put(
                self.msg.as_ptr(),
                kind.into(),
                data.as_ptr().cast(),
                data.len() as u32,
            )
        })
    }

    /// Adds an 8-bit number.
    pub(crate) fn u8(&mut self, kind: u16, value: u8) -> Result {
        self.put(kind, &[value])
    }

    /// Adds a 16-bit number.
    pub(crate) fn u16(&mut self, kind: u16, value: u16) -> Result {
        self.put(kind, &value.to_ne_bytes())
    }

    /// Adds a 32-bit number.
    pub(crate) fn u32(&mut self, kind: u16, value: u32) -> Result {
        self.put(kind, &value.to_ne_bytes())
    }

    /// Adds a number of 4 or 8 octets.
    pub(crate) fn uint(&mut self, kind: u16, value: u64) -> Result {
        // SAFETY: By the invariant.
        to_result(unsafe { raw::ihmp_put_uint(self.msg.as_ptr(), kind.into(), value) })
    }

    /// Adds a flag if it is set.
    pub(crate) fn flag(&mut self, kind: u16, set: bool) -> Result {
        if set {
            self.put(kind, &[])
        } else {
            Ok(())
        }
    }

    /// Adds an address of 4 or 16 octets.
    pub(crate) fn addr(&mut self, kind: u16, addr: Addr) -> Result {
        self.put(kind, addr.wire())
    }

    /// Adds a string with its final zero.
    pub(crate) fn string(&mut self, kind: u16, text: &[u8]) -> Result {
        let mut octets = [0; 80];
        let len = text.len().min(octets.len() - 1);
        octets[..len].copy_from_slice(&text[..len]);
        self.put(kind, &octets[..=len])
    }

    /// Adds what `fill` adds as a nest.
    pub(crate) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self) -> Result) -> Result {
        // SAFETY: By the invariant.
        let nest = unsafe { raw::ihmp_nest_start(self.msg.as_ptr(), kind.into()) };
        let nest = NonNull::new(nest).ok_or(EMSGSIZE)?;
        fill(self)?;
        // SAFETY: The nest was begun in this message and everything since is inside it.
        unsafe { raw::ihmp_nest_end(self.msg.as_ptr(), nest.as_ptr()) };
        Ok(())
    }
}

/// The reply to a request.
pub(crate) struct Reply<'a> {
    message: Message,
    info: NonNull<raw::genl_info>,
    of: PhantomData<&'a ()>,
}

impl Reply<'_> {
    /// Fills the message and sends it.
    pub(crate) fn send(self, fill: impl FnOnce(&mut Message) -> Result) -> Result {
        let mut this = core::mem::ManuallyDrop::new(self);
        let filled = fill(&mut this.message);
        let msg = this.message.msg.as_ptr();
        // SAFETY: The message is finished and given away, or freed; it is not used again.
        unsafe {
            if let Err(error) = filled {
                raw::ihmp_msg_free(msg);
                return Err(error);
            }
            raw::ihmp_msg_end(msg, this.message.header);
            to_result(raw::ihmp_reply_send(msg, this.info.as_ptr()))
        }
    }
}

impl Drop for Reply<'_> {
    fn drop(&mut self) {
        // SAFETY: The message is ours and was not sent.
        unsafe { raw::ihmp_msg_free(self.message.msg.as_ptr()) }
    }
}

/// Events that listeners get in one piece.
///
/// # Invariants
///
/// The pointer is valid.
pub(crate) struct Events(NonNull<raw::sk_buff>);

impl Events {
    /// Adds an event; one that does not fit is left out.
    pub(crate) fn add(&mut self, command: u8, fill: impl FnOnce(&mut Message) -> Result) {
        // SAFETY: By the invariant.
        let header = unsafe { raw::ihmp_event_put(self.0.as_ptr(), command.into()) };
        if header.is_null() {
            return;
        }
        // INVARIANT: The header was just put there.
        let mut message = Message {
            msg: self.0,
            header,
        };
        let filled = fill(&mut message);
        // SAFETY: The event was begun in this message and is ended or taken back.
        unsafe {
            match filled {
                Ok(()) => raw::ihmp_msg_end(self.0.as_ptr(), header),
                Err(_) => raw::ihmp_msg_cancel(self.0.as_ptr(), header),
            }
        }
    }
}

/// Sends events to all listeners of the namespace, if there are any; from any context. There are `count`
/// of them at most, and their attributes take `room` octets at most.
pub(crate) fn events(net: &Net, count: u32, room: usize, fill: impl FnOnce(&mut Events)) {
    if !net.events_wanted() {
        return;
    }
    // SAFETY: The function has no requirements.
    let msg = unsafe { raw::ihmp_events_new(count, room as u32) };
    let Some(msg) = NonNull::new(msg) else {
        return;
    };
    // INVARIANT: Just made.
    let mut events = Events(msg);
    fill(&mut events);
    // SAFETY: The message is finished and given away, or freed; it is not used again.
    unsafe {
        match raw::ihmp_skb_len(msg.as_ptr()) {
            0 => raw::ihmp_msg_free(msg.as_ptr()),
            _ => raw::ihmp_events_send(net.raw(), msg.as_ptr()),
        }
    }
}

/// Sends one event, as [`events`].
pub(crate) fn event(
    net: &Net,
    command: u8,
    room: usize,
    fill: impl FnOnce(&mut Message) -> Result,
) {
    events(net, 1, room, |events| events.add(command, fill));
}

/// A dump that goes on from where the last message ended.
///
/// # Invariants
///
/// Both pointers are what the dump handler got, valid for `'a`.
pub(crate) struct Dump<'a> {
    msg: NonNull<raw::sk_buff>,
    cb: NonNull<raw::netlink_callback>,
    empty: bool,
    of: PhantomData<&'a ()>,
}

impl<'a> Dump<'a> {
    /// # Safety
    ///
    /// The pointers are what the family's dump handler got, and `'a` ends with it.
    pub(super) unsafe fn from_raw(
        msg: NonNull<raw::sk_buff>,
        cb: NonNull<raw::netlink_callback>,
    ) -> Self {
        // INVARIANT: By the requirement.
        Self {
            msg,
            cb,
            empty: true,
            of: PhantomData,
        }
    }

    /// An attribute of the request.
    pub(crate) fn attr(&self, kind: u16) -> Option<Attr<'a>> {
        // SAFETY: By the invariant; `kind` is an attribute of the command's set.
        unsafe { Attr::from_raw(raw::ihmp_cb_attr(self.cb.as_ptr(), kind.into())) }
    }

    /// Two numbers that last from message to message; zero at first.
    pub(crate) fn position(&mut self) -> &mut [u64; 2] {
        // SAFETY: By the invariant; the context of a dump has room for both, and is aligned.
        unsafe { &mut *raw::ihmp_cb_position(self.cb.as_ptr()).cast::<[u64; 2]>() }
    }

    /// Adds one object. `Ok(false)` when the message is full and the dump is to be continued
    /// with this object.
    pub(crate) fn object(
        &mut self,
        command: u8,
        fill: impl FnOnce(&mut Message) -> Result,
    ) -> Result<bool> {
        // SAFETY: By the invariant.
        let header =
            unsafe { raw::ihmp_dump_put(self.msg.as_ptr(), self.cb.as_ptr(), command.into()) };
        let full = if header.is_null() {
            true
        } else {
            let mut message = Message {
                msg: self.msg,
                header,
            };
            let full = fill(&mut message).is_err();
            // SAFETY: The object was begun in this message and is ended or taken back.
            unsafe {
                if full {
                    raw::ihmp_msg_cancel(self.msg.as_ptr(), header)
                } else {
                    raw::ihmp_msg_end(self.msg.as_ptr(), header)
                }
            };
            full
        };
        if full && self.empty {
            return Err(EMSGSIZE);
        }
        self.empty = false;
        Ok(!full)
    }

    /// What the handler returns: the length of the message so far.
    pub(super) fn finish(self) -> i32 {
        // SAFETY: By the invariant.
        unsafe { raw::ihmp_skb_len(self.msg.as_ptr()) as i32 }
    }
}
