// SPDX-License-Identifier: GPL-2.0
//! Objects as text, in the words that the commands understand.

use std::{
    fmt,
    io::{
        self,
        Write, //
    },
    time::Duration,
};

use ihmp_engine::{
    Changed,
    PublicKey, //
};
use ihmp_keys::{
    Own,
    Peer, //
};
use ihmp_nl::{
    AddrSet,
    Event,
    Flow,
    Host,
    HostAddr,
    Nat,
    Params,
    Path,
    Policy,
    Stats, //
};

use super::{
    device::device_name,
    switched::Switched, //
};
use crate::protocol;

/// A time in seconds, to the millisecond, without needless digits.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:03}", self.0.as_secs(), self.0.subsec_millis());
        write!(f, "{}s", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// A protocol by name, if it has one.
struct Protocol(u8);

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match protocol::name(self.0) {
            Some(name) => f.write_str(name),
            None => self.0.fmt(f),
        }
    }
}

/// A name whose control characters are escaped, so that the terminal does not obey them.
struct Name<'a>(&'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c.is_control() {
            true => write!(f, "{}", c.escape_default()),
            false => write!(f, "{c}"),
        })
    }
}

fn set(set: AddrSet) -> &'static str {
    match set {
        AddrSet::Active => "remote",
        other => other.name(),
    }
}

fn address(addr: &HostAddr, to: &mut dyn Write) -> io::Result<()> {
    write!(to, "{} {}", set(addr.set), addr.addr)?;
    if addr.preference != 0 {
        write!(to, " preference {}", addr.preference)?;
    }
    if addr.unvalidated {
        write!(to, " unvalidated")?;
    }
    if addr.nat {
        write!(to, " nat")?;
    }
    if addr.left {
        write!(to, " left")?;
    }
    if let Some(device) = addr.device {
        write!(to, " device {}", Name(&device_name(device)))?;
    }
    Ok(())
}

/// A host, its parts separated by a line break or by a blank.
pub(super) fn host(host: &Host, separator: &str, to: &mut dyn Write) -> io::Result<()> {
    write!(to, "host {}", host.id)?;
    if let Some(name) = &host.name {
        write!(to, " name {}", Name(name))?;
    }
    write!(to, " state {} mode {}", host.state, host.mode)?;
    if let Some(scheduler) = host.scheduler {
        write!(to, " scheduler {scheduler}")?;
    }
    if let Some(time) = host.expires_in {
        write!(to, " expires {}", Seconds(time))?;
    }
    for addr in &host.addrs {
        write!(to, "{separator}")?;
        address(addr, to)?;
    }
    match (host.local, host.remote) {
        (Some(local), Some(remote)) => write!(to, "{separator}path {local} {remote}")?,
        _ => write!(to, "{separator}path none")?,
    }
    write!(
        to,
        "{separator}flows {} tx {} rx {}",
        host.flows, host.tx_packets, host.rx_packets
    )?;
    if host.staying != 0 {
        write!(to, " staying {}", host.staying)?;
    }
    if let Some(time) = host.idle {
        write!(to, " idle {}", Seconds(time))?;
    }
    if let Some(octets) = host.credit {
        write!(to, " credit {octets}")?;
    }
    Ok(())
}

pub(super) fn path(path: &Path, to: &mut dyn Write) -> io::Result<()> {
    write!(
        to,
        "host {} local {} remote {} preference {}",
        path.host_id, path.local, path.remote, path.preference
    )?;
    if path.active {
        write!(to, " active")?;
    }
    if path.unvalidated {
        write!(to, " unvalidated")?;
    }
    Ok(())
}

/// A flow; its first five words are what `flow del` wants.
pub(super) fn flow(flow: &Flow, to: &mut dyn Write) -> io::Result<()> {
    write!(
        to,
        "{} {} {}",
        Protocol(flow.proto),
        flow.local,
        flow.local_port
    )?;
    write!(
        to,
        " {} {} host {}",
        flow.remote, flow.remote_port, flow.host_id
    )?;
    if let Some(port) = flow.wire_port {
        write!(to, " wire-port {port}")?;
    }
    if let Some(port) = flow.host_port {
        write!(to, " host-port {port}")?;
    }
    if let Some(time) = flow.idle {
        write!(to, " idle {}", Seconds(time))?;
    }
    Ok(())
}

/// A port mapping, in the words of `nat add`; its first four are what `nat del` wants.
pub(super) fn nat(nat: &Nat, to: &mut dyn Write) -> io::Result<()> {
    write!(
        to,
        "{} {} {} {} port {} host {}",
        Protocol(nat.proto),
        nat.addr,
        nat.nat_port,
        nat.local_port,
        nat.port,
        nat.host_id
    )?;
    if let Some(time) = nat.expires_in {
        write!(to, " expires {}", Seconds(time))?;
    }
    Ok(())
}

pub(super) fn policy(policy: &Policy, to: &mut dyn Write) -> io::Result<()> {
    write!(
        to,
        "{}/{} {}",
        policy.addr, policy.prefix_len, policy.action
    )
}

fn on_off(on: bool) -> &'static str {
    match on {
        true => "on",
        false => "off",
    }
}

/// The result of `ihmpctl off` and `ihmpctl on`.
pub(super) fn switched(switched: &Switched, to: &mut dyn Write) -> io::Result<()> {
    let Switched {
        enabled,
        moved,
        staying,
    } = switched;
    match enabled {
        true => writeln!(to, "on"),
        false => writeln!(
            to,
            "off, flows that go on {moved}, flows that stay where they are {staying}"
        ),
    }
}

pub(super) fn params(params: &Params, to: &mut dyn Write) -> io::Result<()> {
    writeln!(to, "discovery {}", on_off(params.discovery))?;
    writeln!(to, "port {}", params.port)?;
    writeln!(to, "max-hosts {}", params.max_hosts)?;
    writeln!(to, "max-flows {}", params.max_flows)?;
    writeln!(to, "max-nats {}", params.max_nats)?;
    writeln!(to, "udp-timeout {}", params.udp_timeout)?;
    writeln!(to, "hold-time {}", params.hold_time)?;
    writeln!(to, "path-timeout {}", params.path_timeout)?;
    writeln!(to, "scheduler {}", params.scheduler)?;
    writeln!(to, "enabled {}", on_off(params.enabled))?;
    writeln!(to, "version {}", params.version)
}

pub(super) fn stats(stats: &Stats, to: &mut dyn Write) -> io::Result<()> {
    let counters = [
        ("hosts", stats.hosts.into()),
        ("flows", stats.flows.into()),
        ("nats", stats.nats.into()),
        ("hooks", stats.hooks.into()),
        ("out-translated", stats.out_translated),
        ("out-unchanged", stats.out_unchanged),
        ("in-translated", stats.in_translated),
        ("in-unchanged", stats.in_unchanged),
        ("icmp-out", stats.icmp_out),
        ("icmp-in", stats.icmp_in),
        ("port-mapped", stats.port_mapped),
        ("tcp-woken", stats.tcp_woken),
        ("discovered", stats.discovered),
        ("flows-made", stats.flows_made),
        ("flows-expired", stats.flows_expired),
        ("unreachable", stats.unreachable),
    ];
    for (name, value) in counters {
        writeln!(to, "{name} {value}")?;
    }
    for counter in &stats.counters {
        writeln!(
            to,
            "{} {} {}",
            counter.effect, counter.reason, counter.packets
        )?;
    }
    Ok(())
}

pub(super) fn own_key(own: &Own, to: &mut dyn Write) -> io::Result<()> {
    let public = own.key.public();
    write!(to, "own {} {} key {public}", own.name, public.fingerprint())?;
    for prefix in &own.key.scope {
        write!(to, " for {prefix}")?;
    }
    if let Some(former) = &own.key.former {
        write!(to, " after {}", former.key.fingerprint())?;
    }
    writeln!(to)
}

/// The key of a peer; after its fingerprint come the words that `key add` takes, and the host's last addresses.
pub(super) fn peer_key(key: &PublicKey, peer: &Peer, to: &mut dyn Write) -> io::Result<()> {
    let what = if peer.known.router { "router" } else { "peer" };
    let how = if peer.known.pinned { "listed" } else { "seen" };
    write!(to, "{what} {how} {} key {key}", key.fingerprint())?;
    if let Some(name) = &peer.name {
        write!(to, " name {}", Name(name))?;
    }
    for prefix in &peer.known.scope {
        write!(to, " at {prefix}")?;
    }
    for addr in &peer.known.at {
        write!(to, " last {addr}")?;
    }
    writeln!(to)
}

/// An address at which another key was used than the one that is remembered.
pub(super) fn changed(changed: &Changed, to: &mut dyn Write) -> io::Result<()> {
    let outcome = if changed.believed {
        "believed"
    } else {
        "refused"
    };
    let (key, former) = (changed.key.fingerprint(), changed.former.fingerprint());
    write!(
        to,
        "KEY CHANGED at {} {outcome} {key} was {former}",
        changed.at
    )
}

pub(super) fn event(event: &Event, to: &mut dyn Write) -> io::Result<()> {
    match event {
        Event::HostChanged(changed) => host(changed, " ", to),
        Event::HostDeleted(id) => write!(to, "deleted host {id}"),
        Event::PathChanged {
            host_id,
            local: Some(local),
            remote: Some(remote),
            cause,
        } => {
            write!(
                to,
                "path host {host_id} local {local} remote {remote} cause {cause}"
            )
        }
        Event::PathChanged { host_id, cause, .. } => {
            write!(to, "path host {host_id} none cause {cause}")
        }
        Event::Discover {
            host_id,
            proto,
            local,
            remote,
        } => {
            write!(
                to,
                "discover host {host_id} proto {} local {local} remote {remote}",
                Protocol(*proto)
            )
        }
        Event::Limit { reason, packets } => write!(to, "limit {reason} packets {packets}"),
        Event::PathSilent {
            host_id,
            local,
            remote,
        } => write!(to, "silent host {host_id} local {local} remote {remote}"),
        Event::CreditLow { host_id, credit } => write!(to, "credit host {host_id} left {credit}"),
        Event::NatChanged(changed) => {
            write!(to, "nat ")?;
            nat(changed, to)
        }
        Event::NatDeleted(deleted) => {
            write!(to, "deleted nat ")?;
            nat(deleted, to)
        }
        // On one line, as every event.
        Event::ParamsChanged(changed) => {
            let mut lines = Vec::new();
            params(changed, &mut lines)?;
            let lines = String::from_utf8_lossy(&lines);
            write!(to, "param {}", lines.trim_end().replace('\n', " "))
        }
        Event::Resync => write!(to, "resync events were lost"),
    }
}
