// SPDX-License-Identifier: GPL-2.0
//! Rewriting against the oracle: what a packet becomes is what its sender would have built for the new tuple.

mod packets;
mod prng;

use ihmp_core::addr::Family;
use ihmp_core::crc;
use ihmp_core::packet::{parse, Kind, Packet};
use ihmp_core::xlat::{apply, apply_error, span, Fix, Rewrite};

use packets::{error, error_kinds, sum, Proto, Spec, PROTOS};
use prng::Prng;

const ROUNDS: usize = 1_000;

/// `csum_add` and its kin, from include/net/checksum.h of the kernel.
mod kernel {
    pub(crate) fn csum_add(a: u32, b: u32) -> u32 {
        let sum = a.wrapping_add(b);
        sum.wrapping_add(u32::from(sum < b))
    }

    pub(crate) fn csum_sub(a: u32, b: u32) -> u32 {
        csum_add(a, !b)
    }

    pub(crate) fn csum_fold(mut sum: u32) -> u16 {
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        !(sum as u16)
    }

    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Summed {
        None,
        Partial,
        Complete,
    }

    /// `inet_proto_csum_replace_by_diff`.
    pub(crate) fn replace(
        sum: &mut u16,
        how: Summed,
        csum: &mut u32,
        diff: u32,
        pseudo: bool,
        v6: bool,
    ) {
        if how != Summed::Partial {
            *sum = csum_fold(csum_add(diff, !u32::from(*sum)));
            if how == Summed::Complete && pseudo && !v6 {
                *csum = !csum_sub(diff, *csum);
            }
        } else if pseudo {
            *sum = !csum_fold(csum_add(diff, u32::from(*sum)));
        }
    }
}

use kernel::Summed;

/// Does what the module does with a fix; `csum` is the sum of the packet as the device saw it.
fn mend(packet: &mut [u8], family: Family, fix: Option<Fix>, how: Summed, csum: &mut u32) {
    match fix {
        Some(Fix::Sum {
            at,
            pseudo,
            plain,
            mangle_zero,
        }) => {
            let field = &mut packet[at..at + 2];
            let mut check = u16::from_ne_bytes([field[0], field[1]]);
            let v6 = family == Family::V6;
            kernel::replace(&mut check, how, csum, pseudo, true, v6);
            kernel::replace(&mut check, how, csum, plain, false, v6);
            if mangle_zero && check == 0 {
                check = 0xffff;
            }
            field.copy_from_slice(&check.to_ne_bytes());
        }
        Some(Fix::Crc { at, from, changed }) if how != Summed::Partial => {
            let difference = crc::difference(changed, packet.len() - from);
            let field = packet[at..].first_chunk_mut::<4>().unwrap();
            *field = (u32::from_le_bytes(*field) ^ difference).to_le_bytes();
        }
        _ => (),
    }
}

fn rewrite(spec: &Spec) -> Rewrite {
    Rewrite {
        src: spec.src,
        dst: spec.dst,
        sport: spec.sport,
        dport: spec.dport,
    }
}

/// The same packet with another tuple. Now and then some of it stays.
fn moved(prng: &mut Prng, spec: &Spec) -> Spec {
    let mut to = spec.clone();
    if !prng.one_in(4) {
        to.src = prng.addr(spec.family);
    }
    if !prng.one_in(4) {
        to.dst = prng.addr(spec.family);
    }
    if prng.one_in(3) {
        to.sport = prng.word();
    }
    if prng.one_in(3) {
        to.dport = prng.word();
    }
    to
}

fn parsed(packet: &[u8], family: Family) -> Packet {
    parse(packet, family).unwrap_or_else(|error| panic!("{error:?}: {packet:02x?}"))
}

/// Applies to a copy that is writable only as far as the span says.
fn translate(
    packet: &[u8],
    pkt: &Packet,
    how: Summed,
    csum: &mut u32,
    f: impl Fn(&mut [u8]) -> Option<Fix>,
) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let span = span(pkt);
    assert!(span <= packet.len());
    let mut short = packet[..span - 1].to_vec();
    assert_eq!(f(&mut short), None);
    assert_eq!(short, packet[..span - 1]);
    let fix = f(&mut packet[..span]);
    if let Some(fix) = fix {
        assert!(fix.end() <= span);
    }
    mend(&mut packet, pkt.family, fix, how, csum);
    packet
}

fn each(seed: u64, mut f: impl FnMut(&mut Prng, &Spec)) {
    let mut prng = Prng::new(seed);
    for family in [Family::V4, Family::V6] {
        for proto in PROTOS {
            for _ in 0..ROUNDS {
                let spec = Spec::random(&mut prng, family, proto);
                f(&mut prng, &spec);
            }
        }
    }
}

#[test]
fn right_checksums_stay_right() {
    each(1, |prng, spec| {
        let to = moved(prng, spec);
        let packet = spec.build();
        let pkt = parsed(&packet, spec.family);
        let out = translate(&packet, &pkt, Summed::None, &mut 0, |head| {
            apply(head, &pkt, &rewrite(&to))
        });
        assert_eq!(out, to.build(), "{spec:?} -> {to:?}");
        assert_eq!(parsed(&out, spec.family).tuple, to.tuple());
    });
}

#[test]
fn there_and_back() {
    each(2, |prng, spec| {
        let to = moved(prng, spec);
        let packet = spec.build();
        let pkt = parsed(&packet, spec.family);
        let out = translate(&packet, &pkt, Summed::None, &mut 0, |head| {
            apply(head, &pkt, &rewrite(&to))
        });
        let pkt = parsed(&out, spec.family);
        let back = translate(&out, &pkt, Summed::None, &mut 0, |head| {
            apply(head, &pkt, &rewrite(spec))
        });
        assert_eq!(back, packet);
    });
}

/// A checksum that is wrong by some amount is wrong by the same amount afterwards, in both headers.
#[test]
fn wrong_checksums_stay_wrong() {
    each(3, |prng, spec| {
        let to = moved(prng, spec);
        let mut packet = spec.build();
        let mut expected = to.build();
        let mut fields = Vec::new();
        if let Some(at) = spec.checksum_at() {
            fields.push(at);
        }
        if spec.family == Family::V4 {
            fields.push(10);
        }
        let word =
            |packet: &[u8], at: usize| u32::from(u16::from_be_bytes([packet[at], packet[at + 1]]));
        let mut errors = Vec::new();
        for &at in &fields {
            let right = word(&packet, at);
            let mut wrong = u32::from(prng.word());
            if at != 10
                && wrong == 0
                && matches!(
                    spec.proto,
                    Proto::Udp | Proto::UdpLite | Proto::UdpLiteHeader
                )
            {
                wrong = 1;
            }
            packet[at..at + 2].copy_from_slice(&(wrong as u16).to_be_bytes());
            errors.push((wrong + 0xffff - right) % 0xffff);
        }
        let pkt = parsed(&packet, spec.family);
        let mut out = translate(&packet, &pkt, Summed::None, &mut 0, |head| {
            apply(head, &pkt, &rewrite(&to))
        });
        for (&at, error) in fields.iter().zip(errors) {
            let right = word(&expected, at);
            assert_eq!(
                (word(&out, at) + 0xffff - right) % 0xffff,
                error,
                "{spec:?} -> {to:?}"
            );
            out[at..at + 2].fill(0);
            expected[at..at + 2].fill(0);
        }
        assert_eq!(out, expected);
    });
}

/// A CRC that is wrong is wrong by the same bits afterwards; if the device is to make it, nothing is written.
#[test]
fn crcs_that_are_not_right() {
    let mut prng = Prng::new(12);
    for family in [Family::V4, Family::V6] {
        for _ in 0..ROUNDS {
            let spec = Spec::random(&mut prng, family, Proto::Sctp);
            let to = moved(&mut prng, &spec);
            let wrong = prng.octets(4);
            let at = spec.l4() + 8;
            let put = |mut packet: Vec<u8>| {
                packet[at..at + 4]
                    .iter_mut()
                    .zip(&wrong)
                    .for_each(|(octet, wrong)| *octet ^= wrong);
                packet
            };
            let packet = put(spec.build());
            let pkt = parsed(&packet, family);
            let f = |head: &mut [u8]| apply(head, &pkt, &rewrite(&to));
            let out = translate(&packet, &pkt, Summed::None, &mut 0, f);
            assert_eq!(out, put(to.build()), "{spec:?} -> {to:?}");

            let mut packet = spec.build();
            packet[at..at + 4].fill(0);
            let mut expected = to.build();
            expected[at..at + 4].fill(0);
            let f = |head: &mut [u8]| apply(head, &pkt, &rewrite(&to));
            let out = translate(&packet, &pkt, Summed::Partial, &mut 0, f);
            assert_eq!(out, expected);
        }
    }
}

/// With checksum offload the field holds the folded pseudo-header sum, and must hold the new one.
#[test]
fn partial_checksums() {
    each(4, |prng, spec| {
        if !spec.covers_addresses() || matches!(spec.number(), 58 | 33) {
            return;
        }
        let to = moved(prng, spec);
        let at = spec.checksum_at().unwrap();
        let partial = |spec: &Spec| {
            let mut packet = spec.build();
            let len = packet.len() - spec.l4();
            let pseudo =
                sum(spec.src.wire()) + sum(spec.dst.wire()) + u64::from(spec.number()) + len as u64;
            packet[at..at + 2].copy_from_slice(&(!packets::checksum(pseudo)).to_be_bytes());
            packet
        };
        let packet = partial(spec);
        let pkt = parsed(&packet, spec.family);
        let out = translate(&packet, &pkt, Summed::Partial, &mut 0, |head| {
            apply(head, &pkt, &rewrite(&to))
        });
        assert_eq!(out, partial(&to), "{spec:?} -> {to:?}");
    });
}

/// The sum of all octets, in memory order.
fn device_sum(packet: &[u8]) -> u32 {
    packet.chunks(2).fold(0, |sum, pair| {
        let word = u16::from_ne_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
        kernel::csum_add(sum, u32::from(word))
    })
}

/// The sum that the device made of the packet it received stays the sum of the packet.
#[test]
fn complete_checksums() {
    each(5, |prng, spec| {
        if spec.family == Family::V6 && !spec.covers_addresses() {
            return;
        }
        let to = moved(prng, spec);
        let packet = spec.build();
        let pkt = parsed(&packet, spec.family);
        let mut csum = device_sum(&packet);
        let f = |head: &mut [u8]| apply(head, &pkt, &rewrite(&to));
        let plain_change = matches!(spec.proto, Proto::Sctp | Proto::UdpZero);
        let out = translate(&packet, &pkt, Summed::Complete, &mut csum, f);
        if !plain_change {
            assert_eq!(
                csum % 0xffff,
                device_sum(&out) % 0xffff,
                "{spec:?} -> {to:?}"
            );
        }
    });
}

/// An error that quotes `inner` up to `len` octets.
fn quoting(outer: &Spec, kind: u8, inner: &Spec, len: usize) -> Vec<u8> {
    let quote = inner.build();
    error(outer, kind, &quote[..len.min(quote.len())])
}

#[test]
fn errors() {
    each(6, |prng, inner| {
        // The CRC of SCTP covers the other fragments, too, and is left.
        let inner = &Spec {
            more: prng.one_in(8) && inner.proto != Proto::Sctp,
            ..inner.clone()
        };
        let outer = Spec::random(prng, inner.family, Proto::OtherIcmp);
        let kind = prng.pick(error_kinds(inner.family));
        let least = if inner.family == Family::V4 { 20 } else { 40 };
        let mut len = least + prng.below(inner.build().len() - least + 1);
        // Half a checksum cannot be mended.
        if inner.checksum_at().is_some_and(|at| len == at + 1) {
            len -= 1;
        }
        let crc = inner.l4() + 8;
        if inner.proto == Proto::Sctp && (crc..crc + 4).contains(&len) {
            len = crc;
        }
        let packet = quoting(&outer, kind, inner, len);
        let pkt = parsed(&packet, inner.family);
        let Kind::Error(quoted) = pkt.kind else {
            panic!("{pkt:?}");
        };
        let outer_to = moved(prng, &outer);
        let mut inner_to = moved(prng, inner);
        if !quoted.ports {
            inner_to.sport = inner.sport;
            inner_to.dport = inner.dport;
        }
        let mut csum = device_sum(&packet);
        let f = |head: &mut [u8]| apply_error(head, &pkt, &rewrite(&outer_to), &rewrite(&inner_to));
        let out = translate(&packet, &pkt, Summed::Complete, &mut csum, f);
        assert_eq!(
            out,
            quoting(&outer_to, kind, &inner_to, len),
            "{inner:?} -> {inner_to:?}"
        );
        assert_eq!(csum % 0xffff, device_sum(&out) % 0xffff);

        let pkt = parsed(&out, inner.family);
        let f = |head: &mut [u8]| apply_error(head, &pkt, &rewrite(&outer), &rewrite(inner));
        assert_eq!(translate(&out, &pkt, Summed::None, &mut 0, f), packet);
    });
}

/// `apply` on an error touches the outer header only.
#[test]
fn outer_of_errors() {
    each(7, |prng, inner| {
        let outer = Spec::random(prng, inner.family, Proto::OtherIcmp);
        let kind = prng.pick(error_kinds(inner.family));
        let packet = quoting(&outer, kind, inner, 1_000);
        let pkt = parsed(&packet, inner.family);
        let to = moved(prng, &outer);
        let mut out = packet.clone();
        // The quote need not be writable.
        let fix = apply(&mut out[..outer.l4() + 4], &pkt, &rewrite(&to));
        mend(&mut out, inner.family, fix, Summed::None, &mut 0);
        assert_eq!(out, quoting(&to, kind, inner, 1_000));
    });
}

/// A UDP checksum that comes out as zero is written as ones, in the packet and in a quote of it.
#[test]
fn zero_becomes_ones() {
    let mut prng = Prng::new(11);
    for family in [Family::V4, Family::V6] {
        for proto in [Proto::Udp, Proto::UdpLite] {
            for _ in 0..ROUNDS {
                let mut spec = Spec::random(&mut prng, family, proto);
                let mut to = moved(&mut prng, &spec);
                let at = spec.checksum_at().unwrap();
                to.rest[..2].fill(0);
                let missing = to.build()[at..at + 2].to_vec();
                to.rest[..2].copy_from_slice(&missing);
                spec.rest = to.rest.clone();
                let expected = to.build();
                assert_eq!(expected[at..at + 2], [0xff, 0xff]);

                let packet = spec.build();
                let pkt = parsed(&packet, family);
                let f = |head: &mut [u8]| apply(head, &pkt, &rewrite(&to));
                assert_eq!(translate(&packet, &pkt, Summed::None, &mut 0, f), expected);

                let outer = Spec::random(&mut prng, family, Proto::OtherIcmp);
                let packet = quoting(&outer, 3, &spec, 1_000);
                let pkt = parsed(&packet, family);
                let f = |head: &mut [u8]| apply_error(head, &pkt, &rewrite(&outer), &rewrite(&to));
                assert_eq!(
                    translate(&packet, &pkt, Summed::None, &mut 0, f),
                    quoting(&outer, 3, &to, 1_000)
                );
            }
        }
    }
}

#[test]
fn nothing_to_fix() {
    each(8, |_, spec| {
        let mut packet = spec.build();
        let before = packet.clone();
        let pkt = parsed(&packet, spec.family);
        assert_eq!(apply(&mut packet, &pkt, &rewrite(spec)), None);
        assert_eq!(packet, before);
    });
}

/// Addresses of the other family are refused, and nothing is written.
#[test]
fn other_family() {
    let mut prng = Prng::new(9);
    for family in [Family::V4, Family::V6] {
        let spec = Spec::random(&mut prng, family, Proto::Tcp);
        let other = if family == Family::V4 {
            Family::V6
        } else {
            Family::V4
        };
        let mut to = rewrite(&spec);
        to.dst = prng.addr(other);
        let mut packet = spec.build();
        let before = packet.clone();
        let pkt = parsed(&packet, family);
        assert_eq!(apply(&mut packet, &pkt, &to), None);
        assert_eq!(
            apply_error(&mut packet, &pkt, &rewrite(&spec), &rewrite(&spec)),
            None
        );
        assert_eq!(packet, before);
    }
}

/// Damaged packets: no panic, nothing written behind the span, offsets inside the packet.
#[test]
fn damaged() {
    let mut prng = Prng::new(10);
    let mut translated = 0;
    for _ in 0..200_000 {
        let family = prng.family();
        let proto = prng.pick(&PROTOS);
        let spec = Spec::random(&mut prng, family, proto);
        let mut packet = match prng.below(3) {
            0 => {
                let outer = Spec::random(&mut prng, family, Proto::OtherIcmp);
                let kind = prng.pick(error_kinds(family));
                let len = prng.below(120);
                quoting(&outer, kind, &spec, len)
            }
            1 => spec.build(),
            _ => {
                let len = prng.below(100);
                prng.octets(len)
            }
        };
        for _ in 0..prng.below(6) {
            if !packet.is_empty() {
                let at = prng.below(packet.len());
                packet[at] = prng.pick(&[0, 1, 0xff, 0x45, 0x60, 44, 60]);
            }
        }
        if prng.one_in(2) {
            packet.truncate(prng.below(packet.len() + 1));
        }
        let Ok(pkt) = parse(&packet, family) else {
            continue;
        };
        translated += 1;
        let (outer, inner) = (moved(&mut prng, &spec), moved(&mut prng, &spec));
        let span = span(&pkt);
        assert!(span <= packet.len());
        let mut out = packet.clone();
        let fix = match pkt.kind {
            Kind::Error(_) => apply_error(&mut out, &pkt, &rewrite(&outer), &rewrite(&inner)),
            _ => apply(&mut out, &pkt, &rewrite(&outer)),
        };
        assert!(fix.is_none_or(|fix| fix.end() <= span));
        assert_eq!(out[span..], packet[span..]);
    }
    assert!(translated > 50_000, "{translated}");
}
