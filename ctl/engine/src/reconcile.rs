// SPDX-License-Identifier: GPL-2.0
//! What to tell a peer: the difference between what it knows of our addresses and what they are.

use ihmp_core::addr::{Addr, Family};
use ihmp_core::message::Control;

use crate::advertised::{Advertised, Standing};
use crate::host::Host;
use crate::io::{State, Via};
use crate::limits::MAX_ADVERTISED;
use crate::note::Note;
use crate::request::Request;
use crate::world::World;
use crate::{routing, send, telling};

/// The lost address that a message from an address of this family names: one of that family if there is one.
fn old_for(lost: &[Advertised], family: Family) -> Option<Addr> {
    let same_family = lost
        .iter()
        .find(|advertised| advertised.addr.family() == family);
    same_family
        .or(lost.first())
        .map(|advertised| advertised.addr)
}

/// Our addresses or the routes changed: what is usable now and was not is to be announced.
pub(crate) fn network_changed(host: &mut Host, world: &mut World) {
    if !routing::is_routed(host, world) {
        routing::ask(host, world);
        return;
    }
    review_relays(host, world);
    host.review_rejected(world);
    let gained: Vec<Addr> = routing::find(host, world)
        .iter()
        .map(|via| via.local)
        .filter(|addr| !host.sources().has(*addr))
        .filter(|addr| !host.advertised().is_active(*addr))
        .filter(|addr| !routing::is_spare(host, *addr, world))
        .collect();
    if !gained.is_empty() {
        host.announcements_mut().restart(&world.limits);
    }
    let new = |addr: &Addr| !gained.contains(addr);
    host.announcements_mut().retain_reports(new);
    if host.state() == State::Up {
        host.announcements_mut().announce_all(gained);
    }
    reconcile(host, world);
}

/// A flow of ours began at an address by which the peer does not know us yet. It is worth an announcement, so that the
/// flow can go on when the address goes.
pub(crate) fn begins_at(host: &mut Host, local: Addr, world: &mut World) {
    let news = host.takes_part()
        && host.sources().has(local)
        && !host.advertised().is_active(local)
        && telling::may_tell(host, local, world);
    if news {
        host.announcements_mut().announce(local);
        reconcile(host, world);
    }
}

/// Says which own addresses the peer has confirmed that were dead.
fn review_dead(host: &mut Host, world: &mut World) {
    for (local, after) in host.review_dead(world) {
        let peer = host.name();
        world.note(Note::PathBack { local, peer, after });
    }
}

/// Ends relays that have lost their ground: of those whose router is not believed any more, the peer is told.
fn review_relays(host: &mut Host, world: &mut World) {
    if host.relays().is_empty() {
        return;
    }
    for new in host.review_relays(world) {
        send::end_to_end(host, new, "key-removed", world);
    }
}

/// What leaves by another device than before may not come back: it has to be proven again. An address that a router keeps
/// for us, or kept until now, goes where the router brings it.
fn doubt_diverted(host: &mut Host, before: &[Via], world: &World) {
    let is_diverted = |via: &&Via| {
        let old = before.iter().find(|old| old.local == via.local);
        let devices = old.and_then(|old| Some((old.device?, via.device?)));
        let other = devices.is_some_and(|(old, new)| old != new);
        let kept = host.advertised().has_behind() || host.relays().keeps(via.local);
        let proven = host.advertised().is_active(via.local);
        other && proven && !kept && world.own.is_real(via.local)
    };
    let diverted = host.sources().usable().iter().filter(is_diverted);
    let diverted: Vec<Addr> = diverted.map(|via| via.local).collect();
    if host.state() != State::Up {
        return;
    }
    for addr in &diverted {
        host.advertised_mut().set(*addr, Standing::Maybe);
    }
    for addr in diverted {
        // Where nothing is proven any more, the best one is to be proven as well.
        let family = addr.family();
        if !host.proven().any(|other| other.family() == family) {
            let best = best_of(host, family);
            host.announcements_mut().announce_all(best);
        }
        host.announcements_mut().announce(addr);
    }
}

/// The best usable address of a family that is worth an announcement.
fn best_of(host: &Host, family: Family) -> Option<Addr> {
    let sources = host.sources();
    let mut usable = sources.addrs();
    usable.find(|addr| addr.family() == family && !sources.is_hidden(*addr))
}

/// Whether an address can be announced, and the peer does not hold it for active.
fn is_open(host: &Host, addr: Addr) -> bool {
    let sources = host.sources();
    !sources.is_hidden(addr) && sources.has(addr) && !host.advertised().is_active(addr)
}

/// Ends what is to be announced or reported, and cannot be or need not be any more.
fn close(host: &mut Host, world: &World) {
    let gained = host.announcements().gained().iter().copied();
    let gained: Vec<Addr> = gained.filter(|addr| is_open(host, *addr)).collect();
    let reported = host.announcements().reported();
    let kept = |addr: &Addr| is_open(host, *addr) || is_unreachable(host, *addr, world);
    let reported: Vec<Addr> = reported.filter(kept).collect();
    let announcements = host.announcements_mut();
    announcements.retain_gained(|addr| gained.contains(addr));
    announcements.retain_reports(|addr| reported.contains(addr));
}

/// Whether it is known without an announcement that the peer cannot be reached from an own address.
fn is_unreachable(host: &Host, addr: Addr, world: &World) -> bool {
    routing::rejected(host, world).any(|rejected| rejected == addr)
}

/// What is known to be unreachable is reported at once, and never announced ([DIME-ICCCN] section III-B2).
fn report_unreachable(host: &mut Host, world: &World) {
    let new = |addr: &Addr| {
        host.advertised().standing(*addr) != Some(Standing::Unreachable)
            && !host.reports(*addr)
            && host.peer().speaks(addr.family())
            && telling::may_tell(host, *addr, world)
    };
    let unreachable: Vec<Addr> = routing::rejected(host, world).filter(new).collect();
    for addr in unreachable {
        host.announcements_mut().report(addr, None);
    }
}

/// Sends what the peer has to know. Does nothing when it is on the way already, or when there is nothing; and waits
/// for the answer to a question about routes.
pub(crate) fn reconcile(host: &mut Host, world: &mut World) {
    if !routing::is_routed(host, world) {
        return;
    }
    review_relays(host, world);
    host.review_rejected(world);
    review_dead(host, world);
    let usable = routing::find(host, world);
    let before = host.sources_mut().replace(usable);
    doubt_diverted(host, &before, world);
    host.sources_mut().review_hidden();
    host.order_active(world);
    if host.is_managed() || host.state() == State::Classic {
        return;
    }
    if !before.is_empty() && host.sources().is_empty() {
        world.note(Note::Lost { peer: host.name() });
        host.announcements_mut().part();
        left_all(host);
    }
    host.drop_unusable(world);
    if host.state() == State::New {
        return;
    }
    close(host, world);
    report_unreachable(host, world);
    leave_out(host, world);
    announce_doubtful(host, world);
    let again = !host.sources().is_empty() && host.announcements_mut().meet();
    if again {
        announce_untold(host, world);
    }
    if host.proven().next().is_none() {
        announce_something(host);
    }
    if host.announcements().is_paused() {
        return;
    }
    let lost = telling::lost(host, world);
    let relayed = lost.is_empty() || is_said(host, &lost);
    if host.session().needs_hello() {
        let answers = host.sources().hidden().answers_from().is_some();
        let news = !host.announcements().gained().is_empty();
        if !relayed || news || answers || again {
            greet(host, world);
        }
        return;
    }
    announce(host, world, &lost, relayed);
}

/// Whether the newest list on its way does not name what is lost.
fn is_said(host: &Host, lost: &[Advertised]) -> bool {
    let requests = host.requests();
    let says = |request: &Request| {
        let contents = request.contents();
        let named = |advertised: &Advertised| contents.list.contains(&advertised.addr);
        let newest = requests.is_newest_list(contents.seqno) && contents.replaces();
        newest && !lost.iter().any(named)
    };
    requests.out().iter().any(says)
}

/// The last of our addresses towards the peer went. There is nowhere to say it from. Should one of them come back, that is
/// worth saying; but where a router kept it for us, the router is to hear that it need not any more.
///
/// When it is the peer that is nowhere, none of ours went, and what it knows of them holds.
fn left_all(host: &mut Host) {
    if host.advertised().has_behind() || host.peer().reach().next().is_none() {
        return;
    }
    host.advertised_mut().doubt_others(None);
}

/// What the peer cannot be told is not announced.
fn leave_out(host: &mut Host, world: &mut World) {
    let list = telling::list(host, world);
    let peer = host.name();
    host.announcements_mut().retain_gained(|addr| {
        let fits = list.len() < MAX_ADVERTISED || list.contains(addr);
        if !fits {
            world.note(Note::LeftOut { peer, addr: *addr });
        }
        fits
    });
}

/// The peer may or may not hold a usable address for active: neither is left so. What is being said of it decides; when
/// nothing is, it is said again.
fn announce_doubtful(host: &mut Host, world: &World) {
    let list = telling::list(host, world);
    let doubtful = |addr: &Addr| {
        let said = host.requests().is_out_from(*addr) || host.reports(*addr);
        host.advertised().standing(*addr) == Some(Standing::Maybe)
            && !(said || host.sources().is_hidden(*addr))
            && list.contains(addr)
    };
    let again: Vec<Addr> = host.sources().addrs().filter(doubtful).collect();
    host.announcements_mut().announce_all(again);
}

/// The peer is back, or we are: what came meanwhile is news to it.
fn announce_untold(host: &mut Host, world: &World) {
    let mut list = telling::list(host, world);
    list.retain(|addr| !host.advertised().is_known(*addr) && host.sources().has(*addr));
    host.announcements_mut().announce_all(list);
}

/// Chooses what to announce when no usable address is proven: the best one of each family.
fn announce_something(host: &mut Host) {
    for family in [Family::V4, Family::V6] {
        let mut gained = host.announcements().gained().iter();
        if !gained.any(|addr| addr.family() == family) {
            let best = best_of(host, family);
            host.announcements_mut().announce_all(best);
        }
    }
}

/// Announces gained addresses, else lost ones, else those that did not work.
fn announce(host: &mut Host, world: &mut World, lost: &[Advertised], relayed: bool) {
    let proven = host.proven().next();
    let waiting = host.announcements().gained().iter().copied();
    let gained: Vec<Addr> = waiting
        .filter(|addr| !host.requests().announces(*addr) || (!relayed && proven.is_none()))
        .collect();
    // What only says which addresses went is said along with the rest.
    let says_less = |request: &Request| {
        let contents = request.contents();
        contents.replaces() && !contents.proves()
    };
    if !gained.is_empty() {
        host.requests_mut().drop(world, says_less);
        for from in gained {
            match old_for(lost, from.family()).filter(|_| !relayed || proven.is_none()) {
                Some(old) => send::request(host, world, Control::Handoff, from, None, Some(old)),
                None => send::request(host, world, Control::AddrUp, from, None, None),
            };
        }
        return;
    }
    let Some(from) = proven.or_else(|| telling::heard_from(host)) else {
        return;
    };
    let reporting = host.requests().is_reporting();
    let report = host.announcements().next_report();
    if let Some(report) = report.filter(|_| !reporting) {
        // What was lost when it was announced may be back.
        let announced = report.old.filter(|old| !host.sources().has(*old));
        let unsaid = old_for(lost, report.addr.family()).filter(|_| !relayed);
        let old = announced.or(unsaid);
        let control = match old {
            Some(_) => Control::HandoffUnreachable,
            None => Control::AddrUpUnreachable,
        };
        host.requests_mut().drop(world, says_less);
        send::request(host, world, control, from, Some(report.addr), old);
    } else if !relayed {
        let (control, old) = say_lost(lost);
        host.requests_mut().drop(world, says_less);
        send::request(host, world, control, from, None, old);
    } else if host.advertised().owes_list() && host.is_met() {
        host.advertised_mut().owe_list(false);
        if telling::has_untold(host, world) {
            send::request(host, world, Control::AddrUp, from, None, None);
        }
    }
}

/// How it is said that addresses went, and which one is named.
fn say_lost(lost: &[Advertised]) -> (Control, Option<Addr>) {
    let reached = lost
        .iter()
        .find(|advertised| advertised.standing != Standing::Unreachable);
    match reached {
        Some(advertised) => (Control::AddrDown, Some(advertised.addr)),
        None => (
            Control::AddrDownUnreachable,
            lost.first().map(|advertised| advertised.addr),
        ),
    }
}

/// Sends a HELLO, unless one is out: to a new host from the address of its flow, else from the address to be
/// announced or the best one.
pub(crate) fn greet(host: &mut Host, world: &mut World) {
    if host.requests().greets() {
        return;
    }
    let new = host.state() == State::New;
    let anchor = host.advertised().anchor().filter(|_| new);
    let of_flow = anchor.filter(|anchor| host.sources().has(*anchor));
    let gained = host.announcements().gained().first().copied();
    let best = host.proven().next().or(host.sources().addrs().next());
    let answers = telling::answers_from(host);
    if let Some(from) = answers.or(of_flow).or(gained).or(best) {
        send::request(host, world, Control::Hello, from, None, None);
    }
}
