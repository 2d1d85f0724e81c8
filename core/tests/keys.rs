// SPDX-License-Identifier: GPL-2.0
//! Keys of the socket table, time, and the reasons of the contract.

mod prng;

use std::collections::HashMap;

use ihmp_core::addr::Family;
use ihmp_core::flow::{FlowKey, WireKey};
use ihmp_core::nat::{Mapping, MappingError, Seen};
use ihmp_core::packet::Tuple;
use ihmp_core::time::{Duration, Instant};
use ihmp_core::verdict::{Effect, Reason};

use prng::Prng;

fn tuple(prng: &mut Prng) -> Tuple {
    let family = prng.family();
    Tuple {
        proto: prng.octet(),
        src: prng.addr(family),
        dst: prng.addr(family),
        sport: prng.word(),
        dport: prng.word(),
    }
}

#[test]
fn flow_keys() {
    let mut prng = Prng::new(1);
    let mut seen = HashMap::new();
    for _ in 0..10_000 {
        let out = tuple(&mut prng);
        let key = FlowKey::outbound(&out);
        assert_eq!(
            (key.laddr, key.lport, key.faddr, key.fport),
            (out.src, out.sport, out.dst, out.dport)
        );
        assert_eq!(FlowKey::inbound(&out.mirror()), key);
        assert_eq!((key.tuple_out(), key.tuple_in()), (out, out.mirror()));
        let bytes = key.bytes();
        assert_eq!(FlowKey::from_bytes(&bytes), key);
        assert_eq!(bytes[37..], [0, 0, 0]);
        assert!(seen.insert(bytes, key).is_none_or(|old| old == key));
    }
    let mut tuple = tuple(&mut prng);
    tuple.src = prng.addr(Family::V4);
    (tuple.proto, tuple.sport, tuple.dport) = (6, 0x1234, 0x5678);
    let bytes = FlowKey::outbound(&tuple).bytes();
    assert_eq!(bytes[..16], tuple.src.octets());
    assert_eq!(bytes[16..32], tuple.dst.octets());
    assert_eq!(bytes[32..], [0x12, 0x34, 0x56, 0x78, 6, 0, 0, 0]);
}

#[test]
fn wire_keys() {
    let key = WireKey {
        host: 0x0102_0304,
        proto: 17,
        lport: 0x0506,
        fport: 0x0708,
    };
    assert_eq!(key.bytes(), [1, 2, 3, 4, 5, 6, 7, 8, 17, 0, 0, 0]);
}

#[test]
fn mapping_keys() {
    let mapping = Mapping {
        proto: 6,
        addr: "203.0.113.1".parse().unwrap(),
        nat_port: 0x0102,
        port: 0x0304,
        local_port: 0x0506,
    };
    let bytes = mapping.seen().bytes();
    assert_eq!(bytes[..16], mapping.addr.octets());
    assert_eq!(bytes[16..], [1, 2, 5, 6, 6, 0, 0, 0]);
    let bytes = mapping.meant(0x0708_090a).bytes();
    assert_eq!(bytes[..16], mapping.addr.octets());
    assert_eq!(bytes[16..], [7, 8, 9, 10, 3, 4, 5, 6, 6, 0, 0, 0]);

    // The packet that the mapping is about, both ways.
    let mut prng = Prng::new(2);
    for _ in 0..1_000 {
        let wire = FlowKey::inbound(&tuple(&mut prng));
        let mapping = Mapping {
            proto: wire.proto,
            addr: wire.faddr,
            nat_port: wire.fport,
            port: prng.word(),
            local_port: wire.lport,
        };
        assert_eq!(Seen::of(&wire), mapping.seen());
        let behind = FlowKey {
            fport: mapping.port,
            ..wire
        }
        .on_wire(7);
        let meant = mapping.meant(7);
        assert_eq!(
            (meant.host, meant.proto, meant.port, meant.local_port),
            (behind.host, behind.proto, behind.fport, behind.lport)
        );
    }
}

#[test]
fn mappings_fit_their_protocol() {
    let check = |addr: &str, proto, nat_port, port, local_port| {
        Mapping {
            proto,
            addr: addr.parse().unwrap(),
            nat_port,
            port,
            local_port,
        }
        .check()
    };
    for addr in ["203.0.113.1", "2001:db8::1"] {
        for proto in [6, 17, 33, 132, 136] {
            assert_eq!(check(addr, proto, 1, 2, 3), Ok(()));
            for (nat_port, port, local_port) in [(0, 2, 3), (1, 0, 3), (1, 2, 0), (0, 0, 0)] {
                let ports = check(addr, proto, nat_port, port, local_port);
                assert_eq!(ports, Err(MappingError::Ports));
            }
        }
        assert_eq!(check(addr, 47, 0, 0, 0), Ok(()));
        assert_eq!(check(addr, 47, 1, 1, 1), Err(MappingError::Ports));
    }
    for (addr, own, other) in [("203.0.113.1", 1, 58), ("2001:db8::1", 58, 1)] {
        assert_eq!(check(addr, other, 1, 2, 0), Err(MappingError::OtherFamily));
        assert_eq!(check(addr, own, 1, 2, 0), Ok(()));
        assert_eq!(check(addr, own, 0, 0, 3), Ok(()));
        for (nat_port, port, local_port) in [(1, 2, 3), (1, 0, 0), (0, 2, 0), (0, 0, 0), (1, 0, 3)]
        {
            let ports = check(addr, own, nat_port, port, local_port);
            assert_eq!(ports, Err(MappingError::Ports));
        }
    }
    for addr in ["0.0.0.0", "127.0.0.1", "fe80::1", "ff02::1", "224.0.0.1"] {
        assert_eq!(check(addr, 6, 1, 2, 3), Err(MappingError::NotUnicast));
    }
}

#[test]
fn time_saturates() {
    let start = Instant::from_nanos(5);
    assert_eq!(
        start.after(Duration::from_secs(2)).since(start),
        Duration::from_millis(2_000)
    );
    assert_eq!(
        start.since(start.after(Duration::from_nanos(1))),
        Duration::ZERO
    );
    assert_eq!(start.after(Duration::MAX), Instant::MAX);
    assert_eq!(Duration::from_secs(u64::MAX), Duration::MAX);
    assert_eq!(Duration::from_millis(1_999).as_secs(), 1);
    assert_eq!(Duration::from_micros(1_500).as_millis(), 1);
    assert_eq!(Duration::from_nanos(2_500).as_micros(), 2);
    let second = Duration::from_secs(1);
    assert_eq!(
        second
            .saturating_add(second)
            .saturating_sub(Duration::from_millis(500))
            .as_millis(),
        1_500
    );
    assert_eq!(second.saturating_mul(u64::MAX), Duration::MAX);
    let std = std::time::Duration::new(3, 7);
    assert_eq!(std::time::Duration::from(Duration::from(std)), std);
    assert_eq!(Duration::from(std::time::Duration::MAX), Duration::MAX);
}

/// The entries of an enum of the contract, with their descriptions.
fn contract(name: &str) -> Vec<(String, String)> {
    let text = include_str!("../../uapi/ihmp.yaml");
    let mut entries: Vec<(String, String)> = Vec::new();
    let mut lines = text
        .lines()
        .skip_while(|line| *line != format!("    name: {name}"));
    lines.next();
    for line in lines.take_while(|line| *line != "  -") {
        if let Some(name) = line.strip_prefix("        name: ") {
            entries.push((name.to_owned(), String::new()));
        } else if let (Some(doc), Some(last)) =
            (line.strip_prefix("        doc: "), entries.last_mut())
        {
            last.1 = doc.to_owned();
        }
    }
    entries
}

/// `NoPath` as the contract writes it.
fn contract_name(reason: Reason) -> String {
    let mut name = String::new();
    for c in format!("{reason:?}").chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

#[test]
fn reasons_are_those_of_the_contract() {
    let entries = contract("reason");
    assert_eq!(entries.len(), Reason::COUNT);
    for (number, (name, doc)) in entries.iter().enumerate() {
        let reason = Reason::ALL[number];
        assert_eq!(reason.index(), number);
        assert_eq!(reason.number() as usize, number);
        assert_eq!(contract_name(reason), *name);
        let effect = match doc.split_once(';').unwrap().0 {
            "Dropped" => Effect::Drop,
            "Passed" | "Not reported" | "Not made" => Effect::Pass,
            "Delayed" => Effect::Delay,
            other => panic!("{name}: {other}"),
        };
        assert_eq!(reason.effect(), effect, "{name}");
    }
    assert_eq!(
        [
            Effect::Drop as u32,
            Effect::Pass as u32,
            Effect::Delay as u32
        ],
        [0, 1, 2]
    );
}
