// SPDX-License-Identifier: GPL-2.0

use std::{
    net::IpAddr,
    time::Duration, //
};

use ihmp_nl::{
    AddrSet,
    FlowKey,
    HostAddr,
    HostRequest,
    HostState,
    Nat,
    NatKey,
    ParamRequest,
    Policy,
    PolicyAction,
    Scheduler, //
};

use super::*;

fn line(text: &str) -> Result<Action> {
    parse(
        &text
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>(),
    )
}

fn wrong(text: &str) -> String {
    match line(text) {
        Ok(action) => panic!("{text}: {action:?}"),
        Err(Usage(why)) => why,
    }
}

fn addr(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn hosts() {
    use host::{
        Action::{
            Add,
            Del,
            Flush,
            Set,
            Show, //
        },
        Which, //
    };
    let host = |text| {
        line(text).map(|action| match action {
            Action::Host(action) => action,
            other => panic!("{other:?}"),
        })
    };
    for text in ["host", "host show", "h sh", "ho list"] {
        assert_eq!(host(text), Ok(Show(Which::All)), "{text}");
    }
    assert_eq!(host("host show 7"), Ok(Show(Which::Id(7))));
    assert_eq!(
        host("host show 2001:db8::1"),
        Ok(Show(Which::Address(addr("2001:db8::1"))))
    );
    assert_eq!(
        host("host show ::ffff:192.0.2.1"),
        Ok(Show(Which::Address(addr("192.0.2.1"))))
    );
    for text in ["host show name lab", "host show n lab", "host list na lab"] {
        assert_eq!(
            host(text),
            Ok(Show(Which::Name("lab".to_owned()))),
            "{text}"
        );
    }
    assert_eq!(wrong("host show name"), "a name is missing");
    assert_eq!(wrong("host show lab"), "\"lab\" is not the id of a host");
    assert_eq!(host("host del 7"), Ok(Del(7)));
    assert_eq!(host("host delete 7"), Ok(Del(7)));
    assert_eq!(host("host flush"), Ok(Flush));
    assert_eq!(host("host add"), Ok(Add(HostRequest::default())));
    let all = HostRequest {
        state: Some(HostState::Classic),
        scheduler: Some(Scheduler::Backup),
        name: Some("lab".to_owned()),
        addrs: vec![
            HostAddr {
                preference: 5,
                nat: true,
                unvalidated: true,
                ..HostAddr::active(addr("198.51.100.7"))
            },
            HostAddr {
                preference: 6,
                unvalidated: true,
                left: true,
                device: Some(1),
                ..HostAddr::local(addr("192.0.2.1"))
            },
            HostAddr::new(AddrSet::Unreachable, addr("203.0.113.1")),
            HostAddr::new(AddrSet::Alias, addr("2001:db8::2")),
        ],
        expires_in: Some(Duration::from_millis(1500)),
        ..HostRequest::default()
    };
    let text = "host add name lab state classic scheduler backup expires 1.5 remote 198.51.100.7 nat preference 5 unvalidated \
                local 192.0.2.1 unvalidated left device lo preference 6 unreachable 203.0.113.1 alias 2001:db8::2";
    assert_eq!(host(text), Ok(Add(all.clone())));
    let text =
        "h a remote 198.51.100.7 unvalidated pref 5 nat n lab loc 192.0.2.1 pref 6 left dev 1 unvalidated unr 203.0.113.1 st c sc b \
                al 2001:db8::2 e 1.5s";
    assert_eq!(host(text), Ok(Add(all)));
    let set = HostRequest {
        id: Some(7),
        addrs: vec![HostAddr::local(addr("192.0.2.1"))],
        clear: vec![AddrSet::Active, AddrSet::Alias],
        wake: true,
        ..HostRequest::default()
    };
    assert_eq!(
        host("host set 7 clear remote clear alias wake local 192.0.2.1"),
        Ok(Set(set))
    );
}

#[test]
fn paths() {
    use path::Action::{
        Add,
        Del,
        Show, //
    };
    let path = |text| {
        line(text).map(|action| match action {
            Action::Path(action) => action,
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(path("path"), Ok(Show(None)));
    assert_eq!(path("pat sh ho 3"), Ok(Show(Some(3))));
    let one = vec![HostAddr {
        preference: 9,
        ..HostAddr::local(addr("192.0.2.1"))
    }];
    assert_eq!(
        path("path add host 3 local 192.0.2.1 preference 9"),
        Ok(Add(3, one.clone()))
    );
    assert_eq!(
        path("path set host 3 local 192.0.2.1 preference 9"),
        Ok(Add(3, one))
    );
    let two = vec![
        HostAddr::active(addr("10.0.0.1")),
        HostAddr::active(addr("10.0.0.2")),
    ];
    assert_eq!(
        path("path del host 3 remote 10.0.0.1 active 10.0.0.2"),
        Ok(Del(3, two))
    );
}

#[test]
fn flows() {
    use flow::Action::{
        Del,
        Flush,
        Get,
        Show, //
    };
    let flow = |text| {
        line(text).map(|action| match action {
            Action::Flow(action) => action,
            other => panic!("{other:?}"),
        })
    };
    let key = FlowKey {
        proto: 6,
        local: addr("192.0.2.1"),
        remote: addr("198.51.100.7"),
        local_port: 40000,
        remote_port: 22,
    };
    assert_eq!(flow("flow show"), Ok(Show(None)));
    assert_eq!(flow("flow show host 1"), Ok(Show(Some(1))));
    assert_eq!(
        flow("flow get tcp 192.0.2.1 40000 198.51.100.7 22"),
        Ok(Get(key))
    );
    assert_eq!(
        flow("flow del 6 192.0.2.1 40000 198.51.100.7 22"),
        Ok(Del(key))
    );
    assert_eq!(flow("flow flush"), Ok(Flush(None)));
    assert_eq!(flow("flow flush host 1"), Ok(Flush(Some(1))));
}

#[test]
fn nats() {
    use nat::Action::{
        Add,
        Del,
        Flush,
        Get,
        Show, //
    };
    let nat = |text| {
        line(text).map(|action| match action {
            Action::Nat(action) => action,
            other => panic!("{other:?}"),
        })
    };
    let mapping = Nat {
        host_id: 3,
        proto: 6,
        addr: addr("203.0.113.1"),
        nat_port: 40001,
        port: 40000,
        local_port: 22,
        expires_in: None,
    };
    let key: NatKey = mapping.key();
    assert_eq!(nat("nat"), Ok(Show(None)));
    assert_eq!(nat("nat show host 1"), Ok(Show(Some(1))));
    let get = nat("nat get tcp 203.0.113.1 40001 22");
    assert_eq!(get, Ok(Get(key)));
    let add = nat("nat add 6 203.0.113.1 40001 22 port 40000 host 3");
    assert_eq!(add, Ok(Add(mapping)));
    let add = nat("n a tcp 203.0.113.1 40001 22 p 40000 h 3 e 1.5");
    let mapping = Nat {
        expires_in: Some(Duration::from_millis(1500)),
        ..mapping
    };
    assert_eq!(add, Ok(Add(mapping)));
    let del = nat("nat del tcp 203.0.113.1 40001 22");
    assert_eq!(del, Ok(Del(key, None)));
    let del = nat("nat delete tcp 203.0.113.1 40001 22 host 3");
    assert_eq!(del, Ok(Del(key, Some(3))));
    assert_eq!(nat("nat flush"), Ok(Flush(None)));
    assert_eq!(nat("nat flush host 1"), Ok(Flush(Some(1))));
}

#[test]
fn the_rest() {
    let policy = Policy {
        addr: addr("10.0.0.0"),
        prefix_len: 8,
        action: PolicyAction::Never,
    };
    assert_eq!(line("policy"), Ok(Action::Policy(policy::Action::Show)));
    assert_eq!(
        line("policy add 10.0.0.0/8 never"),
        Ok(Action::Policy(policy::Action::Set(policy)))
    );
    assert_eq!(
        line("po set 10.0.0.0/8 n"),
        Ok(Action::Policy(policy::Action::Set(policy)))
    );
    assert_eq!(
        line("policy del ::/0"),
        Ok(Action::Policy(policy::Action::Del(addr("::"), 0)))
    );
    assert_eq!(
        line("policy flush"),
        Ok(Action::Policy(policy::Action::Flush))
    );
    assert_eq!(line("param"), Ok(Action::Param(param::Action::Show)));
    let all = ParamRequest {
        discovery: Some(true),
        port: Some(61453),
        max_hosts: Some(1),
        max_flows: Some(2),
        udp_timeout: Some(3),
        hold_time: Some(0),
        path_timeout: Some(9),
        max_nats: Some(4),
        enabled: Some(true),
        scheduler: Some(Scheduler::Backup),
    };
    let text = "param set discovery on port 61453 max-hosts 1 max-flows 2 udp-timeout 3 hold-time 0 path-timeout 9 scheduler backup max-nats 4 enabled on";
    assert_eq!(line(text), Ok(Action::Param(param::Action::Set(all))));
    let off = ParamRequest {
        discovery: Some(false),
        ..ParamRequest::default()
    };
    assert_eq!(
        line("par set disc 0"),
        Ok(Action::Param(param::Action::Set(off)))
    );
    assert_eq!(line("stats"), Ok(Action::Stats(stats::Action::Show)));
    assert_eq!(line("st fl"), Ok(Action::Stats(stats::Action::Flush)));
    assert_eq!(line("monitor"), Ok(Action::Monitor));
    assert_eq!(line("mon"), Ok(Action::Monitor));
    assert_eq!(line("off"), Ok(Action::Switch(false)));
    assert_eq!(line("on"), Ok(Action::Switch(true)));
    assert_eq!(line("version"), Ok(Action::Version));
}

#[test]
fn mistakes_are_explained() {
    for (text, why) in [
        ("hots", "\"hots\" is not an object: expected host, path, flow, nat, policy, param, stats, key, agent, monitor, off, on, version"),
        ("p", "\"p\" is ambiguous as an object: path, policy, param"),
        ("host s", "\"s\" is ambiguous as a verb: show, set"),
        ("host eat", "\"eat\" is not a verb: expected show, list, add, new, set, del, delete, flush"),
        ("host del", "the id of a host is missing"),
        ("host del x", "\"x\" is not the id of a host"),
        ("host del 1 2", "\"2\" was not expected"),
        ("host show 1.2.3", "\"1.2.3\" is not an address"),
        ("host add remote", "an address is missing"),
        ("host add name a name b", "name is given twice"),
        ("host add state down", "\"down\" is not a state: expected new, up, classic"),
        ("host add expires never", "\"never\" is not a time in seconds"),
        ("host add local 10.0.0.1 preference 65536", "\"65536\" is not a preference from 0 to 65535"),
        ("path add", "the word host is missing"),
        ("path add host 1", "a set of addresses is missing"),
        ("path show 1", "\"1\" is not the word host: expected host"),
        ("flow del tcp 10.0.0.1", "a local port is missing"),
        ("flow del tpc 10.0.0.1 1 10.0.0.2 2", "\"tpc\" is not a protocol"),
        ("nat del tcp 10.0.0.1", "a port of the NAT is missing"),
        ("nat add tcp 10.0.0.1 40001 22", "the word port is missing"),
        ("nat add tcp 10.0.0.1 40001 22 port 40000", "the word host is missing"),
        ("nat add tcp 10.0.0.1 40001 22 port 65536 host 1", "\"65536\" is not a port of the host"),
        ("nat add tcp 10.0.0.1 40001 22 port 40000 host 1 for 9", "\"for\" was not expected"),
        ("nat show 1", "\"1\" is not the word host: expected host"),
        ("policy add 10.0.0.0/33 auto", "\"10.0.0.0/33\" is not a prefix"),
        ("policy add 10.0.0.0/8", "an action is missing"),
        ("param set", "a setting is missing"),
        ("param set port", "a port is missing"),
        ("param set max 1", "\"max\" is ambiguous as a setting: max-hosts, max-flows, max-nats"),
        ("param set discovery maybe", "\"maybe\" is not a switch: expected on, off, 1, 0"),
        ("o", "\"o\" is ambiguous as an object: off, on"),
        ("off now", "\"now\" was not expected"),
        ("monitor all", "\"all\" was not expected"),
        ("help hots", "\"hots\" is not an object: expected host, path, flow, nat, policy, param, stats, key, agent, monitor, off, on, version"),
    ] {
        assert_eq!(wrong(text), why, "{text}");
    }
    assert!(line(&format!("host add name {}", "x".repeat(63))).is_ok());
    assert_eq!(
        wrong(&format!("host add name {}", "x".repeat(64))),
        "the name is longer than 63 octets"
    );
    // Only in set, where there is something to clear.
    assert!(wrong("host add clear remote").starts_with("\"clear\" is not a property of a host"));
}

#[test]
fn help_names_every_verb() {
    let help = |text: &str| match line(text) {
        Ok(Action::Help(help)) => help,
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(help(""), help("help"));
    for object in OBJECTS {
        assert!(help("").contains(object.name()));
        let text = help(&format!("{} help", object.name()));
        assert_eq!(text, help(&format!("help {}", object.name())));
        for names in object.names() {
            if let Some(name) = names.first() {
                assert!(
                    text.contains(&format!("ihmpctl {} {name}", object.name())),
                    "{text}"
                );
            }
        }
    }
}
