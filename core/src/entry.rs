// SPDX-License-Identifier: GPL-2.0
//! What a NAT_ENTRY says ([DIME-IFIP] section V-D, Fig. 9): the ports that a NAT gave to flows of a host behind it.
//!
//! ```
//! use ihmp_core::addr::Addr;
//! use ihmp_core::entry::{Entry, Lease};
//! use ihmp_core::packet::TCP;
//!
//! let lease = Lease { proto: TCP, nat_port: 20_001, port: 40_000, peer_port: 22, lifetime: 600 };
//! let nat = Addr::v4([203, 0, 113, 2]);
//! let entry = Entry::new(nat, Addr::v4([192, 168, 1, 7]), [7; 32], &[lease]).unwrap();
//! assert_eq!(Entry::read(&entry.addresses()), Some(entry));
//! assert_eq!(entry.leases().collect::<Vec<_>>(), [lease]);
//! ```

use crate::addr::Addr;
use crate::message::{Addresses, ADDRESS_LEN, MAX_ADDRESSES};
use crate::nat::Mapping;

/// Addresses before the leases: the NAT's, the host's, and its key in two halves.
const FIXED: usize = 4;
/// Most leases in a message.
pub const MAX_LEASES: usize = MAX_ADDRESSES - FIXED;

/// One port mapping and how long the NAT means to keep it; ports in host byte order, as in [`Mapping`].
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +---------------+---------------+-------------------------------+
/// |   Protocol    |       0       |         Port of the NAT       |
/// +---------------+---------------+-------------------------------+
/// |        Port of the host       |        Port of the peer       |
/// +-------------------------------+-------------------------------+
/// |            Lifetime           |               0               |
/// +-------------------------------+-------------------------------+
/// |                               0                               |
/// +---------------------------------------------------------------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lease {
    /// Upper-layer protocol.
    pub proto: u8,
    /// Port of the NAT.
    pub nat_port: u16,
    /// Port of the host behind it.
    pub port: u16,
    /// Port of the peer.
    pub peer_port: u16,
    /// Seconds; 0 when the mapping is gone.
    pub lifetime: u16,
}

impl Lease {
    /// The mapping that it is about, at the NAT with this address.
    pub const fn mapping(&self, nat: Addr) -> Mapping {
        Mapping {
            proto: self.proto,
            addr: nat,
            nat_port: self.nat_port,
            port: self.port,
            local_port: self.peer_port,
        }
    }

    /// The record on the wire. No protocol but 0 makes it look like an IPv4 address.
    const fn record(&self) -> [u8; ADDRESS_LEN] {
        let nat = self.nat_port.to_be_bytes();
        let host = self.port.to_be_bytes();
        let peer = self.peer_port.to_be_bytes();
        let life = self.lifetime.to_be_bytes();
        [
            self.proto, 0, nat[0], nat[1], host[0], host[1], peer[0], peer[1], life[0], life[1], 0,
            0, 0, 0, 0, 0,
        ]
    }

    fn read(record: [u8; ADDRESS_LEN]) -> Option<Lease> {
        let [proto, zero, n0, n1, h0, h1, p0, p1, l0, l1, rest @ ..] = record;
        (zero == 0 && rest == [0; 6]).then_some(Lease {
            proto,
            nat_port: u16::from_be_bytes([n0, n1]),
            port: u16::from_be_bytes([h0, h1]),
            peer_port: u16::from_be_bytes([p0, p1]),
            lifetime: u16::from_be_bytes([l0, l1]),
        })
    }
}

/// The payload of a NAT_ENTRY: two addresses, the key of the host, and 1 to [`MAX_LEASES`] leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Address of the NAT towards the peer; the source of the NAT_ENTRY.
    pub nat: Addr,
    /// Address of the host behind it.
    pub host: Addr,
    /// Public key of the host: whose ports these are.
    pub key: [u8; 32],
    leases: Addresses,
}

impl Entry {
    /// An entry; `None` if it has no lease or more than [`MAX_LEASES`], or says what [`Entry::read`] would not take.
    pub fn new(nat: Addr, host: Addr, key: [u8; 32], leases: &[Lease]) -> Option<Entry> {
        let mut records = Addresses::EMPTY;
        for lease in leases {
            if !records.push(Addr::v6(lease.record())) {
                return None;
            }
        }
        Entry {
            nat,
            host,
            key,
            leases: records,
        }
        .checked()
    }

    /// Its leases.
    pub fn leases(&self) -> impl Iterator<Item = Lease> + '_ {
        let records = self.leases.as_slice().iter();
        records.filter_map(|record| Lease::read(record.octets()))
    }

    /// The payload.
    pub fn addresses(&self) -> Addresses {
        let (mut first, mut second) = ([0; ADDRESS_LEN], [0; ADDRESS_LEN]);
        let (one, two) = self.key.split_at(ADDRESS_LEN);
        first.copy_from_slice(one);
        second.copy_from_slice(two);
        let fixed = [self.nat, self.host, Addr::v6(first), Addr::v6(second)];
        let mut all = Addresses::of(&fixed).unwrap_or(Addresses::EMPTY);
        for record in self.leases.as_slice() {
            if !all.push(*record) {
                return Addresses::EMPTY;
            }
        }
        all
    }

    /// Reads a payload: two different addresses of one family that hosts can have, and leases that can be, or it is none.
    pub fn read(addresses: &Addresses) -> Option<Entry> {
        let (fixed, records) = addresses.as_slice().split_first_chunk::<FIXED>()?;
        let [nat, host, first, second] = *fixed;
        let mut key = [0; 32];
        let (one, two) = key.split_at_mut(ADDRESS_LEN);
        one.copy_from_slice(&first.octets());
        two.copy_from_slice(&second.octets());
        Entry {
            nat,
            host,
            key,
            leases: Addresses::of(records)?,
        }
        .checked()
    }

    fn checked(self) -> Option<Entry> {
        let records = self.leases.as_slice();
        let good = |record: &Addr| {
            Lease::read(record.octets())
                .is_some_and(|lease| lease.proto != 0 && lease.mapping(self.nat).check().is_ok())
        };
        let two = self.nat != self.host && self.nat.family() == self.host.family();
        let some = (1..=MAX_LEASES).contains(&records.len());
        (two && some && self.host.translatable() && records.iter().all(good)).then_some(self)
    }
}

#[cfg(test)]
#[expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]
mod tests {
    use super::*;
    use crate::packet::{ICMP, ICMPV6, UDP};

    const NAT: Addr = Addr::v4([203, 0, 113, 2]);
    const HOST: Addr = Addr::v4([192, 168, 1, 7]);
    const LEASE: Lease = Lease {
        proto: UDP,
        nat_port: 0x1234,
        port: 0x5678,
        peer_port: 0x9abc,
        lifetime: 0x0102,
    };

    #[test]
    fn a_record_is_as_it_is_drawn() {
        let mut key = [9; 32];
        key[0] = 1;
        key[31] = 2;
        let entry = Entry::new(NAT, HOST, key, &[LEASE]).unwrap();
        let all = entry.addresses();
        let expected = [
            17, 0, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 1, 2, 0, 0, 0, 0, 0, 0,
        ];
        assert_eq!(all.as_slice()[4].octets(), expected);
        assert_eq!(all.as_slice()[2].octets(), key[..16]);
        assert_eq!(all.as_slice()[3].octets(), key[16..]);
        assert_eq!(Entry::read(&all), Some(entry));
    }

    #[test]
    fn a_key_that_looks_like_an_address_is_a_key() {
        let mut key = [0; 32];
        key[10..12].copy_from_slice(&[0xff, 0xff]);
        key[26..28].copy_from_slice(&[0xff, 0xff]);
        let entry = Entry::new(NAT, HOST, key, &[LEASE; MAX_LEASES]).unwrap();
        let read = Entry::read(&entry.addresses()).unwrap();
        assert_eq!(read.key, key);
        assert_eq!(read.leases().count(), MAX_LEASES);
    }

    #[test]
    fn what_is_no_entry() {
        let with = |lease| Entry::new(NAT, HOST, [7; 32], &[lease]);
        assert!(with(LEASE).is_some());
        let wrong = [
            Lease { proto: 0, ..LEASE },
            Lease {
                nat_port: 0,
                ..LEASE
            },
            Lease {
                proto: ICMPV6,
                ..LEASE
            },
            Lease {
                proto: ICMP,
                ..LEASE
            },
        ];
        for lease in wrong {
            assert_eq!(with(lease), None, "{lease:?}");
        }
        assert_eq!(Entry::new(NAT, HOST, [7; 32], &[]), None);
        assert_eq!(Entry::new(NAT, NAT, [7; 32], &[LEASE]), None);
        let more = [LEASE; MAX_LEASES + 1];
        assert_eq!(Entry::new(NAT, HOST, [7; 32], &more), None);
        let six = Addr::v6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
        assert_eq!(Entry::new(NAT, six, [7; 32], &[LEASE]), None);
        let mut all = with(LEASE).unwrap().addresses();
        let mut record = LEASE.record();
        record[15] = 1;
        assert!(all.push(Addr::v6(record)));
        assert_eq!(Entry::read(&all), None);
    }
}
