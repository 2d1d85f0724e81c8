// SPDX-License-Identifier: GPL-2.0
//! Own addresses from which a peer can be reached.

use ihmp_core::addr::Addr;
use ihmp_core::time::Instant;

use crate::advertised::Advertisement;
use crate::dead::DeadSources;
use crate::hidden::Hidden;
use crate::io::{KernelHost, Record, Via};
use crate::left::Left;
use crate::rejected::Rejections;
use crate::world::World;

/// Own addresses from which a peer can be reached, and what there is to say of each.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// All of them, best first.
    usable: Vec<Via>,
    /// Those in front of which it sees a NAT.
    hidden: Hidden,
    /// Those that its older flows use no longer.
    left: Left,
    /// Own addresses that are none of them, since a router does not let us move there.
    rejected: Rejections,
    /// Those from which it could not be reached.
    dead: DeadSources,
}

impl Sources {
    /// All of them, best first.
    pub(crate) fn usable(&self) -> &[Via] {
        &self.usable
    }

    /// Their addresses.
    pub(crate) fn addrs(&self) -> impl Iterator<Item = Addr> + '_ {
        self.usable.iter().map(|via| via.local)
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.usable.is_empty()
    }

    /// Whether this is one of them.
    pub(crate) fn has(&self, addr: Addr) -> bool {
        self.addrs().any(|usable| usable == addr)
    }

    /// Those that the peer confirmed, best first.
    pub(crate) fn proven<'a>(
        &'a self,
        advertised: &'a Advertisement,
    ) -> impl Iterator<Item = Addr> + 'a {
        self.addrs().filter(|addr| advertised.is_active(*addr))
    }

    /// These are all, best first; what they were.
    pub(crate) fn replace(&mut self, usable: Vec<Via>) -> Vec<Via> {
        std::mem::replace(&mut self.usable, usable)
    }

    /// This is one as well.
    pub(crate) fn add(&mut self, via: Via) {
        if !self.has(via.local) {
            self.usable.push(via);
        }
    }

    /// Whether the peer sees a NAT in front of this address that makes it useless.
    pub(crate) fn is_hidden(&self, addr: Addr) -> bool {
        self.hidden.has(addr)
    }

    /// NATs that the peer sees in front of us.
    pub(crate) fn hidden(&self) -> &Hidden {
        &self.hidden
    }

    /// The same, to learn more.
    pub(crate) fn hidden_mut(&mut self) -> &mut Hidden {
        &mut self.hidden
    }

    /// Own addresses to which a router does not let us move.
    pub(crate) fn rejected(&self) -> &Rejections {
        &self.rejected
    }

    /// The same, to change them.
    pub(crate) fn rejected_mut(&mut self) -> &mut Rejections {
        &mut self.rejected
    }

    /// What was seen in front of addresses that are none of these any more does not count.
    pub(crate) fn review_hidden(&mut self) {
        let usable = &self.usable;
        self.hidden
            .review(|addr| usable.iter().any(|via| via.local == addr));
    }

    /// Own addresses from which it could not be reached; they are none of these.
    pub(crate) fn dead(&self) -> &DeadSources {
        &self.dead
    }

    /// The same, to learn more.
    pub(crate) fn dead_mut(&mut self) -> &mut DeadSources {
        &mut self.dead
    }

    /// Whether flows that are older than a mark leave from another one.
    pub(crate) fn is_left(&self, addr: Addr, advertised: &Advertisement) -> bool {
        self.left.has(addr, &self.usable, advertised)
    }

    /// Takes note of which ones came, went and were deprecated since the kernel was told.
    pub(crate) fn review_left(
        &mut self,
        before: Option<&Record>,
        advertised: &Advertisement,
        world: &World,
    ) {
        self.left.review(before, &self.usable, advertised, world);
    }

    /// Nothing came back from this one.
    pub(crate) fn retry(&mut self, addr: Addr, advertised: &Advertisement, world: &mut World) {
        self.left.retry(addr, &self.usable, advertised, world);
    }

    /// Those that are to be announced again now.
    pub(crate) fn due(&mut self, advertised: &Advertisement, world: &World) -> Vec<Addr> {
        let mut due = self.left.due(&self.usable, advertised, world);
        due.retain(|addr| !self.hidden.has(*addr));
        due
    }

    /// When something is to be done.
    pub(crate) fn next(&self) -> Option<Instant> {
        let parts = [
            self.left.next(),
            self.hidden.next(),
            self.rejected.next(),
            self.dead.next(),
        ];
        parts.into_iter().flatten().min()
    }

    /// Takes over what the kernel has.
    pub(crate) fn adopt(&mut self, known: &KernelHost) {
        for local in &known.local {
            if local.nat {
                self.hidden.hide(local.addr);
            }
            self.usable.push(Via {
                local: local.addr,
                preference: local.preference,
                device: local.device,
                diverted: false,
            });
        }
        self.left.adopt(&known.local);
    }

    /// Takes over those of the same peer under another entry.
    pub(crate) fn merge(&mut self, other: &Sources) {
        for via in &other.usable {
            self.add(*via);
        }
        self.rejected.merge(&other.rejected);
    }
}
