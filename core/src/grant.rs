// SPDX-License-Identifier: GPL-2.0
//! What a ROUTER_ACK says ([DIME-IFIP] section V-C): a router answers a move in the peer's place, or rejects it.
//!
//! ```
//! use ihmp_core::addr::Addr;
//! use ihmp_core::grant::{Grant, Terms};
//!
//! let grant = Grant {
//!     router: Addr::v4([198, 51, 100, 1]),
//!     new: Addr::v4([198, 51, 100, 7]),
//!     old: Addr::v4([192, 0, 2, 1]),
//!     peer: Addr::v4([203, 0, 113, 10]),
//!     terms: Terms::Granted(300),
//! };
//! assert_eq!(Grant::read(&grant.addresses()), Some(grant));
//! ```

use crate::addr::Addr;
use crate::message::{Addresses, ADDRESS_LEN};

/// What a router does about a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terms {
    /// It brings what is sent to the old address to the new one, for so many seconds unless it is asked again; at least 1.
    Granted(u16),
    /// It does nothing, and the request has gone on to the peer.
    Declined,
    /// Its policy is against the move: the request has not gone on to the peer. It stays so for so many seconds; at least 1.
    Rejected(u16),
}

impl Terms {
    /// Octet 2 of the record when the move is rejected.
    const REJECTED: u8 = 1;

    /// The record: seconds in two octets, whether the move is rejected, and zeros.
    fn octets(self) -> [u8; ADDRESS_LEN] {
        let (seconds, outcome) = match self {
            Terms::Granted(seconds) => (seconds, 0),
            Terms::Declined => (0, 0),
            Terms::Rejected(seconds) => (seconds, Terms::REJECTED),
        };
        let mut octets = [0; ADDRESS_LEN];
        let [high, low] = seconds.to_be_bytes();
        let [first, second, third, ..] = &mut octets;
        (*first, *second, *third) = (high, low, outcome);
        octets
    }

    /// Reads a record, or it is none.
    fn read(octets: &[u8; ADDRESS_LEN]) -> Option<Terms> {
        let [high, low, outcome, zeros @ ..] = octets;
        if zeros.iter().any(|octet| *octet != 0) {
            return None;
        }
        let seconds = u16::from_be_bytes([*high, *low]);
        match *outcome {
            0 if seconds == 0 => Some(Terms::Declined),
            0 => Some(Terms::Granted(seconds)),
            Terms::REJECTED if seconds > 0 => Some(Terms::Rejected(seconds)),
            _ => None,
        }
    }
}

/// The payload of a ROUTER_ACK: four addresses, and a record of 16 octets with the terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The source of the ROUTER_ACK: the router's address towards the mobile host.
    pub router: Addr,
    /// The address that the request announces.
    pub new: Addr,
    /// The address that the peer knows, and whose packets the router brings to the new one.
    pub old: Addr,
    /// Whom the request was sent to.
    pub peer: Addr,
    /// What it does about the move.
    pub terms: Terms,
}

impl Grant {
    /// The payload.
    pub fn addresses(&self) -> Addresses {
        let terms = Addr::v6(self.terms.octets());
        let all = [self.router, self.new, self.old, self.peer, terms];
        Addresses::of(&all).unwrap_or(Addresses::EMPTY)
    }

    /// Reads a payload: two different addresses that a host can have, of the peer's family, or it is none.
    pub fn read(addresses: &Addresses) -> Option<Grant> {
        let [router, new, old, peer, terms] = *addresses.as_slice() else {
            return None;
        };
        let terms = Terms::read(&terms.octets())?;
        let family = peer.family();
        let one_family = [router, new, old]
            .iter()
            .all(|addr| addr.family() == family);
        let usable = [new, old, peer].iter().all(Addr::translatable);
        let good = one_family && usable && new != old;
        good.then_some(Grant {
            router,
            new,
            old,
            peer,
            terms,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRANT: Grant = Grant {
        router: Addr::v4([198, 51, 100, 1]),
        new: Addr::v4([198, 51, 100, 7]),
        old: Addr::v4([192, 0, 2, 1]),
        peer: Addr::v4([203, 0, 113, 10]),
        terms: Terms::Granted(0x1234),
    };

    /// A grant with this record of terms.
    fn read_terms(octets: [u8; 16]) -> Option<Terms> {
        let mut list = GRANT.addresses().as_slice().to_vec();
        list.truncate(4);
        list.push(Addr::v6(octets));
        let grant = Grant::read(&Addresses::of(&list).unwrap_or(Addresses::EMPTY));
        grant.map(|grant| grant.terms)
    }

    #[test]
    fn terms_are_where_they_belong() {
        let addresses = GRANT.addresses();
        let expected = [0x12, 0x34, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(addresses.as_slice().last(), Some(&Addr::v6(expected)));
        assert_eq!(Grant::read(&addresses), Some(GRANT));
    }

    #[test]
    fn terms_are_granted_declined_or_rejected() {
        let record = |first: [u8; 4]| {
            let mut octets = [0; 16];
            octets[..4].copy_from_slice(&first);
            octets
        };
        let cases = [
            (Terms::Granted(0x0102), [1, 2, 0, 0]),
            (Terms::Declined, [0, 0, 0, 0]),
            (Terms::Rejected(0x0102), [1, 2, 1, 0]),
        ];
        for (terms, octets) in cases {
            assert_eq!(terms.octets(), record(octets));
            assert_eq!(read_terms(record(octets)), Some(terms));
        }
        // A rejection lasts, there is no other outcome, and nothing else is said.
        for wrong in [[0, 0, 1, 0], [1, 2, 2, 0], [1, 2, 255, 0], [1, 2, 1, 1]] {
            assert_eq!(read_terms(record(wrong)), None, "{wrong:?}");
        }
    }

    #[test]
    fn what_is_no_grant() {
        let six = Addr::v6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
        let wrong = [
            Grant {
                old: GRANT.new,
                ..GRANT
            },
            Grant { old: six, ..GRANT },
            Grant {
                peer: Addr::v4([224, 0, 0, 1]),
                ..GRANT
            },
            Grant {
                new: Addr::UNSPECIFIED,
                ..GRANT
            },
        ];
        for grant in wrong {
            assert_eq!(Grant::read(&grant.addresses()), None, "{grant:?}");
        }
        let mut list = GRANT.addresses().as_slice().to_vec();
        list.push(GRANT.old);
        assert_eq!(
            Grant::read(&Addresses::of(&list).unwrap_or(Addresses::EMPTY)),
            None
        );
        list.truncate(4);
        list.push(Addr::v6([0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]));
        assert_eq!(
            Grant::read(&Addresses::of(&list).unwrap_or(Addresses::EMPTY)),
            None
        );
    }
}
