// SPDX-License-Identifier: GPL-2.0
//! The loop: wait for something, tell the engine, do what it says.

mod failure;
mod network;
mod reader;
mod table;

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
    Engine,
    Input,
    Keys,
    Output, //
};
use ihmp_nl::{
    Client,
    Events, //
};
use mio::{
    unix::SourceFd,
    Interest,
    Poll,
    Token, //
};

use crate::{
    config::Config,
    interfaces,
    io::{
        clock::{
            self,
            Clock, //
        },
        kernel::{
            addr,
            ip, //
        },
        sockets::Sockets,
        udp::Datagram,
    },
    journal::Journal,
    manager::{
        self,
        Watchdog, //
    },
    running::Running,
    signals::{
        Signal,
        Signals, //
    },
    status,
    store::Store, //
};
use failure::Failure;
use network::Network;
use reader::Reader;
use table::Table;

const SIGNAL: Token = Token(0);
const EVENTS: Token = Token(1);
const NETWORK: Token = Token(2);
const DATAGRAM: Token = Token(3);

/// Why the loop ended, when nothing failed.
pub(crate) enum End {
    /// A signal asked for it.
    Signal,
    /// The module is gone; it may come back.
    NoModule,
}

/// Everything that the loop holds.
struct Driver<'a> {
    running: Running<'a>,
    poll: Poll,
    clock: Clock,
    engine: Engine,
    table: Table,
    network: Network,
    sockets: Sockets,
    reader: Reader,
    journal: Journal,
    store: Store,
    watchdog: Watchdog,
}

/// Serves until a signal comes or the module goes. `ready` is called when everything is in place.
pub(crate) fn serve(
    running: Running<'_>,
    signals: &Signals,
    ready: impl FnOnce(),
) -> anyhow::Result<End> {
    let end = Driver::start(running).and_then(|mut driver| {
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
    fn start(running: Running<'a>) -> Result<Self, Failure> {
        let config = running.config();
        // Subscribe before anything is read: no change is missed in between.
        let events = Events::subscribe()?;
        let client = Client::connect()?;
        let mut network = Network::open(interfaces::names(&config.interfaces))?;
        let sockets = Sockets::open(config.port, |error| {
            tracing::warn!("event=no-ipv6 error=\"{error:#}\"");
        })?;
        let store = Store::open(&config.state_dir)?;
        let keys = store.keys()?;
        let mut table = Table::new(events, client, network.rtnl())?;
        table.discover(config.port, config.off)?;
        let mut driver = Self {
            poll: Poll::new().context("epoll")?,
            clock: Clock::start(),
            engine: Engine::new(config.limits(), config.policy()),
            running,
            table,
            network,
            sockets,
            reader: Reader::new(),
            journal: Journal::default(),
            store,
            watchdog: Watchdog::new(),
        };
        driver.tell(Input::Keys(keys))?;
        driver.look_around()?;
        let switch = driver.table.look_at_switch()?;
        driver.tell_all(switch)?;
        let hosts = driver.table.all()?;
        driver.tell(hosts)?;
        driver.network.want_routes();
        driver.look_around()?;
        driver.perform()?;
        Ok(driver)
    }

    fn run(&mut self, signals: &Signals) -> Result<(), Failure> {
        self.register(SIGNAL, signals.as_raw_fd())?;
        self.register(EVENTS, self.table.fd())?;
        for fd in self.sockets.fds() {
            self.register(DATAGRAM, fd)?;
        }
        let mut ready = mio::Events::with_capacity(8);
        // The first round reads all descriptors: something may have come before epoll watched them.
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
                while let Some(signal) = signals.next()? {
                    match signal {
                        Signal::End => return self.stop(),
                        Signal::Reload => self.reload()?,
                        Signal::Answer => self.answer(),
                    }
                }
            }
            let (network, events) = (is(NETWORK), is(EVENTS));
            if is(DATAGRAM) {
                self.reader.came(self.clock.now());
            }
            // Changes of the network come first: a move is the most urgent thing that the agent tells.
            if network {
                self.take_changes()?;
            }
            if events {
                self.take_events()?;
            }
            again = false;
            if self.reader.next().is_some_and(|at| at <= self.clock.now()) {
                self.take_datagrams()?;
            }
            let now = self.clock.now();
            self.watchdog.pat(now);
            if self.network.look_at().is_some_and(|at| at <= now) {
                self.look_around()?;
            }
            if self.engine.next_timeout().is_some_and(|at| at <= now) {
                self.tell(Input::Timer)?;
            }
            self.perform()?;
        }
    }

    /// Adds a descriptor to those that the loop waits for.
    fn register(&self, token: Token, fd: RawFd) -> anyhow::Result<()> {
        let registry = self.poll.registry();
        let registered = registry.register(&mut SourceFd(&fd), token, Interest::READABLE);
        registered.context("epoll")
    }

    fn timeout(&self) -> Option<Duration> {
        let at = self
            .engine
            .next_timeout()
            .into_iter()
            .chain(self.network.look_at())
            .chain(self.reader.next())
            .chain(self.watchdog.due())
            .min()?;
        Some(Duration::from_nanos(at.since(self.clock.now()).as_nanos()))
    }

    /// Writes the agent's status for `ihmpctl agent`.
    fn answer(&mut self) {
        let seconds = self.clock.seconds();
        self.count_dropped();
        let own = status::Own {
            seconds,
            enabled: self.table.is_enabled(),
        };
        let text = status::text(self.running.config(), &self.engine, &self.journal, own);
        self.store.answer(&text);
        self.journal.refusals(&self.engine);
    }

    /// Reads configuration and keys again.
    fn reload(&mut self) -> Result<(), Failure> {
        manager::reloading();
        let load = || anyhow::Ok((self.running.source().load()?, self.store.keys()?));
        match load() {
            Ok((config, keys)) => self.apply(config, keys)?,
            // The agent goes on with the former configuration and keys.
            Err(error) => tracing::error!("event=reload-refused error=\"{error:#}\""),
        }
        manager::ready();
        Ok(())
    }

    /// Replaces configuration and keys. Hosts and flows stay as they are.
    fn apply(&mut self, config: Config, keys: Keys) -> Result<(), Failure> {
        let before = self.running.replace(config);
        let config = self.running.config();
        self.engine.configure(config.limits(), config.policy());
        let changed = config.interfaces != before.interfaces;
        self.tell(Input::Keys(keys))?;
        if changed {
            let config = self.running.config();
            self.network
                .set_names(interfaces::names(&config.interfaces))?;
            self.look_around()?;
        }
        tracing::info!("event=reloaded");
        Ok(())
    }

    /// Ends cleanly: flows that have moved go on without the agent, and the module no longer reports new ones.
    fn stop(&mut self) -> Result<(), Failure> {
        manager::stopping();
        self.table.stop()?;
        self.store.keep(self.engine.last_words());
        self.count_dropped();
        self.journal.close(&self.engine);
        Ok(())
    }

    /// Asks the kernel how many datagrams it dropped because the sockets had no room for them.
    fn count_dropped(&mut self) {
        match self.sockets.dropped() {
            Ok(count) => self.journal.set_dropped(count),
            Err(error) => tracing::warn!("event=not-counted error=\"{error:#}\""),
        }
    }

    fn tell(&mut self, input: Input<'_>) -> Result<(), Failure> {
        let moment = self.clock.moment()?;
        self.engine.handle(moment, input);
        Ok(())
    }

    fn tell_all(
        &mut self,
        inputs: impl IntoIterator<Item = Input<'static>>,
    ) -> Result<(), Failure> {
        for input in inputs {
            self.tell(input)?;
        }
        Ok(())
    }

    /// Reads what rtnetlink has sent, and looks at addresses and routes if it is time.
    fn take_changes(&mut self) -> Result<(), Failure> {
        let now = self.clock.now();
        if self.network.hear(now, &self.running.config().interfaces)? {
            self.look_around()?;
            self.perform()?;
        }
        Ok(())
    }

    /// Reads what may have changed (devices, addresses, routes) from the kernel, and tells the engine if it has. If it changes again while
    /// it is being read, the engine is told nothing, and it is read once more soon.
    fn look_around(&mut self) -> Result<(), Failure> {
        match self.look() {
            Err(Failure::Changing) => {
                tracing::debug!("event=changing");
                self.network.look_again(self.clock.now());
                Ok(())
            }
            result => result,
        }
    }

    fn look(&mut self) -> Result<(), Failure> {
        let registry = self.poll.registry();
        let look = self.network.begin(self.clock.now(), registry, NETWORK)?;
        if look.at_ours() {
            self.table.restore(self.network.rtnl())?;
        }
        let (config, engine) = (self.running.config(), &self.engine);
        let told = self.network.look(&look, config, || engine.peers())?;
        self.tell_all(told.into_iter().flatten())
    }

    /// Reads all events of the module that are queued.
    fn take_events(&mut self) -> Result<(), Failure> {
        while let Some(told) = self.table.hear(&self.engine)? {
            self.tell_all(told)?;
            self.perform()?;
        }
        Ok(())
    }

    /// Reads one batch of datagrams, and notes how much time those took that the engine refused.
    fn take_datagrams(&mut self) -> Result<(), Failure> {
        let begun = clock::used()?;
        let before = self.engine.refused();
        let mut count = 0;
        for Datagram { from, to, bytes } in self.sockets.receive()? {
            count += 1;
            let port = from.port();
            let input = Input::Message {
                from: addr(from.ip()),
                port: (port != self.running.config().port).then_some(port),
                to: addr(to),
                bytes: &bytes,
            };
            self.tell(input)?;
            self.perform()?;
        }
        if count == 0 {
            self.reader.emptied();
            return Ok(());
        }
        let refused = self.engine.refused().saturating_sub(before);
        let used = clock::used()?.saturating_sub(begun);
        self.reader.took(self.clock.now(), count, refused, used);
        Ok(())
    }

    /// Carries out what the engine has put out, in order.
    fn perform(&mut self) -> Result<(), Failure> {
        while let Some(output) = self.engine.poll() {
            match output {
                Output::Send {
                    from,
                    to,
                    port,
                    bytes,
                } => {
                    let (from, to) = (ip(from), ip(to));
                    let port = port.unwrap_or(self.running.config().port);
                    let device = self.network.device(from, to);
                    self.sockets
                        .send(from, SocketAddr::new(to, port), device, &bytes);
                }
                Output::Table(change) => {
                    let told = self.table.change(change)?;
                    self.tell_all(told)?;
                }
                Output::Ask(peer) => {
                    let routes = self.network.ask(peer)?;
                    self.tell(Input::Routes(routes))?;
                }
                Output::Look(id) => {
                    let told = self.table.traffic(id)?;
                    self.tell_all(told)?;
                }
                // At once, not with `apply`: the next outputs may set this address in the module, or send from it.
                Output::Hold(addr) => self.table.hold(addr, self.network.rtnl()),
                Output::Release(addr) => self.table.release(addr),
                Output::Keep(fact) => self.store.keep(fact),
                Output::Note(note) => self.journal.write(&note, self.clock.now()),
            }
        }
        self.table.apply(self.network.rtnl());
        Ok(())
    }
}
