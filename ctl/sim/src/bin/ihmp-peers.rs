// SPDX-License-Identifier: GPL-2.0
//! Many peers of one host, for the selftests: each has an address, a key and an engine of its own; they share a socket,
//! which the routing table gives all their addresses (`ip route add local 10.0.0.0/8 dev lo`).
//!
//! They meet the host one after the other, so many a second, and answer from then on. With `--every` each sends the host a
//! datagram of one octet when they meet, and again after so many seconds. The file has two lines, as they are
//! every tenth of a second: how many know the host, and how many know it at another address than the first.

#![forbid(unsafe_code)]

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time;

use clap::{Arg, Command};
use ihmp_core::addr::Addr;
use ihmp_core::message::PORT;
use ihmp_core::time::{Duration, Instant};
use ihmp_engine::{
    Change, Engine, Input, Keys, Limits, Moment, Output, OwnKey, Policy, Record, Routes, State, Via,
};
use ihmp_sim::{Random, BUSY};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::socket::{
    bind, recvmsg, sendmsg, setsockopt, socket, sockopt, AddressFamily, ControlMessage,
    ControlMessageOwned, MsgFlags, SockFlag, SockType, SockaddrIn,
};
use nix::time::{clock_gettime, ClockId};

/// How often the file is written.
const EVERY: Duration = Duration::from_millis(100);

/// From and to which port the datagrams go that are no messages.
const OWN_PORT: u16 = 9000;
const HOST_PORT: u16 = 9;

/// One peer.
struct Peer {
    addr: Addr,
    engine: Engine,
    wake: Option<Instant>,
    /// Where it has the host, when it knows it.
    host: Vec<Addr>,
}

/// All of them.
struct Peers {
    fd: OwnedFd,
    host: Addr,
    peers: Vec<Peer>,
    timers: BTreeSet<(Instant, usize)>,
    random: Random,
    chat: Option<Chat>,
}

/// The datagrams that are no messages.
struct Chat {
    fd: OwnedFd,
    every: Duration,
    /// Who sends when, in this order.
    next: VecDeque<(Instant, usize)>,
}

impl Chat {
    /// Sends what is due at this moment.
    fn send(&mut self, at: Instant, peers: &[Peer], host: Addr) {
        while let Some((_, index)) = self.next.front().copied().filter(|(due, _)| *due <= at) {
            self.next.pop_front();
            send(&self.fd, peers[index].addr, (host, HOST_PORT), b"x");
            self.next.push_back((at.after(self.every), index));
        }
    }
}

/// The address of a peer: each has a /24 of its own, as hosts on the Internet do.
fn addr_of(index: usize) -> Addr {
    let [.., high, low] = index.to_be_bytes();
    Addr::v4([10, high, low, 1])
}

/// Which peer has the address.
fn index_of(addr: Addr) -> usize {
    let [_, high, low, _] = addr.low();
    (usize::from(high) << 8) | usize::from(low)
}

fn now() -> nix::Result<Instant> {
    let now: time::Duration = clock_gettime(ClockId::CLOCK_MONOTONIC)?.into();
    Ok(Instant::from_nanos(
        u64::try_from(now.as_nanos()).unwrap_or(u64::MAX),
    ))
}

fn wall() -> nix::Result<u64> {
    let now: time::Duration = clock_gettime(ClockId::CLOCK_REALTIME)?.into();
    Ok(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
}

fn ip(addr: Addr) -> Ipv4Addr {
    Ipv4Addr::from(addr.low())
}

impl Peers {
    fn new(host: Addr, count: usize, every: Option<Duration>) -> nix::Result<Peers> {
        let fd = datagrams(PORT)?;
        setsockopt(&fd, sockopt::Ipv4PacketInfo, &true)?;
        // It is as many sockets as there are peers.
        setsockopt(&fd, sockopt::RcvBufForce, &(64 << 20))?;
        let chat = |every| {
            datagrams(OWN_PORT).map(|fd| Chat {
                fd,
                every,
                next: VecDeque::new(),
            })
        };
        let mut all = Peers {
            fd,
            host,
            chat: every.map(chat).transpose()?,
            peers: Vec::new(),
            timers: BTreeSet::new(),
            random: Random(61453),
        };
        for index in 0..count {
            let mut seed = [7; 32];
            seed[..8].copy_from_slice(&(index as u64).to_le_bytes());
            let own = vec![OwnKey::new(&seed, Vec::new())];
            let addr = addr_of(index);
            all.peers.push(Peer {
                addr,
                engine: Engine::new(Limits::default(), Policy::FirstUse),
                wake: None,
                host: Vec::new(),
            });
            let keys = Keys {
                own,
                ..Keys::default()
            };
            all.tell(index, Input::Keys(keys))?;
            let network = Input::Network {
                local: vec![addr.into()],
                routes: Vec::new(),
            };
            all.tell(index, network)?;
        }
        Ok(all)
    }

    /// Tells a peer's engine something and does what it wants.
    fn tell(&mut self, index: usize, input: Input<'_>) -> nix::Result<()> {
        let mut inputs = Some(input);
        while let Some(input) = inputs.take() {
            let moment = Moment {
                now: now()?,
                wall: wall()?,
                random: self.random.next(),
            };
            let peer = &mut self.peers[index];
            peer.engine.handle(moment, input);
            while let Some(output) = peer.engine.poll() {
                let next = match output {
                    Output::Send {
                        from, to, bytes, ..
                    } => {
                        send(&self.fd, from, (to, PORT), &bytes);
                        continue;
                    }
                    Output::Table(Change::New { key, record, .. }) => {
                        peer.knows(&record);
                        Input::Made { key, id: 1 }
                    }
                    Output::Table(Change::Set { record, .. }) => {
                        peer.knows(&record);
                        continue;
                    }
                    Output::Table(Change::Del { .. }) => {
                        peer.host.clear();
                        continue;
                    }
                    Output::Ask(host) => {
                        let local = peer.addr;
                        let via = vec![Via::new(local, 0)];
                        Input::Routes(Routes { peer: host, via })
                    }
                    Output::Look(id) => Input::Traffic { id, traffic: BUSY },
                    Output::Table(
                        Change::Wake { .. } | Change::Map { .. } | Change::Unmap { .. },
                    ) => continue,
                    Output::Hold(_) | Output::Release(_) | Output::Keep(_) | Output::Note(_) => {
                        continue
                    }
                };
                inputs = Some(next);
                break;
            }
        }
        let peer = &mut self.peers[index];
        let wake = peer.engine.next_timeout();
        if let Some(old) = std::mem::replace(&mut peer.wake, wake) {
            self.timers.remove(&(old, index));
        }
        self.timers.extend(wake.map(|wake| (wake, index)));
        Ok(())
    }

    /// Takes what came.
    fn receive(&mut self) -> nix::Result<()> {
        let mut octets = [0; 2048];
        loop {
            let mut space = nix::cmsg_space!(libc::in_pktinfo);
            let mut slots = [IoSliceMut::new(&mut octets)];
            let flags = MsgFlags::MSG_DONTWAIT;
            let fd = self.fd.as_raw_fd();
            let message = match recvmsg::<SockaddrIn>(fd, &mut slots, Some(&mut space), flags) {
                Ok(message) => message,
                Err(Errno::EAGAIN) => return Ok(()),
                Err(error) => return Err(error),
            };
            let len = message.bytes;
            let to = message.cmsgs()?.find_map(|control| match control {
                ControlMessageOwned::Ipv4PacketInfo(info) => {
                    Some(Addr::v4(info.ipi_addr.s_addr.to_ne_bytes()))
                }
                _ => None,
            });
            let from = message.address.map(|from| Addr::v4(from.ip().octets()));
            if let (Some(from), Some(to)) = (from, to) {
                let index = index_of(to);
                if index < self.peers.len() && addr_of(index) == to {
                    let bytes = octets[..len].to_vec();
                    let bytes = &bytes;
                    let input = Input::Message {
                        from,
                        port: None,
                        to,
                        bytes,
                    };
                    self.tell(index, input)?;
                }
            }
        }
    }

    /// Runs until it is killed.
    fn serve(&mut self, rate: u64, file: &str) -> nix::Result<()> {
        let begun = now()?;
        let (mut met, mut written) = (0, Instant::ZERO);
        let pause = Duration::from_nanos(1_000_000_000 / rate.max(1));
        loop {
            let at = now()?;
            while met < self.peers.len() && begun.after(pause.saturating_mul(met as u64)) <= at {
                let discovered = Input::Discovered {
                    id: 1,
                    local: self.peers[met].addr,
                    remote: self.host,
                };
                self.tell(met, discovered)?;
                if let Some(chat) = &mut self.chat {
                    chat.next.push_front((at, met));
                }
                met += 1;
            }
            if let Some(chat) = &mut self.chat {
                chat.send(at, &self.peers, self.host);
            }
            while let Some((_, index)) = self.timers.first().copied().filter(|(due, _)| *due <= at)
            {
                self.tell(index, Input::Timer)?;
            }
            self.receive()?;
            if at.since(written) >= EVERY {
                written = at;
                let knows = self.peers.iter().filter(|peer| !peer.host.is_empty());
                let moved = |peer: &&Peer| !peer.host.contains(&self.host);
                let (known, moved) = (knows.clone().count(), knows.filter(moved).count());
                let next = format!("{file}.new");
                let text = format!("known {known}\nmoved {moved}\n");
                if fs::write(&next, text)
                    .and_then(|()| fs::rename(&next, file))
                    .is_err()
                {
                    return Err(Errno::EIO);
                }
            }
            let meeting =
                (met < self.peers.len()).then(|| begun.after(pause.saturating_mul(met as u64)));
            let timer = self.timers.first().map(|(due, _)| *due);
            let chat = self.chat.as_ref().and_then(|chat| chat.next.front());
            let chat = chat.map(|(due, _)| *due);
            let next = [Some(written.after(EVERY)), meeting, timer, chat];
            let next = next.into_iter().flatten().min().unwrap_or(at);
            let wait = next.since(now()?).as_nanos().div_ceil(1_000_000);
            let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO);
            let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, timeout) {
                Ok(_) | Err(Errno::EINTR) => (),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Peer {
    fn knows(&mut self, record: &Record) {
        self.host.clear();
        if record.state == State::Up {
            self.host.clone_from(&record.active);
        }
    }
}

/// A socket at this port of all addresses.
fn datagrams(port: u16) -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Inet, SockType::Datagram, flags, None)?;
    let any = SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port));
    bind(fd.as_raw_fd(), &any)?;
    Ok(fd)
}

/// What cannot leave is sent again.
fn send(fd: &OwnedFd, from: Addr, (to, port): (Addr, u16), bytes: &[u8]) {
    let info = libc::in_pktinfo {
        ipi_ifindex: 0,
        ipi_spec_dst: libc::in_addr {
            s_addr: u32::from_ne_bytes(from.low()),
        },
        ipi_addr: libc::in_addr { s_addr: 0 },
    };
    let control = [ControlMessage::Ipv4PacketInfo(&info)];
    let to = SockaddrIn::from(SocketAddrV4::new(ip(to), port));
    let slots = [IoSlice::new(bytes)];
    if let Err(error) = sendmsg(
        fd.as_raw_fd(),
        &slots,
        &control,
        MsgFlags::empty(),
        Some(&to),
    ) {
        eprintln!("{from:?} cannot send: {error}");
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let matches = Command::new("ihmp-peers")
        .about("Many peers of one host, for the selftests")
        .arg(
            Arg::new("host")
                .required(true)
                .help("IPv4 address of the host"),
        )
        .arg(Arg::new("file").required(true).help("File for the figures"))
        .arg(Arg::new("count").long("count").default_value("10000"))
        .arg(
            Arg::new("rate")
                .long("rate")
                .default_value("100")
                .help("Greetings in a second"),
        )
        .arg(
            Arg::new("every")
                .long("every")
                .help("Seconds between two datagrams of a peer; none without it"),
        )
        .get_matches();
    let word = |name| matches.get_one::<String>(name).map_or("", String::as_str);
    let host = word("host").parse().map_err(|_| "host: not an address")?;
    let every = match word("every") {
        "" => None,
        seconds => Some(Duration::from_secs(seconds.parse()?)),
    };
    let mut peers = Peers::new(host, word("count").parse()?, every)?;
    println!("ready");
    peers.serve(word("rate").parse()?, word("file"))?;
    Ok(())
}
