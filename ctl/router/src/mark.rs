// SPDX-License-Identifier: GPL-2.0
//! The one thing that a NAT changes in a message.

use ihmp_core::addr::Family;
use ihmp_core::csum;
use ihmp_core::message::Options;
use ihmp_core::packet;

/// Octets of the header of UDP, and where the checksum is in it.
const UDP_LEN: usize = 8;
const UDP_CSUM: usize = 6;

/// Sets NS in the message that a UDP datagram carries, from its network header on, and corrects the checksum; one of zero is
/// none, and stays so. False, and nothing is changed, when there is no message or the flag is set.
#[must_use]
pub fn mark(bytes: &mut [u8]) -> bool {
    set(bytes).is_some()
}

fn set(bytes: &mut [u8]) -> Option<()> {
    let family = match bytes.first()? >> 4 {
        4 => Family::V4,
        6 => Family::V6,
        _ => return None,
    };
    let udp = packet::parse(bytes, family).ok()?;
    if udp.tuple.proto != packet::UDP {
        return None;
    }
    let word = bytes.get_mut(udp.l4 + UDP_LEN..)?.first_chunk_mut::<2>()?;
    let old = u16::from_ne_bytes(*word);
    let flagged = word[1] | Options::NAT_SUPPORTED.bits();
    if flagged == word[1] {
        return None;
    }
    word[1] = flagged;
    let diff = csum::sub(u16::from_ne_bytes(*word).into(), old.into());
    let check = bytes.get_mut(udp.l4 + UDP_CSUM..)?.first_chunk_mut::<2>()?;
    if *check != [0, 0] {
        let new = csum::replace(u16::from_ne_bytes(*check), diff);
        // RFC 768: what comes out as zero is sent as all ones.
        *check = if new == 0 { u16::MAX } else { new }.to_ne_bytes();
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sum of pseudo-header and datagram; all ones when the checksum is right.
    fn sum(bytes: &[u8]) -> u16 {
        let (addrs, l4) = match bytes[0] >> 4 {
            4 => (&bytes[12..20], 20),
            _ => (&bytes[8..40], 40),
        };
        let udp = &bytes[l4..];
        let length = u16::try_from(udp.len()).unwrap().to_be_bytes();
        let pseudo = [addrs, &[0, 17], &length].concat();
        csum::fold(csum::add(csum::words(&pseudo), csum::words(udp)))
    }

    fn datagram(head: &[u8], body: &[u8]) -> Vec<u8> {
        let mut bytes = head.to_vec();
        let length = u16::try_from(UDP_LEN + body.len()).unwrap();
        bytes.extend([0xf0, 0x0d, 0xf0, 0x0d]);
        bytes.extend(length.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(body);
        bytes
    }

    fn v4(body: &[u8]) -> Vec<u8> {
        let total = u8::try_from(28 + body.len()).unwrap();
        let head = [
            0x45, 0, 0, total, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 198, 51, 100, 7,
        ];
        datagram(&head, body)
    }

    fn v6(body: &[u8]) -> Vec<u8> {
        let mut head = [0; 40];
        (head[0], head[6], head[7]) = (0x60, 17, 64);
        head[5] = u8::try_from(8 + body.len()).unwrap();
        head[8..12].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
        head[24..28].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
        (head[23], head[39]) = (1, 2);
        datagram(&head, body)
    }

    fn filled(mut bytes: Vec<u8>) -> Vec<u8> {
        let at = if bytes[0] >> 4 == 4 { 20 } else { 40 } + UDP_CSUM;
        let check = !sum(&bytes);
        bytes[at..at + 2].copy_from_slice(&check.to_ne_bytes());
        bytes
    }

    #[test]
    fn the_flag_and_the_checksum() {
        for last in 0..=u8::MAX {
            let body = [6, 4, 1, 2, last, 9, 9];
            for datagram in [filled(v4(&body)), filled(v6(&body))] {
                let mut marked = datagram.clone();
                assert!(mark(&mut marked));
                assert_eq!(sum(&marked), 0xffff);
                let at = marked.len() - body.len() + 1;
                assert_eq!(marked[at], 0x84);
                let differ = marked.iter().zip(&datagram).filter(|(a, b)| a != b);
                assert!(differ.count() <= 3);
                // It is set: nothing is left to do.
                assert!(!mark(&mut marked));
            }
        }
    }

    #[test]
    fn no_checksum_stays_none() {
        let mut bytes = v4(&[6, 4, 1, 2]);
        assert!(mark(&mut bytes));
        assert_eq!(bytes[26..28], [0, 0]);
        assert_eq!(bytes[29], 0x84);
    }

    #[test]
    fn a_wrong_checksum_stays_wrong() {
        let mut bytes = filled(v4(&[6, 4, 1, 2]));
        bytes[26] ^= 1;
        assert!(mark(&mut bytes));
        assert_ne!(sum(&bytes), 0xffff);
    }

    #[test]
    fn what_is_no_message() {
        let whole = filled(v4(&[6, 4]));
        for cut in 0..whole.len() {
            let mut bytes = whole[..cut].to_vec();
            assert!(!mark(&mut bytes));
            assert_eq!(bytes, whole[..cut]);
        }
        let mut tcp = whole.clone();
        tcp[9] = 6;
        assert!(!mark(&mut tcp));
    }
}
