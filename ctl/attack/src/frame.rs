// SPDX-License-Identifier: GPL-2.0
//! A datagram as a frame on an Ethernet link, from whatever source (RFC 768, 791, 8200).

use ihmp_core::addr::Addr;
use ihmp_core::message::PORT;

/// Hardware address of an interface.
pub(crate) type Mac = [u8; 6];

/// A locally administered address that nobody has.
const NOBODY: Mac = [0x02, 0, 0, 0, 0, 0x66];
const UDP: u8 = 17;

/// The sum of all pairs of octets, to which `sum` is added.
fn sum(octets: &[u8], sum: u32) -> u32 {
    let pair = |pair: &[u8]| (u32::from(pair[0]) << 8) | pair.get(1).copied().map_or(0, u32::from);
    octets
        .chunks(2)
        .map(pair)
        .fold(sum, |sum, pair| sum.wrapping_add(pair))
}

fn folded(mut sum: u32) -> [u8; 2] {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).map_or(0, |sum| !sum).to_be_bytes()
}

/// The octets of an address as its own family writes it.
fn octets(addr: &Addr) -> Vec<u8> {
    if addr.is_v4() {
        addr.low().to_vec()
    } else {
        addr.octets().to_vec()
    }
}

/// A message in UDP from and to the port of IHMP.
pub(crate) fn frame(mac: Mac, from: Addr, to: Addr, message: &[u8]) -> Vec<u8> {
    let (source, destination) = (octets(&from), octets(&to));
    let len = u16::try_from(message.len() + 8)
        .unwrap_or(u16::MAX)
        .to_be_bytes();
    let mut udp = [PORT.to_be_bytes(), PORT.to_be_bytes(), len, [0, 0]].concat();
    udp.extend(message);
    let pseudo = sum(&source, sum(&destination, sum(&len, u32::from(UDP))));
    let mut checksum = folded(sum(&udp, pseudo));
    if checksum == [0, 0] {
        checksum = [0xff, 0xff];
    }
    udp[6..8].copy_from_slice(&checksum);

    let mut frame = [mac, NOBODY].concat();
    if from.is_v4() {
        frame.extend([0x08, 0x00]);
        let total = u16::try_from(udp.len() + 20)
            .unwrap_or(u16::MAX)
            .to_be_bytes();
        let mut head = vec![0x45, 0, total[0], total[1], 0, 0, 0x40, 0, 64, UDP, 0, 0];
        head.extend(source);
        head.extend(destination);
        let checksum = folded(sum(&head, 0));
        head[10..12].copy_from_slice(&checksum);
        frame.extend(head);
    } else {
        frame.extend([0x86, 0xdd]);
        frame.extend([0x60, 0, 0, 0, len[0], len[1], UDP, 64]);
        frame.extend(source);
        frame.extend(destination);
    }
    frame.extend(udp);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_right() {
        for (from, to) in [
            ("192.0.2.66", "192.0.2.101"),
            ("2001:db8::66", "2001:db8::1"),
        ] {
            let (from, to): (Addr, Addr) = (from.parse().unwrap(), to.parse().unwrap());
            for message in [&b"even"[..], b"odd"] {
                let frame = frame([1; 6], from, to, message);
                let head = if from.is_v4() { 20 } else { 40 };
                if from.is_v4() {
                    assert_eq!(folded(sum(&frame[14..34], 0)), [0, 0]);
                }
                let udp = &frame[14 + head..];
                let len = u16::try_from(udp.len()).unwrap().to_be_bytes();
                let pseudo = sum(&octets(&from), sum(&octets(&to), sum(&len, 17)));
                assert_eq!(folded(sum(udp, pseudo)), [0, 0]);
                assert_eq!(&udp[8..], message);
            }
        }
    }
}
