// SPDX-License-Identifier: GPL-2.0
//! The loop: wait for something, tell the engine, do what it says.

use std::{
    collections::HashMap,
    net::{
        IpAddr,
        SocketAddr, //
    },
    os::fd::AsRawFd,
    time::Duration, //
};

use anyhow::Context;
use ihmp_core::time::{
    self,
    Instant, //
};
use ihmp_engine::{
    Engine,
    Input,
    Keys,
    Moment,
    Output, //
};
use ihmp_network::{
    Address,
    Counted,
    Filter,
    Groups,
    Link,
    Rtnl, //
};
use ihmp_nl::{
    Client,
    Events,
    ParamRequest, //
};
use mio::{
    unix::SourceFd,
    Interest,
    Poll,
    Token, //
};
use nix::{
    errno::Errno,
    sys::{
        signal::Signal,
        signalfd::SignalFd, //
    },
};

use crate::{
    config::{
        Config,
        Source, //
    },
    interfaces::{
        self,
        Device,
        Own, //
    },
    io::{
        clock::{
            self,
            Chance,
            Clock, //
        },
        fallback::Fallback,
        held::Held,
        kernel::{
            addr,
            ip, //
        },
        monitor::Monitor,
        udp::{
            Datagram,
            Udp, //
        },
    },
    journal::Journal,
    log::Log,
    manager::{
        self,
        Watchdog, //
    },
    status,
    store::Store, //
};

mod network;
mod table;

use network::{
    Due,
    Told, //
};

const SIGNAL: Token = Token(0);
const EVENTS: Token = Token(1);
const NETWORK: Token = Token(2);
const DATAGRAM: Token = Token(3);

/// What is refused costs one part in so many of a processor; the rest of the time the others have it, and what the sockets
/// have no room for is dropped by the kernel.
const FLOOD_SHARE: u64 = 20;
/// What one message can cost: the processor's clock also counts when the processor was taken away from this machine.
const DEAREST: time::Duration = time::Duration::from_micros(250);
/// Datagrams are read until what was refused is paid for only that much later.
const FLOOD_CREDIT: time::Duration = time::Duration::from_millis(100);

/// Why the loop ended.
pub(crate) enum End {
    /// A signal asked for it.
    Signal,
    /// The module is gone; it may come back.
    NoModule,
}

/// Everything that the loop holds.
struct Driver<'a> {
    source: &'a Source,
    config: &'a mut Config,
    log: &'a Log,
    poll: Poll,
    clock: Clock,
    chance: Chance,
    engine: Engine,
    client: Client,
    events: Events,
    rtnl: Rtnl,
    addresses: Monitor,
    routes: Monitor,
    filter: Filter,
    /// Devices whose messages matter.
    counted: Counted,
    udp4: Udp,
    udp6: Option<Udp>,
    /// When they are to be read, if there may be something.
    read_at: Option<Instant>,
    /// When the processor's time for what was refused is paid for.
    paid_at: Instant,
    fallback: Fallback,
    held: Held,
    journal: Journal,
    store: Store,
    watchdog: Watchdog,
    /// The devices that count, and their addresses.
    links: Vec<Link>,
    /// VRFs, by number.
    vrfs: Vec<u32>,
    addrs: Vec<Address>,
    /// Usable own addresses.
    local: Vec<Own>,
    /// By which device packets from an own address to a peer leave.
    devices: HashMap<(IpAddr, IpAddr), Device>,
    due: Due,
    told: Option<Told>,
    /// New flows take part: the administrator has not switched this machine off.
    enabled: bool,
}

/// Why something could not be done.
#[derive(Debug)]
enum Failure {
    /// The module is gone. That ends the loop.
    NoModule,
    /// What the kernel was to list changed all the time. It is asked again.
    Changing,
    /// That ends the loop.
    Other(anyhow::Error),
}

impl From<ihmp_nl::Error> for Failure {
    fn from(error: ihmp_nl::Error) -> Self {
        match error {
            ihmp_nl::Error::NoModule => Self::NoModule,
            ihmp_nl::Error::Netlink(error) => error.into(),
            error => Self::Other(anyhow::anyhow!("{error}")),
        }
    }
}

impl From<ihmp_network::Error> for Failure {
    fn from(error: ihmp_network::Error) -> Self {
        match error {
            ihmp_network::Error::Changing => Self::Changing,
            error => Self::Other(anyhow::anyhow!("{error}")),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast_ref() {
            Some(ihmp_network::Error::Changing) => Self::Changing,
            _ => Self::Other(error),
        }
    }
}

impl From<Errno> for Failure {
    fn from(error: Errno) -> Self {
        Self::Other(error.into())
    }
}

/// Serves until a signal comes or the module goes. `ready` is called when everything is in place.
/// `config` is what runs: it changes when `source` is read again.
pub(crate) fn serve(
    source: &Source,
    config: &mut Config,
    log: &Log,
    signals: &SignalFd,
    ready: impl FnOnce(),
) -> anyhow::Result<End> {
    let end = Driver::start(source, config, log).and_then(|mut driver| {
        ready();
        driver.run(signals)
    });
    match end {
        Ok(()) => Ok(End::Signal),
        Err(Failure::NoModule) => Ok(End::NoModule),
        Err(Failure::Changing) => Err(anyhow::Error::new(ihmp_network::Error::Changing)),
        Err(Failure::Other(error)) => Err(error),
    }
}

impl<'a> Driver<'a> {
    fn start(source: &'a Source, config: &'a mut Config, log: &'a Log) -> Result<Self, Failure> {
        // Listen first, then look: nothing falls between.
        let events = Events::subscribe()?;
        let mut client = Client::connect()?;
        let mut rtnl = Rtnl::connect()?;
        let udp4 = Udp::v4(config.port)?;
        let udp6 = match Udp::v6(config.port) {
            Ok(udp) => Some(udp),
            Err(error) => {
                tracing::warn!("event=no-ipv6 error=\"{error:#}\"");
                None
            }
        };
        let store = Store::open(&config.state_dir)?;
        let keys = store.keys()?;
        let fallback = Fallback::new(&mut rtnl)?;
        let held = Held::new(fallback.device(), &mut rtnl)?;
        client.param_set(&ParamRequest {
            discovery: Some(true),
            port: Some(config.port),
            enabled: config.off.then_some(false),
            ..ParamRequest::default()
        })?;
        let filter = Filter::new(interfaces::names(&config.interfaces));
        let mut driver = Self {
            source,
            log,
            poll: Poll::new().context("epoll")?,
            clock: Clock::start(),
            chance: Chance::default(),
            engine: Engine::new(config.limits(), config.policy()),
            config,
            client,
            events,
            rtnl,
            addresses: Monitor::new(Groups::Addresses),
            routes: Monitor::new(Groups::Routes),
            filter,
            counted: Counted::default(),
            udp4,
            udp6,
            read_at: Some(Instant::ZERO),
            paid_at: Instant::ZERO,
            fallback,
            held,
            journal: Journal::default(),
            store,
            watchdog: Watchdog::new(),
            links: Vec::new(),
            vrfs: Vec::new(),
            addrs: Vec::new(),
            local: Vec::new(),
            devices: HashMap::new(),
            due: Due::default(),
            told: None,
            enabled: true,
        };
        driver.tell(Input::Keys(keys))?;
        driver.network()?;
        driver.look_at_switch()?;
        driver.kernel()?;
        driver.due.routes = true;
        driver.network()?;
        driver.perform()?;
        Ok(driver)
    }

    fn run(&mut self, signals: &SignalFd) -> Result<(), Failure> {
        let udp6 = self.udp6.as_ref().map(Udp::as_raw_fd);
        let fds = [
            (SIGNAL, Some(signals.as_raw_fd())),
            (EVENTS, Some(self.events.as_raw_fd())),
            (DATAGRAM, Some(self.udp4.as_raw_fd())),
            (DATAGRAM, udp6),
        ];
        for (token, fd) in fds {
            if let Some(fd) = fd {
                let registry = self.poll.registry();
                registry
                    .register(&mut SourceFd(&fd), token, Interest::READABLE)
                    .context("epoll")?;
            }
        }
        let mut ready = mio::Events::with_capacity(8);
        // What came before the descriptors were watched.
        let mut again = true;
        loop {
            let timeout = if again {
                Some(Duration::ZERO)
            } else {
                self.timeout()
            };
            match self.poll.poll(&mut ready, timeout) {
                Ok(()) => (),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => (),
                Err(error) => return Err(Failure::Other(error.into())),
            }
            let is = |token| again || ready.iter().any(|event| event.token() == token);
            if ready.iter().any(|event| event.token() == SIGNAL) {
                while let Some(signal) = signals.read_signal()? {
                    if ends(signal.ssi_signo) {
                        return self.stop();
                    }
                    self.signal(signal.ssi_signo)?;
                }
            }
            let (network, events) = (is(NETWORK), is(EVENTS));
            if is(DATAGRAM) && self.read_at.is_none() {
                self.read_at = Some(self.rested());
            }
            // A move is what everybody waits for.
            if network {
                self.take_changes()?;
            }
            if events {
                self.take_events()?;
            }
            again = false;
            if self.read_at.is_some_and(|at| at <= self.clock.now()) {
                self.read_at = self.take_datagrams()?;
            }
            let now = self.clock.now();
            self.watchdog.pat(now);
            if self.look_at().is_some_and(|at| at <= now) {
                self.network()?;
            }
            if self.engine.next_timeout().is_some_and(|at| at <= now) {
                self.tell(Input::Timer)?;
            }
            self.perform()?;
        }
    }

    fn timeout(&self) -> Option<Duration> {
        let at = self
            .engine
            .next_timeout()
            .into_iter()
            .chain(self.look_at())
            .chain(self.read_at)
            .chain(self.watchdog.due())
            .min()?;
        Some(Duration::from_nanos(at.since(self.clock.now()).as_nanos()))
    }

    /// Does what a signal asks for that is no end.
    fn signal(&mut self, number: u32) -> Result<(), Failure> {
        if is(number, Signal::SIGUSR1) {
            let seconds = self.clock.now().as_nanos() / 1_000_000_000;
            self.count_dropped();
            let own = status::Own {
                seconds,
                enabled: self.enabled,
            };
            let text = status::text(self.config, &self.engine, &self.journal, own);
            self.store.answer(&text);
            self.journal.refusals(&self.engine);
        } else if reloads(number) {
            manager::reloading();
            let load = || anyhow::Ok((self.source.load()?, self.store.keys()?));
            match load() {
                Ok((config, keys)) => self.apply(config, keys)?,
                // Those from before are still good.
                Err(error) => tracing::error!("event=reload-refused error=\"{error:#}\""),
            }
            manager::ready();
        }
        Ok(())
    }

    /// Goes on with another configuration and other keys. Hosts and flows are none of them.
    fn apply(&mut self, config: Config, keys: Keys) -> Result<(), Failure> {
        for key in config.needs_restart(self.config) {
            tracing::warn!("event=restart-needed key={key}");
        }
        let before = std::mem::replace(self.config, config);
        self.config.port = before.port;
        self.config.state_dir = before.state_dir;
        self.log.set(self.config.log);
        self.engine
            .configure(self.config.limits(), self.config.policy());
        self.tell(Input::Keys(keys))?;
        if self.config.interfaces != before.interfaces {
            self.filter
                .set_names(interfaces::names(&self.config.interfaces));
            self.set_filter()?;
            self.due.links = true;
            self.due.routes = true;
            self.network()?;
        }
        tracing::info!("event=reloaded");
        Ok(())
    }

    /// A clean end: what is established goes on without us, what is new is not asked about.
    fn stop(&mut self) -> Result<(), Failure> {
        manager::stopping();
        self.client.param_set(&ParamRequest {
            discovery: Some(false),
            ..ParamRequest::default()
        })?;
        self.store.keep(self.engine.last_words());
        self.count_dropped();
        self.journal.close(&self.engine);
        Ok(())
    }

    /// Asks the kernel what the sockets had no room for.
    fn count_dropped(&mut self) {
        let sockets = [Some(&self.udp4), self.udp6.as_ref()];
        let counts: anyhow::Result<Vec<u64>> =
            sockets.into_iter().flatten().map(Udp::dropped).collect();
        match counts {
            Ok(counts) => self.journal.set_dropped(counts.iter().sum()),
            Err(error) => tracing::warn!("event=not-counted error=\"{error:#}\""),
        }
    }

    fn tell(&mut self, input: Input<'_>) -> Result<(), Failure> {
        let moment = self.moment()?;
        self.engine.handle(moment, input);
        Ok(())
    }

    fn moment(&mut self) -> anyhow::Result<Moment> {
        Ok(Moment {
            now: self.clock.now(),
            wall: clock::wall(),
            random: self.chance.next()?,
        })
    }

    /// Takes some datagrams; when the next ones are to be taken, if there may be more.
    fn take_datagrams(&mut self) -> Result<Option<Instant>, Failure> {
        let begun = clock::used()?;
        let before = self.refused();
        let mut count = 0;
        for six in [false, true] {
            let udp = if six {
                self.udp6.as_mut()
            } else {
                Some(&mut self.udp4)
            };
            let Some(udp) = udp else { continue };
            for Datagram { from, to, bytes } in udp.receive()? {
                count += 1;
                let moment = self.moment()?;
                let port = from.port();
                let input = Input::Message {
                    from: addr(from.ip()),
                    port: (port != self.config.port).then_some(port),
                    to: addr(to),
                    bytes: &bytes,
                };
                self.engine.handle(moment, input);
                self.perform()?;
            }
        }
        if count == 0 {
            return Ok(None);
        }
        let now = self.clock.now();
        let refused = self.refused().saturating_sub(before);
        let used = clock::used()?.saturating_sub(begun);
        let each = time::Duration::from_nanos(used.as_nanos() / count).min(DEAREST);
        let wasted = each.saturating_mul(refused);
        let price = wasted.saturating_mul(FLOOD_SHARE);
        self.paid_at = self.paid_at.max(now).after(price);
        Ok(Some(self.rested()))
    }

    /// When datagrams may be read again.
    fn rested(&self) -> Instant {
        let now = self.clock.now();
        now.after(self.paid_at.since(now).saturating_sub(FLOOD_CREDIT))
    }

    /// How many datagrams were read and not used.
    fn refused(&self) -> u64 {
        self.engine.refused()
    }

    /// Does what the engine wants, in its order.
    fn perform(&mut self) -> Result<(), Failure> {
        while let Some(output) = self.engine.poll() {
            match output {
                Output::Send {
                    from,
                    to,
                    port,
                    bytes,
                } => {
                    let port = port.unwrap_or(self.config.port);
                    self.send(ip(from), SocketAddr::new(ip(to), port), &bytes);
                }
                Output::Table(change) => self.change(change)?,
                Output::Ask(peer) => {
                    if self.filter.add_peer(ip(peer)) {
                        self.routes.set_filter(&self.filter)?;
                    }
                    let routes = self.routes_to(peer)?;
                    let told = self.told.iter_mut().flat_map(|told| &mut told.routes);
                    for old in told.filter(|old| old.peer == peer) {
                        old.clone_from(&routes);
                    }
                    self.tell(Input::Routes(routes))?;
                }
                Output::Look(id) => self.look(id)?,
                // The kernel's entry follows, and what is sent by it.
                Output::Hold(addr) => {
                    self.held.hold(ip(addr));
                    self.held.apply(&mut self.rtnl);
                }
                Output::Release(addr) => self.held.release(ip(addr)),
                Output::Keep(fact) => self.store.keep(fact),
                Output::Note(note) => self.journal.write(&note, self.clock.now()),
            }
        }
        self.fallback.apply(&mut self.rtnl);
        self.held.apply(&mut self.rtnl);
        Ok(())
    }

    fn send(&self, from: IpAddr, to: SocketAddr, bytes: &[u8]) {
        let udp = if from.is_ipv4() {
            Some(&self.udp4)
        } else {
            self.udp6.as_ref()
        };
        let Some(udp) = udp else { return };
        // A message that cannot leave is one that is not answered: the machine sends it again.
        let device = self.devices.get(&(from, to.ip()));
        if let Err(error) = udp.send_to(from, to, device, bytes) {
            let to = to.ip();
            tracing::info!("event=send-failed from={from} to={to} error=\"{error}\"");
        }
    }
}

/// Whether this is the number of a signal.
pub(crate) fn is(number: u32, signal: Signal) -> bool {
    i32::try_from(number) == Ok(signal as i32)
}

/// Whether a signal asks for another look at the configuration.
pub(crate) fn reloads(number: u32) -> bool {
    is(number, Signal::SIGHUP)
}

/// Whether a signal asks for the end.
pub(crate) fn ends(number: u32) -> bool {
    is(number, Signal::SIGTERM) || is(number, Signal::SIGINT)
}
