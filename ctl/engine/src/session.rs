// SPDX-License-Identifier: GPL-2.0
//! How two hosts know each other: greetings, and the numbers of the peer's messages.

use ihmp_core::addr::Addr;
use ihmp_core::message::{Options, MAX_ADDRESSES};
use ihmp_core::time::Instant;

use crate::bucket::Bucket;
use crate::endpoint::Endpoint;
use crate::limits::Limits;
use crate::seqno::Window;
use crate::world::Answer;

/// An ACK that waits until the kernel has made the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) from: Addr,
    pub(crate) to: Endpoint,
    pub(crate) options: Options,
    pub(crate) seqno: u16,
    /// Octets of the HELLO.
    pub(crate) asked: usize,
    pub(crate) answer: Answer,
}

/// What passed between a peer and us.
#[derive(Debug)]
pub(crate) struct Session {
    /// Which numbers of its messages are accepted.
    window: Window,
    /// It does not know where our counter stands.
    needs_hello: bool,
    /// When it is to be greeted; its turn may come later.
    greet_at: Option<Instant>,
    /// When it last acknowledged a greeting, or made itself known by one: then it knew us.
    met_at: Option<Instant>,
    /// When it last answered a greeting as one that does not know our key.
    strange_at: Option<Instant>,
    /// The number of its last HELLO, if it greeted us as a stranger and we knew it.
    strange_hello: Option<u16>,
    /// What it wants to see before it believes that we hear it: own address, its endpoint, timestamp.
    challenges: Vec<(Addr, Endpoint, u64)>,
    /// Answers to greetings of it.
    replies: Vec<Reply>,
    /// How often it may be told that its number is wrong.
    wrong: Bucket,
    /// How often it said in a row that ours is.
    resyncs: u32,
}

impl Session {
    pub(crate) fn new(limits: &Limits) -> Session {
        Session {
            window: Window::default(),
            needs_hello: false,
            greet_at: None,
            met_at: None,
            strange_at: None,
            strange_hello: None,
            challenges: Vec::new(),
            replies: Vec::new(),
            wrong: Bucket::new(limits.challenges.host),
            resyncs: 0,
        }
    }

    /// Which numbers of its messages are accepted.
    pub(crate) fn window(&self) -> &Window {
        &self.window
    }

    /// The same, to learn more.
    pub(crate) fn window_mut(&mut self) -> &mut Window {
        &mut self.window
    }

    /// Whether it has to be greeted before anything else is said.
    pub(crate) fn needs_hello(&self) -> bool {
        self.needs_hello
    }

    /// It does not know where our counter stands.
    pub(crate) fn need_hello(&mut self) {
        self.needs_hello = true;
    }

    /// The same, and it is greeted then.
    pub(crate) fn greet_at(&mut self, at: Instant) {
        self.needs_hello = true;
        self.greet_at = Some(at);
    }

    /// It knows where our counter stands.
    pub(crate) fn greeted(&mut self) {
        self.needs_hello = false;
        self.greet_at = None;
    }

    /// Whether it is time to greet it.
    pub(crate) fn take_greeting(&mut self, now: Instant) -> bool {
        self.greet_at.take_if(|at| *at <= now).is_some() && self.needs_hello
    }

    /// When it is to be greeted.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.greet_at
    }

    /// It knows us.
    pub(crate) fn meet(&mut self, now: Instant) {
        self.met_at = Some(now);
    }

    /// It does not know our key.
    pub(crate) fn forgot(&mut self, now: Instant) {
        self.strange_at = Some(now);
    }

    /// Whether the peer has forgotten what it was told here: later it answered the greeting of `other`, which is the same peer at
    /// another address, as one that does not know our key.
    pub(crate) fn was_forgotten(&self, other: &Session) -> bool {
        other.strange_at.is_some() && self.met_at < other.strange_at
    }

    /// It greeted us with this number, as one that does not know us though we know it, or as another one.
    pub(crate) fn note_strange(&mut self, seqno: Option<u16>) {
        self.strange_hello = seqno;
    }

    /// Whether a message with this number comes right after such a greeting.
    pub(crate) fn take_strange(&mut self, seqno: u16) -> bool {
        let greeting = self.strange_hello.take();
        greeting.map(|greeting| greeting.wrapping_add(1)) == Some(seqno)
    }

    /// The peer wants to see that we hear it.
    pub(crate) fn challenge(&mut self, from: Addr, to: Endpoint, stamp: u64) {
        self.challenges
            .retain(|asked| (asked.0, asked.1) != (from, to));
        if self.challenges.len() >= MAX_ADDRESSES {
            self.challenges.remove(0);
        }
        self.challenges.push((from, to, stamp));
    }

    /// What it wants to see there. Once: if the answer is lost, the peer may have forgotten what it asked.
    pub(crate) fn take_challenge(&mut self, from: Addr, to: Endpoint) -> Option<u64> {
        let asked = |asked: &(Addr, Endpoint, u64)| (asked.0, asked.1) == (from, to);
        let at = self.challenges.iter().position(asked)?;
        Some(self.challenges.remove(at).2)
    }

    /// A greeting of it is to be answered.
    pub(crate) fn owe(&mut self, reply: Reply) {
        self.replies.push(reply);
    }

    /// The answers that it waits for.
    pub(crate) fn take_replies(&mut self) -> Vec<Reply> {
        std::mem::take(&mut self.replies)
    }

    /// Whether it may be told now that its number is wrong.
    pub(crate) fn may_refuse(&mut self, now: Instant) -> bool {
        self.wrong.take(now)
    }

    /// It said that our number is wrong; how often in a row.
    pub(crate) fn resynced(&mut self) -> u32 {
        self.resyncs += 1;
        self.resyncs
    }

    /// It took our number.
    pub(crate) fn agreed(&mut self) {
        self.resyncs = 0;
    }
}
