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
        Row, //
    },
    host::View,
    netns::Netns,
    stats::Counter,
    uapi::HostState, //
};
use ihmp_core::{
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
    if skb.out_is_loopback() {
        return Verdict::Accept;
    }
    let guard = rcu::read_lock();
    let Some(packet) = parse_skb(netns, &mut skb, family(ipv6)) else {
        return Verdict::Accept;
    };
    match packet.kind {
        Kind::Error(quoted) => return error::output(netns, skb, &packet, &quoted, &guard),
        // The kernel answers echo requests with what is on the wire.
        Kind::Icmp | Kind::Echo { request: false } => return Verdict::Accept,
        _ => (),
    }
    if !packet.tuple.dst.translatable() || is_signalling(netns, &packet) {
        return Verdict::Accept;
    }
    let key = FlowKey::outbound(&packet.tuple);
    let row = match netns.net.row_by_flow(&key.bytes(), &guard) {
        Some(row) => row,
        None => match open(netns, &skb, &packet, &key, &guard) {
            Ok(row) => row,
            Err(why) => return netns.without_row(why),
        },
    };
    send(netns, skb, &packet, row, &guard)
}

/// Sends a packet of a known flow on its host's path.
#[inline]
fn send(netns: &Netns, mut skb: Skb<'_>, packet: &Packet, row: &Row, guard: &Guard) -> Verdict {
    let now = clock::jiffies();
    let host = row.host().under(guard);
    let view = host.view.read(guard);
    row.touch(now);
    host.sent(now);
    if view.state != HostState::Up || row.plain {
        netns.count(Counter::OutUnchanged);
        return Verdict::Accept;
    }
    let Some((path, cache)) = view.path_cached(packet.family) else {
        return netns.drop_for(Reason::NoPath);
    };
    let tuple = &packet.tuple;
    if path.local == tuple.src && path.remote == tuple.dst && row.wire_port == tuple.sport {
        netns.count(Counter::OutUnchanged);
        return Verdict::Accept;
    }
    let to = Rewrite {
        src: path.local,
        dst: path.remote,
        sport: row.wire_port,
        dport: tuple.dport,
    };
    if !rewrite(&mut skb, packet, &to) {
        return netns.drop_for(Reason::NotWritable);
    }
    if netns.net.route_out(&mut skb, cache, !to.dst.is_v4()).is_err() {
        return netns.drop_for(Reason::NoRoute);
    }
    netns.count(Counter::OutTranslated);
    Verdict::Accept
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
    // Packets without a full socket (resets, SYN cookies, time-wait) begin no flow.
    let sock = skb.sock().ok_or(NoRow::Pass)?;
    let mut plain = false;
    let host = match netns.net.addr(&key.faddr.octets(), guard) {
        Some(node) => {
            match node.role() {
                Role::Active => (),
                // An older connection goes with its host; what opens now means whoever is there.
                Role::Alias if key.proto == TCP && sock.established() => (),
                Role::Alias if key.proto == TCP && sock.opening() => plain = true,
                _ => return Err(NoRow::Pass),
            }
            node.host(guard)
        }
        None => {
            check_source(netns, &sock, key, None)?;
            discover::consider(netns, packet, &sock, guard).ok_or(NoRow::Pass)?
        }
    };
    let view = host.view.read(guard);
    if view.state == HostState::Classic {
        return Err(NoRow::Pass);
    }
    check_source(netns, &sock, key, Some(view))?;
    let opens = key.proto != TCP || sock.opening();
    netns.flow_open(key, host, &sock, plain, opens, guard)
}

/// A socket that we let send from a former address may not send from any other.
fn check_source(
    netns: &Netns,
    sock: &Sock<'_>,
    key: &FlowKey,
    view: Option<&View>,
) -> Result<(), NoRow> {
    if !key.laddr.is_v4()
        || !sock.transparent()
        || view.is_some_and(|view| view.is_ours(key.laddr))
        || netns.net.is_local(key.laddr)
        || sock.may_spoof()
    {
        return Ok(());
    }
    Err(NoRow::Drop(Reason::ForeignSource))
}
