// SPDX-License-Identifier: GPL-2.0
//! What the kernel has: hosts that the module discovered, that it made for us, and that it had before.

use std::collections::BTreeSet;

use ihmp_core::addr::Addr;
use ihmp_core::time::Duration;

use crate::engine::Engine;
use crate::host::{Entry, Standing};
use crate::io::{Change, KernelHost, Key, Output, Record, Refusal, State, Via};
use crate::note::Note;

impl KernelHost {
    /// What the engine would have said for the kernel to have this; how long a classic host stays is not looked at.
    fn record(self, classic_for: Duration) -> Record {
        Record {
            state: self.state,
            active: self.active,
            unvalidated: self.unvalidated,
            nats: self.nats,
            unreachable: self.unreachable,
            local: self.local,
            expires: (self.state == State::Classic).then_some(classic_for),
        }
    }
}

impl Engine {
    /// The module made a host for a flow.
    pub(crate) fn discovered(&mut self, id: u32, local: Addr, remote: Addr) {
        if let Some(key) = self.ids.get(&id).copied() {
            self.with(key, |host, world| host.begins_at(local, world));
            return;
        }
        if self.world.off || self.active(remote).is_some() {
            // It was on its way, or it became known in another way in the meantime.
            self.world
                .outputs
                .push_back(Output::Table(Change::Del { id }));
            return;
        }
        if !self.has_room(None) {
            self.world.refuse(Refusal::HostLimit, remote, local);
            return;
        }
        let key = self.insert(Entry::Id(id), State::New);
        let ours = self.world.local.contains(&local);
        self.with(key, |host, world| {
            host.peer.activate(remote);
            host.tell(local, Standing::Maybe);
            host.anchor = Some(local);
            if ours {
                host.ask(world);
            } else {
                host.state = State::Classic;
                world.note(Note::Classic {
                    peer: remote,
                    reason: "local-address-ignored",
                });
            }
        });
        // Another host may have been there: then nothing is to be asked.
        if ours && self.world.routes.contains_key(&remote) {
            self.routes_known(key);
        }
    }

    /// The kernel made a host.
    pub(crate) fn made(&mut self, key: Key, id: u32) {
        if !self.hosts.contains_key(&key) || self.ids.contains_key(&id) {
            self.world
                .outputs
                .push_back(Output::Table(Change::Del { id }));
            self.remove(key, "taken");
            return;
        }
        self.ids.insert(id, key);
        self.with(key, |host, world| {
            host.entry = Entry::Id(id);
            host.publish(world);
            host.reply(world);
            host.reconcile(world);
        });
        self.merge_claimed(key);
    }

    /// Brings the hosts into line with all that the kernel has; the machine may have been `switched` off just now.
    pub(crate) fn take(&mut self, hosts: Vec<KernelHost>, switched: bool) {
        let ids: BTreeSet<u32> = hosts.iter().map(|host| host.id).collect();
        for key in self.keys() {
            let entry = self.hosts.get(&key).map(|host| host.entry);
            if matches!(entry, Some(Entry::Id(id)) if !ids.contains(&id)) {
                self.remove(key, "removed");
            }
        }
        // Whose addresses are all gone is found by one that it had, if nobody else has that.
        let (there, gone): (Vec<_>, Vec<_>) =
            hosts.into_iter().partition(|host| !host.active.is_empty());
        for known in there.into_iter().chain(gone) {
            let key = self.ids.get(&known.id).copied();
            let managed = key.and_then(|key| self.hosts.get(&key).map(|host| host.managed));
            let alone = self.leaves_alone(&known, switched);
            match key {
                Some(key) if managed == Some(alone) => {
                    // Only what differs is written: what is written is heard of again, and with thousands of hosts that
                    // may be more than is heard.
                    self.with(key, |host, _| {
                        host.published = Some(known.record(host.classic_for))
                    });
                }
                // The administrator took it over, or gave it back: nothing of before goes on.
                Some(key) => {
                    self.forget(key);
                    self.adopt(known, alone);
                }
                None => self.adopt(known, alone),
            }
        }
    }

    /// The kernel's entry of a host changed. What the administrator names is not ours from now on, and what is given back is.
    pub(crate) fn changed(&mut self, known: KernelHost) {
        let key = self.ids.get(&known.id).copied();
        let managed = key.and_then(|key| self.hosts.get(&key).map(|host| host.managed));
        let alone = self.leaves_alone(&known, false);
        if managed.unwrap_or(false) == alone {
            return;
        }
        if let Some(key) = key {
            self.forget(key);
        }
        self.adopt(known, alone);
    }

    /// Takes over a host that the kernel has and the engine does not know; one that is left `alone` only by its names.
    fn adopt(&mut self, known: KernelHost, alone: bool) {
        if known.state == State::New && !known.managed {
            if let (Some(local), Some(remote)) = (known.local.first(), known.active.first()) {
                self.discovered(known.id, local.addr, *remote);
            }
            return;
        }
        if self.hosts.len() >= self.world.limits.max_hosts {
            return;
        }
        let taken: Vec<Addr> = known
            .active
            .iter()
            .copied()
            .filter(|addr| self.active(*addr).is_some())
            .collect();
        let key = self.insert(Entry::Id(known.id), known.state);
        // Whether it came or was called is not known any more.
        if let Some(first) = known.active.first().filter(|_| !alone) {
            self.count_share(key, *first);
        }
        // A host at no address is known by its former addresses, and by those where it did not answer: its key was seen there.
        let names = match known.active.is_empty() {
            true => [&known.alias[..], &known.unvalidated].concat(),
            false => known.active.clone(),
        };
        let stored = self.world.keyring.at(&names);
        let stored = stored.filter(|(peer, _)| !alone && self.bound(peer).is_none());
        if let Some((peer, _)) = stored {
            self.bound.insert(peer, key);
        }
        self.with(key, |host, world| {
            host.peer_key = stored.map(|(peer, _)| peer);
            host.own = stored.and_then(|(_, own)| own);
            host.managed = alone;
            host.peer.adopt(&known, &taken);
            for local in &known.local {
                let standing = match (local.unproven, local.nat) {
                    (_, true) => Standing::Unreachable,
                    (true, _) => Standing::Maybe,
                    (false, _) => Standing::Active,
                };
                if local.nat {
                    host.hide(local.addr);
                }
                host.tell(local.addr, standing);
                host.usable.push(Via {
                    local: local.addr,
                    preference: local.preference,
                    device: local.device,
                    diverted: false,
                });
            }
            host.left.adopt(&known.local);
            let confirmed = known
                .local
                .iter()
                .find(|local| !local.unproven)
                .map(|local| local.addr);
            let first = known.local.first().map(|local| local.addr);
            host.anchor = confirmed.or(known.identifiers.first().copied()).or(first);
            if let Some(anchor) = host
                .anchor
                .filter(|anchor| host.standing(*anchor).is_none())
            {
                host.tell(anchor, Standing::Maybe);
            }
            if host.managed || host.state != State::Up {
                return;
            }
            // What was on trial is again.
            let local = host.anchor.unwrap_or(Addr::UNSPECIFIED);
            for addr in known.unvalidated {
                if host.peer.is_active(addr) {
                    host.try_out(addr, local, world);
                } else if host.peer.is_at(addr) {
                    host.validation.ask_again(addr, local, world);
                }
            }
            // Their announcements were on the way when the agent ended.
            let unproven = known.local.iter().filter(|local| local.unproven);
            host.prove.extend(unproven.map(|local| local.addr));
            if host.peer.active().is_empty() {
                // It did not answer where it said it was. Whoever asked it there is no more.
                let asks = host.validation.ask_everywhere(&host.peer, local, world);
                host.apart |= asks;
            }
            host.needs_hello = true;
            host.greet_at = Some(world.now.after(world.jitter(world.limits.adopt)));
            host.published = Some(host.record(world));
            world.note(Note::Adopted {
                id: known.id,
                peer: host.name(),
            });
            host.ask(world);
        });
    }
}
