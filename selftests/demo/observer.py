#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""observer.py RESULT OLD_DEVICE NEW_DEVICE ADDRESS...

Records the kernel's events about these addresses and about default routes by these devices, and IHMP messages on them, until SIGTERM.
Then it writes them to RESULT as JSON. It prints "ready" when it listens. Events get their time when they are read, so this program runs
before all others in the guest.
"""

import ctypes
import json
import os
import select
import signal
import socket
import struct
import sys
import time

PORT = 61453
# A filter in classic BPF, which sees the packet from its network header on: UDP over IPv4 or IPv6 with the IHMP port at one end.
IHMP_FILTER = (
    (0x30, 0, 0, 0), (0x74, 0, 0, 4), (0x15, 0, 7, 4),
    (0x30, 0, 0, 9), (0x15, 0, 12, 17), (0xb1, 0, 0, 0),
    (0x48, 0, 0, 0), (0x15, 8, 0, PORT), (0x48, 0, 0, 2), (0x15, 6, 7, PORT),
    (0x30, 0, 0, 6), (0x15, 0, 5, 17),
    (0x28, 0, 0, 40), (0x15, 2, 0, PORT), (0x28, 0, 0, 42), (0x15, 0, 1, PORT),
    (0x06, 0, 0, 65535), (0x06, 0, 0, 0),
)
SO_ATTACH_FILTER, SO_TIMESTAMPNS, PACKET_OUTGOING = 26, 35, 4
IFA_F_TENTATIVE, IFA_F_OPTIMISTIC = 0x40, 0x04
RTM_NEWADDR, RTM_DELADDR, RTM_NEWROUTE = 20, 21, 24
# RTMGRP_LINK, _IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR, _IPV6_ROUTE
GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400


def wire():
    """Returns a socket that receives IHMP messages, with the times at which they passed."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in IHMP_FILTER))
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(IHMP_FILTER), ctypes.addressof(code)))
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock.setblocking(False)
    # Discards packets that came before the filter was attached.
    try:
        while True:
            sock.recv(2048)
    except BlockingIOError:
        return sock


def message(sock):
    """Returns time, direction, device and the first octets of one message."""
    data, extra, _, address = sock.recvmsg(2048, 256)
    at = time.time()
    for level, kind, value in extra:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            seconds, part = struct.unpack("ll", value)
            at = seconds + part / 1e9
    head = 40 if data[0] >> 4 == 6 else (data[0] & 15) * 4
    return [at, "out" if address[2] == PACKET_OUTGOING else "in", address[0], data[head + 8:head + 24].hex()]


def events(data, devices, addresses):
    """Yields (what, device, family) for each address that came or went and each default route that came."""
    at = 0
    while at + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, at)
        body = data[at + 16:at + length]
        at += (length + 3) & ~3
        if kind not in (RTM_NEWADDR, RTM_DELADDR, RTM_NEWROUTE) or body[0] not in (socket.AF_INET, socket.AF_INET6):
            continue
        family = 6 if body[0] == socket.AF_INET6 else 4
        attributes = {}
        place = 8 if kind in (RTM_NEWADDR, RTM_DELADDR) else 12
        while place + 4 <= len(body):
            size, name = struct.unpack_from("=HH", body, place)
            attributes[name & 0x3fff] = body[place + 4:place + size]
            place += max((size + 3) & ~3, 4)
        if kind == RTM_NEWROUTE:
            device = devices.get(int.from_bytes(attributes.get(4, b""), sys.byteorder))
            # A route to everywhere, in the main table.
            if body[1] == 0 and device and body[4] == 254:
                yield ["route", device, family]
            continue
        device = devices.get(struct.unpack_from("=I", body, 4)[0])
        flags = int.from_bytes(attributes.get(8, body[2:3]), sys.byteorder)
        address = socket.inet_ntop(body[0], attributes.get(2) or attributes[1])
        if not device or address not in addresses:
            continue
        if kind == RTM_DELADDR:
            yield ["gone", device, family]
        elif flags & IFA_F_TENTATIVE and not flags & IFA_F_OPTIMISTIC:
            yield ["tentative", device, family]
        else:
            yield ["address", device, family]


def main():
    result, old, new, *addresses = sys.argv[1:]
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
    # A signal arrives as one more thing to read.
    woken, wakes = socket.socketpair()
    wakes.setblocking(False)
    signal.set_wakeup_fd(wakes.fileno())
    signal.signal(signal.SIGTERM, lambda *_: None)
    devices = {socket.if_nametoindex(name): name for name in (old, new)}
    messages = wire()
    routes = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    routes.bind((0, GROUPS))
    found = {"events": [], "messages": []}
    print("ready", flush=True)
    ended = False
    while not ended:
        for source in select.select([messages, routes, woken], [], [])[0]:
            if source is messages:
                one = message(messages)
                if one[2] in (old, new):
                    found["messages"].append(one)
            elif source is routes:
                now = time.time()
                found["events"] += [[now] + event for event in events(routes.recv(1 << 16), devices, addresses)]
            else:
                ended = True
    with open(result, "w", encoding="ascii") as file:
        json.dump(found, file)


if __name__ == "__main__":
    main()
