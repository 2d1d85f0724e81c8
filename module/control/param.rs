// SPDX-License-Identifier: GPL-2.0

//! Settings.

use crate::{
    attrs,
    ffi::{
        genl::Request,
        initial::initial, //
    },
    netns::Netns,
    notify,
    uapi::ParamAttr, //
};
use kernel::{
    prelude::*,
    sync::atomic::{
        Atomic,
        Full,
        Relaxed, //
    },
};

/// `param-get`
pub(crate) fn get(netns: &Netns, request: &Request<'_>) -> Result {
    let params = &netns.params;
    request
        .reply()?
        .send(|message| attrs::params(message, params))
}

/// Refuses what would let a namespace that is not the initial user namespace's have more than the initial one may have: its
/// administrator may be anybody. Less than it has is always allowed.
fn check_bounds(netns: &Netns, request: &Request<'_>) -> Result {
    let Some(initial) = initial(&netns.net) else {
        return Ok(());
    };
    let (params, bounds) = (&netns.params, &initial.params);
    for (own, bound, kind) in [
        (&params.max_hosts, &bounds.max_hosts, ParamAttr::MAX_HOSTS),
        (&params.max_flows, &bounds.max_flows, ParamAttr::MAX_FLOWS),
        (&params.max_nats, &bounds.max_nats, ParamAttr::MAX_NATS),
    ] {
        let bound = bound.load(Relaxed);
        let attr = request.attr(kind.0);
        if let Some(attr) = attr.filter(|attr| attr.u32() > bound.max(own.load(Relaxed))) {
            return Err(request.refuse(
                Some(attr),
                EPERM,
                format_args!(
                    "at most {bound}, as in the initial network namespace; raise it there first"
                ),
            ));
        }
    }
    Ok(())
}

/// `param-set`: the policy has checked every value, only bounds and the hooks are left to fail. Listeners are told of what is
/// another value than before.
pub(crate) fn set(netns: &Netns, request: &Request<'_>) -> Result {
    let config = netns.lock();
    check_bounds(netns, request)?;
    let params = &netns.params;
    // Only the holder of the lock changes a setting.
    let set = |to: &Atomic<u32>, kind: ParamAttr| match request.attr(kind.0) {
        Some(attr) => to.xchg(attr.u32(), Full) != attr.u32(),
        None => false,
    };
    let before = (params.discovery.load(Relaxed), params.enabled.load(Relaxed));
    let discovery = set(&params.discovery, ParamAttr::DISCOVERY);
    let switched = set(&params.enabled, ParamAttr::ENABLED);
    if let Err(error) = netns.update_hooks(&config) {
        params.discovery.store(before.0, Relaxed);
        params.enabled.store(before.1, Relaxed);
        let asked = request.attr(ParamAttr::DISCOVERY.0);
        return Err(request.refuse(
            asked.or(request.attr(ParamAttr::ENABLED.0)),
            error,
            format_args!("the netfilter hooks cannot be registered"),
        ));
    }
    if switched {
        netns.switched(&config);
    }
    let mut changed = discovery || switched;
    for (to, kind) in [
        (&params.port, ParamAttr::PORT),
        (&params.max_hosts, ParamAttr::MAX_HOSTS),
        (&params.max_flows, ParamAttr::MAX_FLOWS),
        (&params.udp_timeout, ParamAttr::UDP_TIMEOUT),
        (&params.hold_time, ParamAttr::HOLD_TIME),
        (&params.scheduler, ParamAttr::SCHEDULER),
        (&params.path_timeout, ParamAttr::PATH_TIMEOUT),
        (&params.max_nats, ParamAttr::MAX_NATS),
    ] {
        changed |= set(to, kind);
    }
    if changed {
        notify::params(netns);
    }
    Ok(())
}
