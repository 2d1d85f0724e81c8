// SPDX-License-Identifier: GPL-2.0

//! Packets that come right behind the announcement of a move wait until the agent has applied it.

use super::{
    input::answered,
    Verdict, //
};
use crate::{
    ffi::{
        hold::{
            Announced,
            Held, //
        },
        skb::Skb,
        sock::Sock, //
    },
    flow::Wires,
    netns::Netns,
    uapi::HostState, //
};
use ihmp_core::{
    flow::FlowKey,
    message::{
        Control,
        Message,
        Options,
        MAX_LEN, //
    },
    packet::{
        Kind,
        Packet, //
    },
    sets::Role,
    verdict::Reason, //
};
use kernel::sync::{
    atomic::Relaxed,
    rcu::Guard, //
};

/// Octets of a UDP header.
const UDP_HEADER: usize = 8;

/// Lets a packet wait that came right behind the announcement of a move, until the agent has applied that; gives it back if it is to pass.
#[cold]
pub(super) fn wait<'a>(
    netns: &Netns,
    skb: Skb<'a>,
    packet: &Packet,
    guard: &Guard,
) -> Result<Verdict, Skb<'a>> {
    let Some(announced) = awaited(netns, &skb, packet, guard) else {
        return Err(skb);
    };
    match netns.net.hold(skb, &packet.tuple.src.octets(), &announced) {
        Held::Waits => {
            netns.refuse(Reason::Held);
            Ok(Verdict::Stolen)
        }
        Held::Lost => Ok(netns.drop_for(Reason::HeldLost)),
        Held::Not(skb) => {
            netns.refuse(Reason::HoldOverflow);
            Err(skb)
        }
    }
}

/// The announced move for which a packet is to wait: by its ports it is of a flow of the host, for which the move would make another
/// packet of it. Behind a NAT the flow has other ports, which are not told yet; then it waits if nobody here would take it.
fn awaited(netns: &Netns, skb: &Skb<'_>, packet: &Packet, guard: &Guard) -> Option<Announced> {
    if !skb.may_wait() {
        return None;
    }
    let key = FlowKey::inbound(&packet.tuple);
    let mut taken = None;
    let announced = netns.announced(packet.tuple.src, guard).find(|announced| {
        let wire = key.on_wire(announced.host);
        let row = netns.net.find::<Wires>(&wire.bytes(), guard);
        row.is_some_and(|row| row.is_moved_by(&key))
            || (announced.natted
                && !*taken.get_or_insert_with(|| answered(netns, skb, packet, guard)))
    })?;
    (!is_meant(netns, skb, packet, guard)).then_some(announced)
}

/// Whether a local socket is connected to exactly this source, or the packet is a SYN.
fn is_meant(netns: &Netns, skb: &Skb<'_>, packet: &Packet, guard: &Guard) -> bool {
    match packet.kind {
        Kind::Tcp { .. } => answered(netns, skb, packet, guard),
        Kind::Udp { .. } => {
            let key = FlowKey::inbound(&packet.tuple);
            Sock::udp(&netns.net, &key, skb.ifindex()).is_some_and(|sock| sock.established())
        }
        _ => false,
    }
}

/// Remembers that the source of a message is about to become a locator, if it announces the move of a host that we know: those are
/// the messages from whose source data follows, and the HELLO of an agent that was not there when its host moved.
#[cold]
pub(super) fn note_announcement(netns: &Netns, skb: &mut Skb<'_>, packet: &Packet, guard: &Guard) {
    let hold_ms = netns.params.hold_time.load(Relaxed);
    let port = netns.params.port.load(Relaxed) as u16;
    let body = packet.l4.saturating_add(UDP_HEADER);
    let end = body.saturating_add(MAX_LEN).min(skb.len() as usize);
    if hold_ms == 0 || packet.tuple.dport != port || !skb.pull(end) {
        return;
    }
    let Some(Ok(message)) = skb.head().get(body..end).map(Message::parse) else {
        return;
    };
    if !matches!(
        message.control,
        Control::Hello | Control::AddrUp | Control::Handoff
    ) {
        return;
    }
    let source = packet.tuple.src;
    let host = netns
        .named(message.host, guard)
        .map(|node| node.host(guard));
    let mover = host.filter(|host| {
        let view = host.view.read(guard);
        // Without flows there is nothing that could move; the address of a NAT is in no table.
        host.rows.count() != 0
            && view.state() == HostState::Up
            && view.lists().lookup(Role::Active, source).is_none()
    });
    let free = netns
        .named(source, guard)
        .is_none_or(|node| node.role() != Role::Active);
    if let Some(host) = mover.filter(|_| free && source.translatable()) {
        let natted = message.options.has(Options::NAT_SUPPORTED);
        netns.announce(&host, source, natted, hold_ms, guard);
    }
}
