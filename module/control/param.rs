// SPDX-License-Identifier: GPL-2.0

//! Settings.

use crate::{
    ffi::genl::Request,
    netns::Netns,
    uapi::ParamAttr, //
};
use kernel::{
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

/// Version of the module.
const VERSION: &[u8] = b"0.1.0";

/// `param-get`
pub(crate) fn get(netns: &Netns, request: &Request<'_>) -> Result {
    let params = &netns.params;
    request.reply()?.send(|message| {
        message.u32(ParamAttr::DISCOVERY.0, params.discovery.load(Relaxed))?;
        message.u16(ParamAttr::PORT.0, params.port.load(Relaxed) as u16)?;
        message.u32(ParamAttr::MAX_HOSTS.0, params.max_hosts.load(Relaxed))?;
        message.u32(ParamAttr::MAX_FLOWS.0, params.max_flows.load(Relaxed))?;
        message.u32(ParamAttr::UDP_TIMEOUT.0, params.udp_timeout.load(Relaxed))?;
        message.u32(ParamAttr::HOLD_TIME.0, params.hold_time.load(Relaxed))?;
        message.u32(ParamAttr::SCHEDULER.0, params.scheduler.load(Relaxed))?;
        message.string(ParamAttr::VERSION.0, VERSION)?;
        message.u32(ParamAttr::PATH_TIMEOUT.0, params.path_timeout.load(Relaxed))?;
        message.u32(ParamAttr::MAX_NATS.0, params.max_nats.load(Relaxed))
    })
}

/// `param-set`: the policy has checked every value, only the hooks can fail.
pub(crate) fn set(netns: &Netns, request: &Request<'_>) -> Result {
    let config = netns.lock();
    let before = netns.params.discovery.load(Relaxed);
    let set = |to: &Atomic<u32>, kind: u16| {
        if let Some(attr) = request.attr(kind) {
            to.store(attr.u32(), Relaxed);
        }
    };
    let params = &netns.params;
    set(&params.discovery, ParamAttr::DISCOVERY.0);
    if let Err(error) = netns.update_hooks(&config) {
        params.discovery.store(before, Relaxed);
        return Err(request.refuse(
            request.attr(ParamAttr::DISCOVERY.0),
            error,
            format_args!("the netfilter hooks cannot be registered"),
        ));
    }
    set(&params.port, ParamAttr::PORT.0);
    set(&params.max_hosts, ParamAttr::MAX_HOSTS.0);
    set(&params.max_flows, ParamAttr::MAX_FLOWS.0);
    set(&params.udp_timeout, ParamAttr::UDP_TIMEOUT.0);
    set(&params.hold_time, ParamAttr::HOLD_TIME.0);
    set(&params.scheduler, ParamAttr::SCHEDULER.0);
    set(&params.path_timeout, ParamAttr::PATH_TIMEOUT.0);
    set(&params.max_nats, ParamAttr::MAX_NATS.0);
    Ok(())
}
