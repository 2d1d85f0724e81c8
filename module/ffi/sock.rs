// SPDX-License-Identifier: GPL-2.0

//! Sockets, found by their identifiers.
//!
//! C header: `shim/shim.h` (sock.c, lend.c, opener.c, stranded.c, wake.c, lose.c)

use super::{
    net::Net,
    raw, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use ihmp_core::{
    addr::Addr,
    flow::FlowKey, //
};
use kernel::{
    error::to_result,
    prelude::*,
    sync::rcu::Guard, //
};

/// A socket, or what stands for one: a request in the queue of a listener, or what is left of a connection in time-wait.
///
/// # Invariants
///
/// The pointer is valid for `'a`; when `owned`, one reference belongs to the value.
pub(crate) struct AnySock<'a> {
    sk: NonNull<raw::sock>,
    owned: bool,
    of: PhantomData<&'a ()>,
}

/// A full socket (`sk_fullsock`): it has all the fields of its protocol.
///
/// # Invariants
///
/// It is a full socket, as long as it is valid.
pub(crate) struct Sock<'a>(AnySock<'a>);

/// What has become of an error for a socket.
pub(crate) enum Lost {
    /// It has the error.
    Told,
    /// A program is in it at this moment.
    InUse,
    /// It is not connected any more.
    Passed,
}

/// A look-up by the identifiers of a flow.
type Lookup<T> =
    unsafe extern "C" fn(*mut raw::net, *const u8, u16, *const u8, u16, u32, bool) -> T;

/// Looks up by the identifiers of a flow, and the device on which its packets come in.
///
/// # Safety
///
/// What the function wants beside valid arguments holds.
unsafe fn look_up<T>(lookup: Lookup<T>, net: &Net, key: &FlowKey, ifindex: u32) -> T {
    let (laddr, faddr) = (key.laddr.octets(), key.faddr.octets());
    // SAFETY: Both addresses have 16 octets, and the namespace is valid; the rest by the requirement.
    unsafe {
        lookup(
            net.ns(),
            laddr.as_ptr(),
            key.lport,
            faddr.as_ptr(),
            key.fport,
            ifindex,
            !key.laddr.is_v4(),
        )
    }
}

impl<'a> AnySock<'a> {
    fn lookup(
        lookup: Lookup<*mut raw::sock>,
        net: &Net,
        key: &FlowKey,
        ifindex: u32,
    ) -> Option<Self> {
        // SAFETY: The functions that are given here want nothing more.
        let sk = unsafe { look_up(lookup, net, key, ifindex) };
        // INVARIANT: The look-up took a reference.
        Some(Self {
            sk: NonNull::new(sk)?,
            owned: true,
            of: PhantomData,
        })
    }

    /// The TCP socket of a flow in any state but LISTEN.
    pub(crate) fn tcp(net: &Net, key: &FlowKey, ifindex: u32) -> Option<Self> {
        Self::lookup(raw::ihmp_sock_tcp, net, key, ifindex)
    }

    /// The full socket, if it is one.
    pub(crate) fn full(self) -> Option<Sock<'a>> {
        // SAFETY: By the invariant; what the function reads all kinds of sockets have.
        let full = unsafe { raw::ihmp_sock_full(self.sk.as_ptr()) };
        // INVARIANT: Just asked.
        full.then_some(Sock(self))
    }
}

impl<'a> From<Sock<'a>> for AnySock<'a> {
    fn from(sock: Sock<'a>) -> Self {
        sock.0
    }
}

impl<'a> Sock<'a> {
    /// # Safety
    ///
    /// The socket is valid for `'a`, and a full socket.
    pub(super) unsafe fn borrowed(sk: NonNull<raw::sock>) -> Self {
        // INVARIANT: By the requirement.
        Self(AnySock {
            sk,
            owned: false,
            of: PhantomData,
        })
    }

    pub(super) fn as_ptr(&self) -> *mut raw::sock {
        self.0.sk.as_ptr()
    }

    /// The TCP socket of a flow, if that is a full one: not what is left of it in time-wait, nor a request.
    pub(crate) fn tcp(net: &Net, key: &FlowKey, ifindex: u32) -> Option<Self> {
        AnySock::tcp(net, key, ifindex).and_then(AnySock::full)
    }

    /// The UDP socket that would receive the flow.
    pub(crate) fn udp(net: &Net, key: &FlowKey, ifindex: u32) -> Option<Self> {
        // INVARIANT: UDP has no others.
        AnySock::lookup(raw::ihmp_sock_udp, net, key, ifindex).map(Self)
    }

    /// The listener of TCP that takes what opens a connection of the flow.
    pub(crate) fn listener(net: &Net, key: &FlowKey, ifindex: u32, _: &'a Guard) -> Option<Self> {
        // SAFETY: The guard is held. A listener is a full socket, and is freed a grace period after it can be found.
        unsafe {
            let sk = look_up(raw::ihmp_sock_listener, net, key, ifindex);
            NonNull::new(sk).map(|sk| Self::borrowed(sk))
        }
    }

    /// Whether a listener that has sent cookies would take a TCP packet of the flow.
    pub(crate) fn takes_cookie(net: &Net, key: &FlowKey, ifindex: u32, _: &Guard) -> bool {
        // SAFETY: The guard is held.
        unsafe { look_up(raw::ihmp_sock_cookies, net, key, ifindex) }
    }

    /// Number that no other live socket has, and not 0. A socket that got the memory of a dead one has its number, too.
    pub(crate) fn cookie(&self) -> u64 {
        // SAFETY: By the invariant.
        unsafe { raw::ihmp_sock_cookie(self.as_ptr()) }
    }

    /// TCP: past the handshake; UDP: connected.
    pub(crate) fn established(&self) -> bool {
        // SAFETY: By the invariant.
        unsafe { raw::ihmp_sock_established(self.as_ptr()) }
    }

    /// TCP: our SYN is out.
    pub(crate) fn opening(&self) -> bool {
        // SAFETY: By the invariant.
        unsafe { raw::ihmp_sock_opening(self.as_ptr()) }
    }

    /// TCP, past the handshake: no data has come, nor gone and been acknowledged.
    pub(crate) fn is_new(&self) -> bool {
        // SAFETY: By the invariant; a socket past the handshake is a full one of TCP, which the caller says.
        self.established() && unsafe { raw::ihmp_sock_is_new(self.as_ptr()) }
    }

    /// TCP: a segment with these numbers is in the windows, or shortly before them.
    pub(crate) fn is_within(&self, sequence: u32, acknowledged: u32) -> bool {
        let sk = self.as_ptr();
        // SAFETY: By the invariant; a socket past the handshake is a full one of TCP, which the caller says.
        self.established() && unsafe { raw::ihmp_sock_is_within(sk, sequence, acknowledged) }
    }

    /// Remembers that it opens a connection: its SYN has passed.
    pub(crate) fn opens(&self) {
        // SAFETY: By the invariant.
        unsafe { raw::ihmp_sock_opens(self.as_ptr()) }
    }

    /// TCP: its connection was opened by the other end.
    pub(crate) fn accepted(&self) -> bool {
        // SAFETY: By the invariant; who has a packet of the socket in a hook is in an RCU read-side section.
        unsafe { raw::ihmp_sock_accepted(self.as_ptr()) }
    }

    /// UDP: it is connected from a port that nobody knew before.
    pub(crate) fn calls(&self) -> bool {
        // SAFETY: By the invariant.
        unsafe { raw::ihmp_sock_calls(self.as_ptr()) }
    }

    /// Belongs to a process, not to the kernel.
    pub(crate) fn is_user(&self) -> bool {
        // SAFETY: By the invariant.
        unsafe { raw::ihmp_sock_is_user(self.as_ptr()) }
    }

    /// The packets of this namespace with this protocol and source port are its own, not those of a tunnel.
    pub(crate) fn sends(&self, net: &Net, proto: u8, sport: u16) -> bool {
        // SAFETY: By the invariant; the namespace is valid.
        unsafe { raw::ihmp_sock_sends(self.as_ptr(), net.ns(), proto, sport) }
    }

    /// What it is connected to over IPv4, which the caller knows.
    pub(crate) fn flow4(&self) -> FlowKey {
        let (mut laddr, mut faddr) = ([0; 4], [0; 4]);
        let (mut lport, mut fport) = (0, 0);
        // SAFETY: By the invariant, and it is a full socket of TCP or UDP; both addresses have 4 octets.
        let proto = unsafe {
            raw::ihmp_sock_flow4(
                self.as_ptr(),
                laddr.as_mut_ptr(),
                &mut lport,
                faddr.as_mut_ptr(),
                &mut fport,
            )
        };
        FlowKey {
            proto,
            laddr: Addr::v4(laddr),
            faddr: Addr::v4(faddr),
            lport,
            fport,
        }
    }

    /// Index of the device that it is bound to, or 0.
    pub(crate) fn device(&self) -> u32 {
        // SAFETY: By the invariant.
        unsafe { raw::ihmp_sock_device(self.as_ptr()) }
    }

    /// May send from addresses that are not local.
    pub(crate) fn transparent(&self) -> bool {
        // SAFETY: By the invariant.
        unsafe { raw::ihmp_sock_transparent(self.as_ptr()) }
    }

    /// The permission to do so is, or was, lent by us to it or to the socket that accepted it.
    #[inline]
    pub(crate) fn watched(&self) -> bool {
        // SAFETY: By the invariant.
        unsafe { raw::ihmp_sock_watched(self.as_ptr()) }
    }

    /// The program has set the permission itself.
    pub(crate) fn own_transparent(&self) -> bool {
        // SAFETY: By the invariant.
        unsafe { raw::ihmp_sock_own_transparent(self.as_ptr()) }
    }

    /// Lets it send from an address that is no longer local, and have it watched from now on.
    pub(crate) fn lend(&self, net: &Net) -> Result {
        // SAFETY: By the invariant; the function takes a reference of its own.
        to_result(unsafe { raw::ihmp_sock_lend(net.raw(), self.as_ptr()) })
    }

    /// Takes the permission back, if it was lent, or inherited by accept().
    pub(crate) fn take_back(&self) {
        // SAFETY: By the invariant.
        unsafe { raw::ihmp_sock_take_back(self.as_ptr()) }
    }

    /// TCP: it is being accepted.
    pub(crate) fn accepting(&self) -> bool {
        // SAFETY: By the invariant.
        unsafe { raw::ihmp_sock_accepting(self.as_ptr()) }
    }

    /// The same for all of its SO_REUSEPORT group.
    pub(crate) fn lend_group(&self, net: &Net, _: &Guard) -> Result {
        // SAFETY: By the invariant; the guard is the RCU read lock; the function takes references of its own.
        to_result(unsafe { raw::ihmp_sock_lend_group(net.raw(), self.as_ptr()) })
    }

    /// The opener of the socket may send from any address without our help.
    pub(crate) fn may_spoof(&self) -> bool {
        // SAFETY: By the invariant.
        unsafe { raw::ihmp_sock_may_spoof(self.as_ptr()) }
    }

    /// The program chose by itself to send from sources that need not be this host's, or writes the headers.
    pub(crate) fn own_source(&self) -> bool {
        // SAFETY: By the invariant.
        unsafe { raw::ihmp_sock_own_source(self.as_ptr()) }
    }

    /// Both are the same socket, or of one group among which the kernel spreads what comes in (SO_REUSEPORT).
    pub(crate) fn shares(&self, other: &Sock<'_>) -> bool {
        // SAFETY: By the invariant of both.
        unsafe { raw::ihmp_sock_shares(self.as_ptr(), other.as_ptr()) }
    }

    /// Makes TCP retransmit and acknowledge now, and send something new if it is to `probe`; one that has been `idle` for
    /// long acknowledges only with that. True when something was waiting.
    pub(crate) fn wake(&self, probe: bool, idle: bool) -> bool {
        // SAFETY: By the invariant; the function takes the socket's lock itself.
        unsafe { raw::ihmp_sock_wake(self.as_ptr(), probe, idle) }
    }

    /// Gives a connected socket the error EHOSTUNREACH, which ends TCP. Sleeps.
    pub(crate) fn lose(&self) -> Lost {
        // SAFETY: By the invariant; the function takes the socket's lock itself.
        match unsafe { raw::ihmp_sock_lose(self.as_ptr()) } {
            0 => Lost::Told,
            err if err == EBUSY.to_errno() => Lost::InUse,
            _ => Lost::Passed,
        }
    }
}

impl Drop for AnySock<'_> {
    fn drop(&mut self) {
        if self.owned {
            // SAFETY: By the invariant the reference is ours.
            unsafe { raw::ihmp_sock_put(self.sk.as_ptr()) }
        }
    }
}
