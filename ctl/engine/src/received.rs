// SPDX-License-Identifier: GPL-2.0
//! A message as it came, with what can be said of it without knowing any host.

use ihmp_core::addr::Addr;
use ihmp_core::message::{Addresses, Control, Message, Options};

use crate::cookie::COOKIE;
use crate::endpoint::Endpoint;
use crate::io::Refusal;
use crate::keys::PublicKey;

/// Whose signature a message bears.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signer {
    pub(crate) key: PublicKey,
    pub(crate) stamp: u64,
    /// It covers the timestamp of a message that we sent to where it came from: it is no forged source.
    pub(crate) proven: bool,
    /// It answers our challenge to the announcement of a move: until that, the host was where it was before.
    pub(crate) moved: bool,
}

/// A received message with its addresses.
#[derive(Clone, Copy)]
pub(crate) struct Received<'a> {
    pub(crate) from: Addr,
    /// The source, with what a NAT made of it.
    pub(crate) endpoint: Endpoint,
    pub(crate) to: Addr,
    pub(crate) octets: usize,
    /// The cookie of a greeting; it is none of its addresses.
    pub(crate) cookie: Option<Addr>,
    pub(crate) message: Message<'a>,
    /// Who vouches for it; nobody, when there is none.
    pub(crate) signer: Option<Signer>,
}

impl<'a> Received<'a> {
    /// Checks all that needs no host. `local` are our addresses.
    pub(crate) fn new(
        local: &[Addr],
        from: Addr,
        port: Option<u16>,
        to: Addr,
        bytes: &'a [u8],
    ) -> Result<Received<'a>, Refusal> {
        let other = port.is_some();
        let malformed = |error| match other {
            true => Refusal::SourcePort,
            false => Refusal::Malformed(error),
        };
        let message = Message::parse(bytes).map_err(malformed)?;
        if !from.translatable() || from.family() != to.family() {
            return Err(Refusal::NotUnicast);
        }
        if local.contains(&from) {
            return Err(Refusal::OwnAddress);
        }
        if !local.contains(&to) {
            return Err(Refusal::NotOurs);
        }
        let believed = message
            .addresses
            .as_slice()
            .first()
            .ok_or(Refusal::Payload)?;
        let endpoint = Endpoint {
            addr: from,
            port,
            own: *believed,
        };
        let natted = endpoint.is_behind();
        if other && !natted && message.control != Control::NatEntry {
            return Err(Refusal::SourcePort);
        }
        // A router or a NAT speaks for itself, and without a signature nobody does.
        let own = matches!(message.control, Control::RouterAck | Control::NatEntry)
            || message.signature.is_none();
        let family = believed.family() == from.family() && believed.translatable();
        if natted && (own || !family) {
            return Err(Refusal::NatDetected);
        }
        if !message.host.translatable() {
            return Err(Refusal::Payload);
        }
        let baked = message.control == Control::Hello && message.options.has(COOKIE);
        let (mut message, mut cookie) = (message, None);
        if baked {
            let (last, others) = message
                .addresses
                .as_slice()
                .split_last()
                .ok_or(Refusal::Payload)?;
            cookie = Some(*last);
            message.addresses = Addresses::of(others).ok_or(Refusal::Payload)?;
        }
        Ok(Received {
            from,
            endpoint,
            to,
            octets: bytes.len(),
            cookie,
            message,
            signer: None,
        })
    }

    /// The addresses after the first `skip` ones.
    pub(crate) fn after(&self, skip: usize) -> &[Addr] {
        self.message.addresses.as_slice().get(skip..).unwrap_or(&[])
    }

    /// Addresses that the sender says it has, besides one that the message came from: those after the first `skip` ones.
    pub(crate) fn listed(&self, skip: usize) -> Vec<Addr> {
        let behind = self.endpoint.is_behind().then_some(self.endpoint.own);
        behind
            .into_iter()
            .chain(self.after(skip).iter().copied())
            .collect()
    }

    /// Whether a HELLO names all addresses of its sender: more than the source, or that twice.
    pub(crate) fn is_complete(&self) -> bool {
        !self.after(1).is_empty()
    }

    /// Whether a NAT that it passed knows IHMP.
    pub(crate) fn is_supported(&self) -> bool {
        self.message.options.has(Options::NAT_SUPPORTED)
    }

    /// What the answer says about a NAT: ND when it passed one that knows nothing of IHMP.
    pub(crate) fn detected(&self) -> Options {
        match self.endpoint.is_behind() && !self.is_supported() {
            true => Options::NAT_DETECTED,
            false => Options::NONE,
        }
    }
}
