#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Netlink sockets of a process, and more messages than they have room for.

  overrun.py sockets PID         the netlink sockets of a process, as JSON: protocol, octets of the receive buffer, messages that
                                 there was no room for
  overrun.py allowed             the octets of a receive buffer for which somebody asks without CAP_NET_ADMIN
  overrun.py changes ID PEER COUNT
                                 changes a host of the module so often
  overrun.py datagrams FROM TO PORT COUNT
                                 so many datagrams from a port to the same port
  overrun.py ports FROM TO COUNT a datagram from each of so many ports
  overrun.py count PORT          receives datagrams, and writes after each of them how many there were into its last line
"""

import ctypes
import json
import os
import pathlib
import re
import socket
import struct
import sys

from batch import AT_ONCE, Client

PIDFD_GETFD = 438
SO_RCVBUFFORCE = 33
PROTOCOLS = {0: "route", 12: "netfilter", 16: "generic"}
OCTETS = 1 << 20


def dropped(process):
    """The messages that each netlink socket had no room for, by inode."""
    found = {}
    for line in pathlib.Path(f"/proc/{process}/net/netlink").read_text().splitlines()[1:]:
        fields = line.split()
        found[int(fields[9])] = int(fields[8])
    return found


def sockets(process):
    libc, drops, found = ctypes.CDLL(None, use_errno=True), dropped(process), []
    pidfd = os.pidfd_open(process)
    for fd in pathlib.Path(f"/proc/{process}/fd").iterdir():
        inode = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(fd))
        if not inode or int(inode[1]) not in drops:
            continue
        copy = libc.syscall(PIDFD_GETFD, pidfd, int(fd.name), 0)
        if copy < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
        with socket.socket(fileno=copy) as sock:
            found.append({"protocol": PROTOCOLS[sock.proto], "drops": drops[int(inode[1])],
                          "buffer": sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)})
    print(json.dumps(found))


def allowed():
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, OCTETS)
        print(sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))


def changes(number, peer, count):
    client = Client()
    for at in range(0, count, AT_ONCE):
        records = [client.record(number, peer, f"192.0.2.{201 + i % 2}") for i in range(AT_ONCE)]
        client.timed(records)
        refused = client.errors()
        if refused:
            raise SystemExit(f"{refused} requests were refused, the first ones of {at}")


def datagrams(source, to, port, count):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((source, port))
        for number in range(count):
            sock.sendto(struct.pack("!I", number) + bytes(60), (to, port))


def ports(source, to, count):
    for number in range(count):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((source, 10000 + number))
            sock.sendto(b"x", (to, 9))


def count(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
        sock.bind(("0.0.0.0", port))
        print("ready", flush=True)
        seen = set()
        while True:
            seen.add(sock.recv(2048))
            print(len(seen), flush=True)


def main():
    what, arguments = sys.argv[1], sys.argv[2:]
    if what == "sockets":
        sockets(int(arguments[0]))
    elif what == "allowed":
        allowed()
    elif what == "changes":
        changes(int(arguments[0]), arguments[1], int(arguments[2]))
    elif what == "datagrams":
        datagrams(arguments[0], arguments[1], int(arguments[2]), int(arguments[3]))
    elif what == "ports":
        ports(arguments[0], arguments[1], int(arguments[2]))
    elif what == "count":
        count(int(arguments[0]))
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
