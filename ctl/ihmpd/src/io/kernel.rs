// SPDX-License-Identifier: GPL-2.0
//! Conversions between the engine's types and those of the module's netlink family: hosts, address sets, states.

use std::{
    net::IpAddr,
    time, //
};

use ihmp_core::{
    addr::Addr,
    nat::Mapping,
    time::Duration, //
};
use ihmp_engine::{
    KernelHost,
    Local,
    Record,
    State,
    Traffic, //
};
use ihmp_nl::{
    AddrSet,
    Host,
    HostAddr,
    HostRequest,
    HostState,
    Nat, //
};

/// An address of std as one of `ihmp_core`.
pub(crate) fn addr(ip: IpAddr) -> Addr {
    match ip {
        IpAddr::V4(ip) => Addr::v4(ip.octets()),
        IpAddr::V6(ip) => Addr::v6(ip.octets()),
    }
}

/// An address of `ihmp_core` as one of std.
pub(crate) fn ip(addr: Addr) -> IpAddr {
    if addr.is_v4() {
        IpAddr::from(addr.low())
    } else {
        IpAddr::from(addr.octets())
    }
}

fn state_of(state: State) -> HostState {
    match state {
        State::New => HostState::New,
        State::Up => HostState::Up,
        State::Classic => HostState::Classic,
    }
}

/// The request that makes the module's entry like the record: it replaces every set of addresses but the aliases.
pub(crate) fn request(id: Option<u32>, record: &Record) -> HostRequest {
    let foreign = |set, addrs: &[Addr], nat| {
        let of = move |addr: &Addr| HostAddr {
            nat,
            unvalidated: record.unvalidated.contains(addr),
            ..HostAddr::new(set, ip(*addr))
        };
        addrs.iter().map(of).collect::<Vec<_>>()
    };
    let local = record.local.iter().map(|local| HostAddr {
        addr: ip(local.addr),
        set: AddrSet::Local,
        preference: local.preference,
        unvalidated: local.unvalidated,
        nat: local.nat,
        left: local.left,
        device: local.device,
    });
    let mut addrs = foreign(AddrSet::Active, &record.active, false);
    addrs.extend(foreign(AddrSet::Active, &record.nats, true));
    addrs.extend(foreign(AddrSet::Unreachable, &record.unreachable, false));
    addrs.extend(local);
    let clear = match id {
        Some(_) => vec![AddrSet::Active, AddrSet::Unreachable, AddrSet::Local],
        None => Vec::new(),
    };
    HostRequest {
        id,
        state: Some(state_of(record.state)),
        addrs,
        clear,
        expires_in: record
            .expires
            .map(|span: Duration| time::Duration::from_nanos(span.as_nanos())),
        ..HostRequest::default()
    }
}

/// The request that adds a port mapping.
pub(crate) fn nat(id: u32, mapping: &Mapping, lifetime: Option<Duration>) -> Nat {
    Nat {
        host_id: id,
        proto: mapping.proto,
        addr: ip(mapping.addr),
        nat_port: mapping.nat_port,
        port: mapping.port,
        local_port: mapping.local_port,
        expires_in: lifetime.map(|span| time::Duration::from_nanos(span.as_nanos())),
    }
}

/// The counters of a host, for the engine.
pub(crate) fn traffic(host: &Host) -> Traffic {
    Traffic {
        flows: host.flows,
        sent: host.tx_packets,
        received: host.rx_packets,
        idle: host.idle.map_or(Duration::ZERO, |idle| {
            Duration::from_nanos(u64::try_from(idle.as_nanos()).unwrap_or(u64::MAX))
        }),
        credit: host.credit,
    }
}

/// A host of the module's table, as the engine takes it over.
pub(crate) fn adopted(host: &Host, identifiers: Vec<Addr>) -> KernelHost {
    let of = |set, nat| {
        host.addrs
            .iter()
            .filter(move |entry| entry.set == set && entry.nat == nat)
            .map(|entry| addr(entry.addr))
            .collect::<Vec<_>>()
    };
    let local = host
        .addrs
        .iter()
        .filter(|entry| entry.set == AddrSet::Local);
    KernelHost {
        id: host.id,
        state: match host.state {
            HostState::New => State::New,
            HostState::Up => State::Up,
            HostState::Classic => State::Classic,
        },
        managed: host.name.is_some(),
        moved: host.flows > host.staying,
        active: of(AddrSet::Active, false),
        nats: of(AddrSet::Active, true),
        unvalidated: {
            let foreign = host
                .addrs
                .iter()
                .filter(|entry| entry.set != AddrSet::Local);
            let unvalidated = foreign.filter(|entry| entry.unvalidated);
            unvalidated.map(|entry| addr(entry.addr)).collect()
        },
        unreachable: of(AddrSet::Unreachable, false),
        alias: of(AddrSet::Alias, false),
        local: local
            .map(|entry| Local {
                addr: addr(entry.addr),
                preference: entry.preference,
                unvalidated: entry.unvalidated,
                nat: entry.nat,
                left: entry.left,
                device: entry.device,
            })
            .collect(),
        identifiers,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_the_way_through_the_kernel() {
        let a = |text: &str| text.parse::<Addr>().unwrap();
        let record = Record {
            state: State::Up,
            active: vec![a("192.0.2.1"), a("2001:db8::1")],
            unvalidated: vec![a("2001:db8::1")],
            nats: vec![a("203.0.113.2")],
            unreachable: vec![a("10.0.0.1")],
            local: vec![Local {
                addr: a("198.51.100.7"),
                preference: 10,
                unvalidated: true,
                nat: true,
                left: true,
                device: Some(3),
            }],
            expires: None,
        };
        let request = request(Some(7), &record);
        assert_eq!(request.clear.len(), 3);
        let host = Host {
            id: 7,
            mode: ihmp_nl::Mode::StackTrans,
            state: HostState::Up,
            scheduler: None,
            name: None,
            addrs: request.addrs,
            expires_in: None,
            local: None,
            remote: None,
            flows: 0,
            tx_packets: 0,
            rx_packets: 0,
            idle: None,
            staying: 0,
            credit: Some(1 << 40),
        };
        assert_eq!(traffic(&host).credit, Some(1 << 40));
        let back = adopted(&host, Vec::new());
        assert_eq!(back.active, record.active);
        assert_eq!(back.nats, record.nats);
        assert_eq!(back.unvalidated, record.unvalidated);
        assert_eq!(back.unreachable, record.unreachable);
        assert_eq!(back.local, record.local);
        assert!(!back.managed);
    }
}
