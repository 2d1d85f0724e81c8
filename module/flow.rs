// SPDX-License-Identifier: GPL-2.0

//! Rows of the socket table: {five identifiers, host} ([DIME-IFIP] section III, [DIME-ICCCN] section III-A).

use crate::{
    ffi::{
        charge::Charge,
        clock,
        object::{
            Found,
            Owned,
            Shared, //
        },
        skb::Skb,
        sock::{
            AnySock,
            Sock, //
        },
        table::{
            FlowBytes,
            Flows,
            WireBytes,
            Wires, //
        }, //
    },
    host::Host,
    netns::Netns,
    stats::Counter,
    switch::Stance,
    uapi::HostState,
    view::View, //
};
use ihmp_core::{
    addr::Addr,
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
    /// Number of what had happened to addresses when the flow began ([`ihmp_core::ends`]); 0 when it is older than we know.
    born: u32,
    host: Shared<Host>,
    /// Device that the socket is bound to, or 0.
    device: u32,
    lends: bool,
    /// The socket is one of UDP that is not connected. Another may come in its place.
    answers: bool,
    /// Another flow of the host had the same ports on the wire when this one began: it is found by its identifiers only.
    apart: bool,
    /// The local identifier is, or was, an address of ours towards the host.
    known: Atomic<bool>,
    /// Another flow of the host has the same ports on the wire.
    twin: Atomic<bool>,
    /// Number since which the flow is known to be at its foreign identifier; 0 when it was heard from another address.
    since: Atomic<u32>,
    /// When the host was last heard on the flow, in jiffies; 0 when it never was.
    heard: Atomic<u64>,
    /// A packet of the flow was to be sent.
    sent: Atomic<bool>,
    /// Packets of the flow come to another address than the local identifier.
    here: Atomic<bool>,
    /// Packets of the flow come from another address than the foreign identifier.
    there: Atomic<bool>,
    /// Whether it may move.
    pub(crate) stance: Stance,
    cookie: u64,
    /// When it was made, in jiffies.
    made: u64,
    last: Atomic<u64>,
    /// When the socket was last looked for on the way in.
    checked: Atomic<u64>,
}

/// Milliseconds between two looks for the socket of a flow that packets come in for.
const CHECK_MS: u64 = 250;

/// Milliseconds for which it may not be known yet that an address has another owner.
const FRESH_MS: u64 = 1_000;

/// Milliseconds after the last packet from a host for which a router's word that it cannot be reached is not believed.
const GOING_ON_MS: u64 = 10_000;

/// How the first packet of a flow that we see stands to it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// The flow is older than we know; its ports are fixed.
    Joins,
    /// A TCP connection that was accepted, before any data; its ports are fixed.
    Accepted,
    /// The other end opens it; its ports are fixed.
    Accepts,
    /// This end opens it, and may choose another port on the wire.
    Opens,
    /// This end opens it, towards whoever has a former address of the host now, or from an address that
    /// is no locator.
    OpensPlain,
}

/// Who has a flow at this end.
#[derive(Clone, Copy)]
pub(crate) struct Owner<'a> {
    /// The socket; none for a request in the queue of a listener.
    sock: Option<&'a Sock<'a>>,
    /// Device that it is bound to, or 0.
    device: u32,
}

impl<'a> Owner<'a> {
    /// A socket.
    pub(crate) fn sock(sock: &'a Sock<'a>) -> Self {
        Self {
            sock: Some(sock),
            device: sock.device(),
        }
    }

    /// A request for a connection, that is bound to this device, or to none if it is 0.
    pub(crate) fn request(device: u32) -> Self {
        Self { sock: None, device }
    }

    /// As [`Sock::cookie`].
    fn cookie(&self) -> u64 {
        self.sock.map_or(0, Sock::cookie)
    }

    /// Whether it is ours to let it send from any address: a socket that may do so by itself keeps the flag.
    fn borrows(&self) -> bool {
        self.sock
            .is_none_or(|sock| !sock.transparent() || sock.watched())
    }
}

/// A flow of which the first packet is seen.
#[derive(Clone, Copy)]
pub(crate) struct Opening<'a> {
    /// Its identifiers.
    pub(crate) key: &'a FlowKey,
    /// What it is on the wire towards its host, with the host's own port.
    pub(crate) wire: WireKey,
    /// Who has it here.
    pub(crate) owner: Owner<'a>,
    /// How the packet stands to it.
    pub(crate) start: Start,
}

/// Why there is no row for a packet.
pub(crate) enum NoRow {
    /// The packet passes as it is.
    Pass,
    /// The packet is dropped.
    Drop(Reason),
}

impl Row {
    /// Lets the socket of the flow send when its address is no longer local.
    pub(crate) fn keep_source(&self, netns: &Netns) {
        if let Some(sock) = self.full_sock(netns).filter(|_| self.lends) {
            netns.keep_source(&sock);
        }
    }

    /// Whether the local identifier is, or was, an address of ours towards the host.
    #[inline]
    pub(crate) fn is_known(&self, view: &View, laddr: Addr) -> bool {
        self.known.load(Relaxed) || view.is_ours(laddr)
    }

    /// It is.
    #[inline]
    pub(crate) fn note_known(&self) {
        if !self.known.load(Relaxed) {
            self.known.store(true, Relaxed);
        }
    }

    /// Number since which the flow is known to be at its foreign identifier; 0 when it was heard from another address.
    #[inline]
    pub(crate) fn since(&self) -> u32 {
        self.since.load(Relaxed)
    }

    /// Whether the flow is a connection that began just before its host gave up an address: somebody else may have had it
    /// already. If it is the host's, the host says so at once from elsewhere.
    pub(crate) fn is_fresh(&self, host: &Host) -> bool {
        self.since() != 0 && self.began_before_move(host)
    }

    /// Whether the flow is a connection that is known to have begun just before its host gave up an address, or later.
    pub(crate) fn began_before_move(&self, host: &Host) -> bool {
        self.born != 0
            && self.key().proto == TCP
            && clock::to_ms(host.moved().saturating_sub(self.made)) < FRESH_MS
    }

    /// A packet came from the foreign identifier, which the host had left, at this number.
    pub(crate) fn hear_there(&self, number: u32) {
        self.since.store(number, Relaxed);
    }

    /// A packet came from another address of the host.
    #[inline]
    pub(crate) fn hear_elsewhere(&self) {
        if self.since() != 0 {
            self.since.store(0, Relaxed);
        }
    }

    /// Whether a packet that comes in with the ports of the flow is from and to addresses that are the flow's without doubt.
    #[inline]
    pub(crate) fn expects(&self, wire: &FlowKey) -> bool {
        let key = self.key();
        (key.laddr == wire.laddr || self.roams_here())
            && (key.faddr == wire.faddr || self.there.load(Relaxed))
    }

    /// The host was heard on the flow.
    #[inline]
    pub(crate) fn hear(&self, now: u64) {
        if self.heard.load(Relaxed) != now {
            self.heard.store(now, Relaxed);
        }
    }

    /// A packet of the flow is to be sent.
    #[inline]
    pub(crate) fn note_sent(&self) {
        if !self.was_sent() {
            self.sent.store(true, Relaxed);
        }
    }

    /// Whether there was one.
    #[inline]
    pub(crate) fn was_sent(&self) -> bool {
        self.sent.load(Relaxed)
    }

    /// Whether packets were seen in both directions.
    pub(crate) fn is_answered(&self) -> bool {
        self.was_sent() && self.heard.load(Relaxed) != 0
    }

    /// Whether a new flow may have the place of this one: datagrams that went one way only, between the flow's own addresses. TCP has
    /// sockets that somebody has shaken hands for.
    pub(crate) fn may_be_pushed_out(&self) -> bool {
        self.key().proto != TCP && !self.is_answered() && !self.roams_here() && !self.roams_there()
    }

    /// Whether the host was heard on the flow so shortly ago that it may be leaving the address that a router cannot reach.
    pub(crate) fn is_going_on(&self, now: u64) -> bool {
        match self.heard.load(Relaxed) {
            0 => false,
            heard => clock::to_ms(now.saturating_sub(heard)) < GOING_ON_MS,
        }
    }

    /// Whether the host was not heard on the flow since this time in jiffies.
    pub(crate) fn is_unheard(&self, since: u64) -> bool {
        self.heard.load(Relaxed) <= since
    }

    /// The number by which marks of our addresses count the flow's age. One on which the host was never heard leaves no
    /// address that is still there: this machine's own netfilter may have sent it elsewhere.
    #[inline]
    pub(crate) fn age(&self) -> u32 {
        match self.heard.load(Relaxed) {
            0 => u32::MAX,
            _ => self.born,
        }
    }

    /// Whether the flow was heard from its foreign identifier at this number or later; or began then, and was never heard from
    /// elsewhere.
    pub(crate) fn is_younger(&self, mark: u32) -> bool {
        self.since() >= mark || (!self.roams_there() && self.born >= mark)
    }

    /// Whether packets come to another address than the local identifier, or will.
    #[inline]
    pub(crate) fn roams_here(&self) -> bool {
        self.here.load(Relaxed)
    }

    /// Whether packets came from another address than the foreign identifier.
    #[inline]
    pub(crate) fn roams_there(&self) -> bool {
        self.there.load(Relaxed)
    }

    /// Our end goes away.
    #[inline]
    pub(crate) fn leave_here(&self) {
        if !self.here.load(Relaxed) {
            self.here.store(true, Relaxed);
        }
    }

    /// Whether a packet between these addresses, with the ports of the flow, would become another one by a move of the host.
    pub(crate) fn is_moved_by(&self, wire: &FlowKey) -> bool {
        !self.plain && !self.stance.stays() && self.key() != *wire
    }

    /// A packet of the flow came from and to these addresses.
    pub(crate) fn roam(&self, wire: &FlowKey) {
        let key = self.key();
        if key.laddr != wire.laddr {
            self.here.store(true, Relaxed);
        }
        if key.faddr != wire.faddr {
            self.there.store(true, Relaxed);
        }
    }

    /// Another flow of the host has the same ports on the wire.
    #[inline]
    pub(crate) fn has_twin(&self) -> bool {
        self.twin.load(Relaxed)
    }

    /// Device that the socket is bound to, or 0.
    #[inline]
    pub(crate) fn device(&self) -> u32 {
        self.device
    }

    /// The socket needs the flag to send from any address, and it is ours to give.
    #[inline]
    pub(crate) fn lends(&self) -> bool {
        self.lends
    }

    /// A packet came for an identifier that may be no address of this machine any more: who is about to get it may be a
    /// socket that has no flow yet, such as that of a server that was started again, and is to answer from there.
    #[inline]
    pub(crate) fn keep_answers(&self, netns: &Netns, ifindex: u32, guard: &Guard) {
        if self.answers {
            self.keep_answers_of(netns, ifindex, guard);
        }
    }

    #[inline(never)]
    fn keep_answers_of(&self, netns: &Netns, ifindex: u32, guard: &Guard) {
        let sock = Sock::udp(&netns.net, &self.key(), ifindex).filter(|sock| !sock.transparent());
        if sock.is_some_and(|sock| sock.lend_group(&netns.net, guard).is_err()) {
            netns.refuse(Reason::NoMemory);
        }
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

    /// The socket of the flow, or what is left of it in time-wait, if the protocol has sockets that can be looked up.
    pub(crate) fn sock(&self, netns: &Netns) -> Option<AnySock<'static>> {
        let key = self.key();
        match key.proto {
            TCP => AnySock::tcp(&netns.net, &key, self.device),
            UDP => Sock::udp(&netns.net, &key, self.device).map(AnySock::from),
            _ => None,
        }
    }

    /// The socket of the flow, if it is a full one.
    pub(crate) fn full_sock(&self, netns: &Netns) -> Option<Sock<'static>> {
        self.sock(netns).and_then(AnySock::full)
    }
}

/// Where a new flow is among those of its host on the wire.
struct Place {
    /// Local port.
    port: u16,
    /// It is not found by its ports.
    apart: bool,
    /// Another flow has its ports.
    twin: bool,
    /// It goes on with one that was at an address of ours towards the host.
    known: bool,
}

impl Place {
    /// No other flow has this port.
    fn new(port: u16) -> Self {
        Self {
            port,
            apart: false,
            twin: false,
            known: false,
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
            .find::<Wires>(&key.on_wire(host.id()).bytes(), guard)
            .is_some_and(|row| {
                row.cookie == sock.cookie() && row.key().faddr == key.faddr && !row.plain
            })
    }

    /// Whether a packet is what a row of the same socket looks like on the wire: it was translated
    /// already (a VRF runs LOCAL_OUT twice), or the socket is bound to no address and now sends
    /// from the locator itself. Either way it is right as it is.
    pub(crate) fn is_wire_form(
        &self,
        skb: &Skb<'_>,
        key: &FlowKey,
        wire: &WireKey,
        sock: &Sock<'_>,
        guard: &Guard,
    ) -> bool {
        let row = self.net.find::<Wires>(&wire.bytes(), guard);
        row.is_some_and(|row| {
            !row.plain
                && self.wire_ends(skb, &row, guard) == Some((key.laddr, key.faddr))
                && self.is_of(&row, sock)
        })
    }

    /// Whether a socket sends the packets of a row: the one that began it, or one that took over from that or shares its
    /// port with it. A connected socket has a flow of its own.
    fn is_of(&self, row: &Row, sock: &Sock<'_>) -> bool {
        if row.cookie == sock.cookie() {
            return true;
        }
        row.key().proto == UDP
            && !sock.established()
            && row.full_sock(self).is_none_or(|other| other.shares(sock))
    }

    /// Lets a socket send from an address that is no longer local, if that is not allowed already.
    #[inline]
    pub(crate) fn keep_source(&self, sock: &Sock<'_>) {
        if !sock.transparent() && sock.lend(&self.net).is_err() {
            self.refuse(Reason::NoMemory);
        }
    }

    /// Makes the row of a flow.
    #[inline(never)]
    pub(crate) fn flow_open<'a>(
        &self,
        skb: &Skb<'_>,
        host: Found<'_, Host>,
        opening: Opening<'_>,
        guard: &'a Guard,
    ) -> Result<Found<'a, Row>, NoRow> {
        // While the switch is off, only what would be taken for a flow that is there is told from it.
        let wire = opening.wire.bytes();
        if !self.params.is_on() && self.net.find::<Wires>(&wire, guard).is_none() {
            return Err(NoRow::Pass);
        }
        let place = match opening.start {
            // It is never on the path, so what looks like it there is another.
            Start::OpensPlain => Place {
                apart: true,
                ..Place::new(opening.key.lport)
            },
            _ => self.place(skb, &opening, guard)?,
        };
        self.flow_add(host, opening, place, guard)
    }

    /// Makes the row of a flow whose local identifier is gone from this machine, so that no packet of it comes; true when it is
    /// there. What has its ports is at other addresses.
    pub(crate) fn flow_join(
        &self,
        host: Found<'_, Host>,
        opening: Opening<'_>,
        guard: &Guard,
    ) -> bool {
        if !self.params.is_on() {
            return false;
        }
        let mut place = Place::new(opening.key.lport);
        if let Some(other) = self.net.find::<Wires>(&opening.wire.bytes(), guard) {
            other.twin.store(true, Relaxed);
            (place.apart, place.twin) = (true, true);
        }
        self.flow_add(host, opening, place, guard).is_ok()
    }

    fn flow_add<'a>(
        &self,
        host: Found<'_, Host>,
        opening: Opening<'_>,
        place: Place,
        guard: &'a Guard,
    ) -> Result<Found<'a, Row>, NoRow> {
        let Opening {
            key,
            wire,
            owner,
            start,
        } = opening;
        let cookie = owner.cookie();
        let _charge = owner.sock.map(Charge::to);
        let Some(shared) = host.share() else {
            return Err(NoRow::Pass);
        };
        // TCP needs it for IPv4 only; others name their source by IPV6_PKTINFO, too.
        let lends = (key.laddr.is_v4() || key.proto != TCP) && owner.borrows();
        let wire = WireKey {
            lport: place.port,
            ..wire
        };
        let born = match start {
            Start::Joins => 0,
            _ => self.marks.load(Relaxed),
        };
        // It leaves with its host. If another host turns up at the address, `born` decides whose it is.
        let since = match start {
            Start::Accepted => 0,
            _ => born,
        };
        if self.take_room(host, guard).is_err() {
            return Err(NoRow::Pass);
        }
        let row = Owned::new(
            Row {
                flow: key.bytes(),
                wire: wire.bytes(),
                wire_port: place.port,
                host_port: wire.fport,
                plain: start == Start::OpensPlain,
                born,
                host: shared,
                device: owner.device,
                lends,
                answers: key.proto == UDP && owner.sock.is_some_and(|sock| !sock.established()),
                apart: place.apart,
                known: Atomic::new(place.known),
                twin: Atomic::new(place.twin),
                since: Atomic::new(since),
                heard: Atomic::new(0),
                sent: Atomic::new(false),
                here: Atomic::new(false),
                there: Atomic::new(false),
                stance: Stance::new(),
                cookie,
                made: clock::jiffies(),
                last: Atomic::new(clock::jiffies()),
                checked: Atomic::new(clock::jiffies()),
            },
            true,
        );
        let row = row.and_then(|row| self.net.row_insert(row, !place.apart, guard));
        match row {
            Ok(row) => {
                self.count(Counter::FlowsMade);
                let up = host.view.read(guard).state() == HostState::Up;
                if let Some(sock) = owner.sock.filter(|_| lends && up) {
                    self.keep_source(sock);
                }
                // Pairs with the exchange in `host_remove`: where this finds the host in place, the row was
                // there before, since a compare and exchange that succeeds is fully ordered.
                if host.gone.cmpxchg(false, false, Full).is_err() {
                    self.flow_close(row);
                }
                // Ordered behind it as well: who switches off finds the row, or this finds the switch off.
                self.hold_if_off(&row, &host);
                return Ok(row);
            }
            // Another CPU was faster, below.
            Err(EEXIST) => (),
            Err(_) => self.refuse(Reason::NoMemory),
        }
        self.give_room(&host);
        self.net
            .find::<Flows>(&key.bytes(), guard)
            .ok_or(NoRow::Pass)
    }

    /// The place of a new flow on the wire: its own local port, unless an older flow of the same host is the same there at
    /// this moment. An older one with the same ports between other addresses keeps its place among what is found by ports.
    fn place(&self, skb: &Skb<'_>, opening: &Opening<'_>, guard: &Guard) -> Result<Place, NoRow> {
        let Opening {
            key,
            mut wire,
            owner,
            start,
        } = *opening;
        let own = Place::new(key.lport);
        let Some(other) = self.net.find::<Wires>(&wire.bytes(), guard) else {
            return Ok(own);
        };
        if self.wire_ends(skb, &other, guard) != Some((key.laddr, key.faddr)) {
            other.twin.store(true, Relaxed);
            // A socket that is bound to no address goes on by the newest way.
            let goes_on = owner.sock.is_some_and(|sock| self.is_of(&other, sock))
                && other.key().faddr == key.faddr;
            if goes_on {
                self.net.row_unwire(other);
            }
            // Its address is gone from all devices by which packets leave, and which is there instead may not be told yet.
            let gone = || {
                let device = self.net.device_of(skb, other.key().laddr, guard);
                device.unwrap_or(0) == 0
            };
            return Ok(Place {
                apart: !goes_on,
                twin: true,
                known: goes_on && other.known.load(Relaxed) && gone(),
                ..own
            });
        }
        let cookie = owner.cookie();
        if other.cookie == cookie || !has_mappable_port(key.proto) {
            // The same socket under another address of its own: the newest way is the way in.
            self.net.row_unwire(other);
            return Ok(own);
        }
        if other.sock(self).is_none() {
            self.flow_close(other);
            return Ok(own);
        }
        if matches!(start, Start::Joins | Start::Accepted | Start::Accepts) {
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
                || self.net.find::<Wires>(&wire.bytes(), guard).is_some()
                || (key.proto == TCP && AnySock::tcp(&self.net, &mapped, 0).is_some())
                || (key.proto == UDP && Sock::udp(&self.net, &mapped, 0).is_some());
            if !taken {
                self.count(Counter::PortMapped);
                return Ok(Place::new(wire.lport));
            }
        }
        Err(NoRow::Drop(Reason::PortExhausted))
    }

    /// The row of a packet that comes in, where `row` has its ports and others of the host have them, too: that between
    /// the packet's own addresses, unless the older one is on the wire between them. `None` when there is none between them.
    #[cold]
    pub(crate) fn among_twins<'a>(
        &self,
        skb: &Skb<'_>,
        wire: &FlowKey,
        row: Found<'a, Row>,
        guard: &'a Guard,
    ) -> Option<Found<'a, Row>> {
        let exact = self.row_between(wire, row.host().id(), guard)?;
        match self.wire_ends(skb, &row, guard) {
            Some(ends) if ends == (wire.laddr, wire.faddr) => Some(row),
            _ => Some(exact),
        }
    }

    /// The row of a host whose identifiers and ports are those of a packet on the wire.
    pub(crate) fn row_between<'a>(
        &self,
        wire: &FlowKey,
        host: u32,
        guard: &'a Guard,
    ) -> Option<Found<'a, Row>> {
        let row = self.net.find::<Flows>(&wire.bytes(), guard)?;
        (row.host().id() == host && row.wire_port == wire.lport).then_some(row)
    }

    /// Whether a flow that has twins must wait, since an older flow of the host is on the wire between the same addresses,
    /// or would get what comes in for it.
    #[cold]
    pub(crate) fn waits_for_twin(
        &self,
        skb: &Skb<'_>,
        row: Found<'_, Row>,
        ends: (Addr, Addr),
        home: bool,
        guard: &Guard,
    ) -> bool {
        if !row.apart {
            return false;
        }
        match self.net.find::<Wires>(&row.wire, guard) {
            Some(other) if other.is(row) => false,
            Some(other) if other.sock(self).is_none() => {
                self.flow_close(other);
                !home && self.net.row_wire(row).is_err()
            }
            Some(other) if home => self.wire_ends(skb, &other, guard) == Some(ends),
            Some(_) => true,
            None => !home && self.net.row_wire(row).is_err(),
        }
    }

    /// A flow of a socket that is connected to nobody is whose it comes from: of this host, and no longer of one that had
    /// the address before.
    pub(crate) fn flow_take_over(&self, key: &FlowKey, host: &Host, guard: &Guard) {
        let row = self.net.find::<Flows>(&key.bytes(), guard);
        if let Some(row) = row.filter(|row| row.host().id() != host.id()) {
            self.flow_close(row);
        }
    }

    /// Removes the row of a connection that has moved, when another machine opens one with the same addresses and ports. Fails while its
    /// socket is alive: the stack cannot have both.
    #[cold]
    pub(crate) fn flow_give_way(&self, row: Found<'_, Row>) -> Result<(), Reason> {
        if row.full_sock(self).is_some() {
            return Err(Reason::SameWire);
        }
        self.flow_close(row);
        Ok(())
    }

    /// Removes a row; true for the caller that did it.
    pub(crate) fn flow_close(&self, row: Found<'_, Row>) -> bool {
        if !self.net.row_remove(row, row.apart) {
            return false;
        }
        self.give_room(&row.host);
        row.stance.close(&row.host);
        true
    }
}
