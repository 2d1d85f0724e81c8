// SPDX-License-Identifier: GPL-2.0
//! IHMP messages: one UDP datagram to a value and back (Documentation/ihmp-wire.rst).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------+---------------+-------------------------------+
//! |    Control    |    Options    |             Seqno             |
//! +---------------+---------------+-------------------------------+
//! |         Signature block, only when SG is in Options           |
//! +---------------------------------------------------------------+
//! |                      Host ID, 16 octets                       |
//! +---------------------------------------------------------------+
//! |              Addresses, 16 octets each, at most 16            |
//! +---------------------------------------------------------------+
//! ```
//!
//! ```
//! use ihmp_core::addr::Addr;
//! use ihmp_core::message::{Addresses, Control, Message, Options, MAX_LEN};
//!
//! let new = Addr::v4([198, 51, 100, 7]);
//! let old = Addr::v4([192, 0, 2, 1]);
//! let sent = Message {
//!     control: Control::Handoff,
//!     options: Options::NONE,
//!     seqno: 4711,
//!     signature: None,
//!     host: old,
//!     addresses: Addresses::of(&[new, new, old]).unwrap(),
//! };
//! let mut buffer = [0; MAX_LEN];
//! let octets = sent.emit(&mut buffer).unwrap();
//! assert_eq!(octets.len(), 4 + 16 + 3 * 16);
//! assert_eq!(Message::parse(octets), Ok(sent));
//! ```

use core::fmt;

use crate::addr::Addr;

/// UDP port at both ends unless configured otherwise.
pub const PORT: u16 = 61453;
/// Most addresses in the payload; the Host ID is not one of them.
pub const MAX_ADDRESSES: usize = 16;
/// Octets of an address in a message, of either family.
pub const ADDRESS_LEN: usize = 16;
/// Octets before the signature block or the Host ID.
pub const HEADER_LEN: usize = 4;
/// Octets of a signature block before what its length counts.
pub const SIGNATURE_HEAD: usize = 4;
/// Octets that the length of an Ed25519 block counts: timestamp, public key, signature.
pub const ED25519_LEN: usize = 8 + 32 + 64;
/// Octets that the length of a block with a succession counts: the former key and its word for the new one as well.
pub const SUCCESSION_LEN: usize = ED25519_LEN + 32 + 64;
/// Octets of the longest message that is sent.
pub const MAX_LEN: usize =
    HEADER_LEN + SIGNATURE_HEAD + SUCCESSION_LEN + ADDRESS_LEN + MAX_ADDRESSES * ADDRESS_LEN;
/// Algorithm number of Ed25519 (RFC 8032).
pub const ED25519: u8 = 1;
/// Algorithm number of Ed25519 by a key that another one named as its successor.
pub const ED25519_SUCCESSION: u8 = 2;
/// Where the signature is in a signed message.
const SIGNATURE_AT: usize = HEADER_LEN + SIGNATURE_HEAD + 8 + 32;
/// What a signature of a message is over begins with this, so that it is of use for nothing else.
const MESSAGE_LABEL: [u8; 16] = *b"ihmp message v1\0";
/// What a key says when it names its successor begins with this.
const SUCCESSION_LABEL: [u8; 16] = *b"ihmp successor1\0";
/// Octets of what a signature is over: label, receiver, echo, message.
pub const MAX_SIGNED: usize = MESSAGE_LABEL.len() + ADDRESS_LEN + 8 + MAX_LEN;

/// The kind of a message: the first octet.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Control {
    /// Asks whether a host takes part and tells it the sender's addresses.
    Hello = 0,
    /// Asks whether a pair of addresses works.
    PathProbe = 1,
    /// The sender gained the address it sends from.
    AddrUp = 2,
    /// The sender gained an address from which the receiver cannot be reached.
    AddrUpUnreachable = 3,
    /// The sender lost an address that the receiver could reach.
    AddrDown = 4,
    /// The sender lost an address that the receiver could not reach.
    AddrDownUnreachable = 5,
    /// The sender lost one address and gained the one it sends from.
    Handoff = 6,
    /// The sender lost one address and gained one from which the receiver cannot be reached.
    HandoffUnreachable = 7,
    /// Answers any of the above.
    Ack = 8,
    /// A router answers in place of the host.
    RouterAck = 9,
    /// A NAT tells of a new port mapping.
    NatEntry = 10,
}

impl Control {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Control; 11] = [
        Control::Hello,
        Control::PathProbe,
        Control::AddrUp,
        Control::AddrUpUnreachable,
        Control::AddrDown,
        Control::AddrDownUnreachable,
        Control::Handoff,
        Control::HandoffUnreachable,
        Control::Ack,
        Control::RouterAck,
        Control::NatEntry,
    ];

    /// The kind with this number.
    pub fn from_number(number: u8) -> Option<Control> {
        Control::ALL.get(usize::from(number)).copied()
    }

    /// The number on the wire.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The name in logs and tests.
    pub const fn name(self) -> &'static str {
        match self {
            Control::Hello => "hello",
            Control::PathProbe => "path-probe",
            Control::AddrUp => "addr-up",
            Control::AddrUpUnreachable => "addr-up-unreachable",
            Control::AddrDown => "addr-down",
            Control::AddrDownUnreachable => "addr-down-unreachable",
            Control::Handoff => "handoff",
            Control::HandoffUnreachable => "handoff-unreachable",
            Control::Ack => "ack",
            Control::RouterAck => "router-ack",
            Control::NatEntry => "nat-entry",
        }
    }
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The flags: the second octet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Options(u8);

impl Options {
    /// No flag.
    pub const NONE: Options = Options(0);
    /// A NAT on the way knows IHMP; set in flight and never trusted.
    pub const NAT_SUPPORTED: Options = Options(0x80);
    /// In an ACK: the request passed a NAT.
    pub const NAT_DETECTED: Options = Options(0x40);
    /// In a HELLO: the sender has to start from behind a NAT.
    pub const NAT_FORCED: Options = Options(0x20);
    /// In an ACK: the sequence number of the request is not the expected one, or its sender has yet to show that it
    /// hears us. In a HELLO: it answers such an ACK.
    pub const INCORRECT_SEQNO: Options = Options(0x10);
    /// In a hand-off: the receiver could not reach the old address.
    pub const OLDADDR_UNREACHABLE: Options = Options(0x08);
    /// A signature block follows.
    pub const SIGNED: Options = Options(0x04);
    /// Bits that must be zero.
    const RESERVED: u8 = 0x03;

    /// The flags with this octet, unless a reserved bit is set.
    pub const fn from_bits(bits: u8) -> Option<Options> {
        if bits & Options::RESERVED == 0 {
            Some(Options(bits))
        } else {
            None
        }
    }

    /// The octet on the wire.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether all flags of `other` are set.
    pub const fn has(self, other: Options) -> bool {
        self.0 & other.0 == other.0
    }

    /// The flags of both.
    pub const fn with(self, other: Options) -> Options {
        Options(self.0 | other.0)
    }

    /// These flags without those of `other`.
    pub const fn without(self, other: Options) -> Options {
        Options(self.0 & !other.0)
    }
}

/// The addresses of a payload, in their order.
#[derive(Clone, Copy)]
pub struct Addresses {
    len: usize,
    list: [Addr; MAX_ADDRESSES],
}

impl Addresses {
    /// No address.
    pub const EMPTY: Addresses = Addresses {
        len: 0,
        list: [Addr::UNSPECIFIED; MAX_ADDRESSES],
    };

    /// These addresses; `None` when they are more than [`MAX_ADDRESSES`].
    pub fn of(addresses: &[Addr]) -> Option<Addresses> {
        let mut of = Addresses::EMPTY;
        for addr in addresses {
            if !of.push(*addr) {
                return None;
            }
        }
        Some(of)
    }

    /// Appends an address; false when there is no room.
    #[must_use]
    pub fn push(&mut self, addr: Addr) -> bool {
        let Some(slot) = self.list.get_mut(self.len) else {
            return false;
        };
        *slot = addr;
        self.len = self.len.saturating_add(1);
        true
    }

    /// The addresses.
    pub fn as_slice(&self) -> &[Addr] {
        self.list.get(..self.len).unwrap_or(&[])
    }
}

impl PartialEq for Addresses {
    fn eq(&self, other: &Addresses) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Addresses {}

impl fmt::Debug for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}

/// A signature block, not verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature<'a> {
    /// How the message is signed; [`ED25519`] is the only algorithm known.
    pub algorithm: u8,
    /// What follows the length of the block.
    pub body: &'a [u8],
}

/// The parts of an Ed25519 signature block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ed25519<'a> {
    /// Nanoseconds, strictly increasing per key.
    pub timestamp: u64,
    /// The signer's public key.
    pub key: &'a [u8; 32],
    /// The signature.
    pub signature: &'a [u8; 64],
    /// Whose place the key takes.
    pub succession: Option<Succession<'a>>,
}

/// The word of a key for its successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Succession<'a> {
    /// The former key.
    pub former: &'a [u8; 32],
    /// Its signature over [`successor`] of the new key.
    pub signature: &'a [u8; 64],
}

impl<'a> Signature<'a> {
    /// The parts, when the algorithm is Ed25519, without or with a succession, and the length is right.
    pub fn ed25519(&self) -> Option<Ed25519<'a>> {
        let (timestamp, rest) = self.body.split_first_chunk::<8>()?;
        let (key, rest) = rest.split_first_chunk::<32>()?;
        let (signature, rest) = rest.split_first_chunk::<64>()?;
        let succession = match self.algorithm {
            ED25519 if rest.is_empty() => None,
            ED25519_SUCCESSION => {
                let (former, rest) = rest.split_first_chunk::<32>()?;
                Some(Succession {
                    former,
                    signature: rest.try_into().ok()?,
                })
            }
            _ => return None,
        };
        Some(Ed25519 {
            timestamp: u64::from_be_bytes(*timestamp),
            key,
            signature,
            succession,
        })
    }
}

impl Ed25519<'_> {
    /// Writes the body of a block whose signature is still to be made to the start of `out`, and hands it and its
    /// algorithm back.
    pub fn unsigned<'b>(
        timestamp: u64,
        key: &[u8; 32],
        succession: Option<Succession<'_>>,
        out: &'b mut [u8; SUCCESSION_LEN],
    ) -> Result<Signature<'b>, NoRoom> {
        let mut writer = Writer { out, at: 0 };
        writer.put(&timestamp.to_be_bytes())?;
        writer.put(key)?;
        writer.put(&[0; 64])?;
        let mut algorithm = ED25519;
        if let Some(succession) = succession {
            algorithm = ED25519_SUCCESSION;
            writer.put(succession.former)?;
            writer.put(succession.signature)?;
        }
        Ok(Signature {
            algorithm,
            body: writer.finish()?,
        })
    }
}

/// What the signature of a message is over: a label, the receiver's address, the timestamp of the message that it
/// answers (zero when it answers none), and the message with NS and the signature zeroed.
pub fn signed<'b>(
    message: &[u8],
    to: Addr,
    echo: u64,
    out: &'b mut [u8; MAX_SIGNED],
) -> Result<&'b [u8], NoRoom> {
    let (control, rest) = message.split_first().ok_or(NoRoom)?;
    let (options, rest) = rest.split_first().ok_or(NoRoom)?;
    let before = SIGNATURE_AT.saturating_sub(2);
    let (head, rest) = rest.split_at_checked(before).ok_or(NoRoom)?;
    let (_, rest) = rest.split_first_chunk::<64>().ok_or(NoRoom)?;
    let mut writer = Writer { out, at: 0 };
    writer.put(&MESSAGE_LABEL)?;
    writer.put(&to.octets())?;
    writer.put(&echo.to_be_bytes())?;
    writer.put(&[*control, *options & !Options::NAT_SUPPORTED.bits()])?;
    writer.put(head)?;
    writer.put(&[0; 64])?;
    writer.put(rest)?;
    writer.finish()
}

/// Puts the signature into a message that was written with an unsigned block.
pub fn put_signature(message: &mut [u8], signature: &[u8; 64]) -> Result<(), NoRoom> {
    let place = message
        .get_mut(SIGNATURE_AT..)
        .and_then(|rest| rest.first_chunk_mut::<64>())
        .ok_or(NoRoom)?;
    *place = *signature;
    Ok(())
}

/// What a key signs to name its successor.
pub fn successor(new: &[u8; 32]) -> [u8; 48] {
    let mut octets = [0; 48];
    let (label, key) = octets.split_at_mut(SUCCESSION_LABEL.len());
    label.copy_from_slice(&SUCCESSION_LABEL);
    key.copy_from_slice(new);
    octets
}

/// One IHMP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The kind.
    pub control: Control,
    /// The flags; [`Options::SIGNED`] is set by a signature block, here and on the wire.
    pub options: Options,
    /// Sequence number; an ACK echoes that of the request.
    pub seqno: u16,
    /// The signature block, when there is one.
    pub signature: Option<Signature<'a>>,
    /// An address by which the receiver knows the sender.
    pub host: Addr,
    /// The payload: the sender's own source address, then what the kind asks for.
    pub addresses: Addresses,
}

/// Why octets are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParseError {
    /// They end before the Host ID does.
    Short,
    /// The kind is unknown.
    Control,
    /// A reserved flag is set.
    Options,
    /// The signature block has a non-zero reserved octet, or the wrong length.
    Signature,
    /// The payload does not end with an address.
    Ragged,
    /// There are more than [`MAX_ADDRESSES`].
    TooMany,
}

impl ParseError {
    /// The name in logs and counters.
    pub const fn name(self) -> &'static str {
        match self {
            ParseError::Short => "short",
            ParseError::Control => "unknown-control",
            ParseError::Options => "reserved-option",
            ParseError::Signature => "bad-signature-block",
            ParseError::Ragged => "ragged-payload",
            ParseError::TooMany => "too-many-addresses",
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl core::error::Error for ParseError {}

/// Why a message could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

impl<'a> Message<'a> {
    /// Reads a datagram.
    pub fn parse(octets: &'a [u8]) -> Result<Message<'a>, ParseError> {
        let ([control, options, high, low], rest) = octets
            .split_first_chunk::<HEADER_LEN>()
            .ok_or(ParseError::Short)?;
        let control = Control::from_number(*control).ok_or(ParseError::Control)?;
        let options = Options::from_bits(*options).ok_or(ParseError::Options)?;
        let (signature, rest) = if options.has(Options::SIGNED) {
            let (signature, rest) = parse_signature(rest)?;
            (Some(signature), rest)
        } else {
            (None, rest)
        };
        let (host, payload) = rest
            .split_first_chunk::<ADDRESS_LEN>()
            .ok_or(ParseError::Short)?;
        let mut addresses = Addresses::EMPTY;
        let mut chunks = payload.chunks_exact(ADDRESS_LEN);
        for chunk in chunks.by_ref() {
            let octets = chunk.try_into().map_err(|_| ParseError::Ragged)?;
            if !addresses.push(Addr::v6(octets)) {
                return Err(ParseError::TooMany);
            }
        }
        if !chunks.remainder().is_empty() {
            return Err(ParseError::Ragged);
        }
        Ok(Message {
            control,
            options,
            seqno: u16::from_be_bytes([*high, *low]),
            signature,
            host: Addr::v6(*host),
            addresses,
        })
    }

    /// Writes the datagram to the start of `out` and hands it back.
    ///
    /// [`MAX_LEN`] octets are enough for every message without or with an Ed25519 block.
    pub fn emit<'b>(&self, out: &'b mut [u8]) -> Result<&'b [u8], NoRoom> {
        let options = match self.signature {
            Some(_) => self.options.with(Options::SIGNED),
            None => self.options.without(Options::SIGNED),
        };
        let [high, low] = self.seqno.to_be_bytes();
        let mut writer = Writer { out, at: 0 };
        writer.put(&[self.control.number(), options.bits(), high, low])?;
        if let Some(signature) = &self.signature {
            let length = u16::try_from(signature.body.len()).map_err(|_| NoRoom)?;
            writer.put(&[signature.algorithm, 0])?;
            writer.put(&length.to_be_bytes())?;
            writer.put(signature.body)?;
        }
        writer.put(&self.host.octets())?;
        for addr in self.addresses.as_slice() {
            writer.put(&addr.octets())?;
        }
        writer.finish()
    }
}

/// The signature block at the start of `octets`, and what follows it.
fn parse_signature(octets: &[u8]) -> Result<(Signature<'_>, &[u8]), ParseError> {
    let ([algorithm, zero, high, low], rest) = octets
        .split_first_chunk::<SIGNATURE_HEAD>()
        .ok_or(ParseError::Short)?;
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let wrong = match *algorithm {
        ED25519 => length != ED25519_LEN,
        ED25519_SUCCESSION => length != SUCCESSION_LEN,
        _ => false,
    };
    if *zero != 0 || wrong {
        return Err(ParseError::Signature);
    }
    let (body, rest) = rest.split_at_checked(length).ok_or(ParseError::Short)?;
    Ok((
        Signature {
            algorithm: *algorithm,
            body,
        },
        rest,
    ))
}

/// Appends to a slice.
struct Writer<'b> {
    out: &'b mut [u8],
    at: usize,
}

impl<'b> Writer<'b> {
    fn put(&mut self, octets: &[u8]) -> Result<(), NoRoom> {
        let end = self.at.checked_add(octets.len()).ok_or(NoRoom)?;
        self.out
            .get_mut(self.at..end)
            .ok_or(NoRoom)?
            .copy_from_slice(octets);
        self.at = end;
        Ok(())
    }

    fn finish(self) -> Result<&'b [u8], NoRoom> {
        let out: &'b [u8] = self.out;
        out.get(..self.at).ok_or(NoRoom)
    }
}

#[cfg(test)]
#[expect(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;

    fn example() -> Message<'static> {
        Message {
            control: Control::Handoff,
            options: Options::OLDADDR_UNREACHABLE,
            seqno: 0x1234,
            signature: None,
            host: Addr::v4([192, 0, 2, 1]),
            addresses: Addresses::of(&[
                Addr::v4([198, 51, 100, 7]),
                "2001:db8::7".parse().unwrap(),
            ])
            .unwrap(),
        }
    }

    #[test]
    fn octets_are_where_they_belong() {
        let mut buffer = [0xaa; MAX_LEN];
        let octets = example().emit(&mut buffer).unwrap();
        assert_eq!(octets.len(), 52);
        assert_eq!(octets[..4], [6, 0x08, 0x12, 0x34]);
        assert_eq!(
            octets[4..20],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1]
        );
        assert_eq!(octets[32..36], [198, 51, 100, 7]);
        assert_eq!(octets[36..40], [0x20, 0x01, 0x0d, 0xb8]);
        assert_eq!(Message::parse(octets), Ok(example()));
    }

    #[test]
    fn signed_message_keeps_its_block() {
        let mut body = [0; SUCCESSION_LEN];
        for (at, octet) in body.iter_mut().enumerate() {
            *octet = at as u8;
        }
        let mut sent = example();
        sent.signature = Some(Signature {
            algorithm: ED25519_SUCCESSION,
            body: &body,
        });
        sent.addresses = Addresses::of(&[Addr::v4([192, 0, 2, 9]); MAX_ADDRESSES]).unwrap();
        let mut buffer = [0; MAX_LEN];
        let octets = sent.emit(&mut buffer).unwrap();
        assert_eq!(octets.len(), MAX_LEN);
        assert_eq!(octets[1], 0x0c);
        assert_eq!(octets[4..8], [2, 0, 0, 200]);
        let got = Message::parse(octets).unwrap();
        assert!(got.options.has(Options::SIGNED));
        assert_eq!(got.host, sent.host);
        assert_eq!(got.addresses, sent.addresses);
        let parts = got.signature.unwrap().ed25519().unwrap();
        assert_eq!(parts.timestamp, 0x0001_0203_0405_0607);
        assert_eq!((parts.key[0], parts.signature[0]), (8, 40));
        let succession = parts.succession.unwrap();
        assert_eq!((succession.former[0], succession.signature[0]), (104, 136));
        sent.signature = Some(Signature {
            algorithm: ED25519,
            body: &body[..ED25519_LEN],
        });
        let octets = sent.emit(&mut buffer).unwrap();
        assert_eq!(octets[4..8], [1, 0, 0, 104]);
        let parts = Message::parse(octets).unwrap().signature.unwrap();
        assert_eq!(parts.ed25519().unwrap().succession, None);
    }

    #[test]
    fn signature_is_over_everything_but_itself_and_ns() {
        let (key, former, word) = ([7; 32], [8; 32], [9; 64]);
        for succession in [
            None,
            Some(Succession {
                former: &former,
                signature: &word,
            }),
        ] {
            let mut body = [0; SUCCESSION_LEN];
            let mut sent = example();
            sent.signature = Some(Ed25519::unsigned(5, &key, succession, &mut body).unwrap());
            let mut buffer = [0; MAX_LEN];
            let mut octets: Vec<u8> = sent.emit(&mut buffer).unwrap().into();
            let to = Addr::v4([203, 0, 113, 9]);
            let over = |octets: &[u8], to, echo| {
                let mut out = [0; MAX_SIGNED];
                Vec::from(signed(octets, to, echo, &mut out).unwrap())
            };
            let before = over(&octets, to, 3);
            assert_eq!(before.len(), 16 + 16 + 8 + octets.len());
            put_signature(&mut octets, &[0x55; 64]).unwrap();
            let got = Message::parse(&octets).unwrap().signature.unwrap();
            assert_eq!(got.ed25519().unwrap().signature, &[0x55; 64]);
            assert_eq!(over(&octets, to, 3), before);
            assert_ne!(over(&octets, to, 4), before);
            assert_ne!(over(&octets, Addr::v4([203, 0, 113, 8]), 3), before);
            for at in 0..octets.len() {
                for bit in 0..8 {
                    let mut changed = octets.clone();
                    changed[at] ^= 1 << bit;
                    let free = (48..112).contains(&at) || (at, bit) == (1, 7);
                    assert_eq!(
                        over(&changed, to, 3) == before,
                        free,
                        "octet {at} bit {bit}"
                    );
                }
            }
        }
        let mut out = [0; MAX_SIGNED];
        assert_eq!(
            signed(&[0; 111], Addr::UNSPECIFIED, 0, &mut out),
            Err(NoRoom)
        );
        assert_eq!(put_signature(&mut [0; 111], &[0; 64]), Err(NoRoom));
    }

    #[test]
    fn unknown_algorithm_is_carried_but_has_no_parts() {
        let mut sent = example();
        sent.signature = Some(Signature {
            algorithm: 9,
            body: &[1, 2, 3],
        });
        let mut buffer = [0; MAX_LEN];
        let octets = sent.emit(&mut buffer).unwrap();
        let signature = Message::parse(octets).unwrap().signature.unwrap();
        assert_eq!((signature.algorithm, signature.body), (9, &[1, 2, 3][..]));
        assert_eq!(signature.ed25519(), None);
    }

    #[test]
    fn every_kind_survives() {
        let mut buffer = [0; MAX_LEN];
        for (number, control) in Control::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(control.number()), number);
            let sent = Message {
                control,
                ..example()
            };
            let octets = sent.emit(&mut buffer).unwrap();
            assert_eq!(Message::parse(octets), Ok(sent));
        }
        assert_eq!(Control::from_number(11), None);
    }

    #[test]
    fn refusals_name_what_is_wrong() {
        let mut buffer = [0; MAX_LEN];
        let good: Vec<u8> = example().emit(&mut buffer).unwrap().into();
        let changed = |at: usize, octet: u8| {
            let mut octets = good.clone();
            octets[at] = octet;
            octets
        };
        let refusal = |octets: &[u8]| Message::parse(octets).unwrap_err();
        assert_eq!(refusal(&[]), ParseError::Short);
        assert_eq!(refusal(&good[..19]), ParseError::Short);
        assert_eq!(refusal(&changed(0, 11)), ParseError::Control);
        assert_eq!(refusal(&changed(1, 0x01)), ParseError::Options);
        assert_eq!(refusal(&changed(1, 0x02)), ParseError::Options);
        assert_eq!(refusal(&good[..good.len() - 1]), ParseError::Ragged);
        let mut many = good.clone();
        many.resize(4 + 16 + 17 * 16, 0);
        assert_eq!(refusal(&many), ParseError::TooMany);
        // The Host ID of the unsigned message is read as the head of a block.
        let mut signed = changed(1, 0x04);
        signed[4..8].copy_from_slice(&[1, 1, 0, 104]);
        assert_eq!(refusal(&signed), ParseError::Signature);
        signed[4..8].copy_from_slice(&[1, 0, 0, 103]);
        assert_eq!(refusal(&signed), ParseError::Signature);
        signed[4..8].copy_from_slice(&[1, 0, 0, 104]);
        assert_eq!(refusal(&signed), ParseError::Short);
        signed[4..8].copy_from_slice(&[2, 0, 0, 104]);
        assert_eq!(refusal(&signed), ParseError::Signature);
        signed[4..8].copy_from_slice(&[3, 0, 0xff, 0xff]);
        assert_eq!(refusal(&signed), ParseError::Short);
    }

    #[test]
    fn what_does_not_fit_is_not_written() {
        let mut small = [0; 51];
        assert_eq!(example().emit(&mut small), Err(NoRoom));
        assert_eq!(example().emit(&mut []), Err(NoRoom));
        assert_eq!(Addresses::of(&[Addr::UNSPECIFIED; MAX_ADDRESSES + 1]), None);
    }

    #[test]
    fn no_octets_panic_and_what_parses_is_written_back_the_same() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut parsed = 0;
        for _ in 0..200_000 {
            let length = (next() % 400) as usize;
            let mut octets: Vec<u8> = (0..length).map(|_| next() as u8).collect();
            // Most random heads are refused at once; make the later ones reachable.
            if length > 8 && next() % 4 != 0 {
                octets[0] %= 11;
                octets[1] &= 0xfc;
                octets.truncate(4 + (length - 4) / 16 * 16);
                if octets[1] & 4 != 0 && octets.len() > 8 {
                    octets[4..8].copy_from_slice(&[(next() % 3) as u8, 0, 0, (next() % 120) as u8]);
                }
            }
            let Ok(message) = Message::parse(&octets) else {
                continue;
            };
            parsed += 1;
            let mut buffer = [0; 512];
            let written = message.emit(&mut buffer).unwrap();
            // An unspecified IPv4 address and the like keep their octets.
            assert_eq!(written, &octets[..]);
        }
        assert!(parsed > 10_000, "{parsed}");
    }
}
