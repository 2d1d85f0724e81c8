// SPDX-License-Identifier: GPL-2.0
//! Objects as JSON. The keys are the names of the attributes in uapi/ihmp.yaml. Flags are always there; what a netlink message does not
//! have is left out.

use std::time::Duration;

use ihmp_engine::{
    Changed,
    PublicKey, //
};
use ihmp_keys::{
    Own,
    Peer, //
};
use ihmp_nl::{
    Counter,
    Event,
    Flow,
    Host,
    HostAddr,
    Nat,
    Params,
    Path,
    Policy,
    Scheduler,
    Stats, //
};
use serde_json::{
    json,
    Map,
    Value, //
};

use super::{
    device::device_name,
    switched::Switched, //
};

/// An object from its members, in order; those that are null are left out.
fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    let present = members.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(
        present
            .map(|(key, value)| (key.to_owned(), value))
            .collect::<Map<_, _>>(),
    )
}

fn millis(time: Option<Duration>) -> Value {
    // Always fits: it came as a number of milliseconds in 64 bits.
    time.and_then(|time| u64::try_from(time.as_millis()).ok())
        .into()
}

fn address(addr: &HostAddr) -> Value {
    object([
        ("address", json!(addr.addr)),
        ("set", json!(addr.set.name())),
        ("preference", json!(addr.preference)),
        ("unvalidated", json!(addr.unvalidated)),
        ("nat", json!(addr.nat)),
        ("left", json!(addr.left)),
        ("device", json!(addr.device.map(device_name))),
    ])
}

pub(super) fn host(host: &Host) -> Value {
    object([
        ("id", json!(host.id)),
        ("mode", json!(host.mode.name())),
        ("state", json!(host.state.name())),
        ("scheduler", json!(host.scheduler.map(Scheduler::name))),
        ("name", json!(host.name)),
        ("addr", host.addrs.iter().map(address).collect()),
        ("expires-in", millis(host.expires_in)),
        ("local", json!(host.local)),
        ("remote", json!(host.remote)),
        ("flows", json!(host.flows)),
        ("tx-packets", json!(host.tx_packets)),
        ("rx-packets", json!(host.rx_packets)),
        ("idle", millis(host.idle)),
        (
            "staying",
            json!((host.staying != 0).then_some(host.staying)),
        ),
        ("credit", json!(host.credit)),
    ])
}

pub(super) fn path(path: &Path) -> Value {
    json!({
        "host-id": path.host_id,
        "local": path.local,
        "remote": path.remote,
        "preference": path.preference,
        "active": path.active,
        "unvalidated": path.unvalidated,
    })
}

pub(super) fn flow(flow: &Flow) -> Value {
    object([
        ("host-id", json!(flow.host_id)),
        ("proto", json!(flow.proto)),
        ("local", json!(flow.local)),
        ("remote", json!(flow.remote)),
        ("local-port", json!(flow.local_port)),
        ("remote-port", json!(flow.remote_port)),
        ("wire-port", json!(flow.wire_port)),
        ("host-port", json!(flow.host_port)),
        ("idle", millis(flow.idle)),
    ])
}

pub(super) fn nat(nat: &Nat) -> Value {
    object([
        ("host-id", json!(nat.host_id)),
        ("proto", json!(nat.proto)),
        ("address", json!(nat.addr)),
        ("nat-port", json!(nat.nat_port)),
        ("port", json!(nat.port)),
        ("local-port", json!(nat.local_port)),
        ("expires-in", millis(nat.expires_in)),
    ])
}

pub(super) fn policy(policy: &Policy) -> Value {
    json!({
        "address": policy.addr,
        "prefix-len": policy.prefix_len,
        "action": policy.action.name(),
    })
}

pub(super) fn params(params: &Params) -> Value {
    json!({
        "discovery": u8::from(params.discovery),
        "port": params.port,
        "max-hosts": params.max_hosts,
        "max-flows": params.max_flows,
        "max-nats": params.max_nats,
        "udp-timeout": params.udp_timeout,
        "hold-time": params.hold_time,
        "path-timeout": params.path_timeout,
        "scheduler": params.scheduler.name(),
        "enabled": u8::from(params.enabled),
        "version": params.version,
    })
}

/// The result of `ihmpctl off` and `ihmpctl on`.
pub(super) fn switched(switched: &Switched) -> Value {
    json!({
        "enabled": u8::from(switched.enabled),
        "moved": switched.moved,
        "staying": switched.staying,
    })
}

fn counter(counter: &Counter) -> Value {
    json!({
        "reason": counter.reason.to_string(),
        "effect": counter.effect.name(),
        "packets": counter.packets,
    })
}

pub(super) fn stats(stats: &Stats) -> Value {
    json!({
        "hosts": stats.hosts,
        "flows": stats.flows,
        "nats": stats.nats,
        "hooks": stats.hooks,
        "out-translated": stats.out_translated,
        "out-unchanged": stats.out_unchanged,
        "in-translated": stats.in_translated,
        "in-unchanged": stats.in_unchanged,
        "icmp-out": stats.icmp_out,
        "icmp-in": stats.icmp_in,
        "port-mapped": stats.port_mapped,
        "tcp-woken": stats.tcp_woken,
        "discovered": stats.discovered,
        "flows-made": stats.flows_made,
        "flows-expired": stats.flows_expired,
        "unreachable": stats.unreachable,
        "counter": stats.counters.iter().map(counter).collect::<Value>(),
    })
}

fn texts<T: ToString>(list: &[T]) -> Vec<String> {
    list.iter().map(T::to_string).collect()
}

pub(super) fn own_key(own: &Own) -> Value {
    let public = own.key.public();
    let former = own.key.former.map(|former| former.key.fingerprint());
    object([
        ("kind", json!("own")),
        ("name", json!(own.name)),
        ("fingerprint", json!(public.fingerprint().to_string())),
        ("key", json!(public.to_string())),
        ("scope", json!(texts(&own.key.scope))),
        ("former", json!(former.map(|former| former.to_string()))),
    ])
}

pub(super) fn peer_key(key: &PublicKey, peer: &Peer) -> Value {
    object([
        (
            "kind",
            json!(if peer.known.router { "router" } else { "peer" }),
        ),
        ("name", json!(peer.name)),
        ("fingerprint", json!(key.fingerprint().to_string())),
        ("key", json!(key.to_string())),
        ("pinned", json!(peer.known.pinned)),
        ("scope", json!(texts(&peer.known.scope))),
        ("address", json!(texts(&peer.known.at))),
        ("heard", json!(peer.known.floor)),
    ])
}

/// An address at which another key was used than the one that is remembered.
pub(super) fn changed(changed: &Changed) -> Value {
    json!({
        "kind": "changed",
        "address": changed.at.to_string(),
        "key": changed.key.to_string(),
        "fingerprint": changed.key.fingerprint().to_string(),
        "former": changed.former.fingerprint().to_string(),
        "outcome": if changed.believed { "believed" } else { "refused" },
    })
}

/// The notification's name in the spec, the time if it is wanted, and the notification's attributes.
pub(super) fn event(event: &Event, timestamp: Option<String>) -> Value {
    let (name, attributes) = match event {
        Event::HostChanged(changed) => ("host-ntf", host(changed)),
        Event::HostDeleted(id) => ("host-del-ntf", json!({ "id": id })),
        Event::PathChanged {
            host_id,
            local,
            remote,
            cause,
        } => (
            "path-ntf",
            object([
                ("host-id", json!(host_id)),
                ("local", json!(local)),
                ("remote", json!(remote)),
                ("cause", json!(cause.name())),
            ]),
        ),
        Event::Discover {
            host_id,
            proto,
            local,
            remote,
        } => (
            "discover-ntf",
            json!({ "host-id": host_id, "proto": proto, "local": local, "remote": remote }),
        ),
        Event::Limit { reason, packets } => (
            "limit-ntf",
            json!({ "reason": reason.to_string(), "packets": packets }),
        ),
        Event::PathSilent {
            host_id,
            local,
            remote,
        } => (
            "silent-ntf",
            json!({ "host-id": host_id, "local": local, "remote": remote }),
        ),
        Event::CreditLow { host_id, credit } => {
            ("credit-ntf", json!({ "id": host_id, "credit": credit }))
        }
        Event::NatChanged(changed) => ("nat-ntf", nat(changed)),
        Event::NatDeleted(deleted) => ("nat-del-ntf", nat(deleted)),
        Event::ParamsChanged(changed) => ("param-ntf", params(changed)),
        Event::Resync => ("resync", json!({})),
    };
    let mut line = Map::new();
    line.extend(timestamp.map(|timestamp| ("timestamp".to_owned(), timestamp.into())));
    line.insert("event".to_owned(), name.into());
    if let Value::Object(attributes) = attributes {
        line.extend(attributes);
    }
    Value::Object(line)
}

/// The status of an agent: figures by their names; refusals by reason, with their sum, and addresses to which routers reject moves are
/// objects of their own.
pub(super) fn agent(text: &str) -> Value {
    let value = |word: &str| match word.parse::<u64>() {
        Ok(number) => Value::from(number),
        Err(_) => Value::from(word),
    };
    let mut object = serde_json::Map::new();
    let (mut refused, mut rejected) = (Vec::new(), Vec::new());
    for line in text.lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            [name, word] => drop(object.insert(name.to_owned(), value(word))),
            ["rejected", address, hosts] => {
                rejected.push(json!({ "address": address, "hosts": value(hosts) }));
            }
            [_, reason, count] => {
                refused.push(json!({ "reason": reason, "messages": value(count) }));
            }
            _ => (),
        }
    }
    object.insert("refusals".to_owned(), Value::from(refused));
    object.insert("rejections".to_owned(), Value::from(rejected));
    Value::Object(object)
}
