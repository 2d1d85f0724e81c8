// SPDX-License-Identifier: GPL-2.0

//! Limits that are met.

use crate::{
    ffi::clock,
    netns::Netns,
    notify, //
};
use ihmp_core::verdict::Reason;

impl Netns {
    /// Counts that a limit was met and tells listeners, at most once a second for each reason.
    pub(crate) fn limit_reached(&self, reason: Reason) {
        self.refuse(reason);
        let second = clock::to_ms(clock::jiffies()) / 1000;
        if self.once.tells(reason, second) {
            notify::limit(self, reason);
        }
    }
}
