// SPDX-License-Identifier: GPL-2.0
//! Which own addresses are told to whom, as the administrator and the kernel say.

use ihmp_core::addr::Addr;

/// What the administrator and the kernel say of own addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discretion {
    /// The administrator keeps them to himself: they are used where a flow began at them, and nobody is told.
    pub silent: Vec<Addr>,
    /// The administrator named them: their scope does not matter.
    pub open: Vec<Addr>,
    /// They change with time, so that nobody is known by them for long. Those that will be ready soon are among them.
    pub temporary: Vec<Addr>,
}

impl Discretion {
    /// Whether an address changes with time.
    pub(crate) fn is_temporary(&self, addr: Addr) -> bool {
        self.temporary.contains(&addr)
    }
}
