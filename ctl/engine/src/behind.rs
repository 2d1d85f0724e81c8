// SPDX-License-Identifier: GPL-2.0
//! Greetings from behind a NAT.

use ihmp_core::message::{Addresses, Options};

use crate::endpoint::Endpoint;
use crate::engine::Engine;
use crate::host::Host;
use crate::io::{Key, Refusal, State};
use crate::keys::PublicKey;
use crate::note::Note;
use crate::received::{Received, Signer};
use crate::world::Answer;
use ihmp_core::addr::Addr;

impl Engine {
    /// Hosts that somebody may speak for who is there: those that have or had the address, or behind a NAT the one with
    /// the key.
    pub(crate) fn hosts_at(&self, endpoint: Endpoint, key: Option<&PublicKey>) -> Vec<&Host> {
        if !endpoint.is_behind() {
            return self.known(endpoint.addr).collect();
        }
        let host = key.and_then(|key| self.bound(key));
        host.and_then(|host| self.hosts.get(&host))
            .into_iter()
            .collect()
    }

    /// Which host greets with this key from behind a NAT; as `greeting_key`.
    pub(crate) fn greeting_behind(
        &mut self,
        received: &Received<'_>,
        signer: &Signer,
        own: Option<Key>,
    ) -> Result<Option<Key>, Option<Refusal>> {
        let Received { endpoint, to, .. } = *received;
        let host = own.and_then(|own| self.hosts.get_mut(&own));
        let known = host
            .as_ref()
            .is_some_and(|host| host.peer.is_there(endpoint, to));
        if signer.proven || known {
            return Ok(own);
        }
        if let Some(host) = host {
            host.peer.nat_mut().hear_of(received);
        }
        self.received(received);
        self.demand(received, own);
        Err(Some(Refusal::Challenged))
    }

    /// Somebody greets from behind a NAT, and is there. What discovery found at the NAT's address is not asked. True when
    /// that is all: he is not known, and cannot be reached where he is.
    pub(crate) fn begins_behind(&mut self, received: &Received<'_>, found: Option<Key>) -> bool {
        let options = received.message.options;
        let legacy = received.detected() != Options::NONE;
        let forced = legacy && options.has(Options::NAT_FORCED);
        if forced || (!legacy && found.is_none()) {
            let reason = if forced { "nat-forced" } else { "nat" };
            self.leave_classic(received.from, reason);
        }
        if !legacy || found.is_some() {
            return false;
        }
        self.received(received);
        let Received {
            endpoint,
            to,
            message,
            ..
        } = *received;
        let answer = Answer {
            echo: received.signer.map(|signer| signer.stamp),
            own: None,
        };
        let addresses = Addresses::of(&[to]).unwrap_or(Addresses::EMPTY);
        let (seqno, options) = (message.seqno, received.detected());
        let world = &mut self.world;
        world.acknowledge(to, endpoint, seqno, options, addresses, answer);
        true
    }

    /// A host that is still being asked is a NAT, or what is behind it.
    fn leave_classic(&mut self, nat: Addr, reason: &'static str) {
        let Some(key) = self.active(nat).filter(|key| self.is_unbound(*key)) else {
            return;
        };
        self.with(key, |host, world| {
            if host.managed || host.state != State::New {
                return;
            }
            host.drop_requests(world, |_, _| true);
            host.state = State::Classic;
            world.note(Note::Classic { peer: nat, reason });
        });
    }
}
