// SPDX-License-Identifier: GPL-2.0

//! The end of rows and hosts: a row goes after its socket, a host entry or the port mapping of a NAT
//! when its time is over.

use crate::{
    ffi::clock,
    flow::Row,
    follow,
    lost,
    netns::{
        Netns,
        EXPIRY_MS, //
    },
    room::share_of,
    stats::Counter,
    uapi::HostState, //
};
use ihmp_core::packet::{
    TCP,
    UDP, //
};
use kernel::sync::{
    atomic::Relaxed,
    rcu::Guard, //
};

/// Rows are examined at every fifth look.
const LOOKS_FOR_ROWS: u32 = 5;
/// Milliseconds for which a TCP row stays though no socket is found: it may be about to come.
const TCP_GRACE_MS: u64 = 4_000;
/// Milliseconds of silence after which a flow of ICMP or another protocol ends.
const OTHER_IDLE_MS: u64 = 60_000;
/// Milliseconds of silence after which a flow ends on which datagrams went one way only, if it could end at all; as in conntrack.
const UNANSWERED_MS: u64 = 30_000;
/// Rows of a host with which silent ones stay though nobody has moved. A program that uses a port for each question has more.
const SILENT_ROWS: u32 = 256;
/// They stay while fewer than one in so many flows of those that fit are there.
const SILENT_SHARE: u32 = 8;

/// One look at all hosts and rows of a namespace, and what is to be told by it.
pub(crate) fn run(netns: &Netns) {
    let rows_too = netns.once.look() % LOOKS_FOR_ROWS == 0;
    if look(netns) {
        lost::tell(netns);
    }
    if rows_too {
        look_at_rows(netns);
        netns.asking.forget();
    }
}

/// Looks at hosts. Whether sockets are to be told that their host cannot be reached.
fn look(netns: &Netns) -> bool {
    let config = netns.lock();
    let now = clock::jiffies();
    let patience = u64::from(netns.params.path_timeout.load(Relaxed)) * 1000;
    let mut tells = false;
    netns.each_host(|host| {
        if host.expired(now) {
            netns.host_remove(host, &config);
            return;
        }
        netns.note_taken(host, &config);
        follow::tell_rest(netns, host);
        if host.nats.load(Relaxed) != 0 {
            netns.nats_expire(host, now, &config);
        }
        tells |= host.loss.gives_up(now, patience);
    });
    netns.net.forget_announced(now);
    netns.net.forget_dead();
    if netns.hosts.load(Relaxed) != 0 {
        // An address may go after the hosts have heard so.
        netns.find_stranded();
    }
    if netns.hosts.load(Relaxed) != 0 || netns.params.discovers() {
        netns.net.schedule_expiry(EXPIRY_MS);
    } else {
        // Nothing is left to do: the hooks go; unregistering cannot fail.
        let _ = netns.update_hooks(&config);
    }
    tells
}

/// Removes the rows whose time is over. There may be a million of them, so the configuration lock is not held: moves do not wait.
fn look_at_rows(netns: &Netns) {
    let now = clock::jiffies();
    netns.each_host(|host| {
        netns.each_row(host, |row, guard| {
            if !lives(netns, &row, now, guard) && netns.flow_close(row) {
                netns.count(Counter::FlowsExpired);
            }
        });
    });
}

fn lives(netns: &Netns, row: &Row, now: u64, guard: &Guard) -> bool {
    let idle = clock::to_ms(row.seen.idle(now));
    match row.key().proto {
        TCP => idle < TCP_GRACE_MS || row.sock(&netns.net).is_some(),
        UDP => {
            let timeout = patience(
                row,
                u64::from(netns.params.udp_timeout.load(Relaxed)) * 1000,
            );
            match row.full_sock(&netns.net) {
                Some(sock) => sock.established() || idle < timeout || is_kept(netns, row, guard),
                None => idle < TCP_GRACE_MS,
            }
        }
        _ => idle < patience(row, OTHER_IDLE_MS),
    }
}

/// Milliseconds for which a flow may be silent that could be so for `ms` if it was answered.
fn patience(row: &Row, ms: u64) -> u64 {
    match row.seen.is_answered() {
        true => ms,
        false => ms.min(UNANSWERED_MS),
    }
}

/// Whether the row of an unconnected UDP socket stays in spite of its silence, since a program may have learned its identifiers. It
/// ends with the socket or the host then, which the agent does not forget while it has rows. While both tables are less than
/// half full, that is so where the identifiers lead nowhere without the row. Where nobody has moved yet, the row takes less room: see
/// [`SILENT_ROWS`] and [`SILENT_SHARE`]. A row on which only the host was heard takes less still, since anybody can make it in the name
/// of the host: it stays only where the identifiers lead nowhere without it, and half of the host's share is free.
fn is_kept(netns: &Netns, row: &Row, guard: &Guard) -> bool {
    let host = row.host().under(guard);
    let view = host.view.read(guard);
    let params = &netns.params;
    let (flows, most) = (netns.table.count(), params.max_flows.load(Relaxed));
    let room = flows < most / 2 && netns.hosts.load(Relaxed) < params.max_hosts.load(Relaxed) / 2;
    if row.plain || !room || view.state() != HostState::Up {
        return false;
    }
    let own = host.rows.count();
    let few = own <= SILENT_ROWS && flows < most / SILENT_SHARE;
    match row.seen.was_sent() {
        true => few || row.is_needed(view),
        false => own < share_of(most) / 2 && row.is_needed(view),
    }
}
