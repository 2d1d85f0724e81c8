// SPDX-License-Identifier: GPL-2.0

//! Where the next packet of a flow goes: its ends are at home, or away on a path of its host
//! ([`ihmp_core::ends`]).

use crate::{
    ffi::{
        route::Tagged,
        skb::Skb, //
    },
    flow::Row,
    host::Host,
    netns::Netns,
    view::View, //
};
use ihmp_core::{
    addr::{
        Addr,
        Family, //
    },
    ends::{
        self,
        Foreign,
        Local, //
    },
    flow::FlowKey,
    paths::{
        self,
        Path, //
    },
    sets::Role,
    verdict::Reason, //
};
use kernel::sync::rcu::Guard;

/// What becomes of the packets of a flow that go out.
pub(crate) enum Course<'a> {
    /// They carry the identifiers.
    Home,
    /// They carry the identifiers, whatever happens: the host was never told the local one.
    Untold,
    /// They carry the identifiers, whatever happens: the namespace is off.
    Stays,
    /// They carry the locators of a path.
    Away(Leg<'a>),
}

/// A path for a packet.
pub(crate) struct Leg<'a> {
    /// Its locators.
    pub(crate) path: Path,
    /// Its route cache.
    pub(crate) cache: Option<Tagged<'a>>,
    /// Remote port on the wire.
    pub(crate) port: u16,
    /// Index of the device to leave by, or 0 where the routing tables decide.
    pub(crate) device: u32,
}

/// For what it is asked where a flow goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// For the packet, which opens the flow.
    Opening,
    /// For the packet, which is one of the flow.
    Packet,
    /// For another one: where the next packet of the flow would go.
    Next,
}

/// What a path must be like.
struct Wanted {
    family: Family,
    /// The local locator; `None` when that end is away.
    local: Option<Addr>,
    /// The remote locator; `None` when that end is away.
    remote: Option<Addr>,
    /// Index of the device that the socket is bound to, or 0.
    bound: u32,
}

impl Netns {
    /// Where the packets of a flow go that leave as `key` says: its identifiers. What opens the flow stays at the foreign
    /// one. A flow keeps a local address that was left while the routing tables lead its packets by the device of that
    /// address, as a rule of the administrator's does.
    #[inline]
    pub(crate) fn course<'a>(
        &self,
        skb: &Skb<'_>,
        row: &'a Row,
        view: &'a View,
        key: &FlowKey,
        asked: Asked,
        guard: &'a Guard,
    ) -> Result<Course<'a>, Reason> {
        if row.stance.stays() {
            return Ok(Course::Stays);
        }
        let lists = view.lists();
        let mut gone = false;
        let local = match ends::local(
            &lists,
            key.laddr,
            row.seen.age(),
            row.is_known(view, key.laddr),
        ) {
            Local::Untold => return Ok(Course::Untold),
            Local::Home(at) => {
                row.seen.note_known();
                gone = self.device_at(skb, view, at, key.laddr, guard).is_none();
                (!gone).then_some(key.laddr)
            }
            Local::Left(at) if self.stays_by_route(skb, row, view, at, asked, guard) => {
                row.seen.note_known();
                Some(key.laddr)
            }
            Local::Away if self.stays_unheard(skb, row, key.laddr, guard) => {
                row.seen.note_known();
                Some(key.laddr)
            }
            Local::Left(_) | Local::Away => {
                row.seen.note_known();
                row.seen.leave_here();
                None
            }
        };
        let remote = match row.foreign_end(view, key.faddr) {
            Foreign::Home => Some(key.faddr),
            Foreign::Away
                if asked == Asked::Opening || self.is_doubtful(row, view, key.faddr, guard) =>
            {
                Some(key.faddr)
            }
            Foreign::Away => None,
        };
        if local.is_some() && remote.is_some() {
            return Ok(Course::Home);
        }
        let wanted = Wanted {
            family: key.laddr.family(),
            local,
            remote,
            bound: row.socket.device(),
        };
        let host = row.host().under(guard).get();
        let port = |path: &Path| match path.nat {
            true => self.nat_port(row, path.remote, guard),
            false => Some(row.host_port),
        };
        match self.leg(skb, host, view, &wanted, port, guard) {
            Ok(leg) => Ok(Course::Away(leg)),
            Err(Reason::NoPath) if gone => Err(Reason::LocalGone),
            Err(why) => Err(why),
        }
    }

    /// Whether a flow on which the host was never heard keeps its local identifier, of which the host is told no more, but which is there:
    /// a program may be looking whether just this network works.
    #[inline]
    fn stays_unheard(&self, skb: &Skb<'_>, row: &Row, laddr: Addr, guard: &Guard) -> bool {
        row.seen.awaits_first_answer() && self.net.is_up(skb, laddr, guard)
    }

    /// Whether a flow keeps its local identifier, at this place of the local addresses, although a move left it.
    fn stays_by_route(
        &self,
        skb: &Skb<'_>,
        row: &Row,
        view: &View,
        at: usize,
        asked: Asked,
        guard: &Guard,
    ) -> bool {
        // A flow that has left comes back when the mark goes, since the peer may not know the address before. The route of
        // another packet says nothing of this flow.
        if asked == Asked::Next || row.seen.roams_here() {
            return false;
        }
        let out = skb.out_device();
        let laddr = row.key().laddr;
        let own = self.device_at(skb, view, at, laddr, guard);
        // To another address of the same device it moves, which the route does not show.
        let path = view.path(laddr.family());
        let next =
            path.and_then(|path| self.device_at(skb, view, path.local_at, path.local, guard));
        out != 0 && own == Some(out) && next != Some(out)
    }

    /// Whether a flow began so shortly before its host gave up the foreign identifier that this may be another's.
    #[inline]
    fn is_doubtful(&self, row: &Row, view: &View, faddr: Addr, guard: &Guard) -> bool {
        view.lists().lookup(Role::Active, faddr).is_none() && row.is_fresh(&row.host().under(guard))
    }

    /// The path of an echo reply from an address that we have left, to where the request came from.
    pub(crate) fn answer_leg<'a>(
        &self,
        skb: &Skb<'_>,
        host: &'a Host,
        view: &'a View,
        remote: Addr,
        guard: &'a Guard,
    ) -> Option<Leg<'a>> {
        let wanted = Wanted {
            family: remote.family(),
            local: None,
            remote: Some(remote),
            bound: 0,
        };
        // What came through a NAT goes back by the port that it came from.
        let port = |path: &Path| (!path.nat).then_some(0);
        self.leg(skb, host, view, &wanted, port, guard).ok()
    }

    /// The locators that the packets of a flow carry now, if they are translated at all.
    pub(crate) fn wire_ends(
        &self,
        skb: &Skb<'_>,
        row: &Row,
        guard: &Guard,
    ) -> Option<(Addr, Addr)> {
        let key = row.key();
        let view = row.host().under(guard).get().view.read(guard);
        match self.course(skb, row, view, &key, Asked::Next, guard).ok()? {
            Course::Away(leg) => Some((leg.path.local, leg.path.remote)),
            Course::Home | Course::Untold | Course::Stays => Some((key.laddr, key.faddr)),
        }
    }

    /// The best path that is as wanted; the one that the host's packets take if that will do. `port` gives the remote
    /// port on a path, or `None` when the flow cannot take it.
    fn leg<'a>(
        &self,
        skb: &Skb<'_>,
        host: &'a Host,
        view: &'a View,
        wanted: &Wanted,
        port: impl Fn(&Path) -> Option<u16>,
        guard: &Guard,
    ) -> Result<Leg<'a>, Reason> {
        let current = view.path(wanted.family);
        let mut why = Reason::NoPath;
        let mut check = |path: &Path| match self.serves(skb, view, wanted, path, &port, guard) {
            Ok(found) => Some((*path, found)),
            Err(reason) => {
                why = reason.unwrap_or(why);
                None
            }
        };
        let mut best = current.and_then(|path| check(&path));
        if best.is_none() {
            let heard = current.map(|path| path.remote);
            // An end that is at home may have a path that is too many to be kept.
            for path in paths::all(view.lists(), wanted.family) {
                let better = |(found, _): &(Path, _)| path.rank(heard) < found.rank(heard);
                if best.as_ref().is_none_or(better) {
                    best = check(&path).or(best);
                }
            }
        }
        let (path, (device, port)) = best.ok_or(why)?;
        let at = view.place(&path);
        Ok(Leg {
            path,
            cache: at.and_then(|at| host.cache(view, at, device != 0)),
            port,
            device,
        })
    }

    /// Whether a path is as wanted: the device to leave by, and the remote port; or why not, if that is to be said.
    #[inline]
    fn serves(
        &self,
        skb: &Skb<'_>,
        view: &View,
        wanted: &Wanted,
        path: &Path,
        port: impl Fn(&Path) -> Option<u16>,
        guard: &Guard,
    ) -> Result<(u32, u16), Option<Reason>> {
        if wanted.local.is_some_and(|local| local != path.local)
            || wanted.remote.is_some_and(|remote| remote != path.remote)
        {
            return Err(None);
        }
        let own = self.device_at(skb, view, path.local_at, path.local, guard);
        let own = own.ok_or(Some(Reason::LocalGone))?;
        let device = match (wanted.local, path.device) {
            (Some(_), _) => 0,
            (None, 0) => own,
            (None, named) => named,
        };
        if !self.net.device_serves(device, wanted.bound) {
            return Err(None);
        }
        let port = port(path).ok_or(Some(Reason::NatUnmapped))?;
        Ok((device, port))
    }

    /// The device that has the local address at a place, 0 for none in particular; `None` when the address is not this
    /// machine's.
    #[inline]
    fn device_at(
        &self,
        skb: &Skb<'_>,
        view: &View,
        at: usize,
        addr: Addr,
        guard: &Guard,
    ) -> Option<u32> {
        let change = self.net.addresses_change(addr.family());
        if let Some(device) = view.seen(at, change) {
            return Some(device);
        }
        let device = self.net.device_of(skb, addr, guard)?;
        view.saw(at, device, change);
        Some(device)
    }
}
