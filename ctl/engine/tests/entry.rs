// SPDX-License-Identifier: GPL-2.0
//! NAT_ENTRY, and who is believed about a NAT: forged sources, copies, replays, wrong keys.

use ihmp_sim as sim;

use ihmp_core::addr::Addr;
use ihmp_core::entry::{Entry, Lease};
use ihmp_core::message::Control::{self, *};
use ihmp_core::message::{Addresses, Message, Options};
use ihmp_engine::{KnownKey, Limits, OwnKey, Policy, State};
use sim::nat::Nat;
use sim::{addr, ms, own_key, secs, Sim, FAIR};

const A1: &str = "192.0.2.1";
const A2: &str = "198.51.100.2";
const B1: &str = "203.0.113.9";
const P1: &str = "192.168.1.7";
const N: &str = "198.51.100.77";
const N2: &str = "198.51.100.78";
const X: &str = "198.51.100.99";
const LEASE: Lease = Lease {
    proto: 6,
    nat_port: 20_001,
    port: 40_000,
    peer_port: 22,
    lifetime: 600,
};

/// A host that is behind an aware NAT, and its correspondent; the NAT's key.
fn stage() -> (Sim, OwnKey) {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.nats.push(Nat::new(addr(N), addr(P1), 0, true));
    sim.change(0, &[A1], &[P1]);
    sim.run(secs(1));
    sim.sent();
    (sim, own_key(50))
}

fn entry(nat: &str, inside: &str, key: &OwnKey, leases: &[Lease]) -> Message<'static> {
    let entry = Entry::new(addr(nat), addr(inside), key.public().0, leases).unwrap();
    Message {
        control: NatEntry,
        options: Options::NONE,
        seqno: 7,
        signature: None,
        host: addr(nat),
        addresses: entry.addresses(),
    }
}

/// Timestamps for the NAT: always later ones.
fn stamp(sim: &mut Sim) -> u64 {
    sim.run(ms(100));
    1_900_000_000_000_000_000 + sim.now.as_nanos()
}

/// The NAT says something; what is answered.
fn say(sim: &mut Sim, from: &str, port: Option<u16>, nat: &OwnKey, message: &Message<'_>) -> u64 {
    say_at(sim, from, port, nat, message, 0)
}

fn say_at(
    sim: &mut Sim,
    from: &str,
    port: Option<u16>,
    nat: &OwnKey,
    message: &Message<'_>,
    echo: u64,
) -> u64 {
    let stamp = stamp(sim);
    sim.sent();
    sim.wire.clear();
    let bytes = nat.seal(message, addr(B1), stamp, echo);
    sim.inject_by(1, addr(from), port, addr(B1), &bytes);
    stamp
}

/// The last answer of the correspondent to this address: its flags and timestamp.
fn answer(sim: &Sim, to: &str) -> Option<(Options, u64)> {
    let (.., bytes) = sim.wire.iter().rfind(|sent| sent.1 == addr(to))?;
    let message = Message::parse(bytes).unwrap();
    assert_eq!(message.control, Ack);
    let block = message.signature.unwrap();
    Some((message.options, block.ed25519().unwrap().timestamp))
}

/// The NAT greets, so to speak: it is asked to show that it hears us, and does.
fn prove(sim: &mut Sim, nat: &OwnKey, message: &Message<'_>) -> u64 {
    say(sim, N, Some(777), nat, message);
    let (options, asked) = answer(sim, N).unwrap();
    assert!(options.has(Options::INCORRECT_SEQNO));
    assert!(sim.nodes[1].kernel.mappings.is_empty());
    let again = Message {
        options: Options::INCORRECT_SEQNO,
        ..*message
    };
    let stamp = say_at(sim, N, Some(777), nat, &again, asked);
    let (options, _) = answer(sim, N).unwrap();
    assert!(!options.has(Options::INCORRECT_SEQNO));
    stamp
}

#[test]
fn a_nat_is_believed_when_it_hears_us() {
    let (mut sim, nat) = stage();
    let first = entry(N, P1, &own_key(0), &[LEASE]);
    prove(&mut sim, &nat, &first);
    let mapping = LEASE.mapping(addr(N));
    let (host, until) = sim.nodes[1].kernel.mappings[&mapping];
    assert_eq!((host, until), (1, sim.now.after(secs(600))));
    // From then on at once, from any port; and it takes it back.
    let other = Lease {
        nat_port: 20_002,
        ..LEASE
    };
    let gone = Lease {
        lifetime: 0,
        ..LEASE
    };
    let next = entry(N, P1, &own_key(0), &[other, gone]);
    say(&mut sim, N, None, &nat, &next);
    assert_eq!(
        answer(&sim, N).unwrap().0.with(Options::SIGNED),
        Options::SIGNED
    );
    let known: Vec<_> = sim.nodes[1].kernel.mappings.keys().copied().collect();
    assert_eq!(known, [other.mapping(addr(N))]);
    // They go with the host.
    sim.change(0, &[P1], &[A1]);
    sim.run(secs(1));
    sim.agree(0, 1);
    assert_eq!(sim.nodes[1].kernel.mappings.len(), 1);
}

#[test]
fn replayed_entries_and_wrong_keys_map_nothing() {
    let (mut sim, nat) = stage();
    let first = entry(N, P1, &own_key(0), &[LEASE]);
    prove(&mut sim, &nat, &first);
    let gone = Lease {
        lifetime: 0,
        ..LEASE
    };
    let last = entry(N, P1, &own_key(0), &[gone]);
    let stamp = say(&mut sim, N, Some(777), &nat, &last);
    assert!(sim.nodes[1].kernel.mappings.is_empty());
    let refused = |sim: &Sim, reason| sim.refused(1, reason);
    // What was said before.
    let bytes = nat.seal(&first, addr(B1), stamp - 1, 0);
    sim.inject_by(1, addr(N), Some(777), addr(B1), &bytes);
    let bytes = nat.seal(&last, addr(B1), stamp, 0);
    sim.inject_by(1, addr(N), Some(777), addr(B1), &bytes);
    assert_eq!(refused(&sim, "replayed"), 1);
    // The first of them is new, but somebody else's word: a later one counts.
    sim.nodes[1].kernel.mappings.clear();
    // In the name of the NAT, by another key.
    let mut named = own_key(66).seal(&first, addr(B1), stamp + 9_000_000_000, 0);
    named[16..48].copy_from_slice(&nat.public().0);
    sim.inject_by(1, addr(N), Some(777), addr(B1), &named);
    assert_eq!(refused(&sim, "bad-signature"), 1);
    // By a key that nobody knows there.
    say(&mut sim, N, Some(777), &own_key(66), &first);
    assert_eq!(refused(&sim, "challenged"), 3);
    // By a key that was proven elsewhere.
    let elsewhere = entry(N2, P1, &own_key(0), &[LEASE]);
    say(&mut sim, N2, Some(777), &nat, &elsewhere);
    assert_eq!(refused(&sim, "unknown-host"), 1);
    // About a host that is not there, or another one.
    for (inside, key) in [("192.168.1.9", 0), (P1, 1), (P1, 4)] {
        let wrong = entry(N, inside, &own_key(key), &[LEASE]);
        say(&mut sim, N, Some(777), &nat, &wrong);
        assert_eq!(answer(&sim, N), None);
    }
    assert_eq!(refused(&sim, "unknown-host"), 4);
    // From another source, unsigned, or by our own key.
    let stamped = stamp_of(&mut sim);
    let bytes = nat.seal(&first, addr(B1), stamped, 0);
    sim.inject_by(1, addr(X), Some(777), addr(B1), &bytes);
    assert_eq!(refused(&sim, "nat-detected"), 1);
    let mut buffer = [0; 512];
    let bytes = first.emit(&mut buffer).unwrap().to_vec();
    sim.inject_by(1, addr(N), Some(777), addr(B1), &bytes);
    assert_eq!(refused(&sim, "unsigned"), 1);
    say(&mut sim, N, Some(777), &own_key(1), &first);
    assert_eq!(refused(&sim, "own-key"), 1);
    // An answer to what nobody asked.
    let answer = Message {
        options: Options::INCORRECT_SEQNO,
        ..first
    };
    say_at(&mut sim, N, Some(777), &nat, &answer, 12);
    assert_eq!(refused(&sim, "late-answer"), 1);
    assert!(sim.nodes[1].kernel.mappings.is_empty());
}

fn stamp_of(sim: &mut Sim) -> u64 {
    stamp(sim) + 20_000_000_000
}

#[test]
fn a_key_that_is_proven_elsewhere_has_to_prove_this() {
    let (mut sim, nat) = stage();
    let first = entry(N, P1, &own_key(0), &[LEASE]);
    prove(&mut sim, &nat, &first);
    // The host goes behind another NAT.
    sim.nats[0].outside = addr(N2);
    sim.nats[0].forget();
    sim.run(secs(30));
    assert_eq!(
        sim.nodes[1].kernel.rows[&1].record.nats,
        [addr(N), addr(N2)]
    );
    let second = entry(N2, P1, &own_key(0), &[LEASE]);
    say(&mut sim, N2, Some(777), &nat, &second);
    let (options, _) = answer(&sim, N2).unwrap();
    assert!(options.has(Options::INCORRECT_SEQNO));
    let mapping = LEASE.mapping(addr(N2));
    assert!(!sim.nodes[1].kernel.mappings.contains_key(&mapping));
}

#[test]
fn listed_keys_of_nats() {
    for (policy, listed, believed) in [
        (Policy::RequireKnown, true, true),
        (Policy::RequireKnown, false, false),
        (Policy::FirstUse, true, true),
    ] {
        let mut sim = Sim::new(1, FAIR);
        sim.add(&[A1]);
        sim.add_believing(&[B1], Limits::default(), policy);
        let pinned = |router| KnownKey {
            pinned: true,
            router,
            ..KnownKey::default()
        };
        let known = &mut sim.nodes[1].store.known;
        known.insert(own_key(0).public(), pinned(false));
        if listed {
            let scope = vec!["198.51.100.77/32".parse().unwrap()];
            let router = KnownKey {
                scope,
                ..pinned(true)
            };
            known.insert(own_key(50).public(), router);
        }
        sim.rekey(1);
        sim.flow(0, A1, B1);
        sim.run(secs(1));
        sim.nats.push(Nat::new(addr(N), addr(P1), 0, true));
        sim.change(0, &[A1], &[P1]);
        sim.run(secs(1));
        let first = entry(N, P1, &own_key(0), &[LEASE]);
        say(&mut sim, N, Some(777), &own_key(50), &first);
        assert_eq!(sim.nodes[1].kernel.mappings.len(), usize::from(believed));
        if listed {
            // It speaks for no other address.
            let other = entry(N2, P1, &own_key(0), &[LEASE]);
            say(&mut sim, N2, Some(777), &own_key(50), &other);
            assert_eq!(sim.refused(1, "reserved-address"), 1);
        } else {
            assert_eq!(sim.refused(1, "unknown-key"), 1);
        }
    }
}

#[test]
fn a_flood_of_entries_is_bounded() {
    let (mut sim, nat) = stage();
    let first = entry(N, P1, &own_key(0), &[LEASE]);
    prove(&mut sim, &nat, &first);
    let mut stamp = stamp(&mut sim);
    for number in 0..1_000_u64 {
        stamp += 1_000_000;
        let bytes = nat.seal(&first, addr(B1), stamp, 0);
        // All of one network, then of many.
        let from = match number {
            0..=499 => addr(N),
            _ => Addr::v4([10, 0, number.to_le_bytes()[0], number.to_le_bytes()[1]]),
        };
        sim.inject_by(1, from, Some(777), addr(B1), &bytes);
    }
    assert!(sim.refused(1, "rate") > 400, "{}", sim.refused(1, "rate"));
    // A host has so many mappings and no more.
    let mut left = 0;
    for base in 0..120_u16 {
        sim.run(secs(1));
        let leases: Vec<Lease> = (0..10)
            .map(|number| Lease {
                nat_port: 30_000 + base * 10 + number,
                ..LEASE
            })
            .collect();
        let many = entry(N, P1, &own_key(0), &leases);
        say(&mut sim, N, Some(777), &nat, &many);
        left = sim.refused(1, "mapping-limit");
    }
    assert!(left > 0);
    assert_eq!(sim.nodes[1].kernel.mappings.len(), 1_024);
}

/// Every message that the host sent from `from` since the wire was last read.
fn heard(sim: &mut Sim, from: &str) -> Vec<Vec<u8>> {
    let wire = std::mem::take(&mut sim.wire);
    let theirs = wire.into_iter().filter(|sent| sent.0 == addr(from));
    theirs.map(|(.., bytes)| bytes).collect()
}

fn tables(sim: &Sim) -> String {
    format!("{:?}", sim.nodes[1].kernel.rows)
}

#[test]
fn copies_from_another_source_change_nothing() {
    for supported in [false, true] {
        // The host moves without a NAT; somebody sees it, and sends the same from where he is, before and after.
        for first in [false, true] {
            let mut sim = Sim::pair(&[A1], &[B1]);
            sim.run(secs(1));
            sim.wire.clear();
            sim.nodes[0].local.push(addr(A2));
            sim.network(0);
            let copies = heard(&mut sim, A2);
            assert_eq!(copies.len(), 1);
            let copy = |sim: &mut Sim, bytes: &[u8]| {
                let mut bytes = bytes.to_vec();
                if supported {
                    bytes[1] |= Options::NAT_SUPPORTED.bits();
                }
                sim.inject_by(1, addr(X), Some(4_711), addr(B1), &bytes);
                sim.inject_by(1, addr(X), None, addr(B1), &bytes);
            };
            let before = tables(&sim);
            if first {
                copy(&mut sim, &copies[0]);
            } else {
                sim.run(ms(40));
                copy(&mut sim, &copies[0]);
            }
            if first {
                assert_eq!(tables(&sim), before);
            }
            sim.run(secs(40));
            sim.agree(0, 1);
            let row = &sim.nodes[1].kernel.rows[&1].record;
            assert_eq!(row.active.len(), 2);
            assert!(row.nats.is_empty() && row.unreachable.is_empty());
            assert!(!sim.nodes[0].kernel.rows[&1]
                .record
                .local
                .iter()
                .any(|local| local.nat));
        }
    }
}

#[test]
fn a_greeting_of_a_known_key_from_a_forged_source_adds_nothing() {
    // By the host itself, with another source: all kinds, with any flags.
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.run(secs(1));
    let before = tables(&sim);
    let kinds: [(Control, &[&str]); 5] = [
        (Hello, &[]),
        (AddrUp, &[P1]),
        (Handoff, &[P1, A1]),
        (AddrDown, &[A1]),
        (PathProbe, &[]),
    ];
    for flags in [
        Options::NONE,
        Options::NAT_SUPPORTED,
        Options::NAT_FORCED,
        Options::INCORRECT_SEQNO,
    ] {
        for (control, more) in kinds {
            let mut addresses = Addresses::of(&[addr(P1)]).unwrap();
            assert!(more.iter().all(|more| addresses.push(addr(more))));
            let message = Message {
                control,
                options: flags,
                seqno: 1,
                signature: None,
                host: addr(A1),
                addresses,
            };
            let stamp = stamp(&mut sim);
            let bytes = own_key(0).seal(&message, addr(B1), stamp, 0);
            sim.inject_by(1, addr(X), Some(4_711), addr(B1), &bytes);
            sim.run(ms(900));
            assert_eq!(tables(&sim), before, "{control} {flags:?}");
        }
    }
    // Known directly, behind a NAT it is not.
    let message = Message {
        control: Hello,
        options: Options::NONE,
        seqno: 1,
        signature: None,
        host: addr(A1),
        addresses: Addresses::of(&[addr(A1)]).unwrap(),
    };
    let stamp = stamp(&mut sim);
    let bytes = own_key(0).seal(&message, addr(B1), stamp, 0);
    sim.inject_by(1, addr(X), Some(4_711), addr(B1), &bytes);
    assert_eq!(sim.refused(1, "nat-detected"), 1);
    assert_eq!(tables(&sim), before);
    // Without a NAT only the port of IHMP is right.
    sim.inject_by(1, addr(A1), Some(4_711), addr(B1), &bytes);
    assert_eq!(sim.refused(1, "source-port"), 1);
}

#[test]
fn what_passed_a_nat_cannot_be_replayed_without_it() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.nats.push(Nat::new(addr(N), addr(P1), 0, false));
    sim.wire.clear();
    sim.change(0, &[A1], &[P1]);
    sim.run(ms(40));
    // The hand-off has come through the NAT; somebody sends it again, from the address in it.
    let copies = heard(&mut sim, P1);
    sim.inject(1, addr(P1), addr(B1), &copies[0]);
    let row = &sim.nodes[1].kernel.rows[&1].record;
    assert_eq!(row.active, [addr(A1)]);
    sim.run(secs(2));
    let row = &sim.nodes[1].kernel.rows[&1].record;
    assert_eq!((row.state, row.active.len()), (State::Up, 0));
    sim.inject(1, addr(P1), addr(B1), &copies[0]);
    assert_eq!(sim.nodes[1].kernel.rows[&1].record.active, []);
    sim.change(0, &[P1], &[A2]);
    sim.run(secs(1));
    sim.agree(0, 1);
}
