// SPDX-License-Identifier: GPL-2.0
//! Who is believed: forged, replayed, reflected and re-addressed messages, first use, listed keys, succession, mistaken
//! identity, clocks.

use ihmp_sim as sim;

use ihmp_core::addr::Addr;
use ihmp_core::message::Control::{self, *};
use ihmp_core::message::{Addresses, Message, Options};
use ihmp_core::policy::Prefix;
use ihmp_engine::{KnownKey, Limits, Note, OwnKey, Policy, State};
use sim::{addr, ms, own_key, secs, Sim, FAIR};

const A1: &str = "192.0.2.1";
const A2: &str = "198.51.100.2";
const B1: &str = "10.9.0.1";
const B2: &str = "10.8.0.2";
const E1: &str = "203.0.113.66";

/// All messages that a node refused, by the name of the reason.
fn refused(sim: &Sim, at: usize) -> u64 {
    let engine = sim.nodes[at].engine.as_ref().unwrap();
    engine.refusals().values().sum()
}

fn tables(sim: &Sim) -> String {
    let rows = |at: usize| format!("{:?}", sim.nodes[at].kernel.rows);
    rows(0) + &rows(1)
}

fn message(
    control: Control,
    seqno: u16,
    from: &str,
    host: &str,
    more: &[&str],
) -> Message<'static> {
    let mut addresses = Addresses::of(&[addr(from)]).unwrap();
    for more in more {
        assert!(addresses.push(addr(more)));
    }
    Message {
        control,
        options: Options::NONE,
        seqno,
        signature: None,
        host: addr(host),
        addresses,
    }
}

/// The seqno of the last message that was sent from there.
fn sniffed(sim: &Sim, from: &str) -> u16 {
    let (.., bytes) = sim.wire.iter().rfind(|sent| sent.0 == addr(from)).unwrap();
    u16::from_be_bytes([bytes[2], bytes[3]])
}

/// Every kind of message that would move the client at `from`.
fn moves(from: &str) -> Vec<(Control, Vec<&str>)> {
    vec![
        (Hello, vec![]),
        (AddrUp, vec![from]),
        (AddrUpUnreachable, vec![E1]),
        (AddrDown, vec![A1]),
        (AddrDownUnreachable, vec![A1]),
        (Handoff, vec![from, A1]),
        (HandoffUnreachable, vec![E1, A1]),
        (Ack, vec![]),
    ]
}

#[test]
fn forged_messages_are_refused_and_counted() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    let before = tables(&sim);
    let base = refused(&sim, 1);
    let seqno = sniffed(&sim, A1);
    let stamp = 1_800_000_000_000_000_000;
    let mut count = 0;
    // From the attacker's own address and from the client's, with guessed and sniffed numbers.
    for from in [E1, A1] {
        for seqno in [seqno, seqno.wrapping_add(1), seqno.wrapping_add(2), 0x5a5a] {
            for (control, more) in moves(from) {
                let message = message(control, seqno, from, A1, &more);
                let mut forged = Vec::new();
                // Without a signature; by a key of the attacker's own.
                let mut buffer = [0; 512];
                forged.push(message.emit(&mut buffer).unwrap().to_vec());
                forged.push(own_key(66).seal(&message, addr(B1), stamp, 0));
                // With the client's public key in the block of the attacker's signature.
                let mut named = own_key(66).seal(&message, addr(B1), stamp, 0);
                named[16..48].copy_from_slice(&own_key(0).public().0);
                forged.push(named);
                // By the client's key, for somebody else.
                forged.push(own_key(0).seal(&message, addr(E1), stamp, 0));
                for bytes in forged {
                    sim.inject(1, addr(from), addr(B1), &bytes);
                    count += 1;
                }
                // The buckets fill again.
                sim.run(ms(100));
            }
        }
    }
    assert_eq!(tables(&sim), before);
    // Greetings of strangers are asked to show that they hear us, others of theirs are told that nobody knows them.
    let stranger = |note: &Note| matches!(note, Note::Received { control: Hello, .. });
    let asked = sim.noted(1, stranger) as u64 - 2;
    assert_eq!(refused(&sim, 1) - base, count);
    assert_eq!(asked, 8);
    for reason in [
        "unsigned",
        "bad-signature",
        "unknown-host",
        "unexpected-ack",
    ] {
        assert!(sim.refused(1, reason) > 0, "{reason}");
    }
    sim.hand_off(0, &[A1], &[A2]);
}

/// A session with a few moves.
fn session() -> Sim {
    let mut sim = Sim::pair(&[A1], &[B1]);
    for (at, old, new) in [(0, A1, A2), (1, B1, B2), (0, A2, A1), (1, B2, B1)] {
        sim.change(at, &[old], &[new]);
        sim.run(secs(2));
    }
    sim.agree(0, 1);
    sim
}

#[test]
fn replayed_messages_are_refused_and_counted() {
    for restarted in [false, true] {
        let mut sim = session();
        if restarted {
            sim.restart(0);
            sim.restart(1);
            sim.run(secs(2));
            sim.agree(0, 1);
        }
        let before = tables(&sim);
        let wire = std::mem::take(&mut sim.wire);
        let counts = [refused(&sim, 0), refused(&sim, 1)];
        let mut sent = [0, 0];
        for (from, to, bytes) in &wire {
            let at = usize::from(addr_of(*to) == 1);
            // To where it went, if that is still an address of the node.
            sim.inject(at, *from, *to, bytes);
            sent[at] += 1;
            sim.run(ms(20));
        }
        sim.run(secs(5));
        assert_eq!(tables(&sim), before);
        for at in [0, 1] {
            assert_eq!(refused(&sim, at), counts[at] + sent[at], "node {at}");
            assert!(sim.refused(at, "replayed") > 0);
        }
        assert!(sim.wire.is_empty(), "something was answered");
    }
}

#[test]
fn greetings_are_not_replayed_at_once() {
    for glare in [false, true] {
        let mut sim = Sim::new(1, FAIR);
        sim.add(&[A1]);
        sim.add(&[B1]);
        sim.flow(0, A1, B1);
        if glare {
            sim.run(ms(10));
            sim.flow(1, B1, A1);
        }
        sim.run(ms(150));
        sim.agree(0, 1);
        let before = tables(&sim);
        let both = |sim: &Sim| refused(sim, 0) + refused(sim, 1);
        let base = both(&sim);
        let wire = std::mem::take(&mut sim.wire);
        assert_eq!(wire.len(), 4);
        for (from, to, bytes) in &wire {
            sim.inject(addr_of(*to), *from, *to, bytes);
        }
        sim.run(secs(1));
        assert_eq!(tables(&sim), before);
        assert_eq!(both(&sim) - base, 4, "glare: {glare}");
        assert!(sim.wire.is_empty(), "something was answered");
    }
}

/// Which node has or had this address.
fn addr_of(of: Addr) -> usize {
    usize::from(of == addr(B1) || of == addr(B2))
}

#[test]
fn reflected_and_readdressed_messages_are_refused() {
    let mut sim = session();
    let before = tables(&sim);
    let wire = std::mem::take(&mut sim.wire);
    let counts = [refused(&sim, 0), refused(&sim, 1)];
    let mut sent = [0, 0];
    for (from, to, bytes) in &wire {
        // Back to who sent it.
        let at = addr_of(*from);
        sim.inject(at, *to, *from, bytes);
        sent[at] += 1;
        // And with the addresses in it exchanged to match.
        let mut changed = bytes.clone();
        changed[128..144].copy_from_slice(&to.octets());
        sim.inject(at, *to, *from, &changed);
        sent[at] += 1;
        // From another address, with it in the message.
        let at = addr_of(*to);
        let mut changed = bytes.clone();
        changed[128..144].copy_from_slice(&addr(E1).octets());
        sim.inject(at, addr(E1), *to, &changed);
        sent[at] += 1;
        // With a later timestamp.
        let mut changed = bytes.clone();
        changed[8..16].copy_from_slice(&u64::MAX.to_be_bytes());
        sim.inject(at, *from, *to, &changed);
        sent[at] += 1;
        sim.run(ms(50));
    }
    sim.run(secs(5));
    assert_eq!(tables(&sim), before);
    for at in [0, 1] {
        assert_eq!(refused(&sim, at), counts[at] + sent[at], "node {at}");
    }
    assert!(sim.refused(0, "own-key") > 0 && sim.refused(1, "bad-signature") > 0);
    assert!(sim.wire.is_empty(), "something was answered");
}

#[test]
fn forged_source_binds_no_key() {
    // The attacker greets the client in the name of the server, before and while the two become acquainted.
    let mut sim = Sim::new(1, FAIR);
    sim.add(&[A1]);
    sim.add(&[B1]);
    let attacker = own_key(66);
    let mut stamp = 1;
    let mut forge = |sim: &mut Sim| {
        for (control, more) in [(Hello, vec![]), (Handoff, vec![B1, E1]), (Ack, vec![])] {
            let message = message(control, stamp as u16, B1, B1, &more);
            stamp += 1;
            let bytes = attacker.seal(&message, addr(A1), stamp, 0);
            sim.inject(0, addr(B1), addr(A1), &bytes);
        }
    };
    forge(&mut sim);
    assert!(sim.nodes[0].kernel.rows.is_empty());
    sim.flow(0, A1, B1);
    for _ in 0..20 {
        forge(&mut sim);
        sim.run(ms(10));
    }
    sim.run(secs(5));
    sim.agree(0, 1);
    let bound =
        |note: &Note| matches!(note, Note::Bound { key, .. } if *key != own_key(1).public());
    assert_eq!(sim.noted(0, bound), 0);
    let message = message(Handoff, 1, E1, B1, &[E1, B1]);
    let bytes = attacker.seal(&message, addr(A1), 1_000_000, 0);
    sim.inject(0, addr(E1), addr(A1), &bytes);
    assert_eq!(sim.row(0, 1).record.active, [addr(B1)]);
}

#[test]
fn only_listed_keys_are_believed_where_that_is_required() {
    for listed in [false, true] {
        let mut sim = Sim::new(1, FAIR);
        sim.add(&[A1]);
        sim.add_believing(&[B1], Limits::default(), Policy::RequireKnown);
        if listed {
            let known = KnownKey {
                pinned: true,
                ..KnownKey::default()
            };
            let key = own_key(0).public();
            sim.nodes[1].store.known.insert(key, known);
            sim.rekey(1);
        }
        sim.flow(0, A1, B1);
        sim.run(secs(30));
        if listed {
            sim.agree(0, 1);
            sim.hand_off(0, &[A1], &[A2]);
        } else {
            assert!(sim.nodes[1].kernel.rows.is_empty());
            assert_eq!(sim.sent(), [Hello; 3]);
            assert_eq!(sim.refused(1, "unknown-key"), 3);
        }
    }
}

#[test]
fn listed_address_belongs_to_one_key() {
    let mut sim = Sim::new(1, FAIR);
    sim.add(&[A1]);
    sim.add(&[B1]);
    let known = KnownKey {
        pinned: true,
        scope: vec![Prefix::new(addr("10.9.0.0"), 16).unwrap()],
        ..KnownKey::default()
    };
    sim.nodes[0].store.known.insert(own_key(7).public(), known);
    sim.rekey(0);
    sim.flow(0, A1, B1);
    sim.run(secs(30));
    // The server answers; but the administrator says that another one is there.
    assert!(sim.refused(0, "reserved-address") >= 3);
    let row = sim.nodes[0].kernel.rows.values().next().unwrap();
    assert_eq!(row.record.state, State::Classic);
}

#[test]
fn unsigned_peer_takes_part_only_where_it_may() {
    for policy in [Policy::FirstUse, Policy::Unsigned] {
        let mut sim = Sim::new(1, FAIR);
        sim.add_believing(&[A1], Limits::default(), Policy::Unsigned);
        sim.nodes[0].store.own.clear();
        sim.rekey(0);
        sim.add_believing(&[B1], Limits::default(), policy);
        sim.flow(0, A1, B1);
        sim.run(secs(30));
        if policy == Policy::FirstUse {
            assert!(sim.nodes[1].kernel.rows.is_empty());
            assert_eq!(sim.refused(1, "unsigned"), 3);
            continue;
        }
        sim.agree(0, 1);
        sim.hand_off(0, &[A1], &[A2]);
    }
}

#[test]
fn who_signed_once_does_not_fall_back() {
    let mut sim = Sim::new(1, FAIR);
    for local in [A1, B1] {
        sim.add_believing(&[local], Limits::default(), Policy::Unsigned);
    }
    sim.flow(0, A1, B1);
    sim.run(secs(1));
    sim.agree(0, 1);
    let before = tables(&sim);
    let seqno = sniffed(&sim, A1).wrapping_add(1);
    let mut buffer = [0; 512];
    for from in [E1, A1] {
        for (control, more) in moves(from) {
            let message = message(control, seqno, from, A1, &more);
            let bytes = message.emit(&mut buffer).unwrap();
            sim.inject(1, addr(from), addr(B1), bytes);
        }
    }
    // A greeting from an address that nobody has is one of another host.
    let rows = |sim: &Sim| sim.nodes[1].kernel.rows.len();
    assert_eq!(rows(&sim), 1);
    assert_eq!(tables(&sim), before);
    // After a restart as well.
    sim.restart(1);
    sim.run(secs(1));
    let message = message(Hello, 7, A1, A1, &[]);
    sim.inject(1, addr(A1), addr(B1), message.emit(&mut buffer).unwrap());
    assert_eq!(sim.refused(1, "unsigned"), 1);
}

#[test]
fn greeting_with_a_number_shortly_before_ours_is_followed_by_our_own() {
    for (before, greets) in [(3, true), (16, true), (17, false), (100, false)] {
        let mut sim = Sim::pair(&[A1], &[B1]);
        sim.hand_off(1, &[B1], &[B2]);
        sim.sent();
        // The agent of the first one was started anew, and began where the other's numbers are by chance.
        let seqno = sniffed(&sim, B2).wrapping_sub(before);
        let own = sim.nodes[0].store.own[0].clone();
        let bytes = own.seal(
            &message(Hello, seqno, A1, A1, &[A1]),
            addr(B2),
            u64::MAX / 2,
            0,
        );
        sim.inject(1, addr(A1), addr(B2), &bytes);
        sim.run(secs(1));
        assert_eq!(sim.sent().contains(&Hello), greets, "{before}");
    }
}

#[test]
fn new_key_that_the_old_one_named_is_believed() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    let old = sim.nodes[0].store.own[0].clone();
    let mut new = own_key(50);
    new.former = Some(old.endorse(&new.public()));
    sim.nodes[0].store.own = vec![new];
    sim.rekey(0);
    sim.run(secs(5));
    let to_new = |note: &Note| matches!(note, Note::Succeeded { .. });
    assert_eq!(sim.noted(1, to_new), 1);
    sim.agree(0, 1);
    sim.sent();
    for (at, lose, gain) in [(0, A1, A2), (1, B1, B2)] {
        sim.change(at, &[lose], &[gain]);
        sim.run(secs(1));
        assert_eq!(sim.sent(), [Handoff, Ack]);
        sim.agree(0, 1);
    }
    // The old key, which may have been stolen, speaks for nobody any more.
    let before = tables(&sim);
    let seqno = sniffed(&sim, A2).wrapping_add(1);
    let bytes = old.seal(
        &message(Handoff, seqno, E1, A2, &[E1, A2]),
        addr(B2),
        u64::MAX / 2,
        0,
    );
    sim.inject(1, addr(E1), addr(B2), &bytes);
    sim.run(secs(1));
    assert_eq!(tables(&sim), before);
    // And the succession survives a restart of the peer.
    sim.restart(1);
    sim.run(secs(5));
    sim.hand_off(0, &[A2], &[A1]);
}

#[test]
fn new_key_without_the_word_of_the_old_one_is_another_host() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    let mut forged = own_key(50);
    // The word of somebody else, in the name of the old key.
    forged.former = Some(own_key(51).endorse(&forged.public()));
    if let Some(former) = &mut forged.former {
        former.key = own_key(0).public();
    }
    let before = tables(&sim);
    let seqno = sniffed(&sim, A1).wrapping_add(1);
    let bytes = forged.seal(
        &message(Handoff, seqno, E1, A1, &[E1, A1]),
        addr(B1),
        u64::MAX / 2,
        0,
    );
    sim.inject(1, addr(E1), addr(B1), &bytes);
    sim.run(secs(1));
    assert_eq!(sim.refused(1, "bad-signature"), 1);
    assert_eq!(tables(&sim), before);
}

#[test]
fn address_of_a_host_that_left_goes_to_the_newcomer_and_its_flows_do_not() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    // The client vanishes without a word, another host gets its address and greets.
    sim.nodes[0].local.clear();
    sim.nodes[0].engine = None;
    let newcomer = sim.add(&[A1]);
    sim.flow(newcomer, A1, B1);
    sim.run(secs(5));
    sim.agree(newcomer, 1);
    let rows = &sim.nodes[1].kernel.rows;
    assert_eq!(rows.len(), 2);
    let old = rows
        .values()
        .find(|row| row.record.active.is_empty())
        .unwrap();
    assert_eq!(old.alias, [addr(A1)]);
    // The old one turns up elsewhere: its entry is still its own.
    sim.nodes[0].local = vec![addr(A2)];
    sim.restart(0);
    sim.run(secs(10));
    sim.agree(0, 1);
    assert_eq!(sim.nodes[1].kernel.rows.len(), 2);
    assert_eq!(sim.row(1, 0).alias, [addr(A1)]);
    sim.agree(newcomer, 1);
}

#[test]
fn mover_that_gets_an_address_of_a_host_that_left_is_believed() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    let other = sim.add(&[A2]);
    sim.flow(other, A2, B1);
    sim.run(secs(1));
    sim.agree(other, 1);
    // Node 2 leaves without a word, and node 0 gets its address.
    sim.nodes[other].local.clear();
    sim.nodes[other].engine = None;
    sim.change(0, &[A1], &[A2]);
    sim.run(secs(10));
    sim.agree(0, 1);
    assert_eq!(sim.row(1, 0).alias, [addr(A1)]);
    assert_eq!(sim.nodes[1].kernel.rows.len(), 2);
}

#[test]
fn forged_greeting_takes_no_address_away() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    let before = tables(&sim);
    for number in 0..100_u16 {
        let message = message(Hello, number, A1, E1, &[E1]);
        let bytes = own_key(66).seal(&message, addr(B1), u64::from(number) + 1, 0);
        sim.inject(1, addr(A1), addr(B1), &bytes);
        sim.run(ms(100));
    }
    assert_eq!(tables(&sim), before);
    sim.agree(0, 1);
}

#[test]
fn clock_that_jumps_back_is_still_believed() {
    for restarted in [false, true] {
        let mut sim = Sim::pair(&[A1], &[B1]);
        sim.nodes[0].wall -= 1_000_000_000_000_000;
        if restarted {
            sim.restart(0);
            sim.run(secs(5));
            sim.sent();
        }
        sim.change(0, &[A1], &[A2]);
        sim.run(secs(1));
        assert_eq!(sim.sent(), [Handoff, Ack], "restarted: {restarted}");
        sim.agree(0, 1);
    }
}

#[test]
fn deleted_key_is_learned_anew() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.nodes[1].store.known.clear();
    sim.rekey(1);
    assert_eq!(sim.nodes[1].engine.as_ref().unwrap().key_counts()[1], 0);
    sim.run(secs(5));
    assert_eq!(sim.nodes[1].engine.as_ref().unwrap().key_counts()[1], 1);
    sim.hand_off(0, &[A1], &[A2]);
}

#[test]
fn own_keys_by_address() {
    let mut sim = Sim::new(1, FAIR);
    sim.add(&[A1]);
    let server = sim.add(&[B1, B2]);
    let scope = vec![Prefix::new(addr(B2), 32).unwrap()];
    let mut seed = [9; 32];
    seed[0] = 1;
    let special = OwnKey::new(&seed, scope);
    let public = special.public();
    sim.nodes[server].store.own.push(special);
    sim.rekey(server);
    sim.flow(0, A1, B2);
    sim.run(secs(1));
    sim.agree(0, server);
    let bound = |note: &Note| matches!(note, Note::Bound { key, .. } if *key == public);
    assert_eq!(sim.noted(0, bound), 1);
    // It stays with it when the host goes to an address of the other key, and is restarted there.
    sim.sent();
    sim.change(server, &[B2], &[]);
    sim.run(secs(1));
    sim.agree(0, server);
    sim.restart(server);
    sim.run(secs(5));
    sim.sent();
    sim.change(server, &[B1], &[B2]);
    sim.run(secs(1));
    assert_eq!(sim.sent(), [Handoff, Ack]);
    sim.agree(0, server);
}

/// So many messages in the name of the client with signatures of nobody, from these addresses in turn, with numbers that
/// are not expected.
fn flood(sim: &mut Sim, count: u16, control: Control, from: &[&str], to: &str) {
    let start = sniffed(sim, A1).wrapping_add(1_000);
    for number in 0..count {
        let at = from[usize::from(number) % from.len()];
        let more: &[&str] = if control == Handoff { &[at, A1] } else { &[] };
        let message = message(control, start.wrapping_add(number), at, A1, more);
        let stamp = sim.nodes[0].wall + sim.now.as_nanos() + u64::from(number);
        let mut bytes = own_key(66).seal(&message, addr(to), stamp, 0);
        bytes[16..48].copy_from_slice(&own_key(0).public().0);
        sim.inject(1, addr(at), addr(to), &bytes);
    }
}

#[test]
fn forged_messages_of_one_sort_do_not_silence_another() {
    for (control, from) in [
        (PathProbe, vec![E1]),
        (PathProbe, vec![A1, E1]),
        (Handoff, vec![E1, A2]),
        (Handoff, vec![A1, E1, A2]),
    ] {
        let mut sim = Sim::pair(&[A1], &[B1]);
        flood(&mut sim, 1_000, control, &from, B1);
        assert!(sim.refused(1, "rate") > 100, "{control} {from:?}");
        // Whenever there is room for one more, a forged one takes it.
        let storm = |sim: &mut Sim, to| {
            for _ in 0..100 {
                flood(sim, 6, control, &from, to);
                sim.run(ms(1));
            }
        };
        storm(&mut sim, B1);
        sim.run(ms(5));
        // It moves as if nothing was, and its peer as well.
        sim.sent();
        sim.change(0, &[A1], &[A2]);
        storm(&mut sim, B1);
        assert_eq!(sim.sent(), [Handoff, Ack], "{control} {from:?}");
        sim.agree(0, 1);
        sim.change(1, &[B1], &[B2]);
        storm(&mut sim, B2);
        assert_eq!(sim.sent(), [Handoff, Ack], "{control} {from:?}");
        sim.agree(0, 1);
    }
}

#[test]
fn probe_is_heard_from_where_the_host_is_known_to_be() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.change(1, &[B1], &[B2]);
    sim.run(secs(1));
    sim.sent();
    // The client asks the server at its new address.
    let asked = |note: &Note| matches!(note, Note::Sent { control, .. } if *control == PathProbe);
    while sim.noted(0, asked) == 0 {
        sim.run(ms(1));
    }
    flood(&mut sim, 400, PathProbe, &[E1, A2], B2);
    for _ in 0..100 {
        flood(&mut sim, 6, PathProbe, &[E1, A2], B2);
        sim.run(ms(1));
    }
    assert!(sim.refused(1, "rate") > 100);
    assert_eq!(sim.sent(), [PathProbe, Ack]);
    sim.agree(0, 1);
}
