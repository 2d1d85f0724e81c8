// SPDX-License-Identifier: GPL-2.0
//! PATH_PROBE: probes on their way to one peer, and where it is looked for.

use ihmp_core::addr::{Addr, Family};
use ihmp_core::message::{Addresses, Control, Message, Options, MAX_ADDRESSES};
use ihmp_core::time::{Duration, Instant};

use crate::bucket::Bucket;
use crate::endpoint::Endpoint;
use crate::keys::PublicKey;
use crate::limits::{Rate, MAX_PROBES, PATH_SENDS, PROBE_SENDS};
use crate::note::Note;
use crate::peer::Peer;
use crate::world::World;

/// What a probe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The peer is to show that it hears us at an address.
    Validation,
    /// A NAT in front of us is to keep its port mapping. Nothing depends on the answer.
    Mapping,
    /// It is to be known whether the path between two addresses works.
    Path,
}

/// A probe on its way.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    from: Addr,
    to: Addr,
    /// Fresh for each probe: who answers without having heard it has to guess it.
    seqno: u16,
    stamps: Vec<u64>,
    sends: u32,
    first_sent: Instant,
    due: Instant,
    time_out: Duration,
    purpose: Purpose,
}

impl Probe {
    /// Whether an ACK with this number, from there to here, answers it.
    fn is_answered(&self, seqno: u16, from: Addr, to: Addr) -> bool {
        (self.seqno, self.from, self.to) == (seqno, to, from)
    }

    /// Whether it asks the peer to show that it hears us there.
    fn asks(&self, addr: Addr) -> bool {
        self.to == addr && self.purpose == Purpose::Validation
    }

    /// Where it goes, if the peer is to show that it hears us there.
    pub(crate) fn asked(&self) -> Option<Addr> {
        (self.purpose == Purpose::Validation).then_some(self.to)
    }

    /// Our address and that of the peer, if it is to be known whether the path between them works.
    pub(crate) fn path(&self) -> Option<(Addr, Addr)> {
        (self.purpose == Purpose::Path).then_some((self.from, self.to))
    }

    /// Where it goes.
    pub(crate) fn to(&self) -> Addr {
        self.to
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.due <= now
    }

    /// Whether it was sent often enough.
    pub(crate) fn is_over(&self) -> bool {
        let most = match self.purpose {
            Purpose::Path => PATH_SENDS,
            Purpose::Validation | Purpose::Mapping => PROBE_SENDS,
        };
        self.sends >= most
    }

    /// Sends it, with this Host ID and signed by this key. The time-out doubles each time, unless it is known that packets get lost on
    /// the path.
    pub(crate) fn send(&mut self, host: Addr, own: Option<PublicKey>, world: &mut World) {
        self.due = match self.purpose {
            Purpose::Path => world.now.after(self.time_out),
            Purpose::Validation | Purpose::Mapping => {
                let time_out = self.time_out.saturating_mul(1 << self.sends.min(16));
                world.now.after(world.jitter(time_out))
            }
        };
        self.sends += 1;
        let Some(addresses) = Addresses::of(&[self.from]) else {
            return;
        };
        let message = Message {
            control: Control::PathProbe,
            options: Options::NONE,
            seqno: self.seqno,
            signature: None,
            host,
            addresses,
        };
        let to = Endpoint::direct(self.to);
        let stamp = world.send(self.from, to, &message, own, Some(0));
        self.stamps.push(stamp);
        world.note(Note::Sent {
            control: Control::PathProbe,
            seqno: self.seqno,
            from: self.from,
            to: self.to,
            attempt: self.sends,
        });
    }

    /// Where it is sent from.
    pub(crate) fn from(&self) -> Addr {
        self.from
    }

    /// Nobody answered it.
    pub(crate) fn unanswered(&self, world: &mut World) {
        world.note(Note::Unanswered {
            control: Control::PathProbe,
            seqno: self.seqno,
            from: self.from,
            to: self.to,
        });
    }

    /// It was answered; the round trip, where that is certain.
    pub(crate) fn answered(&self, world: &mut World) -> Option<Duration> {
        let after = world.now.since(self.first_sent);
        world.note(Note::Acked {
            control: Control::PathProbe,
            seqno: self.seqno,
            from: self.from,
            by: self.to,
            after,
        });
        (self.sends == 1).then_some(after)
    }
}

/// The probes to a peer.
#[derive(Debug)]
pub(crate) struct Probes {
    out: Vec<Probe>,
    /// How often one may begin.
    rate: Bucket,
    /// When the peer is looked for in the networks that we share.
    seek_at: Option<Instant>,
    /// Where it was looked for already: from which own address, and at which of its.
    sought: Vec<(Addr, Addr)>,
}

impl Probes {
    pub(crate) fn new(rate: Rate) -> Probes {
        Probes {
            out: Vec::new(),
            rate: Bucket::new(rate),
            seek_at: None,
            sought: Vec::new(),
        }
    }

    /// Whether one asks the peer to show that it hears us there.
    pub(crate) fn asks(&self, addr: Addr) -> bool {
        self.out.iter().any(|probe| probe.asks(addr))
    }

    /// What was asked there is not waited for any more.
    pub(crate) fn end_asking(&mut self, addr: Addr) {
        self.out.retain(|probe| !probe.asks(addr));
    }

    /// Whether one is out to this address.
    pub(crate) fn is_out_to(&self, addr: Addr) -> bool {
        self.out.iter().any(|probe| probe.to == addr)
    }

    /// Whether an ACK with this number, from there to here, answers one.
    pub(crate) fn is_answered(&self, seqno: u16, from: Addr, to: Addr) -> bool {
        let mut out = self.out.iter();
        out.any(|probe| probe.is_answered(seqno, from, to))
    }

    /// The timestamps that such an ACK may answer, the last one first.
    pub(crate) fn stamps(&self, seqno: u16, from: Addr, to: Addr) -> Vec<u64> {
        let out = self.out.iter();
        let answered = out.filter(|probe| probe.is_answered(seqno, from, to));
        let stamps = answered.flat_map(|probe| probe.stamps.iter().rev());
        stamps.copied().collect()
    }

    /// Takes the one that such an ACK answers.
    pub(crate) fn take_answered(&mut self, seqno: u16, from: Addr, to: Addr) -> Option<Probe> {
        let answered = |probe: &Probe| probe.is_answered(seqno, from, to);
        let at = self.out.iter().position(answered)?;
        Some(self.out.remove(at))
    }

    /// Ends those to addresses that the peer has no longer, and those from addresses that we have no longer; where those asked
    /// it.
    pub(crate) fn review(&mut self, peer: &Peer, world: &World) -> Vec<Addr> {
        self.out.retain(|probe| peer.is_at(probe.to));
        let here = |probe: &Probe| world.own.has(probe.from);
        let (here, gone) = std::mem::take(&mut self.out).into_iter().partition(here);
        self.out = here;
        self.sought
            .retain(|(_, there)| peer.unreachable().contains(there));
        let gone: Vec<Probe> = gone;
        gone.iter().filter_map(Probe::asked).collect()
    }

    /// Ends those that ask whether paths of this family work.
    pub(crate) fn end_paths(&mut self, family: Family) {
        let path = |probe: &Probe| {
            probe
                .path()
                .is_some_and(|(from, _)| from.family() == family)
        };
        self.out.retain(|probe| !path(probe));
    }

    /// Whether another one may be out.
    pub(crate) fn has_room(&self) -> bool {
        let paths = self.out.iter().filter(|probe| probe.path().is_some());
        self.out.len() - paths.count() < MAX_PROBES
    }

    /// Whether one may begin now.
    pub(crate) fn may_begin(&self, world: &World) -> bool {
        self.has_room() && self.rate.ready_at(world.now) <= world.now
    }

    /// When it is worth asking that again.
    pub(crate) fn ready_at(&self, world: &World) -> Instant {
        let soon = world.now.after(Duration::from_millis(100));
        self.rate.ready_at(world.now).max(soon)
    }

    /// Begins one.
    pub(crate) fn begin(
        &mut self,
        from: Addr,
        to: Addr,
        purpose: Purpose,
        time_out: Duration,
        world: &mut World,
    ) {
        if purpose != Purpose::Path {
            // Who calls has asked whether it may.
            let _ = self.rate.take(world.now);
        }
        self.out.push(Probe {
            from,
            to,
            seqno: world.seqno(),
            stamps: Vec::new(),
            sends: 0,
            first_sent: world.now,
            due: world.now,
            time_out,
            purpose,
        });
    }

    /// All of them, to be sent or given up.
    pub(crate) fn take(&mut self) -> Vec<Probe> {
        std::mem::take(&mut self.out)
    }

    /// This one is still out.
    pub(crate) fn put(&mut self, probe: Probe) {
        self.out.push(probe);
    }

    pub(crate) fn clear(&mut self) {
        self.out.clear();
    }

    /// Whether the peer is to be looked for, as soon as that may be.
    pub(crate) fn seek(&mut self, seeks: bool, world: &World) {
        self.seek_at = seeks.then(|| self.rate.ready_at(world.now));
    }

    /// Whether it is time to look for the peer.
    pub(crate) fn is_seek_due(&self, world: &World) -> bool {
        self.seek_at.is_some_and(|at| at <= world.now) && self.may_begin(world)
    }

    /// Whether it was looked for there.
    pub(crate) fn has_sought(&self, pair: (Addr, Addr)) -> bool {
        self.sought.contains(&pair)
    }

    /// It is looked for there.
    pub(crate) fn note_sought(&mut self, pair: (Addr, Addr)) {
        if self.sought.len() >= MAX_ADDRESSES {
            self.sought.remove(0);
        }
        self.sought.push(pair);
    }

    /// The networks that we share may be others now.
    pub(crate) fn forget_sought(&mut self) {
        self.sought.clear();
    }

    /// When something is to be done.
    pub(crate) fn next(&self) -> Option<Instant> {
        let out = self.out.iter().map(|probe| probe.due);
        out.chain(self.seek_at).min()
    }
}
