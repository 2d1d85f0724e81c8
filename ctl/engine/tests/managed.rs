// SPDX-License-Identifier: GPL-2.0
//! Hosts that the administrator takes over, and gives back.

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
                Output::Send { bytes, .. } => self.sent.push(bytes[0]),
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
        let hosts = vec![KernelHost {
            id: 1,
            state,
            managed,
            active: vec![there()],
            nats: vec![],
            unreachable: vec![],
            alias: vec![],
            local: vec![Local::new(here())],
            identifiers: vec![],
        }];
        self.give(Input::Kernel { hosts });
    }
}

#[test]
fn who_is_taken_over_while_a_request_is_out_is_left_alone() {
    let mut one = One::new();
    one.give(Input::Discovered {
        id: 1,
        local: here(),
        remote: there(),
    });
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
