// SPDX-License-Identifier: GPL-2.0
//! The signalling of IHMP: one machine, driven from outside.
//!
//! [`Engine`] takes an [`Input`] with the time and a random number, and is then asked for its [`Output`]s until there
//! are none. It reads no clock, opens no socket and draws no random number, so that the same inputs always give the
//! same outputs: the tests run it for two hosts or a thousand under a virtual clock. The agent `ihmpd` is the loop
//! around it; Documentation/ihmp-wire.rst has the rules that it follows.
//!
//! ```
//! use ihmp_core::time::Instant;
//! use ihmp_engine::{Engine, Input, Keys, Limits, Moment, Output, OwnKey, Policy, Routes, Via};
//!
//! let here: ihmp_core::addr::Addr = "192.0.2.1".parse().unwrap();
//! let there = "198.51.100.7".parse().unwrap();
//! let mut engine = Engine::new(Limits::default(), Policy::FirstUse);
//! let at = |random| Moment { now: Instant::ZERO, wall: 1_800_000_000_000_000_000, random };
//! let own = vec![OwnKey::new(&[7; 32], vec![])];
//! engine.handle(at(0), Input::Keys(Keys { own, ..Keys::default() }));
//! engine.handle(at(1), Input::Network { local: vec![here.into()], routes: vec![] });
//!
//! // The module saw a flow to an address that it did not know.
//! engine.handle(at(2), Input::Discovered { id: 7, local: here, remote: there });
//! while let Some(output) = engine.poll() {
//!     if let Output::Ask(peer) = output {
//!         let via = vec![Via::new(here, 0)];
//!         engine.handle(at(3), Input::Routes(Routes { peer, via }));
//!     } else if let Output::Send { from, to, bytes, .. } = output {
//!         assert_eq!((from, to, bytes[0]), (here, there, 0)); // a HELLO
//!     }
//! }
//! assert!(engine.next_timeout().is_some());
//! ```

#![forbid(unsafe_code)]

mod ack;
mod admission;
mod advertised;
mod announcements;
mod answering;
mod authenticate;
mod behind;
mod binding;
mod bucket;
mod budgets;
mod challenges;
mod change;
mod claim;
mod cookie;
mod counters;
mod dead;
mod discretion;
mod endpoint;
mod engine;
mod entry;
mod follow;
mod forged;
mod hello;
mod hidden;
mod host;
mod io;
mod kernel;
mod keyring;
mod keys;
mod left;
mod lifetime;
mod limits;
mod listing;
mod mapped;
mod merge;
mod nat;
mod nats;
mod note;
mod own;
mod own_keys;
mod peer;
mod places;
mod prefix;
mod probe;
mod probed;
mod probing;
mod publish;
mod receive;
mod received;
mod reconcile;
mod rejected;
mod relay;
mod replay;
mod request;
mod requests;
mod room;
mod routed;
mod routes;
mod routing;
mod send;
mod sender;
mod seqno;
mod serve;
mod session;
mod share;
mod silence;
mod sources;
mod stamps;
mod suspicion;
mod switch;
mod table;
mod telling;
mod trust;
mod validation;
mod world;

pub use bucket::Bucket;
pub use discretion::Discretion;
pub use engine::Engine;
pub use io::{
    Age, Change, Input, KernelHost, Key, Local, Moment, Output, Own, Record, Refusal, Routes,
    State, Traffic, Via,
};
pub use keys::{
    verify, Changed, Fact, Fingerprint, Former, Keys, KnownKey, NoKey, OwnKey, Policy, PublicKey,
};
pub use limits::{
    ChallengeLimits, GreetingLimits, HostLimits, Limits, NatLimits, Rate, RequestLimits,
    SignatureLimits, ValidationLimits,
};
pub use note::Note;
pub use stamps::Stamps;
