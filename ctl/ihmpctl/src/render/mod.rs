// SPDX-License-Identifier: GPL-2.0
//! Objects of the model as text or as JSON.

use std::{
    collections::BTreeMap,
    io::{
        self,
        Write, //
    },
    net::IpAddr,
    time::SystemTime, //
};

use ihmp_core::addr::Addr;
use ihmp_engine::{
    Changed,
    PublicKey, //
};
use ihmp_keys::{
    Known,
    Own, //
};
use ihmp_nl::{
    AddrSet,
    Event,
    Flow,
    Host,
    Nat,
    Params,
    Path,
    Policy,
    Stats, //
};
use serde::{
    Serialize,
    Serializer, //
};
use serde_json::{
    json,
    Value, //
};

mod device;
mod json;
mod switched;
mod text;
mod time;

pub(crate) use switched::Switched;

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Style {
    pub(crate) json: bool,
    pub(crate) pretty: bool,
    pub(crate) timestamp: bool,
    pub(crate) family: Option<Family>,
}

/// Which addresses to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Style {
    pub(crate) fn shows(&self, addr: IpAddr) -> bool {
        match self.family {
            None => true,
            Some(Family::V4) => addr.is_ipv4(),
            Some(Family::V6) => addr.is_ipv6(),
        }
    }
}

/// A host with its key: another key that was used at its addresses, if one was; the key that is remembered, and whether the
/// administrator listed it.
type Row = (Option<Changed>, Option<(PublicKey, bool)>, Host);

/// Where to print, and how.
pub(crate) struct Output<'a> {
    pub(crate) to: &'a mut dyn Write,
    pub(crate) style: Style,
    pub(crate) clock: fn() -> SystemTime,
}

impl Output<'_> {
    /// A line as it is.
    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.to, "{text}")
    }

    /// The id of a new host.
    pub(crate) fn id(&mut self, id: u32) -> io::Result<()> {
        if self.style.json {
            self.value(&json!({ "id": id }))
        } else {
            writeln!(self.to, "{id}")
        }
    }

    /// Hosts, with their keys, and with another key if one was used at their addresses.
    pub(crate) fn hosts(&mut self, mut hosts: Vec<Host>, known: &Known) -> io::Result<()> {
        if self.style.family.is_some() {
            for host in &mut hosts {
                host.addrs.retain(|addr| self.style.shows(addr.addr));
                host.local = host.local.filter(|addr| self.style.shows(*addr));
                host.remote = host.remote.filter(|addr| self.style.shows(*addr));
            }
            hosts.retain(|host| !host.addrs.is_empty());
        }
        let mut keys = BTreeMap::new();
        for (key, peer) in &known.peers {
            let places = peer.known.at.iter().chain(&peer.known.accepted);
            let key = (*key, peer.known.pinned);
            keys.extend(places.map(|addr| (*addr, key)));
        }
        let row = |host: Host| {
            let addrs = host.addrs.iter().filter(|addr| addr.set == AddrSet::Active);
            let addrs = addrs.map(|addr| Addr::from(addr.addr)).collect::<Vec<_>>();
            let changed = addrs.iter().find_map(|addr| known.changes.get(addr));
            let key = addrs.iter().find_map(|addr| keys.get(addr));
            (changed.copied(), key.copied(), host)
        };
        let rows: Vec<Row> = hosts.into_iter().map(row).collect();
        let json = |(changed, key, host): &Row| {
            let mut value = json::host(host);
            if let Some((key, listed)) = key {
                value["key"] = key.fingerprint().to_string().into();
                value["key-listed"] = (*listed).into();
            }
            if let Some(changed) = changed {
                value["key-changed"] = json::changed(changed);
            }
            value
        };
        self.rows(&rows, json, |(changed, key, host), to| {
            text::host(host, "\n    ", to)?;
            if let Some((key, listed)) = key {
                let kind = if *listed { "listed" } else { "seen" };
                write!(to, "\n    key {} {kind}", key.fingerprint())?;
            }
            match changed {
                Some(changed) => {
                    write!(to, "\n    ")?;
                    text::changed(changed, to)
                }
                None => Ok(()),
            }
        })
    }

    pub(crate) fn paths(&mut self, mut paths: Vec<Path>) -> io::Result<()> {
        paths.retain(|path| self.style.shows(path.remote));
        self.rows(&paths, json::path, text::path)
    }

    pub(crate) fn flows(&mut self, mut flows: Vec<Flow>) -> io::Result<()> {
        flows.retain(|flow| self.style.shows(flow.remote));
        self.rows(&flows, json::flow, text::flow)
    }

    pub(crate) fn nats(&mut self, mut nats: Vec<Nat>) -> io::Result<()> {
        nats.retain(|nat| self.style.shows(nat.addr));
        self.rows(&nats, json::nat, text::nat)
    }

    pub(crate) fn policies(&mut self, mut policies: Vec<Policy>) -> io::Result<()> {
        policies.retain(|policy| self.style.shows(policy.addr));
        self.rows(&policies, json::policy, text::policy)
    }

    pub(crate) fn params(&mut self, params: &Params) -> io::Result<()> {
        self.object(params, json::params, text::params)
    }

    /// The result of `ihmpctl off` and `ihmpctl on`.
    pub(crate) fn switched(&mut self, switched: &Switched) -> io::Result<()> {
        self.object(switched, json::switched, text::switched)
    }

    pub(crate) fn stats(&mut self, stats: &Stats) -> io::Result<()> {
        self.object(stats, json::stats, text::stats)
    }

    /// Own keys, then those of peers, then the addresses at which another key was used.
    pub(crate) fn keys(&mut self, own: &[Own], known: &Known) -> io::Result<()> {
        let (peers, changes) = (known.peers.iter(), known.changes.values());
        if self.style.json {
            let own = own.iter().map(json::own_key);
            let peers = peers.map(|(key, peer)| json::peer_key(key, peer));
            let all = own.chain(peers).chain(changes.map(json::changed));
            return self.value(&all.collect::<Vec<_>>());
        }
        for own in own {
            text::own_key(own, self.to)?;
        }
        for (key, peer) in peers {
            text::peer_key(key, peer, self.to)?;
        }
        for changed in changes {
            text::changed(changed, self.to)?;
            writeln!(self.to)?;
        }
        Ok(())
    }

    /// The status of an agent: lines of a name, sometimes a second one, and a value.
    pub(crate) fn agent(&mut self, text: &str) -> io::Result<()> {
        if self.style.json {
            return self.value(&json::agent(text));
        }
        self.to.write_all(text.as_bytes())
    }

    /// The fingerprint of a new key.
    pub(crate) fn fingerprint(&mut self, key: &PublicKey) -> io::Result<()> {
        let fingerprint = key.fingerprint().to_string();
        if self.style.json {
            self.value(&json!({ "key": key.to_string(), "fingerprint": fingerprint }))
        } else {
            writeln!(self.to, "{fingerprint}")
        }
    }

    /// An event, on a line of its own; it is flushed at once.
    pub(crate) fn event(&mut self, event: &Event) -> io::Result<()> {
        let now = self.style.timestamp.then(|| time::utc((self.clock)()));
        if self.style.json {
            serde_json::to_writer(&mut *self.to, &json::event(event, now))?;
        } else {
            if let Some(now) = now {
                write!(self.to, "[{now}] ")?;
            }
            text::event(event, self.to)?;
        }
        writeln!(self.to)?;
        self.to.flush()
    }

    pub(crate) fn version(&mut self, program: &str, module: Option<&str>) -> io::Result<()> {
        if self.style.json {
            self.value(&json!({ "ihmpctl": program, "module": module }))
        } else {
            writeln!(
                self.to,
                "ihmpctl {program}, module {}",
                module.unwrap_or("not loaded")
            )
        }
    }

    /// Objects of one kind: as lines, or as a JSON array, which is written piece by piece.
    fn rows<T>(
        &mut self,
        rows: &[T],
        json: fn(&T) -> Value,
        text: impl Fn(&T, &mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.style.json {
            return self.value(&Rows { rows, json });
        }
        for row in rows {
            text(row, self.to)?;
            writeln!(self.to)?;
        }
        Ok(())
    }

    /// One object: as lines, or as a JSON object.
    fn object<T>(
        &mut self,
        object: &T,
        json: fn(&T) -> Value,
        text: fn(&T, &mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.style.json {
            self.value(&json(object))
        } else {
            text(object, self.to)
        }
    }

    fn value(&mut self, value: &impl Serialize) -> io::Result<()> {
        if self.style.pretty {
            serde_json::to_writer_pretty(&mut *self.to, value)?;
        } else {
            serde_json::to_writer(&mut *self.to, value)?;
        }
        writeln!(self.to)
    }
}

/// A JSON array whose elements are made as they are written.
struct Rows<'a, T> {
    rows: &'a [T],
    json: fn(&T) -> Value,
}

impl<T> Serialize for Rows<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.rows.iter().map(self.json))
    }
}

#[cfg(test)]
mod tests;
