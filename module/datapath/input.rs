// SPDX-License-Identifier: GPL-2.0

//! LOCAL_IN: locators become identifiers.

use super::{
    arrival::Arrival,
    error,
    family,
    held::{
        note_announcement,
        wait, //
    },
    is_signalling,
    parse_skb,
    rewrite,
    Verdict, //
};
use crate::{
    ffi::{
        clock,
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
        Row,
        Wires, //
    },
    follow,
    host::{
        AddrNode,
        Host, //
    },
    nat::Nat,
    netns::Netns,
    stats::Counter,
    uapi::HostState,
    view::View, //
};
use ihmp_core::{
    addr::{
        Addr,
        Family, //
    },
    ends::Foreign,
    flow::FlowKey,
    packet::{
        Kind,
        Packet,
        TCP_ACK,
        TCP_RST,
        TCP_SYN,
        UDP, //
    },
    sets::Role,
    verdict::Reason,
    xlat::Rewrite, //
};
use kernel::sync::rcu::{
    self,
    Guard, //
};

/// One packet for a local socket.
pub(crate) fn input(netns: &Netns, mut skb: Skb<'_>, ipv6: bool) -> Verdict {
    let guard = rcu::read_lock();
    let loopback = skb.in_is_loopback();
    let Some(packet) = parse_skb(netns, &mut skb, family(ipv6)) else {
        return Verdict::Accept;
    };
    match packet.kind {
        Kind::Error(quoted) => return error::input(netns, skb, &packet, &quoted, &guard),
        // The kernel answers echo requests with what is on the wire.
        Kind::Icmp | Kind::Echo { request: true } => return Verdict::Accept,
        _ if loopback => return Verdict::Accept,
        _ => (),
    }
    if is_signalling(netns, &packet.tuple) {
        note_announcement(netns, &mut skb, &packet, &guard);
        return Verdict::Accept;
    }
    if !packet.tuple.dst.translatable() {
        return Verdict::Accept;
    }
    let known = netns.named(packet.tuple.src, &guard);
    let Some(host) = known
        .filter(|node| node.role() == Role::Active)
        .map(|node| node.host(&guard))
    else {
        return stranger(netns, skb, &packet, known, &guard);
    };
    let arrival = Arrival::new(netns, &skb, &packet, host, packet.tuple.sport, &guard);
    let found = match arrival.row() {
        Some(row) => arrival.row_like(row),
        None if netns.has_nats() && netns.is_natted(packet.tuple.src, &guard) => {
            return natted(netns, skb, &packet, Some(host), &guard);
        }
        None => arrival.adopt(),
    };
    match found {
        Ok(row) => receive(netns, skb, &packet, &host, row, false, &guard),
        Err(why) => netns.without_row(why),
    }
}

/// A packet from the address of a NAT, and perhaps of a host `at` it. It belongs to a flow of a host
/// behind the NAT if that has a port mapping, to one of the host at the address, or to what is no
/// host's; or to a flow whose mapping is not known, which a reset would end.
#[inline(never)]
fn natted(
    netns: &Netns,
    mut skb: Skb<'_>,
    packet: &Packet,
    at: Option<Found<'_, Host>>,
    guard: &Guard,
) -> Verdict {
    if let Some(nat) = netns.nat_of(&FlowKey::inbound(&packet.tuple), guard) {
        return behind_nat(netns, skb, packet, nat, guard);
    }
    if let Some(host) = at {
        match Arrival::new(netns, &skb, packet, host, packet.tuple.sport, guard).adopt() {
            Ok(row) => return receive(netns, skb, packet, &host, row, false, guard),
            Err(NoRow::Pass) => (),
            Err(why) => return netns.without_row(why),
        }
    }
    if netns.pending.is_any() {
        skb = match wait(netns, skb, packet, guard) {
            Ok(verdict) => return verdict,
            Err(skb) => skb,
        };
    }
    if answered(netns, &skb, packet, guard) {
        Verdict::Accept
    } else {
        netns.drop_for(Reason::NatUnmapped)
    }
}

/// Delivers a packet of a host behind a NAT, if it has a flow for it.
fn behind_nat(
    netns: &Netns,
    skb: Skb<'_>,
    packet: &Packet,
    nat: Found<'_, Nat>,
    guard: &Guard,
) -> Verdict {
    let host = nat.host().under(guard);
    let arrival = Arrival::new(netns, &skb, packet, host, nat.mapping.port, guard);
    match arrival.row().map_or_else(|| arrival.adopt(), Ok) {
        Ok(row) => receive(netns, skb, packet, &host, row, true, guard),
        Err(why) => netns.without_row(why),
    }
}

/// Whether the stack would have anything but a reset or an error for the packet. Of other protocols
/// than TCP and UDP that cannot be known.
pub(super) fn answered(netns: &Netns, skb: &Skb<'_>, packet: &Packet, guard: &Guard) -> bool {
    let key = FlowKey::inbound(&packet.tuple);
    match packet.kind {
        Kind::Tcp { flags } => {
            flags & (TCP_SYN | TCP_ACK) == TCP_SYN
                || AnySock::tcp(&netns.net, &key, skb.ifindex()).is_some()
                || Sock::takes_cookie(&netns.net, &key, skb.ifindex(), guard)
        }
        Kind::Udp { .. } => Sock::udp(&netns.net, &key, skb.ifindex()).is_some(),
        _ => true,
    }
}

/// Delivers a packet of a known flow to the socket's identifiers.
#[inline]
fn receive(
    netns: &Netns,
    mut skb: Skb<'_>,
    packet: &Packet,
    host: &Host,
    row: Found<'_, Row>,
    by_nat: bool,
    guard: &Guard,
) -> Verdict {
    let now = clock::jiffies();
    let view = host.view.read(guard);
    if is_doubted(packet, host, view, &row, now) {
        return netns.drop_for(Reason::UnvalidatedReset);
    }
    let tuple = &packet.tuple;
    let key = row.key();
    let as_known = key.faddr == tuple.src
        && key.laddr == tuple.dst
        && key.lport == tuple.dport
        && key.fport == tuple.sport;
    // What is delivered is checked as the socket knows it, so what is about to be translated is checked before.
    if !as_known && !is_admitted(netns, &mut skb, packet, row) {
        return netns.drop_for(Reason::Ipsec);
    }
    row.seen.touch(now);
    row.seen.hear(now);
    row.seen.silence.hear(tuple.dst);
    host.traffic.received(now);
    if view.state() != HostState::Up || row.plain || view.hides(packet.tuple.dst) {
        netns.count(Counter::InUnchanged);
        return Verdict::Accept;
    }
    if view.tries(tuple.src) {
        netns.hear_unvalidated(host, view, skb.wire_len(), guard);
    }
    if row.stance.stays() {
        if key.faddr != tuple.src || key.laddr != tuple.dst {
            return netns.drop_for(Reason::Stays);
        }
    } else {
        hear(netns, packet, host, &row, key.faddr, by_nat, guard);
    }
    if as_known {
        netns.count(Counter::InUnchanged);
        return Verdict::Accept;
    }
    if row.is_abandoned(&netns.net, now) {
        netns.flow_close(row);
        return Verdict::Accept;
    }
    let to = Rewrite {
        src: key.faddr,
        dst: key.laddr,
        sport: key.fport,
        dport: key.lport,
    };
    if !rewrite(&mut skb, packet, &to) {
        return netns.drop_for(Reason::NotWritable);
    }
    skb.forget_sock();
    if key.laddr != tuple.dst {
        netns.keep_answers(&row, skb.ifindex(), guard);
    }
    netns.count(Counter::InTranslated);
    Verdict::Accept
}

/// Whether the policies of IPsec let a packet in as it is. A program may have policies of its own, such as one that lets the packets of
/// key exchange pass.
#[inline]
fn is_admitted(netns: &Netns, skb: &mut Skb<'_>, packet: &Packet, row: Found<'_, Row>) -> bool {
    let ipv6 = packet.family == Family::V6;
    skb.is_admitted(None, ipv6)
        || row
            .full_sock(&netns.net)
            .is_some_and(|sock| skb.is_admitted(Some(&sock), ipv6))
}

/// Whether the packet resets a flow of ours that has left its address, and its host may not know yet who speaks from there: it has
/// not acknowledged that address, or answers what belongs to no connection (no ACK, RFC 9293 section 3.5.2) and was not heard on the flow
/// since we moved a moment ago.
#[inline]
fn is_doubted(packet: &Packet, host: &Host, view: &View, row: &Row, now: u64) -> bool {
    let Kind::Tcp { flags } = packet.kind else {
        return false;
    };
    if flags & TCP_RST == 0 || view.state() != HostState::Up {
        return false;
    }
    let moves = !row.plain && !row.stance.stays();
    let unknown = || {
        flags & TCP_ACK == 0
            && host
                .moves
                .relocated(now)
                .is_some_and(|since| row.seen.is_unheard(since))
    };
    moves
        && row.key().laddr != packet.tuple.dst
        && (view.unvalidated(packet.tuple.dst) || unknown())
}

/// Takes note of where a packet of a flow comes from: the host has left the identifier by which the flow knows it, or has
/// come back there. What stays at its identifiers says nothing about other flows.
#[inline]
fn hear(
    netns: &Netns,
    packet: &Packet,
    host: &Host,
    row: &Row,
    faddr: Addr,
    by_nat: bool,
    guard: &Guard,
) {
    let view = host.view.read(guard);
    let from = packet.tuple.src;
    if from == faddr {
        match row.foreign_end(view, faddr) {
            Foreign::Home => return,
            Foreign::Away => row.seen.hear_there(netns.marks.last()),
        }
    } else {
        view.leave(faddr, row.seen.since(), &netns.marks);
        row.seen.hear_elsewhere();
    }
    let followed = if by_nat {
        view.hear_nat(packet.tuple.dst, from)
    } else {
        view.hear(from)
    };
    if followed {
        host.moves.note_follow();
        host.loss.note_change();
        follow::tell(netns, host, packet.family, guard);
    }
}

/// A packet from an address that is no host's locator at the moment, but may be `known` otherwise.
#[inline]
fn stranger(
    netns: &Netns,
    mut skb: Skb<'_>,
    packet: &Packet,
    known: Option<Found<'_, AddrNode>>,
    guard: &Guard,
) -> Verdict {
    if netns.has_nats() && netns.is_natted(packet.tuple.src, guard) {
        return natted(netns, skb, packet, None, guard);
    }
    if netns.pending.is_any() {
        skb = match wait(netns, skb, packet, guard) {
            Ok(verdict) => return verdict,
            Err(skb) => skb,
        };
    }
    if let Some(verdict) = known.and_then(|_| pass_by(netns, packet, guard)) {
        return verdict;
    }
    if is_late(netns, &skb, packet, known, guard) {
        return netns.drop_for(Reason::Late);
    }
    if netns.params.discovers() {
        netns.asking.openers.hear(&packet.tuple, || {
            let key = FlowKey::inbound(&packet.tuple);
            let udp = packet.tuple.proto == UDP;
            let sock = udp.then(|| Sock::udp(&netns.net, &key, skb.ifindex()));
            sock.flatten().is_some_and(|sock| sock.calls())
        });
    }
    Verdict::Accept
}

/// What becomes of a packet from a former address of a host that has the identifiers of a flow of that host. The socket gets it as it
/// is. Who answers it means whoever sent it; but a TCP connection that is older than the move is none of who is there now.
fn pass_by(netns: &Netns, packet: &Packet, guard: &Guard) -> Option<Verdict> {
    let key = FlowKey::inbound(&packet.tuple);
    let row = netns.net.find::<Flows>(&key.bytes(), guard)?;
    if row.plain {
        return Some(Verdict::Accept);
    }
    let host = row.host().under(guard);
    let there = match packet.kind {
        Kind::Tcp { flags } if flags & TCP_SYN != 0 && !row.is_fresh(&host) => {
            let view = host.view.read(guard);
            if row.foreign_end(view, key.faddr) == Foreign::Away {
                return match netns.flow_give_way(row) {
                    Ok(()) => None,
                    Err(why) => Some(netns.drop_for(why)),
                };
            }
            true
        }
        Kind::Tcp { .. } => row.is_fresh(&host),
        _ => true,
    };
    if there {
        row.seen.hear_there(netns.marks.last());
    }
    Some(Verdict::Accept)
}

/// Whether the packet was on the way when its host left that address, or the NAT there: a flow of the same ports goes on
/// elsewhere, and nobody here waits for it. A reset would reach the host, or close the door that a NAT keeps open for it.
fn is_late(
    netns: &Netns,
    skb: &Skb<'_>,
    packet: &Packet,
    known: Option<Found<'_, AddrNode>>,
    guard: &Guard,
) -> bool {
    let key = FlowKey::inbound(&packet.tuple);
    let (host, port) = match netns.nat_left(&key, guard) {
        Some(nat) => (nat.host().under(guard), nat.mapping.port),
        None => match known {
            Some(node) if node.role() == Role::Alias => (node.host(guard), key.fport),
            _ => return false,
        },
    };
    let wire = key.on_wire_by(host.id(), port);
    let row = netns.net.find::<Wires>(&wire.bytes(), guard);
    row.is_some_and(|row| !row.plain) && !answered(netns, skb, packet, guard)
}
