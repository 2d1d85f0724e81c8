// SPDX-License-Identifier: GPL-2.0

//! Counters.

use crate::{
    ffi::genl::Request,
    netns::Netns,
    stats::Counter,
    uapi::{
        CounterAttr,
        StatsAttr, //
    }, //
};
use ihmp_core::verdict::Reason;
use kernel::{
    prelude::*,
    sync::atomic::Relaxed, //
};

/// The counters that are numbers of their own.
const COUNTERS: [(StatsAttr, Counter); 12] = [
    (StatsAttr::OUT_TRANSLATED, Counter::OutTranslated),
    (StatsAttr::OUT_UNCHANGED, Counter::OutUnchanged),
    (StatsAttr::IN_TRANSLATED, Counter::InTranslated),
    (StatsAttr::IN_UNCHANGED, Counter::InUnchanged),
    (StatsAttr::ICMP_OUT, Counter::IcmpOut),
    (StatsAttr::ICMP_IN, Counter::IcmpIn),
    (StatsAttr::PORT_MAPPED, Counter::PortMapped),
    (StatsAttr::TCP_WOKEN, Counter::TcpWoken),
    (StatsAttr::DISCOVERED, Counter::Discovered),
    (StatsAttr::FLOWS_MADE, Counter::FlowsMade),
    (StatsAttr::FLOWS_EXPIRED, Counter::FlowsExpired),
    (StatsAttr::UNREACHABLE, Counter::Unreachable),
];

/// `stats-get`
pub(crate) fn get(netns: &Netns, request: &Request<'_>) -> Result {
    request.reply()?.send(|message| {
        message.u32(StatsAttr::HOSTS.0, netns.hosts.load(Relaxed))?;
        message.u32(StatsAttr::FLOWS.0, netns.table.count())?;
        message.u32(StatsAttr::HOOKS.0, netns.net.hooks())?;
        for (attr, counter) in COUNTERS {
            message.uint(attr.0, netns.counted(counter))?;
        }
        for reason in Reason::ALL {
            message.nest(StatsAttr::COUNTER.0, |message| {
                message.u32(CounterAttr::REASON.0, reason.number())?;
                message.u32(CounterAttr::EFFECT.0, reason.effect() as u32)?;
                message.uint(CounterAttr::PACKETS.0, netns.refused(reason))
            })?;
        }
        message.u32(StatsAttr::NATS.0, netns.nats.mappings())
    })
}

/// `stats-flush`
pub(crate) fn flush(netns: &Netns, _: &Request<'_>) -> Result {
    netns.net.reset_counters();
    Ok(())
}
