// SPDX-License-Identifier: GPL-2.0

//! The commands of the family: one function each, from a request to a change, a reply or a refusal
//! that says why.

pub(crate) mod addr;
pub(crate) mod flow;
pub(crate) mod host;
pub(crate) mod nat;
pub(crate) mod param;
pub(crate) mod path;
pub(crate) mod policy;
pub(crate) mod stats;

use crate::ffi::genl::{
    Attr,
    Request, //
};
use ihmp_core::addr::Addr;
use kernel::prelude::*;

/// The address in an attribute of 4 or 16 octets.
fn address(request: &Request<'_>, attr: Attr<'_>) -> Result<Addr> {
    Addr::from_wire(attr.bytes()).ok_or_else(|| {
        request.refuse(
            Some(attr),
            EINVAL,
            format_args!("an address has 4 or 16 octets, and IPv4 is not mapped into IPv6"),
        )
    })
}
