// SPDX-License-Identifier: GPL-2.0
//! NAT ([DIME-IFIP] section IV-D, Fig. 9): messages that pass the machine's NAT are marked, and show who is behind it and
//! with whom it signals.
//!
//! A message is looked at twice. As it is forwarded, its source is the host's own: that is noted. As it leaves, the NAT has
//! exchanged the source, and the host is the one that it names; only if it was noted, it is that host that sent it.

use ihmp_core::addr::Addr;
use ihmp_core::message::{Control, Message, Options};
use ihmp_core::time::{Duration, Instant};
use ihmp_engine::{Bucket, PublicKey, Rate};

use crate::io::{Note, Output, Pair, Passing, Reason, Verdict};
use crate::nat::Peer;
use crate::pair::{Cause, Exchange};
use crate::router::Router;

/// How long a pair is remembered after the last message, and how long when the peer has not answered yet.
const REMEMBERED: Duration = Duration::from_secs(600);
const UNHEARD: Duration = Duration::from_secs(30);

impl Router {
    /// Takes note of a message on its way through, by the device to which its source belongs.
    pub(crate) fn crossing(&mut self, passing: &Passing<'_>, message: &Message<'_>) {
        let Passing {
            device, from, to, ..
        } = *passing;
        let signature = message.signature.as_ref();
        let Some(block) = signature.and_then(|signature| signature.ed25519()) else {
            return;
        };
        let away = || {
            let away = self.table.get(from)?.away.as_ref()?;
            Some(away.route.device)
        };
        let by = self.link(from).is_none_or(|link| link.device == device) || away() == Some(device);
        if !by || message.addresses.as_slice().first() != Some(&from) {
            return;
        }
        if let Some(nat) = &mut self.nat {
            nat.crosses(from, to, block.timestamp);
        }
    }

    /// What is done with a message that leaves and passes the NAT.
    pub(crate) fn translated(&mut self, passing: &Passing<'_>) -> Result<Verdict, Reason> {
        let Passing {
            from, to, bytes, ..
        } = *passing;
        let message = Message::parse(bytes).map_err(Reason::Malformed)?;
        let signature = message.signature.as_ref();
        let block = signature.and_then(|signature| signature.ed25519());
        let host = *message
            .addresses
            .as_slice()
            .first()
            .ok_or(Reason::Payload)?;
        let greets =
            message.control == Control::Hello && !message.options.has(Options::INCORRECT_SEQNO);
        if host == from {
            // It comes in: the peer has exchanged nothing.
            if let Some(block) = &block {
                self.remember((from, to, message.seqno), block.timestamp);
            }
            let asks =
                message.control == Control::Ack && message.options.has(Options::INCORRECT_SEQNO);
            let pair = Pair {
                host: to,
                peer: from,
            };
            if !asks {
                self.peer_spoke(pair, greets);
            }
            return Ok(Verdict::Mark);
        }
        let block = block.ok_or(Reason::Unsigned)?;
        let nat = self.nat.as_mut();
        if !nat.is_some_and(|nat| nat.crossed(host, to, block.timestamp)) {
            return Err(Reason::Source);
        }
        let key = PublicKey(*block.key);
        if self.table.get(host).is_some_and(|bound| bound.key == key) {
            self.table.touch(host);
        } else {
            // What answers something that we have not seen cannot be verified; the next one can.
            let Some(echoes) = self.echoes(host, to, &message) else {
                return Ok(Verdict::Mark);
            };
            self.authenticate(passing, &block, &echoes)?;
            self.at_home(host, key, block.timestamp)?;
        }
        self.host_spoke(Pair { host, peer: to }, from, key, greets)?;
        Ok(Verdict::Mark)
    }

    /// A host behind the NAT has said something to a peer.
    fn host_spoke(
        &mut self,
        pair: Pair,
        outside: Addr,
        key: PublicKey,
        greets: bool,
    ) -> Result<(), Reason> {
        let now = self.now;
        let Some(nat) = &mut self.nat else {
            return Ok(());
        };
        let full = nat.pairs.len() >= nat.config.max_pairs;
        match nat.pairs.get(&pair).map(|exchange| exchange.nat) {
            None if full => return Err(Reason::PairLimit),
            None => {
                nat.pairs.insert(pair, Exchange::new(outside));
                nat.wakes_at(pair, now);
            }
            Some(before) if before != outside => {
                nat.clear(pair, outside);
                nat.look.insert(pair, true);
            }
            Some(_) => (),
        }
        let Some(exchange) = nat.pairs.get_mut(&pair) else {
            return Ok(());
        };
        let live = exchange.live;
        // Another key is another host, to the peer as well.
        let other = exchange.key.replace(key) != Some(key);
        // Whom it greets may not take part; to whom it says anything else does.
        exchange.until = now.after(if live || !greets { REMEMBERED } else { UNHEARD });
        if !live && !greets {
            self.begin(pair);
        } else if live && (greets || other) {
            nat.look.insert(pair, true);
        }
        self.advance(pair);
        Ok(())
    }

    /// A peer has said something to a host behind the NAT, other than that it does not know it.
    fn peer_spoke(&mut self, pair: Pair, greets: bool) {
        let now = self.now;
        let Some(nat) = &mut self.nat else { return };
        let Some(exchange) = nat.pairs.get_mut(&pair) else {
            return;
        };
        exchange.until = now.after(REMEMBERED);
        exchange.paused = Instant::ZERO;
        if !exchange.live {
            self.begin(pair);
        } else if greets {
            nat.look.insert(pair, true);
        } else if exchange.request.is_some() && exchange.again(Cause::Word) {
            self.send_entry(pair, Cause::Word);
        }
        self.advance(pair);
    }

    /// A peer is told of a host's mappings from now on.
    fn begin(&mut self, pair: Pair) {
        let Some(nat) = &mut self.nat else { return };
        let Some(exchange) = nat.pairs.get_mut(&pair) else {
            return;
        };
        exchange.live = true;
        let outside = exchange.nat;
        let rate: Rate = nat.config.sent[1];
        let peer = nat.peers.entry(pair.peer).or_insert_with(|| Peer {
            pairs: 0,
            srtt: None,
            sent: Bucket::new(rate),
        });
        peer.pairs += 1;
        let first = peer.pairs == 1;
        nat.look.insert(pair, true);
        if first {
            self.listen();
        }
        self.note(Note::Behind { pair, nat: outside });
    }

    pub(crate) fn end(&mut self, pair: Pair, reason: &'static str) {
        let Some(nat) = &mut self.nat else { return };
        let live = nat.pairs.get(&pair).is_some_and(|exchange| exchange.live);
        if nat.remove(pair) {
            self.listen();
        }
        if live {
            self.note(Note::Apart { pair, reason });
        }
    }

    /// Says to which addresses connections matter.
    fn listen(&mut self) {
        let Some(nat) = &mut self.nat else { return };
        let peers: Vec<Addr> = nat.peers.keys().copied().collect();
        if !peers.is_empty() || nat.listening {
            nat.listening = !peers.is_empty();
            self.outputs.push_back(Output::Listen(peers));
        }
    }
}
