// SPDX-License-Identifier: GPL-2.0
//! Netlink messages that the kernel sent: several in a datagram, each with a header of its own (linux/netlink.h,
//! `struct nlmsghdr`).

use std::io::Cursor;

use neli::{
    consts::nl::NlmF,
    nl::{
        NlPayload,
        Nlmsghdr, //
    },
    types::{
        Buffer,
        GenlBuffer, //
    },
    FromBytes, //
};

use crate::error::{
    Error,
    Refusal, //
};

/// Octets of the header of a message.
pub const HEADER: usize = 16;

/// The end of a dump, with an error number.
const NLMSG_DONE: u16 = 3;

// enum nlmsgerr_attrs
const EXT_ACK_MSG: u16 = 1;
const EXT_ACK_OFFS: u16 = 2;
const EXT_ACK_MISS_TYPE: u16 = 5;
const EXT_ACK_MISS_NEST: u16 = 6;

/// A message as neli has it, its payload left as octets.
pub(crate) type Raw = Nlmsghdr<u16, Buffer>;

/// A message that the kernel sent.
#[derive(Debug)]
pub struct Message(Raw);

/// What a message is to the request that it answers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Content<'a> {
    /// An object, as part of the answer.
    Object(&'a [u8]),
    /// The end of the answer: a dump is complete, or a request was carried out.
    End,
    /// The request was refused, or a dump ended with an error.
    Refused(Refusal),
}

impl Message {
    /// Its type.
    pub fn kind(&self) -> u16 {
        *self.0.nl_type()
    }

    /// The sequence number of the request that it answers.
    pub(crate) fn seq(&self) -> u32 {
        *self.0.nl_seq()
    }

    /// Something changed while the kernel made the dump that this message is a part of (`NLM_F_DUMP_INTR`).
    pub(crate) fn interrupted(&self) -> bool {
        self.0.nl_flags().contains(NlmF::DUMP_INTR)
    }

    /// Its payload; `None` if it is an acknowledgement, an error or the end of a dump.
    pub fn object(&self) -> Option<&[u8]> {
        match self.content() {
            Content::Object(object) => Some(object),
            Content::End | Content::Refused(_) => None,
        }
    }

    pub(crate) fn content(&self) -> Content<'_> {
        match self.0.nl_payload() {
            NlPayload::Payload(payload) if self.kind() != NLMSG_DONE => {
                Content::Object(payload.as_ref())
            }
            NlPayload::Payload(end) => {
                let code = end.as_ref().first_chunk().copied();
                ended(i32::from_ne_bytes(code.unwrap_or_default()), Refusal::new)
            }
            NlPayload::Err(error) => {
                ended(*error.error(), |errno| explained(errno, error.ext_ack()))
            }
            NlPayload::DumpExtAck(end) => {
                ended(*end.error(), |errno| explained(errno, end.ext_ack()))
            }
            NlPayload::Ack(_) | NlPayload::Empty => Content::End,
        }
    }
}

/// What an error number of the kernel means: an error if it is negative, and success if not.
fn ended(code: i32, refusal: impl FnOnce(i32) -> Refusal) -> Content<'static> {
    match code {
        0.. => Content::End,
        code => Content::Refused(refusal(code.saturating_neg())),
    }
}

/// A refusal with the attributes of an extended acknowledgement.
fn explained<T>(errno: i32, ext_ack: &GenlBuffer<T, Buffer>) -> Refusal
where
    T: Copy + Into<u16>,
{
    let payload = |number| {
        let mut attrs = ext_ack.as_ref().iter();
        let attr = attrs.find(|attr| (*attr.nla_type().nla_type()).into() == number)?;
        Some(attr.nla_payload().as_ref())
    };
    let number = |attr| {
        let octets = payload(attr)?.try_into().ok()?;
        Some(u32::from_ne_bytes(octets))
    };
    // The kernel counts from the start of the netlink header.
    let offset = |attr| (number(attr)? as usize).checked_sub(HEADER);
    let text = payload(EXT_ACK_MSG).map(|octets| {
        String::from_utf8_lossy(octets.strip_suffix(&[0]).unwrap_or(octets)).into_owned()
    });
    let missing = number(EXT_ACK_MISS_TYPE).and_then(|number| u16::try_from(number).ok());
    Refusal::new(errno)
        .with_message(text)
        .with_attr(offset(EXT_ACK_OFFS))
        .with_missing(missing.map(|number| (number, offset(EXT_ACK_MISS_NEST))))
}

/// Splits what was received into messages. Lengths are checked before neli parses it, which would take some wrong ones.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<Message>, Error> {
    let mut messages = Vec::new();
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let len = rest
            .first_chunk()
            .map_or(0, |octets| u32::from_ne_bytes(*octets)) as usize;
        if !(HEADER..=rest.len()).contains(&len) {
            return Err(Error::Protocol(format!(
                "{} octets that hold no message",
                rest.len()
            )));
        }
        let message = Raw::from_bytes(&mut Cursor::new(rest));
        let message = message.map_err(|error| Error::Protocol(error.to_string()))?;
        messages.push(Message(message));
        at += len.next_multiple_of(4);
    }
    Ok(messages)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::attrs::Writer;

    /// The octets of a message with this type and payload.
    pub(crate) fn frame(kind: u16, flags: NlmF, payload: &[u8]) -> Vec<u8> {
        let len = u32::try_from(HEADER + payload.len()).unwrap();
        let mut bytes = len.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.bits().to_ne_bytes());
        bytes.resize(HEADER, 0);
        [&bytes, payload].concat()
    }

    /// The only message in these octets.
    pub(crate) fn only(bytes: &[u8]) -> Message {
        let mut messages = parse(bytes).unwrap();
        assert_eq!(messages.len(), 1);
        messages.remove(0)
    }

    /// The refusal with these attributes, at the end of a dump or of another request.
    fn refused(dump: bool, attrs: &Writer) -> Refusal {
        let mut payload = (-22_i32).to_ne_bytes().to_vec();
        let mut flags = NlmF::ACK_TLVS;
        if dump {
            flags |= NlmF::MULTI;
        } else {
            payload.extend(frame(33, NlmF::REQUEST, &[1, 1, 0, 0]));
        }
        payload.extend(attrs.as_bytes());
        let kind = if dump { NLMSG_DONE } else { 2 };
        match only(&frame(kind, flags, &payload)).content() {
            Content::Refused(refusal) => refusal,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn refusals_are_explained() {
        for dump in [false, true] {
            let mut attrs = Writer::default();
            assert_eq!(refused(dump, &attrs), Refusal::new(22));
            attrs.string(EXT_ACK_MSG, "no such host");
            assert_eq!(refused(dump, &attrs).message(), Some("no such host"));
            // The header of netlink, that of generic netlink.
            attrs.u32(EXT_ACK_OFFS, 16 + 4);
            let refusal = refused(dump, &attrs);
            assert_eq!((refusal.attr(), refusal.missing()), (Some(4), None));
            let mut attrs = Writer::default();
            attrs.u32(EXT_ACK_MISS_TYPE, 2);
            assert_eq!(refused(dump, &attrs).missing(), Some((2, None)));
            attrs.u32(EXT_ACK_MISS_NEST, 16 + 4 + 8);
            let refusal = refused(dump, &attrs);
            assert_eq!(refusal.missing(), Some((2, Some(12))));
            assert_eq!((refusal.attr(), refusal.message()), (None, None));
            // Within the header.
            let mut attrs = Writer::default();
            attrs.u32(EXT_ACK_OFFS, 15);
            assert_eq!(refused(dump, &attrs).attr(), None);
        }
    }

    #[test]
    fn ends_of_a_dump() {
        let end = |code: i32, flags| {
            let message = only(&frame(NLMSG_DONE, flags, &code.to_ne_bytes()));
            matches!(message.content(), Content::End)
        };
        for flags in [NlmF::empty(), NlmF::MULTI] {
            assert!(end(0, flags) && end(7, flags) && !end(-7, flags));
        }
        let bare = only(&frame(NLMSG_DONE, NlmF::MULTI, &[]));
        assert!(bare.object().is_none());
        let object = only(&frame(16, NlmF::MULTI, &[1; 4]));
        assert_eq!((object.kind(), object.object()), (16, Some(&[1; 4][..])));
    }

    #[test]
    fn broken_frames_are_refused() {
        assert!(parse(&[]).unwrap().is_empty());
        let message = |len: u32| {
            let mut bytes = len.to_ne_bytes().to_vec();
            bytes.resize(20, 0);
            bytes
        };
        assert_eq!(parse(&message(20)).unwrap().len(), 1);
        assert_eq!(
            parse(&[message(20), message(17)].concat()).unwrap().len(),
            2
        );
        for bytes in [
            &message(0)[..],
            &message(15),
            &message(21),
            &message(20)[..3],
            &message(20)[..19],
        ] {
            assert!(parse(bytes).is_err(), "{bytes:?}");
        }
    }
}
