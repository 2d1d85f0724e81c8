// SPDX-License-Identifier: GPL-2.0
//! A request on its way: from one own address, to one address of the peer after the other, until it is acknowledged.

use ihmp_core::addr::Addr;
use ihmp_core::message::{Addresses, Control, Message, Options};
use ihmp_core::time::{Duration, Instant};

use crate::cookie::COOKIE;
use crate::endpoint::Endpoint;
use crate::keys::PublicKey;
use crate::limits::MAX_SENDS;
use crate::note::Note;
use crate::world::World;

/// How many sends to one address an ACK can answer.
const STAMPS: usize = 4;
/// How often a greeting answers a challenge.
const CHALLENGES: u32 = 3;

/// What a request says.
#[derive(Clone, Debug)]
pub(crate) struct Contents {
    pub(crate) control: Control,
    pub(crate) seqno: u16,
    pub(crate) from: Addr,
    /// The Host ID.
    pub(crate) host: Addr,
    /// The announced address, when it is not `from`.
    pub(crate) new: Option<Addr>,
    /// The lost address.
    pub(crate) old: Option<Addr>,
    /// The peer could not reach that one, as far as it was told ([DIME-IFIP] section IV-E).
    pub(crate) old_unreachable: bool,
    /// All our addresses, as the peer should know them; towards a stranger, the source.
    pub(crate) list: Vec<Addr>,
    /// The list is the whole of what the peer should know.
    pub(crate) complete: bool,
}

impl Contents {
    /// Whether an ACK proves the source: the message announced it.
    pub(crate) fn proves(&self) -> bool {
        matches!(
            self.control,
            Control::Hello | Control::AddrUp | Control::Handoff
        )
    }

    /// Whether it tells the peer all our addresses in place of those it knew.
    pub(crate) fn replaces(&self) -> bool {
        self.control != Control::Hello
    }

    /// What its kind alone does not say.
    pub(crate) fn options(&self) -> Options {
        let hands_off = matches!(self.control, Control::Handoff | Control::HandoffUnreachable);
        match hands_off && self.old_unreachable {
            true => Options::OLDADDR_UNREACHABLE,
            false => Options::NONE,
        }
    }

    /// Whether it announces a move of its source.
    pub(crate) fn moves(&self) -> bool {
        self.replaces() && self.proves()
    }

    fn addresses(&self) -> Addresses {
        let mut addresses = Addresses::EMPTY;
        let mut room = addresses.push(self.from);
        if matches!(self.control, Control::AddrUp | Control::Handoff) {
            room &= addresses.push(self.from);
        }
        for addr in self.new.into_iter().chain(self.old) {
            room &= addresses.push(addr);
        }
        for addr in &self.list {
            if *addr != self.from && Some(*addr) != self.new {
                room &= addresses.push(*addr);
            }
        }
        // A greeting that names its source alone says nothing of others.
        if self.control == Control::Hello && self.complete && self.list.len() == 1 {
            room &= addresses.push(self.from);
        }
        debug_assert!(room);
        addresses
    }
}

/// A request that was not acknowledged yet.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    contents: Contents,
    /// Where it was sent to, the last one last.
    tried: Vec<Endpoint>,
    /// Where the next send goes, when that is not the next one's turn.
    next: Option<Endpoint>,
    /// Where to and with what timestamps it was sent, the last ones.
    stamps: Vec<(Endpoint, u64)>,
    /// What the peer wants to see before it looks at a greeting, and where.
    cookie: Option<(Endpoint, Addr)>,
    /// How often the peer wanted to see that we hear it.
    challenges: u32,
    /// A router has let it pass.
    declined: bool,
    sends: u32,
    first_sent: Instant,
    due: Instant,
    time_out: Duration,
}

impl Request {
    /// One that goes first to `next`, if there is one, and is repeated after this time-out.
    pub(crate) fn new(
        contents: Contents,
        next: Option<Endpoint>,
        time_out: Duration,
        now: Instant,
    ) -> Request {
        Request {
            contents,
            tried: Vec::new(),
            next,
            stamps: Vec::new(),
            cookie: None,
            challenges: 0,
            declined: false,
            sends: 0,
            first_sent: now,
            due: now,
            time_out,
        }
    }

    /// What it says.
    pub(crate) fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Our address that it is from.
    pub(crate) fn from(&self) -> Addr {
        self.contents.from
    }

    /// Its number.
    pub(crate) fn seqno(&self) -> u16 {
        self.contents.seqno
    }

    /// Whether it is a greeting.
    pub(crate) fn greets(&self) -> bool {
        self.contents.control == Control::Hello
    }

    /// When it is sent again, or given up.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// Whether an ACK with this number, from there to here, answers it.
    pub(crate) fn is_answered(&self, seqno: u16, by: Endpoint, to: Addr) -> bool {
        self.seqno() == seqno && self.from() == to && self.tried.contains(&by)
    }

    /// The timestamps with which it was sent there, the last one first.
    pub(crate) fn stamps_to(&self, to: Endpoint) -> impl Iterator<Item = u64> + '_ {
        let there = self
            .stamps
            .iter()
            .rev()
            .filter(move |(sent, _)| *sent == to);
        there.map(|(_, stamp)| *stamp).take(STAMPS)
    }

    /// Where it was sent to last.
    pub(crate) fn last_tried(&self) -> Option<Endpoint> {
        self.tried.last().copied()
    }

    /// Whether a router may answer it in the peer's place, and has not let it pass.
    pub(crate) fn awaits_router(&self) -> bool {
        self.contents.moves() && !self.declined && self.sends > 0
    }

    /// A router has let it pass.
    pub(crate) fn decline(&mut self) {
        self.declined = true;
    }

    /// The peer wants to see this before it looks at the greeting.
    pub(crate) fn take_cookie(&mut self, from: Endpoint, cookie: Addr) {
        self.cookie = Some((from, cookie));
    }

    /// From now on it says which addresses we have.
    pub(crate) fn complete(&mut self, list: Vec<Addr>) {
        self.contents.complete = true;
        self.contents.list = list;
    }

    /// It starts over.
    pub(crate) fn restart(&mut self, now: Instant) {
        (self.sends, self.due) = (0, now);
    }

    /// It is sent again at once, there, unless that was done often enough. The round trip, if the first send was answered.
    pub(crate) fn send_again(&mut self, to: Endpoint, now: Instant) -> Option<Option<Duration>> {
        if self.challenges >= CHALLENGES {
            return None;
        }
        self.challenges += 1;
        let measured = (self.sends == 1).then(|| now.since(self.first_sent));
        self.restart(now);
        self.next = Some(to);
        Some(measured)
    }

    /// Where it goes now: one of these after the other; `None` when it was sent often enough.
    pub(crate) fn turn(&mut self, targets: &[Endpoint], world: &World) -> Option<Endpoint> {
        let count = rounds(targets);
        let sends = world.limits.requests.sends_of(self.contents.control);
        let most = sends.saturating_mul(count).min(MAX_SENDS);
        let turn = targets.get((self.sends % count) as usize).copied();
        let turn = self.next.take().or(turn);
        turn.filter(|_| self.sends < most)
    }

    /// Sends it once; the time-out doubles after each round over the targets. `echo` is what the peer wants to see.
    pub(crate) fn send(
        &mut self,
        to: Endpoint,
        targets: &[Endpoint],
        options: Options,
        echo: Option<u64>,
        own: Option<PublicKey>,
        world: &mut World,
    ) {
        let round = self.sends / rounds(targets);
        self.sends += 1;
        self.tried.retain(|tried| *tried != to);
        self.tried.push(to);
        if self.sends == 1 {
            self.first_sent = world.now;
        }
        let time_out = self.time_out.saturating_mul(1 << round.min(16));
        self.due = world.now.after(world.jitter(time_out));
        let mut options = options;
        if echo.is_some() {
            options = options.with(Options::INCORRECT_SEQNO);
        }
        let echo = echo.unwrap_or(0);
        let mut addresses = self.contents.addresses();
        // What answers a challenge needs none.
        let cookie = self.cookie.filter(|(there, _)| *there == to && echo == 0);
        if cookie.is_some_and(|(_, cookie)| addresses.push(cookie)) {
            options = options.with(COOKIE);
        }
        let message = Message {
            control: self.contents.control,
            options,
            seqno: self.seqno(),
            signature: None,
            host: self.contents.host,
            addresses,
        };
        let stamp = world.send(self.from(), to, &message, own, Some(echo));
        if self.stamps.len() >= MAX_SENDS as usize {
            self.stamps.remove(0);
        }
        self.stamps.push((to, stamp));
        world.note(Note::Sent {
            control: self.contents.control,
            seqno: self.seqno(),
            from: self.from(),
            to: to.addr,
            attempt: self.sends,
        });
    }

    /// It was acknowledged by this address; the round trip, where that is certain (Karn's rule).
    pub(crate) fn acknowledged(&self, by: Addr, world: &mut World) -> Option<Duration> {
        let after = world.now.since(self.first_sent);
        world.note(Note::Acked {
            control: self.contents.control,
            seqno: self.seqno(),
            from: self.from(),
            by,
            after,
        });
        (self.sends == 1).then_some(after)
    }

    /// No address of the peer acknowledged it.
    pub(crate) fn unanswered(&self, world: &mut World) {
        let to = self.tried.last().map_or(Addr::UNSPECIFIED, |to| to.addr);
        world.note(Note::Unanswered {
            control: self.contents.control,
            seqno: self.seqno(),
            from: self.from(),
            to,
        });
    }

    /// A newer state replaces it.
    pub(crate) fn superseded(&self, world: &mut World) {
        world.note(Note::Superseded {
            control: self.contents.control,
            seqno: self.seqno(),
            from: self.from(),
        });
    }
}

/// In how many sends each of the targets had its turn.
fn rounds(targets: &[Endpoint]) -> u32 {
    u32::try_from(targets.len()).unwrap_or(1).max(1)
}
