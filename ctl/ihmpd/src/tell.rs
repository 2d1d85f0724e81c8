// SPDX-License-Identifier: GPL-2.0
//! Which own addresses peers are told of: by the administrator's list, and stable addresses rather than temporary ones.

use std::net::IpAddr;

use ihmp_core::policy::{
    Prefix,
    PrefixError, //
};
use ihmp_engine::Discretion;
use ihmp_network::{
    Address,
    Link, //
};

use crate::{
    io::kernel::addr,
    own::Own,
    pattern, //
};

/// Longest name of a device.
const LONGEST: usize = 15;

/// `interfaces.tell`: name patterns of devices, and prefixes of addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tell {
    names: Vec<String>,
    prefixes: Vec<Prefix>,
}

impl Tell {
    /// Reads the list. The error has the entry that is wrong, and why.
    pub(crate) fn parse(texts: &[String]) -> Result<Self, (String, String)> {
        let mut tell = Self::default();
        for text in texts {
            let bad = |why: &dyn std::fmt::Display| (text.clone(), why.to_string());
            if text.contains('/') || text.parse::<IpAddr>().is_ok() {
                let prefix = text.parse();
                let prefix = prefix.map_err(|error: PrefixError| {
                    bad(&format!("\"{text}\" is not a prefix: {error}"))
                })?;
                tell.prefixes.push(prefix);
            } else if text.is_empty() || text.contains(char::is_whitespace) {
                return Err(bad(&format!("\"{text}\" is no name of a device")));
            } else if !text.contains('*') && text.len() > LONGEST {
                return Err(bad(&format!(
                    "\"{text}\" is too long for the name of a device"
                )));
            } else {
                tell.names.push(text.clone());
            }
        }
        Ok(tell)
    }

    /// Without a list, all are told.
    fn is_silent(&self, own: &Address, device: &str) -> bool {
        let any = self.names.is_empty() && self.prefixes.is_empty();
        !any && !pattern::any(&self.names, device) && !self.is_open(own.addr)
    }

    fn is_open(&self, own: IpAddr) -> bool {
        self.prefixes
            .iter()
            .any(|prefix| prefix.contains(addr(own)))
    }

    /// What the engine may tell peers of these addresses. Temporary addresses that are not usable yet count as well: a stable address that
    /// is usable before them is not told to peers.
    pub(crate) fn discretion(
        &self,
        links: &[Link],
        addrs: &[Address],
        local: &[Own],
    ) -> Discretion {
        let mut discretion = Discretion::default();
        for entry in addrs {
            if entry.temporary {
                discretion.temporary.push(addr(entry.addr));
            }
            if !local.iter().any(|own| own.addr == entry.addr) {
                continue;
            }
            let device = links.iter().find(|link| link.index == entry.index);
            if self.is_silent(entry, device.map_or("", |link| &link.name)) {
                discretion.silent.push(addr(entry.addr));
            }
            if self.is_open(entry.addr) {
                discretion.open.push(addr(entry.addr));
            }
        }
        discretion
    }
}

#[cfg(test)]
mod tests {
    use ihmp_engine::Age;

    use super::*;

    fn tell(texts: &[&str]) -> Result<Tell, (String, String)> {
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        Tell::parse(&texts)
    }

    fn discretion(texts: &[&str]) -> Discretion {
        let link = |index, name: &str| Link {
            index,
            name: name.into(),
            kind: None,
            up: true,
            loopback: false,
            link_type: 1,
            master: None,
            hardware: true,
        };
        let entry = |index, text: &str, temporary| Address {
            index,
            addr: text.parse().unwrap(),
            prefix_len: 24,
            usable: true,
            deprecated: false,
            temporary,
        };
        let addrs = [
            entry(1, "192.0.2.1", false),
            entry(2, "10.0.0.1", false),
            entry(2, "2001:db8::1", true),
        ];
        let own = |entry: &Address| Own {
            addr: entry.addr,
            age: Age::Preferred,
            device: None,
        };
        let local: Vec<Own> = addrs.iter().map(own).collect();
        let links = [link(1, "eth0"), link(2, "wifi0")];
        tell(texts).unwrap().discretion(&links, &addrs, &local)
    }

    #[test]
    fn devices_and_prefixes() {
        let texts = |list: Vec<_>| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let silent = |list: &[&str]| texts(discretion(list).silent);
        assert_eq!(silent(&[]), [""; 0]);
        assert_eq!(silent(&["eth*"]), ["10.0.0.1", "2001:db8::1"]);
        assert_eq!(silent(&["wifi0"]), ["192.0.2.1"]);
        assert_eq!(silent(&["10.0.0.0/8", "eth0"]), ["2001:db8::1"]);
        assert_eq!(texts(discretion(&["10.0.0.0/8"]).open), ["10.0.0.1"]);
        assert_eq!(texts(discretion(&[]).temporary), ["2001:db8::1"]);
    }

    #[test]
    fn what_is_neither_is_refused() {
        for bad in [
            "",
            "a b",
            "10.0.0.0/33",
            "eth0/x",
            "a-name-that-is-too-long",
        ] {
            let (entry, why) = tell(&["eth*", bad]).unwrap_err();
            assert_eq!(entry, bad, "{why}");
        }
    }
}
