// SPDX-License-Identifier: GPL-2.0
//! The words that name the host of a command.

use crate::words::{
    Result,
    Words, //
};

/// Reads `[host ID]`.
pub(super) fn optional_host(words: &mut Words<'_>) -> Result<Option<u32>> {
    match words.peek() {
        None => Ok(None),
        Some(_) => host_id(words).map(Some),
    }
}

/// Reads `host ID`.
pub(super) fn host_id(words: &mut Words<'_>) -> Result<u32> {
    words.choice("the word host", &[("host", ())])?;
    words.parse("the id of a host")
}
