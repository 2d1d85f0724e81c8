// SPDX-License-Identifier: GPL-2.0

//! Rows are made: what a new flow is, and its place among those of its host.

use super::{
    opening::{
        NoRow,
        Opening,
        Start, //
    },
    seen::Seen,
    socket::Socket,
    Flows,
    Row,
    Wires, //
};
use crate::{
    ffi::{
        charge::charged,
        clock,
        object::{
            Found,
            Owned,
            Room, //
        },
        skb::Skb,
        sock::{
            AnySock,
            Sock, //
        }, //
    },
    host::Host,
    netns::Netns,
    stats::Counter,
    switch::Stance,
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

/// Where a new flow is among those of its host on the wire.
struct Place {
    /// Local port.
    port: u16,
    /// It is not found by its ports.
    apart: bool,
    /// Another flow has its ports.
    twin: bool,
    /// It continues a flow whose local address the host was told of.
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
                row.socket.is(sock.cookie()) && row.key().faddr == key.faddr && !row.plain
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
        if row.socket.is(sock.cookie()) {
            return true;
        }
        row.key().proto == UDP
            && !sock.established()
            && row
                .full_sock(&self.net)
                .is_none_or(|other| other.shares(sock))
    }

    /// Makes the row of a flow, or finds the one that there is between its identifiers, which may be another host's.
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
            // A plain flow is never translated, so it must not be found by its ports.
            Start::OpensPlain => Place {
                apart: true,
                ..Place::new(opening.key.lport)
            },
            _ => self.place(skb, &opening, guard)?,
        };
        self.flow_add(host, opening, place, guard)
    }

    /// Makes the row of a flow whose local identifier is gone from this machine, so that no packet of it comes; true when the
    /// host has it. If another flow has its ports, it is inserted by its identifiers only.
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
        let row = self.flow_add(host, opening, place, guard);
        row.is_ok_and(|row| row.host().id() == host.id())
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
        let Some(shared) = host.share() else {
            return Err(NoRow::Pass);
        };
        let wire = WireKey {
            lport: place.port,
            ..wire
        };
        if self.take_room(host, guard).is_err() {
            return Err(NoRow::Pass);
        }
        let socket = Socket::new(&owner, key);
        let lends = socket.lends();
        let row = Row {
            flow: key.bytes(),
            wire: wire.bytes(),
            wire_port: place.port,
            host_port: wire.fport,
            plain: start == Start::OpensPlain,
            host: shared,
            beyond: false,
            apart: place.apart,
            twin: Atomic::new(place.twin),
            seen: Seen::new(start, self.marks.last(), place.known),
            socket,
            stance: Stance::new(),
        };
        let row = charged(owner.sock, || self.row_insert(row, owner.sock, guard));
        match row {
            Ok(row) => {
                self.count(Counter::FlowsMade);
                let up = host.view.read(guard).state() == HostState::Up;
                if let Some(sock) = owner.sock.filter(|_| lends && up) {
                    self.keep_source(sock);
                }
                // Pairs with the exchange in `host_take_out`: where this finds the host in place, the row was
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
        self.table.leave(&host.rows);
        self.net
            .find::<Flows>(&key.bytes(), guard)
            .ok_or(NoRow::Pass)
    }

    /// Puts a row into memory and into the tables. Rows of TCP and of connected sockets are fewer than sockets, and each takes less. But
    /// whoever sends datagrams to a socket that is connected to nobody makes as many as there are ports; so few of these go beyond the
    /// limit of the cgroup, see [`crate::room`].
    fn row_insert<'a>(
        &self,
        mut row: Row,
        sock: Option<&Sock<'_>>,
        guard: &'a Guard,
    ) -> Result<Found<'a, Row>> {
        if row.key().proto == TCP || sock.is_some_and(Sock::established) {
            return self.net.insert_pair(Owned::new(row, true)?, guard);
        }
        let within = Room::within_limit();
        let beyond = within.is_err() && self.table.go_beyond();
        let room = if beyond { Room::new(true) } else { within };
        row.beyond = beyond;
        let row = room.map(|room| room.fill(row));
        let inserted = row.and_then(|row| self.net.insert_pair(row, guard));
        if inserted.is_err() && beyond {
            self.table.come_back();
        }
        inserted
    }

    /// Which wire port and table entry a new flow gets: its own local port, unless an older flow of the same host is the same there at
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
            // An unbound socket continues with its newest row: that one gets the ports.
            let goes_on = owner.sock.is_some_and(|sock| self.is_of(&other, sock))
                && other.key().faddr == key.faddr;
            if goes_on {
                self.net.leave_second(other);
            }
            // The old address is on no device any more, and the new one may not have been told to the host yet.
            let gone = || {
                let device = self.net.device_of(skb, other.key().laddr, guard);
                device.unwrap_or(0) == 0
            };
            return Ok(Place {
                apart: !goes_on,
                twin: true,
                known: goes_on && other.seen.is_known() && gone(),
                ..own
            });
        }
        let cookie = owner.cookie();
        if other.socket.is(cookie) || !has_mappable_port(key.proto) {
            // Same socket, other source address: inbound packets go to the newest row.
            self.net.leave_second(other);
            return Ok(own);
        }
        if other.sock(&self.net).is_none() {
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
}
