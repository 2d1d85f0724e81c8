// SPDX-License-Identifier: GPL-2.0

//! ICMP errors: the packet that is quoted is translated like the flow that it belongs to, so that
//! path-MTU discovery and unreachables find their socket, here and at the other end.

use super::{
    is_signalling,
    Verdict, //
};
use crate::{
    course::{
        Asked,
        Course, //
    },
    ffi::{
        clock,
        skb::Skb, //
    },
    flow::{
        Flows,
        Wires, //
    },
    netns::Netns,
    stats::Counter,
    uapi::HostState, //
};
use ihmp_core::{
    addr::Family,
    flow::FlowKey,
    packet::{
        Packet,
        Quoted,
        Slots, //
    },
    sets::Role,
    verdict::Reason,
    xlat::{
        self,
        Rewrite, //
    }, //
};
use kernel::sync::rcu::Guard;

/// Whether the error says that nobody is there (and not that the packet was too big).
fn is_unreachable(skb: &Skb<'_>, packet: &Packet) -> bool {
    let kind = skb.head().get(packet.l4).copied();
    let code = skb.head().get(packet.l4.saturating_add(1)).copied();
    match packet.family {
        // RFC 792: destination unreachable, but for "fragmentation needed".
        Family::V4 => kind == Some(3) && code != Some(4),
        // RFC 4443 section 3.1.
        Family::V6 => kind == Some(1),
    }
}

/// Whether the error says that there is no way to the address at the moment. A flow that goes on is kept from hearing it:
/// that a locator is gone is what moves are about.
fn is_about_path(skb: &Skb<'_>, packet: &Packet) -> bool {
    let kind = skb.head().get(packet.l4).copied();
    let code = skb.head().get(packet.l4.saturating_add(1)).copied();
    match packet.family {
        // RFC 792: net or host unreachable; RFC 1122 section 3.2.2.1: unknown, or for a service.
        Family::V4 => kind == Some(3) && matches!(code, Some(0 | 1 | 5..=8 | 11 | 12)),
        // RFC 4443 section 3.1: no route, address unreachable.
        Family::V6 => kind == Some(1) && matches!(code, Some(0 | 3)),
    }
}

fn apply(skb: &mut Skb<'_>, packet: &Packet, outer: &Rewrite, inner: &Rewrite) -> bool {
    let span = xlat::span(packet);
    let Some(head) = skb.writable(span) else {
        return false;
    };
    if let Some(fix) = xlat::apply_error(head, packet, outer, inner) {
        skb.fix_checksum(&fix, span, packet.family == Family::V6);
    }
    true
}

/// An error about a packet that we sent.
#[cold]
pub(super) fn input(
    netns: &Netns,
    mut skb: Skb<'_>,
    packet: &Packet,
    quoted: &Quoted,
    guard: &Guard,
) -> Verdict {
    let sent = &quoted.tuple;
    // The kernel answers echo requests without a flow, and nobody asks what became of the answer. A greeting finds
    // nobody where there is no agent.
    if quoted.slots == Slots::Reply || (quoted.ports && is_signalling(netns, sent)) {
        return Verdict::Accept;
    }
    let key = FlowKey::outbound(sent);
    let nat = netns.nat_of(&key, guard).filter(|_| quoted.ports);
    let (host, port) = match nat {
        Some(nat) => (nat.host().under(guard), nat.mapping.port),
        None => match netns.named(sent.dst, guard) {
            Some(node) => (node.host(guard), sent.dport),
            None => return Verdict::Accept,
        },
    };
    let view = host.view.read(guard);
    let wire = key.on_wire_by(host.id(), port);
    let row = match netns.net.find::<Wires>(&wire.bytes(), guard) {
        Some(row) if row.has_twin() => netns.among_twins(&skb, &key, row, guard).or(Some(row)),
        None => netns.row_between(&key, host.id(), guard),
        row => row,
    };
    let Some(row) = row.filter(|_| quoted.ports) else {
        netns.refuse(Reason::IcmpNoFlow);
        return Verdict::Accept;
    };
    if view.state() != HostState::Up || row.plain {
        return Verdict::Accept;
    }
    if !row.stance.stays() {
        let elsewhere = row.key().laddr != sent.src;
        if elsewhere && is_unreachable(&skb, packet) && view.unvalidated(sent.src) {
            return netns.drop_for(Reason::UnvalidatedReset);
        }
        if is_about_path(&skb, packet) && row.seen.is_going_on(clock::jiffies()) {
            return netns.drop_for(Reason::PathUnreachable);
        }
    }
    let key = row.key();
    if key.laddr == sent.src
        && key.faddr == sent.dst
        && key.lport == sent.sport
        && key.fport == sent.dport
    {
        return Verdict::Accept;
    }
    let from = packet.tuple.src;
    let from_host = match nat {
        Some(nat) => from == nat.mapping.addr,
        None => netns
            .named(from, guard)
            .is_some_and(|node| node.host(guard).id() == host.id() && node.role() == Role::Active),
    };
    let outer = Rewrite {
        src: if from_host { key.faddr } else { from },
        dst: key.laddr,
        sport: 0,
        dport: 0,
    };
    let inner = Rewrite {
        src: key.laddr,
        dst: key.faddr,
        sport: key.lport,
        dport: key.fport,
    };
    if !apply(&mut skb, packet, &outer, &inner) {
        return netns.drop_for(Reason::NotWritable);
    }
    netns.count(Counter::IcmpIn);
    Verdict::Accept
}

/// An error of ours about a packet that we received, and translated.
#[cold]
pub(super) fn output(
    netns: &Netns,
    mut skb: Skb<'_>,
    packet: &Packet,
    quoted: &Quoted,
    guard: &Guard,
) -> Verdict {
    let received = &quoted.tuple;
    let key = FlowKey::inbound(received);
    let row = netns.net.find::<Flows>(&key.bytes(), guard);
    let Some(row) = row.filter(|row| quoted.ports && !row.plain) else {
        return Verdict::Accept;
    };
    let host = row.host().under(guard);
    let view = host.view.read(guard);
    if view.state() != HostState::Up {
        return Verdict::Accept;
    }
    let leg = match netns.course(&skb, row.get(), view, &key, Asked::Next, guard) {
        Ok(Course::Away(leg)) => Some(leg),
        Ok(Course::Home | Course::Untold | Course::Stays) => None,
        Err(why) => return netns.drop_for(why),
    };
    let tried = leg.as_ref().is_some_and(|leg| view.tries(leg.path.remote));
    if tried && !netns.pay(&host, view, skb.wire_len(), guard) {
        return netns.drop_for(Reason::NoCredit);
    }
    let (local, remote, port) = match &leg {
        Some(leg) => (leg.path.local, leg.path.remote, leg.port),
        None => (key.laddr, key.faddr, key.fport),
    };
    if local == key.laddr && remote == key.faddr && row.wire_port == key.lport && port == key.fport
    {
        return Verdict::Accept;
    }
    let outer = Rewrite {
        src: local,
        dst: remote,
        sport: 0,
        dport: 0,
    };
    let inner = Rewrite {
        src: remote,
        dst: local,
        sport: port,
        dport: row.wire_port,
    };
    if !apply(&mut skb, packet, &outer, &inner) {
        return netns.drop_for(Reason::NotWritable);
    }
    let ipv6 = packet.family == Family::V6;
    if let Some(leg) = leg {
        if netns
            .net
            .route_out(&mut skb, leg.cache, leg.device, ipv6)
            .is_err()
        {
            return netns.drop_for(Reason::NoRoute);
        }
    }
    netns.count(Counter::IcmpOut);
    Verdict::Accept
}
