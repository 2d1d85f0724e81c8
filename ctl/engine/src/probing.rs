// SPDX-License-Identifier: GPL-2.0
//! Asking a peer whether it hears us at an address, and what follows when it does not answer.

use ihmp_core::addr::Addr;
use ihmp_core::time::Instant;

use crate::host::{Entry, Host, Standing};
use crate::io::{Output, State, Traffic};
use crate::note::Note;
use crate::probe::Probe;
use crate::received::Received;
use crate::world::World;

impl Host {
    fn takes_part(&self) -> bool {
        self.state == State::Up && !self.managed
    }

    /// The peer was seen to send from there, to `local`, which proves nothing.
    pub(crate) fn try_out(&mut self, addr: Addr, local: Addr, world: &mut World) {
        if !self.managed {
            self.validation.try_out(addr, local, world);
        }
    }

    /// Whether a message from there, where it has not been proven, has to wait for the proof.
    pub(crate) fn must_prove(&self, received: &Received<'_>, now: Instant) -> bool {
        let (keyed, copied) = (
            self.peer_key.is_some(),
            self.peer.nat().was_copied(received),
        );
        self.validation
            .must_prove(received.from, keyed, copied, now)
    }

    /// The addresses of the peer changed, or ours: what is asked about them.
    pub(crate) fn review_probes(&mut self, world: &World) {
        let takes_part = self.takes_part();
        self.validation.review(&self.peer, takes_part, world);
    }

    /// Looks, asks, asks again, and gives up.
    pub(crate) fn probe_due(&mut self, world: &mut World) {
        self.review_probes(world);
        if !self.takes_part() {
            self.validation.clear();
            return;
        }
        if self.validation.take_looks(world.now) {
            self.ask_kernel(world);
        }
        for addr in self.validation.due(world.now) {
            self.ask_there(addr, world);
        }
        if self.validation.probes().is_seek_due(world) {
            if let Some((here, there)) = self.validation.next_sought(&self.peer, world) {
                self.validation.probes_mut().note_sought((here, there));
                self.probe(here, there, false, world);
            }
        }
        for mut probe in self.validation.probes_mut().take() {
            let due = probe.is_due(world.now);
            if due && probe.is_over() {
                self.unanswered_probe(&probe, world);
                continue;
            }
            if due {
                let host = self.anchor.unwrap_or(probe.from());
                probe.send(host, self.own, world);
            }
            self.validation.probes_mut().put(probe);
        }
        self.review_probes(world);
    }

    /// Asks the kernel what passed between the peer and us.
    fn ask_kernel(&self, world: &mut World) {
        if let Entry::Id(id) = self.entry {
            world.outputs.push_back(Output::Look(id));
        }
    }

    /// Probes an unvalidated address, from where it was announced to, or from another address that reaches it.
    fn ask_there(&mut self, addr: Addr, world: &mut World) {
        let reaches = |local: Addr| {
            let reaches = local.family() == addr.family() && !world.misses(local, addr);
            reaches && world.local.contains(&local)
        };
        // From where it knows us, if that can be: what it did not know becomes one more of our addresses to it.
        let others = || world.local.iter().copied().filter(|local| reaches(*local));
        let known = |local: &Addr| self.standing(*local) == Some(Standing::Active);
        let other = others().find(known).or(others().next());
        if let Some(from) = self.validation.begin(addr, reaches, other, world) {
            self.probe(from, addr, false, world);
        }
    }

    /// Probes an address; `keeps` when nothing depends on the answer.
    pub(crate) fn probe(&mut self, from: Addr, to: Addr, keeps: bool, world: &mut World) {
        let time_out = self.time_out(world);
        let probes = self.validation.probes_mut();
        probes.begin(from, to, keeps, time_out, world);
    }

    /// Nobody answered there: the agent of the peer may be gone while its connections go on, and that the kernel sees.
    fn unanswered_probe(&mut self, probe: &Probe, world: &mut World) {
        if let Entry::Id(_) = self.entry {
            let alone = self.peer.reach().eq([probe.to()]);
            let again = world.now.after(world.jitter(world.limits.retry_first));
            let asked = probe.asked().filter(|_| alone);
            let doubts = asked.is_some_and(|to| self.validation.doubt(to, again, world.now));
            if doubts {
                self.ask_kernel(world);
                return;
            }
        }
        probe.unanswered(world);
        if let Some(addr) = probe.asked() {
            self.give_up(addr, world);
        }
    }

    /// What the kernel says of an address that did not answer.
    pub(crate) fn judge(&mut self, traffic: Traffic, world: &mut World) {
        if let Some(addr) = self.validation.judge(traffic, world) {
            self.give_up(addr, world);
        }
    }

    /// An address of the peer is not used until it has shown that it hears us there.
    fn give_up(&mut self, addr: Addr, world: &mut World) {
        if self.validation.fail(addr, world) && self.peer.is_active(addr) {
            world.note(Note::Unproven { peer: addr });
            let before = self.peer.active().to_vec();
            self.peer.deactivate(addr);
            self.publish(world);
            self.follow(&before, world);
        }
    }
}
