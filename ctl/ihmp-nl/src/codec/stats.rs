// SPDX-License-Identifier: GPL-2.0
//! Counters and limits.

use ihmp_netlink::Attrs;
use ihmp_uapi::{
    CounterAttr,
    LimitAttr,
    StatsAttr, //
};

use super::value::{
    body,
    known,
    need,
    Result, //
};
use crate::{
    event::Event,
    model::*, //
};

fn read_counter(attrs: Attrs<'_>) -> Result<Counter> {
    let (mut reason, mut effect, mut packets) = (None, None, None);
    for attr in attrs {
        let attr = attr?;
        match CounterAttr(attr.number()) {
            CounterAttr::REASON => reason = Some(Reason(attr.u32()?)),
            CounterAttr::EFFECT => effect = Some(known(attr, Effect::from_number)?),
            CounterAttr::PACKETS => packets = Some(attr.uint()?),
            _ => (),
        }
    }
    Ok(Counter {
        reason: need(reason, "reason of a counter")?,
        effect: need(effect, "effect of a counter")?,
        packets: need(packets, "packets of a counter")?,
    })
}

/// The counters in a reply; a counter that the module does not have is 0.
pub(crate) fn read_stats(message: &[u8]) -> Result<Stats> {
    let mut stats = Stats::default();
    for attr in body(message)? {
        let attr = attr?;
        match StatsAttr(attr.number()) {
            StatsAttr::HOSTS => stats.hosts = attr.u32()?,
            StatsAttr::FLOWS => stats.flows = attr.u32()?,
            StatsAttr::HOOKS => stats.hooks = attr.u32()?,
            StatsAttr::OUT_TRANSLATED => stats.out_translated = attr.uint()?,
            StatsAttr::OUT_UNCHANGED => stats.out_unchanged = attr.uint()?,
            StatsAttr::IN_TRANSLATED => stats.in_translated = attr.uint()?,
            StatsAttr::IN_UNCHANGED => stats.in_unchanged = attr.uint()?,
            StatsAttr::ICMP_OUT => stats.icmp_out = attr.uint()?,
            StatsAttr::ICMP_IN => stats.icmp_in = attr.uint()?,
            StatsAttr::PORT_MAPPED => stats.port_mapped = attr.uint()?,
            StatsAttr::TCP_WOKEN => stats.tcp_woken = attr.uint()?,
            StatsAttr::DISCOVERED => stats.discovered = attr.uint()?,
            StatsAttr::FLOWS_MADE => stats.flows_made = attr.uint()?,
            StatsAttr::FLOWS_EXPIRED => stats.flows_expired = attr.uint()?,
            StatsAttr::UNREACHABLE => stats.unreachable = attr.uint()?,
            StatsAttr::NATS => stats.nats = attr.u32()?,
            StatsAttr::COUNTER => stats.counters.push(read_counter(attr.nest())?),
            _ => (),
        }
    }
    Ok(stats)
}

pub(super) fn read_limit(message: &[u8]) -> Result<Event> {
    let (mut reason, mut packets) = (None, None);
    for attr in body(message)? {
        let attr = attr?;
        match LimitAttr(attr.number()) {
            LimitAttr::REASON => reason = Some(Reason(attr.u32()?)),
            LimitAttr::PACKETS => packets = Some(attr.uint()?),
            _ => (),
        }
    }
    Ok(Event::Limit {
        reason: need(reason, "reason of a limit")?,
        packets: need(packets, "packets of a limit")?,
    })
}
