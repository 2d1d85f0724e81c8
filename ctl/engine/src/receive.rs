// SPDX-License-Identifier: GPL-2.0
//! A datagram came: each message has one handler.

use ihmp_core::addr::Addr;
use ihmp_core::message::Control;

use crate::ack::ack;
use crate::admission;
use crate::authenticate::authenticate;
use crate::change::change;
use crate::entry::nat_entry;
use crate::hello::hello;
use crate::io::Refusal;
use crate::probed::probed;
use crate::received::Received;
use crate::routed::router_ack;
use crate::switch::may_speak;
use crate::table::Table;

/// A datagram came.
pub(crate) fn receive(table: &mut Table, from: Addr, port: Option<u16>, to: Addr, bytes: &[u8]) {
    let checked = Received::new(table.world.own.all(), from, port, to, bytes);
    let outcome = checked.and_then(|received| handle(table, received, bytes));
    if let Err(reason) = outcome {
        table.world.refuse(reason, from, to);
    }
}

fn handle(table: &mut Table, mut received: Received<'_>, bytes: &[u8]) -> Result<(), Refusal> {
    if !may_speak(table, &received) {
        return Err(Refusal::Off);
    }
    let control = received.message.control;
    // Routers and NATs speak for themselves.
    match control {
        Control::RouterAck => return router_ack(table, &received, bytes),
        Control::NatEntry => return nat_entry(table, &received, bytes),
        _ => (),
    }
    if admission::is_cookie(&received) {
        return admission::take_cookie(table, &received);
    }
    received.signer = authenticate(table, &received, bytes)?;
    match control {
        Control::Hello => hello(table, &received),
        Control::Ack => ack(table, &received),
        Control::AddrUp
        | Control::AddrUpUnreachable
        | Control::AddrDown
        | Control::AddrDownUnreachable
        | Control::Handoff
        | Control::HandoffUnreachable => change(table, &received),
        Control::PathProbe => probed(table, &received),
        // Above.
        Control::RouterAck | Control::NatEntry => Err(Refusal::Payload),
    }
}
