// SPDX-License-Identifier: GPL-2.0
//! Many machines: message counts, bounds, floods.

use ihmp_sim as sim;

use ihmp_core::addr::Addr;
use ihmp_core::message::Control::{self, *};
use ihmp_core::message::{Addresses, Message, Options, MAX_LEN};
use ihmp_engine::{Input, Limits, Note, OwnKey, Policy, State};
use sim::{addr, ms, own_key, secs, Sim, Weather, FAIR};

fn client(number: usize) -> String {
    format!("10.{}.{}.1", number / 250, number % 250)
}

/// A server with so many clients.
fn crowd(clients: usize, weather: Weather) -> Sim {
    let mut sim = Sim::new(7, weather);
    sim.add(&["192.0.2.1"]);
    for number in 0..clients {
        let own = client(number);
        let at = sim.add(&[&own]);
        sim.flow(at, &own, "192.0.2.1");
        sim.run(ms(10));
    }
    sim.run(secs(10));
    sim
}

#[test]
fn server_of_a_thousand_moves() {
    let clients = 1_000;
    let mut sim = crowd(clients, FAIR);
    assert_eq!(sim.sent().len(), 4 * clients);
    sim.change(0, &["192.0.2.1"], &["198.51.100.1"]);
    sim.run(secs(10));
    assert_eq!(sim.sent().len(), 2 * clients);
    for at in 1..=clients {
        sim.agree(0, at);
    }
}

#[test]
fn thousand_clients_move_at_once() {
    let clients = 1_000;
    let mut sim = crowd(clients, FAIR);
    sim.sent();
    for number in 0..clients {
        let (old, new) = (client(number), client(number + clients));
        sim.change(number + 1, &[&old], &[&new]);
    }
    sim.run(secs(10));
    assert_eq!(sim.sent().len(), 2 * clients);
    for at in 1..=clients {
        sim.agree(0, at);
    }
}

#[test]
fn crowd_in_bad_weather_converges() {
    let clients = 100;
    let weather = Weather {
        spread: ms(50),
        loss: 10,
        duplication: 5,
        ..FAIR
    };
    let mut sim = crowd(clients, weather);
    for round in 0..5 {
        for number in 0..clients {
            let have = sim.nodes[number + 1].local[0].to_string();
            let new = client(number + (round + 1) * 250);
            sim.change(number + 1, &[&have], &[&new]);
        }
        let pause = ms(sim.random.below(500));
        sim.run(pause);
    }
    sim.change(0, &[], &["198.51.100.1"]);
    sim.run(secs(100));
    sim.change(0, &["192.0.2.1"], &[]);
    sim.run(secs(200));
    for at in 1..=clients {
        // One in a thousand is not heard three times and stays classic.
        let row = sim.nodes[at].kernel.rows.values().next().unwrap();
        if row.record.state == State::Up {
            sim.agree(0, at);
        }
    }
}

#[test]
fn busy_client_does_not_spray() {
    let mut sim = Sim::new(1, FAIR);
    sim.add(&["192.0.2.1"]);
    for number in 0..5_000 {
        sim.flow(0, "192.0.2.1", &client(number));
    }
    let Limits { greetings, .. } = Limits::default();
    assert_eq!(sim.sent().len(), greetings.sent.burst as usize);
    sim.run(secs(1));
    // The first ones are asked again after a second and more.
    let sends = sim.sent().len();
    assert!(sends <= 101, "{sends}");
    sim.run(secs(200));
    assert_eq!(
        sim.nodes[0].engine.as_ref().unwrap().counts(),
        [0, 0, 5_000]
    );
    assert!(sim.sent().iter().all(|control| *control == Hello));
}

#[test]
fn few_are_asked_at_a_time() {
    let mut limits = Limits::default();
    limits.hosts.pending = 10;
    let mut sim = Sim::new(1, FAIR);
    sim.add_with(&["192.0.2.1"], limits);
    for number in 0..50 {
        sim.flow(0, "192.0.2.1", &client(number));
    }
    assert_eq!(sim.sent().len(), 10);
    sim.run(secs(60));
    assert_eq!(sim.sent().len(), 140);
    let classic = |note: &Note| matches!(note, Note::Classic { .. });
    assert_eq!(sim.noted(0, classic), 50);
}

fn hello(buffer: &mut [u8; MAX_LEN], seqno: u16, from: Addr) -> Vec<u8> {
    let message = Message {
        control: Control::Hello,
        options: Options::NONE,
        seqno,
        signature: None,
        host: from,
        addresses: Addresses::of(&[from]).unwrap(),
    };
    message.emit(buffer).unwrap().to_vec()
}

#[test]
fn million_forged_messages_in_the_name_of_a_known_host() {
    let mut sim = Sim::new(1, FAIR);
    let (here, peer) = ("192.0.2.1", addr("198.51.100.1"));
    sim.add(&[here]);
    sim.add(&["198.51.100.1"]);
    sim.flow(1, "198.51.100.1", here);
    sim.run(secs(1));
    let rows = format!("{:?}", sim.nodes[0].kernel.rows);
    let seqno = {
        let (.., bytes) = sim.wire.iter().rfind(|sent| sent.0 == peer).unwrap();
        u16::from_be_bytes([bytes[2], bytes[3]])
    };
    sim.sent();
    // What the attacker saw, with the next numbers, later timestamps and signatures of his own making.
    let kinds = [Hello, AddrUp, Handoff, AddrDown, Ack];
    let attacker = own_key(66);
    let mut forged: Vec<(Addr, Vec<u8>)> = Vec::new();
    for control in kinds {
        for from in [peer, addr("203.0.113.66")] {
            let list = match control {
                Hello | Ack => vec![from],
                AddrUp => vec![from, from],
                AddrDown => vec![from, peer],
                _ => vec![from, from, peer],
            };
            let message = Message {
                control,
                options: Options::NONE,
                seqno: 0,
                signature: None,
                host: peer,
                addresses: Addresses::of(&list).unwrap(),
            };
            let mut bytes = attacker.seal(&message, addr(here), 0, 0);
            bytes[16..48].copy_from_slice(&own_key(1).public().0);
            forged.push((from, bytes));
        }
    }
    let count = 1_000_000_u64;
    // The greeting of the two was answered with a challenge.
    let before = sim.nodes[0].engine.as_ref().unwrap().refused();
    for number in 0..count {
        let (from, bytes) = &mut forged[(number % 10) as usize];
        let guess = seqno.wrapping_add((number / 10) as u16);
        bytes[2..4].copy_from_slice(&guess.to_be_bytes());
        bytes[8..16].copy_from_slice(&(1_800_000_000_000_000_000 + number).to_be_bytes());
        bytes[48..56].copy_from_slice(&number.to_be_bytes());
        let from = *from;
        let bytes = bytes.clone();
        sim.inject(0, from, addr(here), &bytes);
        if number % 10_000 == 0 {
            sim.nodes[0].notes.clear();
            sim.run(ms(10));
        }
    }
    assert_eq!(format!("{:?}", sim.nodes[0].kernel.rows), rows);
    assert!(sim.sent().is_empty());
    let refusals = sim.nodes[0].engine.as_ref().unwrap().refusals();
    let sum = refusals.values().sum::<u64>();
    assert_eq!(sum, before + count, "{refusals:?}");
    assert_eq!(sum, sim.nodes[0].engine.as_ref().unwrap().refused());
    // It took that many verifications, of a million.
    assert!(refusals["bad-signature"] < 1_000, "{refusals:?}");
    sim.run(secs(3));
    sim.change(1, &["198.51.100.1"], &["198.51.100.2"]);
    sim.run(secs(1));
    assert_eq!(sim.sent(), [Handoff, Ack]);
    sim.agree(0, 1);
}

#[test]
fn flood_of_signed_greetings_from_forged_sources_leaves_nothing() {
    let mut sim = Sim::new(1, FAIR);
    sim.add(&["192.0.2.1"]);
    sim.add(&["198.51.100.1"]);
    sim.flow(1, "198.51.100.1", "192.0.2.1");
    sim.run(secs(1));
    sim.sent();
    sim.wire.clear();
    let rows = format!("{:?}", sim.nodes[0].kernel.rows);
    let keys: Vec<OwnKey> = (1_000..1_016).map(own_key).collect();
    let to = addr("192.0.2.1");
    let flood = 20_000_u32;
    let mut asked = 0;
    for number in 0..flood {
        let [_, high, mid, low] = number.to_be_bytes();
        let from = Addr::v4([100, high.wrapping_add(1), mid, low]);
        let message = Message {
            control: Control::Hello,
            options: Options::NONE,
            seqno: low.into(),
            signature: None,
            host: from,
            addresses: Addresses::of(&[from]).unwrap(),
        };
        let bytes = keys[number as usize % 16].seal(&message, to, u64::from(number) + 1, 0);
        asked += bytes.len();
        sim.inject(0, from, to, &bytes);
        if number % 20 == 0 {
            sim.run(ms(1));
        }
    }
    assert_eq!(format!("{:?}", sim.nodes[0].kernel.rows), rows);
    let engine = sim.nodes[0].engine.as_ref().unwrap();
    assert!(
        engine.refusals()["rate"] > 10_000,
        "{:?}",
        engine.refusals()
    );
    let [challenges, known] = engine.key_counts();
    assert!(
        challenges <= Limits::default().hosts.pending,
        "{challenges}"
    );
    assert_eq!(known, 1);
    // Nobody gets more than was sent in his name.
    let answered: usize = sim.wire.iter().map(|(_, _, bytes)| bytes.len()).sum();
    assert!(answered <= asked, "{answered} {asked}");
    sim.hand_off(1, &["198.51.100.1"], &["198.51.100.2"]);
}

#[test]
fn flood_of_greetings_is_bounded() {
    let mut limits = Limits::default();
    limits.hosts.most = 500;
    let mut sim = Sim::new(1, FAIR);
    sim.add_believing(&["192.0.2.1"], limits, Policy::Unsigned);
    sim.add(&["198.51.100.1"]);
    sim.flow(1, "198.51.100.1", "192.0.2.1");
    sim.run(secs(1));
    sim.sent();
    let mut buffer = [0; MAX_LEN];
    for number in 0..100_000_u32 {
        let [_, high, mid, low] = number.to_be_bytes();
        let from = Addr::v4([100, high.wrapping_add(1), mid, low]);
        let bytes = hello(&mut buffer, low.into(), from);
        sim.inject(0, from, addr("192.0.2.1"), &bytes);
        if number % 100 == 0 {
            sim.run(ms(1));
        }
    }
    assert!(sim.nodes[0].kernel.rows.len() <= 500);
    assert!(sim.sent().len() <= 500);
    let refusals = sim.nodes[0].engine.as_ref().unwrap().refusals();
    assert!(
        refusals["rate"] > 0 && refusals["host-limit"] > 0,
        "{refusals:?}"
    );
    // Who is known already moves as before.
    sim.change(1, &["198.51.100.1"], &["198.51.100.2"]);
    sim.run(secs(1));
    assert_eq!(sim.sent(), [Handoff, Ack]);
    sim.agree(0, 1);
}

#[test]
fn random_octets_and_events_never_panic() {
    for seed in 1..40 {
        let mut sim = Sim::new(
            seed,
            Weather {
                spread: ms(40),
                ..FAIR
            },
        );
        // Half of the runs believe what is not signed, so that it gets further.
        let policy = if seed % 2 == 0 {
            Policy::FirstUse
        } else {
            Policy::Unsigned
        };
        sim.add_believing(&["192.0.2.1", "2001:db8::1"], Limits::default(), policy);
        sim.add_believing(
            &["198.51.100.1", "2001:db8:1::1"],
            Limits::default(),
            policy,
        );
        sim.flow(0, "192.0.2.1", "198.51.100.1");
        sim.run(secs(1));
        let pool: Vec<Addr> = [
            "192.0.2.1",
            "192.0.2.2",
            "198.51.100.1",
            "198.51.100.2",
            "203.0.113.9",
        ]
        .into_iter()
        .chain([
            "2001:db8::1",
            "2001:db8:1::1",
            "2001:db8:1::2",
            "::",
            "10.0.0.1",
        ])
        .map(addr)
        .collect();
        let mut buffer = [0; MAX_LEN];
        for _ in 0..2_000 {
            let pick = |sim: &mut Sim| pool[sim.random.below(pool.len() as u64) as usize];
            let (from, to, host) = (pick(&mut sim), pick(&mut sim), pick(&mut sim));
            let mut addresses = Addresses::EMPTY;
            let _ = addresses.push(from);
            for _ in 0..sim.random.below(5) {
                let _ = addresses.push(pick(&mut sim));
            }
            let control = Control::ALL[sim.random.below(11) as usize];
            let options = Options::from_bits((sim.random.next() as u8) & 0xf8).unwrap();
            // Close to what is expected, so that much is accepted.
            let seqno = sim.random.below(40) as u16;
            let message = Message {
                control,
                options,
                seqno,
                signature: None,
                host,
                addresses,
            };
            let mut bytes = message.emit(&mut buffer).unwrap().to_vec();
            if sim.random.percent(30) {
                let key = own_key(sim.random.below(4));
                let stamp = 1_700_000_000_000_000_000 + sim.random.below(10_000_000_000_000);
                bytes = key.seal(&message, to, stamp, 0);
            }
            if sim.random.percent(10) {
                let at = sim.random.below(bytes.len() as u64) as usize;
                bytes[at] ^= sim.random.next() as u8;
            }
            let at = sim.random.below(2) as usize;
            sim.inject(at, from, to, &bytes);
            match sim.random.below(20) {
                0 => {
                    let id = 1 + u32::from(seqno) % 4;
                    sim.nodes[at].kernel.take(id);
                    sim.give(at, Input::Removed { id });
                }
                1 => sim.network(at),
                2 => sim.give(at, Input::Timer),
                3 => sim.restart(at),
                4 => sim.run(ms(seqno.into())),
                5 => {
                    let hosts = sim.nodes[at].kernel.dump();
                    sim.give(at, Input::Kernel { hosts });
                }
                _ => {}
            }
        }
        sim.run(secs(300));
    }
}
