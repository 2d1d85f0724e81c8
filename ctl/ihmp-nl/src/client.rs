// SPDX-License-Identifier: GPL-2.0
//! Requests: one method for each command of the family.

use std::net::IpAddr;

use ihmp_netlink::{
    Flags,
    Malformed,
    Protocol,
    Refusal,
    Socket, //
};
use ihmp_uapi::{
    Command,
    FAMILY_NAME, //
};

use crate::{
    codec::{
        self,
        Request, //
    },
    error::Error,
    family::{
        resolve,
        ENOENT, //
    },
    model::*, //
};

/// A connection to the module, in the network namespace where it was made.
pub struct Client {
    socket: Socket,
    family: u16,
}

impl Client {
    /// Opens a netlink socket and looks the family up.
    pub fn connect() -> Result<Self, Error> {
        let mut socket = Socket::open(Protocol::Generic)?;
        let family = resolve(&mut socket, FAMILY_NAME)?.id();
        Ok(Self { socket, family })
    }

    /// All hosts.
    pub fn hosts(&mut self) -> Result<Vec<Host>, Error> {
        self.dump(&Request::new(Command::HOST_GET), codec::read_host)
    }

    /// One host.
    pub fn host(&mut self, id: u32) -> Result<Host, Error> {
        self.get(&codec::host_id(Command::HOST_GET, id), codec::read_host)
    }

    /// The host that has this foreign address.
    pub fn host_by_address(&mut self, addr: IpAddr) -> Result<Host, Error> {
        self.get(&codec::host_address(addr), codec::read_host)
    }

    /// Makes a host; returns its id.
    pub fn host_new(&mut self, host: &HostRequest) -> Result<u32, Error> {
        self.get(
            &codec::host_request(Command::HOST_NEW, host),
            codec::read_id,
        )
    }

    /// Changes a host: all of the request, or nothing.
    pub fn host_set(&mut self, host: &HostRequest) -> Result<(), Error> {
        self.order(&codec::host_request(Command::HOST_SET, host))
    }

    /// Removes a host and its flows.
    pub fn host_del(&mut self, id: u32) -> Result<(), Error> {
        self.order(&codec::host_id(Command::HOST_DEL, id))
    }

    /// Removes all hosts and flows.
    pub fn host_flush(&mut self) -> Result<(), Error> {
        self.order(&Request::new(Command::HOST_FLUSH))
    }

    /// Adds addresses to a host, or changes their preference.
    pub fn addr_new(&mut self, id: u32, addrs: &[HostAddr]) -> Result<(), Error> {
        self.order(&codec::host_addrs(Command::ADDR_NEW, id, addrs))
    }

    /// Removes addresses from a host.
    pub fn addr_del(&mut self, id: u32, addrs: &[HostAddr]) -> Result<(), Error> {
        self.order(&codec::host_addrs(Command::ADDR_DEL, id, addrs))
    }

    /// The paths of one host, or of all.
    pub fn paths(&mut self, host: Option<u32>) -> Result<Vec<Path>, Error> {
        self.dump(&codec::path_get(host), codec::read_path)
    }

    /// The flows of one host, or of all.
    pub fn flows(&mut self, host: Option<u32>) -> Result<Vec<Flow>, Error> {
        self.dump(&codec::flows(Command::FLOW_GET, host), codec::read_flow)
    }

    /// One flow.
    pub fn flow(&mut self, key: &FlowKey) -> Result<Flow, Error> {
        self.get(&codec::flow_key(Command::FLOW_GET, key), codec::read_flow)
    }

    /// Removes a flow; its next packet makes it again.
    pub fn flow_del(&mut self, key: &FlowKey) -> Result<(), Error> {
        self.order(&codec::flow_key(Command::FLOW_DEL, key))
    }

    /// Removes the flows of one host, or all.
    pub fn flow_flush(&mut self, host: Option<u32>) -> Result<(), Error> {
        self.order(&codec::flows(Command::FLOW_FLUSH, host))
    }

    /// The port mappings of one host, or of all.
    pub fn nats(&mut self, host: Option<u32>) -> Result<Vec<Nat>, Error> {
        self.dump(&codec::nats(Command::NAT_GET, host), codec::read_nat)
    }

    /// One port mapping.
    pub fn nat(&mut self, key: &NatKey) -> Result<Nat, Error> {
        self.get(
            &codec::nat_key(Command::NAT_GET, None, key),
            codec::read_nat,
        )
    }

    /// Adds a port mapping, or changes its host, port and expiry.
    pub fn nat_new(&mut self, nat: &Nat) -> Result<(), Error> {
        self.order(&codec::nat_new(nat))
    }

    /// Removes a port mapping, only if it is that of `host` when one is named.
    pub fn nat_del(&mut self, key: &NatKey, host: Option<u32>) -> Result<(), Error> {
        self.order(&codec::nat_key(Command::NAT_DEL, host, key))
    }

    /// Removes the port mappings of one host, or all.
    pub fn nat_flush(&mut self, host: Option<u32>) -> Result<(), Error> {
        self.order(&codec::nats(Command::NAT_FLUSH, host))
    }

    /// The discovery policy.
    pub fn policies(&mut self) -> Result<Vec<Policy>, Error> {
        self.dump(&Request::new(Command::POLICY_GET), codec::read_policy)
    }

    /// Adds a prefix, or changes its action.
    pub fn policy_new(&mut self, policy: &Policy) -> Result<(), Error> {
        let Policy {
            addr,
            prefix_len,
            action,
        } = *policy;
        self.order(&codec::policy_request(
            Command::POLICY_NEW,
            addr,
            prefix_len,
            Some(action),
        ))
    }

    /// Removes a prefix.
    pub fn policy_del(&mut self, addr: IpAddr, prefix_len: u8) -> Result<(), Error> {
        self.order(&codec::policy_request(
            Command::POLICY_DEL,
            addr,
            prefix_len,
            None,
        ))
    }

    /// Goes back to the default policy.
    pub fn policy_flush(&mut self) -> Result<(), Error> {
        self.order(&Request::new(Command::POLICY_FLUSH))
    }

    /// The settings.
    pub fn params(&mut self) -> Result<Params, Error> {
        self.get(&Request::new(Command::PARAM_GET), codec::read_params)
    }

    /// Changes settings: all of the request, or nothing.
    pub fn param_set(&mut self, params: &ParamRequest) -> Result<(), Error> {
        self.order(&codec::param_request(params))
    }

    /// The counters.
    pub fn stats(&mut self) -> Result<Stats, Error> {
        self.get(&Request::new(Command::STATS_GET), codec::read_stats)
    }

    /// Sets the counters to zero.
    pub fn stats_flush(&mut self) -> Result<(), Error> {
        self.order(&Request::new(Command::STATS_FLUSH))
    }

    /// A request that is answered by one object.
    fn get<T>(
        &mut self,
        request: &Request,
        read: fn(&[u8]) -> Result<T, Malformed>,
    ) -> Result<T, Error> {
        self.transact(request, |socket, family, payload| {
            let mut first = None;
            socket.ask(family, Flags::ACK, payload, |object| {
                if first.is_none() {
                    first = Some(read(object)?);
                }
                Ok(())
            })?;
            first.ok_or_else(|| Malformed::new("acknowledged, but no answer").into())
        })
    }

    /// A request that is answered by success alone.
    fn order(&mut self, request: &Request) -> Result<(), Error> {
        self.transact(request, |socket, family, payload| {
            socket.order(family, Flags::empty(), payload)
        })
    }

    /// A request that is answered by all objects of a kind.
    fn dump<T>(
        &mut self,
        request: &Request,
        read: fn(&[u8]) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Error> {
        self.transact(request, |socket, family, payload| {
            socket.dump(family, &payload, |object| Ok(Some(read(object)?)))
        })
    }

    /// Has a request sent and answered, and explains why it was refused.
    fn transact<T>(
        &mut self,
        request: &Request,
        exchange: impl FnOnce(&mut Socket, u16, Vec<u8>) -> Result<T, ihmp_netlink::Error>,
    ) -> Result<T, Error> {
        let result = exchange(&mut self.socket, self.family, request.bytes());
        let error = match result {
            Err(ihmp_netlink::Error::Refused(refusal)) => refused(request, &refusal),
            result => return Ok(result?),
        };
        if let Error::Kernel {
            errno: ENOENT,
            message: None,
            ..
        } = error
        {
            // Without an explanation, it may be the family that does not exist any more: the module was unloaded, or loaded again, so that
            // its family has another number.
            let family = resolve(&mut self.socket, FAMILY_NAME)?.id();
            if family != std::mem::replace(&mut self.family, family) {
                return Err(Error::NoModule);
            }
        }
        Err(error)
    }
}

/// What the kernel says about a request that it refused, with the names of attributes.
fn refused(request: &Request, refusal: &Refusal) -> Error {
    let missing = refusal
        .missing()
        .and_then(|(number, nest)| request.attr_named(number, nest));
    let message = refusal.message().map(str::to_owned).or_else(|| {
        missing
            .as_ref()
            .map(|_| "an attribute is missing".to_owned())
    });
    Error::Kernel {
        errno: refusal.errno(),
        message,
        attr: missing.or_else(|| request.attr_at(refusal.attr()?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EINVAL: i32 = 22;

    #[test]
    fn refusals_are_explained() {
        let request = codec::host_addrs(
            Command::ADDR_NEW,
            1,
            &[HostAddr::local([192, 0, 2, 1].into())],
        );
        let text = |refusal: &Refusal| refused(&request, refusal).to_string();
        let refusal = Refusal::new(EINVAL);
        assert_eq!(text(&refusal), "ihmp: Invalid argument");
        let refusal = refusal.with_message(Some("no such host".to_owned()));
        assert_eq!(text(&refusal), "ihmp: no such host");
        // The header of generic netlink, then the id.
        let refusal = refusal.with_attr(Some(4));
        assert_eq!(text(&refusal), "ihmp: no such host (id)");
        let refusal = Refusal::new(EINVAL).with_missing(Some((2, Some(4 + 8))));
        assert_eq!(text(&refusal), "ihmp: an attribute is missing (addr.set)");
    }

    #[test]
    fn a_kernel_without_the_module_says_so() {
        // On a machine with the module, the connection succeeds.
        match Client::connect() {
            Ok(_) | Err(Error::NoModule) => (),
            Err(error) => panic!("{error}"),
        }
    }
}
