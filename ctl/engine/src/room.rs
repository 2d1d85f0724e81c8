// SPDX-License-Identifier: GPL-2.0
//! Room in the table for another host.

use ihmp_core::addr::Addr;
use ihmp_core::time::Duration;

use crate::io::{Key, Traffic};
use crate::table::Table;

/// The table is nearly full when one part in so many of it is free.
const SPARE: usize = 16;
/// So long nothing has passed at a host that has to go: a newcomer's connection may not have been seen yet.
const IDLE: Duration = Duration::from_secs(10);

/// Whether there is room for a host that greets from there, or for one of ours; room is made where that is just.
pub(crate) fn has(table: &mut Table, from: Option<Addr>) -> bool {
    let most = table.world.limits.hosts.most;
    let spare = (most / SPARE).max(1);
    if table.len().saturating_add(spare) >= most {
        for key in table.shares_mut().ask() {
            if let Some((host, world)) = table.pair(key) {
                host.listing().look(world);
            }
        }
    }
    if table.len() < most {
        return true;
    }
    let oldest = table.shares().oldest(from.map(|from| from.network()));
    oldest.is_some_and(|key| evict(table, key))
}

/// What passed at a host that was asked because room is needed: one without connections has to go.
pub(crate) fn make(table: &mut Table, key: Key, traffic: Traffic) -> bool {
    let idle = traffic.flows == 0 && traffic.idle >= IDLE;
    table.shares_mut().answered(key) && idle && evict(table, key)
}

/// Gives up a host so that another one has room; false when that is not possible now.
fn evict(table: &mut Table, key: Key) -> bool {
    let host = table.get(key).filter(|host| !host.is_managed());
    if host.is_none_or(|host| host.listing().id().is_none()) {
        return false;
    }
    table.shares_mut().evict();
    table.delete(key, "crowded");
    true
}
