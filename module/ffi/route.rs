// SPDX-License-Identifier: GPL-2.0

//! Routes of rewritten packets, cached for each of the first paths of a host.
//!
//! C header: `shim/shim.h` (route.c, addr.c), include/net/dst_cache.h

use super::{
    net::Net,
    raw,
    skb::Skb, //
};
use core::ptr::NonNull;
use ihmp_core::addr::{
    Addr,
    Family, //
};
use kernel::{
    error::to_result,
    prelude::*,
    sync::rcu::Guard, //
};

/// Cache of one route per CPU.
///
/// # Invariants
///
/// The pointer came from `ihmp_dst_cache_new` and is freed by drop only.
pub(crate) struct DstCache(NonNull<raw::dst_cache>);

// SAFETY: The cache is per CPU, and used with bottom halves off.
unsafe impl Send for DstCache {}
// SAFETY: As above.
unsafe impl Sync for DstCache {}

impl DstCache {
    /// An empty cache; may sleep.
    pub(crate) fn new() -> Option<Self> {
        // SAFETY: The function has no requirements but that it may sleep.
        NonNull::new(unsafe { raw::ihmp_dst_cache_new() }).map(Self)
    }
}

/// A route cache with what its routes are for. Routes that were put there for something else do not count: readers of a
/// former view may still put some.
#[derive(Clone, Copy)]
pub(crate) struct Tagged<'a> {
    /// The cache.
    pub(crate) cache: &'a DstCache,
    /// What for.
    pub(crate) tag: u32,
}

impl Drop for DstCache {
    fn drop(&mut self) {
        // SAFETY: By the invariant.
        unsafe { raw::ihmp_dst_cache_free(self.0.as_ptr()) }
    }
}

impl Net {
    /// Gives the packet the route to its new destination, as its socket asks for: by the device with this index, if it
    /// is not 0 and has one.
    #[inline]
    pub(crate) fn route_out(
        &self,
        skb: &mut Skb<'_>,
        cache: Option<Tagged<'_>>,
        device: u32,
        ipv6: bool,
    ) -> Result {
        let (cache, tag) = cache.map_or((core::ptr::null_mut(), 0), |tagged| {
            (tagged.cache.0.as_ptr(), tagged.tag)
        });
        // SAFETY: The namespace, the packet, its socket and the cache are valid; the packet is in LOCAL_OUT.
        to_result(unsafe {
            raw::ihmp_route_out(
                self.ns(),
                skb.raw(),
                skb.hook_sock(),
                cache,
                tag,
                device,
                ipv6,
            )
        })
    }

    /// Whether a packet on its way out has a source of this namespace.
    pub(crate) fn source_is_local(&self, skb: &Skb<'_>, ipv6: bool) -> bool {
        // SAFETY: The namespace and the packet are valid; the packet is in LOCAL_OUT and has a route.
        unsafe { raw::ihmp_source_is_local(self.ns(), skb.raw(), ipv6) }
    }

    /// A number that is another one after each change of this namespace's addresses of a family.
    #[inline]
    pub(crate) fn addresses_change(&self, family: Family) -> u32 {
        // SAFETY: The namespace is valid.
        unsafe { raw::ihmp_addrs_change(self.ns(), family == Family::V6) }
    }

    /// Index of the device that has an address of this namespace: 0 when that is the loopback device, a dummy or the like,
    /// or none, so that routing decides alone. `None` when the address is not ours; IPv6 looks in the VRF of the packet, too.
    pub(crate) fn device_of(&self, skb: &Skb<'_>, addr: Addr, _guard: &Guard) -> Option<u32> {
        let octets = addr.octets();
        // SAFETY: The namespace and the packet are valid; the packet has a route, in LOCAL_OUT as in LOCAL_IN. An address has 16 octets,
        // and the guard is the RCU read lock.
        let device =
            unsafe { raw::ihmp_addr_device(self.ns(), skb.raw(), octets.as_ptr(), !addr.is_v4()) };
        u32::try_from(device).ok()
    }

    /// Whether a device has an address and is up, with a carrier. IPv6 looks in the VRF of the packet.
    pub(crate) fn is_up(&self, skb: &Skb<'_>, addr: Addr, _guard: &Guard) -> bool {
        let octets = addr.octets();
        // SAFETY: As in `device_of`.
        unsafe { raw::ihmp_addr_is_up(self.ns(), skb.raw(), octets.as_ptr(), !addr.is_v4()) }
    }

    /// Whether what leaves by a device may be of a socket that is bound to another, or to a VRF; 0 is none in particular.
    #[inline]
    pub(crate) fn device_serves(&self, device: u32, bound: u32) -> bool {
        // SAFETY: The namespace is valid.
        bound == 0 || device == 0 || unsafe { raw::ihmp_device_serves(self.ns(), device, bound) }
    }

    /// Makes IPv6 sockets look for their routes again, if routes have changed since it was last done.
    pub(crate) fn renew_routes6(&self) {
        // SAFETY: By the invariant of `Net`.
        unsafe { raw::ihmp_routes_renew6(self.raw()) }
    }
}
