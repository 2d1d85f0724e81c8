// SPDX-License-Identifier: GPL-2.0
//! Names and numbers by which our own device, table, rules, routes and addresses are recognised.

/// Name of the device that last-resort routes use, and that has the former addresses whose packets a router forwards to us.
pub const DEVICE: &str = "ihmp0";
/// Number of the routing table for last-resort routes.
pub(crate) const TABLE: u32 = 61_453;
/// Preference of the rule that looks the table up: after `main` (32766) and `default` (32767).
pub(crate) const RULE_PREFERENCE: u32 = 40_000;
/// Marks routes, rules and addresses as ours (`rtm_protocol`, no assigned meaning).
pub(crate) const PROTOCOL: u8 = 213;
/// Marks the host routes of a router agent.
pub(crate) const ROUTER_PROTOCOL: u8 = 214;
