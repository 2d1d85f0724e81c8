// SPDX-License-Identifier: GPL-2.0
//! The loop: wait for something, tell the engine, do what it says.

use std::{
    collections::{
        BTreeSet,
        HashMap, //
    },
    net::{
        IpAddr,
        SocketAddr, //
    },
    os::fd::AsRawFd,
    time::Duration, //
};

use anyhow::Context;
use ihmp_core::{
    addr::Addr,
    time::{self, Instant}, //
};
use ihmp_engine::{
    Change,
    Engine,
    Input,
    Keys,
    Moment,
    Output,
    Record,
    Routes,
    Via, //
};
use ihmp_nl::{
    rtnl::{
        Address,
        Link,
        Rtnl, //
    },
    AddrSet,
    Client,
    Counted,
    Error,
    Event,
    Events,
    Groups,
    Host,
    HostState,
    Nat,
    ParamRequest,
    Sieve, //
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
        ear::Ear,
        fallback::Fallback,
        held::Held,
        kernel::{
            addr,
            adopted,
            ip,
            nat,
            request,
            traffic, //
        },
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

const SIGNAL: Token = Token(0);
const EVENTS: Token = Token(1);
const NETWORK: Token = Token(2);
const DATAGRAM: Token = Token(3);

/// Preference of own addresses that the kernel would not choose as a source.
const SECOND_CHOICE: u16 = 10;
/// Looks at the devices until two of them agree; what changes after that many is told.
const DEVICE_LOOKS: usize = 3;
/// What is refused costs one part in so many of a processor; the rest of the time the others have it, and what the sockets
/// have no room for is dropped by the kernel.
const FLOOD_SHARE: u64 = 20;
/// What one message can cost: the processor's clock also counts when the processor was taken away from this machine.
const DEAREST: time::Duration = time::Duration::from_micros(250);
/// Datagrams are read until what was refused is paid for only that much later.
const FLOOD_CREDIT: time::Duration = time::Duration::from_millis(100);
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

/// What is to be looked at.
#[derive(Clone, Copy, Debug, Default)]
struct Due {
    /// When; `None` for not at all.
    at: Option<Instant>,
    /// Devices, not only addresses.
    links: bool,
    /// Routes, even if devices and addresses are what they were.
    routes: bool,
}

/// What the engine was told last.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    connected: Vec<(Addr, u8)>,
    local: Vec<Addr>,
    routes: Vec<Routes>,
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
    addresses: Ear,
    routes: Ear,
    sieve: Sieve,
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
    addrs: Vec<Address>,
    /// Usable own addresses.
    local: Vec<Own>,
    /// By which device packets from an own address to a peer leave.
    devices: HashMap<(IpAddr, IpAddr), Device>,
    due: Due,
    told: Option<Told>,
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
        Err(Fatal::NoModule) => Ok(End::NoModule),
        Err(Fatal::Other(error)) => Err(error),
    }
}

impl<'a> Driver<'a> {
    fn start(source: &'a Source, config: &'a mut Config, log: &'a Log) -> Result<Self, Fatal> {
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
            ..ParamRequest::default()
        })?;
        let sieve = Sieve {
            ignore: config.interfaces.ignore.clone(),
            only: config.interfaces.only.clone(),
            ..Sieve::default()
        };
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
            addresses: Ear::new(Groups::Addresses),
            routes: Ear::new(Groups::Routes),
            sieve,
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
            addrs: Vec::new(),
            local: Vec::new(),
            devices: HashMap::new(),
            due: Due::default(),
            told: None,
        };
        driver.tell(Input::Keys(keys))?;
        driver.network()?;
        driver.kernel()?;
        driver.due.routes = true;
        driver.network()?;
        driver.perform()?;
        Ok(driver)
    }

    fn run(&mut self, signals: &SignalFd) -> Result<(), Fatal> {
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

    /// When addresses and routes are to be looked at.
    fn look_at(&self) -> Option<Instant> {
        let ears = [self.addresses.back_at(), self.routes.back_at()];
        ears.into_iter().flatten().chain(self.due.at).min()
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
    fn signal(&mut self, number: u32) -> Result<(), Fatal> {
        if is(number, Signal::SIGUSR1) {
            let seconds = self.clock.now().as_nanos() / 1_000_000_000;
            self.count_dropped();
            let text = status::text(self.config, &self.engine, &self.journal, seconds);
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
    fn apply(&mut self, config: Config, keys: Keys) -> Result<(), Fatal> {
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
            let interfaces = &self.config.interfaces;
            self.sieve.ignore.clone_from(&interfaces.ignore);
            self.sieve.only.clone_from(&interfaces.only);
            self.sift()?;
            self.due.links = true;
            self.network()?;
        }
        tracing::info!("event=reloaded");
        Ok(())
    }

    /// A clean end: what is established goes on without us, what is new is not asked about.
    fn stop(&mut self) -> Result<(), Fatal> {
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

    /// Links, addresses or routes changed. All that is known by now is one batch.
    fn take_changes(&mut self) -> Result<(), Fatal> {
        let now = self.clock.now();
        let config = &self.config.interfaces;
        let counts = |name: &str| interfaces::counts(config, name);
        for ear in [&mut self.addresses, &mut self.routes] {
            let changes = ear.drain(now, &mut self.counted, counts)?;
            if changes.overrun {
                tracing::warn!("event=overrun source=rtnetlink");
            }
            if changes.more {
                tracing::debug!("event=flood messages={}", changes.seen);
            }
            self.due.links |= changes.links || changes.overrun;
            self.due.routes |= changes.routes || changes.overrun;
            self.due.at = self.due.at.into_iter().chain(ear.look_at(now)).min();
        }
        if self.due.at.is_some_and(|at| at <= now) {
            self.network()?;
            self.perform()?;
        }
        Ok(())
    }

    /// Has both ears listen to what passes the sieve.
    fn sift(&self) -> anyhow::Result<()> {
        self.addresses.sift(&self.sieve)?;
        self.routes.sift(&self.sieve)
    }

    fn tell(&mut self, input: Input<'_>) -> Result<(), Fatal> {
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

    /// Looks at what is due, and tells the engine the addresses and routes of now, if they are others.
    fn network(&mut self) -> Result<(), Fatal> {
        let (now, before) = (self.clock.now(), self.rtnl.questions());
        let mut due = std::mem::take(&mut self.due);
        let registry = self.poll.registry();
        // Listen first, then look.
        due.links |= self.addresses.resume(now, &self.sieve, registry, NETWORK)?;
        due.routes |= self.routes.resume(now, &self.sieve, registry, NETWORK)?;
        let mut changed = self.told.is_none();
        if due.links {
            changed |= self.look_at_devices()?;
        }
        changed |= self.look_at_addresses()?;
        if changed || due.routes {
            self.look_at_routes()?;
        }
        let questions = self.rtnl.questions().wrapping_sub(before);
        self.addresses.looked(now, questions);
        self.routes.looked(now, questions);
        Ok(())
    }

    /// True when devices that count are not what they were.
    fn look_at_devices(&mut self) -> Result<bool, Fatal> {
        let before = std::mem::take(&mut self.links);
        for _ in 0..DEVICE_LOOKS {
            let config = &self.config.interfaces;
            let counts = |name: &str| interfaces::counts(config, name);
            let mut links = self.rtnl.links()?;
            self.counted = Counted::of(&links, counts);
            links.retain(|link| counts(&link.name));
            self.links = links;
            if self.counted == self.sieve.counted {
                break;
            }
            // What happened to a device before it was listened to is seen by looking again.
            self.sieve.counted.clone_from(&self.counted);
            self.sift()?;
        }
        Ok(self.links != before)
    }

    /// True when addresses, or which of them can be used, are not what they were.
    fn look_at_addresses(&mut self) -> Result<bool, Fatal> {
        let mut addrs = Vec::new();
        for link in self.links.iter().filter(|link| !link.loopback) {
            addrs.extend(self.rtnl.addresses(link.index)?);
        }
        // Those that were there before us, and those that were accepted once, are in use; of others the route's coming is told.
        let first = self.told.is_none();
        let before = std::mem::take(&mut self.local);
        for own in interfaces::usable(&self.config.interfaces, &self.links, &addrs) {
            let index = own.device.as_ref().map(|device| device.index);
            let known = first || before.iter().any(|old| old.addr == own.addr);
            if known || self.rtnl.is_local(own.addr, index)? {
                self.local.push(own);
            }
        }
        let changed = self.local != before || self.addrs != addrs;
        self.addrs = addrs;
        Ok(changed)
    }

    /// Asks for the routes to all peers.
    fn look_at_routes(&mut self) -> Result<(), Fatal> {
        let peers = self.engine.peers();
        if self
            .sieve
            .set_peers(peers.iter().copied().map(ip).collect())
        {
            self.routes.sift(&self.sieve)?;
        }
        self.devices.clear();
        let mut routes = Vec::new();
        for peer in peers {
            routes.push(self.routes_to(peer)?);
        }
        let connected = self.addrs.iter().filter(|entry| {
            let own = |own: &Own| own.addr == entry.addr;
            self.local.iter().any(own)
        });
        let told = Told {
            connected: connected
                .map(|entry| (addr(entry.addr), entry.prefix_len))
                .collect(),
            local: self.local.iter().map(|own| addr(own.addr)).collect(),
            routes,
        };
        if self.told.as_ref() == Some(&told) {
            return Ok(());
        }
        self.tell(Input::Connected(told.connected.clone()))?;
        self.tell(Input::Network {
            local: told.local.clone(),
            routes: told.routes.clone(),
        })?;
        self.told = Some(told);
        Ok(())
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
            if match leaves {
                Some(device) => is_dead(&self.links, &mut self.rtnl, device)?,
                None => false,
            } {
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
        self.held.forget();
        let mut known = Vec::new();
        for host in &hosts {
            self.held.see(host);
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
                    self.held.remove(id);
                    self.tell(Input::Removed { id })?;
                }
                Event::HostChanged(host) => {
                    self.held.see(&host);
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
                    tracing::warn!("event=overrun source=module");
                    self.kernel()?;
                }
            }
            self.perform()?;
        }
        Ok(())
    }

    /// Takes some datagrams; when the next ones are to be taken, if there may be more.
    fn take_datagrams(&mut self) -> Result<Option<Instant>, Fatal> {
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
    fn perform(&mut self) -> Result<(), Fatal> {
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
                    if self.sieve.add_peer(ip(peer)) {
                        self.routes.sift(&self.sieve)?;
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
            Change::Map {
                id,
                mapping,
                lifetime,
            } => self.map(&nat(id, &mapping, Some(lifetime))),
            Change::Unmap { id, mapping } => {
                let key = nat(id, &mapping, None).key();
                match self.client.nat_del(&key, Some(id)) {
                    // Its time was over, or the host is gone.
                    Ok(()) | Err(Error::Kernel { errno: ENOENT, .. }) => Ok(()),
                    Err(error) => Err(error.into()),
                }
            }
            Change::Del { id } => {
                self.fallback.remove(id);
                self.held.remove(id);
                match self.client.host_del(id) {
                    Err(Error::Kernel { errno: ENOENT, .. }) => Ok(()),
                    result => Ok(result?),
                }
            }
        }
    }

    /// Tells the module of a port mapping.
    fn map(&mut self, mapping: &Nat) -> Result<(), Fatal> {
        match self.client.nat_new(mapping) {
            // Removed meanwhile: the event is on its way.
            Ok(()) | Err(Error::Kernel { errno: ENOENT, .. }) => Ok(()),
            Err(error @ Error::Kernel { .. }) => {
                let id = mapping.host_id;
                tracing::warn!("event=mapping-refused id={id} error=\"{error}\"");
                Ok(())
            }
            Err(error) => Err(error.into()),
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

/// Whether a device has no carrier. The kernel goes on to use routes by it.
fn is_dead(links: &[Link], rtnl: &mut Rtnl, index: u32) -> Result<bool, Error> {
    Ok(match links.iter().find(|link| link.index == index) {
        Some(link) => !link.up,
        // It does not count, so what happens to it is not told.
        None => rtnl.link(index)?.is_some_and(|link| !link.up),
    })
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

/// The foreign addresses that sockets may know a host by.
fn names(host: &Host) -> Vec<IpAddr> {
    host.addrs
        .iter()
        .filter(|entry| matches!(entry.set, AddrSet::Active | AddrSet::Alias))
        .map(|entry| entry.addr)
        .collect()
}
