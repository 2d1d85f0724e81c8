// SPDX-License-Identifier: GPL-2.0

//! One packet in a hook.
//!
//! Views of the headers borrow the packet, so that a view does not survive what may move them.
//!
//! C header: `shim/shim.h` (skb.c), include/linux/skbuff.h

use super::{
    raw,
    sock::Sock, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use ihmp_core::{
    crc,
    xlat::Fix, //
};

/// A packet whose data begins with the network header.
///
/// # Invariants
///
/// The pointer is valid and the hook owns the packet for `'a`. The hook's socket is null, or a socket of any kind that is
/// valid for `'a`. `wait` is null if the packet may not wait, or else the state of its hook, valid for `'a`.
pub(crate) struct Skb<'a> {
    skb: NonNull<raw::sk_buff>,
    sock: *mut raw::sock,
    wait: *const raw::nf_hook_state,
    of: PhantomData<&'a mut ()>,
}

impl<'a> Skb<'a> {
    /// # Safety
    ///
    /// The caller is a netfilter hook and gives the packet for `'a`; RCU is held. `sock` is null or the hook's socket, `wait` null or
    /// the hook's state.
    pub(super) unsafe fn from_raw(
        skb: NonNull<raw::sk_buff>,
        sock: *mut raw::sock,
        wait: *const raw::nf_hook_state,
    ) -> Self {
        // INVARIANT: By the requirement.
        Self {
            skb,
            sock,
            wait,
            of: PhantomData,
        }
    }

    pub(super) fn raw(&self) -> *mut raw::sk_buff {
        self.skb.as_ptr()
    }

    pub(super) fn hook_sock(&self) -> *mut raw::sock {
        self.sock
    }

    /// The state of the hook, from which a packet goes on that had to wait; null if it may not wait.
    pub(super) fn hook_state(&self) -> *const raw::nf_hook_state {
        self.wait
    }

    /// Whether the packet may wait: it comes in, and has not waited for as long as it may.
    #[inline]
    pub(crate) fn may_wait(&self) -> bool {
        !self.wait.is_null()
    }

    /// The linear part, from the network header.
    #[inline]
    pub(crate) fn head(&self) -> &[u8] {
        let mut len = 0;
        // SAFETY: By the invariant; the linear part is as long as C says, and stays while the
        // packet is borrowed.
        unsafe {
            let data = raw::ihmp_skb_head(self.raw(), &mut len);
            core::slice::from_raw_parts(data, len as usize)
        }
    }

    /// Makes the first `len` octets linear, if the packet has them.
    pub(crate) fn pull(&mut self, len: usize) -> bool {
        // SAFETY: By the invariant; views are gone because the packet is borrowed mutably.
        unsafe { raw::ihmp_skb_pull(self.raw(), len as u32) }
    }

    /// The first `len` octets, to be written; a copy is made when they are shared.
    #[inline]
    pub(crate) fn writable(&mut self, len: usize) -> Option<&mut [u8]> {
        // SAFETY: By the invariant; the octets are linear and private to this packet, and the
        // slice borrows it.
        unsafe {
            let data = NonNull::new(raw::ihmp_skb_writable(self.raw(), len as u32))?;
            Some(core::slice::from_raw_parts_mut(data.as_ptr(), len))
        }
    }

    /// Lets the transport checksum follow what was rewritten, whatever the offload state.
    ///
    /// `span` octets were made writable before and contain the checksum.
    #[inline]
    pub(crate) fn fix_checksum(&mut self, fix: &Fix, span: usize, ipv6: bool) {
        if fix.end() > span {
            return;
        }
        match *fix {
            Fix::Sum {
                at,
                pseudo,
                plain,
                mangle_zero,
            } => {
                // SAFETY: By the invariant, and the checksum lies in the writable part.
                unsafe {
                    raw::ihmp_skb_csum(self.raw(), at as u32, pseudo, plain, mangle_zero, ipv6)
                }
            }
            Fix::Crc { at, from, changed } => {
                let octets = (self.len() as usize).saturating_sub(from);
                let difference = crc::difference(changed, octets);
                // SAFETY: As above.
                unsafe { raw::ihmp_skb_crc(self.raw(), at as u32, difference) }
            }
        }
    }

    /// Gives up a sum that the device made over the packet; the stack makes its own.
    pub(crate) fn forget_checksum(&mut self) {
        // SAFETY: By the invariant.
        unsafe { raw::ihmp_skb_forget_csum(self.raw()) }
    }

    /// Whether policies of IPsec let in the packet as it is: those of the namespace, or with a socket first those of the socket. It
    /// came in, by a device.
    #[inline]
    pub(crate) fn is_admitted(&mut self, sock: Option<&Sock<'_>>, ipv6: bool) -> bool {
        let sk = sock.map_or(core::ptr::null_mut(), Sock::as_ptr);
        // SAFETY: By the invariant; the socket is null, or valid during the call.
        unsafe { raw::ihmp_skb_is_admitted(self.raw(), sk, ipv6) }
    }

    /// Whether a TCP packet of a family, whose 20 octets of header begin at `l4`, answers a SYN cookie of this kernel
    /// (RFC 4987 section 3.6).
    #[cold]
    pub(crate) fn has_cookie(&self, l4: usize, ipv6: bool) -> bool {
        let linear = l4.saturating_add(20) <= self.head().len();
        // SAFETY: By the invariant; the header is linear.
        linear && unsafe { raw::ihmp_skb_has_cookie(self.raw(), l4 as u32, ipv6) }
    }

    /// Length of the packet from its network header, in octets.
    pub(crate) fn len(&self) -> u32 {
        // SAFETY: By the invariant.
        unsafe { raw::ihmp_skb_len(self.raw()) }
    }

    /// Octets of all the IP packets that are sent for this one, which may be cut into segments.
    #[inline]
    pub(crate) fn wire_len(&self) -> u64 {
        // SAFETY: By the invariant.
        unsafe { raw::ihmp_skb_wire_len(self.raw()) }.into()
    }

    /// The route out leads to this machine itself.
    pub(crate) fn out_is_loopback(&self) -> bool {
        // SAFETY: By the invariant.
        unsafe { raw::ihmp_skb_out_loopback(self.raw()) }
    }

    /// Index of the device by which the packet leaves, as it is routed now.
    pub(crate) fn out_device(&self) -> u32 {
        // SAFETY: By the invariant; in LOCAL_OUT it has a route.
        unsafe { raw::ihmp_skb_out_device(self.raw()) }
    }

    /// The packet came from this machine itself.
    pub(crate) fn in_is_loopback(&self) -> bool {
        // SAFETY: By the invariant.
        unsafe { raw::ihmp_skb_in_loopback(self.raw()) }
    }

    /// Index of the device on which the packet came in.
    pub(crate) fn ifindex(&self) -> u32 {
        // SAFETY: By the invariant.
        unsafe { raw::ihmp_skb_ifindex(self.raw()) }
    }

    /// The full socket that sends the packet; of what a tunnel makes, the tunnel's own.
    pub(crate) fn sock(&self) -> Option<Sock<'_>> {
        // SAFETY: By the invariant.
        unsafe { NonNull::new(raw::ihmp_skb_sock(self.sock)).map(|sk| Sock::borrowed(sk)) }
    }

    /// The listener of TCP whose SYN-ACK the packet is.
    pub(crate) fn listener(&self) -> Option<Sock<'_>> {
        // SAFETY: By the invariant; a request holds its listener, and who has its packet in a hook holds the request.
        unsafe {
            NonNull::new(raw::ihmp_skb_listener(self.raw(), self.sock)).map(|sk| Sock::borrowed(sk))
        }
    }

    /// If the packet is the SYN-ACK of a request that waits in the queue of a listener: index of the device that the
    /// connection is bound to, or 0.
    pub(crate) fn request(&self) -> Option<u32> {
        let mut device = 0;
        // SAFETY: By the invariant.
        let is = unsafe { raw::ihmp_skb_request(self.raw(), self.sock, &mut device) };
        is.then_some(device)
    }

    /// Drops the socket that early demultiplexing found by the wire addresses.
    pub(crate) fn forget_sock(&mut self) {
        // SAFETY: By the invariant.
        unsafe { raw::ihmp_skb_forget_sock(self.raw()) }
    }
}
