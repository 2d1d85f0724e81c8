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
