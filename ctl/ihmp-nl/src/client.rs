// SPDX-License-Identifier: GPL-2.0
//! Requests: one method for each command of the family.

use std::net::IpAddr;

use ihmp_uapi::{
    Command,
    FAMILY_NAME, //
};
use neli::{
    consts::nl::NlmF,
    nl::NlPayload,
    types::{
        Buffer,
        GenlBuffer, //
    },
};

use crate::{
    attrs::Malformed,
    codec::{
        self,
        Request, //
    },
    error::Error,
    model::*,
    socket::{
        self,
        Socket,
        Wait,
        DUMP_ATTEMPTS,
        ENOENT, //
    },
};

/// A connection to the module, in the network namespace where it was made.
pub struct Client {
    socket: Socket,
    family: u16,
}

impl Client {
    /// Opens a netlink socket and looks the family up.
    pub fn connect() -> Result<Self, Error> {
        let mut socket = Socket::open()?;
        let family = socket.resolve(FAMILY_NAME)?.id;
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
        let answer = self.transact(request, NlmF::ACK, read)?;
        answer
            .objects
            .into_iter()
            .next()
            .ok_or_else(|| Error::Protocol("acknowledged, but no answer".to_owned()))
    }

    /// A request that is answered by success alone.
    fn order(&mut self, request: &Request) -> Result<(), Error> {
        self.transact(request, NlmF::ACK, |_| Ok(())).map(drop)
    }

    /// A request that is answered by all objects of a kind.
    fn dump<T>(
        &mut self,
        request: &Request,
        read: fn(&[u8]) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Error> {
        for _ in 0..DUMP_ATTEMPTS {
            let answer = self.transact(request, NlmF::DUMP, read)?;
            if !answer.changed {
                return Ok(answer.objects);
            }
        }
        Err(Error::Changing)
    }

    /// Sends a request and reads its answer up to the message that ends it.
    fn transact<T>(
        &mut self,
        request: &Request,
        flags: NlmF,
        read: fn(&[u8]) -> Result<T, Malformed>,
    ) -> Result<Answer<T>, Error> {
        let result = self.exchange(request, flags, read);
        if let Err(Error::Kernel {
            errno: ENOENT,
            message: None,
            ..
        }) = result
        {
            // Nobody explains this when there is no such family any more. It may have come back with another number.
            let family = self.socket.resolve(FAMILY_NAME)?.id;
            if family != std::mem::replace(&mut self.family, family) {
                return Err(Error::NoModule);
            }
        }
        result
    }

    fn exchange<T>(
        &mut self,
        request: &Request,
        flags: NlmF,
        read: fn(&[u8]) -> Result<T, Malformed>,
    ) -> Result<Answer<T>, Error> {
        let seq = self.socket.send(self.family, flags, request.bytes())?;
        let mut answer = Answer {
            objects: Vec::new(),
            changed: false,
        };
        loop {
            for message in self.socket.receive(Wait::Yes)? {
                // What is left of an answer that was given up.
                if *message.nl_seq() != seq {
                    continue;
                }
                answer.changed |= message.nl_flags().contains(NlmF::DUMP_INTR);
                match message.nl_payload() {
                    NlPayload::Payload(payload) => answer.objects.push(read(payload.as_ref())?),
                    NlPayload::Err(error) => {
                        return Err(refusal(request, *error.error(), error.ext_ack()))
                    }
                    NlPayload::DumpExtAck(end) if *end.error() < 0 => {
                        return Err(refusal(request, *end.error(), end.ext_ack()));
                    }
                    NlPayload::Ack(_) | NlPayload::DumpExtAck(_) | NlPayload::Empty => {
                        return Ok(answer)
                    }
                }
            }
        }
    }
}

/// The answer to one request.
struct Answer<T> {
    objects: Vec<T>,
    /// The kernel's tables changed while it was made.
    changed: bool,
}

/// Attributes of an extended acknowledgement (linux/netlink.h, `enum nlmsgerr_attrs`).
mod ext_ack {
    pub(super) const MSG: u16 = 1;
    pub(super) const OFFS: u16 = 2;
    pub(super) const MISS_TYPE: u16 = 5;
    pub(super) const MISS_NEST: u16 = 6;
}

/// What the kernel says about a request that it refused.
fn refusal<T>(request: &Request, errno: i32, ext_ack: &GenlBuffer<T, Buffer>) -> Error
where
    T: Copy + Into<u16>,
{
    let payload = |number| {
        let attr = ext_ack
            .as_ref()
            .iter()
            .find(|attr| (*attr.nla_type().nla_type()).into() == number);
        attr.map(|attr| attr.nla_payload().as_ref())
    };
    let number = |attr| {
        payload(attr)
            .and_then(|octets| octets.try_into().ok())
            .map(u32::from_ne_bytes)
    };
    // The kernel counts from the start of the netlink header.
    let offset =
        |attr| number(attr).and_then(|octets| (octets as usize).checked_sub(socket::HEADER));
    let text = payload(ext_ack::MSG).map(|octets| {
        String::from_utf8_lossy(octets.strip_suffix(&[0]).unwrap_or(octets)).into_owned()
    });
    let missing = number(ext_ack::MISS_TYPE).and_then(|number| {
        request.attr_named(u16::try_from(number).ok()?, offset(ext_ack::MISS_NEST))
    });
    Error::Kernel {
        errno: -errno,
        message: text.or_else(|| {
            missing
                .as_ref()
                .map(|_| "an attribute is missing".to_owned())
        }),
        attr: missing.or_else(|| request.attr_at(offset(ext_ack::OFFS)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attrs::Writer;

    const EINVAL: i32 = 22;

    /// A message of this type and payload.
    fn frame(kind: u16, flags: NlmF, payload: &[u8]) -> Vec<u8> {
        let len = u32::try_from(socket::HEADER + payload.len()).unwrap();
        let mut bytes = len.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.bits().to_ne_bytes());
        bytes.resize(socket::HEADER, 0);
        [&bytes, payload].concat()
    }

    /// The error that a refusal with these attributes becomes, at the end of a dump or of another request.
    fn refused(request: &Request, dump: bool, attrs: &Writer) -> String {
        let mut payload = (-EINVAL).to_ne_bytes().to_vec();
        let mut flags = NlmF::ACK_TLVS;
        if dump {
            flags |= NlmF::MULTI;
        } else {
            payload.extend(frame(33, NlmF::REQUEST, &request.bytes()));
        }
        payload.extend(&attrs.0);
        let kind = if dump { 3 } else { 2 };
        let message = socket::parse(&frame(kind, flags, &payload))
            .unwrap()
            .remove(0);
        match message.nl_payload() {
            NlPayload::Err(error) => refusal(request, *error.error(), error.ext_ack()),
            NlPayload::DumpExtAck(end) => refusal(request, *end.error(), end.ext_ack()),
            other => panic!("{other:?}"),
        }
        .to_string()
    }

    #[test]
    fn refusals_are_explained() {
        let request = codec::host_addrs(
            Command::ADDR_NEW,
            1,
            &[HostAddr::local([192, 0, 2, 1].into())],
        );
        let mut attrs = Writer::default();
        for dump in [false, true] {
            assert_eq!(refused(&request, dump, &attrs), "ihmp: Invalid argument");
        }
        attrs.string(ext_ack::MSG, "no such host");
        for dump in [false, true] {
            assert_eq!(refused(&request, dump, &attrs), "ihmp: no such host");
        }
        // netlink header, generic netlink header, id.
        attrs.u32(ext_ack::OFFS, 16 + 4);
        for dump in [false, true] {
            assert_eq!(refused(&request, dump, &attrs), "ihmp: no such host (id)");
        }
        attrs.0.clear();
        attrs.u32(ext_ack::MISS_TYPE, 2);
        attrs.u32(ext_ack::MISS_NEST, 16 + 4 + 8);
        assert_eq!(
            refused(&request, false, &attrs),
            "ihmp: an attribute is missing (addr.set)"
        );
    }

    #[test]
    fn a_kernel_without_the_module_says_so() {
        // True on a machine with the module, too: then there is nothing to say.
        match Client::connect() {
            Ok(_) | Err(Error::NoModule) => (),
            Err(error) => panic!("{error}"),
        }
    }
}
