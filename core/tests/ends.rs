// SPDX-License-Identifier: GPL-2.0
//! Where the ends of a flow are, through the life of an address.

use ihmp_core::addr::Addr;
use ihmp_core::ends::{foreign, local, Foreign, Local};
use ihmp_core::sets::{Entry, Role, Sets};

fn addr(text: &str) -> Addr {
    text.parse().unwrap()
}

fn marked(text: &str, mark: u64) -> Entry {
    Entry {
        mark,
        ..Entry::new(addr(text))
    }
}

#[test]
fn what_is_ours_and_not_left_is_home() {
    let mut sets = Sets::new();
    sets.insert(Role::Local, marked("192.0.2.1", 0)).unwrap();
    sets.insert(Role::Local, marked("192.0.2.2", 0)).unwrap();
    let of = |text, born, known| local(&sets.lists(), addr(text), born, known);
    assert_eq!(of("192.0.2.2", 0, false), Local::Home(1));
    assert_eq!(of("192.0.2.2", 9, true), Local::Home(1));
    // It went.
    assert_eq!(of("192.0.2.9", 0, true), Local::Away);
    // It was never told.
    assert_eq!(of("192.0.2.9", 0, false), Local::Untold);
}

#[test]
fn only_what_is_older_leaves_an_address_that_is_left() {
    let mut sets = Sets::new();
    sets.insert(Role::Local, marked("192.0.2.1", 5)).unwrap();
    let of = |born| local(&sets.lists(), addr("192.0.2.1"), born, true);
    assert_eq!(of(0), Local::Left(0));
    assert_eq!(of(4), Local::Left(0));
    assert_eq!(of(5), Local::Home(0));
    assert_eq!(of(6), Local::Home(0));
}

#[test]
fn an_address_behind_a_silent_nat_is_no_locator() {
    let mut sets = Sets::new();
    let nat = Entry {
        nat: true,
        ..marked("10.0.0.1", 0)
    };
    sets.insert(Role::Local, nat).unwrap();
    assert_eq!(
        local(&sets.lists(), addr("10.0.0.1"), 0, true),
        Local::Untold
    );
}

#[test]
fn a_flow_leaves_an_active_address_with_its_host_and_comes_back_by_itself() {
    let mut sets = Sets::new();
    sets.insert(Role::Active, marked("198.51.100.7", 3))
        .unwrap();
    let of = |since, left| foreign(&sets.lists(), addr("198.51.100.7"), since, |_| left);
    // Nobody moved, however old the flow is.
    assert_eq!(of(0, 0), Foreign::Home);
    assert_eq!(of(9, 0), Foreign::Home);
    // The host sent an older flow from elsewhere.
    assert_eq!(of(0, 8), Foreign::Away);
    assert_eq!(of(7, 8), Foreign::Away);
    // Younger ones, and those that were heard from there since, stay.
    assert_eq!(of(8, 8), Foreign::Home);
}

#[test]
fn whoever_has_a_former_address_has_what_began_there_since() {
    let mut sets = Sets::new();
    sets.insert(Role::Active, marked("203.0.113.9", 6)).unwrap();
    sets.insert(Role::Alias, marked("198.51.100.7", 6)).unwrap();
    let of = |since| foreign(&sets.lists(), addr("198.51.100.7"), since, |_| 0);
    assert_eq!(of(0), Foreign::Away);
    assert_eq!(of(5), Foreign::Away);
    assert_eq!(of(6), Foreign::Home);
    // An alias that was pushed out named the host for older flows.
    let gone = foreign(&sets.lists(), addr("198.51.100.8"), 7, |_| 0);
    assert_eq!(gone, Foreign::Away);
}

/// A peer can drive numbers by its packets, and 32 bits of them were over in hours.
#[test]
fn numbers_go_on_past_those_of_32_bits() {
    let last = u64::from(u32::MAX);
    let mut sets = Sets::new();
    sets.insert(Role::Local, marked("192.0.2.1", last + 2))
        .unwrap();
    sets.insert(Role::Active, marked("198.51.100.7", 3))
        .unwrap();
    sets.insert(Role::Alias, marked("198.51.100.8", last + 2))
        .unwrap();
    let lists = sets.lists();
    for (age, left) in [
        (last - 1, true),
        (last, true),
        (last + 1, true),
        (last + 2, false),
        (last + 3, false),
    ] {
        let ours = local(&lists, addr("192.0.2.1"), age, true);
        assert_eq!(ours.is_away(), left);
        let theirs = |text| foreign(&lists, addr(text), age, |_| last + 2) == Foreign::Away;
        assert_eq!(theirs("198.51.100.7"), left);
        assert_eq!(theirs("198.51.100.8"), left);
    }
}
