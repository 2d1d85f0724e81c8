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

/// The timers and bounds of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sends of a HELLO in all.
    pub hello_sends: u32,
    /// Sends of another request to each address of the peer.
    pub sends: u32,
    /// Retransmission time-out before a round trip was measured.
    pub rto_first: Duration,
    /// Least retransmission time-out; else it is three times the smoothed round trip.
    pub rto_floor: Duration,
    /// How long a host that did not answer is left alone.
    pub classic: Duration,
    /// Pause before a move that nobody acknowledged is signalled again; doubled each time.
    pub retry_first: Duration,
    /// Longest such pause.
    pub retry_last: Duration,
    /// Pause before a host that was taken over from the kernel is greeted.
    pub adopt: Duration,
    /// How long an address is used before the peer is asked whether it is there.
    pub prove_after: Duration,
    /// How often the kernel is asked meanwhile whether anything comes from there.
    pub look_after: Duration,
    /// Probes that begin to one host.
    pub probes_host: Rate,
    /// How long a peer that was not where it said has to prove its addresses first.
    pub distrust: Duration,
    /// How long a host without flows is kept after the last packet.
    pub forget: Duration,
    /// How long a former address of a host names it.
    pub alias: Duration,
    /// How often something is sent from behind a NAT, so that it remembers our port; up to a quarter more.
    pub keep: Duration,
    /// Most hosts.
    pub max_hosts: usize,
    /// Most hosts that are being asked at a time; the others wait.
    pub max_pending: usize,
    /// HELLOs sent to hosts that may not take part.
    pub hello_out: Rate,
    /// Hosts that are told of a change of our addresses; the others wait.
    pub moves: Rate,
    /// HELLOs taken from unknown hosts.
    pub hello_in: Rate,
    /// HELLOs taken from one /24 or /64.
    pub hello_prefix: Rate,
    /// NAT_ENTRYs taken.
    pub entries: Rate,
    /// NAT_ENTRYs taken from one /24 or /64.
    pub entry_prefix: Rate,
    /// Signatures of unknown keys that are verified.
    pub strangers: Rate,
    /// Signatures of unknown keys that are verified because the message answers one of ours.
    pub answers: Rate,
    /// Forged messages of one sort in the name of one key; beyond that its messages of this sort wait.
    pub forged: Rate,
    /// ACKs with IS sent in all.
    pub wrong: Rate,
    /// ACKs with IS sent to one host.
    pub wrong_host: Rate,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            hello_sends: 3,
            sends: 4,
            rto_first: Duration::from_secs(1),
            rto_floor: Duration::from_millis(200),
            classic: Duration::from_secs(600),
            retry_first: Duration::from_secs(5),
            retry_last: Duration::from_secs(60),
            adopt: Duration::from_millis(20),
            prove_after: Duration::from_secs(20),
            look_after: Duration::from_secs(3),
            probes_host: Rate {
                per_second: 1,
                burst: 2,
            },
            distrust: Duration::from_secs(600),
            forget: Duration::from_secs(300),
            alias: Duration::from_secs(600),
            keep: Duration::from_secs(20),
            max_hosts: 65_536,
            max_pending: 1_024,
            hello_out: Rate {
                per_second: 100,
                burst: 200,
            },
            moves: Rate {
                per_second: 2_000,
                burst: 200,
            },
            hello_in: Rate {
                per_second: 200,
                burst: 400,
            },
            hello_prefix: Rate {
                per_second: 20,
                burst: 40,
            },
            entries: Rate {
                per_second: 200,
                burst: 400,
            },
            entry_prefix: Rate {
                per_second: 20,
                burst: 40,
            },
            strangers: Rate {
                per_second: 400,
                burst: 800,
            },
            answers: Rate {
                per_second: 2_000,
                burst: 4_000,
            },
            forged: Rate {
                per_second: 100,
                burst: 200,
            },
            wrong: Rate {
                per_second: 50,
                burst: 50,
            },
            wrong_host: Rate {
                per_second: 1,
                burst: 4,
            },
        }
    }
}

impl Limits {
    /// Sends of a request of this kind to one address.
    pub(crate) fn sends_of(&self, control: Control) -> u32 {
        match control {
            Control::Hello => self.hello_sends,
            _ => self.sends,
        }
    }
}
