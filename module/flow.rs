// SPDX-License-Identifier: GPL-2.0

//! Rows of the socket table: {five identifiers, host} (papers 000 section III, 001 section III-A).

use crate::{
    ffi::{
        clock,
        object::{
            Owned,
            Shared, //
        },
        sock::Sock,
        table::{
            FlowBytes,
            WireBytes, //
        }, //
    },
    host::Host,
    netns::Netns,
    stats::Counter,
    uapi::HostState, //
};
use ihmp_core::{
    flow::{
        FlowKey,
        WireKey, //
    },
    packet::{
        TCP,
        UDP,
        UDP_LITE, //
    },
    verdict::Reason, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Full,
            Relaxed, //
        },
        rcu::Guard, //
    },
};

/// A row. The C side reads the two keys at its head.
#[repr(C)]
pub(crate) struct Row {
    /// [`FlowKey::bytes`]: what the row is found by on the way out.
    pub(crate) flow: FlowBytes,
    /// [`WireKey::bytes`]: what it is found by on the way in.
    pub(crate) wire: WireBytes,
    /// Local port on the wire; differs from the flow's after a collision.
    pub(crate) wire_port: u16,
    /// Port of the host itself; differs from the flow's if that is the port of a NAT.
    pub(crate) host_port: u16,
    /// The flow began after its foreign address had left the host, or behind a NAT: it is not translated.
    pub(crate) plain: bool,
    host: Shared<Host>,
    /// Device that the socket is bound to, or 0.
    device: u32,
    lends: bool,
    cookie: u64,
    last: Atomic<u64>,
    /// When the socket was last looked for on the way in.
    checked: Atomic<u64>,
}

/// Milliseconds between two looks for the socket of a flow that packets come in for.
const CHECK_MS: u64 = 250;

/// How the first packet of a flow that we see stands to it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// The flow may be older; its ports are fixed.
    Joins,
    /// This end opens it, and may choose another port on the wire.
    Opens,
    /// This end opens it, towards whoever has a former address of the host now, or from an address that
    /// is no locator.
    OpensPlain,
}

/// Why there is no row for a packet.
pub(crate) enum NoRow {
    /// The packet passes as it is.
    Pass,
    /// The packet is dropped.
    Drop(Reason),
}

impl Row {
    /// Lets an IPv4 socket of the flow send when its address is no longer local.
    pub(crate) fn keep_source(&self, netns: &Netns) {
        if let Some(sock) = self.sock(netns).filter(|_| self.lends) {
            netns.keep_source(&sock);
        }
    }

    /// The socket needs the flag to send from any address, and it is ours to give.
    #[inline]
    pub(crate) fn lends(&self) -> bool {
        self.lends
    }

    /// The five identifiers.
    pub(crate) fn key(&self) -> FlowKey {
        FlowKey::from_bytes(&self.flow)
    }

    /// The host at the other end.
    pub(crate) fn host(&self) -> &Shared<Host> {
        &self.host
    }

    /// Notes that a packet passed.
    #[inline]
    pub(crate) fn touch(&self, now: u64) {
        if self.last.load(Relaxed) != now {
            self.last.store(now, Relaxed);
        }
    }

    /// Whether the socket is gone: then the stack is to answer from the locator, which is an address
    /// that it has. Looked at now and then only.
    #[inline]
    pub(crate) fn is_abandoned(&self, netns: &Netns, now: u64) -> bool {
        now.saturating_sub(self.checked.load(Relaxed)) > clock::from_ms(CHECK_MS)
            && self.is_abandoned_now(netns, now)
    }

    #[cold]
    fn is_abandoned_now(&self, netns: &Netns, now: u64) -> bool {
        self.checked.store(now, Relaxed);
        matches!(self.key().proto, TCP | UDP) && self.sock(netns).is_none()
    }

    /// Jiffies since the last packet.
    pub(crate) fn idle(&self, now: u64) -> u64 {
        now.saturating_sub(self.last.load(Relaxed))
    }

    /// The socket of the flow, if the protocol has sockets that can be looked up.
    pub(crate) fn sock(&self, netns: &Netns) -> Option<Sock<'static>> {
        let key = self.key();
        match key.proto {
            TCP => Sock::tcp(&netns.net, &key, self.device),
            UDP => Sock::udp(&netns.net, &key, self.device),
            _ => None,
        }
    }
}

/// Protocols whose local port may be changed on the wire.
fn has_mappable_port(proto: u8) -> bool {
    matches!(proto, TCP | UDP | UDP_LITE)
}

impl Netns {
    /// Whether a socket that is bound to no address goes on with a flow, from another own address:
    /// it still means the host that had the foreign one.
    pub(crate) fn goes_on(
        &self,
        key: &FlowKey,
        host: &Host,
        sock: &Sock<'_>,
        guard: &Guard,
    ) -> bool {
        self.net
            .row_by_wire(&key.on_wire(host.id()).bytes(), guard)
            .is_some_and(|row| {
                row.cookie == sock.cookie() && row.key().faddr == key.faddr && !row.plain
            })
    }

    /// Whether a packet is what a row of the same socket looks like on the wire: it was translated
    /// already (a VRF runs LOCAL_OUT twice), or the socket is bound to no address and now sends
    /// from the locator itself. Either way it is right as it is.
    pub(crate) fn is_wire_form(
        &self,
        key: &FlowKey,
        wire: &WireKey,
        host: &Host,
        sock: &Sock<'_>,
        guard: &Guard,
    ) -> bool {
        let path = host.view.read(guard).path(key.laddr.family());
        path.is_some_and(|path| path.local == key.laddr && path.remote == key.faddr)
            && self
                .net
                .row_by_wire(&wire.bytes(), guard)
                .is_some_and(|row| row.cookie == sock.cookie())
    }

    /// Lets a socket send from an address that is no longer local, if that is not allowed already.
    #[inline]
    pub(crate) fn keep_source(&self, sock: &Sock<'_>) {
        if !sock.transparent() && sock.lend(&self.net).is_err() {
            self.refuse(Reason::NoMemory);
        }
    }

    /// Makes the row of a flow whose socket is known; `wire` is what it is on the wire towards the
    /// host, with the host's own port.
    #[inline(never)]
    pub(crate) fn flow_open<'a>(
        &self,
        key: &FlowKey,
        wire: WireKey,
        host: &Host,
        sock: &Sock<'_>,
        start: Start,
        guard: &'a Guard,
    ) -> Result<&'a Row, NoRow> {
        let cookie = sock.cookie();
        let wire_port = self.wire_port(key, wire, cookie, start, guard)?;
        let Some(shared) = Shared::try_from_ref(host, guard) else {
            return Err(NoRow::Pass);
        };
        // A socket that may do so by itself keeps the flag.
        let lends = key.laddr.is_v4() && (!sock.transparent() || sock.watched());
        let wire = WireKey {
            lport: wire_port,
            ..wire
        };
        let row = Owned::new(
            Row {
                flow: key.bytes(),
                wire: wire.bytes(),
                wire_port,
                host_port: wire.fport,
                plain: start == Start::OpensPlain,
                host: shared,
                device: sock.device(),
                lends,
                cookie,
                last: Atomic::new(clock::jiffies()),
                checked: Atomic::new(clock::jiffies()),
            },
            true,
        );
        let Ok(row) = row else {
            self.refuse(Reason::NoMemory);
            return Err(NoRow::Pass);
        };
        // Counted first: it may be removed as soon as it is there.
        if self.flows.fetch_add(1, Relaxed) >= self.params.max_flows.load(Relaxed) {
            self.flows.fetch_sub(1, Relaxed);
            self.limit_reached(Reason::FlowLimit);
            return Err(NoRow::Pass);
        }
        host.flows.fetch_add(1, Relaxed);
        match self.net.row_insert(row, guard) {
            Ok(row) => {
                self.count(Counter::FlowsMade);
                if lends && host.view.read(guard).state() == HostState::Up {
                    self.keep_source(sock);
                }
                // Pairs with the exchange in `host_remove`: where this finds the host in place, the row was
                // there before, since a compare and exchange that succeeds is fully ordered.
                if host.gone.cmpxchg(false, false, Full).is_err() {
                    self.flow_close(row);
                }
                return Ok(row);
            }
            // Another CPU was faster, below.
            Err(EEXIST) => (),
            Err(_) => self.refuse(Reason::NoMemory),
        }
        self.flows.fetch_sub(1, Relaxed);
        host.flows.fetch_sub(1, Relaxed);
        self.net.row_by_flow(&key.bytes(), guard).ok_or(NoRow::Pass)
    }

    /// The local port of a new flow on the wire: its own, unless an older flow of the same host
    /// with another local or foreign identifier looks the same there (DESIGN.md section 4.10).
    fn wire_port(
        &self,
        key: &FlowKey,
        mut wire: WireKey,
        cookie: u64,
        start: Start,
        guard: &Guard,
    ) -> Result<u16, NoRow> {
        let Some(other) = self.net.row_by_wire(&wire.bytes(), guard) else {
            return Ok(key.lport);
        };
        if other.cookie == cookie || !has_mappable_port(key.proto) {
            // The same socket under another address of its own: the newest way is the way in.
            self.net.row_unwire(other);
            return Ok(key.lport);
        }
        if other.sock(self).is_none() {
            self.flow_close(other);
            return Ok(key.lport);
        }
        if start == Start::Joins {
            return Err(NoRow::Pass);
        }
        let signalling = self.params.port.load(Relaxed) as u16;
        for _ in 0..64 {
            wire.lport = 32_768 | (clock::random() & 0x7fff) as u16;
            let mapped = FlowKey {
                lport: wire.lport,
                ..*key
            };
            let taken = wire.lport == signalling
                || self.net.row_by_wire(&wire.bytes(), guard).is_some()
                || (key.proto == TCP && Sock::tcp(&self.net, &mapped, 0).is_some())
                || (key.proto == UDP && Sock::udp(&self.net, &mapped, 0).is_some());
            if !taken {
                self.count(Counter::PortMapped);
                return Ok(wire.lport);
            }
        }
        Err(NoRow::Drop(Reason::PortExhausted))
    }

    /// Removes a row; true for the caller that did it.
    pub(crate) fn flow_close(&self, row: &Row) -> bool {
        if !self.net.row_remove(row) {
            return false;
        }
        self.flows.fetch_sub(1, Relaxed);
        row.host.flows.fetch_sub(1, Relaxed);
        true
    }
}
