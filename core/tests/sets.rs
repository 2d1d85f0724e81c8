// SPDX-License-Identifier: GPL-2.0
//! Address sets, paths and the scheduler against naive twins.

mod prng;

use ihmp_core::addr::{Addr, Family};
use ihmp_core::paths::{Path, Paths, MAX_PATHS};
use ihmp_core::sched::{Backup, Scheduler};
use ihmp_core::sets::{Entry, Lists, Role, SetError, Sets, MAX_ADDRS};

use prng::Prng;

fn addr(text: &str) -> Addr {
    text.parse().unwrap()
}

fn entry(text: &str) -> Entry {
    Entry::new(addr(text))
}

fn addrs(sets: &Sets, role: Role) -> Vec<String> {
    sets.list(role)
        .iter()
        .map(|entry| entry.addr.to_string())
        .collect()
}

/// One address of each of forty, some of which cannot be used.
fn some_addr(prng: &mut Prng) -> Addr {
    match prng.below(20) {
        0 => addr("224.0.0.1"),
        1 => addr("fe80::1"),
        n if n % 2 == 0 => Addr::v4([10, 0, 0, prng.below(20) as u8]),
        _ => addr(&format!("2001:db8::{:x}", 1 + prng.below(20))),
    }
}

fn some_entry(prng: &mut Prng) -> Entry {
    Entry {
        addr: some_addr(prng),
        preference: prng.below(4) as u16 * 10,
        unvalidated: prng.one_in(2),
        nat: prng.one_in(4),
        mark: prng.below(3) as u64,
        device: prng.below(3) as u32,
    }
}

/// The sets as one list of (role, entry), searched from the start.
#[derive(Clone, Default)]
struct Naive(Vec<(Role, Entry)>);

impl Naive {
    fn list(&self, role: Role) -> Vec<Entry> {
        self.0
            .iter()
            .filter(|(r, _)| *r == role)
            .map(|(_, entry)| *entry)
            .collect()
    }

    fn insert(&mut self, role: Role, entry: Entry) -> Result<(), SetError> {
        if !entry.addr.translatable() {
            return Err(SetError::NotUnicast);
        }
        if let Some((_, old)) = self
            .0
            .iter_mut()
            .find(|(r, e)| *r == role && e.addr == entry.addr)
        {
            *old = entry;
            return Ok(());
        }
        if self.list(role).len() == MAX_ADDRS {
            return Err(SetError::Full);
        }
        if role != Role::Local {
            self.0
                .retain(|(r, e)| *r == Role::Local || e.addr != entry.addr);
        }
        self.0.push((role, entry));
        Ok(())
    }

    fn remove(&mut self, role: Role, addr: Addr) -> bool {
        let before = self.0.len();
        self.0.retain(|(r, e)| *r != role || e.addr != addr);
        self.0.len() != before
    }

    fn role_of(&self, addr: Addr) -> Option<Role> {
        self.0
            .iter()
            .find(|(r, e)| *r != Role::Local && e.addr == addr)
            .map(|(r, _)| *r)
    }

    fn retire(&mut self, addr: Addr) -> bool {
        if !matches!(self.role_of(addr), Some(Role::Active | Role::Unreachable)) {
            return false;
        }
        let nat = (self.list(Role::Active).iter()).any(|entry| entry.addr == addr && entry.nat);
        self.0.retain(|(r, e)| *r == Role::Local || e.addr != addr);
        if nat {
            return true;
        }
        if self.list(Role::Alias).len() == MAX_ADDRS {
            let oldest = self.0.iter().position(|(r, _)| *r == Role::Alias).unwrap();
            self.0.remove(oldest);
        }
        self.0.push((Role::Alias, Entry::new(addr)));
        true
    }

    fn replace(&mut self, role: Role, entries: &[Entry], retire: bool) -> Result<(), SetError> {
        let retire = retire && matches!(role, Role::Active | Role::Unreachable);
        for old in self.list(role) {
            if entries.iter().any(|entry| entry.addr == old.addr) {
                continue;
            }
            if retire {
                self.retire(old.addr);
            } else {
                self.remove(role, old.addr);
            }
        }
        entries
            .iter()
            .try_for_each(|entry| self.insert(role, *entry))
    }

    fn paths(&self, family: Family) -> Vec<Path> {
        let of = |role| {
            self.list(role)
                .into_iter()
                .filter(|entry| entry.addr.family() == family)
                .collect::<Vec<_>>()
        };
        let mut paths = Vec::new();
        let place = |role, addr: Addr| {
            let all = self.list(role);
            all.iter().position(|entry| entry.addr == addr).unwrap()
        };
        for local in of(Role::Local).into_iter().filter(|local| !local.nat) {
            for remote in of(Role::Active) {
                paths.push(Path {
                    local: local.addr,
                    remote: remote.addr,
                    local_preference: local.preference,
                    remote_preference: remote.preference,
                    preference: u32::from(local.preference) + u32::from(remote.preference),
                    unvalidated: local.unvalidated,
                    nat: remote.nat,
                    left: local.mark != 0,
                    device: local.device,
                    local_at: place(Role::Local, local.addr),
                    remote_at: place(Role::Active, remote.addr),
                });
            }
        }
        paths.sort_by_key(|path| {
            (
                path.unvalidated,
                path.local_preference,
                path.remote_preference,
            )
        });
        paths
    }
}

/// The paths of a family.
fn family(paths: &Paths, sets: &Sets, family: Family) -> Vec<Path> {
    let at = paths.family(family);
    at.map(|at| paths.get(at, &sets.lists()).unwrap()).collect()
}

fn random_sets(prng: &mut Prng, steps: usize) -> (Sets, Naive) {
    let (mut sets, mut naive) = (Sets::new(), Naive::default());
    for _ in 0..steps {
        let role = prng.pick(&Role::ALL);
        match prng.below(12) {
            0..=5 => {
                let entry = some_entry(prng);
                assert_eq!(sets.insert(role, entry), naive.insert(role, entry));
            }
            6 => {
                let addr = some_addr(prng);
                assert_eq!(sets.remove(role, addr), naive.remove(role, addr));
            }
            7 | 8 => {
                let addr = some_addr(prng);
                assert_eq!(sets.retire(addr), naive.retire(addr));
            }
            9 if prng.one_in(5) => {
                sets.clear(role);
                naive.0.retain(|(r, _)| *r != role);
            }
            10 => {
                let count = prng.below(20);
                let entries: Vec<Entry> = (0..count).map(|_| some_entry(prng)).collect();
                let retire = prng.one_in(2);
                let (mut new, mut new_naive) = (sets, naive.clone());
                let result = new.replace(role, &entries, retire);
                assert_eq!(result, new_naive.replace(role, &entries, retire));
                if result.is_ok() {
                    (sets, naive) = (new, new_naive);
                }
            }
            _ => {}
        }
        for role in Role::ALL {
            assert_eq!(sets.list(role), naive.list(role), "{role:?}");
        }
        let addr = some_addr(prng);
        assert_eq!(sets.role_of(addr), naive.role_of(addr));
        let named = naive
            .0
            .iter()
            .find(|(r, e)| e.addr == addr && (*r == Role::Alias || *r == Role::Active && !e.nat))
            .map(|(role, _)| *role);
        assert_eq!(sets.name_role(addr), named);
        let names = [Role::Active, Role::Alias].map(|role| (role, naive.list(role)));
        let names = names
            .iter()
            .flat_map(|(role, list)| list.iter().map(move |entry| (*role, entry)))
            .filter(|(_, entry)| !entry.nat)
            .map(|(role, entry)| (entry.addr, role));
        assert_eq!(
            sets.lists().names().collect::<Vec<_>>(),
            names.collect::<Vec<_>>()
        );
        let found = naive
            .list(role)
            .into_iter()
            .find(|entry| entry.addr == addr);
        assert_eq!(sets.lookup(role, addr).copied(), found);
    }
    (sets, naive)
}

#[test]
fn sets_against_naive() {
    let mut prng = Prng::new(1);
    for _ in 0..200 {
        random_sets(&mut prng, 300);
    }
}

#[test]
fn paths_against_naive() {
    let mut prng = Prng::new(2);
    let mut full = 0;
    for _ in 0..3_000 {
        let steps = prng.below(150);
        let (sets, naive) = random_sets(&mut prng, steps);
        let (mut v4, mut v6) = (naive.paths(Family::V4), naive.paths(Family::V6));
        while v4.len() + v6.len() > MAX_PATHS {
            full += 1;
            if v4.len() > v6.len() || v6.len() <= MAX_PATHS / 2 {
                v4.pop();
            } else {
                v6.pop();
            }
        }
        v4.sort_by_key(|path| path.preference);
        v6.sort_by_key(|path| path.preference);
        let paths = Paths::of(&sets);
        assert_eq!(family(&paths, &sets, Family::V4), v4);
        assert_eq!(family(&paths, &sets, Family::V6), v6);
        assert_eq!(paths.len(), v4.len() + v6.len());
        assert_eq!(paths.get(paths.len(), &sets.lists()), None);

        for list in [&v4, &v6] {
            let heard = match prng.below(3) {
                0 => None,
                1 => Some(some_addr(&mut prng)),
                _ => list.get(prng.below(list.len() + 1)).map(|path| path.remote),
            };
            assert_eq!(
                Backup.pick(list.iter().copied(), heard),
                naive_pick(list, heard)
            );
        }
    }
    assert!(full > 1_000, "{full}");
}

/// Sorts out the worse paths, one rule after the other.
fn naive_pick(paths: &[Path], heard: Option<Addr>) -> Option<usize> {
    let mut left: Vec<usize> = (0..paths.len()).collect();
    if left.iter().any(|&i| !paths[i].unvalidated) {
        left.retain(|&i| !paths[i].unvalidated);
    }
    if left.iter().any(|&i| !paths[i].left) {
        left.retain(|&i| !paths[i].left);
    }
    let best = left.iter().map(|&i| paths[i].local_preference).min()?;
    left.retain(|&i| paths[i].local_preference == best);
    if left.iter().any(|&i| Some(paths[i].remote) == heard) {
        left.retain(|&i| Some(paths[i].remote) == heard);
    }
    if left.iter().any(|&i| !paths[i].nat) {
        left.retain(|&i| !paths[i].nat);
    }
    let best = left.iter().map(|&i| paths[i].remote_preference).min()?;
    left.retain(|&i| paths[i].remote_preference == best);
    left.first().copied()
}

#[test]
fn a_move() {
    let mut sets = Sets::new();
    sets.insert(Role::Active, entry("192.0.2.1")).unwrap();
    sets.insert(Role::Local, entry("198.51.100.1")).unwrap();
    sets.insert(Role::Local, entry("2001:db8::1")).unwrap();
    assert_eq!(Paths::of(&sets).len(), 1);
    assert!(Paths::of(&sets).family(Family::V6).is_empty());

    // A hand-off: the set is replaced, the old address stays a name of the host.
    sets.replace(Role::Active, &[entry("203.0.113.1")], true)
        .unwrap();
    assert_eq!(addrs(&sets, Role::Active), ["203.0.113.1"]);
    assert_eq!(addrs(&sets, Role::Alias), ["192.0.2.1"]);
    assert_eq!(sets.role_of(addr("192.0.2.1")), Some(Role::Alias));
    // And back.
    sets.replace(Role::Active, &[entry("192.0.2.1")], true)
        .unwrap();
    assert_eq!(addrs(&sets, Role::Active), ["192.0.2.1"]);
    assert_eq!(addrs(&sets, Role::Alias), ["203.0.113.1"]);
    // Two sets of one request, in either order.
    for order in [
        [Role::Active, Role::Unreachable],
        [Role::Unreachable, Role::Active],
    ] {
        let mut sets = sets;
        for role in order {
            let new = if role == Role::Active {
                "203.0.113.1"
            } else {
                "192.0.2.1"
            };
            sets.replace(role, &[entry(new)], true).unwrap();
        }
        assert_eq!(addrs(&sets, Role::Active), ["203.0.113.1"]);
        assert_eq!(addrs(&sets, Role::Unreachable), ["192.0.2.1"]);
        assert!(sets.list(Role::Alias).is_empty());
    }
    // The address of a NAT is no name of the host: it is forgotten, not remembered.
    let nat = Entry {
        nat: true,
        ..entry("203.0.113.5")
    };
    let home = entry("192.0.2.1");
    sets.insert(Role::Active, nat).unwrap();
    let paths = Paths::of(&sets);
    let paths = family(&paths, &sets, Family::V4);
    assert_eq!(
        paths.iter().map(|path| path.nat).collect::<Vec<_>>(),
        [false, true]
    );
    assert_eq!(Backup.pick(paths.iter().copied(), None), Some(0));
    assert_eq!(Backup.pick(paths.iter().copied(), Some(nat.addr)), Some(1));
    assert_eq!(sets.name_role(nat.addr), None);
    assert_eq!(sets.role_of(nat.addr), Some(Role::Active));
    sets.replace(Role::Active, &[home], true).unwrap();
    assert_eq!(sets.role_of(nat.addr), None);
    // Behind a NAT, an own address is ours, and no locator.
    let local = Entry {
        nat: true,
        ..entry("198.51.100.9")
    };
    sets.insert(Role::Local, local).unwrap();
    let paths = Paths::of(&sets);
    let paths = family(&paths, &sets, Family::V4);
    assert!(paths.iter().all(|path| path.local != local.addr));
    assert!(sets.remove(Role::Local, local.addr));
    // A local address may have a foreign role too.
    sets.insert(Role::Active, entry("198.51.100.1")).unwrap();
    assert_eq!(sets.role_of(addr("198.51.100.1")), Some(Role::Active));
    assert_eq!(sets.list(Role::Local).len(), 2);
    // Without retirement the address is forgotten.
    sets.replace(Role::Active, &[], false).unwrap();
    assert_eq!(addrs(&sets, Role::Alias), ["203.0.113.1"]);
}

#[test]
fn limits() {
    let mut sets = Sets::new();
    for i in 0..MAX_ADDRS as u8 {
        sets.insert(Role::Active, Entry::new(Addr::v4([10, 0, 0, i])))
            .unwrap();
        sets.insert(Role::Alias, Entry::new(Addr::v4([10, 0, 1, i])))
            .unwrap();
    }
    assert_eq!(
        sets.insert(Role::Active, entry("10.0.1.0")),
        Err(SetError::Full)
    );
    assert_eq!(
        sets.role_of(addr("10.0.1.0")),
        Some(Role::Alias),
        "nothing changes on error"
    );
    assert!(sets
        .insert(
            Role::Active,
            Entry {
                preference: 7,
                ..entry("10.0.0.3")
            }
        )
        .is_ok());
    assert_eq!(
        sets.lookup(Role::Active, addr("10.0.0.3"))
            .unwrap()
            .preference,
        7
    );
    for bad in [
        "::",
        "0.0.0.0",
        "127.0.0.1",
        "::1",
        "fe80::1",
        "169.254.0.1",
        "ff02::1",
        "224.0.0.1",
        "255.255.255.255",
    ] {
        assert_eq!(
            sets.insert(Role::Local, entry(bad)),
            Err(SetError::NotUnicast),
            "{bad}"
        );
    }
    // The oldest alias makes room.
    assert!(sets.retire(addr("10.0.0.5")));
    assert_eq!(sets.role_of(addr("10.0.1.0")), None);
    assert_eq!(
        sets.list(Role::Alias).last().unwrap().addr,
        addr("10.0.0.5")
    );
    assert!(!sets.retire(addr("10.0.0.5")));
    assert!(core::mem::size_of::<Sets>() <= 2100);
    assert!(core::mem::size_of::<Paths>() <= 66);
}

#[test]
fn role_numbers() {
    for (number, role) in Role::ALL.into_iter().enumerate() {
        assert_eq!(role as usize, number);
        assert_eq!(Role::from_number(number as u32), Some(role));
        assert_eq!(role.is_foreign(), role != Role::Local);
    }
    assert_eq!(Role::from_number(4), None);
}

#[test]
fn copies_have_what_is_used_and_no_more() {
    let entry = |last: u8| Entry::new(Addr::v4([192, 0, 2, last]));
    let mut from = Sets::new();
    let mut to = Sets::new();
    for role in Role::ALL {
        for last in 1..=16 {
            to.insert(role, entry(last + 100 + role as u8)).unwrap();
        }
    }
    for (role, last) in [(Role::Active, 1), (Role::Local, 2), (Role::Local, 3)] {
        from.insert(role, entry(last)).unwrap();
    }
    assert_eq!((from.lists().len(), from.lists().is_empty()), (3, false));
    to.copy_from(from.lists());
    for role in Role::ALL {
        assert_eq!(to.list(role), from.list(role), "{role:?}");
    }
    from.copy_from(Lists::EMPTY);
    assert!(from.lists().is_empty());
}
