#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Measures what a move with many peers costs in the kernel, for each peer.

  batch.py HOSTS ROUNDS [--listen]    adds so many hosts by netlink, and tells the module for each of them that the own
                                      address has changed, back and forth. Prints as JSON the nanoseconds for a host, those
                                      for a request that names no host, and the difference. With --listen a listener gets
                                      the events, as the agent does

Other load on the machine changes the figures several times over. So calls of both kinds take turns, and the figure of a round is the
median of the differences of neighbours. Of the rounds, the best one and the one in the middle are printed.

The kernel handles the requests of one sendmsg(2) in their order before the call returns. So the time of the call is that of the
requests and of the system call, and no answer is requested. The request for a host is the same as the agent's.
"""

import argparse
import errno
import json
import socket
import struct
import time

NETLINK_GENERIC, GENL_ID_CTRL, CTRL_CMD_GETFAMILY = 16, 16, 3
SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NETLINK_CAP_ACK = 270, 1, 10
NLM_F_REQUEST, NLM_F_ACK, NLMSG_ERROR = 1, 4, 2
NEW, SET, FLUSH = 2, 3, 5
ID, STATE, ADDR, CLEAR = 1, 3, 6, 7
ADDRESS, SET_OF, PREFERENCE, UNVALIDATED = 1, 2, 3, 4
UP, ACTIVE, UNREACHABLE, LOCAL = 1, 0, 1, 2
NESTED = 0x8000
# The requests in one call are so few that the processor is seldom taken away meanwhile.
AT_ONCE = 20


def attr(kind, data):
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def u32(kind, value):
    return attr(kind, struct.pack("=I", value))


def addr(address, role, unvalidated=False):
    data = attr(ADDRESS, socket.inet_aton(address)) + u32(SET_OF, role) + attr(PREFERENCE, struct.pack("=H", 0))
    return attr(ADDR | NESTED, data + (attr(UNVALIDATED, b"") if unvalidated else b""))


class Client:
    def __init__(self):
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
        self.sock.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.sock.bind((0, 0))
        answer = self.ask(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, attr(2, b"ihmp\0"))
        attrs = self.attrs(answer[20:])
        self.family = struct.unpack("=H", attrs[1])[0]
        groups = [self.attrs(data) for data in self.attrs(attrs[7]).values()]
        self.group = next(struct.unpack("=I", group[2])[0] for group in groups if group[1] == b"events\0")

    @staticmethod
    def attrs(data):
        found = {}
        while len(data) >= 4:
            size, kind = struct.unpack_from("=HH", data)
            found[kind & 0x3fff] = data[4:size]
            data = data[(size + 3) & ~3:]
        return found

    @staticmethod
    def message(family, command, data, flags):
        return struct.pack("=IHHIIBBH", 20 + len(data), family, flags, 1, 0, command, 1, 0) + data

    def ask(self, family, command, data):
        self.sock.send(self.message(family, command, data, NLM_F_REQUEST | NLM_F_ACK))
        answer = None
        while True:
            got = self.sock.recv(65536)
            while got:
                size, kind = struct.unpack_from("=IH", got)
                if kind == NLMSG_ERROR:
                    error = struct.unpack_from("=i", got, 16)[0]
                    if error:
                        raise OSError(-error, errno.errorcode[-error])
                    return answer
                answer, got = got[:size], got[(size + 3) & ~3:]

    def new(self, number):
        peer = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        answer = self.ask(self.family, NEW, u32(STATE, UP) + addr(peer, ACTIVE) + addr("192.0.2.1", LOCAL))
        return struct.unpack("=I", self.attrs(answer[20:])[ID])[0], peer

    def record(self, number, peer, local):
        """Returns the request for a host with all that the agent tells the module of it."""
        clear = b"".join(u32(CLEAR, role) for role in (ACTIVE, UNREACHABLE, LOCAL))
        data = u32(ID, number) + u32(STATE, UP) + addr(peer, ACTIVE) + addr(local, LOCAL, unvalidated=True) + clear
        return self.message(self.family, SET, data, NLM_F_REQUEST)

    def timed(self, messages):
        """Sends the messages in one call, and returns the nanoseconds for one."""
        data = b"".join(messages)
        before = time.monotonic_ns()
        self.sock.send(data)
        return (time.monotonic_ns() - before) / len(messages)

    def errors(self):
        """Returns how many requests were refused meanwhile."""
        self.sock.setblocking(False)
        count = 0
        try:
            while True:
                got = self.sock.recv(65536)
                count += struct.unpack_from("=H", got, 4)[0] == NLMSG_ERROR
        except (BlockingIOError, OSError):
            self.sock.setblocking(True)
        return count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hosts", type=int)
    parser.add_argument("rounds", type=int)
    parser.add_argument("--listen", action="store_true")
    args = parser.parse_args()
    client, other, listener = Client(), Client(), Client()
    if args.listen:
        listener.sock.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, listener.group)
    hosts = [client.new(number + 1) for number in range(args.hosts)]
    moves = [[client.record(number, peer, local) for number, peer in hosts] for local in ("192.0.2.2", "192.0.2.1")]
    nobody = [client.record(0x7fffffff, "10.0.0.1", "192.0.2.2")] * AT_ONCE
    spent, nothing, beyond = [], [], []
    for number in range(args.rounds):
        pairs = []
        for at in range(0, len(hosts), AT_ONCE):
            pairs.append((client.timed(moves[number % 2][at:at + AT_ONCE]), other.timed(nobody)))
            other.errors()
        refused = client.errors()
        if refused:
            raise SystemExit(f"{refused} requests were refused")
        spent += [host for host, _ in pairs]
        nothing += [none for _, none in pairs]
        beyond.append(figures([host - none for host, none in pairs])["p50"])
    beyond.sort()
    print(json.dumps({"hosts": len(hosts), "host": figures(spent), "nothing": figures(nothing),
                      "beyond": {"best": beyond[0], "middle": beyond[len(beyond) // 2]}}))


def figures(spent):
    spent.sort()
    return {"p10": spent[len(spent) // 10], "p50": spent[len(spent) // 2], "mean": sum(spent) / len(spent)}


if __name__ == "__main__":
    main()
