// SPDX-License-Identifier: GPL-2.0
//! The discovery policy.

use std::net::IpAddr;

use ihmp_uapi::{
    Command,
    PolicyAttr, //
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

/// `policy-new`, with an action, or `policy-del`, without.
pub(crate) fn policy_request(
    command: Command,
    addr: IpAddr,
    prefix_len: u8,
    action: Option<PolicyAction>,
) -> Request {
    let mut request = Request::new(command);
    let out = request.attrs();
    out.addr(PolicyAttr::ADDRESS.0, addr);
    out.u8(PolicyAttr::PREFIX_LEN.0, prefix_len);
    if let Some(action) = action {
        out.u32(PolicyAttr::ACTION.0, action.number());
    }
    request
}

/// A prefix in a reply.
pub(crate) fn read_policy(message: &[u8]) -> Result<Policy> {
    let (mut addr, mut prefix_len, mut action) = (None, None, None);
    for attr in body(message)? {
        let attr = attr?;
        match PolicyAttr(attr.number()) {
            PolicyAttr::ADDRESS => addr = Some(attr.addr()?),
            PolicyAttr::PREFIX_LEN => prefix_len = Some(attr.u8()?),
            PolicyAttr::ACTION => action = Some(known(attr, PolicyAction::from_number)?),
            _ => (),
        }
    }
    Ok(Policy {
        addr: need(addr, "address of a prefix")?,
        prefix_len: need(prefix_len, "length of a prefix")?,
        action: need(action, "action of a prefix")?,
    })
}
