// SPDX-License-Identifier: GPL-2.0
//! What there is to say of the switch.

/// What `ihmpctl off` and `ihmpctl on` came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Switched {
    pub(crate) enabled: bool,
    /// Flows that may move.
    pub(crate) moved: u64,
    /// Flows that stay where they are.
    pub(crate) staying: u64,
}
