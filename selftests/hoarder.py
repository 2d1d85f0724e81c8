#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Makes the module allocate memory in a memory cgroup (v2), whose folder is FOLDER.

  hoarder.py hosts FOLDER COUNT          adds so many hosts by commands
  hoarder.py fill FOLDER ROOM ROUNDS     leaves the cgroup ROOM octets and adds hosts until one is refused, and then prefixes to the
                                         policy until one is refused. It does so ROUNDS times, each time with a little more room.
                                         Then it prints a line "COUNT ERRNO TEXT" for each round, where COUNT is the number of hosts
                                         by then, the address that was refused last, and a line "prefixes COUNT ERRNO TEXT" for each
                                         round. After a line of input it adds 100 more hosts without a limit
  hoarder.py datagrams FOLDER ADDR COUNT sends a datagram from one socket to so many ports of an address
"""

import ctypes
import errno
import gc
import os
import pathlib
import socket
import struct
import sys

from batch import ACTIVE, LOCAL, NEW, NLM_F_ACK, NLM_F_REQUEST, NLMSG_ERROR, SOL_NETLINK, STATE, UP, Client, addr, attr, u32

NETLINK_EXT_ACK, NLM_F_ACK_TLVS, TEXT = 11, 0x200, 1
MCL_CURRENT, MCL_FUTURE = 1, 2
POLICY_NEW, KNOWN = 16, 1
# The most prefixes that a policy can have.
PREFIXES = 1024
# The rounds differ by so many octets, which is no multiple of the size of a host.
ODD = 360


class Refused(Exception):
    """A refused request: the errno, and the text of the extended acknowledgement."""


class Maker(Client):
    def __init__(self):
        super().__init__()
        self.sock.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)

    def ask_for(self, peer):
        """Adds one host."""
        self.ask_or_be_refused(NEW, u32(STATE, UP) + addr(peer, ACTIVE) + addr("192.0.2.1", LOCAL))

    def ask_for_prefix(self, prefix):
        """Adds one prefix to the policy."""
        data = attr(1, socket.inet_aton(prefix)) + attr(2, b"\x20") + u32(3, KNOWN)
        self.ask_or_be_refused(POLICY_NEW, data)

    def ask_or_be_refused(self, command, data):
        self.sock.send(self.message(self.family, command, data, NLM_F_REQUEST | NLM_F_ACK))
        while True:
            got = self.sock.recv(4096)
            _, kind, flags = struct.unpack_from("=IHH", got)
            if kind != NLMSG_ERROR:
                continue
            error = -struct.unpack_from("=i", got, 16)[0]
            if not error:
                return
            text = self.attrs(got[36:]).get(TEXT, b"") if flags & NLM_F_ACK_TLVS else b""
            raise Refused(errno.errorcode[error], text.rstrip(b"\0").decode())


def peer_of(number):
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def fill(folder, room, times):
    maker = Maker()
    # At the limit the kernel kills a program that opens a file, has to read its own code again, or needs more heap. So the code that
    # handles a refusal runs once before the limit is set.
    maker.ask_for(peer_of(1))
    maker.ask_for_prefix(peer_of(1))
    try:
        maker.ask_for(peer_of(1))
    except Refused as why:
        assert why.args[0] == "EEXIST", why
    gc.collect()
    gc.disable()
    if ctypes.CDLL(None, use_errno=True).mlockall(MCL_CURRENT | MCL_FUTURE):
        raise OSError(ctypes.get_errno(), "mlockall")
    limit = os.open(folder / "memory.max", os.O_WRONLY)
    used = os.open(folder / "memory.current", os.O_RDONLY)
    count, rounds = 1, []
    prefixes, policies = 1, []
    for number in range(times):
        # A host takes several allocations. With other room, another one of them fails.
        os.pwrite(limit, str(int(os.pread(used, 32, 0)) + room + number * ODD).encode(), 0)
        try:
            while True:
                maker.ask_for(peer_of(count + 1))
                count += 1
        except Refused as why:
            rounds.append((count, *why.args))
        try:
            while prefixes < PREFIXES:
                maker.ask_for_prefix(peer_of(prefixes + 1))
                prefixes += 1
        except Refused as why:
            policies.append((prefixes, *why.args))
        os.pwrite(limit, b"max", 0)
    for line in rounds:
        print(*line)
    print(peer_of(count + 1))
    for line in policies:
        print("prefixes", *line)
    sys.stdout.flush()
    sys.stdin.readline()
    for number in range(count + 1, count + 101):
        maker.ask_for(peer_of(number))
    print("ok", flush=True)


def main():
    verb, folder, *words = sys.argv[1:]
    folder = pathlib.Path(folder)
    (folder / "cgroup.procs").write_text(str(os.getpid()))
    if verb == "hosts":
        maker = Maker()
        for number in range(int(words[0])):
            maker.ask_for(peer_of(number + 1))
    elif verb == "fill":
        fill(folder, int(words[0]), int(words[1]))
    else:
        there, count = words
        sock = socket.socket(socket.AF_INET6 if ":" in there else socket.AF_INET, socket.SOCK_DGRAM)
        for port in range(20000, 20000 + int(count)):
            sock.sendto(b"x", (there, port))


if __name__ == "__main__":
    main()
