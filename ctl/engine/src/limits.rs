// SPDX-License-Identifier: GPL-2.0
//! Every timer and bound of the protocol on one page.

use ihmp_core::message::{Control, MAX_ADDRESSES};
use ihmp_core::time::Duration;

/// How many own addresses a message can tell besides its source, the new and the old one.
pub(crate) const MAX_ADVERTISED: usize = MAX_ADDRESSES - 3;
/// Sends of one request, however many addresses the peer has.
pub(crate) const MAX_SENDS: u32 = 16;
/// Probes to one host that are out at a time.
pub(crate) const MAX_PROBES: usize = 4;
/// Packets that an address which was not proven may get, before something comes back, until it is probed.
pub(crate) const FLOOD: u64 = 2_000;
/// Places behind NATs at which a host is known.
pub(crate) const MAX_BEHIND: usize = 16;
/// Places behind NATs at which a host has to show first that it is there.
pub(crate) const MAX_CLAIMED: usize = 4;
/// Port mappings of NATs for one host.
pub(crate) const MAX_MAPPED: usize = 1_024;
/// Keys of NATs that are known to hear us.
pub(crate) const MAX_NATS: usize = 1_024;
/// Sends of a probe.
pub(crate) const PROBE_SENDS: u32 = 3;
/// Sends of a probe of a path on which nothing comes back. With 5 per cent loss each way one of 10,000 such probes fails on a path that works.
pub(crate) const PATH_SENDS: u32 = 4;
/// Other paths of a host that are probed when one is suspected.
pub(crate) const MAX_OTHERS: usize = 3;
/// A reply has at most this many times the octets of what it answers.
pub(crate) const AMPLIFICATION: usize = 3;

/// A token bucket's size and speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Tokens that come back in a second; at least 1.
    pub per_second: u32,
    /// Tokens when it is full; at least 1.
    pub burst: u32,
}

impl Rate {
    /// So many tokens a second, and so many when it is full.
    pub const fn new(per_second: u32, burst: u32) -> Rate {
        Rate { per_second, burst }
    }
}

/// Checks of paths on which nothing comes back, of all hosts.
pub(crate) const PATH_CHECKS: Rate = Rate::new(1_000, 1_000);

/// The timers and bounds of an engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests of ours.
    pub requests: RequestLimits,
    /// Whether peers are where they say.
    pub validation: ValidationLimits,
    /// Hosts and what is kept of them.
    pub hosts: HostLimits,
    /// NATs, in front of us and of hosts.
    pub nats: NatLimits,
    /// HELLOs.
    pub greetings: GreetingLimits,
    /// Signatures that are verified.
    pub signatures: SignatureLimits,
    /// ACKs with IS.
    pub challenges: ChallengeLimits,
}

/// How often and when requests are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// Sends of a HELLO in all.
    pub hello_sends: u32,
    /// Sends of another request to each address of the peer.
    pub sends: u32,
    /// Retransmission time-out before a round trip was measured.
    pub rto_first: Duration,
    /// Least retransmission time-out; else it is three times the smoothed round trip.
    pub rto_floor: Duration,
    /// Pause before a move that nobody acknowledged is signalled again; doubled each time.
    pub retry_first: Duration,
    /// Longest such pause.
    pub retry_last: Duration,
}

/// When a peer has to show that it is where it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidationLimits {
    /// How long an address is used before the peer is asked whether it is there.
    pub probe_after: Duration,
    /// How often the kernel is asked meanwhile whether anything comes from there.
    pub look_after: Duration,
    /// Probes that begin to one host.
    pub probes: Rate,
    /// How long a peer that was not where it said has to prove its addresses first.
    pub distrust: Duration,
}

/// How many hosts there are, and how long they and their addresses are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostLimits {
    /// Most hosts.
    pub most: usize,
    /// Most hosts that are being asked at a time; the others wait.
    pub pending: usize,
    /// Hosts that are told of a change of our addresses; the others wait.
    pub told: Rate,
    /// How long a host that did not answer is left alone.
    pub classic: Duration,
    /// How long a host without flows is kept after the last packet.
    pub forget: Duration,
    /// How long a former address of a host names it.
    pub alias: Duration,
    /// Pause before a host that was taken over from the kernel is greeted.
    pub adopt: Duration,
}

/// What is sent from behind NATs, and taken of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NatLimits {
    /// How often something is sent from behind a NAT, so that it remembers our port; up to a quarter more.
    pub keep: Duration,
    /// NAT_ENTRYs taken.
    pub entries: Rate,
    /// NAT_ENTRYs taken from one /24 or /64.
    pub prefix: Rate,
}

/// HELLOs to hosts that may not take part, and from unknown ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GreetingLimits {
    /// HELLOs sent to hosts that may not take part.
    pub sent: Rate,
    /// HELLOs taken from unknown hosts.
    pub taken: Rate,
    /// HELLOs taken from one /24 or /64.
    pub prefix: Rate,
}

/// Signatures that are verified before it is known whether they are worth it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignatureLimits {
    /// Signatures of unknown keys that are verified.
    pub strangers: Rate,
    /// Signatures of unknown keys that are verified because the message answers one of ours.
    pub answers: Rate,
    /// Forged messages of one sort in the name of one key; beyond that its messages of this sort wait.
    pub forged: Rate,
}

/// How often others are told to greet us again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChallengeLimits {
    /// ACKs with IS sent in all.
    pub all: Rate,
    /// ACKs with IS sent to one host.
    pub host: Rate,
}

impl Default for RequestLimits {
    fn default() -> RequestLimits {
        RequestLimits {
            hello_sends: 3,
            sends: 4,
            rto_first: Duration::from_secs(1),
            rto_floor: Duration::from_millis(200),
            retry_first: Duration::from_secs(5),
            retry_last: Duration::from_secs(60),
        }
    }
}

impl Default for ValidationLimits {
    fn default() -> ValidationLimits {
        ValidationLimits {
            probe_after: Duration::from_secs(20),
            look_after: Duration::from_secs(3),
            probes: Rate::new(1, 2),
            distrust: Duration::from_secs(600),
        }
    }
}

impl Default for HostLimits {
    fn default() -> HostLimits {
        HostLimits {
            most: 65_536,
            pending: 1_024,
            told: Rate::new(2_000, 200),
            classic: Duration::from_secs(600),
            forget: Duration::from_secs(300),
            alias: Duration::from_secs(600),
            adopt: Duration::from_millis(20),
        }
    }
}

impl Default for NatLimits {
    fn default() -> NatLimits {
        NatLimits {
            keep: Duration::from_secs(20),
            entries: Rate::new(200, 400),
            prefix: Rate::new(20, 40),
        }
    }
}

impl Default for GreetingLimits {
    fn default() -> GreetingLimits {
        GreetingLimits {
            sent: Rate::new(100, 200),
            taken: Rate::new(200, 400),
            prefix: Rate::new(20, 40),
        }
    }
}

impl Default for SignatureLimits {
    fn default() -> SignatureLimits {
        SignatureLimits {
            strangers: Rate::new(400, 800),
            answers: Rate::new(2_000, 4_000),
            forged: Rate::new(100, 200),
        }
    }
}

impl Default for ChallengeLimits {
    fn default() -> ChallengeLimits {
        ChallengeLimits {
            all: Rate::new(50, 50),
            host: Rate::new(1, 4),
        }
    }
}

impl RequestLimits {
    /// Sends of a request of this kind to one address.
    pub(crate) fn sends_of(&self, control: Control) -> u32 {
        match control {
            Control::Hello => self.hello_sends,
            _ => self.sends,
        }
    }
}
