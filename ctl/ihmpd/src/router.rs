// SPDX-License-Identifier: GPL-2.0
//! Router mode: the loop around `ihmp_router`. No module is needed; the host table of this machine is not touched.

use std::{
    net::IpAddr,
    os::fd::AsRawFd,
    time::Duration, //
};

use anyhow::Context;
use ihmp_core::{
    addr::Addr,
    policy::Prefix, //
};
use ihmp_engine::{
    Fact,
    Moment, //
};
use ihmp_network::{
    host_route,
    is_global,
    queue::{
        Packet,
        Queue, //
    },
    Address,
    Counted,
    Error,
    Filter,
    Groups,
    Rtnl,
    Watch, //
};
use ihmp_router::{
    mark,
    HostRoute,
    Input,
    Link,
    Note,
    Output,
    Passing,
    Reason,
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
use nix::sys::{
    signal::Signal,
    signalfd::SignalFd, //
};

use crate::{
    config::{
        Config,
        Source, //
    },
    datagram::datagram,
    driver::{
        ends,
        is, //
    },
    io::{
        clock::{
            self,
            Chance,
            Clock, //
        },
        kernel::{
            addr,
            ip, //
        },
        udp::{
            Datagram,
            Udp, //
        },
    },
    log::Log,
    manager::{
        self,
        Watchdog, //
    },
    memory::Memory,
    pace::FLOOD,
    status,
    store::Store, //
};

/// How soon networks are looked at again that changed while they were listed.
const AGAIN: Duration = Duration::from_millis(50);
const SIGNAL: Token = Token(0);
const QUEUE: Token = Token(1);
const NETWORK: Token = Token(2);
const DATAGRAM: Token = Token(3);
const MEMORY: Token = Token(4);
/// Lines about datagrams that passed or were not used, in a second; the others are counted.
const LINES: u32 = 10;

/// Everything that the loop holds.
struct Driver<'a> {
    source: &'a Source,
    config: Config,
    log: &'a Log,
    clock: Clock,
    chance: Chance,
    router: Router,
    rtnl: Rtnl,
    watch: Watch,
    counted: Counted,
    queue: Queue,
    /// What the NAT remembers, if it is one.
    memory: Option<Memory>,
    /// The packet that is looked at.
    packet: Vec<u8>,
    udp4: Udp,
    udp6: Option<Udp>,
    store: Store,
    watchdog: Watchdog,
    /// The networks are to be looked at.
    stale: bool,
    /// Addresses that have a route of ours.
    routed: Vec<IpAddr>,
    second: u64,
    lines: u32,
}

/// Serves until a signal comes. `ready` is called when everything is in place.
pub(crate) fn serve(
    source: &Source,
    config: Config,
    log: &Log,
    signals: &SignalFd,
    ready: impl FnOnce(),
) -> anyhow::Result<()> {
    let mut driver = Driver::start(source, config, log)?;
    ready();
    let end = driver.run(signals);
    driver.stop();
    end
}

impl<'a> Driver<'a> {
    fn start(source: &'a Source, config: Config, log: &'a Log) -> anyhow::Result<Self> {
        let settings = config.router.config(config.port)?;
        let store = Store::open(&config.state_dir)?;
        let keys = store.keys()?;
        let key = keys.own.iter().find(|own| own.scope.is_empty());
        let key = key.cloned().context("no key for all addresses")?;
        // The ports keep a second agent away from what the first one has made.
        let udp4 = Udp::v4(config.port)?;
        let udp6 = Udp::v6(config.port).ok();
        let watch = Watch::subscribe(Groups::Addresses, &Filter::default())?;
        let mut rtnl = Rtnl::connect()?;
        for left in host_route::list(&mut rtnl)? {
            host_route::del(&mut rtnl, left)?;
            tracing::info!("event=removed old={left} reason=left-over");
        }
        let nat = config.router.nat;
        let memory = nat.then(Memory::open).transpose()?;
        let queue = Queue::open(config.port, config.router.queue, nat);
        let queue = queue.context("the netfilter queue")?;
        let mut driver = Self {
            source,
            config,
            log,
            clock: Clock::start(),
            chance: Chance::default(),
            router: Router::new(settings),
            rtnl,
            watch,
            counted: Counted::default(),
            queue,
            memory,
            packet: Vec::new(),
            udp4,
            udp6,
            store,
            watchdog: Watchdog::new(),
            routed: Vec::new(),
            stale: false,
            second: 0,
            lines: 0,
        };
        driver.tell(Input::Key(Box::new(key), keys.sent))?;
        driver.look()?;
        Ok(driver)
    }

    fn run(&mut self, signals: &SignalFd) -> anyhow::Result<()> {
        let mut poll = Poll::new().context("epoll")?;
        let fds = [
            (SIGNAL, Some(signals.as_raw_fd())),
            (QUEUE, Some(self.queue.as_raw_fd())),
            (NETWORK, Some(self.watch.as_raw_fd())),
            (DATAGRAM, Some(self.udp4.as_raw_fd())),
            (DATAGRAM, self.udp6.as_ref().map(Udp::as_raw_fd)),
        ];
        for (token, fd) in fds {
            if let Some(fd) = fd {
                poll.registry()
                    .register(&mut SourceFd(&fd), token, Interest::READABLE)
                    .context("epoll")?;
            }
        }
        let mut ready = Events::with_capacity(8);
        // What came before the descriptors were watched.
        let mut again = true;
        loop {
            if let Some(fd) = self.memory.as_mut().and_then(Memory::fresh) {
                poll.registry()
                    .register(&mut SourceFd(&fd), MEMORY, Interest::READABLE)
                    .context("epoll")?;
                again = true;
            }
            let timeout = match self.timeout() {
                _ if again => Some(Duration::ZERO),
                timeout if self.stale => Some(timeout.unwrap_or(AGAIN).min(AGAIN)),
                timeout => timeout,
            };
            match poll.poll(&mut ready, timeout) {
                Ok(()) => (),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => (),
                Err(error) => return Err(error.into()),
            }
            while let Some(signal) = signals.read_signal()? {
                if ends(signal.ssi_signo) {
                    return Ok(());
                }
                self.signal(signal.ssi_signo)?;
            }
            // Networks first: what passes may come by a new one.
            let changes = self.watch.drain(FLOOD, &mut self.counted, |_| true)?;
            self.stale |= changes.links || changes.addresses || changes.overrun;
            if self.stale {
                self.look()?;
            }
            again = self.take_packets()? || changes.more;
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

    /// Does what a signal asks for that is no end.
    fn signal(&mut self, number: u32) -> anyhow::Result<()> {
        if is(number, Signal::SIGUSR1) {
            let seconds = self.clock.now().as_nanos() / 1_000_000_000;
            let text = status::router_text(&self.config, &self.router, seconds);
            self.store.answer(&text);
        } else if is(number, Signal::SIGHUP) {
            manager::reloading();
            // What was read before is still good.
            if let Err(error) = self.reload() {
                tracing::error!("event=reload-refused error=\"{error:#}\"");
            }
            manager::ready();
        }
        Ok(())
    }

    /// Goes on with what configuration and keys are now; or with neither, if one of them is wrong.
    fn reload(&mut self) -> anyhow::Result<()> {
        let config = self.source.load()?;
        let settings = config.router.config(config.port);
        let settings = settings.with_context(|| self.source.path.display().to_string())?;
        let keys = self.store.keys()?;
        let key = keys.own.iter().find(|own| own.scope.is_empty()).cloned();
        let key = key.context("no key for all addresses")?;
        let router = config.router.needs_restart(&self.config.router);
        for key in config.needs_restart(&self.config).into_iter().chain(router) {
            tracing::warn!("event=restart-needed key={key}");
        }
        self.router.configure(settings);
        let before = std::mem::replace(&mut self.config, config);
        self.config.port = before.port;
        self.config.state_dir = before.state_dir;
        self.config.router.queue = before.router.queue;
        self.config.router.nat = before.router.nat;
        self.log.set(self.config.log);
        self.tell(Input::Key(Box::new(key), keys.sent))?;
        tracing::info!("event=reloaded");
        Ok(())
    }

    /// A clean end: without us nobody would take the routes away. Hosts find out and tell their peers.
    fn stop(&mut self) {
        for to in std::mem::take(&mut self.routed) {
            if let Err(error) = host_route::del(&mut self.rtnl, to) {
                tracing::warn!("event=route-failed addr={to} error=\"{error}\"");
            }
        }
        self.store.keep(Fact::Sent(self.router.sent()));
        for (reason, count) in self.router.passed() {
            tracing::info!("event=passed-total reason={reason} count={count}");
        }
    }

    /// Tells the router the networks of now, unless they change while they are listed.
    fn look(&mut self) -> anyhow::Result<()> {
        self.stale = match self.network() {
            Err(error) if matches!(error.downcast_ref(), Some(Error::Changing)) => true,
            result => result.map(|()| false)?,
        };
        Ok(())
    }

    /// Tells the router the networks of now.
    fn network(&mut self) -> anyhow::Result<()> {
        let links = self.rtnl.links()?;
        self.counted = Counted::of(&links, |_| true);
        let mut filter = Filter::default();
        filter.set_counted(&self.counted);
        self.watch.set_filter(&filter)?;
        let up = |index| {
            links
                .iter()
                .any(|link| link.index == index && link.up && !link.loopback)
        };
        let mut addresses = Vec::new();
        for link in &links {
            addresses.extend(self.rtnl.addresses(link.index)?);
        }
        let own = addresses.iter().filter(|entry| {
            entry.usable && !entry.deprecated && is_global(entry.addr) && up(entry.index)
        });
        let links = own.filter_map(link).collect();
        self.tell(Input::Links(links))
    }

    /// Takes some packets; true when there may be more.
    fn take_packets(&mut self) -> anyhow::Result<bool> {
        let packets = self.queue.receive()?;
        let more = !packets.is_empty();
        for packet in packets {
            let Packet {
                id,
                device,
                translated,
                bytes,
            } = packet;
            let read = datagram(&bytes).filter(|_| device != 0);
            let Some((from, to, body)) = read else {
                self.queue.verdict(id, true)?;
                continue;
            };
            self.packet.clone_from(&bytes);
            let passing = Passing {
                id,
                device,
                translated,
                from,
                to,
                bytes: body,
            };
            self.tell(Input::Passing(passing))?;
        }
        Ok(more)
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
        let mut datagrams = self.udp4.receive()?;
        if let Some(udp) = &mut self.udp6 {
            datagrams.extend(udp.receive()?);
        }
        for Datagram { from, to, bytes } in &datagrams {
            if self.memory.is_none() || from.port() != self.config.port {
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
        let moment = self.moment()?;
        self.router.handle(moment, input);
        while let Some(output) = self.router.poll() {
            match output {
                Output::Verdict { id, verdict } => match verdict {
                    Verdict::Mark if mark(&mut self.packet) => {
                        self.queue.replace(id, &self.packet)?
                    }
                    Verdict::Mark | Verdict::Pass => self.queue.verdict(id, true)?,
                    Verdict::Take => self.queue.verdict(id, false)?,
                },
                Output::Listen(peers) => {
                    if let Some(memory) = &mut self.memory {
                        memory.listen(&peers);
                    }
                }
                Output::Look(pairs) => {
                    let seen = self.memory.as_mut().and_then(|memory| memory.look(&pairs));
                    let moment = self.moment()?;
                    self.router.handle(moment, Input::Seen(seen.as_deref()));
                }
                Output::Send { from, to, bytes } => self.send(ip(from), ip(to), &bytes),
                Output::Install(route) => {
                    let done = self.install(route);
                    let moment = self.moment()?;
                    self.router.handle(moment, Input::Installed(done));
                }
                Output::Remove(old) => {
                    let to = ip(old);
                    self.routed.retain(|other| *other != to);
                    if let Err(error) = host_route::del(&mut self.rtnl, to) {
                        tracing::warn!("event=route-failed addr={to} error=\"{error}\"");
                    }
                }
                Output::Keep(sent) => self.store.keep(Fact::Sent(sent)),
                Output::Note(note) => self.write(&note),
            }
        }
        Ok(())
    }

    fn moment(&mut self) -> anyhow::Result<Moment> {
        Ok(Moment {
            now: self.clock.now(),
            wall: clock::wall(),
            random: self.chance.next()?,
        })
    }

    fn install(&mut self, route: HostRoute) -> bool {
        let (to, via) = (ip(route.to), ip(route.via));
        let ours = self.routed.contains(&to);
        match host_route::add(&mut self.rtnl, to, via, route.device, ours) {
            Ok(()) => {
                if !ours {
                    self.routed.push(to);
                }
                true
            }
            Err(error) => {
                tracing::warn!("event=route-failed addr={to} via={via} error=\"{error}\"");
                false
            }
        }
    }

    fn send(&self, from: IpAddr, to: IpAddr, bytes: &[u8]) {
        let udp = if from.is_ipv4() {
            Some(&self.udp4)
        } else {
            self.udp6.as_ref()
        };
        let Some(udp) = udp else { return };
        // An answer that cannot leave is one that is lost: the host asks again.
        if let Err(error) = udp.send(from, to, None, bytes) {
            tracing::info!("event=send-failed from={from} to={to} error=\"{error}\"");
        }
    }

    /// A line for what the router noted, not too many of them.
    fn write(&mut self, note: &Note) {
        match note {
            Note::Sent { .. } | Note::Acked { .. } => return tracing::debug!("{note}"),
            Note::Unanswered { .. } => return tracing::warn!("{note}"),
            // Peers greet a NAT, since what comes from there might be a host's.
            Note::Refused {
                reason: Reason::Unsupported | Reason::LateAck,
                ..
            } => return tracing::debug!("{note}"),
            Note::Passed { .. } | Note::Refused { .. } => (),
            _ => return tracing::info!("{note}"),
        }
        let second = self.clock.now().as_nanos() / 1_000_000_000;
        if second != self.second {
            (self.second, self.lines) = (second, 0);
        }
        self.lines += 1;
        if self.lines <= LINES {
            tracing::warn!("{note}");
        }
    }
}

/// The network that an address of ours is in.
fn link(entry: &Address) -> Option<Link> {
    let own = addr(entry.addr);
    let skipped: u32 = if own.is_v4() { 96 } else { 0 };
    let kept = skipped.saturating_add(entry.prefix_len.into());
    let hosts = u128::MAX.checked_shr(kept).unwrap_or(0);
    let network = u128::from_be_bytes(own.octets()) & !hosts;
    Some(Link {
        own,
        prefix: Prefix::new(Addr::v6(network.to_be_bytes()), entry.prefix_len).ok()?,
        device: entry.index,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_of_an_address() {
        let entry = |text: &str, prefix_len| Address {
            index: 3,
            addr: text.parse().unwrap(),
            prefix_len,
            usable: true,
            deprecated: false,
            temporary: false,
        };
        let prefix = |text, len| link(&entry(text, len)).unwrap().prefix.to_string();
        assert_eq!(prefix("192.0.2.77", 25), "192.0.2.0/25");
        assert_eq!(prefix("192.0.2.77", 32), "192.0.2.77/32");
        assert_eq!(prefix("2001:db8:1:2::3", 64), "2001:db8:1:2::/64");
    }
}
