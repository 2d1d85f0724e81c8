// SPDX-License-Identifier: GPL-2.0
//! The loop: wait for something, tell the engine, do what it says.

use std::{
    collections::{
        BTreeSet,
        HashMap, //
    },
    net::IpAddr,
    os::fd::AsRawFd,
    time::Duration, //
};

use anyhow::Context;
use ihmp_core::{
    addr::Addr,
    time::{
        self,
        Instant, //
    },
};
use ihmp_engine::{
    Change,
    Engine,
    Input,
    Moment,
    Output,
    Record,
    Routes,
    Via, //
};
use ihmp_nl::{
    rtnl::{
        Counted,
        Rtnl,
        Watch, //
    },
    AddrSet,
    Client,
    Error,
    Event,
    Events,
    Host,
    HostState,
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
    config::Config,
    interfaces::{
        self,
        Device,
        Own, //
    },
    io::{
        clock::{
            self,
            Clock, //
        },
        fallback::Fallback,
        kernel::{
            addr,
            adopted,
            ip,
            request,
            traffic, //
        },
        udp::{
            Datagram,
            Udp, //
        },
    },
    journal::Journal,
    status,
    store::Store,
    watchdog::Watchdog, //
};

const SIGNAL: Token = Token(0);
const EVENTS: Token = Token(1);
const NETWORK: Token = Token(2);
const DATAGRAM: Token = Token(3);

/// Preference of own addresses that the kernel would not choose as a source.
const SECOND_CHOICE: u16 = 10;
/// Least time between two looks because of routes of others.
const ROUTES_PAUSE: time::Duration = time::Duration::from_millis(250);
/// Messages about links and addresses that are taken in a row.
const CHANGES: usize = 4_096;
/// Messages about routes that are taken in a row; when there are more, the others are not even read before the next look.
const ROUTES: usize = 256;
/// Datagrams that are taken in a row; then it is the turn of the others.
const DATAGRAMS: usize = 64;
/// linux/errno.h
const EEXIST: i32 = 17;
const ENOENT: i32 = 2;

/// Why the loop ended.
pub(crate) enum End {
    /// A signal asked for it.
    Signal,
    /// The module is gone; it may come back.
    NoModule,
}

/// Everything that the loop holds.
struct Driver<'a> {
    config: &'a Config,
    clock: Clock,
    engine: Engine,
    client: Client,
    events: Events,
    rtnl: Rtnl,
    watch: Watch,
    routes: Watch,
    /// There are too many messages about routes.
    flooded: bool,
    /// Devices whose messages matter.
    counted: Counted,
    udp4: Udp,
    udp6: Option<Udp>,
    fallback: Fallback,
    journal: Journal,
    store: Store,
    watchdog: Watchdog,
    /// Usable own addresses.
    local: Vec<Own>,
    /// Devices without a carrier. The kernel goes on to use routes by them.
    dead: BTreeSet<u32>,
    /// By which device packets from an own address to a peer leave.
    devices: HashMap<(IpAddr, IpAddr), Device>,
    /// When addresses and routes were looked at.
    looked: Instant,
    /// When they are to be looked at because of routes of others.
    look_at: Option<Instant>,
}

/// A failure that ends the loop.
#[derive(Debug)]
enum Fatal {
    NoModule,
    Other(anyhow::Error),
}

impl From<Error> for Fatal {
    fn from(error: Error) -> Self {
        match error {
            Error::NoModule => Self::NoModule,
            error => Self::Other(anyhow::anyhow!("{error}")),
        }
    }
}

impl From<anyhow::Error> for Fatal {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

impl From<Errno> for Fatal {
    fn from(error: Errno) -> Self {
        Self::Other(error.into())
    }
}

/// Serves until a signal comes or the module goes. `ready` is called when everything is in place.
pub(crate) fn serve(
    config: &Config,
    signals: &SignalFd,
    ready: impl FnOnce(),
) -> anyhow::Result<End> {
    let end = Driver::start(config).and_then(|mut driver| {
        ready();
        driver.run(signals)
    });
    match end {
        Ok(()) => Ok(End::Signal),
        Err(Fatal::NoModule) => Ok(End::NoModule),
        Err(Fatal::Other(error)) => Err(error),
    }
}

impl<'a> Driver<'a> {
    fn start(config: &'a Config) -> Result<Self, Fatal> {
        // Listen first, then look: nothing falls between.
        let events = Events::subscribe()?;
        let watch = Watch::subscribe()?;
        let routes = Watch::subscribe_routes()?;
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
        client.param_set(&ParamRequest {
            discovery: Some(true),
            port: Some(config.port),
            ..ParamRequest::default()
        })?;
        let mut driver = Self {
            config,
            clock: Clock::start(),
            engine: Engine::new(config.limits(), config.policy()),
            client,
            events,
            rtnl,
            watch,
            routes,
            flooded: false,
            counted: Counted::default(),
            udp4,
            udp6,
            fallback,
            journal: Journal::default(),
            store,
            watchdog: Watchdog::new(),
            local: Vec::new(),
            dead: BTreeSet::new(),
            devices: HashMap::new(),
            looked: Instant::ZERO,
            look_at: None,
        };
        driver.tell(Input::Keys(keys))?;
        driver.network()?;
        driver.kernel()?;
        driver.network()?;
        driver.perform()?;
        Ok(driver)
    }

    fn run(&mut self, signals: &SignalFd) -> Result<(), Fatal> {
        let mut poll = Poll::new().context("epoll")?;
        let udp6 = self.udp6.as_ref().map(Udp::as_raw_fd);
        let fds = [
            (SIGNAL, Some(signals.as_raw_fd())),
            (EVENTS, Some(self.events.as_raw_fd())),
            (NETWORK, Some(self.watch.as_raw_fd())),
            (NETWORK, Some(self.routes.as_raw_fd())),
            (DATAGRAM, Some(self.udp4.as_raw_fd())),
            (DATAGRAM, udp6),
        ];
        for (token, fd) in fds {
            if let Some(fd) = fd {
                poll.registry()
                    .register(&mut SourceFd(&fd), token, Interest::READABLE)
                    .context("epoll")?;
            }
        }
        let mut ready = mio::Events::with_capacity(8);
        // What came before the descriptors were watched, and what was left for the next turn.
        let mut again = true;
        let mut listening = true;
        loop {
            let timeout = if again {
                Some(Duration::ZERO)
            } else {
                self.timeout()
            };
            match poll.poll(&mut ready, timeout) {
                Ok(()) => (),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => (),
                Err(error) => return Err(Fatal::Other(error.into())),
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
            let (network, events, datagrams) = (is(NETWORK), is(EVENTS), is(DATAGRAM));
            // A move is what everybody waits for.
            let more = network && self.take_changes()?;
            if events {
                self.take_events()?;
            }
            again = (datagrams && self.take_datagrams()?) || more;
            let now = self.clock.now();
            self.watchdog.pat(now);
            if self.look_at.is_some_and(|at| at <= now) {
                self.network()?;
            }
            if self.engine.next_timeout().is_some_and(|at| at <= now) {
                self.tell(Input::Timer)?;
            }
            self.perform()?;
            if listening == self.flooded {
                let fd = self.routes.as_raw_fd();
                let registry = poll.registry();
                let done = if self.flooded {
                    registry.deregister(&mut SourceFd(&fd))
                } else {
                    registry.register(&mut SourceFd(&fd), NETWORK, Interest::READABLE)
                };
                done.context("epoll")?;
                listening = !self.flooded;
            }
        }
    }

    fn timeout(&self) -> Option<Duration> {
        let at = self
            .engine
            .next_timeout()
            .into_iter()
            .chain(self.look_at)
            .chain(self.watchdog.due())
            .min()?;
        Some(Duration::from_nanos(at.since(self.clock.now()).as_nanos()))
    }

    /// Does what a signal asks for that is no end.
    fn signal(&mut self, number: u32) -> Result<(), Fatal> {
        if is(number, Signal::SIGUSR1) {
            let seconds = self.clock.now().as_nanos() / 1_000_000_000;
            let text = status::text(self.config, &self.engine, &self.journal, seconds);
            self.store.answer(&text);
            self.journal.refusals(&self.engine);
        } else if is(number, Signal::SIGHUP) {
            match self.store.keys() {
                Ok(keys) => self.tell(Input::Keys(keys))?,
                // Those from before are still good.
                Err(error) => tracing::error!("event=keys-refused error=\"{error:#}\""),
            }
        }
        Ok(())
    }

    /// A clean end: what is established goes on without us, what is new is not asked about.
    fn stop(&mut self) -> Result<(), Fatal> {
        self.client.param_set(&ParamRequest {
            discovery: Some(false),
            ..ParamRequest::default()
        })?;
        self.store.keep(self.engine.last_words());
        self.journal.close(&self.engine);
        Ok(())
    }

    /// Links, addresses or routes changed. All that is known by now is one batch; true when there is more.
    fn take_changes(&mut self) -> Result<bool, Fatal> {
        let config = &self.config.interfaces;
        let counts = |name: &str| interfaces::counts(config, name);
        let changes = self.watch.drain(CHANGES, &mut self.counted, counts)?;
        if changes.overrun {
            tracing::warn!("event=resync reason=rtnetlink-overrun");
        }
        let mut at_once = changes.links || changes.addresses || changes.overrun;
        let mut later = false;
        if !self.flooded {
            let routes = self.routes.drain(ROUTES, &mut self.counted, counts)?;
            self.flooded = routes.more || routes.overrun;
            at_once |= routes.addresses || routes.routes;
            later = routes.other_routes || self.flooded;
        }
        let rested = self.looked.after(ROUTES_PAUSE);
        if at_once || (later && rested <= self.clock.now()) {
            let flooded = self.flooded;
            self.network()?;
            self.perform()?;
            if flooded {
                // What was left unread may say something else.
                self.flooded = true;
                self.look_at = Some(self.looked.after(ROUTES_PAUSE));
            }
        } else if later {
            self.look_at = Some(rested);
        }
        Ok(changes.more)
    }

    fn tell(&mut self, input: Input<'_>) -> Result<(), Fatal> {
        let moment = self.moment()?;
        self.engine.handle(moment, input);
        Ok(())
    }

    fn moment(&self) -> anyhow::Result<Moment> {
        Ok(Moment {
            now: self.clock.now(),
            wall: clock::wall(),
            random: clock::random()?,
        })
    }

    /// Tells the engine the addresses and routes of now.
    fn network(&mut self) -> Result<(), Fatal> {
        let links = self.rtnl.links()?;
        let addrs = self.rtnl.addresses()?;
        let config = &self.config.interfaces;
        self.counted = Counted::of(&links, |name| interfaces::counts(config, name));
        let dead = links.iter().filter(|link| !link.up);
        self.dead = dead.map(|link| link.index).collect();
        // Those that were there before us, and those that were accepted once, are in use; of others the route's coming is told.
        let first = self.looked == Instant::ZERO;
        let before = std::mem::take(&mut self.local);
        for own in interfaces::usable(&self.config.interfaces, &links, &addrs) {
            let index = own.device.as_ref().map(|device| device.index);
            let known = first || before.iter().any(|old| old.addr == own.addr);
            if known || self.rtnl.is_local(own.addr, index)? {
                self.local.push(own);
            }
        }
        self.devices.clear();
        self.looked = self.clock.now();
        self.look_at = None;
        self.flooded = false;
        let mut routes = Vec::new();
        for peer in self.engine.peers() {
            routes.push(self.routes_to(peer)?);
        }
        let connected = addrs.iter().filter(|entry| {
            let own = |own: &Own| own.addr == entry.addr;
            self.local.iter().any(own)
        });
        let connected = connected.map(|entry| (addr(entry.addr), entry.prefix_len));
        self.tell(Input::Connected(connected.collect()))?;
        let local = self.local.iter().map(|own| addr(own.addr)).collect();
        self.tell(Input::Network { local, routes })
    }

    /// The own addresses that reach a peer by their own device; first the one that the kernel would choose.
    fn routes_to(&mut self, peer: Addr) -> Result<Routes, Fatal> {
        let to = ip(peer);
        let chosen = self.rtnl.source_for(to)?;
        let mut via = Vec::new();
        for own in &self.local {
            let family = own.addr.is_ipv4() == to.is_ipv4();
            let index = own.device.as_ref().map(|device| device.index);
            if !family || !self.rtnl.reaches(own.addr, to, index)? {
                continue;
            }
            // What is sent there waits for a neighbour that does not answer, and TCP does not send it again meanwhile.
            let leaves = self.rtnl.leaves_by(own.addr, to)?;
            if leaves.is_some_and(|device| self.dead.contains(&device)) {
                continue;
            }
            if let Some(device) = &own.device {
                self.devices.insert((own.addr, to), device.clone());
            }
            let preference = if Some(own.addr) == chosen {
                0
            } else {
                SECOND_CHOICE
            };
            via.push(Via {
                local: addr(own.addr),
                preference,
            });
        }
        Ok(Routes { peer, via })
    }

    /// Tells the engine all hosts of the kernel.
    fn kernel(&mut self) -> Result<(), Fatal> {
        let hosts = self.client.hosts()?;
        self.fallback.forget();
        let mut known = Vec::new();
        for host in &hosts {
            if host.state == HostState::Up {
                self.fallback.set(host.id, names(host));
            }
            let mut identifiers = BTreeSet::new();
            if host.addrs.iter().any(|entry| entry.unproven) {
                for flow in self.client.flows(Some(host.id))? {
                    identifiers.insert(addr(flow.local));
                }
            }
            known.push(adopted(host, identifiers.into_iter().collect()));
        }
        self.tell(Input::Kernel { hosts: known })
    }

    fn take_events(&mut self) -> Result<(), Fatal> {
        while let Some(event) = self.events.next()? {
            match event {
                Event::Discover {
                    host_id,
                    local,
                    remote,
                    ..
                } => self.tell(Input::Discovered {
                    id: host_id,
                    local: addr(local),
                    remote: addr(remote),
                })?,
                Event::HostDeleted(id) => {
                    self.fallback.remove(id);
                    self.tell(Input::Removed { id })?;
                }
                Event::HostChanged(host) => {
                    if host.state == HostState::Up {
                        self.fallback.set(host.id, names(&host));
                    } else {
                        self.fallback.remove(host.id);
                    }
                }
                Event::PathChanged { .. } | Event::NatChanged(_) | Event::NatDeleted(_) => (),
                Event::Limit { reason, packets } => {
                    tracing::warn!(
                        "event=limit reason={} packets={packets}",
                        reason.name().unwrap_or("unknown")
                    );
                }
                Event::Resync => {
                    tracing::warn!("event=resync reason=overrun");
                    self.kernel()?;
                }
            }
            self.perform()?;
        }
        Ok(())
    }

    /// Takes some datagrams; true when there may be more.
    fn take_datagrams(&mut self) -> Result<bool, Fatal> {
        for _ in 0..DATAGRAMS {
            let mut none = true;
            for udp in [Some(&self.udp4), self.udp6.as_ref()].into_iter().flatten() {
                let Some(Datagram { from, to, bytes }) = udp.receive()? else {
                    continue;
                };
                none = false;
                if from.port() != self.config.port {
                    self.journal.stranger(from, to);
                    continue;
                }
                let moment = self.moment()?;
                let input = Input::Message {
                    from: addr(from.ip()),
                    to: addr(to),
                    bytes: &bytes,
                };
                self.engine.handle(moment, input);
            }
            if none {
                return Ok(false);
            }
            self.perform()?;
        }
        Ok(true)
    }

    /// Does what the engine wants, in its order.
    fn perform(&mut self) -> Result<(), Fatal> {
        while let Some(output) = self.engine.poll() {
            match output {
                Output::Send { from, to, bytes } => self.send(ip(from), ip(to), &bytes),
                Output::Table(change) => self.change(change)?,
                Output::Ask(peer) => {
                    let routes = self.routes_to(peer)?;
                    self.tell(Input::Routes(routes))?;
                }
                Output::Look(id) => self.look(id)?,
                Output::Keep(fact) => self.store.keep(fact),
                Output::Note(note) => self.journal.write(&note, self.clock.now()),
            }
        }
        self.fallback.apply(&mut self.rtnl);
        Ok(())
    }

    /// Tells the engine what passed between a host and us.
    fn look(&mut self, id: u32) -> Result<(), Fatal> {
        match self.client.host(id) {
            Ok(host) => {
                let traffic = traffic(&host);
                self.tell(Input::Traffic { id, traffic })
            }
            // Removed meanwhile: the event is on its way.
            Err(Error::Kernel { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn send(&self, from: IpAddr, to: IpAddr, bytes: &[u8]) {
        let udp = if from.is_ipv4() {
            Some(&self.udp4)
        } else {
            self.udp6.as_ref()
        };
        let Some(udp) = udp else { return };
        // A message that cannot leave is one that is not answered: the machine sends it again.
        let device = self.devices.get(&(from, to));
        if let Err(error) = udp.send(from, to, device, bytes) {
            tracing::info!("event=send-failed from={from} to={to} error=\"{error}\"");
        }
    }

    fn change(&mut self, change: Change) -> Result<(), Fatal> {
        match change {
            Change::New { key, record } => {
                let input = match self.make(&record)? {
                    Some(id) => Input::Made { key, id },
                    None => Input::Refused { key },
                };
                self.tell(input)
            }
            Change::Set { id, record } => self.set(id, &record),
            Change::Del { id } => {
                self.fallback.remove(id);
                match self.client.host_del(id) {
                    Err(Error::Kernel { errno: ENOENT, .. }) => Ok(()),
                    result => Ok(result?),
                }
            }
        }
    }

    /// Makes a host, or takes the one that the module has just discovered under the same address.
    fn make(&mut self, record: &Record) -> Result<Option<u32>, Fatal> {
        match self.client.host_new(&request(None, record)) {
            Ok(id) => Ok(Some(id)),
            Err(Error::Kernel { errno: EEXIST, .. }) => {
                for peer in &record.active {
                    let Ok(host) = self.client.host_by_address(ip(*peer)) else {
                        continue;
                    };
                    if host.state == HostState::New && host.name.is_none() {
                        self.set(host.id, record)?;
                        return Ok(Some(host.id));
                    }
                }
                Ok(None)
            }
            Err(error @ Error::Kernel { .. }) => {
                tracing::warn!("event=host-refused error=\"{error}\"");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn set(&mut self, id: u32, record: &Record) -> Result<(), Fatal> {
        let mut wish = request(Some(id), record);
        let mut result = self.client.host_set(&wish);
        if matches!(result, Err(Error::Kernel { errno: EEXIST, .. })) {
            // What the module found in the meantime is this host; what others only claim to have can wait.
            self.give_way(id, record)?;
            wish.addrs.retain(|entry| entry.set != AddrSet::Unreachable);
            result = self.client.host_set(&wish);
        }
        match result {
            Ok(()) => Ok(()),
            // Removed meanwhile: the event is on its way.
            Err(Error::Kernel { errno: ENOENT, .. }) => Ok(()),
            Err(error @ Error::Kernel { .. }) => {
                tracing::warn!("event=host-refused id={id} error=\"{error}\"");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Removes the entries that the module made for flows to addresses of this host.
    fn give_way(&mut self, id: u32, record: &Record) -> Result<(), Fatal> {
        for peer in &record.active {
            let Ok(host) = self.client.host_by_address(ip(*peer)) else {
                continue;
            };
            if host.id != id && host.state == HostState::New && host.name.is_none() {
                match self.client.host_del(host.id) {
                    Ok(()) | Err(Error::Kernel { .. }) => (),
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }
}

fn is(number: u32, signal: Signal) -> bool {
    i32::try_from(number) == Ok(signal as i32)
}

/// Whether a signal asks for the end.
pub(crate) fn ends(number: u32) -> bool {
    is(number, Signal::SIGTERM) || is(number, Signal::SIGINT)
}

/// The foreign addresses that sockets may know a host by.
fn names(host: &Host) -> Vec<IpAddr> {
    host.addrs
        .iter()
        .filter(|entry| matches!(entry.set, AddrSet::Active | AddrSet::Alias))
        .map(|entry| entry.addr)
        .collect()
}
