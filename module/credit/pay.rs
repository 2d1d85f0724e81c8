// SPDX-License-Identifier: GPL-2.0

//! What is sent to an address that is not validated is paid for.

use crate::{
    host::Host,
    netns::Netns,
    notify,
    view::View, //
};
use ihmp_core::credit::LOW;
use kernel::sync::{
    atomic::Relaxed,
    rcu::Guard, //
};

impl Netns {
    /// Pays for a packet to an address of a host that is not validated; false when there is no credit for it.
    #[cold]
    pub(crate) fn pay(&self, host: &Host, view: &View, octets: u64, guard: &Guard) -> bool {
        let network = self.account(view, guard);
        let paid = network.is_some_and(|network| {
            let paid = host.account.pay(octets);
            let both = paid && network.pay(octets);
            if paid && !both {
                host.account.left.add(octets, Relaxed);
            }
            both
        });
        if !paid {
            host.traffic.note_short();
        }
        let left = self.credit(host, view, guard);
        if (!paid || left < LOW) && view.tells_credit() {
            notify::credit(self, host.id(), left);
        }
        paid
    }
}
