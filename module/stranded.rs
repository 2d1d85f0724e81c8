// SPDX-License-Identifier: GPL-2.0

//! Sockets without a row that are connected over IPv4 from an address that is gone: nothing has passed on them since their host is
//! known. Routing refuses what they send before any hook sees it, so they get their rows as the address goes, or as the namespace is
//! switched on.

use crate::{
    ffi::{
        object::Found,
        sock::Sock, //
    },
    flow::{
        Flows,
        Opening,
        Owner,
        Start, //
    },
    host::{
        Host, //
    },
    netns::Netns,
    stats::Counter,
    uapi::HostState,
    view::Asleep, //
};
use ihmp_core::{
    addr::Family,
    flow::FlowKey,
    packet::TCP,
    sets::Role, //
};
use kernel::sync::rcu::{
    self,
    Guard, //
};

impl Netns {
    /// An IPv4 address of ours may be gone. The sockets of all hosts are looked at, once for each change of this machine's addresses.
    pub(crate) fn find_stranded(&self) {
        let change = self.net.addresses_change(Family::V4);
        if self.once.searches(change) {
            self.net.schedule_stranded();
        }
    }
}

/// Makes the row of a socket, if its connection is one with a host that knew its address, and has it go on.
pub(crate) fn join(netns: &Netns, sock: &Sock<'_>) {
    let guard = rcu::read_lock();
    let key = sock.flow4();
    if sock.own_source() || netns.net.find::<Flows>(&key.bytes(), &guard).is_some() {
        return;
    }
    let Some((host, port)) = host_of(netns, &key, &guard) else {
        return;
    };
    let view = host.view.read(&guard);
    if view.state() != HostState::Up || !view.is_ours(key.laddr) || view.hides(key.laddr) {
        return;
    }
    let opening = Opening {
        key: &key,
        wire: key.on_wire_by(host.id(), port),
        owner: Owner::sock(sock),
        start: Start::Joins,
    };
    let made = netns.flow_join(host, opening, &guard);
    // Who gives the host a path after this finds the row.
    let view = host.view.read(&guard);
    let goes_on = made && view.asleep == Asleep::None && view.path(Family::V4).is_some();
    if goes_on && key.proto == TCP && sock.wake(true, false) {
        netns.count(Counter::TcpWoken);
    }
}

/// The host of a connection, and its own port there. Only of TCP it is sure that who had a former address of a host is meant.
fn host_of<'a>(netns: &Netns, key: &FlowKey, guard: &'a Guard) -> Option<(Found<'a, Host>, u16)> {
    if let Some(nat) = netns.nat_of(key, guard) {
        return Some((nat.host().under(guard), nat.mapping.port));
    }
    let node = netns.named(key.faddr, guard)?;
    let known = match node.role() {
        Role::Active => true,
        Role::Alias => key.proto == TCP,
        _ => false,
    };
    known.then(|| (node.host(guard), key.fport))
}
