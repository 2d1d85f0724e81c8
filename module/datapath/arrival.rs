// SPDX-License-Identifier: GPL-2.0

//! Which flow a packet of a host belongs to: its addresses and ports, the sockets of this machine, and the rows that are
//! there decide.

use crate::{
    ffi::{
        object::Found,
        skb::Skb,
        sock::{
            AnySock,
            Sock, //
        }, //
    },
    flow::{
        Flows,
        NoRow,
        Opening,
        Owner,
        Row,
        Start,
        Wires, //
    },
    host::Host,
    netns::Netns,
    uapi::HostState, //
};
use ihmp_core::{
    addr::Family,
    ends,
    flow::FlowKey,
    packet::{
        Kind,
        Packet,
        TCP,
        TCP_ACK,
        TCP_RST,
        TCP_SYN,
        UDP, //
    },
    sets::Role,
    verdict::Reason, //
};
use kernel::sync::rcu::Guard;

/// Pairs of former addresses that are tried for a packet whose flow is not known.
const ADOPT_TRIES: usize = 64;

/// A way to find the full socket that gets a packet.
type Lookup = fn(&Netns, &FlowKey, u32) -> Option<Sock<'static>>;

/// How the sockets of a protocol are found.
fn lookup_for(proto: u8) -> Option<Lookup> {
    match proto {
        TCP => Some(|netns, key, ifindex| Sock::tcp(&netns.net, key, ifindex)),
        UDP => Some(|netns, key, ifindex| Sock::udp(&netns.net, key, ifindex)),
        _ => None,
    }
}

/// A packet of a host, for a local socket.
pub(super) struct Arrival<'p, 'a> {
    netns: &'a Netns,
    skb: &'p Skb<'p>,
    packet: &'p Packet,
    host: Found<'a, Host>,
    /// What the packet says: its addresses and ports, as the flow of a socket here.
    same: FlowKey,
    /// The host's own port, which a NAT may have changed.
    port: u16,
    guard: &'a Guard,
}

impl<'p, 'a> Arrival<'p, 'a> {
    #[inline]
    pub(super) fn new(
        netns: &'a Netns,
        skb: &'p Skb<'p>,
        packet: &'p Packet,
        host: Found<'a, Host>,
        port: u16,
        guard: &'a Guard,
    ) -> Self {
        Self {
            netns,
            skb,
            packet,
            host,
            same: FlowKey::inbound(&packet.tuple),
            port,
            guard,
        }
    }

    /// The row of the host with the ports of the packet, if there is one.
    #[inline]
    pub(super) fn row(&self) -> Option<Found<'a, Row>> {
        let wire = self.same.on_wire_by(self.host.id(), self.port);
        self.netns.net.find::<Wires>(&wire.bytes(), self.guard)
    }

    /// The row of the packet, which has the ports of `row`.
    #[inline]
    pub(super) fn row_like(&self, row: Found<'a, Row>) -> Result<Found<'a, Row>, NoRow> {
        if row.has_twin() {
            let twin = self
                .netns
                .among_twins(self.skb, &self.same, row, self.guard);
            if let Some(row) = twin {
                return Ok(row);
            }
        }
        match row.expects(&self.same) {
            true => Ok(row),
            false => self.stray(row),
        }
    }

    /// The row of a packet with the ports of `row`, but not from or to where that was so far: another flow of the host, or
    /// the same one, that has moved.
    #[cold]
    fn stray(&self, row: Found<'a, Row>) -> Result<Found<'a, Row>, NoRow> {
        if self.opens() {
            return Err(NoRow::Pass);
        }
        if let Some(row) = self.exact()? {
            return Ok(row);
        }
        // Without a move of ours nobody has a reason to send what was for one of our addresses to another.
        let key = row.key();
        if key.proto == UDP && self.same.laddr != key.laddr && !row.seen.roams_here() {
            let view = self.host.view.read(self.guard);
            let known = row.is_known(view, key.laddr);
            let end = ends::local(&view.lists(), key.laddr, row.seen.age(), known);
            let sock = Sock::udp(&self.netns.net, &self.same, self.skb.ifindex());
            if let Some(sock) = sock.filter(|_| !end.is_away()) {
                return self.open(&self.same, &sock, Start::Accepts);
            }
        }
        if !row.stance.stays() {
            row.roam(&self.same);
        }
        Ok(row)
    }

    /// A row for the first packet of a flow that we see: its socket may know the host, and be known to it, by former
    /// addresses.
    #[inline(never)]
    pub(super) fn adopt(&self) -> Result<Found<'a, Row>, NoRow> {
        let (netns, skb, guard) = (self.netns, self.skb, self.guard);
        let view = self.host.view.read(guard);
        // What opens or resets a connection belongs to none that was there before.
        let resets = matches!(self.packet.kind, Kind::Tcp { flags } if flags & TCP_RST != 0);
        if self.opens() {
            return Err(self.make_way());
        }
        if view.state() == HostState::Classic || resets {
            return Err(NoRow::Pass);
        }
        if let Some(row) = self.exact()? {
            return Ok(row);
        }
        let lookup = lookup_for(self.same.proto).ok_or(NoRow::Pass)?;
        if view.state() == HostState::Up && !view.hides(self.packet.tuple.dst) {
            let aliases = view.list(Role::Alias).iter();
            let aliases = aliases.map(|entry| (entry.addr, entry.unvalidated));
            let others = view.list(Role::Active).iter();
            let others = others.filter(|entry| !entry.nat);
            let others = others.map(|entry| (entry.addr, false));
            let mut tries = 0;
            // For an unvalidated alias accept only segments within the TCP window.
            for (faddr, doubtful) in aliases.chain(others) {
                for laddr in view.own_addresses() {
                    let key = FlowKey {
                        laddr,
                        faddr,
                        fport: self.port,
                        ..self.same
                    };
                    if laddr.family() != faddr.family()
                        || laddr.family() != self.packet.family
                        || key == self.same
                    {
                        continue;
                    }
                    tries += 1;
                    if tries > ADOPT_TRIES {
                        return Err(NoRow::Pass);
                    }
                    // A socket that is bound to a device is found only by a packet on that device.
                    let sock = lookup(netns, &key, skb.ifindex()).filter(|sock| sock.established());
                    let sock = sock.filter(|sock| !doubtful || self.is_within(sock));
                    match sock {
                        // The switch is off: drop, so that the host gets no reset.
                        Some(_) if !netns.params.is_on() => {
                            return Err(NoRow::Drop(Reason::Stays));
                        }
                        Some(sock) => return self.open(&key, &sock, Start::Joins),
                        None => (),
                    }
                }
            }
        }
        match lookup(netns, &self.same, skb.ifindex()) {
            Some(sock) => self.open(&self.same, &sock, Start::Accepts),
            None => Err(NoRow::Pass),
        }
    }

    /// What becomes of a packet that opens a connection. A flow of another host may have the same addresses and ports: the packet passes
    /// if that is over, and is dropped otherwise.
    fn make_way(&self) -> NoRow {
        let row = self
            .netns
            .net
            .find::<Flows>(&self.same.bytes(), self.guard)
            .filter(|row| row.host().id() != self.host.id() && !row.plain);
        match row.map(|row| self.netns.flow_give_way(row)) {
            Some(Err(why)) => NoRow::Drop(why),
            _ => NoRow::Pass,
        }
    }

    /// The row of the packet by its very addresses and ports: one that is found by nothing else, or one that is made for a
    /// socket which is connected to just this. `Err` when such a connection is still being accepted, also where a SYN cookie
    /// is all that there is of it.
    fn exact(&self) -> Result<Option<Found<'a, Row>>, NoRow> {
        let (net, ifindex) = (&self.netns.net, self.skb.ifindex());
        let row = self
            .netns
            .row_between(&self.same, self.host.id(), self.guard);
        if row.is_some() {
            return Ok(row);
        }
        let sock = match self.same.proto {
            TCP => AnySock::tcp(net, &self.same, ifindex),
            UDP => Sock::udp(net, &self.same, ifindex)
                .filter(Sock::established)
                .map(AnySock::from),
            _ => return Ok(None),
        };
        let Some(sock) = sock else {
            return match self.answers_cookie() {
                true => Err(NoRow::Pass),
                false => Ok(None),
            };
        };
        let Some(sock) = sock.full() else {
            return Err(NoRow::Pass);
        };
        let start = match self.same.proto {
            TCP if sock.is_new() => Start::Accepted,
            TCP => Start::Joins,
            _ => Start::Accepts,
        };
        self.open(&self.same, &sock, start).map(Some)
    }

    /// Whether the packet opens a TCP connection.
    #[inline]
    fn opens(&self) -> bool {
        matches!(self.packet.kind, Kind::Tcp { flags } if flags & (TCP_SYN | TCP_ACK) == TCP_SYN)
    }

    /// Whether the packet is a segment that only who has the other end of the connection can send, and no reset: what it sends and what
    /// it acknowledges are in the windows of the socket, or shortly before, as a keepalive is (RFC 5961 section 5).
    fn is_within(&self, sock: &Sock<'_>) -> bool {
        let Kind::Tcp { flags } = self.packet.kind else {
            return false;
        };
        let octets = |at: usize| {
            let at = self.packet.l4.saturating_add(at);
            let field = self.skb.head().get(at..).and_then(<[u8]>::first_chunk);
            field.map(|octets| u32::from_be_bytes(*octets))
        };
        let (Some(sequence), Some(acknowledged)) = (octets(4), octets(8)) else {
            return false;
        };
        flags & (TCP_ACK | TCP_RST) == TCP_ACK && sock.is_within(sequence, acknowledged)
    }

    /// Whether a listener makes a connection of the packet, which answers its SYN cookie.
    fn answers_cookie(&self) -> bool {
        self.same.proto == TCP
            && self
                .skb
                .has_cookie(self.packet.l4, self.packet.family == Family::V6)
            && Sock::takes_cookie(&self.netns.net, &self.same, self.skb.ifindex(), self.guard)
    }

    /// Makes a row between the identifiers `key` for the socket that gets the packet. What comes to an address behind a NAT
    /// without mappings is never translated, nor is what begins at an address of which the host is told nothing more.
    ///
    /// Another host may have the flow, which had the foreign identifier before. It loses the flow to who sends a segment that only the
    /// other end can send, and that of a socket which is connected to nobody. Any other packet passes: where this host is says
    /// nothing of where that one is.
    fn open(&self, key: &FlowKey, sock: &Sock<'_>, start: Start) -> Result<Found<'a, Row>, NoRow> {
        let others = |row: &Row| row.host().id() != self.host.id();
        let row = self.netns.net.find::<Flows>(&key.bytes(), self.guard);
        if let Some(row) = row.filter(|row| others(row)) {
            let unconnected = key.proto == UDP && !sock.established();
            if !unconnected && !self.is_within(sock) {
                return Err(NoRow::Pass);
            }
            self.netns.flow_close(row);
        }
        let view = self.host.view.read(self.guard);
        let withdrawn = key == &self.same && view.was_ours(key.laddr);
        let opening = Opening {
            key,
            wire: self.same.on_wire_by(self.host.id(), self.port),
            owner: Owner::sock(sock),
            start: match withdrawn || view.hides(self.packet.tuple.dst) {
                true => Start::OpensPlain,
                false => start,
            },
        };
        let row = self
            .netns
            .flow_open(self.skb, self.host, opening, self.guard)?;
        // Another CPU may have made one of another host meanwhile.
        match others(&row) {
            true => Err(NoRow::Pass),
            false => Ok(row),
        }
    }
}
