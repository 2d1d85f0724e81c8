// SPDX-License-Identifier: GPL-2.0
//! What to tell a peer: the difference between what it knows of our addresses and what they are.

use ihmp_core::addr::{Addr, Family};
use ihmp_core::message::Control;

use crate::host::{Advertised, Host, Standing};
use crate::io::{State, Via};
use crate::limits::MAX_ADVERTISED;
use crate::note::Note;
use crate::peer::include;
use crate::request::Request;
use crate::world::World;

/// The lost address that a message from an address of this family names: one of that family if there is one.
fn old_for(lost: &[Advertised], family: Family) -> Option<Addr> {
    let same_family = lost
        .iter()
        .find(|advertised| advertised.addr.family() == family);
    same_family
        .or(lost.first())
        .map(|advertised| advertised.addr)
}

impl Host {
    /// Our addresses or the routes changed: what is usable now and was not is to be proven.
    pub(crate) fn network_changed(&mut self, world: &mut World) {
        if !self.is_routed(world) {
            self.ask(world);
            return;
        }
        self.review_relays(world);
        let usable = self.find_usable(world);
        let gained = usable
            .iter()
            .map(|via| via.local)
            .filter(|addr| !self.is_usable(*addr));
        let gained: Vec<Addr> = gained
            .filter(|addr| self.standing(*addr) != Some(Standing::Active))
            .filter(|addr| !self.is_spare(*addr, world))
            .collect();
        if !gained.is_empty() {
            self.retry_at = None;
            self.retry_after = world.limits.retry_first;
        }
        self.report.retain(|report| !gained.contains(&report.addr));
        for addr in gained {
            if self.state == State::Up && !self.prove.contains(&addr) {
                self.prove.push(addr);
            }
        }
        self.reconcile(world);
    }

    /// What leaves by another device than before may not come back: it has to be proven again. An address that a router keeps
    /// for us, or kept until now, goes where the router brings it.
    fn doubt_diverted(&mut self, before: &[Via], world: &World) {
        let mut diverted = Vec::new();
        for via in self.usable.clone() {
            let old = before.iter().find(|old| old.local == via.local);
            let devices = old.and_then(|old| Some((old.device?, via.device?)));
            let other = devices.is_some_and(|(old, new)| old != new);
            let mut advertised = self.advertised.iter();
            let kept = advertised.any(|advertised| advertised.standing == Standing::Behind)
                || self.relays.iter().any(|relay| relay.old == via.local);
            let proven = self.standing(via.local) == Some(Standing::Active);
            if other && proven && !kept && world.is_real(via.local) && self.state == State::Up {
                self.tell(via.local, Standing::Maybe);
                diverted.push(via.local);
            }
        }
        for addr in diverted {
            // Where nothing is proven any more, the best one is to be proven as well.
            let of_family = |other: &Addr| other.family() == addr.family();
            if !self.proven().any(|other| of_family(&other)) {
                let useful = |other: &Addr| of_family(other) && !self.is_hidden(*other);
                let best = self.usable.iter().map(|via| via.local).find(useful);
                best.into_iter()
                    .for_each(|best| include(&mut self.prove, best));
            }
            include(&mut self.prove, addr);
        }
    }

    /// Sends what the peer has to know. Does nothing when it is on the way already, or when there is nothing; and waits
    /// for the answer to a question about routes.
    pub(crate) fn reconcile(&mut self, world: &mut World) {
        if !self.is_routed(world) {
            return;
        }
        self.review_relays(world);
        let usable = self.find_usable(world);
        let before = std::mem::replace(&mut self.usable, usable);
        self.doubt_diverted(&before, world);
        self.review_hidden();
        self.order_active(world);
        if self.managed || self.state == State::Classic {
            return;
        }
        if !before.is_empty() && self.usable.is_empty() {
            world.note(Note::Lost { peer: self.name() });
            self.apart = true;
            self.left_all();
        }
        self.drop_requests(world, |host, request| !host.is_usable(request.from));
        if self.state == State::New {
            return;
        }
        let standing = |host: &Host, addr: Addr| {
            let hidden = host.is_hidden(addr);
            !hidden && host.is_usable(addr) && host.standing(addr) != Some(Standing::Active)
        };
        let prove = std::mem::take(&mut self.prove);
        self.prove = prove
            .into_iter()
            .filter(|addr| standing(self, *addr))
            .collect();
        self.leave_out(world);
        let report = std::mem::take(&mut self.report);
        self.report = report
            .into_iter()
            .filter(|report| standing(self, report.addr))
            .collect();
        self.prove_doubtful(world);
        let again = self.apart && !self.usable.is_empty();
        if again {
            self.apart = false;
            self.prove_untold(world);
        }

        if self.proven().next().is_none() {
            self.prove_something();
        }
        if self.retry_at.is_some() {
            return;
        }
        let lost = self.lost(world);
        let tells =
            |request: &Request| Some(request.seqno) == self.newest_list && request.replaces();
        let forgets = |request: &Request| {
            lost.iter()
                .all(|advertised| !request.list.contains(&advertised.addr))
        };
        let relayed = lost.is_empty()
            || self
                .outstanding
                .iter()
                .any(|request| tells(request) && forgets(request));
        if self.needs_hello {
            if !relayed || !self.prove.is_empty() || self.owes_answer() || again {
                self.greet(world);
            }
            return;
        }
        self.announce(world, &lost, relayed);
    }

    /// The last of our addresses towards the peer went. There is nowhere to say it from. Should one of them come back, that is
    /// worth saying; but where a router kept it for us, the router is to hear that it need not any more.
    ///
    /// When it is the peer that is nowhere, none of ours went, and what it knows of them holds.
    fn left_all(&mut self) {
        let kept = self
            .advertised
            .iter()
            .any(|advertised| advertised.standing == Standing::Behind);
        if kept || self.peer.reach().next().is_none() {
            return;
        }
        for advertised in &mut self.advertised {
            if advertised.standing == Standing::Active {
                advertised.standing = Standing::Maybe;
            }
        }
    }

    /// What the peer cannot be told is not announced.
    fn leave_out(&mut self, world: &mut World) {
        let list = self.list(world);
        let peer = self.name();
        self.prove.retain(|addr| {
            let fits = list.len() < MAX_ADVERTISED || list.contains(addr);
            if !fits {
                world.note(Note::LeftOut { peer, addr: *addr });
            }
            fits
        });
    }

    /// The peer may or may not hold a usable address for active: neither is left so. What is being said of it decides; when
    /// nothing is, it is said again.
    fn prove_doubtful(&mut self, world: &World) {
        let list = self.list(world);
        let doubtful = |addr: &Addr| {
            let said = self.outstanding.iter().any(|request| request.from == *addr);
            self.standing(*addr) == Some(Standing::Maybe)
                && !(said || self.reports(*addr) || self.is_hidden(*addr))
                && !self.prove.contains(addr)
                && list.contains(addr)
        };
        let usable = self.usable.iter().map(|via| via.local);
        let again: Vec<Addr> = usable.filter(doubtful).collect();
        self.prove.extend(again);
    }

    /// The peer is back, or we are: what came meanwhile is news to it.
    fn prove_untold(&mut self, world: &World) {
        let untold = |addr: &Addr| self.standing(*addr).is_none() && self.is_usable(*addr);
        let list = self.list(world).into_iter().filter(untold);
        let news: Vec<Addr> = list.filter(|addr| !self.prove.contains(addr)).collect();
        self.prove.extend(news);
    }

    /// Chooses what to prove when no usable address is proven: the best one of each family.
    fn prove_something(&mut self) {
        for family in [Family::V4, Family::V6] {
            let of_family = |addr: &Addr| addr.family() == family;
            if self.prove.iter().any(of_family) {
                continue;
            }
            let useful = |addr: &Addr| of_family(addr) && !self.is_hidden(*addr);
            let best = self.usable.iter().map(|via| via.local).find(useful);
            self.prove.extend(best);
        }
    }

    /// Announces gained addresses, else lost ones, else those that did not work.
    fn announce(&mut self, world: &mut World, lost: &[Advertised], relayed: bool) {
        let proven = self.proven().next();
        let on_the_way = |host: &Host, addr: Addr| {
            host.outstanding
                .iter()
                .any(|request| request.from == addr && request.proves())
        };
        let waiting = self.prove.iter().copied();
        let gained: Vec<Addr> = waiting
            .filter(|addr| !on_the_way(self, *addr) || (!relayed && proven.is_none()))
            .collect();
        if !gained.is_empty() {
            self.drop_requests(world, |_, request| request.replaces() && !request.proves());
            for from in gained {
                match old_for(lost, from.family()).filter(|_| !relayed || proven.is_none()) {
                    Some(old) => self.request(world, Control::Handoff, from, None, Some(old)),
                    None => self.request(world, Control::AddrUp, from, None, None),
                };
            }
            return;
        }
        let Some(from) = proven.or_else(|| self.heard_from()) else {
            return;
        };
        let reporting = self.outstanding.iter().any(|request| request.new.is_some());
        let report = self.report.first().copied().filter(|_| !reporting);
        if let Some(report) = report {
            // What was lost when it was announced may be back.
            let announced = report.old.filter(|old| !self.is_usable(*old));
            let unsaid = old_for(lost, report.addr.family()).filter(|_| !relayed);
            let old = announced.or(unsaid);
            let control = match old {
                Some(_) => Control::HandoffUnreachable,
                None => Control::AddrUpUnreachable,
            };
            self.drop_requests(world, |_, request| request.replaces() && !request.proves());
            self.request(world, control, from, Some(report.addr), old);
        } else if !relayed {
            let reached = lost
                .iter()
                .find(|advertised| advertised.standing != Standing::Unreachable);
            let (control, old) = match reached {
                Some(advertised) => (Control::AddrDown, Some(advertised.addr)),
                None => (
                    Control::AddrDownUnreachable,
                    lost.first().map(|advertised| advertised.addr),
                ),
            };
            self.drop_requests(world, |_, request| request.replaces() && !request.proves());
            self.request(world, control, from, None, old);
        } else if self.owes_list && self.is_met() {
            self.owes_list = false;
            if self.has_untold(world) {
                self.request(world, Control::AddrUp, from, None, None);
            }
        }
    }

    /// Sends a HELLO, unless one is out: to a new host from the address of its flow, else from the address to be
    /// proven or the best one.
    pub(crate) fn greet(&mut self, world: &mut World) {
        if self
            .outstanding
            .iter()
            .any(|request| request.control == Control::Hello)
        {
            return;
        }
        let of_flow = self
            .anchor
            .filter(|anchor| self.state == State::New && self.is_usable(*anchor));
        let to_prove = self.prove.first().copied();
        let best = self
            .proven()
            .next()
            .or(self.usable.first().map(|via| via.local));
        let answers = self.answers_from();
        if let Some(from) = answers.or(of_flow).or(to_prove).or(best) {
            self.request(world, Control::Hello, from, None, None);
        }
    }

    /// Gives up the requests for which `pred` holds.
    pub(crate) fn drop_requests(
        &mut self,
        world: &mut World,
        pred: impl Fn(&Host, &Request) -> bool,
    ) {
        for request in std::mem::take(&mut self.outstanding) {
            if pred(self, &request) {
                world.note(Note::Superseded {
                    control: request.control,
                    seqno: request.seqno,
                    from: request.from,
                });
            } else {
                self.outstanding.push(request);
            }
        }
    }
}
