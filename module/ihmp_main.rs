// SPDX-License-Identifier: GPL-2.0

//! Host mobility and multihoming: translates between the identifiers that sockets are bound to and
//! the locators that are on the wire (DIME's StackTrans, [DIME-IFIP], [DIME-ICCCN]).
//!
//! This file holds the order of registration and nothing else.

mod asking;
mod attrs;
mod control;
mod course;
mod credit;
mod datapath;
mod discover;
mod expiry;
mod ffi;
mod flow;
mod follow;
mod host;
mod limit;
mod lost;
mod marks;
mod nat;
mod netns;
mod notify;
mod once;
mod opener;
mod param;
mod pending;
mod policy;
mod rate;
mod room;
mod silence;
mod stats;
mod stranded;
mod switch;
#[path = "../uapi/rust/src/lib.rs"]
mod uapi;
mod view;
mod wake;

use ffi::family::{
    Family,
    Pernet, //
};
use kernel::prelude::*;

module! {
    type: Ihmp,
    name: "ihmp",
    authors: ["The ihmp developers"],
    description: "Host mobility and multihoming",
    license: "GPL",
}

/// The loaded module. Fields drop in order: no command comes when the namespaces' state goes.
struct Ihmp {
    _family: Family,
    _pernet: Pernet,
}

impl kernel::Module for Ihmp {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let pernet = Pernet::register()?;
        let family = Family::register()?;
        Ok(Self {
            _family: family,
            _pernet: pernet,
        })
    }
}
