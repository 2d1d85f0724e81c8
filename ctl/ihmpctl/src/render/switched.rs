// SPDX-License-Identifier: GPL-2.0
//! The result of `ihmpctl off` and `ihmpctl on`.

/// The state of the switch, and what it means for flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Switched {
    pub(crate) enabled: bool,
    /// Flows that can move.
    pub(crate) moved: u64,
    /// Flows that do not move.
    pub(crate) staying: u64,
}
