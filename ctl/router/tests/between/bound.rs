// SPDX-License-Identifier: GPL-2.0
//! What the router believes.

use ihmp_core::addr::Addr;
use ihmp_core::message::{Control, Message, Options};
use ihmp_core::time::Instant;
use ihmp_engine::OwnKey;
use ihmp_router::{Config, Input};
use ihmp_sim::{addr, ms, own_key, secs, Crossing};

use crate::bench::*;

/// A message of the host with this key.
fn says(key: &OwnKey, control: Control, list: &[&str], stamp: u64) -> Vec<u8> {
    let list: Vec<Addr> = list.iter().map(|text| addr(text)).collect();
    let message = Message {
        control,
        options: Options::NONE,
        seqno: 5,
        signature: None,
        host: addr(HOME),
        addresses: ihmp_core::message::Addresses::of(&list).unwrap(),
    };
    key.seal(&message, addr(PEER), stamp, 0)
}

/// Whether it is taken.
fn crosses(gate: &mut Gate, device: u32, from: &str, bytes: &[u8]) -> bool {
    let (from, to) = (addr(from), addr(PEER));
    gate.cross(Instant::from_nanos(1), device, from, to, bytes)
        .taken
}

#[test]
fn a_move_is_believed_of_who_was_heard_at_home() {
    let (key, thief) = (own_key(1), own_key(2));
    let mut gate = Gate::new(config());
    let handoff = [AWAY, AWAY, HOME];
    // Nobody was heard there.
    assert!(!crosses(
        &mut gate,
        2,
        AWAY,
        &says(&key, Control::Handoff, &handoff, 10)
    ));
    assert_eq!(passed(&gate, "unbound"), 1);
    // Who is elsewhere cannot say that it is there.
    assert!(!crosses(
        &mut gate,
        2,
        HOME,
        &says(&thief, Control::Hello, &[HOME], 20)
    ));
    assert!(!crosses(
        &mut gate,
        9,
        HOME,
        &says(&thief, Control::Hello, &[HOME], 21)
    ));
    assert_eq!(passed(&gate, "wrong-device"), 2);
    assert!(!crosses(
        &mut gate,
        1,
        HOME,
        &says(&key, Control::Hello, &[HOME], 30)
    ));
    // Nobody else moves it.
    assert!(!crosses(
        &mut gate,
        2,
        AWAY,
        &says(&thief, Control::Handoff, &handoff, 40)
    ));
    assert_eq!(passed(&gate, "other-key"), 1);
    // Nor its own message of before, nor one that was changed.
    assert!(!crosses(
        &mut gate,
        2,
        AWAY,
        &says(&key, Control::Handoff, &handoff, 30)
    ));
    assert_eq!(passed(&gate, "replayed"), 1);
    let mut changed = says(&key, Control::Handoff, &handoff, 50);
    changed[3] ^= 1;
    assert!(!crosses(&mut gate, 2, AWAY, &changed));
    assert_eq!(passed(&gate, "bad-signature"), 1);
    assert!(gate.routes.is_empty());
    let good = says(&key, Control::Handoff, &handoff, 60);
    assert!(crosses(&mut gate, 2, AWAY, &good));
    assert_eq!(gate.routes.get(&addr(HOME)), Some(&addr(AWAY)));
    assert!(!crosses(&mut gate, 2, AWAY, &good));
    assert_eq!(passed(&gate, "replayed"), 2);
    // Whoever gets the address at home meanwhile is not heard; the host itself is, and has its route back.
    assert!(!crosses(
        &mut gate,
        1,
        HOME,
        &says(&thief, Control::Hello, &[HOME], 70)
    ));
    assert_eq!(passed(&gate, "other-key"), 2);
    assert!(!crosses(
        &mut gate,
        1,
        HOME,
        &says(&key, Control::Hello, &[HOME], 80)
    ));
    assert!(gate.routes.is_empty());
    // Then it may be another's.
    assert!(!crosses(
        &mut gate,
        1,
        HOME,
        &says(&thief, Control::Hello, &[HOME], 90)
    ));
    assert!(!crosses(
        &mut gate,
        2,
        AWAY,
        &says(&key, Control::Handoff, &handoff, 100)
    ));
    assert_eq!(passed(&gate, "other-key"), 3);
}

#[test]
fn routes_end_with_address_down_lifetime_and_link() {
    let key = own_key(1);
    for end in 0..4 {
        let mut gate = Gate::new(config());
        assert!(!crosses(
            &mut gate,
            1,
            HOME,
            &says(&key, Control::Hello, &[HOME], 1)
        ));
        let up = says(&key, Control::AddrUp, &[AWAY, AWAY, HOME], 2);
        assert!(crosses(&mut gate, 2, AWAY, &up));
        assert_eq!(gate.routes.len(), 1);
        let mut crossing = Crossing {
            routes: gate.routes.clone(),
            ..Crossing::default()
        };
        match end {
            // The peer has been told, or the next hop is gone.
            0 => drop(crosses(
                &mut gate,
                2,
                AWAY,
                &says(&key, Control::AddrDown, &[AWAY, HOME], 3),
            )),
            1 => drop(crosses(
                &mut gate,
                1,
                HOME,
                &says(&key, Control::AddrDown, &[HOME, AWAY], 3),
            )),
            2 => {
                let at = gate.router.next_timeout().unwrap();
                assert_eq!(at.since(Instant::from_nanos(1)).as_secs(), 305);
                gate.tell(at, Input::Timer, &mut crossing);
                gate.routes = crossing.routes;
            }
            _ => {
                gate.tell(Instant::from_nanos(2), Input::Links(vec![]), &mut crossing);
                gate.routes = crossing.routes;
            }
        }
        assert!(gate.routes.is_empty(), "{end}");
        assert_eq!(gate.router.next_timeout(), None);
    }
}

#[test]
fn what_is_not_the_routers_business() {
    let key = own_key(1);
    let mut gate = Gate::new(config());
    assert!(!crosses(
        &mut gate,
        1,
        HOME,
        &says(&key, Control::Hello, &[HOME], 1)
    ));
    // A peer on the link of the old address does not ask the router for it.
    let message = Message {
        control: Control::Handoff,
        options: Options::NONE,
        seqno: 5,
        signature: None,
        host: addr(HOME),
        addresses: ihmp_core::message::Addresses::of(&[addr(AWAY), addr(AWAY), addr(HOME)])
            .unwrap(),
    };
    let neighbour = addr("192.0.2.99");
    let bytes = key.seal(&message, neighbour, 2, 0);
    let now = Instant::from_nanos(1);
    assert!(!gate.cross(now, 2, addr(AWAY), neighbour, &bytes).taken);
    assert_eq!(passed(&gate, "on-link"), 1);
    // Moves out of the network, and into it.
    assert!(!crosses(
        &mut gate,
        9,
        OUT,
        &says(&key, Control::Handoff, &[OUT, OUT, HOME], 3)
    ));
    assert!(!crosses(
        &mut gate,
        2,
        AWAY,
        &says(&key, Control::Handoff, &[AWAY, AWAY, OUT], 4)
    ));
    // No message, and none that is signed.
    assert!(!crosses(&mut gate, 2, AWAY, b"no message"));
    assert!(!crosses(&mut gate, 2, AWAY, &[0; 36]));
    assert_eq!(
        (passed(&gate, "unknown-control"), passed(&gate, "unsigned")),
        (1, 1)
    );
    assert!(gate.routes.is_empty());
    assert_eq!(gate.router.sizes(), [2, 0]);
}

#[test]
fn a_host_that_only_answers_is_known_by_its_answers() {
    let (mut sim, gate) = world(config(), true);
    // The peer greets, the host answers.
    sim.flow(1, PEER, HOME);
    sim.run(ms(500));
    sim.agree(0, 1);
    gate.borrow_mut().passed.clear();
    sim.change(0, &[HOME], &[AWAY]);
    sim.run(secs(5));
    is_covered(&sim, &gate, AWAY);
    assert_eq!(heard_by_peer(&gate), []);
}

#[test]
fn tables_are_bounded() {
    let mut gate = Gate::new(Config {
        max_bound: 10,
        max_routes: 3,
        ..config()
    });
    for number in 1..=40 {
        let home = format!("192.0.2.{number}");
        let key = own_key(number);
        assert!(!crosses(
            &mut gate,
            1,
            &home,
            &says(&key, Control::Hello, &[&home], 1)
        ));
        let away = format!("198.51.100.{number}");
        let handoff = says(&key, Control::Handoff, &[&away, &away, &home], 2);
        assert_eq!(
            crosses(&mut gate, 2, &away, &handoff),
            number <= 3,
            "{number}"
        );
    }
    assert_eq!(gate.router.sizes(), [10, 3]);
    assert_eq!(passed(&gate, "route-limit"), 37);
}
