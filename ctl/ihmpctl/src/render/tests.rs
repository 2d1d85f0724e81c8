// SPDX-License-Identifier: GPL-2.0
//! What is printed, compared with the files in tests/golden; `GOLDEN=write cargo test` writes them anew.

use std::{
    fs,
    path::Path as FilePath,
    time::{
        Duration,
        UNIX_EPOCH, //
    },
};

use ihmp_nl::{
    AddrSet,
    Counter,
    Effect,
    HostAddr,
    HostState,
    Mode,
    PathCause,
    PolicyAction,
    Reason,
    Scheduler, //
};

use super::*;

const TEXT: Style = Style {
    json: false,
    pretty: false,
    timestamp: false,
    family: None,
};
const JSON: Style = Style { json: true, ..TEXT };
const PRETTY: Style = Style {
    pretty: true,
    ..JSON
};

fn printed(style: Style, print: impl FnOnce(&mut Output<'_>) -> io::Result<()>) -> String {
    let mut to = Vec::new();
    let clock = || UNIX_EPOCH + Duration::from_micros(1_795_239_180_000_250);
    print(&mut Output {
        to: &mut to,
        style,
        clock,
    })
    .unwrap();
    String::from_utf8(to).unwrap()
}

fn golden(name: &str, printed: &str) {
    let file = FilePath::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("GOLDEN").is_some_and(|value| value == "write") {
        fs::write(&file, printed).unwrap();
    }
    assert_eq!(printed, fs::read_to_string(&file).unwrap(), "{name}");
}

/// The same in the three forms.
fn all(name: &str, print: impl Fn(&mut Output<'_>) -> io::Result<()>) {
    golden(&format!("{name}.txt"), &printed(TEXT, &print));
    golden(&format!("{name}.json"), &printed(JSON, &print));
    let pretty = printed(PRETTY, &print);
    golden(&format!("{name}.pretty.json"), &pretty);
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(parse(&pretty), parse(&printed(JSON, &print)));
}

fn addr(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn hosts() -> Vec<Host> {
    let full = Host {
        id: 7,
        mode: Mode::StackTrans,
        state: HostState::Up,
        scheduler: Some(Scheduler::Backup),
        name: Some("lab".to_owned()),
        addrs: vec![
            HostAddr::active(addr("198.51.100.7")),
            HostAddr {
                preference: 10,
                unvalidated: true,
                ..HostAddr::active(addr("2001:db8::7"))
            },
            HostAddr {
                nat: true,
                ..HostAddr::active(addr("203.0.113.1"))
            },
            HostAddr::new(AddrSet::Unreachable, addr("203.0.113.7")),
            HostAddr {
                preference: 258,
                unvalidated: true,
                ..HostAddr::local(addr("192.0.2.1"))
            },
            HostAddr {
                left: true,
                device: Some(4_000_000_000),
                ..HostAddr::local(addr("192.0.2.2"))
            },
            HostAddr::new(AddrSet::Alias, addr("198.51.100.6")),
        ],
        expires_in: Some(Duration::from_secs(600)),
        local: Some(addr("192.0.2.1")),
        remote: Some(addr("198.51.100.7")),
        flows: 3,
        tx_packets: 1 << 40,
        rx_packets: 9,
        idle: Some(Duration::from_millis(1500)),
        staying: 2,
        credit: Some(65_000),
    };
    let bare = Host {
        id: 8,
        state: HostState::Classic,
        scheduler: None,
        name: None,
        addrs: vec![HostAddr::active(addr("2001:db8::8"))],
        expires_in: None,
        local: None,
        remote: None,
        flows: 0,
        tx_packets: 0,
        rx_packets: 0,
        idle: None,
        staying: 0,
        credit: None,
        ..full.clone()
    };
    vec![full, bare]
}

fn nat() -> Nat {
    Nat {
        host_id: 7,
        proto: 6,
        addr: addr("203.0.113.1"),
        nat_port: 40001,
        port: 40000,
        local_port: 22,
        expires_in: Some(Duration::from_millis(7500)),
    }
}

fn other_nat() -> Nat {
    Nat {
        proto: 58,
        addr: addr("2001:db8::1"),
        local_port: 0,
        expires_in: None,
        ..nat()
    }
}

#[test]
fn objects() {
    all("host", |out| out.hosts(hosts(), &Known::default()));
    all("none", |out| out.hosts(Vec::new(), &Known::default()));
    all("id", |out| out.id(7));
    let path = Path {
        host_id: 7,
        local: addr("192.0.2.1"),
        remote: addr("198.51.100.7"),
        preference: 258,
        active: true,
        unvalidated: true,
    };
    let other = Path {
        remote: addr("2001:db8::7"),
        local: addr("2001:db8::1"),
        active: false,
        unvalidated: false,
        ..path
    };
    all("path", |out| out.paths(vec![path, other]));
    let flow = Flow {
        host_id: 7,
        proto: 6,
        local: addr("192.0.2.1"),
        remote: addr("198.51.100.7"),
        local_port: 40000,
        remote_port: 22,
        wire_port: Some(40001),
        host_port: Some(23),
        idle: Some(Duration::from_millis(20)),
    };
    let other = Flow {
        proto: 99,
        local_port: 0,
        remote_port: 0,
        wire_port: None,
        host_port: None,
        idle: None,
        ..flow
    };
    all("flow", |out| out.flows(vec![flow, other]));
    all("nat", |out| out.nats(vec![nat(), other_nat()]));
    let policy = |text, prefix_len, action| Policy {
        addr: addr(text),
        prefix_len,
        action,
    };
    let policies = vec![
        policy("10.0.0.0", 8, PolicyAction::Known),
        policy("::", 0, PolicyAction::Never),
    ];
    all("policy", |out| out.policies(policies.clone()));
    all("param", |out| out.params(&params()));
    let switched = Switched {
        enabled: false,
        moved: 3,
        staying: 12,
    };
    all("off", |out| out.switched(&switched));
    let switched = Switched {
        enabled: true,
        moved: 15,
        staying: 0,
    };
    all("on", |out| out.switched(&switched));
    let counter = |reason, effect, packets| Counter {
        reason: Reason(reason),
        effect,
        packets,
    };
    let stats = Stats {
        hosts: 2,
        flows: 3,
        hooks: 4,
        out_translated: 5,
        in_translated: 1 << 40,
        counters: vec![
            counter(0, Effect::Drop, 16),
            counter(8, Effect::Delay, 17),
            counter(99, Effect::Pass, 0),
        ],
        ..Stats::default()
    };
    all("stats", |out| out.stats(&stats));
    all("version", |out| out.version("0.1.0", Some("0.1.0")));
    all("version-alone", |out| out.version("0.1.0", None));
}

fn params() -> Params {
    Params {
        discovery: true,
        port: 61453,
        max_hosts: 4096,
        max_flows: 65536,
        udp_timeout: 300,
        hold_time: 20,
        path_timeout: 60,
        max_nats: 65536,
        enabled: true,
        scheduler: Scheduler::Backup,
        version: "0.1.0".to_owned(),
    }
}

#[test]
fn events() {
    let [host, _] = <[Host; 2]>::try_from(hosts()).unwrap();
    let (local, remote) = (addr("192.0.2.1"), addr("198.51.100.7"));
    let events = [
        Event::HostChanged(host),
        Event::HostDeleted(7),
        Event::PathChanged {
            host_id: 7,
            local: Some(local),
            remote: Some(remote),
            cause: PathCause::Followed,
        },
        Event::PathChanged {
            host_id: 7,
            local: None,
            remote: None,
            cause: PathCause::Lost,
        },
        Event::PathSilent {
            host_id: 7,
            local,
            remote,
        },
        Event::Discover {
            host_id: 8,
            proto: 17,
            local,
            remote,
        },
        Event::Limit {
            reason: Reason(4),
            packets: 70000,
        },
        Event::CreditLow {
            host_id: 7,
            credit: 65_000,
        },
        Event::NatChanged(nat()),
        Event::NatDeleted(other_nat()),
        Event::ParamsChanged(params()),
        Event::Resync,
    ];
    let print = |out: &mut Output<'_>| events.iter().try_for_each(|event| out.event(event));
    golden("event.txt", &printed(TEXT, print));
    golden(
        "event.time.txt",
        &printed(
            Style {
                timestamp: true,
                ..TEXT
            },
            print,
        ),
    );
    golden("event.json", &printed(JSON, print));
    // One object on a line, whatever was asked for.
    assert_eq!(printed(PRETTY, print), printed(JSON, print));
    golden(
        "event.time.json",
        &printed(
            Style {
                timestamp: true,
                ..JSON
            },
            print,
        ),
    );
}

#[test]
fn one_family() {
    let v4 = Style {
        family: Some(Family::V4),
        ..TEXT
    };
    let v6 = Style {
        family: Some(Family::V6),
        ..TEXT
    };
    golden(
        "host.4.txt",
        &printed(v4, |out| out.hosts(hosts(), &Known::default())),
    );
    golden(
        "host.6.txt",
        &printed(v6, |out| out.hosts(hosts(), &Known::default())),
    );
}

#[test]
fn names_cannot_write_on_the_terminal() {
    let mut hosts = hosts();
    hosts[0].name = Some("a\x1b[31m\nhost 9".to_owned());
    let text = printed(TEXT, |out| out.hosts(hosts, &Known::default()));
    assert!(
        text.starts_with("host 7 name a\\u{1b}[31m\\nhost 9 state up"),
        "{text}"
    );
}
