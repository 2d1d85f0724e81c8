// SPDX-License-Identifier: GPL-2.0
//! Which host has sent a message.

use crate::io::{Key, Refusal};
use crate::received::Received;
use crate::table::Table;

/// The host that sent this: by its key, else by its addresses, but not when that one has to sign.
pub(crate) fn sender(
    table: &Table,
    received: &Received<'_>,
    by_address: impl FnOnce() -> Option<Key>,
) -> Result<Option<Key>, Refusal> {
    if let Some(signer) = &received.signer {
        return Ok(table.bound(&signer.key));
    }
    let found = by_address();
    if found.is_some_and(|key| !table.is_unbound(key)) {
        return Err(Refusal::Unsigned);
    }
    Ok(found)
}
