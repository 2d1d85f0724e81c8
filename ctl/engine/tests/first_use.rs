// SPDX-License-Identifier: GPL-2.0
//! The key that was first used at an address is remembered: another one there is worth a warning, or is refused.

use ihmp_sim as sim;

use ihmp_engine::{Changed, Limits, Note, OwnKey, Policy, PublicKey};
use sim::{addr, own_key, secs, Sim, FAIR};

const A1: &str = "192.0.2.1";
const A61: &str = "2001:db8:a1::1";
const B1: &str = "10.9.0.1";
const B2: &str = "10.8.0.2";
const B61: &str = "2001:db8:b1::1";

fn public(number: u64) -> PublicKey {
    own_key(number).public()
}

/// A client that believes so, and a server with the key of number 1, that have met and parted.
fn parted(policy: Policy, client: &str, server: &str) -> Sim {
    let mut sim = Sim::new(1, FAIR);
    sim.add_believing(&[client], Limits::default(), policy);
    sim.add(&[server]);
    meet(&mut sim, client, server);
    part(&mut sim);
    sim
}

fn meet(sim: &mut Sim, client: &str, server: &str) {
    sim.flow(0, client, server);
    sim.run(secs(20));
}

/// Five minutes after the last connection, both forget each other.
fn part(sim: &mut Sim) {
    for at in [0, 1] {
        sim.remove_hosts(at);
    }
    sim.run(secs(1));
}

/// Another machine is at the server's addresses.
fn replace(sim: &mut Sim, own: Vec<OwnKey>) {
    sim.nodes[1].store = sim::store::Store {
        own,
        ..Default::default()
    };
    sim.restart(1);
}

fn changes(sim: &Sim) -> Vec<Changed> {
    let changed = |note: &Note| match note {
        Note::KeyChanged(changed) => Some(*changed),
        _ => None,
    };
    let notes = sim.nodes[0].notes.iter().filter_map(changed).collect();
    assert_eq!(sim.nodes[0].store.changes, notes);
    notes
}

fn is_up(sim: &Sim) -> bool {
    let rows = sim.nodes[0].kernel.rows.values();
    rows.into_iter()
        .any(|row| row.record.state == ihmp_engine::State::Up)
}

/// Keys that were believed where another one was remembered, and addresses at which one is refused for that.
fn counts(sim: &Sim) -> [u64; 2] {
    ["keys-changed", "keys-refused"].map(|name| sim.limit(0, name))
}

#[test]
fn another_key_is_worth_a_warning() {
    for (client, server) in [(A1, B1), (A61, B61)] {
        for restarted in [false, true] {
            let mut sim = parted(Policy::FirstUse, client, server);
            // The same key is not.
            meet(&mut sim, client, server);
            part(&mut sim);
            assert_eq!(changes(&sim), []);
            replace(&mut sim, vec![own_key(7)]);
            if restarted {
                sim.restart(0);
            }
            meet(&mut sim, client, server);
            assert!(is_up(&sim));
            let changed = Changed {
                at: addr(server),
                former: public(1),
                key: public(7),
                believed: true,
            };
            assert_eq!(changes(&sim), [changed]);
            assert_eq!(counts(&sim), [1, 0]);
            // It is remembered in its turn.
            part(&mut sim);
            meet(&mut sim, client, server);
            assert_eq!(changes(&sim), [changed]);
        }
    }
}

#[test]
fn another_key_is_refused_until_it_is_accepted() {
    for (client, server) in [(A1, B1), (A61, B61)] {
        let mut sim = parted(Policy::Pin, client, server);
        replace(&mut sim, vec![own_key(7)]);
        meet(&mut sim, client, server);
        assert!(!is_up(&sim) && sim.refused(0, "changed-key") > 0);
        let changed = Changed {
            at: addr(server),
            former: public(1),
            key: public(7),
            believed: false,
        };
        assert_eq!(changes(&sim), [changed]);
        assert_eq!(counts(&sim), [0, 1]);
        // It is not believed when it greets either, and not after a restart.
        part(&mut sim);
        sim.restart(0);
        sim.flow(1, server, client);
        sim.run(secs(20));
        assert!(!is_up(&sim));
        assert_eq!(changes(&sim), [changed, changed]);
        part(&mut sim);
        sim.nodes[0].store.accept(addr(server), public(7));
        sim.rekey(0);
        meet(&mut sim, client, server);
        assert!(is_up(&sim));
        sim.agree(0, 1);
        // Now the former one is the other key.
        part(&mut sim);
        replace(&mut sim, vec![own_key(1)]);
        meet(&mut sim, client, server);
        assert!(!is_up(&sim));
        assert_eq!(changes(&sim).len(), 3);
    }
}

#[test]
fn host_that_says_that_it_leaves_is_not_remembered_there() {
    for policy in [Policy::FirstUse, Policy::Pin] {
        let mut sim = Sim::new(1, FAIR);
        sim.add_believing(&[A1], Limits::default(), policy);
        sim.add(&[B1]);
        meet(&mut sim, A1, B1);
        sim.change(1, &[B1], &[B2]);
        sim.run(secs(60));
        sim.agree(0, 1);
        let newcomer = sim.add(&[B1]);
        sim.flow(0, A1, B1);
        sim.run(secs(20));
        sim.agree(0, newcomer);
        assert_eq!(changes(&sim), []);
    }
}

#[test]
fn newcomer_at_an_address_of_a_host_that_is_known_is_another_key() {
    for (policy, up) in [(Policy::FirstUse, true), (Policy::Pin, false)] {
        let mut sim = parted(policy, A1, B1);
        meet(&mut sim, A1, B1);
        // It goes without a word, and the next one greets us.
        sim.change(1, &[B1], &[]);
        let newcomer = sim.add(&[B1]);
        sim.flow(newcomer, B1, A1);
        sim.run(secs(20));
        assert_eq!(changes(&sim).len(), 1);
        let mut rows = sim.nodes[newcomer].kernel.rows.values();
        let state = rows.next().map(|row| row.record.state);
        assert_eq!(state == Some(ihmp_engine::State::Up), up);
    }
}

#[test]
fn key_that_succeeds_is_no_other_one() {
    for policy in [Policy::FirstUse, Policy::Pin] {
        let mut sim = parted(policy, A1, B1);
        let mut next = own_key(7);
        next.former = Some(own_key(1).endorse(&next.public()));
        replace(&mut sim, vec![next]);
        meet(&mut sim, A1, B1);
        assert!(is_up(&sim));
        assert_eq!(changes(&sim), []);
    }
}

#[test]
fn who_claims_an_address_without_proof_is_not_remembered_there() {
    // A host with a key announces an address at which it does not hear us; its owner comes.
    let mut sim = Sim::new(1, FAIR);
    sim.add_believing(&[A1], Limits::default(), Policy::Pin);
    sim.add(&[B1]);
    meet(&mut sim, A1, B1);
    for pair in [(B2, A1), (A1, B2)] {
        sim.blocked.insert((addr(pair.0), addr(pair.1)));
    }
    sim.change(1, &[], &[B2]);
    sim.run(secs(2));
    sim.blocked.clear();
    sim.change(1, &[B2], &[]);
    let owner = sim.add(&[B2]);
    sim.flow(0, A1, B2);
    sim.run(secs(20));
    assert_eq!(changes(&sim), []);
    sim.agree(0, owner);
}

#[test]
fn who_signed_once_is_not_believed_unsigned() {
    for (client, server) in [(A1, B1), (A61, B61)] {
        let mut sim = Sim::new(1, FAIR);
        for local in [client, server] {
            sim.add_believing(&[local], Limits::default(), Policy::Unsigned);
        }
        // Control: one that never signed is believed without it.
        sim.nodes[1].store.own.clear();
        sim.rekey(1);
        sim.flow(1, server, client);
        sim.run(secs(20));
        assert!(is_up(&sim));
        part(&mut sim);
        replace(&mut sim, vec![own_key(1)]);
        sim.nodes[1].policy = Policy::Unsigned;
        sim.flow(1, server, client);
        sim.run(secs(20));
        assert!(is_up(&sim));
        part(&mut sim);
        replace(&mut sim, vec![]);
        sim.flow(1, server, client);
        sim.run(secs(20));
        assert!(!is_up(&sim) && sim.refused(0, "unsigned") > 0);
    }
}
