// SPDX-License-Identifier: GPL-2.0

//! LOCAL_OUT: identifiers become locators.

use super::{
    error,
    family,
    is_signalling,
    parse_skb,
    rewrite,
    Verdict, //
};
use crate::{
    course::{
        Asked,
        Course,
        Leg, //
    },
    discover,
    ffi::{
        clock,
        object::Found,
        skb::Skb,
        sock::Sock, //
    },
    flow::{
        Flows,
        NoRow,
        Opening,
        Owner,
        Row,
        Start, //
    },
    host::{
        Host, //
    },
    netns::Netns,
    stats::Counter,
    uapi::HostState, //
};
use ihmp_core::{
    addr::Family,
    flow::FlowKey,
    packet::{
        parse,
        Kind,
        Packet,
        TCP,
        TCP_ACK,
        TCP_RST,
        TCP_SYN, //
    },
    sets::Role,
    verdict::Reason,
    xlat::Rewrite, //
};
use kernel::sync::rcu::{
    self,
    Guard, //
};

/// One packet of a local socket.
pub(crate) fn output(netns: &Netns, mut skb: Skb<'_>, ipv6: bool) -> Verdict {
    let guard = rcu::read_lock();
    if skb.out_is_loopback() {
        return pass(netns, &skb, ipv6);
    }
    let Some(packet) = parse_skb(netns, &mut skb, family(ipv6)) else {
        return pass(netns, &skb, ipv6);
    };
    match packet.kind {
        Kind::Error(quoted) => return error::output(netns, skb, &packet, &quoted, &guard),
        Kind::Echo { request: false } => return answer(netns, skb, &packet, &guard),
        Kind::Icmp => return pass(netns, &skb, ipv6),
        _ => (),
    }
    if !packet.tuple.dst.translatable() || is_signalling(netns, &packet.tuple) {
        return pass(netns, &skb, ipv6);
    }
    let key = FlowKey::outbound(&packet.tuple);
    let row = match netns.net.find::<Flows>(&key.bytes(), &guard) {
        Some(row) => row,
        None => match open(netns, &skb, &packet, &key, &guard) {
            Ok(row) => row,
            Err(NoRow::Pass) => return pass(netns, &skb, ipv6),
            Err(why) => return netns.without_row(why),
        },
    };
    send(netns, skb, &packet, row, &guard)
}

/// An echo reply. The kernel answers from the locators of the request, which needs no row. Where we have left that address
/// the host hears us by another one, like everything else of ours that is older than the move.
fn answer(netns: &Netns, mut skb: Skb<'_>, packet: &Packet, guard: &Guard) -> Verdict {
    let tuple = &packet.tuple;
    let ipv6 = packet.family == Family::V6;
    let Some(node) = netns.named(tuple.dst, guard) else {
        return pass(netns, &skb, ipv6);
    };
    let host = node.host(guard);
    let view = host.view.read(guard);
    let local = view.lists().lookup(Role::Local, tuple.src);
    let left = node.role() == Role::Active
        && view.state() == HostState::Up
        && local.is_some_and(|entry| entry.mark != 0 && !entry.nat);
    let leg = left.then(|| netns.answer_leg(&skb, host.get(), view, tuple.dst, guard));
    match leg.flatten() {
        Some(leg) if leg.path.local != tuple.src => {
            let ports = (tuple.sport, tuple.dport);
            translate(netns, &mut skb, packet, &leg, ports)
        }
        _ => pass(netns, &skb, ipv6),
    }
}

/// Writes the locators of a path and these ports into a packet, and gives it its route.
#[inline]
fn translate(
    netns: &Netns,
    skb: &mut Skb<'_>,
    packet: &Packet,
    leg: &Leg<'_>,
    (sport, dport): (u16, u16),
) -> Verdict {
    let to = Rewrite {
        src: leg.path.local,
        dst: leg.path.remote,
        sport,
        dport,
    };
    if !rewrite(skb, packet, &to) {
        return netns.drop_for(Reason::NotWritable);
    }
    let ipv6 = packet.family == Family::V6;
    if netns
        .net
        .route_out(skb, leg.cache, leg.device, ipv6)
        .is_err()
    {
        return netns.drop_for(Reason::NoRoute);
    }
    netns.count(Counter::OutTranslated);
    Verdict::Accept
}

/// A packet that is no flow's. A socket that we let send from its former address may not send from
/// any other: the flag that allows it allows more (ip_route_output_key, and IPv6 as well).
#[inline]
fn pass(netns: &Netns, skb: &Skb<'_>, ipv6: bool) -> Verdict {
    match skb.sock() {
        Some(sock) if sock.watched() => pass_watched(netns, skb, &sock, ipv6),
        Some(_) => Verdict::Accept,
        None => {
            keep_from_accepted(netns, skb, ipv6);
            Verdict::Accept
        }
    }
}

#[cold]
fn pass_watched(netns: &Netns, skb: &Skb<'_>, sock: &Sock<'_>, ipv6: bool) -> Verdict {
    if sock.accepting() {
        // By TCP Fast Open: it was made before its listener's first packet.
        sock.take_back();
        return Verdict::Accept;
    }
    if netns.net.source_is_local(skb, ipv6) || sock.may_spoof() {
        Verdict::Accept
    } else {
        netns.drop_for(Reason::ForeignSource)
    }
}

/// A lent socket may listen later; takes the flag back at its SYN-ACK, before accept() copies it.
#[cold]
fn keep_from_accepted(netns: &Netns, skb: &Skb<'_>, ipv6: bool) {
    let guard = rcu::read_lock();
    let listener = skb
        .listener()
        .or_else(|| sender_of_cookie(netns, skb, ipv6, &guard));
    if let Some(listener) = listener {
        listener.take_back();
    }
}

/// The listener whose SYN cookie the packet is: no socket is named for it, and all of it is in one piece.
fn sender_of_cookie<'a>(
    netns: &Netns,
    skb: &Skb<'_>,
    ipv6: bool,
    guard: &'a Guard,
) -> Option<Sock<'a>> {
    let packet = parse(skb.head(), family(ipv6)).ok()?;
    let key = FlowKey::outbound(&packet.tuple);
    match packet.kind {
        Kind::Tcp { flags } if flags & (TCP_SYN | TCP_ACK) == TCP_SYN | TCP_ACK => {
            Sock::listener(&netns.net, &key, skb.out_device(), guard)
        }
        _ => None,
    }
}

/// Sends a packet of a known flow: as it is, or on a path of its host.
#[inline]
fn send(
    netns: &Netns,
    mut skb: Skb<'_>,
    packet: &Packet,
    row: Found<'_, Row>,
    guard: &Guard,
) -> Verdict {
    let now = clock::jiffies();
    let host = row.host().under(guard);
    let view = host.view.read(guard);
    row.seen.touch(now);
    row.seen.note_sent();
    host.traffic.sent(now);
    if view.state() != HostState::Up || row.plain {
        netns.count(Counter::OutUnchanged);
        return pass(netns, &skb, packet.family == Family::V6);
    }
    let lends = row.socket.lends() && !row.stance.stays();
    match skb.sock() {
        // The row may be that of a socket that listens by now.
        None => keep_from_accepted(netns, &skb, packet.family == Family::V6),
        Some(sock) if row.socket.lends() && sock.accepting() => sock.take_back(),
        Some(sock) if lends => netns.keep_source(&sock),
        Some(_) => (),
    }
    let key = FlowKey::outbound(&packet.tuple);
    let asked = match opens(packet) {
        true => Asked::Opening,
        false => Asked::Packet,
    };
    let course = match netns.course(&skb, row.get(), view, &key, asked, guard) {
        Ok(course) => course,
        Err(why) => return not_sent(netns, &host, packet, why),
    };
    let (from, to) = match &course {
        Course::Home => (key.laddr, key.faddr),
        Course::Away(leg) => (leg.path.local, leg.path.remote),
        Course::Stays => {
            return match pass(netns, &skb, packet.family == Family::V6) {
                Verdict::Accept => at_home(netns, skb, packet, row, &key, guard),
                refused => refused,
            };
        }
        Course::Untold => {
            netns.count(Counter::OutUnchanged);
            return pass(netns, &skb, packet.family == Family::V6);
        }
    };
    let octets = skb.wire_len();
    // Credit is charged only for packets sent where the host led us.
    let directed = matches!(course, Course::Away(_)) || row.seen.roams_there();
    if directed && view.tries(to) && !netns.pay(&host, view, octets, guard) {
        return not_sent(netns, &host, packet, Reason::NoCredit);
    }
    let verdict = match course {
        Course::Away(leg) => {
            let ends = (leg.path.local, leg.path.remote);
            if row.has_twin() && netns.waits_for_twin(&skb, row, ends, false, guard) {
                return not_sent(netns, &host, packet, Reason::SameWire);
            }
            translate(netns, &mut skb, packet, &leg, (row.wire_port, leg.port))
        }
        Course::Home | Course::Stays | Course::Untold => {
            at_home(netns, skb, packet, row, &key, guard)
        }
    };
    if matches!(verdict, Verdict::Accept) {
        host.traffic.takes(view, to, octets);
        if view.has_choice(packet.family) {
            netns.watch_path(&host, &row, (from, to), now);
        }
    }
    verdict
}

/// Who opens a connection means whoever has the address.
#[inline]
fn opens(packet: &Packet) -> bool {
    matches!(packet.kind, Kind::Tcp { flags } if flags & (TCP_SYN | TCP_ACK) == TCP_SYN)
}

/// Sends a packet of a flow of which both ends are at home. Only its local port may be another one on the wire.
#[inline]
fn at_home(
    netns: &Netns,
    mut skb: Skb<'_>,
    packet: &Packet,
    row: Found<'_, Row>,
    key: &FlowKey,
    guard: &Guard,
) -> Verdict {
    if row.has_twin() && netns.waits_for_twin(&skb, row, (key.laddr, key.faddr), true, guard) {
        return not_sent(netns, &row.host().under(guard), packet, Reason::SameWire);
    }
    if row.wire_port == key.lport {
        netns.count(Counter::OutUnchanged);
        return Verdict::Accept;
    }
    let to = Rewrite {
        src: key.laddr,
        dst: key.faddr,
        sport: row.wire_port,
        dport: key.fport,
    };
    if !rewrite(&mut skb, packet, &to) {
        return netns.drop_for(Reason::NotWritable);
    }
    netns.count(Counter::OutTranslated);
    Verdict::Accept
}

/// A packet of a flow that cannot be sent now, for want of a path or because another flow has its place on the wire.
///
/// Programs see what a network that loses packets shows them. TCP keeps errors of transmission to itself; told that a
/// segment was not sent, it sends nothing new that would be missing at the other end later. When there has been no path for
/// too long, errors are what is wanted.
#[cold]
fn not_sent(netns: &Netns, host: &Host, packet: &Packet, why: Reason) -> Verdict {
    netns.refuse(why);
    if packet.tuple.proto == TCP {
        Verdict::Refuse
    } else if host.loss.given_up() {
        Verdict::Unreachable
    } else {
        Verdict::Drop
    }
}

/// The first packet of a flow that we see, on its way out.
#[inline(never)]
fn open<'a>(
    netns: &Netns,
    skb: &Skb<'_>,
    packet: &Packet,
    key: &FlowKey,
    guard: &'a Guard,
) -> Result<Found<'a, Row>, NoRow> {
    if let Some(device) = skb.request() {
        keep_from_accepted(netns, skb, !key.laddr.is_v4());
        return accept(netns, skb, key, Owner::request(device), guard);
    }
    if resets_unvalidated(netns, packet, guard) {
        return Err(NoRow::Drop(Reason::UnvalidatedReset));
    }
    // Packets without a full socket (resets, SYN cookies, time-wait) begin no flow, nor do those of tunnels, which carry
    // the inner packet's socket, nor what a program sends from an address that it chose against the kernel's rules.
    let sock = skb
        .sock()
        .filter(|sock| sock.sends(&netns.net, key.proto, key.lport) && !sock.own_source())
        .ok_or(NoRow::Pass)?;
    if sock.accepting() {
        sock.take_back();
    }
    let mut start = match key.proto {
        TCP if sock.is_new() => Start::Accepted,
        TCP if !sock.opening() => Start::Joins,
        _ => Start::Opens,
    };
    let mut port = key.fport;
    let nat = netns.nat_of(key, guard);
    let node = match nat {
        Some(_) => None,
        None => netns.named(key.faddr, guard),
    };
    let doubtful = |host: &Host| {
        let view = host.view.read(guard);
        let alias = view.lists().lookup(Role::Alias, key.faddr);
        alias.is_some_and(|alias| alias.unvalidated)
    };
    let host = match (nat, node) {
        // It answers a flow that the host began behind the NAT, or is a translated packet already.
        (Some(nat), _) => {
            port = nat.mapping.port;
            start = Start::Joins;
            nat.host().under(guard)
        }
        (None, Some(node)) => {
            let host = node.host(guard);
            match node.role() {
                Role::Active => (),
                // An older connection goes with its host; what opens now, or was just accepted, means whoever is there.
                Role::Alias if key.proto == TCP && sock.opening() => start = Start::OpensPlain,
                Role::Alias if start == Start::Accepted && sock.accepted() => {
                    start = Start::OpensPlain
                }
                Role::Alias if key.proto == TCP && sock.established() && !doubtful(&host) => (),
                Role::Alias if netns.goes_on(key, &host, &sock, guard) => start = Start::Joins,
                _ => return Err(NoRow::Pass),
            }
            host
        }
        (None, None) => discover::consider(netns, packet, &sock, guard).ok_or(NoRow::Pass)?,
    };
    let view = host.view.read(guard);
    let wire = key.on_wire_by(host.id(), port);
    if view.state() == HostState::Classic || netns.is_wire_form(skb, key, &wire, &sock, guard) {
        return Err(NoRow::Pass);
    }
    // What begins at an address that the host is told no more stays there while its device is up.
    let withdrawn = view.was_ours(key.laddr) && netns.net.is_up(skb, key.laddr, guard);
    // What a socket that is bound to no address has begun elsewhere goes on there.
    let continues = netns.goes_on(key, &host, &sock, guard);
    if (withdrawn || view.hides(key.laddr)) && !continues {
        start = Start::OpensPlain;
    }
    if sock.watched()
        && !view.is_ours(key.laddr)
        && !netns.net.source_is_local(skb, !key.laddr.is_v4())
        && !sock.may_spoof()
    {
        return Err(NoRow::Drop(Reason::ForeignSource));
    }
    let row = netns.flow_open(
        skb,
        host,
        Opening {
            key,
            wire,
            owner: Owner::sock(&sock),
            start,
        },
        guard,
    )?;
    // Another CPU may have made it a moment ago, for another host.
    let host = row.host().under(guard);
    let view = host.view.read(guard);
    if continues {
        row.seen.note_continues();
    }
    if view.state() == HostState::Up && !row.is_known(view, key.laddr) {
        discover::untold(netns, &host, packet, &sock);
    }
    Ok(row)
}

/// Whether the packet resets a connection that this machine does not have, and its host may have meant another machine: we came to that
/// address a moment ago, which it has not acknowledged. What answers a SYN has the flag ACK (RFC 9293 section 3.5.2).
fn resets_unvalidated(netns: &Netns, packet: &Packet, guard: &Guard) -> bool {
    let Kind::Tcp { flags } = packet.kind else {
        return false;
    };
    if flags & (TCP_RST | TCP_ACK) != TCP_RST {
        return false;
    }
    let node = netns.named(packet.tuple.dst, guard);
    let node = node.filter(|node| node.role() == Role::Active);
    node.is_some_and(|node| {
        let host = node.host(guard);
        let view = host.view.read(guard);
        view.state() == HostState::Up
            && view.unvalidated(packet.tuple.src)
            && host.moves.relocated(clock::jiffies()).is_some()
    })
}

/// A connection that is being accepted. For a SYN-ACK a row is made only if an end has left its address: the connection is younger than
/// that, and who opens one from a former address of a host is whoever has it now. Elsewhere its first segment does.
#[cold]
fn accept<'a>(
    netns: &Netns,
    skb: &Skb<'_>,
    key: &FlowKey,
    request: Owner<'_>,
    guard: &'a Guard,
) -> Result<Found<'a, Row>, NoRow> {
    let node = netns.named(key.faddr, guard).ok_or(NoRow::Pass)?;
    let host = node.host(guard);
    let start = match node.role() {
        Role::Alias => Start::OpensPlain,
        Role::Active if is_left(&host, key, guard) => Start::Accepts,
        _ => return Err(NoRow::Pass),
    };
    let wire = key.on_wire(host.id());
    netns.flow_open(
        skb,
        host,
        Opening {
            key,
            wire,
            owner: request,
            start,
        },
        guard,
    )
}

/// Whether either end has left its address of a flow, which is still there.
fn is_left(host: &Host, key: &FlowKey, guard: &Guard) -> bool {
    let view = host.view.read(guard);
    let local = view.lists().lookup(Role::Local, key.laddr);
    local.is_some_and(|entry| entry.mark != 0) || view.mark_of(key.faddr) != 0
}
