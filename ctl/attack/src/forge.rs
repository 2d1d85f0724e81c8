// SPDX-License-Identifier: GPL-2.0
//! Messages of the kinds that change something, in the name of a host, without its key.

use std::collections::BTreeMap;

use ihmp_core::addr::Addr;
use ihmp_core::message::{Addresses, Control, Ed25519, Message, Options, SUCCESSION_LEN};
use ihmp_engine::OwnKey;
use serde_json::{json, Value};

use crate::frame::{frame, Mac};
use crate::link::Link;
use crate::random::Random;
use crate::seen::Seen;

/// The kinds that are forged, in turn.
pub(crate) const KINDS: [Control; 5] = [
    Control::Hello,
    Control::AddrUp,
    Control::Handoff,
    Control::Ack,
    Control::RouterAck,
];
/// Keys of the attacker's own.
const KEYS: usize = 64;

/// How a message is forged.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    /// Without a signature.
    Unsigned,
    /// With a made-up key and a made-up signature.
    MadeUp,
    /// With the host's public key and a made-up signature.
    Named,
    /// With a good signature by a key of the attacker's own.
    OwnKey,
    /// One of the host's messages, as it was.
    Replayed,
    /// One of the victim's own messages.
    Reflected,
}

impl Way {
    const ALL: [Way; 6] = [
        Way::Unsigned,
        Way::MadeUp,
        Way::Named,
        Way::OwnKey,
        Way::Replayed,
        Way::Reflected,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Way::Unsigned => "unsigned",
            Way::MadeUp => "made-up",
            Way::Named => "named",
            Way::OwnKey => "own-key",
            Way::Replayed => "replayed",
            Way::Reflected => "reflected",
        }
    }
}

/// Who is who.
pub(crate) struct Cast {
    /// The host in whose name messages are forged.
    pub(crate) host: Addr,
    /// The host that gets them.
    pub(crate) victim: Addr,
    /// The attacker's own address.
    pub(crate) attacker: Addr,
    /// Somebody whose address is forged as a source, to have messages sent there.
    pub(crate) bystander: Addr,
}

/// A forged message.
pub(crate) struct Forged {
    pub(crate) kind: Control,
    pub(crate) way: Way,
    pub(crate) from: Addr,
    pub(crate) octets: Vec<u8>,
}

/// Makes forged messages.
pub(crate) struct Forger {
    cast: Cast,
    random: Random,
    keys: Vec<OwnKey>,
    /// What the host sent to the victim, and the victim to it.
    heard: Vec<Vec<u8>>,
    said: Vec<Vec<u8>>,
    /// Sequence numbers that were seen.
    numbers: Vec<u16>,
    public: [u8; 32],
    made: usize,
}

impl Forger {
    pub(crate) fn new(cast: Cast, seen: &[Seen]) -> anyhow::Result<Forger> {
        let mut random = Random(1);
        let passed = |from: Addr, to: Addr| {
            let there = seen
                .iter()
                .filter(|seen| (seen.from, seen.to) == (from, to));
            there.map(|seen| seen.octets.clone()).collect::<Vec<_>>()
        };
        let numbers = seen.iter().filter_map(Seen::message);
        let numbers: Vec<u16> = numbers.map(|message| message.seqno).collect();
        let mut from_host = seen.iter().filter(|seen| seen.from == cast.host);
        let key = |seen: &Seen| Some(*seen.message()?.signature?.ed25519()?.key);
        let (heard, said) = (
            passed(cast.host, cast.victim),
            passed(cast.victim, cast.host),
        );
        anyhow::ensure!(
            !heard.is_empty() && !said.is_empty(),
            "nothing was seen between {} and {}",
            cast.host,
            cast.victim
        );
        let public = from_host.find_map(key);
        Ok(Forger {
            keys: (0..KEYS)
                .map(|_| OwnKey::new(&random.fill(), Vec::new()))
                .collect(),
            random,
            heard,
            said,
            numbers,
            public: public.ok_or_else(|| anyhow::anyhow!("{} did not sign", cast.host))?,
            cast,
            made: 0,
        })
    }

    /// A number that was seen, or the next few after one, or any.
    fn number(&mut self) -> u16 {
        let seen = self.random.below(self.numbers.len());
        let more = self.random.below(17);
        match self.numbers.get(seen) {
            Some(number) if self.made / 30 % 2 == 0 => {
                number.wrapping_add(u16::try_from(more).unwrap_or(0))
            }
            _ => u16::from_be_bytes(self.random.fill()),
        }
    }

    /// The host itself, the attacker, the bystander, or an address of nobody.
    fn source(&mut self) -> Addr {
        match self.random.below(4) {
            0 => self.cast.host,
            1 => self.cast.attacker,
            2 => self.cast.bystander,
            _ => self.nobody(),
        }
    }

    /// An address beyond the link, in the family of the victim.
    pub(crate) fn nobody(&mut self) -> Addr {
        if self.cast.victim.is_v4() {
            let [a, b, c] = self.random.fill();
            // 64.0.0.0/3 has nothing but unicast addresses.
            Addr::v4([64 | (a & 0x1f), b, c, 1])
        } else {
            let mut octets = [0; 16];
            octets[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb9]);
            octets[4..12].copy_from_slice(&self.random.fill::<8>());
            octets[15] = 1;
            Addr::v6(octets)
        }
    }

    /// The next message: kinds in turn, and of each kind all ways.
    pub(crate) fn next(&mut self) -> Forged {
        let kind = KINDS[self.made % KINDS.len()];
        let way = Way::ALL[self.made / KINDS.len() % Way::ALL.len()];
        let from = self.source();
        let (from, octets) = match way {
            Way::Replayed => (self.cast.host, self.copy(kind, false)),
            Way::Reflected => (self.cast.host, self.copy(kind, true)),
            _ => (from, self.write(kind, way, from)),
        };
        self.made += 1;
        Forged {
            kind,
            way,
            from,
            octets,
        }
    }

    /// A message of this kind that passed; where there was none, another one that says it is of this kind.
    fn copy(&mut self, kind: Control, own: bool) -> Vec<u8> {
        let passed = if own { &self.said } else { &self.heard };
        let of_kind = |octets: &&Vec<u8>| octets.first() == Some(&kind.number());
        let same: Vec<&Vec<u8>> = passed.iter().filter(of_kind).collect();
        let from = if same.is_empty() {
            passed.iter().collect()
        } else {
            same
        };
        let mut octets = from[self.random.below(from.len())].clone();
        octets[0] = kind.number();
        octets
    }

    fn write(&mut self, kind: Control, way: Way, from: Addr) -> Vec<u8> {
        let host = self.cast.host;
        let addresses: &[Addr] = match kind {
            Control::AddrUp => &[from, from, host],
            Control::Handoff => &[from, from, host],
            _ => &[from],
        };
        // From the host's own address, a message cannot name that as the address which is replaced.
        let addresses = if from == host {
            &addresses[..addresses.len().min(2)]
        } else {
            addresses
        };
        let message = Message {
            control: kind,
            options: Options::NONE,
            seqno: self.number(),
            signature: None,
            host,
            addresses: Addresses::of(addresses).unwrap_or(Addresses::EMPTY),
        };
        // Later than all that a clock of these years says.
        let stamp = (1 << 63) | (self.random.next() >> 8);
        match way {
            Way::OwnKey => {
                let key = self.random.below(KEYS);
                self.keys[key].seal(&message, self.cast.victim, stamp, 0)
            }
            Way::MadeUp => {
                let key = self.random.fill();
                self.with_block(&message, stamp, &key)
            }
            Way::Named => {
                let key = self.public;
                self.with_block(&message, stamp, &key)
            }
            _ => emitted(&message),
        }
    }

    /// With a block that has this key and no good signature.
    fn with_block(&mut self, message: &Message<'_>, stamp: u64, key: &[u8; 32]) -> Vec<u8> {
        let mut body = [0; SUCCESSION_LEN];
        let block = Ed25519::unsigned(stamp, key, None, &mut body);
        let mut octets = emitted(&Message {
            signature: block.ok(),
            ..*message
        });
        let signature: [u8; 64] = self.random.fill();
        // The message has room for it.
        let _ = ihmp_core::message::put_signature(&mut octets, &signature);
        octets
    }
}

/// The octets of a message.
pub(crate) fn emitted(message: &Message<'_>) -> Vec<u8> {
    let mut buffer = [0; ihmp_core::message::MAX_LEN];
    // INVARIANT: the buffer holds the longest message.
    message.emit(&mut buffer).unwrap_or_default().to_vec()
}

/// Sends so many; what was sent, by kind and way, and what went out in the name of the bystander.
pub(crate) fn run(
    link: &mut Link,
    mac: Mac,
    cast: Cast,
    seen: &[Seen],
    count: u64,
) -> anyhow::Result<Value> {
    let (victim, bystander) = (cast.victim, cast.bystander);
    let mut forger = Forger::new(cast, seen)?;
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    let mut ways: BTreeMap<&str, u64> = BTreeMap::new();
    let mut named = 0;
    for _ in 0..count {
        let Forged {
            kind,
            way,
            from,
            octets,
        } = forger.next();
        *kinds.entry(kind.name()).or_default() += 1;
        *ways.entry(way.name()).or_default() += 1;
        if from == bystander {
            named += octets.len();
        }
        link.send(frame(mac, from, victim, &octets))?;
    }
    link.flush()?;
    Ok(json!({"sent": count, "kinds": kinds, "ways": ways, "bystander": named}))
}
