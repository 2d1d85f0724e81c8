// SPDX-License-Identifier: GPL-2.0
//! What a ROUTER_ACK says ([DIME-IFIP] section IV-C): a router answers a move in the peer's place.
//!
//! ```
//! use ihmp_core::addr::Addr;
//! use ihmp_core::grant::Grant;
//!
//! let grant = Grant {
//!     router: Addr::v4([198, 51, 100, 1]),
//!     new: Addr::v4([198, 51, 100, 7]),
//!     old: Addr::v4([192, 0, 2, 1]),
//!     peer: Addr::v4([203, 0, 113, 10]),
//!     lifetime: 300,
//! };
//! assert_eq!(Grant::read(&grant.addresses()), Some(grant));
//! ```

use crate::addr::Addr;
use crate::message::{Addresses, ADDRESS_LEN};

/// The payload of a ROUTER_ACK: four addresses and a record of 16 octets, the lifetime first and zeros after it.
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
    /// Seconds for which the router does so unless it is asked again; 0 when it does not, and the request has gone on to
    /// the peer.
    pub lifetime: u16,
}

impl Grant {
    /// The payload.
    pub fn addresses(&self) -> Addresses {
        let mut terms = [0; ADDRESS_LEN];
        let [high, low] = self.lifetime.to_be_bytes();
        let [first, second, ..] = &mut terms;
        (*first, *second) = (high, low);
        let all = [self.router, self.new, self.old, self.peer, Addr::v6(terms)];
        Addresses::of(&all).unwrap_or(Addresses::EMPTY)
    }

    /// Reads a payload: two different addresses that a host can have, of the peer's family, or it is none.
    pub fn read(addresses: &Addresses) -> Option<Grant> {
        let [router, new, old, peer, terms] = *addresses.as_slice() else {
            return None;
        };
        let terms = terms.octets();
        let (lifetime, zeros) = terms.split_first_chunk::<2>()?;
        let family = peer.family();
        let one_family = [router, new, old]
            .iter()
            .all(|addr| addr.family() == family);
        let usable = [new, old, peer].iter().all(Addr::translatable);
        let good = one_family && usable && new != old && zeros.iter().all(|octet| *octet == 0);
        good.then_some(Grant {
            router,
            new,
            old,
            peer,
            lifetime: u16::from_be_bytes(*lifetime),
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
        lifetime: 0x1234,
    };

    #[test]
    fn terms_are_where_they_belong() {
        let addresses = GRANT.addresses();
        let expected = [0x12, 0x34, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(addresses.as_slice().last(), Some(&Addr::v6(expected)));
        assert_eq!(Grant::read(&addresses), Some(GRANT));
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
