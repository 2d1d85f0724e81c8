// SPDX-License-Identifier: GPL-2.0
//! A host with a key that announces the address of somebody else as its own.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use ihmp_core::addr::Addr;
use ihmp_core::message::{Addresses, Control, Message, Options};
use ihmp_keys::State;
use nix::time::{clock_gettime, ClockId};
use serde_json::{json, Value};

use crate::frame::{frame, Mac};
use crate::link::Link;
use crate::seen::Seen;

/// The liar and its peer.
pub(crate) struct Lie {
    pub(crate) host: Addr,
    pub(crate) victim: Addr,
    /// The address that it announces.
    pub(crate) at: Addr,
    /// How far its sequence number is ahead of the last one that was seen.
    pub(crate) ahead: u16,
}

/// Sends the HANDOFF that the host's own agent would send next, from the address of somebody else.
pub(crate) fn run(
    link: &mut Link,
    mac: Mac,
    lie: &Lie,
    seen: &[Seen],
    state: &Path,
) -> anyhow::Result<Value> {
    let own = State::open(state)?.own()?;
    let key = own.first().context("there is no key")?;
    let requests = seen
        .iter()
        .filter(|seen| seen.to == lie.victim)
        .filter_map(Seen::message)
        .filter(|message| message.control != Control::Ack);
    let last = requests
        .last()
        .with_context(|| format!("{} asked nothing yet", lie.host))?;
    let message = Message {
        control: Control::Handoff,
        options: Options::NONE,
        seqno: last.seqno.wrapping_add(lie.ahead),
        signature: None,
        host: lie.host,
        addresses: Addresses::of(&[lie.at, lie.at, lie.host]).unwrap_or(Addresses::EMPTY),
    };
    let wall: Duration = clock_gettime(ClockId::CLOCK_REALTIME)?.into();
    let stamp = u64::try_from(wall.as_nanos())?;
    let octets = key.key.seal(&message, lie.victim, stamp, 0);
    link.send(frame(mac, lie.at, lie.victim, &octets))?;
    link.flush()?;
    Ok(json!({"sent": 1, "octets": octets.len(), "seqno": message.seqno}))
}
