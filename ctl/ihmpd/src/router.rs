// SPDX-License-Identifier: GPL-2.0
//! Router mode: the loop around `ihmp_router`. No module is needed; the host table of this machine is not touched.

mod lines;
mod networks;
mod packets;
mod routes;

use std::{
    net::SocketAddr,
    os::fd::{
        AsRawFd,
        RawFd, //
    },
    time::Duration, //
};

use anyhow::Context;
use ihmp_engine::{
    Fact,
    OwnKey, //
};
use ihmp_router::{
    Input,
    Output,
    Passing,
    Router,
    Verdict, //
};
use mio::{
    unix::SourceFd,
    Events,
    Interest,
    Poll,
    Token, //
};

use crate::{
    datagram::datagram,
    io::{
        clock::Clock,
        kernel::{
            addr,
            ip, //
        },
        sockets::Sockets,
        udp::Datagram,
    },
    manager::{
        self,
        Watchdog, //
    },
    memory::Memory,
    running::Running,
    signals::{
        Signal,
        Signals, //
    },
    status,
    store::Store, //
};
use lines::Lines;
use networks::Networks;
use packets::Packets;
use routes::Routes;

/// How soon networks are looked at again that changed while they were listed.
const AGAIN: Duration = Duration::from_millis(50);
const SIGNAL: Token = Token(0);
const QUEUE: Token = Token(1);
const NETWORK: Token = Token(2);
const DATAGRAM: Token = Token(3);
const MEMORY: Token = Token(4);

/// Everything that the loop holds.
struct Driver<'a> {
    running: Running<'a>,
    clock: Clock,
    router: Router,
    networks: Networks,
    routes: Routes,
    packets: Packets,
    /// What the NAT remembers, if it is one.
    memory: Option<Memory>,
    sockets: Sockets,
    store: Store,
    watchdog: Watchdog,
    lines: Lines,
}

/// Serves until a signal comes. `ready` is called when everything is in place.
pub(crate) fn serve(
    running: Running<'_>,
    signals: &Signals,
    ready: impl FnOnce(),
) -> anyhow::Result<()> {
    let mut driver = Driver::start(running)?;
    ready();
    let end = driver.run(signals);
    driver.stop();
    end
}

impl<'a> Driver<'a> {
    fn start(running: Running<'a>) -> anyhow::Result<Self> {
        let config = running.config();
        let settings = config.router.config(config.port)?;
        let store = Store::open(&config.state_dir)?;
        let (key, sent) = key(&store)?;
        // The ports keep a second agent away from what the first one has made.
        let sockets = Sockets::open(config.port, |_| ())?;
        let networks = Networks::open()?;
        let routes = Routes::open()?;
        let nat = config.router.nat;
        let memory = nat.then(Memory::open).transpose()?;
        let packets = Packets::open(config.port, config.router.queue, nat);
        let mut driver = Self {
            packets: packets.context("the netfilter queue")?,
            running,
            clock: Clock::start(),
            router: Router::new(settings),
            networks,
            routes,
            memory,
            sockets,
            store,
            watchdog: Watchdog::new(),
            lines: Lines::default(),
        };
        driver.tell(Input::Key(key, sent))?;
        driver.look()?;
        Ok(driver)
    }

    fn run(&mut self, signals: &Signals) -> anyhow::Result<()> {
        let mut poll = Poll::new().context("epoll")?;
        let register = |poll: &Poll, token, fd: RawFd| {
            let registry = poll.registry();
            let registered = registry.register(&mut SourceFd(&fd), token, Interest::READABLE);
            registered.context("epoll")
        };
        register(&poll, SIGNAL, signals.as_raw_fd())?;
        register(&poll, QUEUE, self.packets.fd())?;
        register(&poll, NETWORK, self.networks.fd())?;
        for fd in self.sockets.fds() {
            register(&poll, DATAGRAM, fd)?;
        }
        let mut ready = Events::with_capacity(8);
        // What came before the descriptors were watched.
        let mut again = true;
        loop {
            if let Some(fd) = self.memory.as_mut().and_then(Memory::fresh) {
                register(&poll, MEMORY, fd)?;
                again = true;
            }
            let timeout = match self.timeout() {
                _ if again => Some(Duration::ZERO),
                timeout if self.networks.is_stale() => Some(timeout.unwrap_or(AGAIN).min(AGAIN)),
                timeout => timeout,
            };
            match poll.poll(&mut ready, timeout) {
                Ok(()) => (),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => (),
                Err(error) => return Err(error.into()),
            }
            while let Some(signal) = signals.next()? {
                match signal {
                    Signal::End => return Ok(()),
                    Signal::Reload => self.reload(),
                    Signal::Answer => self.answer(),
                }
            }
            // Networks first: what passes may come by a new one.
            again = self.networks.hear()?;
            if self.networks.is_stale() {
                self.look()?;
            }
            again |= self.take_packets()?;
            again |= self.remember()?;
            again |= self.take_datagrams()?;
            let now = self.clock.now();
            self.watchdog.pat(now);
            if self.router.next_timeout().is_some_and(|at| at <= now) {
                self.tell(Input::Timer)?;
            }
        }
    }

    fn timeout(&self) -> Option<Duration> {
        let router = self.router.next_timeout().into_iter();
        let at = router.chain(self.watchdog.due()).min()?;
        Some(Duration::from_nanos(at.since(self.clock.now()).as_nanos()))
    }

    /// Says what there is to say of it.
    fn answer(&self) {
        let config = self.running.config();
        let text = status::router_text(config, &self.router, self.clock.seconds());
        self.store.answer(&text);
    }

    /// Goes on with what configuration and keys are now; or with neither, if one of them is wrong.
    fn reload(&mut self) {
        manager::reloading();
        // What was read before is still good.
        if let Err(error) = self.load() {
            tracing::error!("event=reload-refused error=\"{error:#}\"");
        }
        manager::ready();
    }

    fn load(&mut self) -> anyhow::Result<()> {
        let source = self.running.source();
        let config = source.load()?;
        let settings = config.router.config(config.port);
        let settings = settings.with_context(|| source.path.display().to_string())?;
        let (key, sent) = key(&self.store)?;
        self.router.configure(settings);
        self.running.replace_router(config);
        self.tell(Input::Key(key, sent))?;
        tracing::info!("event=reloaded");
        Ok(())
    }

    /// A clean end: without us nobody would take the routes away. Hosts find out and tell their peers.
    fn stop(&mut self) {
        self.routes.clear();
        self.store.keep(Fact::Sent(self.router.sent()));
        for (reason, count) in self.router.passed() {
            tracing::info!("event=passed-total reason={reason} count={count}");
        }
    }

    /// Tells the router the networks of now, unless they change while they are listed.
    fn look(&mut self) -> anyhow::Result<()> {
        match self.networks.look()? {
            Some(links) => self.tell(Input::Links(links)),
            None => Ok(()),
        }
    }

    /// Takes some packets; true when there may be more.
    fn take_packets(&mut self) -> anyhow::Result<bool> {
        let packets = self.packets.receive()?;
        for packet in &packets {
            let id = packet.id;
            let read = datagram(&packet.bytes).filter(|_| packet.device != 0);
            let Some((from, to, bytes)) = read else {
                self.packets.settle(id, Verdict::Pass)?;
                continue;
            };
            self.packets.show(packet);
            self.tell(Input::Passing(Passing {
                id,
                device: packet.device,
                translated: packet.translated,
                from,
                to,
                bytes,
            }))?;
        }
        Ok(!packets.is_empty())
    }

    /// Tells the router what the NAT did; true when there may be more.
    fn remember(&mut self) -> anyhow::Result<bool> {
        let Some(memory) = &mut self.memory else {
            return Ok(false);
        };
        let news = memory.news()?;
        if !news.events.is_empty() {
            self.tell(Input::Events(&news.events))?;
        }
        if news.overrun {
            tracing::warn!("event=overrun source=conntrack");
            self.tell(Input::Overrun)?;
        }
        Ok(news.more)
    }

    /// Takes what is said to the router itself: to one that is no NAT nobody has anything to say. True when there may be
    /// more.
    fn take_datagrams(&mut self) -> anyhow::Result<bool> {
        let datagrams = self.sockets.receive()?;
        for Datagram { from, to, bytes } in &datagrams {
            if self.memory.is_none() || from.port() != self.running.config().port {
                tracing::debug!("event=ignored from={from} to={to}");
                continue;
            }
            let (from, to) = (addr(from.ip()), addr(*to));
            self.tell(Input::Heard { from, to, bytes })?;
        }
        Ok(!datagrams.is_empty())
    }

    /// Tells the router something and does what it says.
    fn tell(&mut self, input: Input<'_>) -> anyhow::Result<()> {
        self.router.handle(self.clock.moment()?, input);
        while let Some(output) = self.router.poll() {
            match output {
                Output::Verdict { id, verdict } => self.packets.settle(id, verdict)?,
                Output::Listen(peers) => {
                    if let Some(memory) = &mut self.memory {
                        memory.listen(&peers);
                    }
                }
                Output::Look(pairs) => {
                    let seen = self.memory.as_mut().and_then(|memory| memory.look(&pairs));
                    let moment = self.clock.moment()?;
                    self.router.handle(moment, Input::Seen(seen.as_deref()));
                }
                Output::Send { from, to, bytes } => {
                    let to = SocketAddr::new(ip(to), self.running.config().port);
                    self.sockets.send(ip(from), to, None, &bytes);
                }
                Output::Install(route) => {
                    let done = self.routes.install(route);
                    let moment = self.clock.moment()?;
                    self.router.handle(moment, Input::Installed(done));
                }
                Output::Remove(old) => self.routes.remove(old),
                Output::Keep(sent) => self.store.keep(Fact::Sent(sent)),
                Output::Note(note) => self.lines.write(&note, self.clock.seconds()),
            }
        }
        Ok(())
    }
}

/// The router's key, and the timestamp that no message with it was later than.
fn key(store: &Store) -> anyhow::Result<(Box<OwnKey>, u64)> {
    let keys = store.keys()?;
    let mut own = keys.own.into_iter();
    let key = own.find(|own| own.scope.is_empty());
    Ok((
        Box::new(key.context("no key for all addresses")?),
        keys.sent,
    ))
}
