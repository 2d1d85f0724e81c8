// SPDX-License-Identifier: GPL-2.0
//! Addresses, prefixes and policy.

mod prng;

use core::net::IpAddr;
use std::collections::BTreeSet;

use ihmp_core::addr::{Addr, Family, Scope};
use ihmp_core::policy::{decide, Action, Prefix, PrefixError};

use prng::Prng;

fn addr(text: &str) -> Addr {
    text.parse().unwrap()
}

#[test]
fn forms() {
    let v4 = Addr::v4([192, 0, 2, 1]);
    assert_eq!(
        v4.octets(),
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1]
    );
    assert_eq!(v4.wire(), [192, 0, 2, 1]);
    assert_eq!(v4.low(), [192, 0, 2, 1]);
    assert!(v4.is_v4());
    assert_eq!(v4.family(), Family::V4);
    assert_eq!(addr("::ffff:192.0.2.1"), v4);
    assert_eq!(Addr::v6(v4.octets()), v4);
    assert_eq!(v4.to_string(), "192.0.2.1");
    assert_eq!(format!("{v4:?}"), "192.0.2.1");

    let v6 = addr("2001:db8::1");
    assert_eq!(v6.wire(), v6.octets());
    assert_eq!(v6.family(), Family::V6);
    assert_eq!(v6.to_string(), "2001:db8::1");
    assert!(!Addr::UNSPECIFIED.is_v4());
    for text in [
        "",
        "1.2.3",
        "1.2.3.4.5",
        "::1::",
        "fe80::1%eth0",
        " ::1",
        "[::1]",
        "01.2.3.4",
    ] {
        assert!(text.parse::<Addr>().is_err(), "{text}");
    }
}

#[test]
fn wire_round_trip() {
    let mut prng = Prng::new(1);
    for _ in 0..10_000 {
        let family = prng.family();
        let addr = prng.addr(family);
        assert_eq!(addr.family(), family);
        assert_eq!(addr.wire().len(), if family == Family::V4 { 4 } else { 16 });
        assert_eq!(Addr::from_wire(addr.wire()), Some(addr));
        assert_eq!(addr.to_string().parse(), Ok(addr));
        assert_eq!(Addr::from(IpAddr::from(addr)), addr);
    }
    assert_eq!(Addr::from_wire(&Addr::v4([1, 2, 3, 4]).octets()), None);
    for len in (0..40).filter(|len| !matches!(len, 4 | 16)) {
        assert_eq!(Addr::from_wire(&vec![0x20; len]), None);
    }
}

#[test]
fn scopes() {
    use Scope::{Broadcast, Global, LinkLocal, Loopback, Multicast, Private, Unspecified};
    let cases = [
        ("0.0.0.0", Unspecified),
        ("0.1.2.3", Unspecified),
        ("::", Unspecified),
        ("127.0.0.1", Loopback),
        ("127.255.255.255", Loopback),
        ("::1", Loopback),
        ("169.254.1.1", LinkLocal),
        ("169.253.1.1", Global),
        ("fe80::1", LinkLocal),
        ("febf:ffff::1", LinkLocal),
        ("fec0::1", Private),
        ("224.0.0.1", Multicast),
        ("239.255.255.255", Multicast),
        ("ff02::1", Multicast),
        ("255.255.255.255", Broadcast),
        ("255.255.255.254", Global),
        ("240.0.0.1", Global),
        ("10.0.0.0", Private),
        ("11.0.0.0", Global),
        ("9.255.255.255", Global),
        ("172.15.0.1", Global),
        ("172.16.0.1", Private),
        ("172.31.0.1", Private),
        ("172.32.0.1", Global),
        ("192.168.0.1", Private),
        ("192.167.0.1", Global),
        ("100.63.0.1", Global),
        ("100.64.0.1", Private),
        ("100.127.0.1", Private),
        ("100.128.0.1", Global),
        ("fc00::1", Private),
        ("fdff::1", Private),
        ("fe00::1", Global),
        ("fb00::1", Global),
        ("2001:db8::1", Global),
        ("::2", Global),
        ("1::", Global),
    ];
    for (text, scope) in cases {
        assert_eq!(addr(text).scope(), scope, "{text}");
        assert_eq!(
            addr(text).translatable(),
            matches!(scope, Global | Private),
            "{text}"
        );
    }
}

#[test]
fn prefixes() {
    for text in [
        "0.0.0.0/0",
        "10.0.0.0/8",
        "192.0.2.1/32",
        "::/0",
        "2001:db8::/32",
        "2001:db8::/64",
        "::1/128",
        "8000::/1",
    ] {
        assert_eq!(text.parse::<Prefix>().unwrap().to_string(), text);
    }
    assert_eq!("192.0.2.1".parse::<Prefix>().unwrap().len, 32);
    assert_eq!("2001:db8::1".parse::<Prefix>().unwrap().len, 128);
    for text in ["10.0.0.0/33", "::/129", "::/255"] {
        assert_eq!(text.parse::<Prefix>(), Err(PrefixError::TooLong), "{text}");
    }
    for text in [
        "10.0.0.1/8",
        "10.128.0.0/8",
        "0.0.0.1/0",
        "2001:db8::1/64",
        "2001:db8::1/127",
        "::1/0",
        "1::/8",
    ] {
        assert_eq!(text.parse::<Prefix>(), Err(PrefixError::HostBits), "{text}");
    }
    for text in [
        "",
        "/",
        "10.0.0.0/",
        "/8",
        "10.0.0.0/+8",
        "10.0.0.0/-1",
        "10.0.0.0/256",
        "10.0.0.0/8/8",
        "10/8",
    ] {
        assert_eq!(text.parse::<Prefix>(), Err(PrefixError::Syntax), "{text}");
    }
}

/// Bits of the address as its family writes it.
fn bits(addr: Addr) -> Vec<bool> {
    addr.wire()
        .iter()
        .flat_map(|octet| (0..8).map(move |bit| (octet >> (7 - bit)) & 1 == 1))
        .collect()
}

/// An address under `base` up to some bit, or its neighbour.
fn near(prng: &mut Prng, base: Addr) -> Addr {
    let mut octets = base.wire().to_vec();
    for _ in 0..prng.below(3) {
        let bit = prng.below(octets.len() * 8);
        octets[bit / 8] ^= 0x80 >> (bit % 8);
    }
    Addr::from_wire(&octets).unwrap_or(base)
}

fn truncated(addr: Addr, len: usize) -> Addr {
    let mut octets = addr.wire().to_vec();
    for bit in len..octets.len() * 8 {
        octets[bit / 8] &= !(0x80 >> (bit % 8));
    }
    Addr::from_wire(&octets).unwrap()
}

#[test]
fn prefixes_against_bits() {
    let mut prng = Prng::new(2);
    for _ in 0..50_000 {
        let family = prng.family();
        let base = prng.addr(family);
        let width = base.wire().len() * 8;
        let len = prng.below(width + 1);
        let first = truncated(base, len);
        let prefix = Prefix::new(first, len as u8).unwrap();
        let other = near(&mut prng, base);
        assert_eq!(
            prefix.contains(other),
            bits(other)[..len] == bits(base)[..len],
            "{prefix} {other}"
        );
        let host_bits = bits(base)[len..].contains(&true);
        assert_eq!(
            Prefix::new(base, len as u8).is_err(),
            host_bits,
            "{base}/{len}"
        );
        let (v4, v6) = (prng.addr(Family::V4), prng.addr(Family::V6));
        assert!(!prefix.contains(if family == Family::V4 { v6 } else { v4 }));
    }
    let all: Prefix = "::/0".parse().unwrap();
    assert!(all.contains(addr("2001:db8::1")) && !all.contains(addr("192.0.2.1")));
}

#[test]
fn longest_prefix_wins() {
    let mut prng = Prng::new(3);
    let bases = [addr("10.1.2.3"), addr("2001:db8:1:2:3:4:5:6")];
    for _ in 0..20_000 {
        let mut seen = BTreeSet::new();
        let policy: Vec<(Prefix, Action)> = (0..prng.below(12))
            .map(|_| {
                let base = prng.pick(&bases);
                let base = near(&mut prng, base);
                let len = prng.below(base.wire().len() * 8 + 1);
                let prefix = Prefix::new(truncated(base, len), len as u8).unwrap();
                (
                    prefix,
                    prng.pick(&[Action::Auto, Action::Known, Action::Never]),
                )
            })
            .filter(|(prefix, _)| seen.insert(*prefix))
            .collect();
        let base = prng.pick(&bases);
        let addr = near(&mut prng, base);
        let mut sorted: Vec<_> = policy
            .iter()
            .filter(|(prefix, _)| prefix.contains(addr))
            .collect();
        sorted.sort_by_key(|(prefix, _)| prefix.len);
        let expected = sorted.last().map_or(Action::Auto, |(_, action)| *action);
        assert_eq!(decide(&policy, addr), expected, "{policy:?} {addr}");
    }
    assert_eq!(decide(&[], bases[0]), Action::Auto);
}

#[test]
fn action_numbers() {
    for (number, action) in [Action::Auto, Action::Known, Action::Never, Action::AutoIn]
        .into_iter()
        .enumerate()
    {
        assert_eq!(action as usize, number);
        assert_eq!(Action::from_number(number as u32), Some(action));
    }
    assert_eq!(Action::from_number(4), None);
}
