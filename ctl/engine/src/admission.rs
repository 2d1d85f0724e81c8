// SPDX-License-Identifier: GPL-2.0
//! Which greetings of unknown keys are looked at, and the cookies that decide it while there are many.

use ihmp_core::message::{Addresses, Control, Options};

use crate::cookie::COOKIE;
use crate::io::Refusal;
use crate::received::Received;
use crate::request::Request;
use crate::send::send_again;
use crate::table::Table;
use crate::world::{Answer, World};

/// Whether a greeting by a key that is not known may be looked at, as one of the sort that answers; else it is answered with a
/// cookie.
pub(crate) fn admits(world: &mut World, received: &Received<'_>) -> Result<bool, Refusal> {
    let Received {
        from, endpoint, to, ..
    } = *received;
    let now = world.now;
    let baker = world.budgets.baker_mut();
    let good = |cookie| baker.takes(cookie, endpoint, to, now);
    if received.cookie.is_some_and(good) {
        // It is from there indeed, so nobody else can spend this.
        return match world.budgets.proven_greeting(from, now) {
            true => Ok(true),
            false => Err(Refusal::Rate),
        };
    }
    if world.budgets.greeting(from, now) && world.keyring.hears_strangers(now) {
        return Ok(false);
    }
    send_cookie(world, received);
    Err(Refusal::Rate)
}

fn send_cookie(world: &mut World, received: &Received<'_>) {
    let Received {
        endpoint,
        to,
        message,
        ..
    } = *received;
    if !world.budgets.baker().is_ready() {
        let chances = [(); 4].map(|()| world.chance());
        world.budgets.baker_mut().prepare(chances);
    }
    let Some(cookie) = world.budgets.baker_mut().cookie(endpoint, to, world.now) else {
        return;
    };
    let options = Options::INCORRECT_SEQNO
        .with(COOKIE)
        .with(received.detected());
    let addresses = Addresses::of(&[to, cookie]).unwrap_or(Addresses::EMPTY);
    let answer = Answer::default();
    world.acknowledge(to, endpoint, message.seqno, options, addresses, answer);
}

/// Whether this is a cookie: an ACK with IS and without a signature, which nobody else would believe.
pub(crate) fn is_cookie(received: &Received<'_>) -> bool {
    let message = &received.message;
    let options = message.options;
    let is = options.has(COOKIE) && options.has(Options::INCORRECT_SEQNO);
    message.control == Control::Ack && message.signature.is_none() && is
}

/// The greeting that it answers goes there again, with the cookie.
pub(crate) fn take_cookie(table: &mut Table, received: &Received<'_>) -> Result<(), Refusal> {
    let Received {
        endpoint,
        to,
        message,
        ..
    } = *received;
    let cookie = received.after(1).first().copied().ok_or(Refusal::Payload)?;
    let answered =
        |request: &Request| request.greets() && request.is_answered(message.seqno, endpoint, to);
    let mut hosts = table.hosts_at(endpoint, None).into_iter();
    let greeting = hosts.find(|host| host.requests().out().iter().any(answered));
    let key = greeting.map(|host| host.key());
    let key = key.ok_or(Refusal::UnexpectedAck)?;
    table.world.received(received);
    table.with(key, |host, world| {
        if let Some(request) = host.requests_mut().find_mut(answered).next() {
            request.take_cookie(endpoint, cookie);
        }
        send_again(host, message.seqno, endpoint, world);
    });
    Ok(())
}
