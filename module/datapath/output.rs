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
    discover,
    ffi::{
        clock,
        skb::Skb,
        sock::Sock, //
    },
    flow::{
        NoRow,
        Row,
        Start, //
    },
    host::Host,
    netns::Netns,
    stats::Counter,
    uapi::HostState, //
};
use ihmp_core::{
    addr::Family,
    flow::FlowKey,
    packet::{
        Kind,
        Packet,
        TCP, //
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
    let row = match netns.net.row_by_flow(&key.bytes(), &guard) {
        Some(row) => row,
        None => match open(netns, &skb, &packet, &key, &guard) {
            Ok(row) => row,
            Err(NoRow::Pass) => return pass(netns, &skb, ipv6),
            Err(why) => return netns.without_row(why),
        },
    };
    send(netns, skb, &packet, row, &guard)
}

/// An echo reply. The kernel answers from the locators of the request, which needs no row; but the
/// host hears us by the path that we have now, like everything else of ours.
fn answer(netns: &Netns, mut skb: Skb<'_>, packet: &Packet, guard: &Guard) -> Verdict {
    let tuple = &packet.tuple;
    let ipv6 = packet.family == Family::V6;
    let Some(node) = netns.net.addr(&tuple.dst.octets(), guard) else {
        return pass(netns, &skb, ipv6);
    };
    let host = node.host(guard);
    let view = host.view.read(guard);
    let serves = node.role() == Role::Active
        && view.state() == HostState::Up
        && view.lists().lookup(Role::Local, tuple.src).is_some()
        && !view.hides(tuple.src);
    // What came through a NAT goes back by the port that it came from.
    let path = serves.then(|| netns.path(&skb, host, view, packet.family, guard).ok());
    match path.flatten().filter(|(path, _)| !path.nat) {
        Some((path, cache)) if (path.local, path.remote) != (tuple.src, tuple.dst) => {
            let to = Rewrite {
                src: path.local,
                dst: path.remote,
                sport: tuple.sport,
                dport: tuple.dport,
            };
            if !rewrite(&mut skb, packet, &to) {
                return netns.drop_for(Reason::NotWritable);
            }
            if netns.net.route_out(&mut skb, cache, 0, ipv6).is_err() {
                return netns.drop_for(Reason::NoRoute);
            }
            netns.count(Counter::OutTranslated);
            Verdict::Accept
        }
        _ => pass(netns, &skb, ipv6),
    }
}

/// A packet that is no flow's. A socket that we let send from its former address may not send from
/// any other: the flag that allows it allows more (ip_route_output_key, and IPv6 as well).
#[inline]
fn pass(netns: &Netns, skb: &Skb<'_>, ipv6: bool) -> Verdict {
    match skb.sock() {
        Some(sock) if sock.watched() => pass_watched(netns, skb, &sock, ipv6),
        _ => Verdict::Accept,
    }
}

#[cold]
fn pass_watched(netns: &Netns, skb: &Skb<'_>, sock: &Sock<'_>, ipv6: bool) -> Verdict {
    if netns.net.source_is_local(skb, ipv6) || sock.may_spoof() {
        Verdict::Accept
    } else {
        netns.drop_for(Reason::ForeignSource)
    }
}

/// Sends a packet of a known flow on its host's path.
#[inline]
fn send(netns: &Netns, mut skb: Skb<'_>, packet: &Packet, row: &Row, guard: &Guard) -> Verdict {
    let now = clock::jiffies();
    let host = row.host().under(guard);
    let view = host.view.read(guard);
    row.touch(now);
    host.sent(now);
    if view.state() != HostState::Up || row.plain {
        netns.count(Counter::OutUnchanged);
        return pass(netns, &skb, packet.family == Family::V6);
    }
    if let Some(sock) = skb.sock().filter(|_| row.lends()) {
        netns.keep_source(&sock);
    }
    let (path, cache) = match netns.path(&skb, host, view, packet.family, guard) {
        Ok(found) => found,
        // It began behind a NAT, before the host had said so, or has no other address.
        Err(Reason::NoPath) if view.hides(packet.tuple.src) => {
            netns.count(Counter::OutUnchanged);
            return pass(netns, &skb, packet.family == Family::V6);
        }
        Err(why) => return no_path(netns, host, packet, why),
    };
    let Some((path, cache, port)) = netns.way(row, view, path, cache, guard) else {
        return unmapped(netns, packet);
    };
    let tuple = &packet.tuple;
    if path.local == tuple.src
        && path.remote == tuple.dst
        && row.wire_port == tuple.sport
        && port == tuple.dport
    {
        netns.count(Counter::OutUnchanged);
        return Verdict::Accept;
    }
    let to = Rewrite {
        src: path.local,
        dst: path.remote,
        sport: row.wire_port,
        dport: port,
    };
    if !rewrite(&mut skb, packet, &to) {
        return netns.drop_for(Reason::NotWritable);
    }
    if netns
        .net
        .route_out(&mut skb, cache, 0, !to.dst.is_v4())
        .is_err()
    {
        return netns.drop_for(Reason::NoRoute);
    }
    netns.count(Counter::OutTranslated);
    Verdict::Accept
}

/// While there is no path, programs see what a network that loses packets shows them. TCP keeps errors
/// of transmission to itself; told that a segment was not sent, it sends nothing new that would be
/// missing at the other end later. When there has been no path for too long, errors are what is wanted.
#[cold]
fn no_path(netns: &Netns, host: &Host, packet: &Packet, why: Reason) -> Verdict {
    netns.refuse(why);
    if packet.tuple.proto == TCP {
        Verdict::Refuse
    } else if host.given_up() {
        Verdict::Unreachable
    } else {
        Verdict::Drop
    }
}

/// The host is behind a NAT that has no port for the flow: as if there were no path.
#[cold]
fn unmapped(netns: &Netns, packet: &Packet) -> Verdict {
    netns.refuse(Reason::NatUnmapped);
    if packet.tuple.proto == TCP {
        Verdict::Refuse
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
) -> Result<&'a Row, NoRow> {
    // Packets without a full socket (resets, SYN cookies, time-wait) begin no flow, nor do those of
    // tunnels, which carry the inner packet's socket.
    let sock = skb
        .sock()
        .filter(|sock| sock.sends(key.proto, key.lport))
        .ok_or(NoRow::Pass)?;
    let mut start = match key.proto {
        TCP if !sock.opening() => Start::Joins,
        _ => Start::Opens,
    };
    let mut port = key.fport;
    let nat = netns.nat_of(key, guard);
    let node = match nat {
        Some(_) => None,
        None => netns.net.addr(&key.faddr.octets(), guard),
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
                // An older connection goes with its host; what opens now means whoever is there.
                Role::Alias if key.proto == TCP && sock.established() => (),
                Role::Alias if key.proto == TCP && sock.opening() => start = Start::OpensPlain,
                Role::Alias if netns.goes_on(key, host, &sock, guard) => (),
                _ => return Err(NoRow::Pass),
            }
            host
        }
        (None, None) => discover::consider(netns, packet, &sock, guard).ok_or(NoRow::Pass)?,
    };
    let view = host.view.read(guard);
    let wire = key.on_wire_by(host.id(), port);
    if view.state() == HostState::Classic || netns.is_wire_form(key, &wire, host, &sock, guard) {
        return Err(NoRow::Pass);
    }
    // What a socket that is bound to no address has begun elsewhere goes on there.
    if view.hides(key.laddr) && !netns.goes_on(key, host, &sock, guard) {
        start = Start::OpensPlain;
    }
    if sock.watched()
        && !view.is_ours(key.laddr)
        && !netns.net.source_is_local(skb, !key.laddr.is_v4())
        && !sock.may_spoof()
    {
        return Err(NoRow::Drop(Reason::ForeignSource));
    }
    netns.flow_open(key, wire, host, &sock, start, guard)
}
