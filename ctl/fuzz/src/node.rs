// SPDX-License-Identifier: GPL-2.0
//! A machine: an engine, its inputs, and the checks on all of its outputs.

use std::collections::{BTreeMap, BTreeSet};

use ihmp_core::addr::Addr;
use ihmp_core::message::{Addresses, Control, Message, MAX_LEN};
use ihmp_core::time::{Duration, Instant};
use ihmp_engine::{
    Change, Engine, Input, Keys, KnownKey, Limits, Moment, Note, Output, OwnKey, Policy, PublicKey,
    Routes, Traffic, Via,
};
use ihmp_sim::store::Store;

use crate::table::Table;

/// Most outputs for one input and host, or own address: each is a request, its note, a change and a question.
const OUTPUTS: usize = 64;
/// Octets of the engine's debug text for each host that it may have: a measure of all that it remembers.
const TEXT: usize = 32_768;
/// The same of all that does not depend on hosts.
const TEXT_BASE: usize = 262_144;
/// A reply has at most so many times the octets of what it answers.
const AMPLIFICATION: usize = 3;

/// A datagram.
#[derive(Clone, Debug)]
pub(crate) struct Datagram {
    pub(crate) from: Addr,
    /// The source port that a NAT gave it.
    pub(crate) source: Option<u16>,
    pub(crate) to: Addr,
    /// The destination port, if it is that of a NAT and has not passed it.
    pub(crate) port: Option<u16>,
    /// The machine behind a NAT that gets it.
    pub(crate) inside: Option<usize>,
    pub(crate) bytes: Vec<u8>,
}

/// What went to an address and came from it.
#[derive(Clone, Copy, Debug, Default)]
struct Balance {
    received: usize,
    sent: usize,
    acks: usize,
}

/// A machine.
pub(crate) struct Node {
    engine: Engine,
    limits: Limits,
    policy: Policy,
    store: Store,
    pub(crate) table: Table,
    pub(crate) local: Vec<Addr>,
    /// Former addresses whose packets a router forwards to it.
    held: BTreeSet<Addr>,
    /// Peer addresses to which there is no route.
    pub(crate) unrouted: BTreeSet<Addr>,
    /// Its clock on the wall is so far ahead.
    pub(crate) ahead: u64,
    /// The kernel makes no more entries.
    pub(crate) full: bool,
    balance: BTreeMap<Addr, Balance>,
    /// Where its own traffic went: it may ask there.
    wanted: BTreeSet<Addr>,
    /// Where genuine messages came from, and what they said: who is there may be asked, too.
    heard: BTreeSet<Addr>,
    random: u64,
    number: u8,
    tracing: bool,
}

fn seed(number: u8) -> OwnKey {
    OwnKey::new(&[number; 32], vec![])
}

impl Node {
    pub(crate) fn new(number: u8, limits: Limits, policy: Policy) -> Node {
        let own = vec![seed(number)];
        let mut node = Node {
            engine: Engine::new(limits, policy),
            limits,
            policy,
            store: Store {
                own,
                ..Store::default()
            },
            table: Table::default(),
            local: vec![],
            held: BTreeSet::new(),
            unrouted: BTreeSet::new(),
            ahead: u64::from(number) * 1_000_000_000_000,
            full: false,
            balance: BTreeMap::new(),
            wanted: BTreeSet::new(),
            heard: BTreeSet::new(),
            random: u64::from(number),
            number,
            tracing: std::env::var_os("IHMP_TRACE").is_some(),
        };
        if policy == Policy::RequireKnown {
            for peer in 1..4 {
                let known = KnownKey {
                    pinned: true,
                    ..KnownKey::default()
                };
                node.store.known.insert(seed(peer).public(), known);
            }
        }
        node
    }

    fn keys(&self) -> Keys {
        Keys {
            own: self.store.own.clone(),
            sent: self.store.sent,
            known: self.store.known.clone().into_iter().collect(),
        }
    }

    /// Tells the engine the keys of its store.
    pub(crate) fn rekey(&mut self, now: Instant) -> Vec<Datagram> {
        let keys = self.keys();
        self.give(now, Input::Keys(keys))
    }

    /// The key with this number follows on the present one.
    pub(crate) fn rotate(&mut self, number: u8, now: Instant) -> Vec<Datagram> {
        let mut new = seed(number);
        let used = self
            .store
            .own
            .iter()
            .any(|own| own.public() == new.public());
        if used || number < 16 {
            return vec![];
        }
        new.former = self.store.own.first().map(|old| old.endorse(&new.public()));
        self.store.own = vec![new];
        self.rekey(now)
    }

    /// Its public key.
    pub(crate) fn public(&self) -> PublicKey {
        self.store.own[0].public()
    }

    /// A message that it signs, as an agent of another make might: at the time of its clock.
    pub(crate) fn seal(&self, message: &Message<'_>, to: Addr, now: Instant) -> Vec<u8> {
        let stamp = self.store.sent.max(self.wall(now));
        self.store.own[0].seal(message, to, stamp, 0)
    }

    fn wall(&self, now: Instant) -> u64 {
        1_700_000_000_000_000_000_u64
            .saturating_add(self.ahead)
            .saturating_add(now.as_nanos())
    }

    fn via(&self, peer: Addr) -> Vec<Via> {
        // What goes to an own address leaves by no device.
        let routed = !self.unrouted.contains(&peer) && !self.local.contains(&peer);
        let family = |of: &&Addr| routed && of.family() == peer.family();
        let newest = self.local.iter().rfind(family).copied();
        let via = |local: &Addr| Via {
            local: *local,
            preference: if Some(*local) == newest { 0 } else { 10 },
            // A network for each address.
            device: Some(u32::from(local.octets()[15])),
            diverted: false,
        };
        self.local.iter().filter(family).map(via).collect()
    }

    /// Tells the engine what its addresses and routes are.
    pub(crate) fn network(&mut self, now: Instant) -> Vec<Datagram> {
        let peers = self.engine.peers();
        let routes = peers.into_iter().map(|peer| Routes {
            peer,
            via: self.via(peer),
        });
        let input = Input::Network {
            local: self.local.iter().copied().map(Into::into).collect(),
            routes: routes.collect(),
        };
        self.give(now, input)
    }

    /// Tells the engine all that the kernel has.
    pub(crate) fn resync(&mut self, now: Instant) -> Vec<Datagram> {
        let hosts = self.table.dump();
        self.give(now, Input::Kernel { hosts })
    }

    /// The agent dies, and another one starts.
    pub(crate) fn restart(&mut self, now: Instant) -> Vec<Datagram> {
        self.engine = Engine::new(self.limits, self.policy);
        self.held.clear();
        let mut sent = self.rekey(now);
        sent.extend(self.network(now));
        sent.extend(self.resync(now));
        sent.extend(self.network(now));
        sent
    }

    /// The module sees a flow.
    pub(crate) fn flow(&mut self, local: Addr, remote: Addr, now: Instant) -> Vec<Datagram> {
        if self.local.contains(&remote) {
            return vec![];
        }
        self.wanted.insert(remote);
        let Some(id) = self.table.discover(local, remote) else {
            return vec![];
        };
        self.give(now, Input::Discovered { id, local, remote })
    }

    /// The module sees that nothing comes back on a path.
    pub(crate) fn silent(
        &mut self,
        id: u32,
        local: Addr,
        remote: Addr,
        now: Instant,
    ) -> Vec<Datagram> {
        self.give(now, Input::Silent { id, local, remote })
    }

    /// The kernel removes an entry.
    pub(crate) fn remove(&mut self, id: u32, now: Instant) -> Vec<Datagram> {
        match self.table.remove(id) {
            Some(_) => self.give(now, Input::Removed { id }),
            None => vec![],
        }
    }

    /// A datagram comes; `genuine` when it is what somebody sent, from where he is.
    pub(crate) fn receive(
        &mut self,
        datagram: &Datagram,
        genuine: bool,
        now: Instant,
    ) -> Vec<Datagram> {
        let Datagram {
            from,
            source,
            to,
            bytes,
            ..
        } = datagram;
        self.balance.entry(*from).or_default().received += bytes.len();
        if genuine {
            // What a host says it has is asked, too, when it does not answer where it is ("Limits" in ihmp-wire.rst).
            let message = Message::parse(bytes).ok();
            let said = message.map(|message| message.addresses);
            self.heard.extend(said.iter().flat_map(Addresses::as_slice));
            self.heard.insert(*from);
        }
        self.give(
            now,
            Input::Message {
                from: *from,
                port: *source,
                to: *to,
                bytes,
            },
        )
    }

    /// A datagram comes that nobody sent as it is, or that has come before: nothing may change.
    pub(crate) fn receive_forged(&mut self, datagram: &Datagram, now: Instant) -> Vec<Datagram> {
        // What is due anyway is not its doing.
        let mut sent = self.give(now, Input::Timer);
        let before = self.table.clone();
        sent.extend(self.receive(datagram, false, now));
        assert_eq!(self.table, before, "changed by {datagram:?}");
        sent
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.engine.next_timeout()
    }

    /// Does all that is due.
    pub(crate) fn timer(&mut self, now: Instant) -> Vec<Datagram> {
        let mut sent = vec![];
        let mut rounds = 0;
        while self.next_timeout().is_some_and(|at| at <= now) {
            sent.extend(self.give(now, Input::Timer));
            rounds += 1;
            assert!(rounds < 100, "it goes round in circles");
        }
        sent
    }

    fn give(&mut self, now: Instant, input: Input<'_>) -> Vec<Datagram> {
        let mut sent = vec![];
        let mut inputs = vec![];
        self.one(now, input, &mut sent, &mut inputs);
        while let Some(input) = inputs.pop() {
            self.one(now, input, &mut sent, &mut inputs);
        }
        self.check();
        sent
    }

    /// With IHMP_TRACE in the environment: what goes on, for who looks into a finding.
    pub(crate) fn trace(&self, now: Instant, what: impl FnOnce() -> String) {
        if self.tracing {
            let micros = now.as_nanos() / 1_000;
            println!("{micros:>12} us node {}: {}", self.number, what());
        }
    }

    fn one<'a>(
        &mut self,
        now: Instant,
        input: Input<'_>,
        sent: &mut Vec<Datagram>,
        inputs: &mut Vec<Input<'a>>,
    ) {
        self.random = self
            .random
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(1);
        let moment = Moment {
            now,
            wall: self.wall(now),
            random: self.random,
        };
        self.trace(now, || format!("{input:?}"));
        self.engine.handle(moment, input);
        let most = OUTPUTS * (2 + self.limits.hosts.most) * (2 + self.local.len());
        let mut outputs = 0;
        while let Some(output) = self.engine.poll() {
            outputs += 1;
            assert!(outputs <= most, "{outputs} outputs of one input");
            self.trace(now, || match &output {
                Output::Note(note) => format!("    {note}"),
                output => format!("    {output:?}"),
            });
            match output {
                Output::Send {
                    from,
                    to,
                    port,
                    bytes,
                } => {
                    self.sends(from, to, &bytes);
                    sent.push(Datagram {
                        from,
                        source: None,
                        to,
                        port,
                        inside: None,
                        bytes,
                    });
                }
                Output::Table(Change::Map { id, mapping, .. }) => self.table.map(id, mapping),
                Output::Table(Change::Unmap { id, mapping }) => self.table.unmap(id, mapping),
                Output::Table(Change::New {
                    key,
                    record,
                    former,
                }) => {
                    if self.full {
                        inputs.insert(0, Input::Refused { key });
                    } else {
                        let id = self.table.take_over(&record);
                        let id = id.unwrap_or_else(|| self.table.make(record, former));
                        // As the agent does: at once, before what was decided after it.
                        let mut nested = vec![];
                        self.one(now, Input::Made { key, id }, sent, &mut nested);
                        inputs.extend(nested);
                    }
                }
                Output::Table(Change::Set { id, record, .. }) => {
                    let gone = self.table.give_way(id, &record);
                    self.table.set(id, record);
                    inputs.extend(gone.into_iter().map(|id| Input::Removed { id }));
                }
                Output::Table(Change::Wake { id, .. }) => self.table.wake(id),
                Output::Table(Change::Del { id }) => {
                    let row = self.table.remove(id).expect("an entry that is there");
                    assert!(!row.managed, "the administrator's entry is removed");
                }
                Output::Ask(peer) => {
                    let via = self.via(peer);
                    let routes = Routes { peer, via };
                    let mut nested = vec![];
                    self.one(now, Input::Routes(routes), sent, &mut nested);
                    inputs.extend(nested);
                }
                Output::Look(id) => {
                    let traffic = self.traffic();
                    let mut nested = vec![];
                    self.one(now, Input::Traffic { id, traffic }, sent, &mut nested);
                    inputs.extend(nested);
                }
                Output::Hold(addr) => assert!(self.held.insert(addr), "held twice"),
                Output::Release(addr) => assert!(self.held.remove(&addr), "not held"),
                Output::Keep(fact) => self.store.keep(fact),
                Output::Note(note) => self.note(&note),
            }
        }
    }

    /// What passed between a host and this node: a host in use or one that is not, heard or not.
    fn traffic(&self) -> Traffic {
        let bits = self.random >> 32;
        Traffic {
            flows: u32::from(bits & 1 != 0),
            sent: bits & 0xffff,
            received: if bits & 2 != 0 { bits & 0xff } else { 0 },
            idle: Duration::from_secs(bits & 0x3ff),
            credit: (bits & 4 != 0).then_some(bits & 0x1_ffff),
        }
    }

    /// A line of the log is one line, with a name.
    fn note(&self, note: &Note) {
        let text = note.to_string();
        assert!(text.starts_with("event=") && !text.contains('\n'), "{text}");
    }

    /// What is sent is a message from an own address, and not more than may go there.
    fn sends(&mut self, from: Addr, to: Addr, bytes: &[u8]) {
        assert!(bytes.len() <= MAX_LEN);
        let message = Message::parse(bytes).expect("a message");
        assert_eq!(message.addresses.as_slice().first(), Some(&from));
        assert!(self.local.contains(&from), "sent from {from}");
        assert_eq!(from.family(), to.family());
        assert!(!self.local.contains(&to), "sent to itself at {to}");
        let balance = self.balance.entry(to).or_default();
        balance.sent += bytes.len();
        if message.control == Control::Ack {
            balance.acks += bytes.len();
        }
        let Balance {
            received,
            sent,
            acks,
        } = *balance;
        assert!(
            acks <= AMPLIFICATION * received,
            "{acks} octets of answers to {to}, which sent {received}"
        );
        // Who believes what nobody signed believes forged sources as well.
        let asked = self.wanted.contains(&to) || self.heard.contains(&to);
        if !asked && self.policy != Policy::Unsigned {
            assert!(
                sent <= AMPLIFICATION * received,
                "{sent} octets to {to}, which sent {received}"
            );
        }
    }

    /// What holds after every input.
    fn check(&self) {
        let hosts: usize = self.engine.counts().iter().sum();
        assert!(hosts <= self.limits.hosts.most, "{hosts} hosts");
        let [challenges, keys] = self.engine.key_counts();
        assert!(
            challenges <= self.limits.hosts.pending,
            "{challenges} challenges"
        );
        // Listed keys are the administrator's matter.
        assert!(keys <= 2 * self.limits.hosts.most + 4, "{keys} keys");
    }

    /// What the engine remembers is bounded; slow, so not asked after every input.
    pub(crate) fn check_memory(&self) {
        let text = format!("{:?}", self.engine).len();
        let most = TEXT_BASE + TEXT * self.limits.hosts.most;
        assert!(text <= most, "the engine has {text} octets of text");
    }

    /// Whether a message with this form could be believed though nobody signed it.
    pub(crate) fn believes_unsigned(&self) -> bool {
        self.policy == Policy::Unsigned
    }
}
