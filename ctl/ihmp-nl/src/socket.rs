// SPDX-License-Identifier: GPL-2.0
//! A generic netlink socket: framing, sequence numbers and the lookup of a family, by neli.
//!
//! neli's router is not used: it tells an overrun to pending requests only, never to who waits for events.

use std::{
    io::{
        self,
        Cursor, //
    },
    os::fd::{
        AsFd,
        AsRawFd,
        RawFd, //
    },
};

use neli::{
    consts::{
        genl::{
            CtrlAttr,
            CtrlAttrMcastGrp,
            CtrlCmd, //
        },
        nl::{
            GenlId,
            NlmF, //
        },
        socket::{
            Msg,
            NlFamily, //
        },
    },
    nl::{
        NlPayload,
        Nlmsghdr,
        NlmsghdrBuilder, //
    },
    socket::NlSocket,
    types::Buffer,
    utils::Groups,
    FromBytes,
    ToBytes, //
};

use nix::{
    errno::Errno,
    sys::socket::{
        setsockopt,
        sockopt, //
    },
};

use crate::{
    attrs::{
        Attrs,
        Malformed,
        Writer, //
    },
    error::Error,
};

/// A netlink message whose payload is left as bytes.
pub(crate) type Message = Nlmsghdr<u16, Buffer>;

/// Octets of the netlink header.
pub(crate) const HEADER: usize = 16;

/// linux/errno.h: there is no such family, or object.
pub(crate) const ENOENT: i32 = 2;

/// linux/netlink.h: the end of a dump, with an error number.
const NLMSG_DONE: u16 = 3;

/// A dump during which something changed is asked for again, so many times in all.
pub(crate) const DUMP_ATTEMPTS: usize = 4;

/// The kernel fills at most this much of one message buffer in a dump (netlink_dump()).
const BUFFER: usize = 32768;

/// A family as the kernel's controller describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) id: u16,
    groups: Vec<(String, u32)>,
}

impl Family {
    /// The attributes of a message of the controller.
    pub(crate) fn read(attrs: Attrs<'_>) -> Result<Self, Malformed> {
        let mut family = Self::default();
        for attr in attrs {
            let attr = attr?;
            match CtrlAttr::from(attr.number) {
                CtrlAttr::FamilyName => family.name = attr.string()?.to_owned(),
                CtrlAttr::FamilyId => family.id = attr.u16()?,
                CtrlAttr::McastGroups => {
                    for group in attr.nest() {
                        let (mut name, mut id) = (String::new(), 0);
                        for attr in group?.nest() {
                            let attr = attr?;
                            match CtrlAttrMcastGrp::from(attr.number) {
                                CtrlAttrMcastGrp::Name => name = attr.string()?.to_owned(),
                                CtrlAttrMcastGrp::Id => id = attr.u32()?,
                                _ => (),
                            }
                        }
                        family.groups.push((name, id));
                    }
                }
                _ => (),
            }
        }
        Ok(family)
    }
}

/// Whether to wait when there is nothing to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    Yes,
    No,
}

/// A socket and its receive buffer.
pub(crate) struct Socket {
    inner: NlSocket,
    seq: u32,
    buffer: Vec<u8>,
}

impl Socket {
    pub(crate) fn open() -> Result<Self, Error> {
        Self::open_family(NlFamily::Generic)
    }

    pub(crate) fn open_family(family: NlFamily) -> Result<Self, Error> {
        let inner = NlSocket::connect(family, None, Groups::empty())?;
        inner.enable_ext_ack(true)?;
        Ok(Self {
            inner,
            seq: 0,
            buffer: vec![0; BUFFER],
        })
    }

    /// Room for events that nobody has fetched yet.
    pub(crate) fn set_receive_buffer(&self, octets: usize) -> Result<(), Error> {
        Ok(self.inner.set_recv_buffer_size(octets)?)
    }

    /// Asks for dumps of what a request says, and for a refusal of what it should not say (`NETLINK_GET_STRICT_CHK`).
    pub(crate) fn be_strict(&self) -> Result<(), Error> {
        Ok(self.inner.enable_strict_checking(true)?)
    }

    /// Joins a multicast group of a family.
    pub(crate) fn join(&self, family: &Family, group: &str) -> Result<(), Error> {
        let (_, id) = family
            .groups
            .iter()
            .find(|(name, _)| name == group)
            .ok_or_else(|| {
                Error::Protocol(format!("family {} has no group {group}", family.name))
            })?;
        Ok(self
            .inner
            .add_mcast_membership(Groups::new_groups(&[*id]))?)
    }

    /// Sends a request; returns the sequence number that its answers carry.
    pub(crate) fn send(
        &mut self,
        family: u16,
        flags: NlmF,
        payload: Vec<u8>,
    ) -> Result<u32, Error> {
        let mut bytes = Cursor::new(Vec::new());
        self.frame(&mut bytes, family, flags, payload)?;
        self.inner.send(bytes.into_inner(), Msg::empty())?;
        Ok(self.seq)
    }

    /// Writes a message with a sequence number of its own.
    fn frame(
        &mut self,
        bytes: &mut Cursor<Vec<u8>>,
        family: u16,
        flags: NlmF,
        payload: Vec<u8>,
    ) -> Result<(), Error> {
        self.seq = self.seq.wrapping_add(1);
        let message: Message = NlmsghdrBuilder::default()
            .nl_type(family)
            .nl_flags(flags | NlmF::REQUEST)
            .nl_seq(self.seq)
            .nl_payload(NlPayload::Payload(Buffer::from(payload)))
            .build()
            .map_err(|error| Error::Protocol(error.to_string()))?;
        message
            .to_bytes(bytes)
            .map_err(|error| Error::Protocol(error.to_string()))
    }

    /// Sends an order and waits until it is carried out.
    pub(crate) fn order(&mut self, kind: u16, flags: NlmF, payload: Vec<u8>) -> Result<(), Error> {
        let seq = self.send(kind, flags | NlmF::ACK, payload)?;
        self.acknowledged(&[seq])
    }

    /// Sends messages that belong together in one piece, and waits until those are carried out that ask for an answer.
    pub(crate) fn batch(&mut self, messages: Vec<(u16, NlmF, Vec<u8>)>) -> Result<(), Error> {
        let mut bytes = Cursor::new(Vec::new());
        let mut awaited = Vec::new();
        for (kind, flags, payload) in messages {
            self.frame(&mut bytes, kind, flags, payload)?;
            if flags.contains(NlmF::ACK) {
                awaited.push(self.seq);
            }
        }
        self.inner.send(bytes.into_inner(), Msg::empty())?;
        self.acknowledged(&awaited)
    }

    /// All objects of a dump. It fails if the kernel ends it with an error, or if the kernel says each time that it was asked for that
    /// something changed meanwhile: then it may lack objects that are there.
    pub(crate) fn dump<T>(
        &mut self,
        kind: u16,
        payload: &[u8],
        mut read: impl FnMut(&[u8]) -> Result<Option<T>, Error>,
    ) -> Result<Vec<T>, Error> {
        for _ in 0..DUMP_ATTEMPTS {
            let seq = self.send(kind, NlmF::DUMP, payload.to_vec())?;
            let mut dump = Dump::default();
            while !dump.ended {
                for message in self.receive(Wait::Yes)? {
                    // Others are what is left of an answer that was given up.
                    if *message.nl_seq() == seq {
                        dump.take(&message, &mut read)?;
                    }
                }
            }
            if !dump.changed {
                return Ok(dump.objects);
            }
        }
        Err(Error::Changing)
    }

    /// Waits until all of these are acknowledged, or one is refused.
    fn acknowledged(&mut self, awaited: &[u32]) -> Result<(), Error> {
        let mut left = awaited.len();
        while left > 0 {
            for message in self.receive(Wait::Yes)? {
                if !awaited.contains(message.nl_seq()) {
                    continue;
                }
                match message.nl_payload() {
                    NlPayload::Err(error) => {
                        return Err(io::Error::from_raw_os_error(-*error.error()).into())
                    }
                    NlPayload::Ack(_) => left -= 1,
                    _ => (),
                }
            }
        }
        Ok(())
    }

    /// Requests that were sent.
    pub(crate) fn requests(&self) -> u32 {
        self.seq
    }

    /// What the kernel sends next.
    pub(crate) fn receive(&mut self, wait: Wait) -> Result<Vec<Message>, Error> {
        let flags = match wait {
            Wait::Yes => Msg::empty(),
            Wait::No => Msg::DONTWAIT,
        };
        let len = loop {
            match self.inner.recv(&mut self.buffer, flags) {
                Ok((len, _)) => break len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(error.into()),
            }
        };
        parse(self.buffer.get(..len).unwrap_or_default())
    }

    /// Asks the controller for a family; a kernel that does not have it may load its module now.
    pub(crate) fn resolve(&mut self, name: &str) -> Result<Family, Error> {
        let mut attrs = Writer::default();
        attrs.string(CtrlAttr::FamilyName.into(), name);
        let payload = [&[CtrlCmd::Getfamily.into(), 2, 0, 0], attrs.0.as_slice()].concat();
        let seq = self.send(GenlId::Ctrl.into(), NlmF::empty(), payload)?;
        loop {
            for message in self.receive(Wait::Yes)? {
                if *message.nl_seq() != seq {
                    continue;
                }
                match message.nl_payload() {
                    NlPayload::Err(error) if -*error.error() == ENOENT => {
                        return Err(Error::NoModule)
                    }
                    NlPayload::Err(error) => {
                        return Err(io::Error::from_raw_os_error(-*error.error()).into())
                    }
                    NlPayload::Payload(payload) => {
                        return Ok(Family::read(Attrs::new(
                            payload.as_ref().get(4..).unwrap_or_default(),
                        ))?);
                    }
                    _ => (),
                }
            }
        }
    }
}

/// A dump that is being received.
struct Dump<T> {
    objects: Vec<T>,
    /// Something changed while it was made.
    changed: bool,
    /// Its last message was there.
    ended: bool,
}

impl<T> Default for Dump<T> {
    fn default() -> Self {
        Self {
            objects: Vec::new(),
            changed: false,
            ended: false,
        }
    }
}

impl<T> Dump<T> {
    /// Takes one message of the dump. It fails if that says so, and if it cannot be read.
    fn take(
        &mut self,
        message: &Message,
        read: &mut impl FnMut(&[u8]) -> Result<Option<T>, Error>,
    ) -> Result<(), Error> {
        self.changed |= message.nl_flags().contains(NlmF::DUMP_INTR);
        match message.nl_payload() {
            NlPayload::Payload(payload) if *message.nl_type() != NLMSG_DONE => {
                self.objects.extend(read(payload.as_ref())?);
                return Ok(());
            }
            NlPayload::Payload(end) => {
                let code = end.as_ref().first_chunk().copied();
                succeeded(i32::from_ne_bytes(code.unwrap_or_default()))?;
            }
            NlPayload::Err(error) => succeeded(*error.error())?,
            NlPayload::DumpExtAck(end) => succeeded(*end.error())?,
            NlPayload::Ack(_) | NlPayload::Empty => (),
        }
        self.ended = true;
        Ok(())
    }
}

/// The error that a negative number of the kernel's is.
fn succeeded(code: i32) -> Result<(), Error> {
    match code {
        0.. => Ok(()),
        code => Err(io::Error::from_raw_os_error(-code).into()),
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.inner.as_raw_fd()
    }
}

impl From<Malformed> for Error {
    fn from(Malformed(what): Malformed) -> Self {
        Self::Protocol(what)
    }
}

/// Room for messages that nobody has fetched yet, in octets: as much as was asked for, if this process may (CAP_NET_ADMIN), or what
/// `net.core.rmem_max` allows.
pub(crate) fn force_receive_buffer(fd: &impl AsFd, octets: usize) -> Result<(), Error> {
    let set = match setsockopt(fd, sockopt::RcvBufForce, &octets) {
        Err(Errno::EPERM) => setsockopt(fd, sockopt::RcvBuf, &octets),
        result => result,
    };
    set.map_err(|error| io::Error::from(error).into())
}

/// Splits what was received into messages; neli must not meet a length that it has not room for.
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
        let message = Message::from_bytes(&mut Cursor::new(rest));
        messages.push(message.map_err(|error| Error::Protocol(error.to_string()))?);
        at += len.next_multiple_of(4);
    }
    Ok(messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_controller_answers() {
        let mut socket = Socket::open().unwrap();
        let family = socket.resolve("nlctrl").unwrap();
        assert_eq!(family.id, u16::from(GenlId::Ctrl));
        socket.join(&family, "notify").unwrap();
        assert!(matches!(
            socket.join(&family, "nothing"),
            Err(Error::Protocol(_))
        ));
        assert!(matches!(
            socket.resolve("no such family"),
            Err(Error::NoModule | Error::Io(_))
        ));
    }

    #[test]
    fn nothing_to_read_without_waiting() {
        let mut socket = Socket::open().unwrap();
        let error = socket.receive(Wait::No).unwrap_err();
        assert!(matches!(error, Error::Io(error) if error.kind() == io::ErrorKind::WouldBlock));
    }

    /// A message of a dump.
    fn part(kind: u16, flags: NlmF, payload: &[u8]) -> Message {
        let len = u32::try_from(HEADER + payload.len()).unwrap();
        let mut bytes = len.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.bits().to_ne_bytes());
        bytes.resize(HEADER, 0);
        parse(&[&bytes, payload].concat()).unwrap().remove(0)
    }

    #[test]
    fn a_dump_is_whole_or_an_error() {
        let object = || part(16, NlmF::MULTI, &[7; 4]);
        let done = |code: i32, flags| part(NLMSG_DONE, NlmF::MULTI | flags, &code.to_ne_bytes());
        let dump = |messages: &[Message]| {
            let mut dump = Dump::default();
            for message in messages {
                dump.take(message, &mut |bytes| Ok(Some(bytes.len())))?;
            }
            Ok::<_, Error>((dump.objects.len(), dump.changed, dump.ended))
        };
        let none = NlmF::empty();
        assert_eq!(dump(&[object()]).unwrap(), (1, false, false));
        assert_eq!(dump(&[object(), done(0, none)]).unwrap(), (1, false, true));
        // Interrupted: in any of its messages.
        let changed = part(16, NlmF::MULTI | NlmF::DUMP_INTR, &[7; 4]);
        assert_eq!(
            dump(&[changed, object(), done(0, none)]).unwrap(),
            (2, true, true)
        );
        assert_eq!(
            dump(&[object(), done(0, NlmF::DUMP_INTR)]).unwrap(),
            (1, true, true)
        );
        // Ended by an error, with an extended acknowledgement and without.
        for flags in [none, NlmF::ACK_TLVS] {
            let error = dump(&[object(), done(-105, flags)]).unwrap_err();
            assert_eq!(error.errno(), Some(105));
        }
        // The refused request comes back behind the number.
        let request = part(16, NlmF::REQUEST, &[]);
        let mut refused = Cursor::new((-12_i32).to_ne_bytes().to_vec());
        refused.set_position(4);
        request.to_bytes(&mut refused).unwrap();
        let error = dump(&[object(), part(2, none, &refused.into_inner())]).unwrap_err();
        assert_eq!(error.errno(), Some(12));
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
