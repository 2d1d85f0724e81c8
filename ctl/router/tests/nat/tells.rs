// SPDX-License-Identifier: GPL-2.0
//! What peers are told, when, and how often.

use ihmp_core::message::{Control, Options};
use ihmp_core::packet::UDP;
use ihmp_core::time::Instant;
use ihmp_router::{Input, NatConfig, Note, Translation};
use ihmp_sim::{addr, ms, own_key, secs};

use crate::bench::*;

#[test]
fn what_there_is_and_what_comes_and_goes() {
    let mut bench = Bench::new();
    bench.memory.extend([tcp(M, C, 1), udp(M, C, 2)]);
    bench.says(1, M, Control::Handoff, C);
    let told = bench.one();
    assert_eq!(told.leases(), [(1, 600), (2, 600)]);
    assert_eq!(told.entry.nat, addr(N));
    assert_eq!(told.entry.host, addr(M));
    assert_eq!(told.entry.key, own_key(1).public().0);
    assert!(told.echoes(0));
    // One at a time: what happens meanwhile is the next one.
    bench.happens(&[tcp(M, C, 3)], &[]);
    bench.happens(&[tcp(M, C, 4)], &[tcp(M, C, 1)]);
    bench.none();
    bench.acks(&told);
    let told = bench.one();
    assert_eq!(told.leases(), [(3, 600), (1, 0), (4, 600)]);
    bench.acks(&told);
    bench.none();
    assert_eq!(bench.router.nat_sizes(), Some([1, 3, 2]));
    // What comes together is told together.
    bench.happens(&[tcp(M, C, 5), tcp(M, C, 6)], &[]);
    assert_eq!(bench.one().leases(), [(5, 600), (6, 600)]);
}

#[test]
fn only_what_is_of_the_pair() {
    let mut bench = Bench::new();
    bench.settled(1, M, C);
    let signalling = Translation {
        lease: lease(UDP, 61_453, 61_453),
        ..tcp(M, C, 1)
    };
    let elsewhere = Translation {
        nat: addr("203.0.113.3"),
        ..tcp(M, C, 2)
    };
    let impossible = Translation {
        lease: lease(UDP, 0, 53),
        ..tcp(M, C, 1)
    };
    let none = [
        tcp(M2, C, 1),
        tcp(M, C2, 1),
        signalling,
        elsewhere,
        impossible,
    ];
    bench.happens(&none, &[]);
    bench.none();
    bench.happens(&[], &[tcp(M, C, 9)]);
    bench.none();
}

#[test]
fn nobody_answers() {
    let mut bench = Bench::new();
    bench.memory.insert(tcp(M, C, 1));
    bench.says(1, M, Control::Handoff, C);
    let first = bench.one();
    bench.wait(ms(999));
    bench.none();
    bench.wait(ms(1));
    let second = bench.one();
    assert_eq!(second.seqno, first.seqno);
    assert!(second.stamp > first.stamp);
    // 2 s and 4 s, and up to a quarter more.
    bench.wait(ms(1_999));
    bench.none();
    bench.wait(ms(501));
    bench.one();
    bench.wait(ms(5_000));
    bench.one();
    bench.happens(&[tcp(M, C, 2)], &[]);
    let unanswered = |bench: &Bench| {
        let notes = bench.notes.iter();
        let of = notes.filter(|note| matches!(note, Note::Unanswered { .. }));
        of.count()
    };
    assert_eq!(unanswered(&bench), 0);
    bench.wait(ms(10_000));
    assert_eq!(unanswered(&bench), 1);
    bench.none();
    // The next one says it all.
    let told = bench.next();
    assert_ne!(told.seqno, first.seqno);
    assert_eq!(told.leases(), [(1, 600), (2, 600)]);
    bench.acks(&told);
    bench.wait(secs(60));
    bench.none();
}

#[test]
fn a_peer_that_speaks_ends_the_pause() {
    let mut bench = Bench::new();
    bench.memory.insert(tcp(M, C, 1));
    bench.says(1, M, Control::Handoff, C);
    bench.wait(secs(20));
    bench.told();
    bench.wait(secs(40));
    let sent = bench.told().len();
    assert!((4..=8).contains(&sent), "{sent}");
    bench.hears(M, Control::PathProbe, Options::NONE, C);
    let told = bench.told();
    assert_eq!(told.last().unwrap().leases(), [(1, 600)]);
}

#[test]
fn a_peer_that_has_just_learned_of_the_host_is_told_at_once() {
    let mut bench = Bench::new();
    bench.memory.insert(tcp(M, C, 1));
    bench.says(1, M, Control::Handoff, C);
    let told = bench.one();
    bench.wait(ms(20));
    // It refused the entry, and asked the host for proof; now it has it.
    bench.hears(M, Control::Ack, Options::INCORRECT_SEQNO, C);
    bench.none();
    bench.hears(M, Control::Ack, Options::NONE, C);
    let again = bench.one();
    assert_eq!(again.seqno, told.seqno);
    // Not for ever.
    bench.hears(M, Control::Ack, Options::NONE, C);
    bench.one();
    bench.hears(M, Control::Ack, Options::NONE, C);
    bench.none();
    // The first send can be answered as well.
    bench.acks(&told);
    bench.wait(secs(9));
    bench.none();
    assert_eq!(bench.refusals(), Default::default());
}

#[test]
fn a_peer_that_wants_proof() {
    let mut bench = Bench::new();
    bench.memory.insert(tcp(M, C, 1));
    bench.says(1, M, Control::Handoff, C);
    let mut told = bench.one();
    for _ in 0..3 {
        bench.wait(ms(20));
        let echo = bench.challenges(&told);
        let next = bench.one();
        assert_eq!(next.options, Options::INCORRECT_SEQNO);
        assert_eq!(next.leases(), [(1, 600)]);
        assert!(next.echoes(echo) && !next.echoes(0));
        assert_eq!(next.seqno, told.seqno);
        told = next;
    }
    bench.challenges(&told);
    bench.none();
    // By the clock it is the plain one: the proof may have arrived.
    bench.wait(secs(9));
    let last = bench.told().pop().unwrap();
    assert!(last.echoes(0) && last.options == Options::NONE);
    bench.acks(&last);
    bench.wait(secs(60));
    bench.none();
}

#[test]
fn round_trips_are_measured() {
    let mut bench = Bench::new();
    bench.memory.insert(tcp(M, C, 1));
    bench.says(1, M, Control::Handoff, C);
    let told = bench.one();
    bench.wait(ms(100));
    bench.acks(&told);
    bench.happens(&[tcp(M, C, 2)], &[]);
    bench.one();
    bench.wait(ms(299));
    bench.none();
    bench.wait(ms(1));
    bench.one();
}

#[test]
fn answers_that_are_none() {
    let mut bench = Bench::new();
    bench.memory.insert(tcp(M, C, 1));
    bench.says(1, M, Control::Handoff, C);
    let told = bench.one();
    let (good, _) = bench.answer(&told, Options::NONE);
    // From elsewhere.
    bench.heard(addr(C2), &good);
    assert_eq!(bench.refused("bad-payload"), 1);
    // Another number.
    let mut other = good.clone();
    other[3] ^= 1;
    bench.heard(addr(C), &other);
    assert_eq!(bench.refused("unexpected-ack"), 1);
    // A signature over something else: the number can be guessed, the timestamp not.
    let blind = Told {
        stamp: told.stamp + 1,
        ..told.clone()
    };
    let (guessed, _) = bench.answer(&blind, Options::NONE);
    bench.heard(addr(C), &guessed);
    let mut changed = good.clone();
    let last = changed.len() - 1;
    changed[last] ^= 1;
    bench.heard(addr(C), &changed);
    // The last octet is that of the address.
    assert_eq!(bench.refused("bad-signature"), 1);
    assert_eq!(bench.refused("bad-payload"), 2);
    // Without one.
    let unsigned = [&[8, 0, good[2], good[3]], &good[good.len() - 32..]].concat();
    bench.heard(addr(C), &unsigned);
    assert_eq!(bench.refused("unsigned"), 1);
    bench.heard(addr(C), b"nothing");
    assert_eq!(bench.refused("unknown-control"), 1);
    let hello = bench.message(&own_key(50), Control::Hello, Options::NONE, C, N);
    bench.heard(addr(C), &hello);
    assert_eq!(bench.refused("unsupported"), 1);
    bench.none();
    assert_eq!(bench.router.nat_sizes().unwrap()[2], 0);
    // Only the true one counts, and once.
    bench.heard(addr(C), &good);
    assert_eq!(bench.router.nat_sizes().unwrap()[2], 1);
    bench.heard(addr(C), &good);
    assert_eq!(bench.refused("late-ack"), 1);
    assert_eq!(bench.refused("unexpected-ack"), 1);
}

#[test]
fn told_again_before_it_ends_as_long_as_the_nat_has_it() {
    let mut bench = Bench::new();
    bench.memory.extend([tcp(M, C, 1), tcp(M, C, 2)]);
    bench.settled(1, M, C);
    bench.wait(secs(299));
    bench.none();
    // One ends without a word: it was made before anybody listened.
    bench.memory.remove(&tcp(M, C, 1));
    let told = bench.next();
    assert_eq!(bench.now.since(Instant::ZERO), secs(300));
    assert_eq!(told.leases(), [(2, 600), (1, 0)]);
    bench.acks(&told);
    bench.says(1, M, Control::PathProbe, C);
    assert_eq!(bench.next().leases(), [(2, 600)]);
    assert_eq!(bench.now.since(Instant::ZERO), secs(600));
}

#[test]
fn a_host_that_greets_has_it_all_told_again() {
    let mut bench = Bench::new();
    bench.memory.insert(tcp(M, C, 1));
    bench.settled(1, M, C);
    bench.wait(secs(1));
    bench.says(1, M, Control::Hello, C);
    let told = bench.one();
    assert_eq!(told.leases(), [(1, 600)]);
    bench.acks(&told);
    bench.wait(secs(1));
    bench.hears(M, Control::Hello, Options::NONE, C);
    assert_eq!(bench.one().leases(), [(1, 600)]);
}

#[test]
fn what_was_lost_is_looked_for() {
    let mut bench = Bench::new();
    bench.memory.extend([tcp(M, C, 1), tcp(M, C, 2)]);
    bench.settled(1, M, C);
    bench.wait(secs(1));
    bench.memory.remove(&tcp(M, C, 1));
    bench.memory.insert(tcp(M, C, 3));
    bench.tell(Input::Overrun);
    let told = bench.one();
    assert_eq!(told.leases(), [(3, 600), (1, 0)]);
    bench.acks(&told);
    // Again and again: looked for ten times a second at most, and nothing is said.
    let looks = bench.looks.len();
    for _ in 0..1_000 {
        bench.tell(Input::Overrun);
        bench.wait(ms(1));
    }
    let looked = bench.looks.len() - looks;
    assert!((9..=11).contains(&looked), "{looked}");
    bench.none();
}

#[test]
fn the_memory_cannot_be_read_for_a_while() {
    let mut bench = Bench::new();
    bench.broken = true;
    bench.memory.insert(tcp(M, C, 1));
    bench.says(1, M, Control::Handoff, C);
    bench.wait(secs(1));
    bench.none();
    bench.broken = false;
    bench.wait(ms(100));
    assert_eq!(bench.one().leases(), [(1, 600)]);
}

#[test]
fn another_address_of_the_nat() {
    let mut bench = Bench::new();
    bench.memory.insert(tcp(M, C, 1));
    bench.settled(1, M, C);
    bench.wait(secs(1));
    let other = "203.0.113.3";
    let moved = Translation {
        nat: addr(other),
        ..tcp(M, C, 2)
    };
    bench.memory = [moved].into();
    let bytes = bench.message(&own_key(1), Control::PathProbe, Options::NONE, M, C);
    bench.cross(LAN, M, other, C, &bytes);
    let told = bench.one();
    assert_eq!(
        (told.entry.nat, told.leases()),
        (addr(other), vec![(2, 600)])
    );
}

#[test]
fn a_short_lifetime() {
    let mut bench = Bench::with(NatConfig {
        lifetime: 10,
        ..NatConfig::default()
    });
    bench.memory.insert(tcp(M, C, 1));
    bench.settled(1, M, C);
    bench.wait(ms(4_900));
    bench.none();
    bench.wait(ms(200));
    assert_eq!(bench.one().leases(), [(1, 10)]);
}

#[test]
fn a_flow_that_has_another_port() {
    let mut bench = Bench::new();
    bench.memory.insert(tcp(M, C, 1));
    bench.settled(1, M, C);
    // Nobody heard of the end of the first one: it was made before anybody listened.
    let mut other = tcp(M, C, 1);
    other.lease.nat_port = 7;
    bench.memory = [other].into();
    bench.happens(&[other], &[]);
    let told = bench.one();
    let said: Vec<_> = told
        .entry
        .leases()
        .map(|l| (l.nat_port, l.lifetime))
        .collect();
    assert_eq!(said, [(tcp(M, C, 1).lease.nat_port, 0), (7, 600)]);
    bench.acks(&told);
    assert_eq!(bench.router.nat_sizes().unwrap()[1], 1);
}
