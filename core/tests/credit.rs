// SPDX-License-Identifier: GPL-2.0
//! The credit of a host against a naive twin that remembers everything.

mod prng;

use ihmp_core::credit::{earn, slot, spend, Earnings, SLOT, SLOTS};
use ihmp_core::time::Duration;

use prng::Prng;

/// An account as the module keeps it: slots, and what is left.
struct Account {
    earnings: Earnings,
    left: u64,
}

impl Account {
    fn new() -> Account {
        let (earnings, left) = (Earnings::NONE, 0);
        Account { earnings, left }
    }

    fn earn(&mut self, slot: u64, octets: u64) {
        self.earnings.add(slot, octets);
        self.left = earn(self.left, octets, self.earnings.most());
    }

    fn spend(&mut self, octets: u64) -> bool {
        let rest = spend(self.left, octets);
        self.left = rest.unwrap_or(self.left);
        rest.is_some()
    }
}

/// All that was ever earned: slot and octets.
#[derive(Default)]
struct Naive(Vec<(u64, u64)>);

impl Naive {
    fn in_slot(&self, slot: u64) -> u64 {
        let there = self.0.iter().filter(|(at, _)| *at == slot);
        there.map(|(_, octets)| octets).sum()
    }

    fn most(&self, now: u64) -> u64 {
        let first = now.saturating_sub(SLOTS as u64 - 1);
        (first..=now).map(|slot| self.in_slot(slot)).max().unwrap()
    }

    fn all(&self) -> u64 {
        self.0.iter().map(|(_, octets)| octets).sum()
    }
}

#[test]
fn slots() {
    let at = |seconds| slot(Duration::from_secs(seconds));
    assert_eq!((at(0), at(29), at(30), at(600)), (0, 0, 1, 20));
    assert_eq!(SLOT.as_secs() * SLOTS as u64, 600);
}

#[test]
fn as_the_naive_one() {
    let mut prng = Prng::new(23);
    for _ in 0..200 {
        let (mut account, mut naive) = (Account::new(), Naive::default());
        let (mut now, mut spent) = (prng.below(50) as u64, 0);
        for _ in 0..300 {
            now += match prng.below(8) {
                0 => 1,
                1 => prng.below(SLOTS + 3) as u64,
                _ => 0,
            };
            if prng.one_in(2) {
                let octets = prng.below(3_000) as u64;
                naive.0.push((now, octets));
                account.earn(now, octets);
            } else {
                // As once a second, without anything that is new.
                account.earn(now, 0);
                let octets = prng.below(4_000) as u64;
                let before = account.left;
                let paid = account.spend(octets);
                assert_eq!(paid, octets <= before);
                spent += if paid { octets } else { 0 };
                assert_eq!(account.left, before - if paid { octets } else { 0 });
            }
            assert_eq!(account.earnings.most(), naive.most(now));
            assert!(account.left <= naive.most(now));
            // Nobody directs more to others than it took itself.
            assert!(spent + account.left <= naive.all());
        }
    }
}

#[test]
fn a_steady_host_keeps_30_seconds_of_it_for_ten_minutes() {
    let (mut account, rate) = (Account::new(), 1_000_000);
    for second in 0..120 {
        account.earn(slot(Duration::from_secs(second)), rate);
    }
    assert_eq!(account.left, 30 * rate);
    // The last full slot began at 90 s.
    let at = |account: &mut Account, second| {
        account.earn(slot(Duration::from_secs(second)), 0);
        account.left
    };
    assert_eq!(at(&mut account, 689), 30 * rate);
    assert_eq!(at(&mut account, 690), 0);
    // Who has forgotten it all begins anew.
    account.earn(slot(Duration::from_secs(10_000)), 5);
    assert_eq!(
        (account.left, account.spend(6), account.spend(5)),
        (5, false, true)
    );
}

#[test]
fn huge_amounts_do_not_wrap() {
    let mut account = Account::new();
    account.earn(u64::MAX, u64::MAX);
    account.earn(u64::MAX, u64::MAX);
    assert_eq!(account.left, u64::MAX);
    // A clock that goes back counts for the newest slot.
    account.earn(3, 1);
    assert_eq!(account.earnings.newest, u64::MAX);
}
