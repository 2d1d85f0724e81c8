// SPDX-License-Identifier: GPL-2.0

//! Rows of the socket table: {five identifiers, host} ([DIME-IFIP] section III, [DIME-ICCCN] section III-A).

mod close;
mod lend;
mod open;
mod opening;
mod seen;
mod silence;
mod socket;
mod twins;

pub(crate) use opening::{
    NoRow,
    Opening,
    Start, //
};
pub(crate) use socket::Owner;

use crate::{
    ffi::{
        net::Net,
        object::Shared,
        sock::{
            AnySock,
            Sock, //
        },
        table::{
            FlowBytes,
            WireBytes, //
        }, //
    },
    host::Host,
    switch::Stance,
    view::View, //
};
use ihmp_core::{
    addr::Addr,
    ends::{
        self,
        Foreign, //
    },
    flow::FlowKey,
    packet::{
        TCP,
        UDP, //
    },
    sets::Role, //
};
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};
use seen::Seen;
use socket::Socket;

/// The table of rows by the packets that go out.
pub(crate) struct Flows;

/// The table of rows by the packets that come in.
pub(crate) struct Wires;

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
    host: Shared<Host>,
    /// It has gone beyond the limit of its memory cgroup, and is counted among those that have.
    beyond: bool,
    /// Another flow of the host had the same ports on the wire when this one began: it is found by its identifiers only.
    apart: bool,
    /// Another flow of the host has the same ports on the wire.
    twin: Atomic<bool>,
    /// Where its packets were seen.
    pub(crate) seen: Seen,
    /// Who has it here.
    pub(crate) socket: Socket,
    /// Whether it may move.
    pub(crate) stance: Stance,
}

impl Row {
    /// Whether the local identifier is, or was, an address of ours towards the host.
    #[inline]
    pub(crate) fn is_known(&self, view: &View, laddr: Addr) -> bool {
        self.seen.is_known() || view.is_ours(laddr)
    }

    /// Whether the flow is a connection that began just before its host gave up an address: somebody else may have had it
    /// already. If it is the host's, the host says so at once from elsewhere.
    pub(crate) fn is_fresh(&self, host: &Host) -> bool {
        self.seen.since() != 0 && self.began_before_move(host)
    }

    /// Whether the flow is a connection that is known to have begun just before its host gave up an address, or later.
    pub(crate) fn began_before_move(&self, host: &Host) -> bool {
        self.key().proto == TCP && self.seen.began_before_move(host)
    }

    /// Where the host's end of the flow is.
    #[inline]
    pub(crate) fn foreign_end(&self, view: &View, faddr: Addr) -> Foreign {
        ends::foreign(&view.lists(), faddr, self.seen.since(), |at| {
            view.mark_at(at)
        })
    }

    /// Whether a packet that comes in with the ports of the flow is from and to addresses that are the flow's without doubt.
    #[inline]
    pub(crate) fn expects(&self, wire: &FlowKey) -> bool {
        self.seen.expects(&self.key(), wire)
    }

    /// Whether a new flow may have the place of this one: datagrams that went one way only, and none of ours between other addresses
    /// than the flow's own. That the other end sent from elsewhere keeps no row on which we never sent: anybody can do so in the name of
    /// the host. TCP has sockets that somebody has shaken hands for.
    pub(crate) fn may_be_pushed_out(&self) -> bool {
        let roams = self.seen.roams_here() || self.seen.roams_there();
        self.key().proto != TCP && !self.seen.is_answered() && !(roams && self.seen.was_sent())
    }

    /// Whether a program that has learned the row's identifiers could reach nobody by them without the row, or be known to nobody: one
    /// of them is no address of its host any more, or a port is another one on the wire. An own address of which the host was never told
    /// leads where it leads without the row.
    pub(crate) fn is_needed(&self, view: &View) -> bool {
        let (key, lists) = (self.key(), view.lists());
        lists.lookup(Role::Active, key.faddr).is_none()
            || (lists.lookup(Role::Local, key.laddr).is_none() && self.is_known(view, key.laddr))
            || self.wire_port != key.lport
            || self.host_port != key.fport
    }

    /// Whether a packet between these addresses, with the ports of the flow, would become another one by a move of the host.
    pub(crate) fn is_moved_by(&self, wire: &FlowKey) -> bool {
        !self.plain && !self.stance.stays() && self.key() != *wire
    }

    /// A packet of the flow came from and to these addresses.
    pub(crate) fn roam(&self, wire: &FlowKey) {
        self.seen.roam(&self.key(), wire);
    }

    /// Another flow of the host has the same ports on the wire.
    #[inline]
    pub(crate) fn has_twin(&self) -> bool {
        self.twin.load(Relaxed)
    }

    /// Whether it is found by its identifiers only.
    pub(crate) fn is_apart(&self) -> bool {
        self.apart
    }

    /// The five identifiers.
    pub(crate) fn key(&self) -> FlowKey {
        FlowKey::from_bytes(&self.flow)
    }

    /// The host at the other end.
    pub(crate) fn host(&self) -> &Shared<Host> {
        &self.host
    }

    /// Whether the socket is gone: then the stack is to answer from the locator, which is an address
    /// that it has. Looked at now and then only.
    #[inline]
    pub(crate) fn is_abandoned(&self, net: &Net, now: u64) -> bool {
        self.socket.is_due(now) && self.is_abandoned_now(net, now)
    }

    #[cold]
    fn is_abandoned_now(&self, net: &Net, now: u64) -> bool {
        self.socket.note_looked(now);
        matches!(self.key().proto, TCP | UDP) && self.sock(net).is_none()
    }

    /// The socket of the flow, or what is left of it in time-wait, if the protocol has sockets that can be looked up.
    pub(crate) fn sock(&self, net: &Net) -> Option<AnySock<'static>> {
        let key = self.key();
        match key.proto {
            TCP => AnySock::tcp(net, &key, self.socket.device()),
            UDP => Sock::udp(net, &key, self.socket.device()).map(AnySock::from),
            _ => None,
        }
    }

    /// The socket of the flow, if it is a full one.
    pub(crate) fn full_sock(&self, net: &Net) -> Option<Sock<'static>> {
        self.sock(net).and_then(AnySock::full)
    }
}
