// SPDX-License-Identifier: GPL-2.0
//! Where peers say they are, and where they are: liars with keys, proofs that are lost, networks that two hosts share.

use ihmp_sim as sim;

use ihmp_core::addr::Addr;
use ihmp_core::message::Control::{self, *};
use ihmp_core::message::{Addresses, Message, Options};
use ihmp_engine::{Discretion, Input, Limits, Note, Policy, State, Traffic};
use sim::{addr, ms, own_key, secs, Sim, Weather, BUSY, FAIR};

const A1: &str = "192.0.2.1";
const A2: &str = "198.51.100.2";
const A3: &str = "203.0.113.3";
const B1: &str = "10.9.0.1";
const B2: &str = "10.8.0.2";
/// The victim.
const V1: &str = "203.0.113.99";

fn unvalidated(sim: &Sim, at: usize) -> usize {
    sim.noted(at, |note| matches!(note, Note::Unvalidated { .. }))
}

/// What passes between node `at` and its only host.
fn traffic(sim: &mut Sim, at: usize, sent: u64, received: u64) {
    let id = *sim.nodes[at].kernel.rows.keys().next().unwrap();
    let traffic = Traffic {
        flows: 1,
        sent,
        received,
        ..BUSY
    };
    sim.nodes[at].kernel.traffic.insert(id, traffic);
}

fn active(sim: &Sim, at: usize) -> Vec<Addr> {
    let mut rows = sim.nodes[at].kernel.rows.values();
    let row = rows.find(|row| row.record.state == State::Up);
    row.unwrap().record.active.clone()
}

/// A hand-off of node 0 to `from`, signed by its own key, as it would be next.
fn announcement(sim: &Sim, control: Control, from: &str, more: &[&str], ahead: u16) -> Vec<u8> {
    let requests = sim.wire.iter().rev();
    let mut requests = requests.filter(|sent| sent.0 == addr(A1) && sent.2[0] != Ack.number());
    let last = &requests.next().unwrap().2;
    let mut addresses = Addresses::of(&[addr(from)]).unwrap();
    for more in more {
        assert!(addresses.push(addr(more)));
    }
    let message = Message {
        control,
        options: Options::NONE,
        seqno: u16::from_be_bytes([last[2], last[3]]).wrapping_add(ahead),
        signature: None,
        host: addr(A1),
        addresses,
    };
    let stamp = sim.nodes[0].wall + sim.now.as_nanos() + 1;
    own_key(0).seal(&message, addr(B1), stamp, 0)
}

/// The client is where it says in the name of a victim.
fn lie(sim: &mut Sim, from: &str, ahead: u16) {
    // No two messages have the same timestamp.
    sim.run(ms(1));
    let bytes = announcement(sim, Handoff, from, &[from, A1], ahead);
    sim.inject(1, addr(from), addr(B1), &bytes);
}

#[test]
fn move_takes_two_messages_and_the_proof_comes_later() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.change(0, &[A1], &[A2]);
    assert_eq!(sim.sent(), [Handoff]);
    sim.run(ms(30));
    // It is used at once.
    assert_eq!(active(&sim, 1), [addr(A2)]);
    sim.run(secs(19));
    assert_eq!(sim.sent(), [Ack]);
    sim.run(secs(10));
    assert_eq!(sim.sent(), [PathProbe, Ack]);
    sim.agree(0, 1);
    // Back to where it was proven before, and there again: nothing to ask.
    for (old, new) in [(A2, A1), (A1, A2)] {
        sim.change(0, &[old], &[new]);
        sim.run(secs(60));
        assert_eq!(sim.sent(), [Handoff, Ack]);
        sim.agree(0, 1);
    }
}

#[test]
fn answer_to_our_own_announcement_is_a_proof() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.change(0, &[A1], &[A2]);
    sim.run(secs(1));
    sim.change(1, &[B1], &[B2]);
    sim.run(secs(1));
    assert_eq!(sim.sent(), [Handoff, Ack, Handoff, Ack]);
    sim.run(secs(60));
    // The client answered the server at its new address; the server has yet to show that it hears the client.
    assert_eq!(sim.sent(), [PathProbe, Ack]);
    assert!(sim.wire.iter().rev().take(2).any(|sent| sent.1 == addr(B2)));
    sim.agree(0, 1);
}

#[test]
fn traffic_that_nobody_answers_asks_at_once() {
    for (received, expected) in [(100, vec![]), (99, vec![PathProbe, Ack])] {
        let mut sim = Sim::pair(&[A1], &[B1]);
        traffic(&mut sim, 1, 50, 99);
        sim.change(0, &[A1], &[A2]);
        sim.run(secs(1));
        assert_eq!(sim.sent(), [Handoff, Ack]);
        traffic(&mut sim, 1, 2_050, received);
        sim.run(secs(5));
        assert_eq!(sim.sent(), expected, "{received}");
        sim.agree(0, 1);
    }
}

#[test]
fn silent_victim_is_left_alone_soon() {
    // Whether or not the liar forges data from there as well.
    for (received, within) in [(99, 12), (150, 34)] {
        let mut sim = Sim::pair(&[A1], &[B1]);
        traffic(&mut sim, 1, 50, 99);
        lie(&mut sim, V1, 1);
        assert_eq!(active(&sim, 1), [addr(V1)]);
        sim.run(ms(1));
        traffic(&mut sim, 1, 2_050, received);
        sim.sent();
        sim.run(secs(within));
        assert_eq!(active(&sim, 1), [], "{received}");
        assert_eq!(unvalidated(&sim, 1), 1);
        assert!(sim.sent().len() <= 8);
        // It is not believed a second time, here or elsewhere, and nobody else is.
        for (ahead, from) in [(2, V1), (2, "203.0.113.98"), (2, A3)] {
            lie(&mut sim, from, ahead);
            assert_eq!(active(&sim, 1), [], "{from}");
        }
        assert_eq!(sim.refused(1, "unvalidated"), 3);
        sim.run(ms(1));
        let bytes = announcement(&sim, PathProbe, V1, &[], 9);
        sim.inject(1, addr(V1), addr(B1), &bytes);
        assert_eq!(active(&sim, 1), []);
        sim.run(ms(1));
        let bytes = announcement(&sim, Hello, V1, &[], 10);
        sim.inject(1, addr(V1), addr(B1), &bytes);
        assert_eq!(active(&sim, 1), []);
        // What is sent to the victim stays little: a try a minute.
        sim.wire.clear();
        sim.run(secs(600));
        let sent = sim.wire.iter().filter(|sent| sent.1 == addr(V1)).count();
        assert!(sent <= 4 * 16, "{sent}");
        // Who hears us is believed.
        sim.sent();
        sim.change(0, &[A1], &[A2]);
        sim.run(secs(20));
        sim.agree(0, 1);
        assert_eq!(active(&sim, 1), [addr(A2)]);
        // For a while it takes it longer to move.
        sim.sent();
        sim.change(0, &[A2], &[A3]);
        sim.run(secs(1));
        assert_eq!(sim.sent(), [Handoff, Ack, Hello, Ack]);
        sim.agree(0, 1);
        sim.run(secs(600));
        sim.hand_off(0, &[A3], &["203.0.113.4"]);
    }
}

#[test]
fn victim_that_speaks_says_so() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.add(&[V1]);
    lie(&mut sim, V1, 1);
    assert_eq!(active(&sim, 1), [addr(V1)]);
    sim.run(secs(26));
    assert_eq!(active(&sim, 1), []);
    assert_eq!(sim.refused(1, "wrong-key"), 1);
    // The victim is a host of its own as soon as it has something to say.
    sim.flow(2, V1, B1);
    sim.run(secs(2));
    sim.agree(2, 1);
    assert_eq!(sim.nodes[1].kernel.rows.len(), 2);
    // And the liar is not believed at its address, nor anywhere without a proof.
    lie(&mut sim, V1, 2);
    lie(&mut sim, A3, 2);
    sim.agree(2, 1);
    assert_eq!(sim.refused(1, "other-host"), 1);
    assert_eq!(sim.refused(1, "unvalidated"), 1);
}

#[test]
fn host_whose_answers_were_lost_is_found_again() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.change(0, &[A1], &[A2]);
    sim.run(secs(2));
    sim.agree(0, 1);
    sim.blocked.insert((addr(B1), addr(A2)));
    sim.run(secs(40));
    assert_eq!(active(&sim, 1), []);
    assert_eq!(unvalidated(&sim, 1), 1);
    sim.blocked.clear();
    // It does not know that anything was wrong; the next probe finds it.
    sim.run(secs(60));
    sim.agree(0, 1);
    assert_eq!(active(&sim, 1), [addr(A2)]);
    sim.hand_off(0, &[A2], &[A3]);
}

#[test]
fn host_whose_answer_came_after_we_left_is_asked_from_where_we_are() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.change(0, &[A1], &[A2]);
    sim.run(secs(2));
    // Its answers are lost for a while, and then we are where they do not go.
    sim.blocked.insert((addr(A2), addr(B1)));
    sim.run(secs(30));
    assert_eq!(unvalidated(&sim, 1), 1);
    sim.blocked.clear();
    sim.change(0, &[], &[A3]);
    sim.run(secs(1));
    assert_eq!(active(&sim, 1), [addr(A3)]);
    sim.sent();
    while !sim.sent().contains(&PathProbe) {
        sim.run(ms(1));
    }
    sim.change(1, &[B1], &[B2]);
    sim.run(secs(20));
    assert_eq!(active(&sim, 1), [addr(A3), addr(A2)]);
    sim.agree(0, 1);
}

/// The agent of the mover ends so long after a move. Its connections go on: so many packets come from it in a second, and
/// three times as many go to it.
fn bereaved(after: u64, packets: u64, seconds: u64) -> Sim {
    let mut sim = Sim::pair(&[A1], &[B1]);
    traffic(&mut sim, 1, 50, 99);
    sim.hand_off(0, &[A1], &[A2]);
    sim.run(ms(after));
    sim.nodes[0].engine = None;
    for second in 0..seconds {
        traffic(
            &mut sim,
            1,
            50 + second * packets * 3,
            99 + second * packets,
        );
        sim.run(secs(1));
    }
    sim
}

#[test]
fn agent_that_ends_after_a_move_takes_no_address_away() {
    for after in [0, 2_000, 4_900] {
        let mut sim = bereaved(after, 700, 300);
        assert_eq!(active(&sim, 1), [addr(A2)], "{after}");
        assert_eq!(unvalidated(&sim, 1), 0);
        // The next one finds all as it was.
        sim.sent();
        sim.restart(0);
        sim.run(secs(90));
        sim.agree(0, 1);
        sim.run(secs(90));
        sim.hand_off(0, &[A2], &[A3]);
    }
}

#[test]
fn silence_after_a_move_is_not_believed_for_long() {
    // Nothing comes, or it does for ten minutes without a word of the agent.
    assert_eq!(active(&bereaved(2_000, 0, 40), 1), []);
    assert_eq!(active(&bereaved(2_000, 700, 560), 1), [addr(A2)]);
    assert_eq!(active(&bereaved(2_000, 700, 700), 1), []);
    // It came for a while.
    let mut sim = bereaved(2_000, 700, 40);
    assert_eq!(active(&sim, 1), [addr(A2)]);
    sim.run(secs(60));
    assert_eq!(active(&sim, 1), []);
}

/// The client did not answer at its only address, and the agent of the server is started again.
fn restarted() -> Sim {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.change(0, &[A1], &[A2]);
    sim.run(secs(2));
    sim.blocked.insert((addr(B1), addr(A2)));
    sim.run(secs(40));
    assert_eq!(active(&sim, 1), []);
    sim.restart(1);
    sim
}

#[test]
fn restarted_agent_finds_a_host_that_was_nowhere() {
    let mut sim = restarted();
    sim.run(secs(10));
    assert_eq!(active(&sim, 1), []);
    sim.blocked.clear();
    sim.run(secs(60));
    sim.agree(0, 1);
    sim.hand_off(0, &[A2], &[A3]);
}

#[test]
fn restarted_agent_knows_a_host_that_was_nowhere_and_comes_elsewhere() {
    let mut sim = restarted();
    sim.change(0, &[A2], &[A3]);
    sim.run(secs(10));
    // Its flows are those of the same entry.
    assert_eq!(sim.nodes[1].kernel.rows.len(), 1);
    assert_eq!(active(&sim, 1), [addr(A3)]);
    sim.agree(0, 1);
}

#[test]
fn restarted_agent_asks_where_one_address_of_several_did_not_answer() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.change(0, &[], &[A2]);
    sim.run(secs(2));
    assert_eq!(active(&sim, 1), [addr(A1), addr(A2)]);
    sim.blocked.insert((addr(B1), addr(A2)));
    sim.run(secs(40));
    assert_eq!(active(&sim, 1), [addr(A1)]);
    sim.restart(1);
    sim.blocked.clear();
    sim.run(secs(60));
    assert_eq!(active(&sim, 1), [addr(A1), addr(A2)]);
    sim.agree(0, 1);
}

#[test]
fn host_that_comes_back_while_it_is_asked_is_asked_again() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.change(0, &[A1], &[A2]);
    sim.run(secs(2));
    sim.change(0, &[A2], &[]);
    let third = |note: &Note| {
        matches!(
            note,
            Note::Sent {
                control: PathProbe,
                attempt: 3,
                ..
            }
        )
    };
    sim.run_until_noted(1, third);
    // It hears none of them. This is not its only address, of which the kernel would be asked first.
    sim.run(ms(200));
    for new in [A2, A3] {
        sim.change(0, &[], &[new]);
        sim.run(ms(300));
    }
    sim.run(secs(10));
    assert_eq!(unvalidated(&sim, 1), 0);
    assert_eq!(active(&sim, 1), [addr(A2), addr(A3)]);
    sim.agree(0, 1);
}

/// Who says again and again that he is where he is not is asked as soon as who says so once, and the question does not begin again
/// for ever.
#[test]
fn repeated_lie_puts_nothing_off() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    for ahead in 1..=60 {
        lie(&mut sim, V1, ahead);
        sim.run(secs(1));
        if unvalidated(&sim, 1) > 0 {
            break;
        }
    }
    let took = sim.now.as_nanos() / 1_000_000_000;
    assert!(unvalidated(&sim, 1) == 1 && took <= 45, "{took}");
}

#[test]
fn lost_doubled_and_overtaken_probes() {
    for seed in 0..60 {
        let weather = Weather {
            spread: ms(100),
            loss: seed % 25,
            duplication: 20,
            ..FAIR
        };
        let mut sim = Sim::new(seed, weather);
        sim.add(&[A1]);
        sim.add(&[B1]);
        sim.flow(0, A1, B1);
        sim.run(secs(10));
        if !sim.all_up() {
            continue;
        }
        let mut old = A1.to_string();
        for number in 0..5 {
            let new = format!("203.0.113.{}", 10 + number);
            sim.change(0, &[&old], &[&new]);
            let pause = sim.random.below(40_000);
            sim.run(ms(pause));
            old = new;
        }
        sim.weather = FAIR;
        sim.run(secs(200));
        sim.agree(0, 1);
        sim.sent();
        sim.run(secs(600));
        assert_eq!(sim.sent(), [], "seed {seed}");
    }
}

#[test]
fn probe_from_before_a_move_brings_nothing_back() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    // The server's probe of the client waits on the way.
    sim.change(1, &[B1], &[B2]);
    sim.run(secs(1));
    let stamp = sim.nodes[1].wall + sim.now.as_nanos();
    let message = Message {
        control: PathProbe,
        options: Options::NONE,
        seqno: 7,
        signature: None,
        host: addr(B1),
        addresses: Addresses::of(&[addr(B1)]).unwrap(),
    };
    let bytes = own_key(1).seal(&message, addr(A1), stamp, 0);
    sim.sent();
    sim.inject(0, addr(B1), addr(A1), &bytes);
    assert_eq!(sim.refused(0, "stale"), 1);
    assert_eq!(sim.sent(), []);
    sim.agree(0, 1);
}

#[test]
fn overtaken_greeting_brings_nothing_back() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    let old = announcement(&sim, Hello, A2, &[A2, A3], 1);
    sim.run(ms(2));
    let new = announcement(&sim, Hello, A3, &[A3], 2);
    sim.inject(1, addr(A3), addr(B1), &new);
    assert_eq!(active(&sim, 1), [addr(A3)]);
    sim.inject(1, addr(A2), addr(B1), &old);
    assert_eq!(active(&sim, 1), [addr(A3)]);
    assert_eq!(sim.refused(1, "stale"), 1);
}

#[test]
fn probe_from_nobody_is_refused() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    let rows = format!("{:?}", sim.nodes[1].kernel.rows);
    let message = Message {
        control: PathProbe,
        options: Options::NONE,
        seqno: 7,
        signature: None,
        host: addr(A1),
        addresses: Addresses::of(&[addr(V1)]).unwrap(),
    };
    let stamp = 1_800_000_000_000_000_000;
    let mut buffer = [0; 512];
    let unsigned = message.emit(&mut buffer).unwrap().to_vec();
    let mut named = own_key(66).seal(&message, addr(B1), stamp, 0);
    named[16..48].copy_from_slice(&own_key(0).public().0);
    let stranger = own_key(66).seal(&message, addr(B1), stamp, 0);
    for bytes in [unsigned, named, stranger] {
        sim.inject(1, addr(V1), addr(B1), &bytes);
    }
    assert_eq!(format!("{:?}", sim.nodes[1].kernel.rows), rows);
    for reason in ["unsigned", "bad-signature", "unknown-host"] {
        assert_eq!(sim.refused(1, reason), 1, "{reason}");
    }
}

#[test]
fn unsigned_host_is_asked_as_well() {
    let mut sim = Sim::new(1, FAIR);
    for local in [A1, B1] {
        let at = sim.add_believing(&[local], Limits::default(), Policy::Unsigned);
        sim.nodes[at].store.own.clear();
        sim.rekey(at);
    }
    sim.flow(0, A1, B1);
    sim.run(secs(1));
    sim.change(0, &[A1], &[A2]);
    sim.run(secs(1));
    assert_eq!(sim.sent(), [Hello, Ack, Handoff, Ack]);
    sim.run(secs(30));
    assert_eq!(sim.sent(), [PathProbe, Ack]);
    sim.agree(0, 1);
    // Somebody who saw the number moves it to a victim, for a while.
    let number = sim.wire.iter().rfind(|sent| sent.2[0] == Handoff.number());
    let last = &number.unwrap().2;
    let message = Message {
        control: Handoff,
        options: Options::NONE,
        seqno: u16::from_be_bytes([last[2], last[3]]).wrapping_add(1),
        signature: None,
        host: addr(A2),
        addresses: Addresses::of(&[addr(V1), addr(V1), addr(A2)]).unwrap(),
    };
    let mut buffer = [0; 512];
    let bytes = message.emit(&mut buffer).unwrap().to_vec();
    sim.inject(1, addr(V1), addr(B1), &bytes);
    assert_eq!(active(&sim, 1), [addr(V1)]);
    sim.run(secs(40));
    assert_eq!(active(&sim, 1), []);
    // Only that address is out of the question.
    sim.change(0, &[A2], &[A3]);
    sim.run(secs(60));
    sim.agree(0, 1);
}

/// Two hosts with a public address each, and a network between them from which nothing else is reached.
///
/// With `routes`, the machines think that they can reach all from everywhere.
fn neighbours(seed: u64, weather: Weather, routes: bool) -> Sim {
    let mut sim = Sim::new(seed, weather);
    if !routes {
        for (local, peer) in [(A1, SHARED_B), (V1, SHARED_A)] {
            sim.unrouted.insert((addr(local), addr(peer)));
        }
    }
    sim.add(&[A1, SHARED_A]);
    sim.add(&[V1, SHARED_B]);
    for (one, other) in [(A1, SHARED_B), (SHARED_A, V1)] {
        for pair in [(addr(one), addr(other)), (addr(other), addr(one))] {
            sim.blocked.insert(pair);
        }
    }
    for (at, local) in [(0, SHARED_A), (1, SHARED_B)] {
        let connected = vec![(addr(local), 24)];
        sim.give(at, Input::Connected(connected));
        // A private address is told to a peer outside because the administrator named it.
        let open = vec![addr(local)];
        let discretion = Discretion {
            open,
            ..Discretion::default()
        };
        sim.give(at, Input::Discretion(discretion));
    }
    sim
}

const SHARED_A: &str = "192.168.7.1";
const SHARED_B: &str = "192.168.7.2";

fn both(sim: &Sim, at: usize) -> bool {
    let row = sim.nodes[at].kernel.rows.values().next().unwrap();
    row.record.active.len() == 2 && row.record.local.len() == 2
}

#[test]
fn shared_network_is_found() {
    for routes in [false, true] {
        shared(neighbours(1, FAIR, routes));
    }
}

fn shared(mut sim: Sim) {
    sim.flow(0, A1, V1);
    sim.run(secs(5));
    assert!(both(&sim, 0) && both(&sim, 1));
    sim.agree(0, 1);
    let probes = sim
        .wire
        .iter()
        .filter(|sent| sent.2[0] == PathProbe.number());
    let probes: Vec<_> = probes.map(|sent| (sent.0, sent.1)).collect();
    assert!(probes.len() <= 2, "{probes:?}");
    // The answer leaves from the probed address.
    for (from, to) in probes {
        let acks = |sent: &&(Addr, Addr, Vec<u8>)| (sent.0, sent.1) == (to, from);
        assert!(sim
            .wire
            .iter()
            .filter(acks)
            .any(|sent| sent.2[0] == Ack.number()));
    }
    sim.run(secs(60));
    sim.sent();
    // It carries the connections when both have nothing else.
    for (at, lost) in [(0, A1), (1, V1)] {
        sim.change(at, &[lost], &[]);
        sim.run(secs(20));
        sim.agree(0, 1);
    }
    assert_eq!(active(&sim, 0), [addr(SHARED_B)]);
    assert_eq!(active(&sim, 1), [addr(SHARED_A)]);
}

#[test]
fn shared_network_in_bad_weather_leaves_both_with_the_same() {
    let mut found = 0;
    for seed in 0..60 {
        let weather = Weather {
            spread: ms(60),
            loss: seed % 20,
            duplication: 20,
            ..FAIR
        };
        let mut sim = neighbours(seed, weather, seed % 2 == 0);
        sim.flow(0, A1, V1);
        sim.run(secs(20));
        if !sim.all_up() {
            continue;
        }
        sim.weather = FAIR;
        sim.run(secs(120));
        sim.agree(0, 1);
        found += u32::from(both(&sim, 0));
        assert_eq!(both(&sim, 0), both(&sim, 1), "seed {seed}");
    }
    assert!(found > 50, "{found}");
}

#[test]
fn address_of_another_network_with_the_same_numbers_is_not_used() {
    let mut sim = neighbours(1, FAIR, true);
    // Each has its own 192.168.7.0/24; at the server's there is another host with the client's number.
    sim.blocked.insert((addr(SHARED_A), addr(SHARED_B)));
    sim.blocked.insert((addr(SHARED_B), addr(SHARED_A)));
    sim.flow(0, A1, V1);
    sim.run(secs(60));
    sim.agree(0, 1);
    assert_eq!(active(&sim, 1), [addr(A1)]);
    let probes = sim
        .wire
        .iter()
        .filter(|sent| sent.2[0] == PathProbe.number());
    assert!(probes.clone().count() <= 8);
    let before = probes.count();
    sim.run(secs(3_000));
    let probes = sim
        .wire
        .iter()
        .filter(|sent| sent.2[0] == PathProbe.number());
    assert_eq!(probes.count(), before);
}

#[test]
fn nobody_is_made_to_scan() {
    let mut sim = Sim::pair(&[A1], &[B1]);
    sim.give(1, Input::Connected(vec![(addr(B1), 16)]));
    // A peer says that it has many addresses in our network, and elsewhere.
    let inside: Vec<String> = (1..9).map(|number| format!("10.9.1.{number}")).collect();
    let outside = [
        "10.9.255.255",
        "10.9.0.0",
        "10.77.0.1",
        "192.168.0.1",
        "169.254.0.9",
    ];
    let mut more = vec![A1];
    more.extend(inside.iter().map(String::as_str));
    more.extend(&outside[..4]);
    let bytes = announcement(&sim, AddrUp, A1, &more, 1);
    sim.inject(1, addr(A1), addr(B1), &bytes);
    sim.wire.clear();
    let mut firsts = vec![];
    for _ in 0..600 {
        sim.run(ms(100));
        let probes = sim
            .wire
            .drain(..)
            .filter(|sent| sent.2[0] == PathProbe.number());
        for (_, to, _) in probes {
            assert!(inside.iter().any(|own| addr(own) == to), "{to}");
            if !firsts.iter().any(|(_, first)| *first == to) {
                firsts.push((sim.now, to));
            }
        }
    }
    assert_eq!(firsts.len(), inside.len());
    // One a second; two may begin at once, for there are two families.
    for three in firsts.windows(3) {
        assert!(three[2].0.since(three[0].0) >= ms(900), "{firsts:?}");
    }
}

#[test]
fn host_whose_numbers_somebody_used_up_is_heard_at_once() {
    // What it has then and what it has next, while it believes that what it says is new and that it is known.
    let cases: [(&[&str], &[&str]); 4] =
        [(&[], &[A2]), (&[A1], &[A2]), (&[A1], &[A3]), (&[A3], &[])];
    for (number, (lose, gain)) in cases.into_iter().enumerate() {
        for ahead in 1..4 {
            let mut sim = Sim::pair(&[A1], &[B1]);
            let other = lose.contains(&A3);
            if other {
                sim.change(0, &[], &[A3]);
                sim.run(secs(1));
            }
            lie(&mut sim, V1, ahead + u16::from(other));
            sim.run(secs(40));
            assert_eq!(active(&sim, 1), []);
            sim.sent();
            sim.change(0, lose, gain);
            sim.run(secs(1));
            let sent = sim.sent();
            assert!(sent.len() <= 6, "{number} {ahead}: {sent:?}");
            let at = gain.first().copied().unwrap_or(A1);
            assert!(
                active(&sim, 1).contains(&addr(at)),
                "{number} {ahead}: {sent:?}"
            );
            assert!(!active(&sim, 1).contains(&addr(V1)));
            // When it moves on, both hold the same.
            sim.change(0, &[at], &["203.0.113.4"]);
            sim.run(secs(1));
            sim.change(0, &[A1, A3], &[]);
            sim.run(secs(1));
            sim.agree(0, 1);
        }
    }
}
