# SPDX-License-Identifier: GPL-2.0
"""Netlink requests of the watcher of namespaces, to rtnetlink and to the family of the module.

Numbers are those of linux/netlink.h, linux/rtnetlink.h, linux/genetlink.h and uapi/ihmp.yaml.
"""

import errno
import socket
import struct

NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 1, 4, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
NESTED = 0x8000
NETLINK_GENERIC, GENL_ID_CTRL, CTRL_CMD_GETFAMILY = 16, 16, 3
SOL_NETLINK, NETLINK_CAP_ACK, NETLINK_EXT_ACK, NLMSGERR_ATTR_MSG = 270, 10, 11, 1


def attr(kind, data):
    """Returns one attribute, padded."""
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def u32(kind, value):
    return attr(kind, struct.pack("=I", value))


def attrs(data):
    """Yields (kind, value) for each attribute in data."""
    while len(data) >= 4:
        size, kind = struct.unpack_from("=HH", data)
        if size < 4:
            return
        yield kind & 0x3fff, data[4:size]
        data = data[(size + 3) & ~3:]


def number(value):
    return int.from_bytes(value, "little")


def messages(data):
    """Yields (kind, body) for each message in data."""
    while len(data) >= 16:
        size, kind = struct.unpack_from("=IH", data)
        yield kind, data[16:size]
        data = data[(size + 3) & ~3:]


class Netlink:
    """One socket, in the namespace in which it is made."""

    def __init__(self, protocol):
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        # Refusals come with their reason in words, and without a copy of the request.
        self.sock.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        self.sock.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        self.sock.bind((0, 0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def ask(self, kind, body, flags=NLM_F_ACK):
        """Sends one request and returns the bodies of the answers. A refusal raises OSError."""
        self.sock.send(struct.pack("=IHHII", 16 + len(body), kind, NLM_F_REQUEST | flags, 1, 0) + body)
        answers = []
        while True:
            for what, data in messages(self.sock.recv(1 << 17)):
                if what == NLMSG_ERROR:
                    error = -struct.unpack_from("=i", data)[0]
                    if error:
                        why = dict(attrs(data[20:])).get(NLMSGERR_ATTR_MSG, b"").rstrip(b"\0").decode()
                        raise OSError(error, why or errno.errorcode.get(error, "netlink"))
                    return answers
                if what == NLMSG_DONE:
                    return answers
                answers.append(data)


class Ihmp(Netlink):
    """The netlink family of the module."""

    HOST_GET, HOST_NEW, HOST_SET, HOST_DEL, HOST_FLUSH, PARAM_SET, STATS_GET = 1, 2, 3, 4, 5, 20, 21
    ID, STATE, ADDR, CLEAR, ADDRESS = 1, 3, 6, 7, 8
    UP = 1
    ACTIVE, LOCAL = 0, 2
    DISCOVERY = 1
    # The names of the counters, by the number of the attribute.
    STATS = {4: "out-translated", 5: "out-unchanged", 6: "in-translated", 7: "in-unchanged", 8: "icmp-out", 9: "icmp-in",
             10: "port-mapped", 11: "tcp-woken", 12: "discovered", 13: "flows-made", 17: "unreachable"}
    COUNTER, REASON, PACKETS = 15, 1, 3

    family = None

    def __init__(self):
        super().__init__(NETLINK_GENERIC)
        if Ihmp.family is None:
            ask = struct.pack("=BBH", CTRL_CMD_GETFAMILY, 1, 0) + attr(2, b"ihmp\0")
            Ihmp.family = number(dict(attrs(self.ask(GENL_ID_CTRL, ask)[0][4:]))[1])

    def call(self, command, data=b""):
        answers = self.ask(self.family, struct.pack("=BBH", command, 1, 0) + data)
        return list(attrs(answers[0][4:])) if answers else []

    def address(self, address, role):
        return attr(self.ADDR | NESTED, attr(1, address) + u32(2, role))

    def discover(self):
        """Turns discovery on, so that the module looks at flows to unknown addresses."""
        self.call(self.PARAM_SET, u32(self.DISCOVERY, 1))

    def host(self, address, locals_):
        """Makes a host with this address, in state up and with our addresses, and returns its number."""
        own = b"".join(self.address(local, self.LOCAL) for local in locals_)
        try:
            made = self.call(self.HOST_NEW, u32(self.STATE, self.UP) + self.address(address, self.ACTIVE) + own)
            return number(dict(made)[self.ID])
        except FileExistsError:
            # Discovery has made the host already.
            made = number(dict(self.call(self.HOST_GET, attr(self.ADDRESS, address)))[self.ID])
            self.tell(made, locals_)
            return made

    def tell(self, host, locals_):
        """Tells a host which addresses are ours."""
        own = b"".join(self.address(local, self.LOCAL) for local in locals_)
        self.call(self.HOST_SET, u32(self.ID, host) + u32(self.STATE, self.UP) + u32(self.CLEAR, self.LOCAL) + own)

    def forget(self, host):
        self.call(self.HOST_DEL, u32(self.ID, host))

    def flush(self):
        self.call(self.HOST_FLUSH)

    def stats(self, reasons):
        """Returns the counters of the namespace by name. Those of reasons, whose names are given, begin with "!"."""
        counters = {}
        for kind, value in self.call(self.STATS_GET):
            if kind in self.STATS:
                counters[self.STATS[kind]] = number(value)
            elif kind == self.COUNTER:
                counter = dict(attrs(value))
                counters[reasons[number(counter[self.REASON])]] = number(counter[self.PACKETS])
        return counters
