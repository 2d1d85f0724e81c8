// SPDX-License-Identifier: GPL-2.0
//! Hosts that the administrator takes over, and gives back; and all of them, while he has switched the machine off.

use ihmp_core::addr::Addr;
use ihmp_core::time::{Duration, Instant};
use ihmp_engine::{
    Engine, Input, KernelHost, Keys, Limits, Local, Moment, Output, OwnKey, Policy, Routes, State,
    Via,
};

/// An engine with an own address, whose peer can be reached.
struct One {
    engine: Engine,
    now: Instant,
    random: u64,
    /// Kinds of the messages that were sent.
    sent: Vec<u8>,
    /// The messages.
    bytes: Vec<Vec<u8>>,
    changes: usize,
}

fn here() -> Addr {
    Addr::v4([192, 0, 2, 1])
}

fn there() -> Addr {
    Addr::v4([198, 51, 100, 7])
}

impl One {
    fn new() -> One {
        let mut one = One {
            engine: Engine::new(Limits::default(), Policy::FirstUse),
            now: Instant::from_nanos(1),
            random: 0,
            sent: vec![],
            bytes: vec![],
            changes: 0,
        };
        let own = vec![OwnKey::new(&[7; 32], vec![])];
        one.give(Input::Keys(Keys {
            own,
            ..Keys::default()
        }));
        one.network(&[here()]);
        one
    }

    fn give(&mut self, input: Input<'_>) {
        self.random += 1;
        let (now, random) = (self.now, self.random);
        let wall = 1_800_000_000_000_000_000 + now.as_nanos();
        self.engine.handle(Moment { now, wall, random }, input);
        while let Some(output) = self.engine.poll() {
            match output {
                Output::Send { bytes, .. } => {
                    self.sent.push(bytes[0]);
                    self.bytes.push(bytes);
                }
                Output::Table(_) => self.changes += 1,
                Output::Ask(peer) => {
                    let via = vec![Via::new(here(), 0)];
                    self.give(Input::Routes(Routes { peer, via }));
                }
                Output::Keep(_) | Output::Look(_) | Output::Note(_) => (),
                Output::Hold(_) | Output::Release(_) => unreachable!("no router is known"),
            }
        }
    }

    fn network(&mut self, local: &[Addr]) {
        let local = local.iter().copied().map(Into::into).collect();
        let routes = vec![];
        self.give(Input::Network { local, routes });
    }

    /// Time passes, and timers are served.
    fn pass(&mut self, span: Duration) {
        let end = self.now.after(span);
        while let Some(at) = self.engine.next_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.give(Input::Timer);
        }
        self.now = end;
    }

    /// What the kernel has: one host.
    fn kernel(&mut self, state: State, managed: bool) {
        let hosts = One::hosts(state, managed, true);
        self.give(Input::Kernel { hosts });
    }

    /// The administrator switches the machine on or off; the kernel has one host, of which flows have moved or not.
    fn switch(&mut self, on: bool, state: State, moved: bool) {
        let hosts = One::hosts(state, false, moved);
        self.give(Input::Switch { on, hosts });
    }

    fn hosts(state: State, managed: bool, moved: bool) -> Vec<KernelHost> {
        vec![KernelHost {
            id: 1,
            state,
            managed,
            moved,
            active: vec![there()],
            unvalidated: vec![],
            nats: vec![],
            unreachable: vec![],
            alias: vec![],
            local: vec![Local::new(here())],
            identifiers: vec![],
        }]
    }
}

/// The kernel's new host `id`, found by a flow from here to there.
fn discovered(id: u32) -> Input<'static> {
    Input::Discovered {
        id,
        local: here(),
        remote: there(),
    }
}

#[test]
fn who_is_taken_over_while_a_request_is_out_is_left_alone() {
    let mut one = One::new();
    one.give(discovered(1));
    assert_eq!(one.sent, [0]);
    one.kernel(State::New, true);
    one.network(&[]);
    one.changes = 0;
    one.pass(Duration::from_secs(3_600));
    assert_eq!((&one.sent[..], one.changes), (&[0][..], 0));
}

#[test]
fn who_was_named_before_is_left_alone() {
    for state in [State::New, State::Up, State::Classic] {
        let mut one = One::new();
        one.kernel(state, true);
        one.pass(Duration::from_secs(3_600));
        assert_eq!((&one.sent[..], one.changes), (&[][..], 0), "{state:?}");
    }
}

#[test]
fn who_is_given_back_is_greeted() {
    let mut one = One::new();
    one.kernel(State::Up, true);
    one.pass(Duration::from_secs(10));
    assert_eq!(one.sent, []);
    one.kernel(State::Up, false);
    one.pass(Duration::from_secs(1));
    assert_eq!(one.sent, [0]);
}

/// A greeting of somebody who takes part.
fn greeting() -> Vec<u8> {
    let mut other = One::new();
    other.give(discovered(7));
    other.bytes.remove(0)
}

fn hello_from(from: Addr, bytes: &[u8]) -> Input<'_> {
    Input::Message {
        from,
        port: None,
        to: here(),
        bytes,
    }
}

#[test]
fn while_the_machine_is_off_nobody_is_asked_or_answered() {
    let mut one = One::new();
    one.give(discovered(1));
    assert_eq!(one.sent, [0]);
    one.switch(false, State::New, false);
    assert_eq!(one.engine.counts(), [0, 0, 0]);
    one.pass(Duration::from_secs(3_600));
    // It was on its way.
    one.give(discovered(2));
    let bytes = greeting();
    one.give(hello_from(Addr::v4([198, 51, 100, 9]), &bytes));
    one.pass(Duration::from_secs(3_600));
    assert_eq!(one.sent, [0]);
    assert_eq!(one.engine.refusals().get("off"), Some(&1));
}

#[test]
fn while_the_machine_is_off_only_hosts_of_what_has_moved_are_spoken_with() {
    for moved in [false, true] {
        let mut one = One::new();
        one.kernel(State::Up, false);
        one.pass(Duration::from_secs(1));
        assert_eq!(one.sent, [0]);
        one.switch(false, State::Up, moved);
        one.sent.clear();
        one.changes = 0;
        one.network(&[here(), Addr::v4([192, 0, 2, 2])]);
        one.pass(Duration::from_secs(60));
        assert_eq!(!one.sent.is_empty(), moved);
        assert_eq!(one.engine.is_managed(1), Some(!moved));
        if !moved {
            assert_eq!(one.changes, 0);
        }
        // What has moved may end; what the host was told has to stay true.
        let hosts = One::hosts(State::Up, false, false);
        one.give(Input::Kernel { hosts });
        assert_eq!(one.engine.is_managed(1), Some(!moved));
        one.sent.clear();
        one.switch(true, State::Up, false);
        one.pass(Duration::from_secs(60));
        assert_eq!(one.engine.is_managed(1), Some(false));
        // Who was left alone is taken over, as after a restart.
        assert!(moved || one.sent.contains(&0));
    }
}
