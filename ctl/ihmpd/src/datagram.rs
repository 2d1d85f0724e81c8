// SPDX-License-Identifier: GPL-2.0
//! UDP datagrams in packets of the netfilter queue.

use ihmp_core::{
    addr::{
        Addr,
        Family, //
    },
    packet,
};

/// Source, destination and payload of a UDP datagram; `None` for a fragment or for anything else.
pub(crate) fn datagram(bytes: &[u8]) -> Option<(Addr, Addr, &[u8])> {
    let family = match bytes.first()? >> 4 {
        4 => Family::V4,
        6 => Family::V6,
        _ => return None,
    };
    let packet = packet::parse(bytes, family).ok()?;
    let header = bytes.get(packet.l4..)?;
    let length = usize::from(u16::from_be_bytes([*header.get(4)?, *header.get(5)?]));
    let body = header.get(8..length)?;
    Some((packet.tuple.src, packet.tuple.dst, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_is_read() {
        let mut packet = vec![
            0x45, 0, 0, 33, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 198, 51, 100, 7,
        ];
        packet.extend([0xf0, 0x0d, 0xf0, 0x0d, 0, 13, 0, 0]);
        packet.extend(b"hello");
        let (from, to, body) = datagram(&packet).unwrap();
        assert_eq!(from, Addr::v4([192, 0, 2, 1]));
        assert_eq!((to, body), (Addr::v4([198, 51, 100, 7]), &b"hello"[..]));
        assert!(datagram(&packet[..30]).is_none() && datagram(&[]).is_none());
    }
}
