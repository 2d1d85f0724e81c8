// SPDX-License-Identifier: GPL-2.0
//! Settings.

use ihmp_uapi::{
    Command,
    ParamAttr, //
};

use super::{
    request::Request,
    value::{
        body,
        known,
        need,
        Result, //
    },
};
use crate::model::*;

/// `param-set`.
pub(crate) fn param_request(params: &ParamRequest) -> Request {
    let mut request = Request::new(Command::PARAM_SET);
    let out = request.attrs();
    if let Some(on) = params.discovery {
        out.u32(ParamAttr::DISCOVERY.0, u32::from(on));
    }
    if let Some(port) = params.port {
        out.u16(ParamAttr::PORT.0, port);
    }
    for (attr, value) in [
        (ParamAttr::MAX_HOSTS, params.max_hosts),
        (ParamAttr::MAX_FLOWS, params.max_flows),
        (ParamAttr::UDP_TIMEOUT, params.udp_timeout),
        (ParamAttr::HOLD_TIME, params.hold_time),
        (
            ParamAttr::SCHEDULER,
            params.scheduler.map(Scheduler::number),
        ),
        (ParamAttr::PATH_TIMEOUT, params.path_timeout),
        (ParamAttr::MAX_NATS, params.max_nats),
        (ParamAttr::ENABLED, params.enabled.map(u32::from)),
    ] {
        if let Some(value) = value {
            out.u32(attr.0, value);
        }
    }
    request
}

/// The settings in a reply.
pub(crate) fn read_params(message: &[u8]) -> Result<Params> {
    let (mut discovery, mut port, mut max_hosts, mut max_flows) = (None, None, None, None);
    let (mut udp_timeout, mut hold_time, mut scheduler, mut version) = (None, None, None, None);
    let (mut path_timeout, mut max_nats, mut enabled) = (None, None, None);
    for attr in body(message)? {
        let attr = attr?;
        match ParamAttr(attr.number()) {
            ParamAttr::DISCOVERY => discovery = Some(attr.u32()? != 0),
            ParamAttr::PORT => port = Some(attr.u16()?),
            ParamAttr::MAX_HOSTS => max_hosts = Some(attr.u32()?),
            ParamAttr::MAX_FLOWS => max_flows = Some(attr.u32()?),
            ParamAttr::UDP_TIMEOUT => udp_timeout = Some(attr.u32()?),
            ParamAttr::HOLD_TIME => hold_time = Some(attr.u32()?),
            ParamAttr::SCHEDULER => scheduler = Some(known(attr, Scheduler::from_number)?),
            ParamAttr::PATH_TIMEOUT => path_timeout = Some(attr.u32()?),
            ParamAttr::MAX_NATS => max_nats = Some(attr.u32()?),
            ParamAttr::ENABLED => enabled = Some(attr.u32()? != 0),
            ParamAttr::VERSION => version = Some(attr.string()?.to_owned()),
            _ => (),
        }
    }
    Ok(Params {
        discovery: need(discovery, "param discovery")?,
        port: need(port, "param port")?,
        max_hosts: need(max_hosts, "param max-hosts")?,
        max_flows: need(max_flows, "param max-flows")?,
        udp_timeout: need(udp_timeout, "param udp-timeout")?,
        hold_time: need(hold_time, "param hold-time")?,
        path_timeout: need(path_timeout, "param path-timeout")?,
        max_nats: need(max_nats, "param max-nats")?,
        enabled: need(enabled, "param enabled")?,
        scheduler: need(scheduler, "param scheduler")?,
        version: need(version, "param version")?,
    })
}
