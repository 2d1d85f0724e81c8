// SPDX-License-Identifier: GPL-2.0
//! Objects against messages as the kernel's own client encodes them.

#![cfg(target_endian = "little")]

mod messages;

use std::{
    net::{
        IpAddr,
        Ipv4Addr,
        Ipv6Addr, //
    },
    time::Duration,
};

use ihmp_uapi::{
    AddrAttr,
    HostAttr,
    PolicyAttr, //
};

use super::{
    value::millis,
    *, //
};
use crate::model::*;
use messages::*;

/// The octets of a message written in hexadecimal.
fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .chars()
        .filter_map(|c| c.to_digit(16))
        .map(|digit| digit as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| (pair[0] << 4) | pair[1])
        .collect()
}

fn same(request: &Request, hex: &str) {
    let bytes = request.bytes();
    assert!(bytes == octets(hex), "{bytes:02x?} is not {hex}");
}

fn v4(octets: [u8; 4]) -> IpAddr {
    Ipv4Addr::from(octets).into()
}

fn v6(last: u16) -> IpAddr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).into()
}

const ACTIVE: [u8; 4] = [198, 51, 100, 7];
const LOCAL: [u8; 4] = [192, 0, 2, 1];

fn addrs() -> Vec<HostAddr> {
    vec![
        HostAddr::active(v4(ACTIVE)),
        HostAddr {
            preference: 10,
            ..HostAddr::new(AddrSet::Alias, v6(2))
        },
        HostAddr {
            preference: 258,
            unvalidated: true,
            left: true,
            device: Some(9),
            ..HostAddr::local(v4(LOCAL))
        },
    ]
}

fn key() -> FlowKey {
    FlowKey {
        proto: 17,
        local: v4(LOCAL),
        remote: v4(ACTIVE),
        local_port: 40000,
        remote_port: 53,
    }
}

#[test]
fn host_requests() {
    let new = HostRequest {
        mode: Some(Mode::StackTrans),
        state: Some(HostState::Classic),
        scheduler: Some(Scheduler::Backup),
        name: Some("lab".to_owned()),
        addrs: addrs(),
        expires_in: Some(Duration::from_secs(600)),
        ..HostRequest::default()
    };
    same(&host_request(Command::HOST_NEW, &new), HOST_NEW);
    let set = HostRequest {
        id: Some(7),
        addrs: addrs()[..1].to_vec(),
        clear: vec![AddrSet::Active, AddrSet::Alias],
        expires_in: Some(Duration::from_millis(1 << 33)),
        wake: true,
        doubt: false,
        ..HostRequest::default()
    };
    same(&host_request(Command::HOST_SET, &set), HOST_SET);
    same(&host_id(Command::HOST_GET, 0x0102_0304), HOST_GET_ID);
    same(&host_address(v6(2)), HOST_GET_ADDRESS);
    same(&host_id(Command::HOST_DEL, 1), HOST_DEL);
    same(&Request::new(Command::HOST_FLUSH), HOST_FLUSH);
    same(&host_addrs(Command::ADDR_DEL, 1, &addrs()[1..2]), ADDR_DEL);
}

#[test]
fn other_requests() {
    same(&path_get(Some(2)), PATH_GET);
    same(&flow_key(Command::FLOW_DEL, &key()), FLOW_DEL);
    same(&flows(Command::FLOW_FLUSH, Some(3)), FLOW_FLUSH);
    let prefix = v6(0);
    same(
        &policy_request(Command::POLICY_NEW, prefix, 32, Some(PolicyAction::Never)),
        POLICY_NEW,
    );
    same(
        &policy_request(Command::POLICY_DEL, v4([192, 0, 2, 0]), 24, None),
        POLICY_DEL,
    );
    let params = ParamRequest {
        discovery: Some(true),
        port: Some(61453),
        max_hosts: Some(4096),
        max_flows: Some(65536),
        udp_timeout: Some(300),
        hold_time: Some(20),
        path_timeout: Some(60),
        max_nats: Some(256),
        enabled: Some(true),
        scheduler: Some(Scheduler::Backup),
    };
    same(&param_request(&params), PARAM_SET);
    assert_eq!(path_get(None).bytes(), [Command::PATH_GET.0, 1, 0, 0]);
    assert_eq!(
        param_request(&ParamRequest::default()).bytes(),
        [Command::PARAM_SET.0, 1, 0, 0]
    );
}

#[test]
fn hosts() {
    let full = Host {
        id: 7,
        mode: Mode::StackTrans,
        state: HostState::New,
        scheduler: Some(Scheduler::Backup),
        name: Some("lab".to_owned()),
        addrs: addrs(),
        expires_in: Some(Duration::from_secs(600)),
        local: Some(v4(LOCAL)),
        remote: Some(v4(ACTIVE)),
        flows: 3,
        tx_packets: 1 << 40,
        rx_packets: 9,
        idle: Some(Duration::from_millis(1500)),
        staying: 2,
        credit: Some(65_000),
    };
    let event = octets(HOST_NTF);
    assert_eq!(read_host(&event), Ok(full.clone()));
    assert_eq!(
        read_event(&event),
        Ok(Some(Event::HostChanged(full.clone())))
    );
    let least = Host {
        id: 1,
        state: HostState::Up,
        scheduler: None,
        name: None,
        addrs: Vec::new(),
        expires_in: None,
        local: None,
        remote: None,
        flows: 0,
        tx_packets: 0,
        rx_packets: 0,
        idle: None,
        staying: 0,
        credit: None,
        ..full
    };
    assert_eq!(read_host(&octets(HOST_MIN)), Ok(least));
    assert_eq!(read_id(&octets(HOST_DEL_NTF)), Ok(7));
    assert_eq!(
        read_event(&octets(HOST_DEL_NTF)),
        Ok(Some(Event::HostDeleted(7)))
    );
    let (host_id, credit) = (7, 65_000);
    assert_eq!(
        read_event(&octets(CREDIT_NTF)),
        Ok(Some(Event::CreditLow { host_id, credit }))
    );
    let tried = HostAddr {
        unvalidated: true,
        ..HostAddr::active(v4(ACTIVE))
    };
    same(&host_addrs(Command::ADDR_NEW, 7, &[tried]), TRIED);
    let mut reply = octets(HOST_MIN);
    reply.extend_from_slice(&octets(TRIED)[12..]);
    assert_eq!(read_host(&reply).map(|host| host.addrs), Ok(vec![tried]));
}

#[test]
fn paths() {
    let path = Path {
        host_id: 7,
        local: v4(LOCAL),
        remote: v4(ACTIVE),
        preference: 65546,
        active: true,
        unvalidated: true,
    };
    assert_eq!(read_path(&octets(PATH_REPLY)), Ok(path));
    let (local, remote) = (Some(v6(1)), Some(v6(2)));
    let followed = Event::PathChanged {
        host_id: 7,
        local,
        remote,
        cause: PathCause::Followed,
    };
    assert_eq!(read_event(&octets(PATH_NTF)), Ok(Some(followed)));
    let lost = Event::PathChanged {
        host_id: 7,
        local: None,
        remote: None,
        cause: PathCause::Lost,
    };
    assert_eq!(read_event(&octets(PATH_LOST)), Ok(Some(lost)));
    let silent = Event::PathSilent {
        host_id: 7,
        local: v4(LOCAL),
        remote: v4(ACTIVE),
    };
    assert_eq!(read_event(&octets(SILENT_NTF)), Ok(Some(silent)));
}

#[test]
fn flow_and_discovery() {
    let flow = read_flow(&octets(FLOW_REPLY)).unwrap();
    assert_eq!(flow.key(), key());
    assert_eq!((flow.host_id, flow.wire_port), (7, Some(40001)));
    assert_eq!(flow.host_port, Some(54));
    assert_eq!(flow.idle, Some(Duration::from_millis(250)));
    let (local, remote) = (v4(LOCAL), v4([203, 0, 113, 9]));
    let discovery = Event::Discover {
        host_id: 8,
        proto: 6,
        local,
        remote,
    };
    assert_eq!(read_event(&octets(DISCOVER_NTF)), Ok(Some(discovery)));
}

#[test]
fn nat_mappings() {
    let mapping = Nat {
        host_id: 7,
        proto: 6,
        addr: v4([203, 0, 113, 1]),
        nat_port: 40001,
        port: 40000,
        local_port: 22,
        expires_in: Some(Duration::from_secs(600)),
    };
    same(&nat_new(&mapping), NAT_NEW);
    same(&nat_key(Command::NAT_DEL, Some(7), &mapping.key()), NAT_KEY);
    same(&nats(Command::NAT_FLUSH, Some(3)), NAT_FLUSH);
    assert_eq!(
        nats(Command::NAT_GET, None).bytes(),
        [Command::NAT_GET.0, 1, 0, 0]
    );
    assert_eq!(read_nat(&octets(NAT_NTF)), Ok(mapping));
    assert_eq!(
        read_event(&octets(NAT_NTF)),
        Ok(Some(Event::NatChanged(mapping)))
    );
    let gone = Nat {
        proto: 58,
        addr: v6(1),
        local_port: 0,
        expires_in: None,
        ..mapping
    };
    assert_eq!(
        read_event(&octets(NAT_DEL_NTF)),
        Ok(Some(Event::NatDeleted(gone)))
    );
    assert!(read_nat(&octets(NAT_FLUSH)).is_err());
    let request = nat_new(&mapping);
    assert_eq!(request.attr_at(12).as_deref(), Some("proto"));
}

#[test]
fn the_rest() {
    let policy = Policy {
        addr: v4([10, 0, 0, 0]),
        prefix_len: 8,
        action: PolicyAction::Known,
    };
    assert_eq!(read_policy(&octets(POLICY_REPLY)), Ok(policy));
    let params = Params {
        discovery: true,
        port: 61453,
        max_hosts: 4096,
        max_flows: 65536,
        udp_timeout: 300,
        hold_time: 20,
        path_timeout: 60,
        max_nats: 256,
        enabled: false,
        scheduler: Scheduler::Backup,
        version: "0.1.0".to_owned(),
    };
    let reply = octets(PARAM_REPLY);
    assert_eq!(read_params(&reply), Ok(params.clone()));
    let event = [&[Command::PARAM_NTF.0], &reply[1..]].concat();
    assert_eq!(read_event(&event), Ok(Some(Event::ParamsChanged(params))));
    let counter = |reason: ihmp_uapi::Reason, effect, packets| Counter {
        reason: reason.into(),
        effect,
        packets,
    };
    let stats = Stats {
        hosts: 2,
        flows: 3,
        hooks: 4,
        out_translated: 5,
        out_unchanged: 6,
        in_translated: 1 << 32,
        in_unchanged: 8,
        icmp_out: 9,
        icmp_in: 10,
        port_mapped: 11,
        tcp_woken: 12,
        discovered: 13,
        flows_made: 14,
        flows_expired: 15,
        unreachable: 0,
        nats: 18,
        counters: vec![
            counter(ihmp_uapi::Reason::NoPath, Effect::Drop, 16),
            counter(ihmp_uapi::Reason::Held, Effect::Delay, 17),
        ],
    };
    assert_eq!(read_stats(&octets(STATS_REPLY)), Ok(stats.clone()));
    assert_eq!(stats.packets(ihmp_uapi::Reason::Held), 17);
    assert_eq!(stats.packets(ihmp_uapi::Reason::NoRoute), 0);
    let limit = Event::Limit {
        reason: ihmp_uapi::Reason::FlowLimit.into(),
        packets: 70000,
    };
    assert_eq!(read_event(&octets(LIMIT_NTF)), Ok(Some(limit)));
}

#[test]
fn later_modules() {
    // Unknown commands and attributes are passed over, unknown reasons keep their number; unknown values of an enum are not
    // guessed at.
    assert_eq!(read_event(&[200, 1, 0, 0]), Ok(None));
    let more = octets(&format!("{HOST_MIN}0400ff00"));
    assert_eq!(read_host(&more), read_host(&octets(HOST_MIN)));
    assert_eq!(Reason(999).to_string(), "reason-999");
    let state = "01010000 0800010001000000 0800030009000000";
    assert!(read_host(&octets(state)).is_err());
}

#[test]
fn every_truncation_is_refused_or_whole() {
    // A reply that is cut anywhere is an error, except between attributes that may be absent.
    for hex in [
        HOST_NTF,
        PATH_REPLY,
        FLOW_REPLY,
        POLICY_REPLY,
        PARAM_REPLY,
        STATS_REPLY,
        LIMIT_NTF,
        PATH_NTF,
        SILENT_NTF,
    ] {
        let whole = octets(hex);
        for len in 0..whole.len() {
            let part = &whole[..len];
            let _ = (
                read_host(part),
                read_path(part),
                read_flow(part),
                read_policy(part),
            );
            let _ = (
                read_params(part),
                read_stats(part),
                read_event(part),
                read_id(part),
            );
        }
    }
    assert!(read_event(&[]).is_err());
    assert!(read_host(&[1, 1, 0]).is_err());
}

#[test]
fn short_times_are_not_none() {
    assert_eq!(millis(Duration::ZERO), 0);
    assert_eq!(millis(Duration::from_nanos(1)), 1);
    assert_eq!(millis(Duration::from_millis(2)), 2);
    assert_eq!(millis(Duration::MAX), u64::MAX);
}

#[test]
fn attributes_have_names() {
    let request = host_addrs(Command::ADDR_NEW, 1, &addrs());
    let name = |offset| request.attr_at(offset);
    assert_eq!(name(4).as_deref(), Some("id"));
    assert_eq!(name(12).as_deref(), Some("addr"));
    assert_eq!(name(16).as_deref(), Some("addr.address"));
    assert_eq!(name(24).as_deref(), Some("addr.set"));
    assert_eq!(name(36).as_deref(), Some("addr.address"));
    assert_eq!(name(64).as_deref(), Some("addr.preference"));
    for offset in [0, 3, 5, 20, 1000] {
        assert_eq!(name(offset), None, "{offset}");
    }
    assert_eq!(
        request.attr_named(HostAttr::ID.0, None).as_deref(),
        Some("id")
    );
    assert_eq!(
        request.attr_named(AddrAttr::SET.0, Some(12)).as_deref(),
        Some("addr.set")
    );
    let request = policy_request(Command::POLICY_NEW, v6(0), 32, None);
    assert_eq!(
        request.attr_named(PolicyAttr::ACTION.0, None).as_deref(),
        Some("action")
    );
    assert_eq!(request.attr_at(24).as_deref(), Some("prefix-len"));
}
