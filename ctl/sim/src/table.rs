// SPDX-License-Identifier: GPL-2.0
//! What the module asks of the sets of a host.

use std::collections::BTreeSet;

use ihmp_core::addr::Addr;
use ihmp_core::message::MAX_ADDRESSES;
use ihmp_engine::Record;

/// Panics when the module would refuse these sets for the host `id`; `owner` says which host has an active address.
pub fn check(id: Option<u32>, record: &Record, owner: impl Fn(Addr) -> Option<u32>) {
    let reachable = [&record.active[..], &record.nats].concat();
    for set in [&reachable, &record.unreachable] {
        assert!(set.len() <= MAX_ADDRESSES, "{record:?}");
        let unique: BTreeSet<_> = set.iter().collect();
        assert_eq!(unique.len(), set.len(), "{record:?}");
        assert!(set.iter().all(|addr| addr.translatable()), "{record:?}");
    }
    assert!(record.local.len() <= MAX_ADDRESSES, "{record:?}");
    for nat in &record.nats {
        assert!(!record.unreachable.contains(nat), "{record:?}");
    }
    for active in &record.active {
        assert!(!record.unreachable.contains(active), "{record:?}");
        let owner = owner(*active);
        assert!(
            owner.is_none() || owner == id,
            "{active} is taken by {owner:?}, wanted by {id:?}"
        );
    }
}
