// SPDX-License-Identifier: GPL-2.0
//! Port mappings that NATs in front of a peer told of.

use std::collections::BTreeMap;

use ihmp_core::nat::Mapping;
use ihmp_core::time::Instant;

use crate::limits::MAX_MAPPED;

/// Port mappings of a host that the kernel was told of, and until when they count.
#[derive(Debug, Default)]
pub(crate) struct Mapped {
    until: BTreeMap<Mapping, Instant>,
}

impl Mapped {
    /// Takes a mapping; false when there are too many.
    pub(crate) fn take(&mut self, mapping: Mapping, until: Instant, now: Instant) -> bool {
        let full = |mapped: &Mapped| mapped.until.len() >= MAX_MAPPED;
        if full(self) && !self.until.contains_key(&mapping) {
            self.until.retain(|_, until| *until > now);
        }
        let may = !full(self) || self.until.contains_key(&mapping);
        if may {
            self.until.insert(mapping, until);
        }
        may
    }

    /// The NAT has ended a mapping.
    pub(crate) fn remove(&mut self, mapping: &Mapping) {
        self.until.remove(mapping);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ihmp_core::addr::Addr;
    use ihmp_core::entry::Lease;
    use ihmp_core::time::Duration;

    fn mapping(port: u16) -> Mapping {
        let lease = Lease {
            proto: 6,
            nat_port: port,
            port: 1,
            peer_port: 2,
            lifetime: 3,
        };
        lease.mapping(Addr::v4([203, 0, 113, 2]))
    }

    #[test]
    fn mappings_of_a_host_are_bounded() {
        let mut mapped = Mapped::default();
        let (now, later) = (Instant::from_nanos(1), Instant::from_nanos(9));
        let most = u16::try_from(MAX_MAPPED).unwrap();
        assert!((1..=most).all(|port| mapped.take(mapping(port), later, now)));
        assert!(!mapped.take(mapping(most + 1), later, now));
        assert!(mapped.take(mapping(7), later, now));
        // What is over makes room.
        assert!(mapped.take(
            mapping(most + 1),
            later.after(Duration::from_secs(1)),
            later
        ));
        assert_eq!(mapped.until.len(), 1);
    }
}
