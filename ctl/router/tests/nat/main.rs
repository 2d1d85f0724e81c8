// SPDX-License-Identifier: GPL-2.0
//! The NAT's own side of NAT: what it marks, what it tells, and what it does when that is lost, forged or too much.

mod bench;
mod many;
mod marks;
mod tells;
