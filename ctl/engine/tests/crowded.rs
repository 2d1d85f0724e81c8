// SPDX-License-Identifier: GPL-2.0
//! Nobody fills the table, and nobody spends what others need to be heard.

use ihmp_sim as sim;

use ihmp_core::addr::Addr;
use ihmp_core::message::{Addresses, Control::*, Message, Options};
use ihmp_core::time::Duration;
use ihmp_engine::{Limits, Note, Rate, State, Traffic};
use sim::{addr, ms, own_key, secs, Sim, BUSY, FAIR};

const SERVER: &str = "198.51.100.1";
const SERVER6: &str = "2001:db8:b1::1";

/// A greeting by the key of this number, from there.
fn greeting(number: u64, from: Addr, to: Addr, stamp: u64) -> Vec<u8> {
    let hello = Message {
        control: Hello,
        options: Options::NONE,
        seqno: number as u16,
        signature: None,
        host: from,
        addresses: Addresses::of(&[from]).unwrap(),
    };
    own_key(number).seal(&hello, to, stamp, 0)
}

fn state(sim: &Sim, at: usize) -> Option<State> {
    let mut rows = sim.nodes[at].kernel.rows.values();
    rows.next().map(|row| row.record.state)
}

/// While somebody forges so many greetings a second in the name of the client's network, the client greets; whether it is
/// heard within the sends of a greeting.
fn heard(client: &str, server: &str, rate: u64, forge: impl Fn(u64) -> Vec<u8>) -> bool {
    let mut sim = Sim::new(1, FAIR);
    sim.add(&[server]);
    let at = sim.add(&[client]);
    // The budget is gone when it comes.
    for number in 0..rate * 12 {
        if number == rate * 5 {
            sim.flow(at, client, server);
        }
        let from = neighbour(client, number);
        sim.inject(0, from, addr(server), &forge(number));
        sim.run(Duration::from_nanos(1_000_000_000 / rate));
    }
    state(&sim, at) == Some(State::Up)
}

/// Another address of the network of this one.
fn neighbour(of: &str, number: u64) -> Addr {
    let mut octets = addr(of).octets();
    octets[15] = 100 + (number % 100) as u8;
    match addr(of).is_v4() {
        true => Addr::v4([octets[12], octets[13], octets[14], octets[15]]),
        false => Addr::v6(octets),
    }
}

#[test]
fn nobody_is_locked_out_by_greetings_in_the_name_of_his_network() {
    for (client, server) in [("192.0.2.1", SERVER), ("2001:db8:a1::1", SERVER6)] {
        let to = addr(server);
        let from = |number| neighbour(client, number);
        let stamp = |number: u64| 1_800_000_000_000_000_000 + number * 1_000_000;
        let unsigned = |number| {
            let mut bytes = greeting(number, from(number), to, stamp(number));
            bytes[1] = 0;
            bytes.drain(4..112);
            bytes
        };
        let forged = |number| {
            let mut bytes = greeting(number % 7 + 100, from(number), to, stamp(number));
            bytes[60] ^= 1;
            bytes
        };
        let signed = |number| greeting(number + 100, from(number), to, stamp(number));
        // Control: nobody forges anything.
        assert!(heard(client, server, 1, |_| vec![]));
        for rate in [40, 400] {
            assert!(heard(client, server, rate, unsigned), "unsigned {rate}");
            assert!(heard(client, server, rate, forged), "forged {rate}");
            assert!(heard(client, server, rate, signed), "signed {rate}");
        }
    }
}

#[test]
fn cookie_is_good_where_it_was_sent() {
    let rare = Rate {
        per_second: 1,
        burst: 1,
    };
    let mut limits = Limits::default();
    limits.signatures.strangers = rare;
    let mut sim = Sim::new(1, FAIR);
    sim.add_with(&[SERVER], limits);
    let others = [sim.add(&["192.0.2.1"]), sim.add(&["203.0.113.1"])];
    // The first one spends it.
    sim.inject(
        0,
        addr("192.0.2.9"),
        addr(SERVER),
        &greeting(9, addr("192.0.2.9"), addr(SERVER), 9),
    );
    sim.flow(others[0], "192.0.2.1", SERVER);
    sim.run(ms(500));
    assert_eq!(state(&sim, others[0]), Some(State::Up));
    let baked: Vec<_> = sim
        .wire
        .iter()
        .filter(|sent| sent.2[1] & 0x08 != 0)
        .cloned()
        .collect();
    // A cookie, and the greeting with it; no answer is longer than what it answers.
    assert_eq!(baked.len(), 2);
    assert!(baked[0].2.len() < 144 && baked[0].2[0] == Ack.number());
    // Somebody else has no use for it, wherever he says that he is.
    let cookie = baked[0].2[baked[0].2.len() - 16..].to_vec();
    for from in ["203.0.113.7", "192.0.2.1", "192.0.2.2"] {
        let from = addr(from);
        let mut addresses = Addresses::of(&[from]).unwrap();
        assert!(addresses.push(Addr::v6(cookie.clone().try_into().unwrap())));
        let hello = Message {
            control: Hello,
            options: Options::OLDADDR_UNREACHABLE,
            seqno: 3,
            signature: None,
            host: from,
            addresses,
        };
        let before = sim.refused(0, "challenged");
        for number in 20..22 {
            let bytes = own_key(number).seal(&hello, addr(SERVER), 7_000, 0);
            sim.inject(0, from, addr(SERVER), &bytes);
        }
        let good = u64::from(from == addr("192.0.2.1")) * 2;
        assert_eq!(sim.refused(0, "challenged") - before, good, "{from}");
    }
}

#[test]
fn forged_cookie_makes_nobody_talk() {
    let mut sim = Sim::new(1, FAIR);
    sim.add(&[SERVER]);
    let at = sim.add(&["192.0.2.1"]);
    sim.flow(at, "192.0.2.1", "203.0.113.5");
    sim.run(ms(100));
    let seqno = u16::from_be_bytes([sim.wire[0].2[2], sim.wire[0].2[3]]);
    let from = addr("203.0.113.5");
    let cookie = |seqno| {
        let mut buffer = [0; 512];
        let ack = Message {
            control: Ack,
            options: Options::OLDADDR_UNREACHABLE.with(Options::INCORRECT_SEQNO),
            seqno,
            signature: None,
            host: from,
            addresses: Addresses::of(&[from, from]).unwrap(),
        };
        ack.emit(&mut buffer).unwrap().to_vec()
    };
    for guess in 1..1_000 {
        sim.inject(
            at,
            from,
            addr("192.0.2.1"),
            &cookie(seqno.wrapping_add(guess)),
        );
    }
    assert_eq!(sim.wire.len(), 1);
    // Who sees the number has it sent three times more, to himself or to where it went before.
    for _ in 0..100 {
        sim.inject(at, from, addr("192.0.2.1"), &cookie(seqno));
    }
    assert_eq!(sim.wire.len(), 4);
}

/// A server with room for so many, and a client from each of these addresses that has greeted it.
fn crowd(most: usize, from: impl Iterator<Item = String>, traffic: Option<Traffic>) -> Sim {
    let mut limits = Limits::default();
    limits.hosts.most = most;
    let mut sim = Sim::new(1, FAIR);
    sim.add_with(&[SERVER], limits);
    for client in from {
        let at = sim.add(&[&client]);
        sim.flow(at, &client, SERVER);
        sim.run(secs(1));
        if let Some(traffic) = traffic {
            let ids: Vec<u32> = sim.nodes[0].kernel.rows.keys().copied().collect();
            for id in ids {
                sim.nodes[0].kernel.traffic.insert(id, traffic);
            }
        }
    }
    sim
}

fn crowded(sim: &Sim) -> usize {
    let crowded = |note: &Note| {
        matches!(
            note,
            Note::Gone {
                reason: "crowded",
                ..
            }
        )
    };
    sim.noted(0, crowded)
}

#[test]
fn hosts_without_connections_make_room() {
    let quiet = Traffic {
        flows: 0,
        sent: 0,
        received: 9,
        idle: secs(30),
        ..BUSY
    };
    // Each has said something, and holds its place by a datagram now and then.
    let many = (0..200).map(|number| format!("10.{}.{}.1", number / 100, number % 100));
    let mut sim = crowd(64, many, Some(quiet));
    assert!(sim.nodes[0].kernel.rows.len() <= 64 && crowded(&sim) > 100);
    let at = sim.add(&["192.0.2.1"]);
    sim.flow(at, "192.0.2.1", SERVER);
    sim.run(secs(1));
    assert_eq!(state(&sim, at), Some(State::Up));
    assert_eq!(sim.refused(0, "host-limit"), 0);
}

#[test]
fn largest_network_makes_room_and_no_other() {
    let one = || (1..=40).map(|number| format!("10.0.0.{number}"));
    let others = || (0..24).map(|number| format!("192.168.{number}.1"));
    // All have connections: what is taken is of the largest network.
    let mut sim = crowd(64, others().chain(one()), None);
    assert_eq!(crowded(&sim), 0);
    let at = sim.add(&["192.0.2.1"]);
    sim.flow(at, "192.0.2.1", SERVER);
    sim.run(secs(1));
    assert_eq!(state(&sim, at), Some(State::Up));
    assert_eq!(crowded(&sim), 1);
    let rows = sim.nodes[0].kernel.rows.values();
    let active: Vec<Addr> = rows.flat_map(|row| row.record.active.clone()).collect();
    assert!(others().all(|text| active.contains(&addr(&text))));
    // The largest one itself gets no more.
    let at = sim.add(&["10.0.0.77"]);
    sim.flow(at, "10.0.0.77", SERVER);
    sim.run(secs(1));
    assert_eq!(sim.refused(0, "host-limit"), 1);
    // Whom we call has room.
    sim.add(&["203.0.113.9"]);
    sim.flow(0, SERVER, "203.0.113.9");
    sim.run(secs(1));
    assert_eq!(crowded(&sim), 2);
}

#[test]
fn limits_are_shown() {
    let sim = crowd(64, (1..=5).map(|number| format!("10.0.0.{number}")), None);
    let of = |name| sim.limit(0, name);
    assert_eq!(
        (of("hosts-most"), of("networks"), of("network-largest")),
        (64, 1, 5)
    );
    assert_eq!((of("evicted"), of("cookies-sent")), (0, 0));
    // The last one has just come.
    let burst = u64::from(Limits::default().greetings.taken.burst);
    assert_eq!(of("left-newcomers"), burst - 1);
}

#[test]
fn removed_hosts_are_not_counted() {
    let mut sim = crowd(64, (1..=5).map(|number| format!("10.0.0.{number}")), None);
    sim.remove_hosts(0);
    assert_eq!(sim.limit(0, "networks"), 0);
}
