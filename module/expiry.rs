// SPDX-License-Identifier: GPL-2.0

//! The end of rows and hosts: a row goes after its socket, a host entry or the port mapping of a NAT
//! when its time is over.

use crate::{
    ffi::clock,
    flow::Row,
    lost,
    netns::{
        Netns,
        EXPIRY_MS, //
    },
    stats::Counter, //
};
use ihmp_core::packet::{
    TCP,
    UDP, //
};
use kernel::sync::atomic::Relaxed;

/// Looks at hosts for each look at rows.
const LOOKS_FOR_ROWS: u32 = 5;
/// Milliseconds for which a TCP row stays though no socket is found: it may be about to come.
const TCP_GRACE_MS: u64 = 4_000;
/// Milliseconds of silence after which a flow of ICMP or another protocol ends.
const OTHER_IDLE_MS: u64 = 60_000;

/// One look at all hosts and rows of a namespace.
pub(crate) fn run(netns: &Netns) {
    let config = netns.lock();
    let now = clock::jiffies();
    let patience = u64::from(netns.params.path_timeout.load(Relaxed)) * 1000;
    let rows_too = netns.looks.fetch_add(1, Relaxed) % LOOKS_FOR_ROWS == 0;
    netns.each_host(|host| {
        if host.expired(now) {
            netns.host_remove(host, &config);
            return;
        }
        if host.nats.load(Relaxed) != 0 {
            netns.nats_expire(host, now, &config);
        }
        if patience != 0 && host.give_up(now, patience) {
            lost::tell(netns, host);
        }
        if rows_too {
            netns.each_row(host, |row, _| {
                if !lives(netns, row, now) && netns.flow_close(row) {
                    netns.count(Counter::FlowsExpired);
                }
            });
        }
    });
    netns.net.forget_dead();
    if rows_too {
        for sighting in &netns.sightings {
            sighting.store(0, Relaxed);
        }
    }
    if netns.hosts.load(Relaxed) != 0 || netns.params.discovers() {
        netns.net.schedule_expiry(EXPIRY_MS);
    } else {
        // Nothing is left to do: the hooks go; unregistering cannot fail.
        let _ = netns.update_hooks(&config);
    }
}

fn lives(netns: &Netns, row: &Row, now: u64) -> bool {
    let idle = clock::to_ms(row.idle(now));
    match row.key().proto {
        TCP => idle < TCP_GRACE_MS || row.sock(netns).is_some(),
        UDP => {
            let timeout = u64::from(netns.params.udp_timeout.load(Relaxed)) * 1000;
            match row.sock(netns) {
                Some(sock) => sock.established() || idle < timeout,
                None => idle < TCP_GRACE_MS,
            }
        }
        _ => idle < OTHER_IDLE_MS,
    }
}
