// SPDX-License-Identifier: GPL-2.0
//! Objects of the model to attributes of uapi/ihmp.yaml and back, on bytes alone.
//!
//! What the model holds without `Option` must be in a reply: the spec lists it there. The exceptions are those whose
//! attribute says what its absence means. Attributes and commands that are not known are passed over, for they can only
//! come from a later module.

use std::{
    net::IpAddr,
    time::Duration, //
};

use ihmp_uapi::{
    AddrAttr,
    Command,
    CounterAttr,
    FlowAttr,
    HostAttr,
    LimitAttr,
    ParamAttr,
    PathAttr,
    PolicyAttr,
    StatsAttr,
    FAMILY_VERSION, //
};

use crate::{
    attrs::{
        Attr,
        Attrs,
        Malformed,
        Writer, //
    },
    events::Event,
    model::*,
};

/// Octets of the generic netlink header.
pub(crate) const HEADER: usize = 4;

type Result<T> = std::result::Result<T, Malformed>;

/// A request: the command and its attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) command: Command,
    attrs: Writer,
}

impl Request {
    pub(crate) fn new(command: Command) -> Self {
        Self {
            command,
            attrs: Writer::default(),
        }
    }

    /// The request as the payload of a netlink message.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        [
            &[self.command.0, FAMILY_VERSION, 0, 0],
            self.attrs.0.as_slice(),
        ]
        .concat()
    }

    /// The name of the attribute whose header starts at this octet of `bytes()`.
    pub(crate) fn attr_at(&self, offset: usize) -> Option<String> {
        find(
            set_of(self.command),
            &self.attrs.0,
            offset.checked_sub(HEADER)?,
        )
    }

    /// The name of an attribute of this number, at the top or in the nest that starts at this octet of `bytes()`.
    pub(crate) fn attr_named(&self, number: u16, nest: Option<usize>) -> Option<String> {
        match nest {
            None => set_of(self.command)(number).0.map(str::to_owned),
            Some(offset) => {
                let outer = self.attr_at(offset)?;
                let name = AddrAttr(number).name()?;
                Some(format!("{outer}.{name}"))
            }
        }
    }
}

/// The name of an attribute of a set, and whether it holds attributes of the set `addr`.
type Set = fn(u16) -> (Option<&'static str>, bool);

fn set_of(command: Command) -> Set {
    match command {
        Command::PATH_GET => |number| (PathAttr(number).name(), false),
        Command::FLOW_GET | Command::FLOW_DEL | Command::FLOW_FLUSH => {
            |number| (FlowAttr(number).name(), false)
        }
        Command::POLICY_GET | Command::POLICY_NEW | Command::POLICY_DEL | Command::POLICY_FLUSH => {
            |number| (PolicyAttr(number).name(), false)
        }
        Command::PARAM_GET | Command::PARAM_SET => |number| (ParamAttr(number).name(), false),
        Command::STATS_GET | Command::STATS_FLUSH => |number| (StatsAttr(number).name(), false),
        _ => |number| (HostAttr(number).name(), HostAttr(number) == HostAttr::ADDR),
    }
}

fn find(set: Set, attrs: &[u8], offset: usize) -> Option<String> {
    for attr in Attrs::new(attrs).map_while(std::result::Result::ok) {
        let (name, nested) = set(attr.number);
        if attr.offset == offset {
            return name.map(str::to_owned);
        }
        let start = attr.offset + 4;
        if nested && (start..start + attr.payload.len()).contains(&offset) {
            let inner = find(
                |number| (AddrAttr(number).name(), false),
                attr.payload,
                offset - start,
            )?;
            return Some(format!("{}.{inner}", name?));
        }
    }
    None
}

/// Milliseconds, rounded up so that a short time does not become none.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

fn duration(attr: Attr<'_>) -> Result<Duration> {
    attr.uint().map(Duration::from_millis)
}

fn known<T>(attr: Attr<'_>, from_number: fn(u32) -> Option<T>) -> Result<T> {
    from_number(attr.u32()?).ok_or_else(|| attr.wrong("a value of the enum"))
}

fn need<T>(value: Option<T>, what: &str) -> Result<T> {
    value.ok_or_else(|| Malformed(format!("no {what}")))
}

fn write_addrs(out: &mut Writer, addrs: &[HostAddr]) {
    for one in addrs {
        let mut nest = Writer::default();
        nest.addr(AddrAttr::ADDRESS.0, one.addr);
        nest.u32(AddrAttr::SET.0, one.set.number());
        if one.preference != 0 {
            nest.u16(AddrAttr::PREFERENCE.0, one.preference);
        }
        if one.unproven {
            nest.flag(AddrAttr::UNPROVEN.0);
        }
        out.nest(HostAttr::ADDR.0, &nest);
    }
}

/// `host-new` or `host-set`.
pub(crate) fn host_request(command: Command, host: &HostRequest) -> Request {
    let mut request = Request::new(command);
    let out = &mut request.attrs;
    if let Some(id) = host.id {
        out.u32(HostAttr::ID.0, id);
    }
    if let Some(mode) = host.mode {
        out.u32(HostAttr::MODE.0, mode.number());
    }
    if let Some(state) = host.state {
        out.u32(HostAttr::STATE.0, state.number());
    }
    if let Some(scheduler) = host.scheduler {
        out.u32(HostAttr::SCHEDULER.0, scheduler.number());
    }
    if let Some(name) = &host.name {
        out.string(HostAttr::NAME.0, name);
    }
    for set in &host.clear {
        out.u32(HostAttr::CLEAR.0, set.number());
    }
    write_addrs(out, &host.addrs);
    if let Some(time) = host.expires_in {
        out.uint(HostAttr::EXPIRES_IN.0, millis(time));
    }
    request
}

/// A command that needs just the host: `host-get`, `host-del`.
pub(crate) fn host_id(command: Command, id: u32) -> Request {
    let mut request = Request::new(command);
    request.attrs.u32(HostAttr::ID.0, id);
    request
}

/// `host-get` by one of the host's addresses.
pub(crate) fn host_address(addr: IpAddr) -> Request {
    let mut request = Request::new(Command::HOST_GET);
    request.attrs.addr(HostAttr::ADDRESS.0, addr);
    request
}

/// `addr-new` or `addr-del`.
pub(crate) fn host_addrs(command: Command, id: u32, addrs: &[HostAddr]) -> Request {
    let mut request = host_id(command, id);
    write_addrs(&mut request.attrs, addrs);
    request
}

/// `path-get`.
pub(crate) fn path_get(host: Option<u32>) -> Request {
    let mut request = Request::new(Command::PATH_GET);
    if let Some(id) = host {
        request.attrs.u32(PathAttr::HOST_ID.0, id);
    }
    request
}

/// `flow-get` of all flows, or `flow-flush`.
pub(crate) fn flows(command: Command, host: Option<u32>) -> Request {
    let mut request = Request::new(command);
    if let Some(id) = host {
        request.attrs.u32(FlowAttr::HOST_ID.0, id);
    }
    request
}

/// `flow-get` of one flow, or `flow-del`.
pub(crate) fn flow_key(command: Command, key: &FlowKey) -> Request {
    let mut request = Request::new(command);
    let out = &mut request.attrs;
    out.u8(FlowAttr::PROTO.0, key.proto);
    out.addr(FlowAttr::LOCAL.0, key.local);
    out.addr(FlowAttr::REMOTE.0, key.remote);
    out.u16(FlowAttr::LOCAL_PORT.0, key.local_port);
    out.u16(FlowAttr::REMOTE_PORT.0, key.remote_port);
    request
}

/// `policy-new`, with an action, or `policy-del`, without.
pub(crate) fn policy_request(
    command: Command,
    addr: IpAddr,
    prefix_len: u8,
    action: Option<PolicyAction>,
) -> Request {
    let mut request = Request::new(command);
    let out = &mut request.attrs;
    out.addr(PolicyAttr::ADDRESS.0, addr);
    out.u8(PolicyAttr::PREFIX_LEN.0, prefix_len);
    if let Some(action) = action {
        out.u32(PolicyAttr::ACTION.0, action.number());
    }
    request
}

/// `param-set`.
pub(crate) fn param_request(params: &ParamRequest) -> Request {
    let mut request = Request::new(Command::PARAM_SET);
    let out = &mut request.attrs;
    if let Some(on) = params.discovery {
        out.u32(ParamAttr::DISCOVERY.0, u32::from(on));
    }
    if let Some(port) = params.port {
        out.u16(ParamAttr::PORT.0, port);
    }
    for (attr, value) in [
        (ParamAttr::MAX_HOSTS, params.max_hosts),
        (ParamAttr::MAX_FLOWS, params.max_flows),
        (ParamAttr::UDP_TIMEOUT, params.udp_timeout),
        (ParamAttr::HOLD_TIME, params.hold_time),
        (
            ParamAttr::SCHEDULER,
            params.scheduler.map(Scheduler::number),
        ),
    ] {
        if let Some(value) = value {
            out.u32(attr.0, value);
        }
    }
    request
}

/// The attributes behind the generic netlink header of a message.
fn body(message: &[u8]) -> Result<Attrs<'_>> {
    message
        .get(HEADER..)
        .map(Attrs::new)
        .ok_or_else(|| Malformed("no header".to_owned()))
}

/// The id in the reply to `host-new`, or in `host-del-ntf`.
pub(crate) fn read_id(message: &[u8]) -> Result<u32> {
    let mut id = None;
    for attr in body(message)? {
        let attr = attr?;
        if HostAttr(attr.number) == HostAttr::ID {
            id = Some(attr.u32()?);
        }
    }
    need(id, "host id")
}

fn read_addr(attrs: Attrs<'_>) -> Result<HostAddr> {
    let (mut addr, mut set, mut preference, mut unproven) = (None, None, 0, false);
    for attr in attrs {
        let attr = attr?;
        match AddrAttr(attr.number) {
            AddrAttr::ADDRESS => addr = Some(attr.addr()?),
            AddrAttr::SET => set = Some(known(attr, AddrSet::from_number)?),
            AddrAttr::PREFERENCE => preference = attr.u16()?,
            AddrAttr::UNPROVEN => unproven = true,
            _ => (),
        }
    }
    Ok(HostAddr {
        addr: need(addr, "address")?,
        set: need(set, "set of an address")?,
        preference,
        unproven,
    })
}

/// A host in a reply, or in `host-ntf`.
pub(crate) fn read_host(message: &[u8]) -> Result<Host> {
    let (mut id, mut state, mut mode, mut scheduler) = (None, None, None, None);
    let (mut flows, mut tx_packets, mut rx_packets) = (None, None, None);
    let (mut name, mut expires_in, mut local, mut remote, mut idle) =
        (None, None, None, None, None);
    let mut addrs = Vec::new();
    for attr in body(message)? {
        let attr = attr?;
        match HostAttr(attr.number) {
            HostAttr::ID => id = Some(attr.u32()?),
            HostAttr::MODE => mode = Some(known(attr, Mode::from_number)?),
            HostAttr::STATE => state = Some(known(attr, HostState::from_number)?),
            HostAttr::SCHEDULER => scheduler = Some(known(attr, Scheduler::from_number)?),
            HostAttr::NAME => name = Some(attr.string()?.to_owned()),
            HostAttr::ADDR => addrs.push(read_addr(attr.nest())?),
            HostAttr::EXPIRES_IN => expires_in = Some(duration(attr)?),
            HostAttr::LOCAL => local = Some(attr.addr()?),
            HostAttr::REMOTE => remote = Some(attr.addr()?),
            HostAttr::FLOWS => flows = Some(attr.u32()?),
            HostAttr::TX_PACKETS => tx_packets = Some(attr.uint()?),
            HostAttr::RX_PACKETS => rx_packets = Some(attr.uint()?),
            HostAttr::IDLE => idle = Some(duration(attr)?),
            _ => (),
        }
    }
    Ok(Host {
        id: need(id, "host id")?,
        mode: need(mode, "mode of a host")?,
        state: need(state, "state of a host")?,
        scheduler,
        name,
        addrs,
        expires_in,
        local,
        remote,
        flows: need(flows, "flows of a host")?,
        tx_packets: need(tx_packets, "tx-packets of a host")?,
        rx_packets: need(rx_packets, "rx-packets of a host")?,
        idle,
    })
}

/// A path in a reply.
pub(crate) fn read_path(message: &[u8]) -> Result<Path> {
    let (mut host_id, mut local, mut remote, mut preference) = (None, None, None, None);
    let (mut active, mut unproven) = (false, false);
    for attr in body(message)? {
        let attr = attr?;
        match PathAttr(attr.number) {
            PathAttr::HOST_ID => host_id = Some(attr.u32()?),
            PathAttr::LOCAL => local = Some(attr.addr()?),
            PathAttr::REMOTE => remote = Some(attr.addr()?),
            PathAttr::PREFERENCE => preference = Some(attr.u32()?),
            PathAttr::ACTIVE => active = true,
            PathAttr::UNPROVEN => unproven = true,
            _ => (),
        }
    }
    Ok(Path {
        host_id: need(host_id, "host id of a path")?,
        local: need(local, "local locator of a path")?,
        remote: need(remote, "remote locator of a path")?,
        preference: need(preference, "preference of a path")?,
        active,
        unproven,
    })
}

fn read_path_change(message: &[u8]) -> Result<Event> {
    let (mut host_id, mut local, mut remote, mut cause) = (None, None, None, None);
    for attr in body(message)? {
        let attr = attr?;
        match PathAttr(attr.number) {
            PathAttr::HOST_ID => host_id = Some(attr.u32()?),
            PathAttr::LOCAL => local = Some(attr.addr()?),
            PathAttr::REMOTE => remote = Some(attr.addr()?),
            PathAttr::CAUSE => cause = Some(known(attr, PathCause::from_number)?),
            _ => (),
        }
    }
    let (host_id, cause) = (
        need(host_id, "host id of a path")?,
        need(cause, "cause of a change")?,
    );
    Ok(Event::PathChanged {
        host_id,
        local,
        remote,
        cause,
    })
}

/// A flow in a reply.
pub(crate) fn read_flow(message: &[u8]) -> Result<Flow> {
    let (mut host_id, mut proto, mut local, mut remote) = (None, None, None, None);
    let (mut local_port, mut remote_port, mut wire_port, mut idle) = (None, None, None, None);
    for attr in body(message)? {
        let attr = attr?;
        match FlowAttr(attr.number) {
            FlowAttr::HOST_ID => host_id = Some(attr.u32()?),
            FlowAttr::PROTO => proto = Some(attr.u8()?),
            FlowAttr::LOCAL => local = Some(attr.addr()?),
            FlowAttr::REMOTE => remote = Some(attr.addr()?),
            FlowAttr::LOCAL_PORT => local_port = Some(attr.u16()?),
            FlowAttr::REMOTE_PORT => remote_port = Some(attr.u16()?),
            FlowAttr::WIRE_PORT => wire_port = Some(attr.u16()?),
            FlowAttr::IDLE => idle = Some(duration(attr)?),
            _ => (),
        }
    }
    Ok(Flow {
        host_id: need(host_id, "host id of a flow")?,
        proto: need(proto, "protocol of a flow")?,
        local: need(local, "local identifier of a flow")?,
        remote: need(remote, "foreign identifier of a flow")?,
        local_port: need(local_port, "local port of a flow")?,
        remote_port: need(remote_port, "foreign port of a flow")?,
        wire_port,
        idle,
    })
}

fn read_discovery(message: &[u8]) -> Result<Event> {
    let (mut host_id, mut proto, mut local, mut remote) = (None, None, None, None);
    for attr in body(message)? {
        let attr = attr?;
        match FlowAttr(attr.number) {
            FlowAttr::HOST_ID => host_id = Some(attr.u32()?),
            FlowAttr::PROTO => proto = Some(attr.u8()?),
            FlowAttr::LOCAL => local = Some(attr.addr()?),
            FlowAttr::REMOTE => remote = Some(attr.addr()?),
            _ => (),
        }
    }
    Ok(Event::Discover {
        host_id: need(host_id, "host id of a discovery")?,
        proto: need(proto, "protocol of a discovery")?,
        local: need(local, "local address of a discovery")?,
        remote: need(remote, "foreign address of a discovery")?,
    })
}

/// A prefix in a reply.
pub(crate) fn read_policy(message: &[u8]) -> Result<Policy> {
    let (mut addr, mut prefix_len, mut action) = (None, None, None);
    for attr in body(message)? {
        let attr = attr?;
        match PolicyAttr(attr.number) {
            PolicyAttr::ADDRESS => addr = Some(attr.addr()?),
            PolicyAttr::PREFIX_LEN => prefix_len = Some(attr.u8()?),
            PolicyAttr::ACTION => action = Some(known(attr, PolicyAction::from_number)?),
            _ => (),
        }
    }
    Ok(Policy {
        addr: need(addr, "address of a prefix")?,
        prefix_len: need(prefix_len, "length of a prefix")?,
        action: need(action, "action of a prefix")?,
    })
}

/// The settings in a reply.
pub(crate) fn read_params(message: &[u8]) -> Result<Params> {
    let (mut discovery, mut port, mut max_hosts, mut max_flows) = (None, None, None, None);
    let (mut udp_timeout, mut hold_time, mut scheduler, mut version) = (None, None, None, None);
    for attr in body(message)? {
        let attr = attr?;
        match ParamAttr(attr.number) {
            ParamAttr::DISCOVERY => discovery = Some(attr.u32()? != 0),
            ParamAttr::PORT => port = Some(attr.u16()?),
            ParamAttr::MAX_HOSTS => max_hosts = Some(attr.u32()?),
            ParamAttr::MAX_FLOWS => max_flows = Some(attr.u32()?),
            ParamAttr::UDP_TIMEOUT => udp_timeout = Some(attr.u32()?),
            ParamAttr::HOLD_TIME => hold_time = Some(attr.u32()?),
            ParamAttr::SCHEDULER => scheduler = Some(known(attr, Scheduler::from_number)?),
            ParamAttr::VERSION => version = Some(attr.string()?.to_owned()),
            _ => (),
        }
    }
    Ok(Params {
        discovery: need(discovery, "param discovery")?,
        port: need(port, "param port")?,
        max_hosts: need(max_hosts, "param max-hosts")?,
        max_flows: need(max_flows, "param max-flows")?,
        udp_timeout: need(udp_timeout, "param udp-timeout")?,
        hold_time: need(hold_time, "param hold-time")?,
        scheduler: need(scheduler, "param scheduler")?,
        version: need(version, "param version")?,
    })
}

fn read_counter(attrs: Attrs<'_>) -> Result<Counter> {
    let (mut reason, mut effect, mut packets) = (None, None, None);
    for attr in attrs {
        let attr = attr?;
        match CounterAttr(attr.number) {
            CounterAttr::REASON => reason = Some(Reason(attr.u32()?)),
            CounterAttr::EFFECT => effect = Some(known(attr, Effect::from_number)?),
            CounterAttr::PACKETS => packets = Some(attr.uint()?),
            _ => (),
        }
    }
    Ok(Counter {
        reason: need(reason, "reason of a counter")?,
        effect: need(effect, "effect of a counter")?,
        packets: need(packets, "packets of a counter")?,
    })
}

/// The counters in a reply; a counter that the module does not have is 0.
pub(crate) fn read_stats(message: &[u8]) -> Result<Stats> {
    let mut stats = Stats::default();
    for attr in body(message)? {
        let attr = attr?;
        match StatsAttr(attr.number) {
            StatsAttr::HOSTS => stats.hosts = attr.u32()?,
            StatsAttr::FLOWS => stats.flows = attr.u32()?,
            StatsAttr::HOOKS => stats.hooks = attr.u32()?,
            StatsAttr::OUT_TRANSLATED => stats.out_translated = attr.uint()?,
            StatsAttr::OUT_UNCHANGED => stats.out_unchanged = attr.uint()?,
            StatsAttr::IN_TRANSLATED => stats.in_translated = attr.uint()?,
            StatsAttr::IN_UNCHANGED => stats.in_unchanged = attr.uint()?,
            StatsAttr::ICMP_OUT => stats.icmp_out = attr.uint()?,
            StatsAttr::ICMP_IN => stats.icmp_in = attr.uint()?,
            StatsAttr::PORT_MAPPED => stats.port_mapped = attr.uint()?,
            StatsAttr::TCP_WOKEN => stats.tcp_woken = attr.uint()?,
            StatsAttr::DISCOVERED => stats.discovered = attr.uint()?,
            StatsAttr::FLOWS_MADE => stats.flows_made = attr.uint()?,
            StatsAttr::FLOWS_EXPIRED => stats.flows_expired = attr.uint()?,
            StatsAttr::COUNTER => stats.counters.push(read_counter(attr.nest())?),
            _ => (),
        }
    }
    Ok(stats)
}

fn read_limit(message: &[u8]) -> Result<Event> {
    let (mut reason, mut packets) = (None, None);
    for attr in body(message)? {
        let attr = attr?;
        match LimitAttr(attr.number) {
            LimitAttr::REASON => reason = Some(Reason(attr.u32()?)),
            LimitAttr::PACKETS => packets = Some(attr.uint()?),
            _ => (),
        }
    }
    Ok(Event::Limit {
        reason: need(reason, "reason of a limit")?,
        packets: need(packets, "packets of a limit")?,
    })
}

/// A multicast message; `None` for one that this library does not know.
pub(crate) fn read_event(message: &[u8]) -> Result<Option<Event>> {
    let command = Command(*need(message.first(), "header")?);
    Ok(Some(match command {
        Command::HOST_NTF => Event::HostChanged(read_host(message)?),
        Command::HOST_DEL_NTF => Event::HostDeleted(read_id(message)?),
        Command::PATH_NTF => read_path_change(message)?,
        Command::DISCOVER_NTF => read_discovery(message)?,
        Command::LIMIT_NTF => read_limit(message)?,
        _ => return Ok(None),
    }))
}

#[cfg(test)]
mod tests;
