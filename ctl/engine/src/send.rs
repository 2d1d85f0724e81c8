// SPDX-License-Identifier: GPL-2.0
//! Sending requests to a peer, and what follows when it does not answer.

use ihmp_core::addr::Addr;
use ihmp_core::message::{Control, Options};

use crate::advertised::Standing;
use crate::endpoint::Endpoint;
use crate::host::Host;
use crate::io::State;
use crate::note::Note;
use crate::request::{Contents, Request};
use crate::telling;
use crate::world::World;

/// Makes a request and sends it; false when the peer has no address in the family of `from`.
pub(crate) fn request(
    host: &mut Host,
    world: &mut World,
    control: Control,
    from: Addr,
    new: Option<Addr>,
    old: Option<Addr>,
) -> bool {
    if telling::targets(host, from, control, world).is_empty() {
        return false;
    }
    let greets = control == Control::Hello;
    let complete = !greets || host.is_met();
    let list = match complete {
        true => telling::list_from(host, from, world),
        false => vec![from],
    };
    let standing = old.and_then(|old| host.advertised().standing(old));
    let contents = Contents {
        control,
        seqno: host.requests_mut().take_seqno(),
        from,
        host: host.advertised().host_id(control, from),
        new,
        old,
        old_unreachable: standing == Some(Standing::Unreachable),
        list,
        complete,
    };
    let time_out = match greets && host.state() == State::New {
        true => world.limits.requests.rto_first,
        false => host.requests().time_out(world),
    };
    let next = match greets {
        true => host.sources_mut().hidden_mut().take_answer(from),
        false => None,
    };
    if greets {
        // The peer may start over from this number as soon as it has heard it.
        host.session_mut().window_mut().learn(contents.seqno);
    }
    if complete {
        sends_list(host, &contents);
    }
    if contents.proves() && !host.advertised().is_active(from) {
        host.advertised_mut().set(from, Standing::Maybe);
    }
    let request = Request::new(contents, next, time_out, world.now);
    host.requests_mut().push(request, world);
    send_due(host, world);
    true
}

/// A request goes out that says which addresses we have.
fn sends_list(host: &mut Host, contents: &Contents) {
    host.requests_mut().note_list(contents.seqno);
    host.advertised_mut().send(&contents.list);
}

/// What a greeting says of NATs in front of us.
fn greeting_options(host: &Host) -> Options {
    match host.sources().hidden().forces() && host.state() == State::New {
        true => Options::NAT_FORCED,
        false => Options::NONE,
    }
}

/// Sends what is due, and gives up what was sent often enough.
pub(crate) fn send_due(host: &mut Host, world: &mut World) {
    let mut failed = Vec::new();
    for mut request in host.requests_mut().take() {
        if request.due() > world.now {
            host.requests_mut().put(request);
            continue;
        }
        let control = request.contents().control;
        let targets = telling::targets(host, request.from(), control, world);
        let Some(to) = request.turn(&targets, world) else {
            failed.push(request);
            continue;
        };
        let (options, echo) = match request.greets() {
            true => {
                let options = greeting_options(host);
                let from = request.from();
                (options, host.session_mut().take_challenge(from, to))
            }
            false => (request.contents().options(), None),
        };
        let own = host.trust().own();
        request.send(to, &targets, options, echo, own, world);
        host.requests_mut().put(request);
    }
    for request in failed {
        unanswered(host, &request, world);
    }
}

/// Sends a greeting again, so that it answers a challenge.
pub(crate) fn greet_again(host: &mut Host, seqno: u16, to: Endpoint, world: &mut World) {
    let greets = |request: &Request| request.seqno() == seqno && !request.contents().complete;
    let request = host.requests().out().iter().find(|request| greets(request));
    let from = request.map(Request::from);
    // It has a key, and hears us. Who is to be left alone is told nothing more.
    if let Some(from) = from.filter(|_| greeting_options(host) == Options::NONE) {
        let list = telling::list_from(host, from, world);
        let mut contents = None;
        if let Some(request) = host.requests_mut().find_mut(greets).next() {
            request.complete(list);
            contents = Some(request.contents().clone());
        }
        if let Some(contents) = contents {
            sends_list(host, &contents);
        }
    }
    send_again(host, seqno, to, world);
}

/// Sends a greeting again at once, with what the peer wants to see.
pub(crate) fn send_again(host: &mut Host, seqno: u16, to: Endpoint, world: &mut World) {
    let numbered = |request: &Request| request.seqno() == seqno;
    let request = host.requests_mut().find_mut(numbered).next();
    let Some(measured) = request.and_then(|request| request.send_again(to, world.now)) else {
        return;
    };
    host.requests_mut().measured(measured);
    send_due(host, world);
}

/// Starts the requests over whose last destination the peer no longer has.
pub(crate) fn retarget(host: &mut Host, world: &mut World) {
    let here: Vec<Endpoint> = host.peer().endpoints().collect();
    host.requests_mut().retarget(&here, world.now);
    send_due(host, world);
}

/// No address of the peer acknowledged a request.
fn unanswered(host: &mut Host, request: &Request, world: &mut World) {
    request.unanswered(world);
    let from = request.from();
    if request.greets() {
        if host.state() == State::New {
            host.set_state(State::Classic);
            world.note(Note::Classic {
                peer: host.name(),
                reason: "no-answer",
            });
            return;
        }
        // Its own HELLO may have come in the meantime; and who is only greeted to be known may be silent.
        if !host.session().needs_hello() || host.advertised().is_active(from) {
            let last = host.requests().next_seqno() == request.seqno().wrapping_add(1);
            if let Some(heard) = host.session().window().heard().filter(|_| last) {
                host.requests_mut().go_on_at(heard.wrapping_add(1));
            }
            return;
        }
    }
    host.advertised_mut().set(from, Standing::Maybe);
    if host.sources_mut().dead_mut().fail(from, world) {
        return;
    }
    if end_to_end(host, from, "unanswered", world) {
        return;
    }
    let proven = host.proven().next().is_some();
    let contents = request.contents();
    if contents.replaces() && proven {
        // The peer learns from an address that works which one does not.
        let old = contents.old.filter(|_| contents.proves());
        host.announcements_mut().report(from, old);
        host.retry_awaited(from, world);
    } else {
        host.announcements_mut().announce(from);
        host.announcements_mut().pause(world);
    }
}

/// Tells the peer of an address that a router stood in for; false when there is none.
pub(crate) fn end_to_end(
    host: &mut Host,
    new: Addr,
    reason: &'static str,
    world: &mut World,
) -> bool {
    let Some(old) = host.relays_mut().end_to_end(new) else {
        return false;
    };
    world.note(Note::EndToEnd { new, old, reason });
    let moves = |request: &Request| request.from() == new && request.contents().replaces();
    host.requests_mut().drop(world, moves);
    host.session_mut().need_hello();
    host.announcements_mut().resume();
    host.announcements_mut().announce(new);
    true
}
