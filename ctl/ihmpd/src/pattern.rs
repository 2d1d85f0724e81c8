// SPDX-License-Identifier: GPL-2.0
//! Patterns of names of devices.

/// Whether a name matches a pattern; `*` stands for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => match name.strip_prefix(head) {
            None => false,
            Some(name) => (0..=name.len())
                .filter_map(|at| name.get(at..))
                .any(|tail| matches(rest, tail)),
        },
    }
}

/// Whether a name matches one of these patterns.
pub(crate) fn any(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        assert!(matches("veth*", "veth0"));
        assert!(matches("veth*", "veth"));
        assert!(!matches("veth*", "eth0"));
        assert!(matches("*", ""));
        assert!(matches("br-*x", "br-0x0x"));
        assert!(!matches("br-*x", "br-0y"));
    }
}
