// SPDX-License-Identifier: GPL-2.0
//! A netlink socket for requests and what answers them.
//!
//! neli's router is not used: it reports an overrun to pending requests only, and never to who waits for events.

use std::{
    io::Cursor,
    os::fd::{
        AsRawFd,
        RawFd, //
    },
};

pub use neli::consts::nl::NlmF as Flags;
use neli::{
    nl::{
        NlPayload,
        NlmsghdrBuilder, //
    },
    types::Buffer,
    ToBytes, //
};

use crate::{
    descriptor::{
        Descriptor,
        Protocol,
        Wait, //
    },
    error::Error,
    message::{
        parse,
        Content,
        Message,
        Raw, //
    },
};

/// A dump is requested so many times at most, if something changes each time while the kernel makes it.
const DUMP_ATTEMPTS: usize = 4;

/// The kernel fills at most this much of one message buffer in a dump (netlink_dump()).
const BUFFER: usize = 32_768;

/// A socket and its receive buffer, in the network namespace of the thread that opened it.
pub struct Socket {
    inner: Descriptor,
    seq: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens a socket that gets extended acknowledgements.
    pub fn open(protocol: Protocol) -> Result<Self, Error> {
        let mut inner = Descriptor::open(protocol)?;
        inner.bind(0)?;
        inner.explain()?;
        Ok(Self {
            inner,
            seq: 0,
            buffer: vec![0; BUFFER],
        })
    }

    /// Makes room for so many octets of messages that nobody has fetched yet, whatever `net.core.rmem_max` says. Where this process
    /// may not (CAP_NET_ADMIN), it gets what that allows.
    pub fn force_receive_buffer(&self, octets: usize) -> Result<(), Error> {
        Ok(self.inner.force_receive_buffer(octets)?)
    }

    /// Asks for dumps of what a request says, and for a refusal of what it should not say (`NETLINK_GET_STRICT_CHK`).
    pub fn be_strict(&self) -> Result<(), Error> {
        Ok(self.inner.be_strict()?)
    }

    /// Joins a multicast group.
    pub fn join(&self, group: u32) -> Result<(), Error> {
        Ok(self.inner.join(group)?)
    }

    /// Requests that were sent.
    pub fn requests(&self) -> u32 {
        self.seq
    }

    /// Sends a request, and does not wait for an answer.
    pub fn send(&mut self, kind: u16, flags: Flags, payload: Vec<u8>) -> Result<(), Error> {
        self.request(kind, flags, payload).map(drop)
    }

    /// Sends a request, and calls `read` for each object of the answer. Without `ACK`, the answer is one object; with it, the answer ends
    /// with an acknowledgement.
    pub fn ask(
        &mut self,
        kind: u16,
        flags: Flags,
        payload: Vec<u8>,
        read: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.exchange(kind, flags, payload, read).map(drop)
    }

    /// Sends a request that changes something, and waits for its acknowledgement.
    pub fn order(&mut self, kind: u16, flags: Flags, payload: Vec<u8>) -> Result<(), Error> {
        self.ask(kind, flags | Flags::ACK, payload, |_| Ok(()))
    }

    /// Requests a dump; returns what `read` makes of its objects, without those for which that is `None`. It fails if the kernel ends
    /// the dump with an error, or if something changed each time while the dump was made: then it may lack objects.
    pub fn dump<T>(
        &mut self,
        kind: u16,
        payload: &[u8],
        mut read: impl FnMut(&[u8]) -> Result<Option<T>, Error>,
    ) -> Result<Vec<T>, Error> {
        for _ in 0..DUMP_ATTEMPTS {
            let mut objects = Vec::new();
            let changed = self.exchange(kind, Flags::DUMP, payload.to_vec(), |object| {
                objects.extend(read(object)?);
                Ok(())
            })?;
            if !changed {
                return Ok(objects);
            }
        }
        Err(Error::Changing)
    }

    /// Sends messages in one datagram, and waits for the acknowledgements of those that ask for one.
    pub fn batch(&mut self, messages: Vec<(u16, Flags, Vec<u8>)>) -> Result<(), Error> {
        let mut bytes = Cursor::new(Vec::new());
        let mut awaited = Vec::new();
        for (kind, flags, payload) in messages {
            self.frame(&mut bytes, kind, flags, payload)?;
            if flags.contains(Flags::ACK) {
                awaited.push(self.seq);
            }
        }
        self.inner.send(&bytes.into_inner())?;
        let mut left = awaited.len();
        while left > 0 {
            for message in self.receive(Wait::Yes)? {
                if !awaited.contains(&message.seq()) {
                    continue;
                }
                match message.content() {
                    Content::Refused(refusal) => return Err(Error::Refused(refusal)),
                    Content::End => left -= 1,
                    Content::Object(_) => (),
                }
            }
        }
        Ok(())
    }

    /// Receives the next datagram, which may hold several messages.
    pub fn receive(&mut self, wait: Wait) -> Result<Vec<Message>, Error> {
        let len = self.inner.receive(&mut self.buffer, wait)?;
        parse(self.buffer.get(..len).unwrap_or_default())
    }

    /// Sends a request; returns the sequence number that its answers carry.
    fn request(&mut self, kind: u16, flags: Flags, payload: Vec<u8>) -> Result<u32, Error> {
        let mut bytes = Cursor::new(Vec::new());
        self.frame(&mut bytes, kind, flags, payload)?;
        self.inner.send(&bytes.into_inner())?;
        Ok(self.seq)
    }

    /// Writes a message with a sequence number of its own.
    fn frame(
        &mut self,
        bytes: &mut Cursor<Vec<u8>>,
        kind: u16,
        flags: Flags,
        payload: Vec<u8>,
    ) -> Result<(), Error> {
        self.seq = self.seq.wrapping_add(1);
        let message: Raw = NlmsghdrBuilder::default()
            .nl_type(kind)
            .nl_flags(flags | Flags::REQUEST)
            .nl_seq(self.seq)
            .nl_payload(NlPayload::Payload(Buffer::from(payload)))
            .build()
            .map_err(|error| Error::Protocol(error.to_string()))?;
        message
            .to_bytes(bytes)
            .map_err(|error| Error::Protocol(error.to_string()))
    }

    /// Sends a request, and calls `read` for each object until the answer ends. True if something changed while the kernel made the answer.
    fn exchange(
        &mut self,
        kind: u16,
        flags: Flags,
        payload: Vec<u8>,
        read: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        let single = !flags.intersects(Flags::ACK | Flags::DUMP);
        let seq = self.request(kind, flags, payload)?;
        let mut answer = Answer::new(single, read);
        loop {
            for message in self.receive(Wait::Yes)? {
                // Others belong to an earlier request whose answer was not read to its end.
                if message.seq() == seq && answer.take(&message)? {
                    return Ok(answer.changed);
                }
            }
        }
    }
}

/// The answer to a request, while it is being received.
struct Answer<R> {
    /// The first object is the whole answer.
    single: bool,
    read: R,
    /// Something changed while it was made.
    changed: bool,
}

impl<R: FnMut(&[u8]) -> Result<(), Error>> Answer<R> {
    fn new(single: bool, read: R) -> Self {
        Self {
            single,
            read,
            changed: false,
        }
    }

    /// Takes one message of it; true when that was the last. It fails if the message is a refusal, and if it cannot be read.
    fn take(&mut self, message: &Message) -> Result<bool, Error> {
        self.changed |= message.interrupted();
        match message.content() {
            Content::Object(object) => {
                (self.read)(object)?;
                Ok(self.single)
            }
            Content::End => Ok(true),
            Content::Refused(refusal) => Err(Error::Refused(refusal)),
        }
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.inner.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use neli::consts::{
        genl::{
            CtrlAttr,
            CtrlCmd, //
        },
        nl::GenlId, //
    };

    use super::*;
    use crate::{
        attrs::Writer,
        family::Family,
        message::tests::{
            frame,
            only, //
        },
    };

    #[test]
    fn nothing_to_read_without_waiting() {
        let mut socket = Socket::open(Protocol::Generic).unwrap();
        assert!(socket.receive(Wait::No).unwrap_err().would_block());
    }

    /// Sends so many requests and receives nothing meanwhile; returns how many answers there were, and how often the kernel said that it
    /// had no room for them.
    fn flood(requests: usize, room: Option<usize>) -> (usize, usize) {
        let mut socket = Socket::open(Protocol::Generic).unwrap();
        if let Some(octets) = room {
            socket.force_receive_buffer(octets).unwrap();
        }
        let mut name = Writer::default();
        name.string(CtrlAttr::FamilyName.into(), Family::CONTROLLER);
        for _ in 0..requests {
            let payload = name.behind(&[CtrlCmd::Getfamily.into(), 2, 0, 0]);
            socket
                .send(GenlId::Ctrl.into(), Flags::empty(), payload)
                .unwrap();
        }
        let (mut answers, mut overruns) = (0, 0);
        loop {
            match socket.receive(Wait::No) {
                Ok(messages) => answers += messages.len(),
                Err(error) if error.overrun() => overruns += 1,
                Err(error) if error.would_block() => return (answers, overruns),
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn an_overrun_is_told_once_and_loses_no_more_than_was_not_queued() {
        let (few, overruns) = flood(20_000, Some(1));
        assert!(few > 0 && few < 20_000, "{few}");
        assert_eq!(overruns, 1);
        assert_eq!(flood(10, None), (10, 0));
    }

    /// How many objects there were, whether something changed, and whether the end was there.
    fn take(single: bool, messages: &[Message]) -> Result<(usize, bool, bool), Error> {
        let mut objects = 0;
        let mut answer = Answer::new(single, |_: &[u8]| {
            objects += 1;
            Ok(())
        });
        let mut ended = false;
        for message in messages {
            ended |= answer.take(message)?;
        }
        let changed = answer.changed;
        Ok((objects, changed, ended))
    }

    #[test]
    fn a_dump_is_whole_or_an_error() {
        let part = |kind, flags, payload: &[u8]| only(&frame(kind, flags, payload));
        let object = || part(16, Flags::MULTI, &[7; 4]);
        let done = |code: i32, flags| part(3, Flags::MULTI | flags, &code.to_ne_bytes());
        let dump = |messages: &[Message]| take(false, messages);
        let none = Flags::empty();
        assert_eq!(dump(&[object()]).unwrap(), (1, false, false));
        assert_eq!(dump(&[object(), done(0, none)]).unwrap(), (1, false, true));
        // Interrupted: in any of its messages.
        let changed = part(16, Flags::MULTI | Flags::DUMP_INTR, &[7; 4]);
        assert_eq!(
            dump(&[changed, object(), done(0, none)]).unwrap(),
            (2, true, true)
        );
        assert_eq!(
            dump(&[object(), done(0, Flags::DUMP_INTR)]).unwrap(),
            (1, true, true)
        );
        // Ended by an error, with an extended acknowledgement and without.
        for flags in [none, Flags::ACK_TLVS] {
            let error = dump(&[object(), done(-105, flags)]).unwrap_err();
            assert_eq!(error.errno(), Some(105));
        }
        // The refused request comes back behind the number.
        let request = frame(16, Flags::REQUEST, &[]);
        let refused = [&(-12_i32).to_ne_bytes()[..], &request].concat();
        let error = dump(&[object(), part(2, none, &refused)]).unwrap_err();
        assert_eq!(error.errno(), Some(12));
    }

    #[test]
    fn an_answer_without_an_acknowledgement_is_one_object() {
        let object = || only(&frame(16, Flags::empty(), &[7; 4]));
        assert_eq!(take(true, &[object()]).unwrap(), (1, false, true));
        assert_eq!(take(false, &[object()]).unwrap(), (1, false, false));
    }
}
