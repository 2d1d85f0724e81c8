// SPDX-License-Identifier: GPL-2.0
//! Many mappings, hosts and peers, and all kinds of weather.

use std::collections::BTreeMap;

use ihmp_core::addr::Addr;
use ihmp_core::message::{Control, Options};
use ihmp_engine::Rate;
use ihmp_router::{Input, NatConfig, Translation};
use ihmp_sim::{addr, ms, own_key, secs, Random};

use crate::bench::*;

#[test]
fn a_hundred_mappings_in_nine_messages() {
    let mut bench = Bench::new();
    bench.memory.extend((1..=100).map(|port| tcp(M, C, port)));
    bench.says(1, M, Control::Handoff, C);
    let mut sizes = vec![];
    while let Some(told) = bench.told().pop() {
        sizes.push(told.leases().len());
        bench.wait(ms(100));
        bench.acks(&told);
    }
    assert_eq!(sizes, [12, 12, 12, 12, 12, 12, 12, 12, 4]);
    // They all go at once.
    let all: Vec<Translation> = bench.memory.iter().copied().collect();
    bench.happens(&[], &all);
    let mut ended = 0;
    while let Some(told) = bench.told().pop() {
        assert!(told.leases().iter().all(|(_, lifetime)| *lifetime == 0));
        ended += told.leases().len();
        bench.wait(ms(100));
        bench.acks(&told);
    }
    assert_eq!(ended, 100);
    assert_eq!(bench.router.nat_sizes().unwrap()[1], 0);
}

#[test]
fn two_hosts_with_the_same_ports_and_two_peers() {
    let mut bench = Bench::new();
    let at = |host, peer, nat_port| {
        let mut translation = tcp(host, peer, 7_000);
        translation.lease.nat_port = nat_port;
        translation
    };
    bench
        .memory
        .extend([at(M, C, 1), at(M2, C, 2), at(M, C2, 1)]);
    for (key, host) in [(1, M), (2, M2)] {
        for peer in [C, C2] {
            bench.says(key, host, Control::Handoff, peer);
            bench.wait(ms(100));
        }
    }
    let told = bench.told();
    let who = |told: &Told| {
        let lease = told.entry.leases().next().unwrap();
        (told.to, told.entry.host, told.entry.key, lease.nat_port)
    };
    let mut who: Vec<_> = told.iter().map(who).collect();
    who.sort();
    let key = |number| own_key(number).public().0;
    assert_eq!(
        who,
        [
            (addr(C), addr(M), key(1), 1),
            (addr(C), addr(M2), key(2), 2),
            (addr(C2), addr(M), key(1), 1),
        ]
    );
    assert_eq!(bench.listening, [addr(C), addr(C2)]);
    // Each answer is for one of them.
    for told in &told {
        bench.acks(told);
    }
    assert_eq!(bench.router.nat_sizes(), Some([4, 3, 3]));
    bench.wait(secs(60));
    bench.none();
}

#[test]
fn a_port_of_the_nat_that_is_another_hosts_now() {
    let mut bench = Bench::new();
    let (old, mut new) = (tcp(M, C, 1), tcp(M2, C, 2));
    new.lease.nat_port = old.lease.nat_port;
    bench.settled(1, M, C);
    bench.settled(2, M2, C);
    bench.happens(&[old], &[]);
    let first = bench.one();
    // While the word of it is out, it goes, and the port is given to another host.
    bench.happens(&[], &[old]);
    bench.happens(&[new], &[]);
    let second = bench.one();
    assert_eq!(
        (second.entry.host, second.leases()),
        (addr(M2), vec![(2, 600)])
    );
    bench.acks(&second);
    // Nobody is told of the end: it would be that of the new one.
    bench.acks(&first);
    bench.none();
    assert_eq!(bench.router.nat_sizes().unwrap()[1], 1);
}

#[test]
fn messages_to_one_peer_are_paced() {
    let mut bench = Bench::with(NatConfig {
        sent: [
            Rate {
                per_second: 1_000,
                burst: 1_000,
            },
            Rate {
                per_second: 10,
                burst: 20,
            },
        ],
        ..NatConfig::default()
    });
    bench.settled(1, M, C);
    let mut sent = 0;
    for port in 1..=1_000 {
        bench.happens(&[tcp(M, C, port)], &[]);
        for told in bench.told() {
            sent += 1;
            bench.acks(&told);
        }
        bench.wait(ms(1));
    }
    assert!((25..=31).contains(&sent), "{sent}");
    // Nothing is forgotten.
    while bench.router.nat_sizes().unwrap()[2] < 10_000 {
        bench.wait(ms(50));
        let told = bench.told();
        sent += told.len();
        for told in &told {
            bench.acks(told);
        }
        if told.is_empty() && bench.now.as_nanos() > 20_000_000_000 {
            break;
        }
    }
    assert!(sent < 120, "{sent}");
    bench.wait(secs(60));
    bench.none();
}

#[test]
fn too_many_mappings() {
    let mut bench = Bench::with(NatConfig {
        max_leases: 3,
        max_all: 4,
        ..NatConfig::default()
    });
    bench.settled(1, M, C);
    bench.settled(2, M2, C);
    bench.happens(
        &[tcp(M, C, 1), tcp(M, C, 2), tcp(M, C, 3), tcp(M, C, 4)],
        &[],
    );
    assert_eq!(bench.refused("mapping-limit"), 1);
    assert_eq!(bench.one().leases().len(), 3);
    bench.happens(&[tcp(M2, C, 5), tcp(M2, C, 6)], &[]);
    assert_eq!(bench.refused("mapping-limit"), 2);
    assert_eq!(bench.one().leases().len(), 1);
}

/// What a peer keeps: by protocol, port of the NAT and own port, whose it is, and until when.
type Kept = BTreeMap<(Addr, u16, u16), (Addr, u16, u64)>;

/// Connections come and go, messages and answers get lost, and so do events; when it is calm again, what peers keep is
/// what the NAT has.
#[test]
fn any_weather() {
    for seed in 1..=12 {
        weather(seed);
    }
}

fn weather(seed: u64) {
    let mut random = Random(seed);
    let mut bench = Bench::new();
    let mut kept = Kept::new();
    let hosts = [(1, M), (2, M2)];
    for (key, host) in hosts {
        for peer in [C, C2] {
            bench.says(key, host, Control::Handoff, peer);
        }
    }
    for round in 0..400 {
        let calm = round >= 300;
        if !calm && random.percent(60) {
            let (_, host) = hosts[random.below(2) as usize];
            let peer = [C, C2][random.below(2) as usize];
            let mut one = tcp(host, peer, 1 + random.below(40) as u16);
            // Ports of the NAT are scarce, so that they are soon another's.
            one.lease.nat_port = 1 + random.below(60) as u16;
            let same = |other: &&Translation| {
                let place = |t: &Translation| (t.pair.peer, t.lease.nat_port);
                let flow = |t: &Translation| (t.pair, t.lease.port);
                place(other) == place(&one) || flow(other) == flow(&one)
            };
            let gone: Vec<Translation> = bench.memory.iter().filter(same).copied().collect();
            if random.percent(10) {
                // Nobody hears of it, until somebody hears that nobody did.
                bench.memory.retain(|other| !gone.contains(other));
                bench.memory.insert(one);
                bench.tell(Input::Overrun);
            } else {
                bench.happens(&[one], &gone);
            }
        }
        for told in bench.told() {
            if !calm && random.percent(25) {
                continue;
            }
            for lease in told.entry.leases() {
                let name = (told.to, lease.nat_port, lease.peer_port);
                let value = (told.entry.host, lease.port, 0);
                if lease.lifetime > 0 {
                    // The newest for a flow takes the place of an older one.
                    kept.retain(|(peer, ..), (host, port, _)| {
                        (*peer, *host, *port) != (told.to, told.entry.host, lease.port)
                    });
                    kept.insert(name, value);
                } else {
                    kept.remove(&name);
                }
            }
            if calm || !random.percent(25) {
                let times = if random.percent(20) { 2 } else { 1 };
                for _ in 0..times {
                    bench.acks(&told);
                }
            }
        }
        if random.percent(3) {
            let (_, host) = hosts[random.below(2) as usize];
            bench.hears(host, Control::PathProbe, Options::NONE, C);
        }
        bench.wait(ms(if calm { 1_000 } else { 100 }));
    }
    let place = |t: &Translation| (t.pair.peer, t.lease.nat_port, t.lease.peer_port);
    let has = bench.memory.iter();
    let expected: Kept = has
        .map(|t| (place(t), (t.pair.host, t.lease.port, 0)))
        .collect();
    let differs = |(name, at): (_, _)| (expected.get(name) != Some(at)).then_some((*name, *at));
    let extra: Vec<_> = kept.iter().filter_map(differs).collect();
    let lacks = |(name, at): (_, _)| (kept.get(name) != Some(at)).then_some((*name, *at));
    let lacking: Vec<_> = expected.iter().filter_map(lacks).collect();
    assert_eq!((extra, lacking), (vec![], vec![]), "seed {seed}");
}
