// SPDX-License-Identifier: GPL-2.0

//! The state of one network namespace: what there is of each noun. What is done with it stands with the noun, in files above this one.
//!
//! Lock order: `config` (sleeps), then the tables' own locks, then that of announced moves. Packets never take
//! `config`: they read under RCU, add rows and make hosts in state `new`, for which the tables' own
//! locks suffice. Addresses of hosts that are there change under `config` only.

use crate::{
    asking::Asking,
    ffi::{
        net::Net,
        object::{
            copy_of,
            Found,
            Shared,
            Slot, //
        },
        table::linked_after, //
    },
    flow::Row,
    host::Host,
    marks::Marks,
    nat::Nats,
    once::Once,
    param::Params,
    pending::Pending,
    policy::PolicyTable,
    room::Table,
    view::{
        Draft,
        Vacated, //
    }, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        rcu::{
            self,
            Guard, //
        },
        Mutex,
        MutexGuard, //
    },
};

/// Milliseconds between two looks at what has expired.
pub(crate) const EXPIRY_MS: u32 = 1_000;
/// Rows between two grace periods of a long walk.
pub(crate) const ROWS_AT_ONCE: usize = 1024;

/// What the configuration lock protects beside the tables: drafts, each too big for the stack.
pub(crate) struct Config {
    /// Of the host that is being changed.
    pub(crate) draft: KBox<Draft>,
    /// Of one that loses an address by that.
    pub(crate) other: KBox<Draft>,
    /// Addresses that go by the change.
    pub(crate) vacated: KBox<Vacated>,
}

impl Config {
    fn new() -> Result<Self> {
        let draft = || KBox::init(copy_of(const { &Draft::EMPTY }), GFP_KERNEL_ACCOUNT);
        Ok(Self {
            draft: draft()?,
            other: draft()?,
            vacated: KBox::init(copy_of(const { &Vacated::NONE }), GFP_KERNEL_ACCOUNT)?,
        })
    }
}

/// The state of a namespace.
#[pin_data]
pub(crate) struct Netns {
    pub(crate) net: Net,
    pub(crate) params: Params,
    pub(crate) policy: Slot<PolicyTable>,
    pub(crate) hosts: Atomic<u32>,
    pub(crate) table: Table,
    pub(crate) nats: Nats,
    pub(crate) asking: Asking,
    pub(crate) pending: Pending,
    /// Numbers of what happens to addresses of hosts.
    pub(crate) marks: Marks,
    pub(crate) once: Once,
    #[pin]
    config: Mutex<Config>,
}

impl Netns {
    /// The state of a new namespace.
    pub(crate) fn new(net: Net, params: Params) -> Result<Pin<KBox<Self>>> {
        let policy = Slot::new(PolicyTable::new(&[])?);
        let config = Config::new()?;
        let asking = Asking::new()?;
        KBox::pin_init(
            pin_init!(Self {
                net,
                params,
                policy,
                hosts: Atomic::new(0),
                table: Table::new(),
                nats: Nats::new(),
                asking,
                pending: Pending::new(),
                marks: Marks::new(),
                once: Once::new(),
                config <- kernel::new_mutex!(config),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Serialises changes; may sleep.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Config> {
        self.config.lock()
    }

    /// Registers the hooks if there is something to do, or else unregisters them.
    pub(crate) fn update_hooks(&self, _: &Config) -> Result {
        let wanted = self.hosts.load(Relaxed) != 0 || self.params.discovers();
        let hooked = self.net.hooks() != 0;
        self.net.set_hooks(wanted)?;
        if !wanted {
            // No hook checks lent sockets any more: take the flag back.
            self.net.take_back();
        }
        if wanted || hooked {
            // Run expiry once more: a hook may still be running and lend a flag.
            self.net.schedule_expiry(EXPIRY_MS);
        }
        Ok(())
    }

    /// The host with an id, held.
    pub(crate) fn host(&self, id: u32) -> Option<Shared<Host>> {
        let guard = rcu::read_lock();
        self.net.numbered::<Host>(id, &guard).and_then(Found::share)
    }

    /// Does something with every row of a host; the grace period is not held up by many rows.
    pub(crate) fn each_row(
        &self,
        host: &Shared<Host>,
        mut act: impl FnMut(Found<'_, Row>, &Guard),
    ) {
        let mut index = 0;
        loop {
            let guard = rcu::read_lock();
            for _ in 0..ROWS_AT_ONCE {
                match linked_after::<Row>(host.found(), &mut index, &guard) {
                    Some(row) => act(row, &guard),
                    None => return,
                }
            }
        }
    }

    /// Does something with every host.
    pub(crate) fn each_host(&self, mut act: impl FnMut(&Shared<Host>)) {
        let mut id = 0;
        loop {
            let guard = rcu::read_lock();
            let Some(host) = self.net.numbered_after::<Host>(&mut id, &guard) else {
                return;
            };
            let host = host.share();
            drop(guard);
            if let Some(host) = host {
                act(&host);
            }
        }
    }
}
