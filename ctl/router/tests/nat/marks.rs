// SPDX-License-Identifier: GPL-2.0
//! Which messages are marked, and what is learned from them.

use ihmp_core::message::{Addresses, Control, Message, Options};
use ihmp_core::policy::Prefix;
use ihmp_engine::OwnKey;
use ihmp_router::{Config, NatConfig, Note, Verdict};
use ihmp_sim::{addr, own_key, secs};

use crate::bench::*;

#[test]
fn all_messages_both_ways() {
    let mut bench = Bench::new();
    for control in Control::ALL {
        if control != Control::Ack {
            assert_eq!(bench.says(1, M, control, C), Verdict::Mark, "{control}");
        }
        let verdict = bench.hears(M, control, Options::NONE, C);
        assert_eq!(verdict, Verdict::Mark, "{control}");
    }
    assert_eq!(bench.refusals(), Default::default());
}

#[test]
fn an_answer_binds_only_if_its_question_was_seen() {
    let mut bench = Bench::new();
    let ack = |bench: &mut Bench, echo| {
        let message = Message {
            control: Control::Ack,
            options: Options::NONE,
            seqno: 7,
            signature: None,
            host: addr(M),
            addresses: Addresses::of(&[addr(M)]).unwrap(),
        };
        let stamp = bench.stamp();
        let bytes = own_key(1).seal(&message, addr(C), stamp, echo);
        bench.cross(LAN, M, N, C, &bytes)
    };
    assert_eq!(ack(&mut bench, 5), Verdict::Mark);
    assert_eq!(bench.router.sizes()[0], 0);
    let hello = bench.message(&own_key(50), Control::Hello, Options::NONE, C, M);
    bench.cross(WAN, C, C, M, &hello);
    let asked = Message::parse(&hello).unwrap().signature.unwrap();
    let asked = asked.ed25519().unwrap().timestamp;
    assert_eq!(ack(&mut bench, asked), Verdict::Mark);
    assert_eq!(bench.router.sizes()[0], 1);
    // It is no answer to that one.
    let mut other = Bench::new();
    other.cross(WAN, C, C, M, &hello);
    assert_eq!(ack(&mut other, asked + 1), Verdict::Pass);
    assert_eq!(other.refused("bad-signature"), 1);
}

#[test]
fn who_is_not_where_he_says_is_nobody() {
    let mut bench = Bench::new();
    // Another host inside names M as its source.
    let bytes = bench.message(&own_key(2), Control::Handoff, Options::NONE, M, C);
    assert_eq!(bench.cross(LAN, M2, N, C, &bytes), Verdict::Pass);
    assert_eq!(bench.refused("other-source"), 1);
    // It came by another device than that to which M belongs.
    let bytes = bench.message(&own_key(2), Control::Handoff, Options::NONE, M, C);
    assert_eq!(bench.cross(WAN, M, N, C, &bytes), Verdict::Pass);
    // It was never forwarded, or it has left before.
    let bytes = bench.message(&own_key(1), Control::Handoff, Options::NONE, M, C);
    assert_eq!(bench.leave(LAN, N, C, &bytes), Verdict::Pass);
    assert_eq!(bench.cross(LAN, M, N, C, &bytes), Verdict::Mark);
    assert_eq!(bench.leave(LAN, N, C, &bytes), Verdict::Pass);
    assert_eq!(bench.refused("other-source"), 4);
    assert_eq!(bench.router.nat_sizes(), Some([1, 0, 0]));
}

#[test]
fn what_is_not_signed_as_it_should_be_is_not_marked() {
    let mut bench = Bench::new();
    let message = Message {
        control: Control::Handoff,
        options: Options::NONE,
        seqno: 7,
        signature: None,
        host: addr(M),
        addresses: Addresses::of(&[addr(M), addr(M)]).unwrap(),
    };
    let mut buffer = [0; ihmp_core::message::MAX_LEN];
    let unsigned = message.emit(&mut buffer).unwrap().to_vec();
    assert_eq!(bench.cross(LAN, M, N, C, &unsigned), Verdict::Pass);
    assert_eq!(bench.refused("unsigned"), 1);
    let mut forged = bench.message(&own_key(1), Control::Handoff, Options::NONE, M, C);
    let last = forged.len() - 1;
    forged[last] ^= 1;
    assert_eq!(bench.cross(LAN, M, N, C, &forged), Verdict::Pass);
    assert_eq!(bench.refused("bad-signature"), 1);
    assert_eq!(bench.leave(LAN, N, C, b"no message"), Verdict::Pass);
    let mut none = unsigned.clone();
    none.truncate(20);
    assert_eq!(bench.leave(LAN, N, C, &none), Verdict::Pass);
    assert_eq!(bench.refused("bad-payload"), 1);
    // The true one says an old thing again.
    assert_eq!(bench.says(1, M, Control::Handoff, C), Verdict::Mark);
    assert_eq!(bench.router.nat_sizes(), Some([1, 0, 0]));
    bench.none();
}

#[test]
fn a_host_that_is_greeted_only_is_not_told() {
    let mut bench = Bench::new();
    bench.memory.insert(tcp(M, C, 1));
    assert_eq!(bench.says(1, M, Control::Hello, C), Verdict::Mark);
    bench.happens(&[tcp(M, C, 2)], &[]);
    assert!(bench.looks.is_empty() && bench.listening.is_empty());
    // It wants proof: it does not know the host yet.
    bench.hears(M, Control::Ack, Options::INCORRECT_SEQNO, C);
    bench.none();
    bench.hears(M, Control::Ack, Options::NONE, C);
    assert_eq!(bench.one().leases(), [(1, 600), (2, 600)]);
    assert_eq!(bench.listening, [addr(C)]);
    // One that never answers is forgotten.
    bench.says(1, M, Control::Hello, C2);
    assert_eq!(bench.router.nat_sizes().unwrap()[0], 2);
    bench.wait(secs(31));
    assert_eq!(bench.router.nat_sizes().unwrap()[0], 1);
}

#[test]
fn pairs_end_ten_minutes_after_the_last_word() {
    let mut bench = Bench::new();
    bench.memory.insert(tcp(M, C, 1));
    bench.settled(1, M, C);
    bench.wait(secs(599));
    bench.says(1, M, Control::PathProbe, C);
    for told in bench.told() {
        bench.acks(&told);
    }
    bench.wait(secs(599));
    assert_eq!(bench.listening, [addr(C)]);
    bench.wait(secs(2));
    assert!(bench.listening.is_empty());
    assert_eq!(bench.router.nat_sizes().unwrap()[..2], [0, 0]);
    assert_eq!(bench.router.next_timeout(), None);
    let pair = pair(M, C);
    let reason = "expired";
    assert!(bench.notes.contains(&Note::Apart { pair, reason }));
    bench.told();
    // What happens then matters to nobody.
    bench.happens(&[tcp(M, C, 2)], &[tcp(M, C, 1)]);
    bench.none();
}

#[test]
fn too_many_pairs_are_not_marked() {
    let mut bench = Bench::with(NatConfig {
        max_pairs: 1,
        ..NatConfig::default()
    });
    assert_eq!(bench.says(1, M, Control::Handoff, C), Verdict::Mark);
    assert_eq!(bench.says(1, M, Control::Handoff, C2), Verdict::Pass);
    assert_eq!(bench.refused("pair-limit"), 1);
    assert_eq!(bench.says(1, M, Control::PathProbe, C), Verdict::Mark);
}

#[test]
fn a_key_that_was_succeeded() {
    let mut bench = Bench::new();
    bench.memory.insert(tcp(M, C, 1));
    bench.settled(1, M, C);
    let mut new = OwnKey::new(&[77; 32], vec![]);
    new.former = Some(own_key(1).endorse(&new.public()));
    let hello = bench.message(&new, Control::Hello, Options::NONE, M, C);
    bench.wait(secs(1));
    assert_eq!(bench.cross(LAN, M, N, C, &hello), Verdict::Mark);
    let told = bench.one();
    assert_eq!(
        (told.leases(), told.entry.key),
        (vec![(1, 600)], new.public().0)
    );
    // The former one is nobody's: the address is the new one's, until somebody proves otherwise.
    bench.acks(&told);
    bench.wait(secs(1));
    let other = own_key(3);
    let up = bench.message(&other, Control::AddrUp, Options::NONE, M, C);
    assert_eq!(bench.cross(LAN, M, N, C, &up), Verdict::Mark);
    assert_eq!(bench.one().entry.key, other.public().0);
}

#[test]
fn one_that_routes_as_well_takes_moves_within_and_marks_the_rest() {
    let inside: Vec<Prefix> = vec!["192.168.1.0/24".parse().unwrap()];
    let mut bench = Bench::of(Config {
        inside,
        nat: Some(NatConfig::default()),
        ..Config::default()
    });
    bench.memory.insert(tcp(M, C, 1));
    // It is verified as it is forwarded, and believed as it leaves.
    assert_eq!(bench.says(1, M, Control::AddrUp, C), Verdict::Mark);
    assert_eq!(bench.one().leases(), [(1, 600)]);
    assert_eq!(bench.refusals(), Default::default());
    assert_eq!(bench.router.sizes()[0], 1);
}

#[test]
fn without_nat_nothing_is_marked() {
    let mut bench = Bench::of(Config::default());
    let bytes = bench.message(&own_key(1), Control::Handoff, Options::NONE, M, C);
    assert_eq!(bench.forward(LAN, M, C, &bytes), Verdict::Pass);
    assert_eq!(bench.leave(LAN, N, C, &bytes), Verdict::Pass);
    bench.heard(addr(C), &bytes);
    assert_eq!(bench.router.nat_sizes(), None);
}
