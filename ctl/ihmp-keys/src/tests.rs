// SPDX-License-Identifier: GPL-2.0

use ihmp_core::policy::Prefix;
use ihmp_engine::{
    Changed,
    Fact,
    PublicKey, //
};

use super::*;

/// A folder of its own for a test, removed behind it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ihmp-keys-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn key(number: u8) -> PublicKey {
    Seed::parse(&format!("{number:02x}").repeat(32))
        .unwrap()
        .key(vec![])
        .public()
}

fn mode(path: PathBuf) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn first_start_makes_a_key_that_only_root_reads() {
    let folder = Folder::new("first");
    let state = State::open(&folder.0).unwrap();
    assert!(state.ensure_default().unwrap());
    assert!(!state.ensure_default().unwrap());
    assert_eq!(mode(folder.0.clone()), 0o700);
    assert_eq!(mode(folder.0.join("own")), 0o700);
    assert_eq!(mode(folder.0.join("own/default")), 0o600);
    let own = state.own().unwrap();
    assert_eq!((own.len(), own[0].name.as_str()), (1, "default"));
    // The same one the next time; another one elsewhere.
    assert_eq!(state.own().unwrap()[0].key.public(), own[0].key.public());
    let other = Folder::new("other");
    let elsewhere = State::open(&other.0).unwrap();
    elsewhere.ensure_default().unwrap();
    assert_ne!(
        elsewhere.own().unwrap()[0].key.public(),
        own[0].key.public()
    );
}

#[test]
fn private_key_that_others_can_read_is_refused() {
    let folder = Folder::new("open");
    let state = State::open(&folder.0).unwrap();
    state.ensure_default().unwrap();
    let path = folder.0.join("own/default");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let error = state.own().unwrap_err().to_string();
    assert!(error.contains("own/default: others can read"), "{error}");
}

#[test]
fn bad_key_file_is_refused_without_showing_it() {
    let folder = Folder::new("bad");
    let state = State::open(&folder.0).unwrap();
    let secret = "ab".repeat(31);
    for text in [
        format!("seed {secret}\n"),
        format!("{secret}\n"),
        String::new(),
    ] {
        replace(&folder.0.join("own/default"), text.as_bytes()).unwrap();
        let error = state.own().unwrap_err().to_string();
        assert!(!error.contains(&secret), "{error}");
    }
}

#[test]
fn key_with_scope_and_former_survives() {
    let folder = Folder::new("scope");
    let state = State::open(&folder.0).unwrap();
    let (old, new) = (Seed::random().unwrap(), Seed::random().unwrap());
    let scope: Vec<Prefix> = ["10.0.0.0/8", "2001:db8::/32"]
        .map(|text| text.parse().unwrap())
        .to_vec();
    let former = old.key(vec![]).endorse(&new.key(vec![]).public());
    let public = state.set_own("work", &new, &scope, Some(former)).unwrap();
    let own = state.own().unwrap().remove(0);
    assert_eq!(own.name, "work");
    assert_eq!(own.key.public(), public);
    assert_eq!(own.key.scope, scope);
    assert_eq!(own.key.former, Some(former));
    state.remove_own("work").unwrap();
    assert!(state.own().unwrap().is_empty());
}

#[test]
fn two_agents_do_not_share_a_folder() {
    let folder = Folder::new("lock");
    let state = State::open(&folder.0).unwrap();
    assert!(!state.tell_agent().unwrap());
    let lock = state.lock().unwrap();
    let error = state.lock().unwrap_err().to_string();
    assert!(error.ends_with("another agent uses this folder"), "{error}");
    drop(lock);
    assert!(!state.tell_agent().unwrap());
    state.lock().unwrap();
}

#[test]
fn timestamp_is_kept() {
    let folder = Folder::new("sent");
    let state = State::open(&folder.0).unwrap();
    assert_eq!(state.sent().unwrap(), 0);
    state.set_sent(u64::MAX).unwrap();
    assert_eq!(state.sent().unwrap(), u64::MAX);
    fs::write(folder.0.join("timestamp"), "soon").unwrap();
    assert!(state.sent().is_err());
}

#[test]
fn journal_is_replayed_and_shortened() {
    let folder = Folder::new("journal");
    let state = State::open(&folder.0).unwrap();
    let (mut journal, known) = Journal::open(&state).unwrap();
    assert!(known.peers.is_empty());
    let at = vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
    let own = key(9);
    let facts = [
        Fact::At {
            key: key(1),
            own,
            at: at.clone(),
        },
        Fact::Heard {
            key: key(1),
            floor: 5,
        },
        Fact::Heard {
            key: key(2),
            floor: 7,
        },
        Fact::Forgotten(key(2)),
        Fact::Succeeded {
            former: key(1),
            key: key(3),
        },
    ];
    for fact in facts {
        journal.keep(fact).unwrap();
    }
    let pin = Record::Pin {
        router: false,
        key: key(4),
        scope: vec!["10.0.0.0/8".parse().unwrap()],
        name: Some("lab".into()),
    };
    state.append(&[pin]).unwrap();
    // Torn by a crash, and scribbled over.
    for line in ["heard", "heard xy 1", "at", "frob 1", "pin"] {
        let mut file = private().append(true).open(folder.0.join("peers")).unwrap();
        writeln!(file, "{line}").unwrap();
    }
    let Known { peers, bad, .. } = state.known().unwrap();
    assert_eq!(bad, 5);
    assert_eq!(peers.len(), 2);
    assert_eq!(peers[&key(3)].known.at, at);
    assert_eq!(
        (peers[&key(3)].known.floor, peers[&key(3)].known.own),
        (0, Some(own))
    );
    assert!(peers[&key(4)].known.pinned);
    assert_eq!(peers[&key(4)].name.as_deref(), Some("lab"));
    // Much is heard; the file stays short, and says the same.
    for floor in 1..20_000 {
        let key = key(3);
        journal.keep(Fact::Heard { key, floor }).unwrap();
    }
    let Known {
        peers: after, bad, ..
    } = state.known().unwrap();
    assert_eq!(bad, 0);
    assert_eq!(after[&key(3)].known.floor, 19_999);
    assert_eq!(after[&key(4)], peers[&key(4)]);
    assert!(fs::metadata(folder.0.join("peers")).unwrap().len() < 600_000);
    assert_eq!(mode(folder.0.join("peers")), 0o600);
}

#[test]
fn keys_that_came_with_a_copy_of_a_machine_are_put_aside() {
    let folder = Folder::new("machine");
    let state = State::open(&folder.0).unwrap();
    let id = folder.0.join("machine-id");
    let claim = |text: &str| {
        fs::write(&id, text).unwrap();
        state.claim(&id).unwrap()
    };
    let own = || state.own().unwrap()[0].key.public();
    state.ensure_default().unwrap();
    let first = own();
    // Who had a key before there was a number keeps it.
    let (one, other) = ("0".repeat(32), "0123456789ABCDEF".repeat(2));
    for text in [&one, &one, "uninitialized", "", &one[1..]] {
        assert!(!claim(text));
        assert_eq!(own(), first);
    }
    assert!(!state.claim(Path::new("/nowhere/machine-id")).unwrap());
    assert!(claim(&format!("{other}\n")));
    assert!(state.ensure_default().unwrap());
    assert_ne!(own(), first);
    assert_eq!(mode(folder.0.join("copied")), 0o700);
    assert_eq!(mode(folder.0.join("copied/default")), 0o600);
    assert!(!claim(&other.to_lowercase()));
    // Where there was no key, there is nothing to say.
    let empty = Folder::new("machine-empty");
    let state = State::open(&empty.0).unwrap();
    assert!(!state.claim(&id).unwrap());
    fs::write(&id, &one).unwrap();
    assert!(!state.claim(&id).unwrap());
}

#[test]
fn one_key_is_remembered_at_an_address() {
    let folder = Folder::new("changed");
    let state = State::open(&folder.0).unwrap();
    let (mut journal, _) = Journal::open(&state).unwrap();
    let (here, there) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
    let at = |number: u8, at: &[_]| Fact::At {
        key: key(number),
        own: key(9),
        at: at.to_vec(),
    };
    let changed = Changed {
        at: here,
        former: key(1),
        key: key(2),
        believed: false,
    };
    journal.keep(at(1, &[here, there])).unwrap();
    journal.keep(Fact::Changed(changed)).unwrap();
    let known = state.known().unwrap();
    assert_eq!(known.changes[&here], changed);
    assert!(
        !known.peers.contains_key(&key(2)),
        "nobody is known for being refused"
    );
    // Written anew, it says the same.
    drop(journal);
    let (mut journal, known) = Journal::open(&state).unwrap();
    assert_eq!(known.changes[&here], changed);
    let accept = Record::Accept {
        key: key(2),
        at: here,
    };
    state.append(&[accept]).unwrap();
    for _ in 0..2 {
        let known = state.known().unwrap();
        assert!(known.changes.is_empty());
        assert_eq!(known.peers[&key(1)].known.at, [there]);
        assert_eq!(known.peers[&key(2)].known.accepted, [here]);
        journal = Journal::open(&state).unwrap().0;
    }
    // It was met there, and left.
    journal.keep(at(2, &[here])).unwrap();
    journal.keep(at(2, &[])).unwrap();
    journal.keep(at(3, &[there])).unwrap();
    let peers = state.known().unwrap().peers;
    for number in [1, 2] {
        assert!(peers[&key(number)].known.at.is_empty());
        assert!(peers[&key(number)].known.accepted.is_empty());
    }
}
