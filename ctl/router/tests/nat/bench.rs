// SPDX-License-Identifier: GPL-2.0
//! A NAT with a memory of its own, a clock, and peers that keep what they are told.

use std::collections::{BTreeMap, BTreeSet};

use ihmp_core::addr::Addr;
use ihmp_core::entry::{Entry, Lease};
use ihmp_core::message::{Addresses, Control, Message, Options};
use ihmp_core::packet::{TCP, UDP};
use ihmp_core::time::{Duration, Instant};
use ihmp_engine::{verify, Moment, OwnKey, PublicKey};
use ihmp_router::{
    Config, Event, Input, Link, NatConfig, Note, Output, Pair, Passing, Router, Translation,
    Verdict,
};
use ihmp_sim::{addr, own_key};

pub(crate) const M: &str = "192.168.1.7";
pub(crate) const M2: &str = "192.168.1.8";
pub(crate) const N: &str = "203.0.113.2";
pub(crate) const C: &str = "203.0.113.10";
pub(crate) const C2: &str = "203.0.113.20";
/// Devices.
pub(crate) const LAN: u32 = 1;
pub(crate) const WAN: u32 = 2;

/// What a peer was told by a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) to: Addr,
    pub(crate) seqno: u16,
    pub(crate) options: Options,
    pub(crate) stamp: u64,
    pub(crate) entry: Entry,
    pub(crate) bytes: Vec<u8>,
}

impl Told {
    /// Port of the host and lifetime of each mapping.
    pub(crate) fn leases(&self) -> Vec<(u16, u16)> {
        let leases = self.entry.leases();
        leases.map(|lease| (lease.port, lease.lifetime)).collect()
    }

    /// Whether the NAT's signature answers an ACK with this timestamp.
    pub(crate) fn echoes(&self, echo: u64) -> bool {
        let message = Message::parse(&self.bytes).unwrap();
        let block = message.signature.as_ref().and_then(|s| s.ed25519());
        verify(&self.bytes, self.to, echo, &block.unwrap())
    }
}

pub(crate) struct Bench {
    pub(crate) router: Router,
    pub(crate) now: Instant,
    /// What the NAT remembers.
    pub(crate) memory: BTreeSet<Translation>,
    pub(crate) told: Vec<Told>,
    pub(crate) notes: Vec<Note>,
    pub(crate) listening: Vec<Addr>,
    pub(crate) looks: Vec<Vec<Pair>>,
    /// It cannot be asked.
    pub(crate) broken: bool,
    stamp: u64,
    id: u32,
}

pub(crate) fn nat_key() -> OwnKey {
    own_key(99)
}

pub(crate) fn pair(host: &str, peer: &str) -> Pair {
    Pair {
        host: addr(host),
        peer: addr(peer),
    }
}

pub(crate) const fn lease(proto: u8, port: u16, peer_port: u16) -> Lease {
    Lease {
        proto,
        nat_port: port ^ 0x8000,
        port,
        peer_port,
        lifetime: 0,
    }
}

/// A connection of a host to port 22 of a peer.
pub(crate) fn tcp(host: &str, peer: &str, port: u16) -> Translation {
    Translation {
        pair: pair(host, peer),
        nat: addr(N),
        lease: lease(TCP, port, 22),
    }
}

pub(crate) fn udp(host: &str, peer: &str, port: u16) -> Translation {
    let lease = lease(UDP, port, 53);
    Translation {
        lease,
        ..tcp(host, peer, port)
    }
}

impl Bench {
    pub(crate) fn new() -> Bench {
        Bench::with(NatConfig::default())
    }

    pub(crate) fn with(nat: NatConfig) -> Bench {
        Bench::of(Config {
            nat: Some(nat),
            ..Config::default()
        })
    }

    pub(crate) fn of(config: Config) -> Bench {
        let mut bench = Bench {
            router: Router::new(config),
            now: Instant::ZERO,
            memory: BTreeSet::new(),
            told: vec![],
            notes: vec![],
            listening: vec![],
            looks: vec![],
            broken: false,
            stamp: 1_800_000_000_000_000_000,
            id: 0,
        };
        let links = [
            ("192.168.1.1", "192.168.1.0/24", LAN),
            (N, "203.0.113.0/24", WAN),
        ];
        let links = links.map(|(own, net, device)| Link {
            own: addr(own),
            prefix: net.parse().unwrap(),
            device,
        });
        bench.tell(Input::Key(Box::new(nat_key()), 0));
        bench.tell(Input::Links(links.to_vec()));
        bench
    }

    fn moment(&self) -> Moment {
        Moment {
            now: self.now,
            wall: 1_900_000_000_000_000_000 + self.now.as_nanos(),
            random: self.now.as_nanos().wrapping_mul(0x9e37_79b9_7f4a_7c15),
        }
    }

    /// Tells it something, does what it wants, and gives back the verdicts.
    pub(crate) fn tell(&mut self, input: Input<'_>) -> Vec<Verdict> {
        let mut verdicts = vec![];
        self.router.handle(self.moment(), input);
        while let Some(output) = self.router.poll() {
            match output {
                Output::Verdict { verdict, .. } => verdicts.push(verdict),
                Output::Send { from, to, bytes } => self.sends(from, to, bytes),
                Output::Listen(peers) => self.listening = peers,
                Output::Look(pairs) => {
                    let wanted = self.memory.iter().filter(|t| pairs.contains(&t.pair));
                    let all: Vec<Translation> = wanted.copied().collect();
                    self.looks.push(pairs);
                    let seen = (!self.broken).then_some(&all[..]);
                    self.router.handle(self.moment(), Input::Seen(seen));
                }
                Output::Note(note) => self.notes.push(note),
                Output::Keep(_) => (),
                Output::Install(_) | Output::Remove(_) => panic!("a route"),
            }
        }
        verdicts
    }

    fn sends(&mut self, from: Addr, to: Addr, bytes: Vec<u8>) {
        let message = Message::parse(&bytes).unwrap();
        let block = message.signature.as_ref().and_then(|s| s.ed25519());
        let block = block.unwrap();
        assert_eq!(message.control, Control::NatEntry);
        assert_eq!(PublicKey(*block.key), nat_key().public());
        assert_eq!(message.host, from);
        let entry = Entry::read(&message.addresses).unwrap();
        assert_eq!(entry.nat, from);
        let told = Told {
            to,
            seqno: message.seqno,
            options: message.options.without(Options::SIGNED),
            stamp: block.timestamp,
            entry,
            bytes: bytes.clone(),
        };
        self.told.push(told);
    }

    /// What was told since the last time.
    pub(crate) fn told(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.told)
    }

    pub(crate) fn one(&mut self) -> Told {
        let mut told = self.told();
        assert_eq!(told.len(), 1, "{told:?}");
        told.remove(0)
    }

    pub(crate) fn none(&mut self) {
        assert_eq!(self.told(), []);
    }

    /// Time passes until something is told.
    pub(crate) fn next(&mut self) -> Told {
        while self.told.is_empty() {
            self.now = self.router.next_timeout().expect("nothing is due");
            self.tell(Input::Timer);
        }
        self.one()
    }

    /// Time passes, and what is due happens.
    pub(crate) fn wait(&mut self, span: Duration) {
        let end = self.now.after(span);
        while let Some(at) = self.router.next_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.tell(Input::Timer);
        }
        self.now = end;
    }

    pub(crate) fn stamp(&mut self) -> u64 {
        self.stamp += 1_000;
        self.stamp
    }

    /// A message as its sender signs it.
    pub(crate) fn message(
        &mut self,
        key: &OwnKey,
        control: Control,
        options: Options,
        from: &str,
        to: &str,
    ) -> Vec<u8> {
        let mut addresses = Addresses::of(&[addr(from)]).unwrap();
        if matches!(control, Control::Handoff | Control::AddrUp) {
            assert!(addresses.push(addr(from)));
        }
        let message = Message {
            control,
            options,
            seqno: 7,
            signature: None,
            host: addr(from),
            addresses,
        };
        let stamp = self.stamp();
        key.seal(&message, addr(to), stamp, 0)
    }

    /// A datagram is forwarded, and leaves; the verdict on it as it leaves.
    pub(crate) fn cross(
        &mut self,
        device: u32,
        from: &str,
        outside: &str,
        to: &str,
        bytes: &[u8],
    ) -> Verdict {
        let verdict = self.forward(device, from, to, bytes);
        assert_eq!(verdict, Verdict::Pass);
        self.leave(device, outside, to, bytes)
    }

    pub(crate) fn forward(&mut self, device: u32, from: &str, to: &str, bytes: &[u8]) -> Verdict {
        self.pass(device, false, from, to, bytes)
    }

    pub(crate) fn leave(&mut self, device: u32, from: &str, to: &str, bytes: &[u8]) -> Verdict {
        self.pass(device, true, from, to, bytes)
    }

    fn pass(
        &mut self,
        device: u32,
        translated: bool,
        from: &str,
        to: &str,
        bytes: &[u8],
    ) -> Verdict {
        self.id += 1;
        let verdicts = self.tell(Input::Passing(Passing {
            id: self.id,
            device,
            translated,
            from: addr(from),
            to: addr(to),
            bytes,
        }));
        assert_eq!(verdicts.len(), 1);
        verdicts[0]
    }

    /// A host behind the NAT says something to a peer.
    pub(crate) fn says(&mut self, key: u64, host: &str, control: Control, to: &str) -> Verdict {
        let bytes = self.message(&own_key(key), control, Options::NONE, host, to);
        self.cross(LAN, host, N, to, &bytes)
    }

    /// A peer says something to a host behind the NAT.
    pub(crate) fn hears(
        &mut self,
        host: &str,
        control: Control,
        options: Options,
        from: &str,
    ) -> Verdict {
        let bytes = self.message(&own_key(50), control, options, from, host);
        self.cross(WAN, from, from, host, &bytes)
    }

    /// A peer's answer to a NAT_ENTRY.
    pub(crate) fn answer(&mut self, told: &Told, options: Options) -> (Vec<u8>, u64) {
        let message = Message {
            control: Control::Ack,
            options,
            seqno: told.seqno,
            signature: None,
            host: told.to,
            addresses: Addresses::of(&[told.to]).unwrap(),
        };
        let stamp = self.stamp();
        let bytes = own_key(50).seal(&message, told.entry.nat, stamp, told.stamp);
        (bytes, stamp)
    }

    pub(crate) fn heard(&mut self, from: Addr, bytes: &[u8]) {
        self.tell(Input::Heard {
            from,
            to: addr(N),
            bytes,
        });
    }

    pub(crate) fn acks(&mut self, told: &Told) {
        let (bytes, _) = self.answer(told, Options::NONE);
        self.heard(told.to, &bytes);
    }

    /// The peer wants to know whether the NAT hears it: the timestamp of its ACK.
    pub(crate) fn challenges(&mut self, told: &Told) -> u64 {
        let (bytes, stamp) = self.answer(told, Options::INCORRECT_SEQNO);
        self.heard(told.to, &bytes);
        stamp
    }

    /// The NAT makes connections, and forgets others.
    pub(crate) fn happens(&mut self, new: &[Translation], gone: &[Translation]) {
        let mut events: Vec<Event> = gone.iter().copied().map(Event::Gone).collect();
        events.extend(new.iter().copied().map(Event::New));
        for translation in gone {
            self.memory.remove(translation);
        }
        self.memory.extend(new);
        self.tell(Input::Events(&events));
    }

    /// How often something was refused for a reason.
    pub(crate) fn refused(&self, reason: &str) -> u64 {
        self.router.passed().get(reason).copied().unwrap_or(0)
    }

    /// All that was refused.
    pub(crate) fn refusals(&self) -> BTreeMap<&'static str, u64> {
        self.router.passed().clone()
    }

    /// A host is known to a peer, and has what is in the memory told.
    pub(crate) fn settled(&mut self, key: u64, host: &str, peer: &str) {
        assert_eq!(self.says(key, host, Control::Handoff, peer), Verdict::Mark);
        for told in self.told() {
            self.acks(&told);
        }
    }
}
