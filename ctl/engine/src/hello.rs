// SPDX-License-Identifier: GPL-2.0
//! A HELLO: who greets, and what is answered.

use ihmp_core::addr::Addr;
use ihmp_core::message::{Addresses, Control, Options, ADDRESS_LEN, MAX_ADDRESSES};

use crate::engine::Engine;
use crate::host::{Advertised, Entry, Host, Reply, Standing};
use crate::io::{Key, Refusal, State, Via};
use crate::keys::PublicKey;
use crate::limits::AMPLIFICATION;
use crate::note::Note;
use crate::peer::include;
use crate::received::Received;
use crate::received::Signer;
use crate::request::Request;
use crate::seqno::AHEAD;
use crate::world::{Answer, World};

impl Engine {
    /// Which host greets: the one that has the source, or that the Host ID names, or that claimed the source before
    /// and is claimed by it now.
    fn greeting_host(&self, received: &Received<'_>) -> Option<Key> {
        let Received { from, message, .. } = received;
        let by_source = self.active(*from);
        let by_id = if message.host == *from {
            None
        } else {
            self.named(message.host)
        };
        let named = |host: &&Host| {
            received
                .after(1)
                .iter()
                .any(|addr| host.peer.is_active(*addr))
        };
        match (by_source, by_id) {
            (Some(source), Some(id)) if source != id => {
                // Two entries, and one host when each names the other; else the source counts.
                let other = self.hosts.get(&id);
                let same = other.filter(|host| host.peer.claims(*from)).filter(named);
                Some(same.map_or(source, |_| id))
            }
            (Some(source), _) => Some(source),
            (None, Some(id)) => Some(id),
            (None, None) => {
                let claiming = self.known(*from).filter(|host| host.peer.claims(*from));
                claiming.filter(named).map(|host| host.key).next()
            }
        }
    }

    /// Which host greets with this key. A key that is not known, or at an address of another host, is believed only after
    /// it has shown that it hears what is sent there: a refusal when it is asked to, none when it has been asked already.
    fn greeting_key(
        &mut self,
        received: &Received<'_>,
        signer: &Signer,
    ) -> Result<Option<Key>, Option<Refusal>> {
        let Received {
            from,
            endpoint,
            to,
            message,
            ..
        } = *received;
        let own = self.bound(&signer.key);
        if endpoint.is_behind() {
            return self.greeting_behind(received, signer, own);
        }
        let at = self.active(from);
        let free = at.filter(|at| self.is_unbound(*at));
        // Who is bound may move to where nobody else is: a greeting says no more than a hand-off.
        let now = self.world.now;
        let own_host = own.and_then(|own| self.hosts.get(&own));
        let may = own_host.is_some_and(|host| !host.must_prove(received, now));
        let moved = may && (at.is_none() || own == at);
        if signer.proven || moved {
            return Ok(own.or(free));
        }
        self.received(received);
        let ours = |request: &Request| {
            request.control == Control::Hello
                && request.from == to
                && request.stamps_to(endpoint).next().is_some()
        };
        let host = free.and_then(|free| self.hosts.get_mut(&free));
        if let Some(host) = host.filter(|host| host.outstanding.iter().any(ours)) {
            // Its answer to ours will show it.
            host.window.learn(message.seqno);
            let last = host.greeted_by.filter(|(key, _)| *key == signer.key);
            let stamp = last.map_or(signer.stamp, |(_, last)| last.max(signer.stamp));
            host.greeted_by = Some((signer.key, stamp));
            host.replies.push(Reply {
                from: to,
                to: endpoint,
                options: Options::NONE,
                seqno: message.seqno,
                asked: received.octets,
                answer: Answer {
                    echo: Some(signer.stamp),
                    own: host.own,
                },
            });
            host.reply(&mut self.world);
            return Err(None);
        }
        self.demand(received, own);
        Err(Some(Refusal::Challenged))
    }

    /// Where a host was that is not in the table any more, by its key, and is not now: nobody else is known to be, or to have been, there.
    fn seen_before(&self, key: &PublicKey, from: Addr, listed: &[Addr]) -> Vec<Addr> {
        let mut seen = self.world.keyring.seen(key);
        let elsewhere = |addr: &Addr| {
            let named = *addr == from || listed.contains(addr);
            !named && self.known(*addr).next().is_none() && !self.world.local.contains(addr)
        };
        seen.retain(elsewhere);
        seen.truncate(MAX_ADDRESSES);
        seen
    }

    pub(crate) fn hello(&mut self, received: &Received<'_>) -> Result<(), Refusal> {
        let Received {
            from,
            endpoint,
            to,
            octets,
            message,
            signer,
            ..
        } = *received;
        let behind = endpoint.is_behind();
        let now = self.world.now;
        let found = match &signer {
            None => self.greeting_host(received),
            Some(signer) => match self.greeting_key(received, signer) {
                Ok(found) => found,
                Err(None) => return Ok(()),
                Err(Some(reason)) => return Err(reason),
            },
        };
        if behind && self.begins_behind(received, found) {
            return Ok(());
        }
        let bound = |key| !self.is_unbound(key);
        if signer.is_none() && (found.is_some_and(bound) || self.active(from).is_some_and(bound)) {
            return Err(Refusal::Unsigned);
        }
        if found
            .and_then(|key| self.hosts.get(&key))
            .is_some_and(|host| host.managed)
        {
            return Err(Refusal::Managed);
        }
        let enough = |host: &Host| host.is_told_enough(to);
        if found
            .and_then(|key| self.hosts.get(&key))
            .is_some_and(enough)
        {
            // Not answered, it leaves alone what it has with us there.
            return Err(Refusal::AddressLimit);
        }
        let key = match found {
            Some(key) => key,
            None => {
                let world = &mut self.world;
                if !world.arrivals.take(from, now) || !world.hello_in.take(now) {
                    return Err(Refusal::Rate);
                }
                // Without a signature, anybody could have it said: nobody has to go for that.
                let full = self.hosts.len() >= self.world.limits.max_hosts;
                let room = match signer {
                    Some(_) => self.has_room(Some(from)),
                    None => !full,
                };
                if !room {
                    return Err(Refusal::HostLimit);
                }
                let key = self.insert(Entry::Asked, State::Up);
                self.count_share(key, from);
                key
            }
        };
        let taken = self.active(from).filter(|other| *other != key && !behind);
        if let Some(other) = taken {
            match &signer {
                Some(signer) => self.hand_over(from, other, key, signer.moved),
                None => self.merge(key, other),
            }
            if self.active(from).is_some_and(|other| other != key) {
                return Err(Refusal::OtherHost);
            }
        }
        let Some(host) = self.hosts.get_mut(&key) else {
            return Err(Refusal::UnknownHost);
        };
        // A later one has overtaken it, and may have named other addresses. If it is still wanted, it is signed again.
        let overtaken = signer.is_some_and(|signer| signer.stamp < host.newest_stamp);
        if host.window.is_stale(message.seqno) || overtaken {
            return Err(Refusal::Stale);
        }
        // One that names all its addresses makes room for its source.
        let restates = signer.is_some() && received.is_complete();
        if !restates && !behind && !host.peer.has_room(from) {
            return Err(Refusal::AddressLimit);
        }
        if let Some(signer) = &signer {
            self.bind(key, signer, from, to);
        }
        self.received(received);
        let listed = received.listed(1);
        let claims = self.claims(key, &listed);
        let former = match &signer {
            Some(signer) if found.is_none() => self.seen_before(&signer.key, from, &listed),
            _ => Vec::new(),
        };
        let Some(host) = self.hosts.get_mut(&key) else {
            return Err(Refusal::UnknownHost);
        };
        let world = &mut self.world;
        let before = host.peer.active().to_vec();
        // An agent that was away does not know what it said before: by its key, only what it says now holds. One to which
        // we are strangers says nothing of it.
        if restates {
            host.newest_stamp = signer.map_or(0, |signer| signer.stamp);
            host.restate(received.endpoint, &listed);
            // Since when it has others is not said, unless it has just announced that.
            let moved = signer.is_some_and(|signer| signer.moved);
            host.doubt |= host.peer.active() != before && !moved;
        }
        host.heard_at(received, world);
        host.peer.take_claims(&claims);
        // This agent was started anew and has not greeted the peer. The one before it may have sent requests after an earlier
        // copy of this HELLO: the peer would take our next ones, with the same numbers, for copies of those.
        let resumed = host.needs_hello && host.state == State::Up && host.window.is_fresh();
        if host.window.greet(message.seqno) {
            host.window.learn(message.seqno);
            let stranger = signer.is_some() && !restates && found.is_some();
            host.strange_hello = stranger.then_some(message.seqno);
            // Its agent was started anew, perhaps while it was away.
            if found.is_some() && host.state == State::Up && host.peer.active() == before {
                host.came_back(from, world);
            }
            // The sender may know nothing of our counter; it knows this number.
            if host.outstanding.is_empty() {
                let ahead = host.next_seqno.wrapping_sub(message.seqno);
                // By chance it is shortly before that of our last request, which the peer may have taken to follow it.
                if host.state == State::Up && (2..=AHEAD + 1).contains(&ahead) {
                    host.next_seqno = world.seqno();
                    host.needs_hello = true;
                    host.greet_at = Some(now);
                } else {
                    host.next_seqno = message.seqno.wrapping_add(1);
                    if !resumed {
                        host.needs_hello = false;
                        host.greet_at = None;
                    }
                }
            }
        }
        if host.state != State::Up || found.is_none() {
            host.state = State::Up;
            host.met_at = Some(now);
            world.note(Note::Up { peer: from });
        }
        // While a hand-off to that address is out, this says that the peer found us there, not that it knows who we are.
        let announcing =
            |request: &Request| request.from == to && request.replaces() && request.proves();
        if !host.outstanding.iter().any(announcing) && !host.is_hidden(to) {
            host.confirm(to);
        }
        if !host.is_usable(to) {
            host.usable.push(Via::new(to, 0));
        }
        host.ask(world);
        host.replies.push(Reply {
            from: to,
            to: endpoint,
            options: received.detected(),
            seqno: message.seqno,
            asked: octets,
            answer: Answer {
                echo: signer.map(|signer| signer.stamp),
                own: host.own,
            },
        });
        match found {
            None => {
                host.peer.had(former);
                host.make(world);
            }
            Some(_) => {
                host.publish(world);
                host.reply(world);
                host.follow(&before, world);
            }
        }
        self.settle(key);
        self.merge_claimed(key);
        Ok(())
    }
}

impl Host {
    /// The peer announces itself at `to` with this number. If that comes right after it greeted us as strangers, though we know
    /// it, it has forgotten our other addresses: they are announced again. (A peer that greets a second address of a host that
    /// it knows announces nothing after it.)
    pub(crate) fn tell_forgetful(&mut self, seqno: u16, to: Addr) {
        let greeting = self.strange_hello.take();
        if greeting.map(|greeting| greeting.wrapping_add(1)) != Some(seqno) {
            return;
        }
        let other = |advertised: &&mut Advertised| {
            advertised.standing == Standing::Active && advertised.addr != to
        };
        for advertised in self.advertised.iter_mut().filter(other) {
            advertised.standing = Standing::Maybe;
            include(&mut self.prove, advertised.addr);
        }
    }

    /// Sends the ACKs that the host waits for: with all our addresses, as far as the HELLO's length allows; to a stranger,
    /// with none but the source.
    pub(crate) fn reply(&mut self, world: &mut World) {
        for reply in std::mem::take(&mut self.replies) {
            let least = world.ack_length(reply.from, reply.answer);
            let room = (reply.asked * AMPLIFICATION).saturating_sub(least) / ADDRESS_LEN;
            let mut addresses = Addresses::EMPTY;
            let mut left = addresses.push(reply.from);
            let list = match self.is_met() {
                true => self.list(world),
                false => Vec::new(),
            };
            self.owes_list = !self.is_met();
            for addr in list
                .iter()
                .filter(|addr| **addr != reply.from)
                .take(room.saturating_sub(1))
            {
                left = left && addresses.push(*addr);
                if self.standing(*addr).is_none() {
                    self.tell(*addr, Standing::Unreachable);
                }
            }
            let (from, to, seqno) = (reply.from, reply.to, reply.seqno);
            world.acknowledge(from, to, seqno, reply.options, addresses, reply.answer);
        }
    }
}
