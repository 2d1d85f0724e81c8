// SPDX-License-Identifier: GPL-2.0
//! The program from outside: exit codes and where it writes.

use std::process::Command;

/// Exit code, standard output, standard error.
fn run(words: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ihmpctl"))
        .args(words)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn help_and_version() {
    for words in [
        &["help"][..],
        &["-h"],
        &["--help"],
        &[],
        &["host", "--help"],
    ] {
        let (code, out, err) = run(words);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{words:?}");
        assert!(out.starts_with("Usage: ihmpctl"), "{out}");
    }
    let (code, out, _) = run(&["host", "help"]);
    assert_eq!(code, Some(0));
    assert!(out.contains("ihmpctl host add"), "{out}");
    assert_eq!(
        run(&["-V"]),
        (
            Some(0),
            format!("ihmpctl {}\n", env!("CARGO_PKG_VERSION")),
            String::new()
        )
    );
}

#[test]
fn wrong_usage_is_1() {
    for words in [
        &["bogus"][..],
        &["-z"],
        &["-n"],
        &["-4", "-6", "host"],
        &["host", "del"],
        &["host", "-j", "x"],
    ] {
        let (code, out, err) = run(words);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{words:?}");
        assert!(
            err.starts_with("Error: ") && err.ends_with(".\n") && err.lines().count() == 1,
            "{err:?}"
        );
    }
}

#[test]
fn refusal_is_2() {
    let (code, _, err) = run(&["-n", "no-such-namespace", "host", "show"]);
    assert_eq!(code, Some(2));
    assert_eq!(err, "Error: cannot open network namespace \"no-such-namespace\": No such file or directory (os error 2).\n");
    // Without the module, or without such a host.
    let (code, out, err) = run(&["host", "show", "4294967295"]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(err.starts_with("Error: ihmp: "), "{err}");
}

#[test]
fn keys() {
    let dir = std::env::temp_dir().join(format!("ihmpctl-keys-{}", std::process::id()));
    let state = dir.to_str().unwrap();
    let key = |words: &[&str]| run(&[&["--state", state, "key"], words].concat());
    assert_eq!(key(&["show"]), (Some(0), String::new(), String::new()));
    let (code, made, err) = key(&["set-local", "all"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(made.starts_with("sha256:") && made.len() == 72, "{made}");
    let (_, out, _) = key(&["show"]);
    assert!(
        out.starts_with(&format!("own default {} key ", made.trim())),
        "{out}"
    );
    let own = out.split_whitespace().nth(4).unwrap().to_owned();

    // What a peer's administrator was told.
    let peer = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let fingerprint = "sha256:21fe31dfa154a261626bf854046fd2271b7bed4b6abe45aa58877ef47f9721b9";
    assert_eq!(
        key(&["add", peer, "name", "lab", "at", "10.0.0.0/8"]).0,
        Some(0)
    );
    let line = format!("peer listed {fingerprint} key {peer} name lab at 10.0.0.0/8\n");
    assert!(key(&["show"]).1.ends_with(&line));
    let json = run(&["--state", state, "-j", "key"]).1;
    assert!(
        json.contains("\"kind\":\"peer\",\"name\":\"lab\""),
        "{json}"
    );
    assert_eq!(
        key(&["add", &own, "name", "lab"]).2,
        "Error: another key has that name.\n"
    );
    for (words, code) in [
        (&["add"][..], 1),
        (&["add", "xy"], 1),
        (&["add", peer, "at", "10.0.0.1/8"], 1),
        (&["add", peer, "name", "a b"], 1),
        (&["set-local"], 1),
        (&["set-local", "all", "10.0.0.0/8"], 1),
        (&["set-local", "all", "from", "/nowhere/key"], 2),
        (&["del", "nobody"], 2),
        (&["del", "default"], 2),
        (&["rotate", "nobody"], 2),
    ] {
        assert_eq!(key(words).0, Some(code), "{words:?}");
    }
    for name in ["lab", peer, fingerprint] {
        assert_eq!(key(&["add", peer, "name", "lab"]).0, Some(0));
        assert_eq!(key(&["del", name]), (Some(0), String::new(), String::new()));
        assert!(!key(&["show"]).1.contains("peer"));
    }

    // A key for some addresses, from a file; and a new one after the old one.
    let file = dir.join("seed");
    let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    std::fs::write(&file, seed).unwrap();
    let from = ["set-local", "192.0.2.0/24", "from", file.to_str().unwrap()];
    assert_eq!(key(&from).1.trim(), fingerprint);
    assert_eq!(key(&from).0, Some(2));
    let (_, new, _) = key(&["rotate"]);
    let (_, out, _) = key(&["show"]);
    assert!(
        out.contains(&format!("own default {} ", new.trim())),
        "{out}"
    );
    assert!(out.contains(&format!(" after {made}")), "{out}");
    assert!(out.contains(" for 192.0.2.0/24"), "{out}");
    // No private key is shown.
    assert!(!out.contains(seed), "{out}");
    assert_eq!(key(&["del", fingerprint]).0, Some(0));
    std::fs::remove_dir_all(&dir).unwrap();
}
